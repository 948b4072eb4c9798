"""The toy task of searches, installed as another distribution's would be, for this process and those that it starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.lifecycle.running import Data
from shared.tasks import Task, find_task

ROOT = Path(__file__).resolve().parents[2]


def installed_toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """``test.toy``; what it is asked to do is noted in ``log.txt``."""
    installed = tmp_path / "installed"
    (installed / "toys-1.dist-info").mkdir(parents=True)
    (installed / "toys-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1\n")
    (installed / "toys-1.dist-info" / "entry_points.txt").write_text("[triptych.tasks]\ntest.toy = toy_trainer:TASK\n")
    toys = Path(__file__).parent / "toys"
    for place in (installed, toys):
        monkeypatch.syspath_prepend(str(place))
    path = os.pathsep.join([str(installed), str(toys), str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log.txt"))
    (tmp_path / "log.txt").touch()
    return find_task("test.toy")


def hundred_rows(folder: Path) -> Data:
    """A data set of 100 lines."""
    path = folder / "data.txt"
    path.write_text("".join(f"row{n}\n" for n in range(100)))
    return Data(path)
