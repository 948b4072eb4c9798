"""Recommendations and experiments elsewhere: what the pages show is run by a shell and answers as the page does."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")
pytest.importorskip("polars", reason="tables of experiments need the extra 'experiments'")

from demo_shell import answers
from gradio_client import handle_file

from demos.experiments import elsewhere as experiments_elsewhere
from demos.experiments.page import _example
from demos.recommend import elsewhere as recommend_elsewhere
from demos.sharing import Elsewhere, python_command, to_service, to_this_application

ONCE = "One look, at the planned end"


def rounded(result: Any) -> Any:
    """The result with its numbers to six digits: float32 sums in another order differ in the last ones."""
    return json.loads(json.dumps(result), parse_float=lambda number: float(f"{float(number):.6g}"))


def test_recommendations_elsewhere(client: Any, tmp_path: Path) -> None:
    picked = ["dracula", "carmilla"]
    for model, history in (("EASE", picked), ("Nearest neighbours", picked), ("EASE", [])):
        page = client.predict(history, model, api_name="/recommend")[0]
        (python,), command = answers(recommend_elsewhere.elsewhere(history, model, 0, "", None, None), tmp_path)
        assert rounded(python) == rounded(page)
        # Before it come the figures of the fit, at the first time; somebody new is told so by another reason.
        assert rounded(command[-1]) | {"reason": page["reason"], "user": None} == rounded(page)


def test_varied_recommendations_elsewhere(client: Any, tmp_path: Path) -> None:
    picked = ["dracula", "carmilla"]
    page = client.predict(picked, "EASE", 0.6, api_name="/recommend")[0]
    wanted = recommend_elsewhere.elsewhere(picked, "EASE", 0.6, "", None, None)
    assert wanted.command == python_command(wanted.python)
    _, (command,) = answers(replace(wanted, python=""), tmp_path)
    assert rounded(command) == rounded(page)


def test_a_visitors_own_ratings_elsewhere(tmp_path: Path) -> None:
    rows = [f"u{user},m{item},5" for user in range(20) for item in range(user % 5, 12, 2)]
    (tmp_path / "my ratings.csv").write_text("userId,movieId,rating\n" + "\n".join(rows))
    wanted = recommend_elsewhere.elsewhere(["m3"], "EASE", 0.5, "word", {"orig_name": "my ratings.csv"}, None)
    assert wanted.command == python_command(wanted.python)
    (python,), _ = answers(replace(wanted, command=":"), tmp_path)
    assert len(python["items"]) == 10
    assert "m3" not in python["items"]
    assert to_this_application(wanted, "http://x/") == "# your ratings are known to your page alone"


def test_a_plan_elsewhere(client: Any, tmp_path: Path) -> None:
    given = 4.0, 5.0, 20_000, 3, 80
    page = client.predict(*given, api_name="/experiments_plan")[0]
    wanted = experiments_elsewhere.plan_elsewhere(*given)
    assert wanted is not None
    python, command = answers(wanted, tmp_path)
    assert python == list(page.values())
    assert [plan | {"days": one["days"]} for plan, one in zip(command, python)] == python


def test_peeking_elsewhere(client: Any, tmp_path: Path) -> None:
    given = 10.0, 0.0, 1_000, 14, 7
    page = client.predict(*given, api_name="/experiments_peek")[0]
    wanted = experiments_elsewhere.peek_elsewhere(*given)
    assert wanted is not None
    assert wanted.command == python_command(wanted.python)
    assert answers(replace(wanted, python=""), tmp_path) == ([], [page])


def test_an_analysis_elsewhere(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    name = "it's a shop.csv"
    shutil.copy(_example(), tmp_path / name)
    given = "unit", "arm", "old", "spend", "mean", "spend_before", ONCE, 4000
    page = client.predict(handle_file(tmp_path / name), *given, api_name="/experiments_analyse")[0]
    wanted = experiments_elsewhere.analysis_elsewhere({"orig_name": name}, *given, page)
    assert wanted is not None
    (python,), (command,) = answers(wanted, tmp_path)
    assert rounded(python) == rounded(command) == rounded(page)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_answers_as_the_pages_do(client: Any, address: str, tmp_path: Path) -> None:
    plan, peek = (10.0, 5.0, 9_000, 2, 90), (10.0, 4.0, 500, 7, 1)
    asked: list[tuple[Elsewhere | None, Any]] = [
        (experiments_elsewhere.plan_elsewhere(*plan), client.predict(*plan, api_name="/experiments_plan")[0]),
        (experiments_elsewhere.peek_elsewhere(*peek), client.predict(*peek, api_name="/experiments_peek")[0]),
        (
            recommend_elsewhere.elsewhere(["emma"], "EASE", 0.3, "", None, None),
            client.predict(["emma"], "EASE", 0.3, api_name="/recommend")[0],
        ),
    ]
    for shown, page in asked:
        assert shown is not None
        script = to_this_application(shown, address)
        ran = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        data = next(line for line in ran.stdout.splitlines() if line.startswith("data: "))
        assert json.loads(data.removeprefix("data: "))[0] == page


def test_nothing_is_shown_where_nothing_was_asked() -> None:
    assert experiments_elsewhere.plan_elsewhere(None, 5.0, 1.0, 2, 80) is None
    assert experiments_elsewhere.peek_elsewhere(10.0, 0.0, 100, 7, None) is None
    assert experiments_elsewhere.analysis_elsewhere(None, "u", "a", "", "y", "mean", "", ONCE, 0, {"units": {}}) is None


def test_the_control_of_an_analysis_is_first_whatever_a_browser_sorts() -> None:
    shown = experiments_elsewhere.analysis_elsewhere(
        {"orig_name": "t.csv"}, "u", "a", "2", "y", "mean", "", ONCE, 0, {"units": {"1": 5, "2": 5}}
    )
    assert shown is not None
    assert "'arms': {'2': 0.5, '1': 0.5}" in shown.python
    assert to_service(shown) == "# triptych serve answers items of tasks, which an experiment is not"
