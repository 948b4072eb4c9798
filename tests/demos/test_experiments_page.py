"""The page of experiments: its endpoints called as a program calls them, and the page driven as a visitor would."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")
pytest.importorskip("polars", reason="tables of experiments need the extra 'experiments'")

from gradio_client import handle_file
from gradio_client.exceptions import AppError

from demos.experiments.page import _example
from shared.experiments.power import rate_baseline, sample_size

ONCE, OFTEN = "One look, at the planned end", "Any number of looks"


def test_a_plan(client: Any) -> None:
    result, answer, sizes, _ = client.predict(5, 10, 10_000, 2, 80, api_name="/experiments_plan")
    known = sample_size(rate_baseline(0.05, 0.1), 0.005)
    assert result["one look"]["units"] == list(known.units) == [31231, 31231]
    assert result["one look"]["days"] == 7
    assert sum(result["any number of looks"]["units"]) > sum(known.units)
    assert "7 days" in answer
    assert "62,462" in sizes


def test_peeking(client: Any) -> None:
    called = client.predict(10, 0, 1000, 28, 7, api_name="/experiments_peek")[0]
    assert called["naive, every day"] > 0.15
    assert called["always valid, every day"] <= 0.05
    assert 0.03 < called["naive, once at the end"] < 0.07


def test_an_analysis_with_cuped(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    given = [handle_file(_example()), "unit", "arm", "old", "spend", "mean"]
    plain = client.predict(*given, "", ONCE, 4000, api_name="/experiments_analyse")[0]
    result, answer, effects, checks = client.predict(
        *given, "spend_before", ONCE, 4000, api_name="/experiments_analyse"
    )
    assert result["verdicts"][0]["action"] == "ship"
    assert "new: ship" in answer
    assert result["effects"][0]["low"] < 0.9 < result["effects"][0]["high"]
    assert result["effects"][0]["variance_cut"] > 0.5 > plain["effects"][0]["variance_cut"]
    assert "beside" in effects
    assert "as planned" in checks


@pytest.mark.parametrize(
    ("content", "outcome", "method", "match"),
    [
        ("unit,arm,spend\n1,a,2\n2,b,3\n", "spent", ONCE, "spend"),
        ("unit,arm,spend\n1,a,2\n2,a,3\n", "spend", ONCE, "2 to 6 arms. Got 1"),
        ("unit,arm,spend\n1,a,2\n2,b,3\n3,a,4\n4,b,5\n", "spend", OFTEN, "planned"),
    ],
)
def test_tables_that_are_refused(
    client: Any, tmp_path: Path, content: str, outcome: str, method: str, match: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(AppError, match=match):
        client.predict(
            handle_file(str(path)), "unit", "arm", "", outcome, "mean", "", method, 0, api_name="/experiments_analyse"
        )


@pytest.mark.browser
def test_the_page(visit: Callable[..., Any], in_both: Callable[[Any], list[str]]) -> None:
    found = visit()
    page = found.open("experiments")

    def says(pattern: str) -> None:
        page.locator(".prose.says:visible", has_text=re.compile(pattern)).wait_for(timeout=120_000)

    says("days with one look")
    page.get_by_label("Rate today").fill("22")
    says("to see 22 % become 23.1 %")
    page.get_by_role("tab", name="Peek").click()
    says("wrongly call a difference")
    page.get_by_role("tab", name="Analyse").click()
    page.get_by_role("button", name="Use a made-up example").click()
    says("new: ship")
    assert in_both(found) == []
    page.get_by_label("Column of the outcome").fill("no such column")
    page.get_by_role("button", name="Analyse", exact=True).click()
    page.get_by_test_id("toast-body").filter(has_text="no such column").first.wait_for()
    says("No answer to this table")
    found.assert_well_behaved()
