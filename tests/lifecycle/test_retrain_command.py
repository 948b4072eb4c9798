"""``triptych retrain``: what it prints, what it ends with, and that a signal stops it after the step under way."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import retrain_toys as toys
from click.testing import CliRunner

from shared.cli import retrain as module
from shared.cli.main import triptych
from shared.errors import DataError, UsageError
from shared.lifecycle.history import read_runs
from shared.lifecycle.records import Records
from shared.lifecycle.registry import registry
from shared.lifecycle.tracking import tracker

for name in ("cryptography", "mlflow"):
    pytest.importorskip(name, reason="needs the extra lifecycle")

PLAN = """
task = "test.words"
name = "words"
runs = "runs"
[data]
source = "messages.csv"
[validate]
rows = 500
[gate.figures.accuracy]
floor = 0.4
[gate.slices]
support = 50
"""


@pytest.fixture
def plan(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan over the registry of a home of this test's own; its messages will do."""
    toys.words_alone(monkeypatch)
    toys.messages(tmp_path / "messages.csv", "ab")
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path / "plan.toml"


def retrain(*arguments: Any) -> tuple[int, str]:
    done = CliRunner().invoke(triptych, ["retrain", *map(str, arguments)], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.stdout


def test_a_life_from_the_command_line(plan: Path) -> None:
    assert retrain("status", plan) == (0, "no run yet\n")
    code, said = retrain("run", plan, "--dry-run")
    assert (code, "split: " in said, read_runs(plan.parent / "runs")) == (0, True, ())
    code, said = retrain("run", plan)
    assert (code, "promoted      version 1  (by hand)" in said) == (0, True)
    version = registry().find("words@champion")
    assert (version.number, version.note) == (1, "words run 1: by hand")
    (logged,) = tracker().runs(kind="retrain", limit=5)
    assert (logged.id, logged.name) == (version.run, "words run 1")
    assert logged.metrics["accuracy"][0] > 0.9
    assert [row.body["kind"] for row in Records().all()] == ["gate", "promotion"]
    code, said = retrain("status", plan)
    assert (code, [line.split(":")[0].strip() for line in said.splitlines()[1:]]) == (
        0, ["ingest", "validate", "split", "train", "evaluate", "gate", "register", "canary", "promote"],
    )  # fmt: skip
    toys.messages(plan.parent / "messages.csv", "ab", 100)
    code, said = retrain("run", plan, "--json")
    assert (code, json.loads(said)["state"]) == (1, "invalid data")
    code, said = retrain("history", plan, "--json")
    assert (code, [json.loads(line)["state"] for line in said.splitlines()]) == (0, ["promoted", "invalid data"])


def test_what_failed_is_resumed_or_abandoned(plan: Path) -> None:
    (plan.parent / "messages.csv").rename(plan.parent / "away.csv")
    with pytest.raises(DataError, match="Nothing stands at"):
        retrain("run", plan)
    with pytest.raises(UsageError, match="run 1 of words is not ended"):
        retrain("run", plan)
    code, said = retrain("history", plan)
    assert (code, "stopped       0 steps done  (by hand): ingest: the data must be" in said) == (0, True)
    assert retrain("abandon", plan)[0] == 0
    with pytest.raises(UsageError, match="no run to go on with"):
        retrain("resume", plan)
    (plan.parent / "away.csv").rename(plan.parent / "messages.csv")
    assert retrain("run", plan)[0] == 0


@pytest.mark.parametrize("command", ["run", "watch"])
def test_sigterm_ends_it_after_the_step_under_way(plan: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(step: str, moment: str) -> None:
        if (step, moment) == ("split", "begin"):
            os.kill(os.getpid(), signal.SIGTERM)

    plan.write_text(PLAN + '[trigger]\nevery = "1h"\n')
    usual = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_tell", tell)
        code, said = retrain(command, plan)
    assert signal.getsignal(signal.SIGTERM) is usual
    assert (code, "stopped" in said) == (1 if command == "run" else 0, True)
    (row,) = read_runs(plan.parent / "runs")
    assert (row.state, row.steps) == ("stopped", ("ingest", "validate", "split"))
    assert row.why == ("by hand" if command == "run" else "the first of every 1h")
    code, said = retrain("resume", plan)
    assert (code, "promoted" in said) == (0, True)


def test_an_engine_that_is_not_there_is_named(plan: Path) -> None:
    with pytest.raises(UsageError, match="no engine is called 'spark'. Known: local, ray"):
        retrain("run", plan, "--engine", "spark")
    with pytest.raises(UsageError, match="give --engine ray with it"):
        retrain("run", plan, "--address", "localhost:1")
