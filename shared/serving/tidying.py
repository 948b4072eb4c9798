"""Memory that the C library keeps after peaks of requests, given back to the machine while the server runs.

Threads allocate in as many as eight arenas a processor (mallopt(3)), and one block that lives on keeps all below it in
the process. Without this a server under mixed traffic grows for hours, though it holds nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable

EVERY = 30.0
"""Seconds between two times."""
_ARENA_MAX, _ARENAS = -8, 2  # M_ARENA_MAX of malloc.h


def share_arenas() -> bool:
    """Have the threads that are yet to come allocate in few arenas; whether the C library does so.

    Example:
        >>> share_arenas() in (True, False)
        True
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS))
    except (AttributeError, OSError, TypeError):
        return False


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
