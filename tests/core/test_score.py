"""``triptych score``: tables of every format and batch jobs, joins, slices, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from shared.batch.job import run as run_job
from shared.cli import score_table
from shared.cli.main import main, triptych
from shared.errors import DataError, InputError, TriptychError
from shared.evaluation import streaming_curves
from shared.evaluation.metrics import measure
from shared.predictor import Pipeline
from shared.tasks import Task
from shared.testing import fake_card
from shared.types import Result


@dataclass(frozen=True, eq=False)
class LoudGuess(Result):
    """What the task of these tests answers."""

    text: str


def _word(item: Any) -> str:
    if item == "bad":
        raise InputError("empty", "a text must not be bad")
    return str(item)


def _open(model: str | None, *, device: str, threads: int | None) -> Any:
    def run(batch: Sequence[str]) -> list[str]:
        return [f"{text.upper()}!" for text in batch]

    return Pipeline(fake_card(name="guesses"), _word, run, lambda raw, mid: LoudGuess(raw), batch_size=4)


GUESSES = Task("test.guesses", "texts in capitals", "text", _open)

TRUTH, GUESS = ["a", "a", "b", "b", "c"], ["a", "b", "b", "b", "a"]
PLACE = ["x", "y", "x", "y", "y"]


def score(*args: Any) -> Ran:
    few = ["--resamples", "40"]
    return CliRunner().invoke(triptych, ["score", *map(str, args), *few], standalone_mode=False)


def scored(*args: Any) -> dict[str, Any]:
    result = score(*args, "--json")
    assert result.exception is None, result.exception
    found: dict[str, Any] = json.loads(result.output)
    return found


def refused(*args: Any) -> None:
    """Raise what the command raises."""
    error = score(*args).exception
    assert error is not None, "nothing was refused"
    raise error


def write(path: Path, columns: dict[str, Sequence[Any]]) -> Path:
    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path, row_group_size=2)
    elif path.suffix in {".csv", ".tsv"}:
        separator = "," if path.suffix == ".csv" else "\t"
        lines = [columns.keys(), *zip(*columns.values())]
        text = "".join(separator.join("" if v is None else str(v) for v in line) + "\n" for line in lines)
        path.write_text(text, encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl", ".ndjson"])
@pytest.mark.parametrize("rows", [2, 65_536])
def test_every_format_gives_the_figures_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, rows: int
) -> None:
    monkeypatch.setattr(score_table, "ROWS", rows)
    columns = {"truth": TRUTH, "guess": GUESS, "x": [1.0, 2, 3, 4, 5], "y": [1.5, 2, 2.5, 4, 7], "where": PLACE}
    path = write(tmp_path / f"t{suffix}", columns)
    found = scored(path, "--truth", "truth", "--prediction", "guess", "-m", "accuracy", "-m", "kappa", "--by", "where")
    assert (found["n"], found["failed"], found["left_out"]) == (5, 0, 0)
    for name in ("accuracy", "kappa"):
        assert found["metrics"][name]["value"] == pytest.approx(measure(name, TRUTH, GUESS))
        assert found["metrics"][name]["low"] <= found["metrics"][name]["value"] <= found["metrics"][name]["high"]
    assert [(s, part["n"]) for s, part in found["by"]["where"].items()] == [("x", 2), ("y", 3)]
    assert found["by"]["where"]["y"]["metrics"]["accuracy"]["value"] == pytest.approx(1 / 3)
    numbers = scored(path, "--truth", "x", "--prediction", "y", "-m", "rmse", "-m", "r2", "--group", "where")
    assert numbers["metrics"]["rmse"]["value"] == pytest.approx(measure("rmse", columns["x"], columns["y"]))


def test_what_was_read_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": np.random.default_rng(0).random(400_000)}), path, row_group_size=20_000)
    monkeypatch.setattr(score_table, "ROWS", 20_000)
    held = [pa.total_allocated_bytes() for _ in score_table.open_table(path).chunks(["x"])]
    assert len(held) == 20
    assert max(held) - min(held) < 1_000_000  # of 3,200,000 bytes


@pytest.mark.parametrize(
    ("metric", "columns", "options", "wanted"),
    [
        ("top_k", {"truth": ["a", "b"], "prediction": [["b", "a"], ["a", "c"]]}, ["--k", 2], 0.5),
        ("roc_auc", {"truth": [True, False, True], "scores": [0.9, 0.5, 0.4]}, [], 0.5),
        ("roc_auc", {"truth": ["y", "n", "y"], "scores": [0.9, 0.5, 0.4]}, ["--positive", "y"], 0.5),
        ("auc", {"truth": [1, 0], "scores": [0.9, 0.5]}, [], 1.0),
        ("no_answer_auc", {"truth": [1, 0], "scores": [0.9, 0.5]}, [], 1.0),
        ("ece", {"truth": ["a"] * 4, "prediction": ["a", "a", "b", "b"], "scores": [0.7] * 4}, ["--bins", 5], 0.2),
        ("brier", {"truth": [0], "prediction": [[0.5, 0.5]]}, [], 0.5),
        ("pinball", {"truth": [10, 10], "prediction": [8, 11]}, ["--quantile", 0.9], 0.95),
        ("span_f1", {"truth": [[[0, 2, "P"]]], "prediction": [[{"start": 0, "end": 1, "label": "P"}]]}, [], 0.0),
        ("span_f1", {"truth": [[[0, 2, "P"]]], "prediction": [[[0, 1, "P"]]]}, ["--match", "partial"], 0.5),
        ("chrf", {"truth": ["a cat"], "prediction": ["a cat"]}, [], 100.0),
        ("token_f1", {"truth": [["Rhine", "Po"], "Po"], "prediction": ["the Rhine", "x"]}, [], 0.5),
        ("recall@k", {"truth": [["x"], ["y"]], "prediction": [["x", "z"], ["z", "y"]]}, ["--k", 1], 0.5),
        ("accuracy", {"truth": [1, 2, True], "prediction": ["1", "3", "true"]}, [], 2 / 3),
    ],
)
def test_every_kind_of_column(
    tmp_path: Path, metric: str, columns: dict[str, list[Any]], options: list[Any], wanted: float
) -> None:
    path = write(tmp_path / "t.jsonl", columns)
    named = [arg for part in columns for arg in (f"--{part}", part)]
    assert scored(path, *named, "-m", metric, *options)["metrics"][metric]["value"] == pytest.approx(wanted)


def test_rows_without_a_prediction_are_wrong_or_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"t": ["a", "b", "1"], "p": ["a", None, "1"]})
    assert score(path, "--truth", "t", "--prediction", "p", "-m", "accuracy").return_value == 1
    found = scored(path, "--truth", "t", "--prediction", "p", "-m", "accuracy")
    assert (found["failed"], found["metrics"]["accuracy"]["value"]) == (1, pytest.approx(2 / 3))
    numbers = write(tmp_path / "n.parquet", {"t": [1.0, 2.0, 3.0], "p": [2.0, None, float("nan")]})
    found = scored(numbers, "--truth", "t", "--prediction", "p", "-m", "mae")
    assert (found["failed"], found["metrics"]["mae"]["value"]) == (2, 1.0)


def test_a_truth_that_is_missing_is_refused_or_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"t": ["a", None, "b"], "p": ["a", "a", "b"]})
    found = scored(path, "--truth", "t", "--prediction", "p", "-m", "accuracy", "--skip-missing")
    assert (found["n"], found["left_out"], found["metrics"]["accuracy"]["value"]) == (2, 1, 1.0)


@pytest.mark.parametrize("sink", ["parquet", "jsonl"])
def test_a_batch_job_with_labels_of_their_own(tmp_path: Path, sink: str) -> None:
    items = write(tmp_path / "in.csv", {"text": ["cat", "dog", "bad", "cat"], "key": ["1", "2", "3", "4"]})
    out = tmp_path / "out"
    run_job(GUESSES, items, out, sink=sink, column="text", id_column="key", shard_size=3, progress=False)
    labels = write(tmp_path / "truth.csv", {"key": ["4", "3", "2", "1"], "label": ["DOG!", "CAT!", "DOG!", "CAT!"]})
    joined = ["--labels", labels, "--truth", "label", "--labels-id", "key"]
    found = scored(out, "--prediction", "result.text", *joined, "-m", "accuracy")
    assert (found["n"], found["failed"]) == (4, 1)
    assert found["metrics"]["accuracy"]["value"] == 0.5
    (out / "_job" / "shards" / "00001.json").unlink()
    with pytest.raises(DataError, match="must be finished. 1 of its 2 shards are done"):
        refused(out, "--prediction", "result.text", *joined, "-m", "accuracy")


def test_the_text_holds_figures_slices_and_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        tmp_path / "t.parquet", {"t": [True, False] * 40, "s": np.linspace(1, 2, 80), "w": ["x"] * 79 + [None]}
    )
    text = score(path, "--truth", "t", "--scores", "s", "-m", "roc_auc", "--by", "w").output
    assert "roc_auc  0.4875" in text
    assert "(none)  1     roc_auc  -       the rows give no such figure" in text
    assert "for sure" not in text
    monkeypatch.setattr(streaming_curves.ScoreCounts.__init__, "__kwdefaults__", {"distinct": 30})
    found = scored(path, "--truth", "t", "--scores", "s", "-m", "roc_auc")["metrics"]["roc_auc"]
    assert found["bounds"][0] < 0.4875 < found["bounds"][1]
    assert "; for sure 0.4" in score(path, "--truth", "t", "--scores", "s", "-m", "roc_auc").output


BASE = {"t": ["a", "b"], "p": ["a", "b"], "x": [1.0, float("inf")], "w": ["u", "v"], "l": [[1], [2]]}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--truth", "nope", "--prediction", "p", "-m", "accuracy"], "must have the column 'nope'. It has t, p, x"),
        (["--truth", "t", "-m", "accuracy"], "need a column for prediction: name it by --prediction"),
        (["--truth", "t", "--prediction", "p", "-m", "roc_auc"], "need a column for scores"),
        (["--truth", "t", "--prediction", "p", "-m", "acuracy"], "no figure that streams is called 'acuracy'"),
        (["--truth", "t", "--prediction", "p", "-m", "map"], "map must have all items at once"),
        (["--truth", "t", "--prediction", "p", "-m", "graded_ndcg@k"], "Got figures of graded rankings: call"),
        (["--truth", "t", "--prediction", "p", "-m", "accuracy", "--k", "3"], "--k must belong to one of the figures"),
        (["--truth", "t", "--prediction", "p", "-m", "rmse"], "row 0 of .* must hold a number. Got 'a'"),
        (["--truth", "x", "--prediction", "x", "-m", "rmse"], "row 1 of .* must hold a finite number"),
        (["--truth", "l", "--prediction", "p", "-m", "accuracy"], r"row 0 of .* must hold a label.*Got \[1\]"),
        (["--truth", "t", "--prediction", "p", "-m", "recall@k"], "must hold a list. Got 'a'"),
        (["--truth", "l", "--prediction", "l", "-m", "span_f1"], "must hold spans, each"),
        (["--truth", "l", "--prediction", "l", "-m", "bleu"], r"must hold text. Got \[1\]"),
        (["--truth", "t", "--scores", "x", "-m", "roc_auc"], "true or false, 1 or 0. Got 'a': .*--positive"),
        (["--truth", "t", "--prediction", "p.0.q", "-m", "accuracy"], "All 2 rows have none: is the path right"),
        (["--truth", "t.q", "--prediction", "p", "-m", "accuracy"], "row 0 of .* must have a truth. .*--skip-missing"),
        (
            ["--truth", "t", "--prediction", "p", "-m", "accuracy", "--by", "w", "--most-slices", "1"],
            "at most 1 values to slice by",
        ),
    ],
)
def test_what_is_wrong_is_one_clear_line(tmp_path: Path, args: list[str], message: str) -> None:
    path = write(tmp_path / "t.jsonl", BASE)
    with pytest.raises(TriptychError, match=message):
        refused(path, *args)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "t,p\n", "at least 1 row. It has none"),
        ("t.csv", "", "must be UTF-8 text: a header"),
        ("t.csv", "t,p\na,b\na,b,c\n", "rows with as many cells.*Expected 2 columns, got 3"),
        ("t.jsonl", '{"t": 1, "p": 1}\nnope\n', "line 2 of .* must be one JSON object in UTF-8"),
        ("t.jsonl", "[1]\n", "line 1 of .* must be one JSON object. Got a list"),
        ("t.parquet", "nope", "must be a Parquet file"),
        ("t.xyz", "", "must be a file that ends in .parquet, .csv.*It is a file of another kind"),
    ],
)
def test_tables_that_cannot_be_read_say_so(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        refused(tmp_path / name, "--truth", "t", "--prediction", "p", "-m", "accuracy")


def test_labels_must_have_ids_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"id": ["1"], "p": ["a"]})
    twice = write(tmp_path / "l.csv", {"id": ["1", "1"], "t": ["a", "b"]})
    with pytest.raises(DataError, match="row 1 of .*l.csv must have an id of its own in 'id'. Got '1' a second time"):
        refused(path, "--truth", "t", "--prediction", "p", "--labels", twice, "-m", "accuracy")


def test_a_folder_without_a_job(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be the folder of a batch job. It holds none"):
        refused(tmp_path, "--truth", "t", "--prediction", "p", "-m", "accuracy")


def test_the_exit_code_of_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["triptych", "score", "t.csv", "--truth", "t", "-m", "median_absolute"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "a median needs all differences. Take mae" in capsys.readouterr().err
