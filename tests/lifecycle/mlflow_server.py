"""A real MLflow server, of the command that ``TRIPTYCH_MLFLOW`` names."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Its address, once it listens; skips where no command is named."""
    program = os.environ.get("TRIPTYCH_MLFLOW")
    if not program:
        pytest.skip("needs the command of a whole MLflow, with a server: name it with TRIPTYCH_MLFLOW")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [program, "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination"]
    words += [str(folder / "artefacts"), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(
        words, cwd=folder, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until = time.monotonic() + 600
            while not _listens(port):
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < until, "the server does not listen"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
