"""How a long job says where it is: a bar on a terminal, a plain line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

EVERY = 5.0
"""Seconds between the lines of a log."""


class Progress:
    """Rows done of all, with rate and time left, on standard error; a context manager.

    Args:
        total: rows of the job.
        done: rows that were done before this run; they do not count in the rate.
        shown: whether anything is said.
    """

    def __init__(self, total: int, *, done: int, shown: bool = True) -> None:
        self._total, self._before, self._done, self._failed = total, done, done, 0
        self._shown = shown
        self._bar: Any = None
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Progress:
        if self._shown and sys.stderr.isatty():
            self._bar = tqdm(total=self._total, initial=self._done, unit="item", dynamic_ncols=True, file=sys.stderr)
        self._began = self._said = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._shown and self._done > self._before:
            self._say(time.monotonic())

    def add(self, rows: int, failed: int) -> None:
        """Rows that were answered since the last call, and how many of them failed."""
        self._done = min(self._total, self._done + rows)  # rows of a worker that died are predicted twice
        self._failed += failed
        if self._bar is not None:
            if failed:
                self._bar.set_postfix(failed=self._failed, refresh=False)
            self._bar.update(rows)
        elif self._shown:
            now = time.monotonic()
            if now - self._said >= EVERY:
                self._say(now)

    def _say(self, now: float) -> None:
        self._said = now
        rate = (self._done - self._before) / max(now - self._began, 1e-9)
        left = (self._total - self._done) / rate if rate else 0.0
        print(line(self._done, self._total, self._failed, rate, left), file=sys.stderr, flush=True)  # noqa: T201


def line(done: int, total: int, failed: int, rate: float, left: float) -> str:
    """One line of a log: rows done, failed in this run, rows a second, time left in seconds.

    Example:
        >>> line(1200, 2000, 12, 80.0, 3610.0)
        '1,200 of 2,000 (60.0 %), 12 failed, 80.0 items/s, 1:00:10 left'
    """
    share = 100 * done / total if total else 100.0
    return f"{done:,} of {total:,} ({share:.1f} %), {failed:,} failed, {rate:.1f} items/s, {clock(left)} left"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    Example:
        >>> clock(3610.2)
        '1:00:10'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
