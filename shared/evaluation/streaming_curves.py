"""Areas under curves of a stream of scores: exact while the scores are few, then between bounds.

No bounded memory can hold the order of any number of scores. Here the distinct scores are counted; once there are more
than :data:`DISTINCT` of them, all are cut to fewer leading bits of their floating-point numbers, just so many that they
fit again. Scores that fall together count as ties, and the area lies between what the best and the worst order within
them would give.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Float64, Int64

DISTINCT = 1 << 16
_DRAWN = 1 << 10
"""Scores that are told apart in the draws of an interval."""
_SIGN = np.uint64(1 << 63)


class ScoreCounts:
    """How many positives and negatives have each score, or each range of scores."""

    def __init__(self, *, distinct: int = DISTINCT) -> None:
        self._distinct, self._cut = distinct, 0
        self._keys: AnyArray = np.zeros(0, np.uint64)
        self._counts: Int64 = np.zeros((0, 2), np.int64)

    def add(self, inputs: tuple[Any, ...]) -> None:
        """Take in whether items are positive, bool (n,), and their scores, (n,)."""
        positive, scores = np.asarray(inputs[0], np.bool_), np.asarray(inputs[1], np.float64)
        if positive.ndim != 1 or positive.shape != scores.shape or np.isnan(scores).any():
            raise UsageError(
                f"truth and scores must be two (n,) arrays of one length, without NaN. "
                f"Got {positive.shape} and {scores.shape} instead"
            )
        bits = (scores + 0.0).view(np.uint64)  # -0.0 and 0.0 are one score
        keys = np.where(bits & _SIGN, ~bits, bits | _SIGN) >> np.uint64(self._cut)
        self._take(keys, np.stack([positive, ~positive], axis=1).astype(np.int64))

    def merge(self, other: ScoreCounts) -> None:
        """Take in what another has."""
        cut = max(self._cut, other._cut)
        self._keys, keys = self._keys >> np.uint64(cut - self._cut), other._keys >> np.uint64(cut - other._cut)
        self._cut = cut
        self._take(keys, other._counts)

    def _take(self, keys: AnyArray, counts: Int64) -> None:
        keys, counts = _joined(np.concatenate([self._keys, keys]), np.concatenate([self._counts, counts]))
        while keys.size > self._distinct:
            keys, counts = _joined(keys >> np.uint64(1), counts)
            self._cut += 1
        self._keys, self._counts = keys, counts

    @property
    def exact(self) -> bool:
        """Whether every score is still told from every other."""
        return self._cut == 0

    def counts(self) -> Float64:
        """Positives and negatives by falling score, shape (m, 2)."""
        return self._counts[::-1].astype(np.float64)

    def coarse(self) -> Float64:
        """The same with few scores."""
        keys, counts = self._keys, self._counts
        while keys.size > _DRAWN:
            keys, counts = _joined(keys >> np.uint64(1), counts)
        return counts[::-1].astype(np.float64)


def roc_auc(counts: Float64) -> Float64:
    """Area under the ROC curve, a tie being half.

    Args:
        counts: positives and negatives by falling score, shape (..., m, 2).

    Returns:
        Shape (...,); NaN without a positive or without a negative.
    """
    right, wrong = counts[..., 0], counts[..., 1]
    above = np.cumsum(right, axis=-1) - right / 2
    return _divided((wrong * above).sum(axis=-1), right.sum(axis=-1) * wrong.sum(axis=-1))


def roc_auc_bounds(counts: Float64) -> tuple[float, float]:
    """The least and the greatest area that any order within equal scores gives; arguments as :func:`roc_auc`."""
    right, wrong = counts[..., 0], counts[..., 1]
    value = float(roc_auc(counts))
    tied = float(_divided((right * wrong).sum(), 2 * right.sum() * wrong.sum()))
    return value - tied, value + tied


def average_precision(counts: Float64) -> Float64:
    """Mean precision at each positive, those of equal scores having that of the last; arguments as :func:`roc_auc`.

    Returns:
        Shape (...,); NaN without a positive.
    """
    right = counts[..., 0]
    found, seen = np.cumsum(right, axis=-1), np.cumsum(counts.sum(axis=-1), axis=-1)
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    return _divided((right * precision).sum(axis=-1), right.sum(axis=-1))


def average_precision_bounds(counts: Float64) -> tuple[float, float]:
    """Bounds of what any order within equal scores gives, ties among them or not; arguments as :func:`roc_auc`.

    Below: all negatives of a score first, then one positive after the other. Above: all positives first, at the
    precision that stands after the last of them.
    """
    from scipy.special import digamma  # noqa: PLC0415 - heavy, and asked only here

    right, wrong = counts[..., 0], counts[..., 1]
    found = np.cumsum(right) - right
    seen = found + np.cumsum(wrong) - wrong
    after = seen + wrong
    low = right + (found - after) * (digamma(after + right + 1) - digamma(after + 1))
    high = right * np.divide(found + right, seen + right, out=np.zeros_like(right), where=right > 0)
    return float(_divided(low.sum(), right.sum())), float(_divided(high.sum(), right.sum()))


def _joined(keys: AnyArray, counts: Int64) -> tuple[AnyArray, Int64]:
    """Each key once, rising, with the sum of its counts."""
    if not keys.size:
        return keys, counts
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    return keys[starts], np.add.reduceat(counts[order], starts, axis=0)


def _divided(top: Any, bottom: Any) -> Float64:
    top, bottom = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
    found: Float64 = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return found
