"""The data of a retraining: what is refused, and that a row keeps its side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.errors import DataError, UnknownNameError, UsageError
from shared.lifecycle.hashing import fingerprint
from shared.lifecycle.rows import Cut, format_of, ingest, read, split
from shared.lifecycle.validating import Validation, validate


def table(path: Path, rows: list[tuple[Any, ...]], header: tuple[str, ...] = ("text", "label")) -> Path:
    path.write_text("\n".join(",".join(map(str, row)) for row in (header, *rows)) + "\n")
    return path


GOOD = [(f"t{n}", "ab"[n % 2]) for n in range(10)]


@pytest.mark.parametrize(
    ("rows", "rules", "faults"),
    [
        (GOOD, {"rows": 10, "columns": ("text", "label"), "label": "label", "label_rows": 5}, []),
        (GOOD, {"rows": 11}, ["10 rows, and 11 at least"]),
        (GOOD, {"columns": ("text", "rating")}, ["column 'rating' is not there: text, label"]),
        ([*GOOD, ("", "a")], {"columns": ("text",)}, ["1 of 11 rows have no text, and 0.0% may"]),
        ([*GOOD, ("", "a")], {"columns": ("text",), "missing": 0.1}, []),
        ([*GOOD, *GOOD[:3]], {"duplicates": 0.2}, ["3 of 13 rows are there before, and 20.0% may be"]),
        ([*GOOD, ("x", "c")], {"label": "label", "label_rows": 2}, ["label 'c' has 1 rows, and each needs 2"]),
        ([*GOOD, ("x", "c")], {"label": "label", "labels": ("a", "b")}, ["labels c are not known"]),
        (GOOD, {"label": "label", "labels": ("a", "b", "d")}, ["labels d have no row"]),
        ([("t", 1), ("u", 7), ("v", "x")], {"ranges": {"label": [1, 5]}}, ["2 of 3 rows have a label outside"]),
        (GOOD[:1], {"columns": ("rating",), "label": "label", "label_rows": 2},
         ["1 rows, and 2", "column 'rating'", "label 'a' has 1"]),
    ],
)  # fmt: skip
def test_everything_that_is_wrong_is_said(
    tmp_path: Path, rows: list[tuple[Any, ...]], rules: dict[str, Any], faults: list[str]
) -> None:
    _, found = validate(table(tmp_path / "d.csv", rows), Validation(**rules))
    assert len(found) == len(faults)
    for said, wanted in zip(found, faults):
        assert wanted in said


def test_a_row_keeps_its_side_when_rows_come_and_go(tmp_path: Path) -> None:
    def sides(rows: list[tuple[Any, ...]], name: str) -> dict[str, str]:
        told = split(table(tmp_path / f"{name}.csv", rows), Cut(test=0.3, key=("text",)), tmp_path / name, seed=4)
        found = {}
        for side in ("train", "test"):
            for row in read(tmp_path / told[side]["file"], "csv"):
                found[row["text"]] = side
        assert told["train"]["rows"] + told["test"]["rows"] == len(rows)
        return found

    before = sides([(f"t{n}", "a") for n in range(400)], "before")
    after = sides([(f"t{n}", "b") for n in range(200, 900)], "after")
    both = set(before) & set(after)
    assert len(both) == 200
    assert all(before[text] == after[text] for text in both)
    share = sum(side == "test" for side in after.values()) / len(after)
    assert 0.25 < share < 0.35


def test_the_newest_rows_are_tested_on(tmp_path: Path) -> None:
    rows = [(f"t{n}", n * 7 % 10) for n in range(10)]
    path = table(tmp_path / "d.csv", rows, ("text", "time"))
    told = split(path, Cut(test=0.3, by="newest", time="time"), tmp_path / "cut")
    tested = [int(row["time"]) for row in read(tmp_path / told["test"]["file"], "csv")]
    assert sorted(tested) == [7, 8, 9]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "lines"])
def test_every_form_comes_out_as_it_went_in(tmp_path: Path, kind: str) -> None:
    rows = [{"text": f'a "quoted", text\t{n}', "label": "x"} for n in range(40)]
    path = tmp_path / f"d.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "lines":
        path.write_text("".join(f"x text {n}\n" for n in range(40)))
    else:
        import csv

        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ("text", "label"), delimiter="," if kind == "csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
    given = [*read(path, format_of(path))]
    told = split(path, Cut(test=0.5), tmp_path / "cut")
    found = [row for side in told.values() for row in read(tmp_path / side["file"], kind)]
    assert sorted(map(repr, found)) == sorted(map(repr, given))
    again = split(path, Cut(test=0.5), tmp_path / "again")
    assert {side: part["sha256"] for side, part in told.items()} == {s: p["sha256"] for s, p in again.items()}


def test_folders_of_classes_are_cut_by_file(tmp_path: Path) -> None:
    for name in ("ants", "bees"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            (tmp_path / "pictures" / name / f"{number}.jpg").write_bytes(f"{name} {number}".encode())
    told = ingest(tmp_path / "pictures", tmp_path / "run" / "data")
    whole = tmp_path / "run" / told["file"]
    assert told["sha256"] == fingerprint(tmp_path / "pictures")
    facts, faults = validate(whole, Validation(rows=40, label="class", labels=("ants", "bees"), label_rows=20))
    assert (facts["labels"], faults) == ({"ants": 20, "bees": 20}, [])
    sides = split(whole, Cut(test=0.4), tmp_path / "run" / "split")
    counts = {side: len([*(tmp_path / "run" / part["file"]).rglob("*.jpg")]) for side, part in sides.items()}
    assert counts["train"] + counts["test"] == 40
    assert counts == {side: part["rows"] for side, part in sides.items()}


def test_what_cannot_be_read_or_cut_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", [("a", "b"), ("a", "b", "c")])
    with pytest.raises(DataError, match="line 3 must have 2 fields. Got 3"):
        validate(path, Validation())
    good = table(tmp_path / "g.csv", GOOD)
    with pytest.raises(DataError, match="the key user must be a column. The columns are text, label"):
        split(good, Cut(key=("user",)), tmp_path / "cut")
    with pytest.raises(DataError, match="both sides must have rows"):
        split(table(tmp_path / "one.csv", GOOD[:1]), Cut(), tmp_path / "cut")
    with pytest.raises(DataError, match="Nothing stands at"):
        ingest(tmp_path / "none.csv", tmp_path / "data")
    with pytest.raises(UnknownNameError, match="Nearest: jsonl"):
        format_of(good, "json")
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\n[1]\n')
    with pytest.raises(DataError, match="line 2 must be a JSON object"):
        validate(tmp_path / "bad.jsonl", Validation())


@pytest.mark.parametrize(
    ("owner", "values", "error", "said"),
    [
        (Cut, {"test": 1.0}, UsageError, "test must be a share"),
        (Cut, {"by": "newest"}, UsageError, "must have a column 'time'"),
        (Cut, {"by": "time"}, UnknownNameError, "hash"),
        (Validation, {"missing": 2.0}, UsageError, "shares in"),
        (Validation, {"labels": ("a",)}, UsageError, "need the column 'label'"),
        (Validation, {"ranges": {"rating": [5, 1]}}, UsageError, "range of 'rating'"),
    ],
)
def test_rules_that_are_wrong(owner: Any, values: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        owner(**values)
