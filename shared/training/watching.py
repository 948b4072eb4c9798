"""Whoever runs a training may hear of each epoch, and end it: the one hook between the loop and a search of options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

Watch: TypeAlias = Callable[[int, float], bool]
"""From an epoch, counted from 1, and its score, higher is better, to whether the training is to go on."""
_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


class EndedEarly(Exception):  # noqa: N818 - no fault: whoever watched wanted it
    """A training was ended by whoever watched it. The trainer's folder keeps its state."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        super().__init__(f"ended after epoch {epoch}")


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """While this is open, every training of this thread tells ``watch`` of its epochs.

    Example:
        >>> seen = []
        >>> with watched(lambda epoch, score: seen.append((epoch, score)) is None):
        ...     tell_epoch(1, 0.5)
        >>> seen
        [(1, 0.5)]
    """
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def tell_epoch(epoch: int, score: float) -> None:
    """Say how an epoch went, to whoever watches; a training that goes on after a kill says its old epochs again.

    Raises:
        EndedEarly: the training is not to go on.
    """
    watch = _watch.get()
    if watch is not None and not watch(epoch, score):
        raise EndedEarly(epoch)
