"""The best of many scores, with ties broken the same way every time."""

from __future__ import annotations

import numpy as np

from recsys.data import Csr
from shared.errors import UsageError
from shared.types import Float32, Int32, Int64


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
        chosen = np.sort(np.argpartition(scores, width - k, axis=1)[:, width - k :], axis=1)
        _settle_ties(scores, chosen)
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


def _settle_ties(scores: Float32, chosen: Int64) -> None:
    """Where equal scores straddle the border of a partition, choose the lower columns. In place."""
    border = np.take_along_axis(scores, chosen, axis=1).min(axis=1, keepdims=True)
    inside = (np.take_along_axis(scores, chosen, axis=1) == border).sum(axis=1)
    for row in np.flatnonzero((scores == border).sum(axis=1) > inside):
        above = np.flatnonzero(scores[row] > border[row])
        level = np.flatnonzero(scores[row] == border[row])
        chosen[row] = np.sort(np.concatenate([above, level[: chosen.shape[1] - len(above)]]))
