"""Figures of scores that rank items: areas under curves, and those of several labels at once.

Resampling only changes how often an item counts, never the order of scores, so a :class:`Ranking` sorts once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Bool, Float64, Int64


@dataclass(frozen=True)
class Ranking:
    """Items by falling score. Use :func:`ranking`.

    Attributes:
        order: positions of the items, shape (n,), best first.
        positive: whether each is a positive, in that order, shape (n,).
        ends: the last place of every run of equal scores, shape (runs,).
    """

    order: Int64
    positive: Bool
    ends: Int64

    def roc_auc_score(self, counts: AnyArray | None = None) -> float:
        """Area under the ROC curve: the chance that a positive has a higher score than a negative, a tie being half.

        Args:
            counts: how often each item counts, shape (n,), in the items' own order; once each when not given.

        Returns:
            A number in [0, 1]; NaN without a positive or without a negative.
        """
        right, wrong = self._runs(counts)
        before = np.cumsum(right) - right
        total = right.sum() * wrong.sum()
        return float((wrong * (before + right / 2)).sum() / total) if total else float("nan")

    def average_precision_score(self, counts: AnyArray | None = None) -> float:
        """Area under the precision-recall curve by steps: the mean precision at each positive; NaN without one.

        Args:
            counts: as :meth:`roc_auc_score` takes it.
        """
        right, wrong = self._runs(counts)
        total = right.sum()
        if not total:
            return float("nan")
        found, seen = np.cumsum(right), np.cumsum(right + wrong)
        precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        return float((right * precision).sum() / total)

    def _runs(self, counts: AnyArray | None) -> tuple[Float64, Float64]:
        """Positives and negatives in every run of equal scores."""
        weights = np.ones(len(self.order)) if counts is None else np.asarray(counts, np.float64)[self.order]
        both = (np.cumsum(weights * self.positive)[self.ends], np.cumsum(weights * ~self.positive)[self.ends])
        right, wrong = (np.diff(sums, prepend=0.0) for sums in both)
        return right, wrong


def ranking(positive: AnyArray, scores: AnyArray) -> Ranking:
    """Sort items once for :class:`Ranking`'s figures.

    Args:
        positive: whether each item is one, shape (n,), bool.
        scores: shape (n,), the higher the likelier; NaN is refused.

    Raises:
        UsageError: the shapes differ, or a score is NaN.

    Example:
        >>> found = ranking(np.array([True, False, True]), np.array([0.9, 0.5, 0.4]))
        >>> found.roc_auc_score(), round(found.average_precision_score(), 4)
        (0.5, 0.8333)
    """
    positive, scores = np.asarray(positive, np.bool_), np.asarray(scores, np.float64)
    if positive.ndim != 1 or positive.shape != scores.shape or np.isnan(scores).any():
        raise UsageError(
            f"truth and scores must be two (n,) arrays of one length, without NaN. "
            f"Got {positive.shape} and {scores.shape} instead"
        )
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(order) else np.zeros(0, np.int64)
    return Ranking(order, positive[order], ends)


def roc_auc_score(positive: AnyArray, scores: AnyArray) -> float:
    """See :meth:`Ranking.roc_auc_score`.

    Example:
        >>> roc_auc_score(np.array([True, False]), np.array([0.5, 0.5]))
        0.5
    """
    return ranking(positive, scores).roc_auc_score()


def average_precision_score(positive: AnyArray, scores: AnyArray) -> float:
    """See :meth:`Ranking.average_precision_score`.

    Example:
        >>> average_precision_score(np.array([False, True]), np.array([0.5, 0.4]))
        0.5
    """
    return ranking(positive, scores).average_precision_score()


def micro_f1_score(truth: AnyArray, predicted: AnyArray) -> float:
    """F1 = 2 TP / (2 TP + FP + FN) over all labels of all items at once; NaN where none is true or predicted.

    Args:
        truth: which labels each item has, shape (n, labels), bool.
        predicted: which it was given, the same shape.

    Raises:
        UsageError: the shapes differ.

    Example:
        >>> micro_f1_score(np.array([[True, False], [True, True]]), np.array([[True, True], [True, False]]))
        0.6666666666666666
    """
    right, total = _right_and_total(truth, predicted)
    return float(2 * right.sum() / total.sum()) if total.sum() else float("nan")


def labels_f1_score(truth: AnyArray, predicted: AnyArray) -> float:
    """Mean over the labels of each one's F1; labels that no item has and none was given are left out.

    Args:
        truth: as :func:`micro_f1_score` takes it.
        predicted: as :func:`micro_f1_score` takes it.

    Raises:
        UsageError: the shapes differ.

    Example:
        >>> labels_f1_score(np.array([[True, False], [True, True]]), np.array([[True, True], [True, False]]))
        0.5
    """
    right, total = _right_and_total(truth, predicted)
    there = total > 0
    return float(np.mean(2 * right[there] / total[there])) if there.any() else float("nan")


def _right_and_total(truth: AnyArray, predicted: AnyArray) -> tuple[Int64, Int64]:
    truth, predicted = np.asarray(truth, np.bool_), np.asarray(predicted, np.bool_)
    if truth.ndim != 2 or truth.shape != predicted.shape:
        raise UsageError(
            f"truth and prediction must be two (n, labels) arrays of one shape. "
            f"Got {truth.shape} and {predicted.shape} instead"
        )
    return (truth & predicted).sum(axis=0), truth.sum(axis=0) + predicted.sum(axis=0)
