"""How a download tells of itself on standard error: a bar on a terminal, one line at each end elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.weights.words import human, say


@contextmanager
def reporting(what: str, *, total: int | None, start: int, enabled: bool) -> Iterator[Callable[[int], object]]:
    """Tell of bytes as they come.

    Args:
        what: the name that people see.
        total: bytes in all, where known.
        start: bytes that an earlier call left.
        enabled: whether to tell anything.

    Yields:
        What to call with the number of each piece's bytes.
    """
    if not enabled:
        yield int
    elif sys.stderr.isatty():
        from tqdm import tqdm  # noqa: PLC0415

        with tqdm(total=total, initial=start, desc=what, unit="B", unit_scale=True, file=sys.stderr) as bar:
            yield bar.update
    else:
        began, brought = time.monotonic(), [0]
        say(f"fetching {what}, {human(total)}" + (f", of which {human(start)} came earlier" if start else ""))

        def count_up(count: int) -> None:
            brought[0] += count

        yield count_up
        say(f"fetched {what}: {human(brought[0])} in {time.monotonic() - began:.1f} s")
