"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets: ``TRIPTYCH_DATA``, or ``shared/data`` beside the checkout. Skips without it."""
    named = os.environ.get("TRIPTYCH_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data sets here: {folder} does not exist; name their folder with TRIPTYCH_DATA")
    return folder


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``TRIPTYCH_HOME`` of this test's own, with nothing in it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("TRIPTYCH_HOME", str(home))
    monkeypatch.delenv("TRIPTYCH_OFFLINE", raising=False)
    return home
