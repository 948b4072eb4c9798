"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# A machine at work on other things is no fault of an example.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def _no_runs() -> Iterator[None]:
    """What the tests train and evaluate is logged nowhere, unless a test says where."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_TRACKING", "off")
        yield


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL: ``TRIPTYCH_POSTGRES_URL``, or a private server on a socket of its own."""
    pytest.importorskip("psycopg", reason="needs the extra sql")
    if told := os.environ.get("TRIPTYCH_POSTGRES_URL"):
        yield told
        return
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    program = shutil.which("initdb") or (str(found[-1]) if found else None)
    if program is None:
        pytest.skip("no PostgreSQL here: name one by TRIPTYCH_POSTGRES_URL, or install its server (initdb)")
    bin = Path(program).resolve().parent
    # PostgreSQL refuses to run as root, and sockets' paths must be short.
    owner: dict[str, Any] = {"user": "nobody"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
        if owner:
            shutil.chown(folder, **owner)
        data = f"{folder}/data"
        quiet: dict[str, Any] = {"capture_output": True, "cwd": folder, **owner}
        subprocess.run(
            [bin / "initdb", "-D", data, "-U", "me", "-A", "trust", "-N", "-E", "UTF8", "--no-locale"],
            check=True,
            **quiet,
        )
        options = f"-k {folder} -c listen_addresses= -c fsync=off -c shared_buffers=16MB -c autovacuum=off"
        log = f"{folder}/log"
        subprocess.run(
            [bin / "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "-t", "120", "start"], **quiet, check=True
        )
        try:
            yield f"postgresql+psycopg://me@/postgres?host={folder}"
        finally:
            subprocess.run([bin / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet, check=True)
