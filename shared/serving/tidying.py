"""Memory that the C library keeps after peaks of requests, given back to the machine while the server runs.

Every thread that allocates has an arena of glibc's (``M_ARENA_MAX``, mallopt(3)), and one block that lives on keeps all
below it in the process. Without this a server under mixed traffic grows for hours, though it holds nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable

EVERY = 30.0
"""Seconds between two times."""


def trimmer() -> Callable[[], bool] | None:
    """malloc_trim(3): gives back what is free in every arena and says whether that was anything; ``None`` without it.

    Example:
        >>> trim = trimmer()
        >>> trim is None or trim() in (True, False)
        True
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return lambda: bool(trim(0))


async def tidy(*, every: float = EVERY) -> None:
    """Give memory back every so many seconds, in a thread, until cancelled."""
    trim = trimmer()
    while trim is not None:
        await asyncio.sleep(every)
        await asyncio.to_thread(trim)
