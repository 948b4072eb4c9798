"""Long texts are read whole, in windows that overlap; and windows are run in batches of bounded length."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shared.errors import UsageError
from shared.types import Int64


@dataclass(frozen=True)
class Window:
    """A stretch of a text's tokens.

    Attributes:
        start: first token.
        stop: one past the last token.
        share: how much of the text this window is the first to show, in (0, 1]; over a text they add up to 1.
    """

    start: int
    stop: int
    share: float


def windows(n: int, *, size: int, overlap: int) -> list[Window]:
    """The fewest windows of ``size`` tokens that cover ``n`` tokens and overlap by at least ``overlap``.

    They are spread evenly, so that all are full and the last is not a scrap. A text that fits is one window.

    Args:
        n: tokens of the text, at least 1.
        size: tokens of a window, at least 1.
        overlap: tokens that neighbours share at least, in 0..size-1.

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> [(w.start, w.stop, w.share) for w in windows(10, size=6, overlap=1)]
        [(0, 6, 0.6), (4, 10, 0.4)]
    """
    if n < 1 or size < 1 or not 0 <= overlap < size:
        raise UsageError(f"n and size must be at least 1 and overlap in 0..size-1. Got {n}, {size}, {overlap} instead")
    if n <= size:
        return [Window(0, n, 1.0)]
    count = -(-(n - overlap) // (size - overlap))
    starts = [k * (n - size) // (count - 1) for k in range(count)]
    fresh = [size, *(after - before for before, after in pairwise(starts))]
    return [Window(start, start + size, new / n) for start, new in zip(starts, fresh)]


def batches(lengths: Int64, *, budget: int) -> list[Int64]:
    """Group items, longest first, so that no group is longer than a token budget.

    Args:
        lengths: tokens of each item, shape (n,), int64.
        budget: tokens of a group at most; an item longer than that is a group of its own. At least 1.

    Returns:
        Positions of the items of each group. Items of one length keep their order.

    Raises:
        UsageError: ``budget`` is below 1.

    Example:
        >>> [group.tolist() for group in batches(np.array([3, 9, 4, 3]), budget=10)]
        [[1], [2, 0, 3]]
    """
    if budget < 1:
        raise UsageError(f"budget must be at least 1. Got {budget} instead")
    order = np.argsort(-lengths, kind="stable")
    groups: list[Int64] = []
    start = total = 0
    for at, length in enumerate(lengths[order].tolist()):
        if at > start and total + length > budget:
            groups.append(order[start:at])
            start, total = at, 0
        total += length
    return [*groups, order[start:]] if len(order) else []
