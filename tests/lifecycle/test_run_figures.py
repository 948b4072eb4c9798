"""What of a training's report is a figure of its run, what a parameter, and where its times and counts go."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from shared.cli.main import triptych
from shared.cli.tracking import log_report
from shared.lifecycle.runs import RunRecord
from shared.lifecycle.tracking import tracked, tracker


def command(*words: object) -> int:
    return int(triptych.main([str(word) for word in words], standalone_mode=False) or 0)


def logged(report: dict[str, Any], given: dict[str, Any]) -> RunRecord:
    told = {name: value for name, value in given.items() if value is not None}
    with tracked("train", task="test.toy", params=told) as run:
        log_report(run, report, given=given, options=["c", "epochs", "encoder"])
    return tracker().find(run.id)


def test_only_figures_are_figures(store: Path) -> None:
    report = {
        "model": "mine",
        "encoder": "small",
        "texts": 40,
        "c": 10.0,
        "epochs": 2,
        "recipe": {"c": 10.0, "folds": 5, "warmup": None},
        "options": {"factors": 64},
        "skipped": [{"row": 3}],
        "figures": {"f1": {"value": 0.5, "low": 0.25, "high": 0.75}, "auc": 0.875},
        "fit_seconds": 1.5,
        "seconds": 2.5,
    }
    run = logged(report, {"c": None, "epochs": 3, "encoder": None})
    assert run.metrics == {"f1": (0.5, 0.25, 0.75), "auc": (0.875, None, None)}
    assert run.params == {"c": "10.0", "epochs": "3", "encoder": "small", "factors": "64", "folds": "5"}
    counted = {name: value for name, value in run.tags.items() if name.startswith("training.")}
    assert counted == {"training.texts": "40", "training.fit_seconds": "1.5", "training.seconds": "2.5"}
    assert json.loads((store / "runs" / run.id / "artifacts" / "training.json").read_text()) == report


def test_the_figure_of_the_kept_model_stands_over_that_of_the_last_epoch(store: Path) -> None:
    history = [{"epoch": n, "loss": 1 / n, "f1": n / 4, "seconds": 9.0} for n in (1, 2, 3)]
    report = {"figures": {"f1": {"value": 0.5, "low": 0.25, "high": 0.625}}, "history": history}
    run = logged(report, {})
    assert run.metrics == {"f1": (0.5, 0.25, 0.625), "loss": (pytest.approx(1 / 3), None, None)}


@pytest.mark.parametrize("words", [("--method", "tfidf"), ("--method", "tfidf", "--c", "2")])
def test_a_training_is_listed_by_its_figures(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    reviews = tmp_path / "reviews.csv"
    rows = [("a delight from start to end", "positive"), ("dull and far too long", "negative")] * 8
    with reviews.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    command("train", "nlp.classification", reviews, tmp_path / "out", *words)
    report = json.loads(capsys.readouterr().out)
    (run,) = tracker().runs()
    assert run.metrics == {"cross_validated_accuracy": (1.0, None, None)}
    assert (run.params["c"], run.params["folds"]) == (str(report["c"]), str(report["folds"]))
    assert run.tags["training.seconds"] == str(report["seconds"])
    command("runs", "list")
    header, line = capsys.readouterr().out.splitlines()
    assert line[header.index("FIGURES") :] == "cross_validated_accuracy 1"
    assert line[header.index("TOOK") :].split()[1] == "s"

    command("evaluate", "nlp.classification", reviews, "--model", tmp_path / "out", "--json")
    evaluated = json.loads(capsys.readouterr().out)
    run = tracker().runs(kind="evaluate")[0]
    assert set(run.metrics) == set(evaluated["metrics"])
    assert (run.tags["n"], run.tags["failed"]) == ("16", "0")


def test_a_parameter_that_was_given_stays(store: Path) -> None:
    with tracked("train", task="test.toy", params={"c": 1}) as run:
        run.params({"folds": 5})
        run.tags({"step": 1})
        run.tags({"step": 2})
    record = tracker().find(run.id)
    assert record.params == {"c": "1", "folds": "5"}
    assert record.tags["step"] == "2"
    assert record.seconds is not None
    assert record.to_json()["seconds"] == record.seconds
