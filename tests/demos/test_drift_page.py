"""The page of drift: its worlds, a visitor's own files, its endpoints, and the page in a browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from demo_shell import answers
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from demos.drift.elsewhere import files_elsewhere, pictures_elsewhere, readers_elsewhere, texts_elsewhere
from demos.drift.files import MOST_VALUES, read_both
from demos.drift.page import _example
from demos.drift.shown import line, table_of
from demos.drift.worlds import alike, checked
from demos.sharing import python_command
from shared.errors import DataError
from shared.monitoring.columns import Columns

GERMAN = "German"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def no_pictures() -> Any:
    raise AssertionError("there are no pictures")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (before,), (after,) = _example()
    return Path(before), Path(after)


def test_a_table_is_read_by_its_columns(tmp_path: Path) -> None:
    texts = [f"the {word} of number {n} was found in the cellar" for n, word in enumerate(["cat", "dog"] * 40)]
    rows = [f"{1000 + n},{n % 7},{'ab'[n % 2]},{text},k{n}" for n, text in enumerate(texts)]
    head = "user,count,kind,told,key,"
    one = written(tmp_path, "one.csv", f"{head}only\n" + "\n".join(f"{row},1" for row in rows))
    other = written(tmp_path, "other.csv", f"{head[:-1]}\n" + "\n".join(rows[:60]).replace("1003,3,", "1003,,"))
    reference, window, note = read_both([one], [other], no_pictures)
    assert (reference.n, window.n) == (80, 60)
    assert reference.categories == {"kind": {"a": 40, "b": 40}}
    assert {"count", "told: words", "told: digits"} <= set(reference.numbers)
    assert np.isnan(window.numbers["count"]).sum() == 1
    assert reference.embeddings is not None
    assert reference.embeddings.shape == (80, 64)
    assert note == "Left out, as ids or as columns of one side alone: key, only, user"


def test_texts_in_files(tmp_path: Path) -> None:
    sides = [
        [written(tmp_path, f"{side}{n}.txt", f"{word} number {n} is here") for n in range(60)]
        for side, word in (("a", "film"), ("b", "FILM!!!"))
    ]
    reference, window, _ = read_both(*sides, no_pictures)
    found = checked(reference, window, rate=0.01, seed=0)
    assert "capitals" in found.drift.drifted


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ((["a.csv"], ["b.txt"]), "tables and texts"),
        ((["a.csv", "b.txt"], ["a.csv", "b.txt"]), "tables, texts and tables, texts"),
        ((["a.csv", "a.csv"], ["a.csv"]), "one table"),
        ((["a.csv"], ["empty.csv"]), r"empty\.csv must have a head"),
        ((["a.csv"], ["ragged.csv"]), r"row 3 of ragged\.csv must have 2 values"),
        ((["a.csv"], ["c.csv"]), "a column in common that is no id"),
        ((["a.csv"], ["raw.csv"]), "in UTF-8"),
        ((["b.txt"] * 201, ["b.txt"]), "at most 200 texts. Got 201"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, files: tuple[list[str], list[str]], match: str) -> None:
    texts = {"a.csv": "x,y\n1,2\n3,4\n", "b.txt": "text", "empty.csv": "x,y\n", "ragged.csv": "x,y\n1,2\n3\n"}
    for name, text in (texts | {"c.csv": "z\n1\n"}).items():
        written(tmp_path, name, text)
    (tmp_path / "raw.csv").write_bytes(b"x\n\xff\xfe\n")
    with pytest.raises(DataError, match=match):
        read_both([tmp_path / name for name in files[0]], [tmp_path / name for name in files[1]], no_pictures)


def test_many_values_that_are_short_are_ids(tmp_path: Path) -> None:
    rows = "\n".join(f"k{n},{n / 7}" for n in range(MOST_VALUES + 1))
    path = written(tmp_path, "a.csv", f"key,value\n{rows}")
    assert read_both([path], [path], no_pictures)[0].names == ("value",)


def test_columns_that_one_side_has_not_are_left_out() -> None:
    one = Columns(2, {"a": np.zeros(2), "b": np.full(2, np.nan)}, {"c": {"x": 2}, "d": {"x": 1}})
    other = Columns(2, {"a": np.ones(2), "b": np.zeros(2)}, {"c": {"y": 2}}, np.zeros((2, 3), np.float32))
    assert [side.names for side in alike(one, other)] == [("a", "c")] * 2
    assert alike(one, other)[1].embeddings is None


def test_a_line_says_what_drifted_and_names_are_no_markup() -> None:
    rng = np.random.default_rng(0)
    names = ["<script>", "b", "c", "d"]
    before = Columns(500, {name: rng.normal(0, 1, 500) for name in names}, {"kind": {"x": 250, "y": 250}})
    after = Columns(200, {name: rng.normal(3, 1, 200) for name in names}, {"kind": {"x": 20, "y": 180}})
    found = checked(before, after, rate=0.01, seed=0)
    assert "**Alarm: &lt;script>, b, c and 2 more drifted.** 200 items held against 500" in line(found)
    assert "at most 1.00% alarm" in line(found)
    shown = table_of(found)
    assert "<script>" not in shown
    assert "x: 50%, then 10%" in shown
    assert line(checked(before, before, rate=0.01, seed=0)).startswith("**No alarm.**")


def test_the_made_up_shop_drifts_by_itself(client: Any, shop: tuple[Path, Path]) -> None:
    before, after = ([handle_file(path)] for path in shop)
    told, said, shown = client.predict(before, after, 1, api_name="/drift_files")
    assert told["alarm"]
    assert set(told["drifted"]) == {"basket", "device"}
    assert said.startswith("**Alarm: basket, device drifted.** 300 items held against 1000")
    assert re.search(r"(phone|desk): \d+%, then \d+%", shown)
    assert not client.predict(before, before, 1, api_name="/drift_files")[0]["alarm"]


def test_what_cannot_be_asked_is_refused(client: Any, shop: tuple[Path, Path]) -> None:
    for given, endpoint, match in (
        ((0, 200, 0, 1), "/drift_readers", "less than minimum value 0.1"),
        ((101, 200, 1, 1), "/drift_readers", "greater than maximum value 100"),
        ((0, 200, 1, None), "/drift_readers", "the seed must be a number"),
        (([], [handle_file(shop[0])], 1), "/drift_files", "upload a reference and a window"),
        ((100, 9, 0, 100, 1, 1), "/drift_pictures", "greater than maximum value 4"),
    ):
        with pytest.raises(AppError, match=match):
            client.predict(*given, api_name=endpoint)


def test_readers(client: Any, tmp_path: Path) -> None:
    same, new = (client.predict(share, 200, 1, 1, api_name="/drift_readers")[0] for share in (0, 40))
    assert not same["alarm"]
    assert "seen_rank" in new["drifted"]
    wanted = readers_elsewhere(40, 200, 1, 1)
    assert wanted is not None
    assert answers(replace(wanted, python=""), tmp_path) == ([], [new])


def test_own_files_elsewhere(client: Any, shop: tuple[Path, Path], tmp_path: Path) -> None:
    told = client.predict(*([handle_file(path)] for path in shop), 5, api_name="/drift_files")[0]
    for path in shop:
        shutil.copy(path, tmp_path / f"it's {path.name}")
    wanted = files_elsewhere(*([{"orig_name": f"it's {path.name}"}] for path in shop), 5)
    assert wanted is not None
    assert wanted.command == python_command(wanted.python)
    assert answers(replace(wanted, python=""), tmp_path) == ([], [told])
    assert files_elsewhere(None, [], 5) is None


@pytest.mark.weights
def test_texts(client: Any) -> None:
    same, german = (client.predict("German", share, 200, 1, 1, api_name="/drift_texts")[0] for share in (0, 40))
    assert not same["alarm"]
    assert "language" in german["drifted"]
    for told in (same, german):
        found = told["estimated_accuracy"]
        assert found["low"] <= told["true_accuracy"] <= found["high"]
    assert german["estimated_accuracy"]["value"] < same["estimated_accuracy"]["value"]


@pytest.mark.weights
def test_pictures(client: Any) -> None:
    same = client.predict(100, 0, 0, 50, 1, 1, api_name="/drift_pictures")[0]
    dark = client.predict(60, 0, 0, 50, 1, 1, api_name="/drift_pictures")[0]
    assert not same["alarm"]
    assert "brightness" in dark["drifted"]


def test_programs_of_the_worlds_are_whole() -> None:
    for wanted in (texts_elsewhere(GERMAN, 33, 200, 1, 1), pictures_elsewhere(70, 1.5, 0, 100, 1, 1)):
        assert wanted is not None
        compile(wanted.python, "shown", "exec")
        assert "rate=0.01, seed=1" in wanted.python
    assert texts_elsewhere(GERMAN, 33, 200, 1, None) is None


@pytest.mark.browser
def test_the_page(
    visit: Callable[..., Any], look: Callable[[Any, str], None], in_both: Callable[[Any], list[str]], tmp_path: Path
) -> None:
    found = visit()
    page = found.open("drift")

    def says(pattern: str) -> None:
        page.locator(".prose.says:visible", has_text=re.compile(pattern)).wait_for(timeout=120_000)

    page.get_by_role("tab", name="Readers").click()
    says("Move a slider")
    page.get_by_role("button", name="A quarter are newcomers").click()
    says("Alarm: seen_rank drifted")
    table = page.get_by_role("table", name=re.compile("What each test"))
    table.get_by_role("row", name=re.compile("seen_rank")).first.wait_for()
    number = page.get_by_role("spinbutton", name=re.compile("Newcomers"))
    number.fill("0")
    number.press("Enter")
    says("No alarm")
    look(page, "drift")
    page.get_by_role("tab", name="Your own").click()
    page.get_by_role("button", name="Use a made-up example").click()
    says("Alarm: basket, device drifted")
    page.get_by_role("button", name="Use it elsewhere").click()
    page.wait_for_function(
        "[...document.querySelectorAll('.listing textarea')].some(t => t.value.includes('read_both'))"
    )
    found.assert_well_behaved()
    assert in_both(found) == []
