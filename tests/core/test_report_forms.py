"""Reports as HTML, Markdown and JSON: bounded whatever the data, escaped, and what each form says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.errors import UsageError
from shared.evaluation.bounded import MAX_BYTES, MAX_TEXT, fitted
from shared.evaluation.html import page_html, to_html
from shared.evaluation.markdown import page_markdown
from shared.evaluation.pages import evaluation_page
from shared.evaluation.plots import curve, forest
from shared.evaluation.report import (
    Curve,
    Evaluation,
    Forest,
    Gallery,
    Matrix,
    Metric,
    Page,
    Section,
    Shown,
    Table,
)
from shared.evaluation.sections import confusion_of, failures_of, reliability_table
from shared.evaluation.writing import check_report, write_report
from shared.types import Failure

PAGE = Page(
    "a.task: m | <n>",
    ("Two items of *data*.",),
    Table("Figures", ("figure", "value"), (("top1", "0.5000"),), plot=Forest((("top1", Metric(0.5, 0.2, 0.8)),))),
    ("seed: 0",),
    (
        Table("Rows", ("name", "share", "n"), (("a\nb", 0.25, 7), ("c", 0.5, 8)), "A note."),
        Matrix("Confusion", ("cat",), ("cat", "other"), ((3, 1),)),
        Gallery("Wrong", (Shown("a.jpg", ("true: cat", "answered: dog"), b"\xff\xd8"), Shown("b.jpg", ())), ""),
    ),
)
MARKDOWN = r"""# a.task: m \| \<n\>

Two items of \*data\*.

## Figures

| figure | value |
|---|---|
| top1 | 0.5000 |

- seed: 0

## Rows

A note.

| name | share | n |
|---|---|---|
| a b | 0.250 | 7 |
| c | 0.500 | 8 |

## Confusion

|  | cat | other |
|---|---|---|
| cat | 3 | 1 |

## Wrong

- **a.jpg**: true: cat; answered: dog

- **b.jpg**: 
"""  # noqa: W291 - as it is written


def test_markdown_is_as_it_was() -> None:
    assert page_markdown(PAGE) == MARKDOWN


def test_html_has_the_plots_and_every_section() -> None:
    page = page_html(PAGE)
    assert page.count('<div class="forest">') == 1
    assert "m | &lt;n&gt;" in page
    assert 'aria-label="top1: 0.5000, 0.2000 to 0.8000"' in page
    for title in ("Figures", "Rows", "Confusion", "Wrong"):
        assert f"<h2>{title}</h2>" in page
    assert "<script" not in page


def many(items: int, classes: int) -> Evaluation:
    """An evaluation of so many items that most of them are wrong or failed, and of so many classes."""
    rng = np.random.default_rng(0)
    names = [f"class <{at}> & more" for at in range(classes)]
    truth = [names[at] for at in rng.integers(0, classes, items)]
    answers: list[str | None] = [names[at] for at in rng.integers(0, classes, items)]
    pictures = [f"/somewhere/{'deep/' * 20}{at}.jpg" for at in range(items)]
    failed = [Failure(at, "corrupt", "it cannot be decoded & more " * 40) for at in range(items // 2)]

    def sections(worst: int) -> list[Section]:
        wrong = tuple(Shown(path, ("true: a", "answered: b"), b"\xff" * 40_000) for path in pictures[:worst])
        return [
            reliability_table(truth, answers, rng.random(items).tolist(), things="pictures"),
            confusion_of(truth, answers),
            Gallery("Pictures that went wrong", wrong),
            *failures_of(pictures[: len(failed)], failed, things="pictures"),
        ]

    by_class = {name: {"top1": Metric(0.5, 0.2, 0.8)} for name in names}
    notes = {"long": "x" * 100_000}
    return Evaluation(
        "a.task", "m", "d", items, len(failed), {"top1": Metric(0.5, 0.4, 0.6)}, notes, by_class, sections
    )


@pytest.mark.parametrize("worst", [24, 2000])
def test_a_page_of_a_hundred_thousand_items_and_a_thousand_classes_stays_under_2_mb(worst: int) -> None:
    evaluation = many(100_000, 1000)
    page = to_html(evaluation, worst=worst)
    size = len(page.encode())
    assert 500_000 < size < 2_000_000
    assert "rows more.</p>" in page
    for title in ("How sure, and how often right", "Confusion", "Pictures that went wrong", "By class"):
        assert f"<h2>{title}</h2>" in page
    assert len(page_markdown(evaluation_page(evaluation, worst=worst)).encode()) < 2_000_000


def test_what_is_cut_is_said_and_what_fits_is_whole() -> None:
    page, sections = fitted(PAGE)
    assert (page.title, page.lead) == (PAGE.title, PAGE.lead)
    assert [without for _, without in sections] == [0, 0, 0]
    assert tuple(section for section, _ in sections) == PAGE.sections
    long = replace(
        PAGE,
        title="t" * 1000,
        sections=(
            Table("T", ("a",), tuple(("<" * 1000,) for _ in range(500)), plot=Curve(((0.5, 0.5, 1),), "x", "y")),
            Table("F", ("a",), (("x",),), plot=Forest(tuple((str(at), Metric(0, 0, 1)) for at in range(500)))),
            Matrix("M", ("r",) * 300, ("c",) * 300, ((1,) * 300,) * 300),
            Gallery("G", tuple(Shown(str(at), ("l" * 1000,), b"\xff" * 50_000) for at in range(100))),
        ),
    )
    page, sections = fitted(long, most=400_000)
    assert len(page.title) == MAX_TEXT
    kept = {section.title: without for section, without in sections}
    assert kept["T"] > 400
    assert kept["F"] == 0
    assert kept["M"] == 200
    assert kept["G"] > 90
    assert MAX_BYTES < 2_000_000


def test_plots_of_odd_intervals() -> None:
    one = forest(Forest((("same", Metric(0.0, 0.0, 0.0)),), reference=0.0))
    assert 'class="still"' in one
    assert "nan" not in one
    apart = forest(Forest((("<a>", Metric(3.0, 2.0, 4.0)), ("b", Metric(-1, -2, 1))), reference=0.0))
    assert "&lt;a&gt;" in apart
    assert apart.count('class="still"') == 1
    assert forest(Forest(())) == curve(Curve((), "x", "y")) == ""
    drawn = curve(Curve(((0.0, 1.0, 4), (1.0, 0.0, 16)), "a<b", "c"))
    assert "a&lt;b" in drawn
    assert 'r="9.0"' in drawn
    assert 'r="6.0"' in drawn


@pytest.mark.parametrize(("name", "begins"), [("r.html", "<!doctype html>"), ("r.md", "# a.task"), ("r.JSON", "{")])
def test_the_ending_says_the_form(name: str, begins: str, tmp_path: Path) -> None:
    write_report(tmp_path / name, page=lambda: PAGE, content=lambda: {"a": "é"})
    text = (tmp_path / name).read_text("utf-8")
    assert text.startswith(begins)
    if begins == "{":
        assert json.loads(text) == {"a": "é"}


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must end in .html, .htm, .md, .json. Got 'r.pdf'"):
        check_report(tmp_path / "r.pdf")
    with pytest.raises(UsageError, match="must be a file in a folder that exists"):
        check_report(tmp_path / "none" / "r.html")
    with pytest.raises(UsageError, match="must be a file in a folder that exists"):
        check_report(tmp_path)
