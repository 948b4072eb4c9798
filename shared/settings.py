"""The few facts that a machine's owner sets, read from the environment each time they are asked for."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_FALSE = {"", "0", "false", "no", "off"}


def home() -> Path:
    """The folder for cached weights and the user's own catalogue: ``TRIPTYCH_HOME``, or the user's cache folder."""
    named = os.environ.get("TRIPTYCH_HOME")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("triptych"))


def offline() -> bool:
    """Whether ``TRIPTYCH_OFFLINE`` forbids opening any socket.

    A value that is neither plainly true nor plainly false counts as true: the careful reading.
    """
    return os.environ.get("TRIPTYCH_OFFLINE", "").strip().lower() not in _FALSE


def cpu_count() -> int:
    """The processors that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)
