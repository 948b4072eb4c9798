"""The best of many scores, with ties broken the same way every time."""

from __future__ import annotations

import numpy as np

from recsys.data import Csr
from shared.errors import UsageError
from shared.types import Bool, Float32, Int32, Int64

_GROUP = 8
"""Columns whose maximum is looked at before they are."""
_WORTH = 8
"""Groups for each place of the answer from which on the detour by maxima is the shorter way."""


def top_k(scores: Float32, k: int) -> tuple[Int32, Float32]:
    """The best columns of each row, best first; among equal scores the lower column comes first.

    Args:
        scores: shape (n, m), without NaN; ``-inf`` marks a column that must not be chosen. Not changed.
        k: how many, at least 1; more than m gives m.

    Returns:
        Columns, shape (n, min(k, m)), int32, and their scores, float32. Where a row has fewer to choose from, its
        end is filled with column -1 and score ``-inf``.

    Raises:
        UsageError: ``k`` is below 1.

    Example:
        >>> columns, best = top_k(np.array([[0.5, 2.0, 0.5, -np.inf]], dtype=np.float32), 3)
        >>> columns.tolist(), best.tolist()
        ([[1, 0, 2]], [[2.0, 0.5, 0.5]])
    """
    check_k(k)
    width = scores.shape[1]
    if k >= width:
        chosen = np.tile(np.arange(width), (len(scores), 1))
    else:
        chosen, border, doubtful = _best(scores, k)
        chosen = np.sort(chosen, axis=1)
        _settle_ties(scores, chosen, border, np.flatnonzero(doubtful & ~np.isneginf(border)))
    best = np.take_along_axis(scores, chosen, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    columns = np.take_along_axis(chosen, order, axis=1).astype(np.int32)
    columns[np.isneginf(best)] = -1
    return columns, best.astype(np.float32, copy=False)


def exclude(scores: Float32, seen: Csr) -> None:
    """Set ``scores`` (n, m) to ``-inf`` wherever ``seen`` (n, m) stores an entry. In place."""
    rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
    scores[rows, seen.indices] = -np.inf


def check_k(k: int) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless ``k`` is a whole number of at least 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise UsageError(f"k must be a whole number of at least 1. Got {k!r} instead")


def _best(scores: Float32, k: int) -> tuple[Int64, Float32, Bool]:
    """Some k best columns of each row in any order, the least score among them, and whether another may equal it.

    The columns fall into groups of :data:`_GROUP`, column c into group c modulo their number. The k best stand in the
    k groups with the greatest maxima, so one pass of maxima, which is as fast as memory, leaves k groups to look into;
    and the best of the maxima are found in the same way.
    """
    n, width = scores.shape
    groups = width // _GROUP
    if groups < _WORTH * k:
        chosen = np.argpartition(scores, width - k, axis=1)[:, width - k :]
        border = np.take_along_axis(scores, chosen, axis=1).min(axis=1)
        return chosen, border, (scores >= border[:, None]).sum(axis=1) > k
    grouped = groups * _GROUP
    maxima = scores[:, :grouped].reshape(n, _GROUP, groups).max(axis=1)
    found, least, others = _best(maxima, k)
    members = (found[:, None, :] + np.arange(0, grouped, groups)[:, None]).reshape(n, -1)
    rest = np.broadcast_to(np.arange(grouped, width), (n, width - grouped))
    candidates = np.concatenate([members, rest], axis=1)
    values = np.take_along_axis(scores, candidates, axis=1)
    inside = np.argpartition(values, values.shape[1] - k, axis=1)[:, values.shape[1] - k :]
    border = np.take_along_axis(values, inside, axis=1).min(axis=1)
    doubtful = ((values >= border[:, None]).sum(axis=1) > k) | (others & (least >= border))
    return np.take_along_axis(candidates, inside, axis=1), border, doubtful


def _settle_ties(scores: Float32, chosen: Int64, border: Float32, rows: Int64) -> None:
    """In some rows, where equal scores may straddle the border, choose the lower columns. In place."""
    for row in rows:
        above = np.flatnonzero(scores[row] > border[row])
        level = np.flatnonzero(scores[row] == border[row])
        chosen[row] = np.sort(np.concatenate([above, level[: chosen.shape[1] - len(above)]]))
