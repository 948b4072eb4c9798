"""A search is one run of the tracker, with all its trials; killed or enlarged, it goes on with that run."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from search_toys import hundred_rows, installed_toy

from shared.cli.main import triptych
from shared.errors import DataError
from shared.lifecycle.running import Data
from shared.lifecycle.runs import RunRecord
from shared.lifecycle.search import search
from shared.lifecycle.search_log import TRIALS
from shared.lifecycle.space import Wanted, check_space
from shared.lifecycle.tracking import tracker
from shared.tasks import Task

pytest.importorskip("optuna")


@pytest.fixture
def toy(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    return installed_toy(tmp_path, monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return hundred_rows(tmp_path)


def wanted(toy: Task) -> Wanted:
    space = {"x": [0.0, 3.0, 8.0], "kind": ["plain", "refused"], "epochs": {"low": 1, "high": 2}}
    return check_space({"metric": "good", "space": space, "fixed": {"seconds": 0}}, toy)


def rows(store: Path, run: str) -> list[dict[str, str]]:
    with (store / "runs" / run / "artifacts" / TRIALS).open(newline="") as file:
        return list(csv.DictReader(file))


def only_run() -> RunRecord:
    (found,) = tracker().runs()
    return found


def test_a_search_is_one_run_with_every_trial(toy: Task, data: Data, store: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    found = search(toy, data, tmp_path / "out", wanted(toy), trials=5, say=heard.append, url=None, run_name="mine")
    run = only_run()
    assert (run.kind, run.name, run.task, run.model, run.status) == ("search", "mine", "test.toy", "out", "finished")
    assert heard[-1] == f"logged as run {run.id[:8]}; triptych runs show {run.id[:8]}"
    told = {"metric": "good", "direction": "maximize", "space.x": "0.0, 3.0, 8.0", "space.kind": "plain, refused"}
    told |= {"space.epochs": "1 to 2, whole", "fixed.seconds": "0.0", "seed": "0", "prune": "auto"}
    assert told.items() <= run.params.items()
    assert run.params["validation"] == "0.2 of the data"
    figures = {"validation good": found.validation, "test good": found.test, "nested good": found.nested}
    for name, figure in figures.items():
        assert run.metrics[name] == pytest.approx((figure.value, figure.low, figure.high))
    assert run.metrics["optimism"][0] == pytest.approx(found.optimism)
    assert set(run.metrics) == {*figures, "optimism"}
    assert (run.tags["best"], run.tags["best.x"]) == (f"trial {found.best.number}", str(found.best.options["x"]))
    assert run.tags["trials"] == "{complete} complete, {pruned} pruned, {fail} failed".format(**found.counts)
    table = rows(store, run.id)
    assert [row["state"] for row in table] == [one.state for one in found.trials]
    assert [row["option.x"] for row in table] == [str(one.options["x"]) for one in found.trials]
    best = table[found.best.number]
    assert float(best["good"]) == found.best.value
    assert float(best["low"]) < float(best["good"]) < float(best["high"])
    failed = [row for row in table if row["state"] == "fail"]
    assert {row["refused"] for row in failed} == {"DataError: this kind is refused"}
    assert (store / "runs" / run.id / "artifacts" / "report.json").is_file()


def test_more_trials_go_on_with_the_same_run(
    toy: Task, data: Data, store: Path, empty_store: Path, tmp_path: Path
) -> None:
    search(toy, data, tmp_path / "out", wanted(toy), trials=2, url=None)
    first = only_run()
    longer = search(toy, data, tmp_path / "out", wanted(toy), trials=6, url=None, run_name="another")
    run = only_run()
    assert (run.id, run.name, run.params) == (first.id, first.name, first.params)
    assert len(rows(store, run.id)) == 6
    assert run.metrics["nested good"][0] == pytest.approx(longer.nested.value)
    assert run.ended is not None
    assert first.ended is not None
    assert run.ended > first.ended

    search(toy, data, tmp_path / "out", wanted(toy), trials=6)
    assert only_run() == run, "where it is not to be logged, nothing is"
    (tmp_path / "elsewhere" / "runs").mkdir(parents=True)
    shutil.copy(empty_store, tmp_path / "elsewhere" / "mlflow.db")
    search(toy, data, tmp_path / "out", wanted(toy), trials=6, url=tmp_path / "elsewhere")
    (moved,) = tracker(tmp_path / "elsewhere").runs()
    assert moved.id != run.id, "a tracker that does not know the run begins its own"
    assert len(rows(tmp_path / "elsewhere", moved.id)) == 6


def test_what_was_stopped_shows_how_far_it_came(toy: Task, data: Data, store: Path, tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("trial 3"):
            raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt):
        search(toy, data, tmp_path / "out", wanted(toy), trials=4, say=interrupt, url=None)
    stopped = only_run()
    assert stopped.status == "killed"
    assert set(stopped.metrics) == {"validation good"}
    assert len(rows(store, stopped.id)) >= 3
    search(toy, data, tmp_path / "out", wanted(toy), trials=4, url=None)
    run = only_run()
    assert (run.id, run.status, len(rows(store, run.id))) == (stopped.id, "finished", 4)


def test_a_search_without_a_figure_is_a_failed_run(toy: Task, data: Data, store: Path, tmp_path: Path) -> None:
    chosen = check_space({"metric": "good", "space": {"kind": ["refused"]}}, toy)
    with pytest.raises(DataError, match="no trial of test.toy came to a figure"):
        search(toy, data, tmp_path / "out", chosen, trials=2, url=None)
    run = only_run()
    assert (run.status, dict(run.metrics)) == ("failed", {})
    assert [row["state"] for row in rows(store, run.id)] == ["fail", "fail"]


def test_a_tracker_that_fails_costs_no_search(toy: Task, data: Data, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    found = search(toy, data, tmp_path / "out", wanted(toy), trials=1, url=tmp_path / "file" / "within")
    assert found.counts["complete"] == 1


def test_the_command_logs_and_lists_it(toy: Task, data: Data, store: Path, tmp_path: Path) -> None:
    space = tmp_path / "space.toml"
    space.write_text('metric = "good"\n[space]\nx = [3.0]\n')
    words = ["search", "test.toy", str(data.dataset), str(tmp_path / "out"), "--space", str(space), "--trials", "1"]
    assert CliRunner().invoke(triptych, [*words, "--no-track"]).exit_code == 0
    assert tracker().runs() == []
    assert CliRunner().invoke(triptych, [*words, "--run-name", "mine"]).exit_code == 0
    run = only_run()
    listed = CliRunner().invoke(triptych, ["runs", "list", "--kind", "search"]).output.splitlines()
    assert listed[1].split()[:4] == [run.id[:8], "search", "test.toy", "out"]
    assert "nested good 9.6000 [" in listed[1]
    shown = CliRunner().invoke(triptych, ["runs", "show", run.id[:8]]).output
    assert "space.x" in shown
    assert "best.x" in shown
