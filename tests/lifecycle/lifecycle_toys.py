"""Small models and hostile surroundings for the tests of runs and the registry."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.testing import fake_card
from shared.weights import write_model_folder

FORK = multiprocessing.get_context("fork")


def toy_model(folder: Path, content: bytes = b"abc", **changes: Any) -> Path:
    """A model folder of one file, of a task that no opener serves."""
    write_model_folder(folder, fake_card(**changes), {"weights.bin": content})
    return folder


def no_sockets() -> None:
    """From here on, whatever opens a socket in this process fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    socket.socket.__init__ = refuse  # type: ignore[method-assign, assignment]


def started(work: Callable[..., None], *args: Any) -> Any:
    """Work in a process of its own, forked so that nothing is imported again."""
    process = FORK.Process(target=work, args=args)
    process.start()
    return process


def killed(process: Any) -> None:
    """End a process at once, wherever it stands."""
    os.kill(process.pid, signal.SIGKILL)
    process.join()
