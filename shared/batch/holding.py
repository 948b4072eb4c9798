"""Whether somebody works in a folder that one process at a time may work in."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


def is_held(lock: Path) -> bool:
    """Whether a process holds the lock of that file now; nothing is made where there is none.

    Example:
        >>> is_held(Path("nowhere") / "lock")
        False
    """
    if not lock.exists():
        return False
    try:
        FileLock(lock).acquire(timeout=0).lock.release()
    except Timeout:
        return True
    return False
