"""An empty store for each test, without the seconds in which MLflow makes its tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shared.lifecycle.mlflow_client import client
from shared.lifecycle.places import Place


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store that nothing was written to; nobody opens it."""
    pytest.importorskip("mlflow", reason="needs the extra lifecycle")
    folder = tmp_path_factory.mktemp("empty")
    client(Place(folder / "made"))
    return Path(shutil.copy(folder / "made" / "mlflow.db", folder / "mlflow.db"))


@pytest.fixture
def store(empty_store: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty store, in a ``TRIPTYCH_HOME`` of this test's own."""
    monkeypatch.delenv("TRIPTYCH_TRACKING")
    folder = empty_home / "lifecycle"
    (folder / "runs").mkdir(parents=True)
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder
