"""Two models on one labelled data set: the verdict, its figures, the slices that changed and where they differ most."""

from __future__ import annotations

import html
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from demos.archives import unpack
from demos.compare.kinds import Kind
from demos.pages import for_visitors
from demos.tables import Cell, table
from nlp.datasets import read_labelled_texts
from nlp.qa.data import read_questions
from shared.errors import DataError, InputError, TriptychError, UsageError
from shared.evaluation.compared_words import compared_json, figure_rows, slice_rows, verdict
from shared.evaluation.comparing import Compared, compare_evaluations
from shared.evaluation.plots import forest
from shared.evaluation.report import Evaluation, Forest
from shared.tasks import find_task

MOST_TEXTS = 500
MOST_PICTURES = 200
SEED = 0
_SHOWN = 20


@dataclass(frozen=True)
class Judged:
    """What a data set says of two models.

    Attributes:
        result: JSON-ready.
        line: the verdict in words, Markdown.
        html: the forest plot and the tables.
    """

    result: dict[str, Any]
    line: str
    html: str


def judge(
    kind: Kind, first: str, second: str, path: Path, *, name: str, say: Callable[[int, str], object] = lambda *_: None
) -> Judged:
    """Evaluate two models on the first items of a labelled file, or of a zip of pictures, and compare them.

    Args:
        kind: what both do.
        first: name of the one that is there, among the kind's.
        second: of the one that is to take its place.
        path: the file.
        name: what the visitor calls it.
        say: hears of each of three steps: its number from 0, and what begins.

    Raises:
        DataError: the data set is malformed, or a model cannot be had; the message has ``name`` for its place.
    """
    evaluate = find_task(kind.task).evaluate
    if evaluate is None:
        raise UsageError(f"{kind.task} must have an evaluation to be compared by. It has none")
    of_pictures = kind.task.startswith("vision.")
    most = MOST_PICTURES if of_pictures else MOST_TEXTS
    with tempfile.TemporaryDirectory(prefix="triptych-compare-") as folder:
        dataset = path
        found: list[Evaluation] = []
        try:
            if of_pictures:
                dataset = unpack(path, Path(folder))
            for number, model in enumerate((first, second)):
                say(number, f"Evaluating {model}")
                one = evaluate(dataset, model=kind.catalogued(model), limit=most, seed=SEED, **kind.how(model))
                found.append(replace(one, model=model))
            if all(one.failed == one.n for one in found):
                raise DataError(f"none of the {found[0].n} items of {name} can be read")
            say(2, "Comparing")
            compared = compare_evaluations(found[0], found[1], rng=np.random.default_rng(SEED))
            parts = [_figures(compared), _changed(compared), _apart(found, compared, _read(kind.task, path), dataset)]
        except (DataError, InputError) as error:
            told_off = for_visitors(_plain(str(error), dataset, path, name))
            raise DataError(f"{told_off}. Expected here: {kind.form}") from error
        except TriptychError as error:
            raise DataError(_plain(str(error), dataset, path, name)) from error
        told = html.escape(_plain(verdict(compared), dataset, path, name), quote=False)
    if compared.n == most:
        told += f" Only the first {most} were judged."
    first_said, *more = re.split(r"(?<=\.) (?=[A-Z])", told, maxsplit=1)
    line = " ".join([f"**{first_said}**", *more])
    return Judged(compared_json(compared) | {"dataset": name}, line, "<br>".join(filter(None, parts)))


def _plain(text: str, dataset: Path, path: Path, name: str) -> str:
    for place in sorted({str(dataset), str(path)}, key=len, reverse=True):
        text = text.replace(place, name)
    return text


def _figures(found: Compared) -> str:
    columns, *rows = figure_rows(found)
    told: list[list[Cell | str]] = [
        [name, *(Cell(text, soft, "number") for text, soft in ((first, ""), (second, ""), (apart, interval), (p, "")))]
        for name, first, second, apart, interval, p, *_ in rows
    ]
    near = [f for f in found.figures if max(abs(f.difference.low), abs(f.difference.high)) <= 1] or found.figures
    plot = forest(Forest(tuple((f.name, f.difference) for f in near), reference=0.0))
    return f'<div class="facts">{plot}</div><br>{table("Figures", [*columns[:4], "p"], told)}'


def _changed(found: Compared) -> str:
    if not found.changed:
        return ""
    columns, *rows = slice_rows(found, found.changed[:10])
    return table("Slices that changed", columns, rows)


def _read(task: str, path: Path) -> tuple[Sequence[str], Sequence[str]] | None:
    """The items of a file, and what is true of them, in words; ``None`` where their names say more."""
    if task == "nlp.classification":
        labelled = read_labelled_texts(path)
        return labelled.texts, labelled.labels
    if task == "nlp.qa":
        questions = read_questions(path)
        true = [" | ".join(dict.fromkeys(asked.answers)) or "no answer" for asked in questions]
        return [asked.question for asked in questions], true
    return None


def _apart(
    evaluations: list[Evaluation], found: Compared, read: tuple[Sequence[str], Sequence[str]] | None, dataset: Path
) -> str:
    """The items on which one model does better than the other, the largest differences first."""
    items = [one.items() for one in evaluations if one.items is not None]
    if not all(one.main for one in items):
        return ""
    first, second = (one.right() for one in items)
    apart = np.nan_to_num(second - first)
    at = [int(number) for number in np.argsort(-np.abs(apart), kind="stable")[:_SHOWN] if apart[number]]
    if not at:
        return ""
    labels = items[0].attributes.get("label", items[0].attributes.get("class"))
    names, true = read or ([_short(name, dataset) for name in items[0].ids], labels)
    columns = ["Item"] if true is None else ["Item", "True"]
    rows: list[list[Cell | str]] = [[names[n]] if true is None else [names[n], Cell(str(true[n]))] for n in at]
    if np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all():
        told = [[*row, Cell(found.second if apart[number] > 0 else found.first)] for row, number in zip(rows, at)]
        return table("Where one alone is right", [*columns, "Right"], told)
    told = [[*row, *(Cell(f"{side[n]:.2f}", tag="number") for side in (first, second))] for row, n in zip(rows, at)]
    return table(f"Where they differ most, by {found.main}", [*columns, found.first, found.second], told)


def _short(name: str, dataset: Path) -> str:
    return name.replace(f"{dataset.as_posix()}/", "")
