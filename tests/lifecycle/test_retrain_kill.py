"""SIGKILL at every moment of a retraining: the run that goes on comes to the same end, with the same digests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import retrain_toys as toys
from lifecycle_toys import started

from shared.lifecycle.history import read_runs
from shared.lifecycle.pipeline import resume, run
from shared.lifecycle.steps import STEPS

for module in ("cryptography", "mlflow"):
    pytest.importorskip(module, reason="needs the extra lifecycle")

FEW = [("train", "worked"), ("gate", "worked"), ("register", "inside"), ("canary", "inside"), ("promote", "inside")]
"""Where something has happened outside the run's folder that no outcome tells of."""
ALL = [("ingest", "begin"), *((step.name, moment) for step in STEPS for moment in ("worked", "done"))]
ALL += [("gate", "inside"), ("end", "done")]
ALL = [at for at in ALL if at not in FEW]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> dict[str, object]:
    """What a run in one go comes to."""
    with pytest.MonkeyPatch.context() as patch:
        toys.words_alone(patch)
        room = toys.prepared(tmp_path_factory.mktemp("straight") / "room", empty_store)
        assert room.run().state == "promoted"
        return room.digests()


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch) -> None:
    toys.words_alone(monkeypatch)


def killed_at(room: toys.Room, step: str, moment: str) -> None:
    """A run in a process of its own, which ends itself there as a machine that fails would."""

    def tell(at: str, when: str) -> None:
        if (at, when) == (step, moment):
            os.kill(os.getpid(), signal.SIGKILL)

    process = started(lambda: run(toys.plan(room.base), room.places(tell=tell)))
    process.join(300)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(("step", "moment"), [*FEW, *(pytest.param(*at, marks=pytest.mark.slow) for at in ALL)])
def test_a_kill_changes_nothing_of_the_end(
    tmp_path: Path, empty_store: Path, straight: dict[str, object], step: str, moment: str
) -> None:
    room = toys.prepared(tmp_path / "room", empty_store)
    killed_at(room, step, moment)
    (row,) = read_runs(room.base / "runs")
    assert row.ended == (step == "end")
    if not row.ended:
        assert row.state == "stopped"
        assert resume(toys.plan(room.base), room.places()).state == "promoted"
    assert room.digests() == straight
