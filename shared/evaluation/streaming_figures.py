"""Figures of totals over labels, and of totals over numbers: each for one row of totals, or for many draws at once.

Totals of labels have shape (..., 3, labels): what is right, what is true, and what was given. Those of numbers have
the columns :data:`shared.evaluation.streaming_parts.NUMBERS`. Definitions and sources are those of
:mod:`shared.evaluation.classification` and :mod:`shared.evaluation.regression`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shared.evaluation.streaming_parts import NUMBERS
from shared.types import Bool, Float64

Figure = Callable[[Float64], Float64]
"""From totals, shape (..., d) or (..., 3, labels), to the figure, shape (...)."""


def divided(top: Any, bottom: Any, empty: float = np.nan) -> Float64:
    top, bottom = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    found: Float64 = np.divide(top, bottom, out=np.full(top.shape, float(empty)), where=bottom != 0)
    return found


def over(values: Float64, there: Bool) -> Float64:
    """Mean over labels, of those that are there."""
    return divided(np.where(there, values, 0).sum(axis=-1), there.sum(axis=-1))


def _sides(totals: Float64) -> tuple[Float64, Float64, Float64]:
    return totals[..., 0, :], totals[..., 1, :], totals[..., 2, :]


def precision(totals: Float64) -> Float64:
    """Of each label, shape (..., labels); 0 for one that was never given."""
    right, _, given = _sides(totals)
    return divided(right, given, 0)


def recall(totals: Float64) -> Float64:
    """Of each label, shape (..., labels); 0 for one that is never true."""
    right, true, _ = _sides(totals)
    return divided(right, true, 0)


def f1(totals: Float64) -> Float64:
    """Of each label, shape (..., labels); 0 for one on neither side."""
    right, true, given = _sides(totals)
    return divided(2 * right, true + given, 0)


def accuracy(totals: Float64) -> Float64:
    right, true, _ = _sides(totals)
    return divided(right.sum(axis=-1), true.sum(axis=-1))


def balanced(totals: Float64) -> Float64:
    return over(recall(totals), totals[..., 1, :] > 0)


def macro(one: Figure) -> Figure:
    return lambda totals: over(one(totals), totals[..., 1, :] + totals[..., 2, :] > 0)


def weighted(one: Figure) -> Figure:
    return lambda totals: divided((one(totals) * totals[..., 1, :]).sum(axis=-1), totals[..., 1, :].sum(axis=-1))


def micro(one: Figure) -> Figure:
    """Of all labels at once; 0 where there is nothing."""
    return lambda totals: one(totals.sum(axis=-1, keepdims=True))[..., 0]


def kappa(totals: Float64) -> Float64:
    right, true, given = _sides(totals)
    n = true.sum(axis=-1)
    chance = divided((true * given).sum(axis=-1), n * n)
    return divided(divided(right.sum(axis=-1), n) - chance, 1 - chance)


def matthews(totals: Float64) -> Float64:
    right, true, given = _sides(totals)
    n = true.sum(axis=-1)
    failed = n - given.sum(axis=-1)
    shared = right.sum(axis=-1) * n - (true * given).sum(axis=-1)
    spread = (n * n - (given * given).sum(axis=-1) - failed * failed) * (n * n - (true * true).sum(axis=-1))
    return np.where(n > 0, divided(shared, np.sqrt(np.maximum(spread, 0)), 0), np.nan)


def _column(totals: Float64, name: str) -> Float64:
    column: Float64 = totals[..., NUMBERS.index(name)]
    return column


def mean_column(name: str) -> Figure:
    return lambda totals: divided(_column(totals, name), _column(totals, "count"))


def _share_left(left: Float64, totals: Float64) -> Float64:
    """1 - left / variation of the truth; where that does not vary 1 if nothing is left, else 0."""
    n = _column(totals, "count")
    whole = _column(totals, "true_squares") - divided(_column(totals, "true") ** 2, n, 0)
    return np.where(n > 1, np.where(whole > 0, 1 - divided(left, whole, 0), (left <= 0) * 1.0), np.nan)


def r2(totals: Float64) -> Float64:
    return _share_left(_column(totals, "squares"), totals)


def explained(totals: Float64) -> Float64:
    off = divided(_column(totals, "apart") ** 2, _column(totals, "count"), 0)
    return _share_left(_column(totals, "apart_squares") - off, totals)
