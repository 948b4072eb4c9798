"""Figures of items with any number of labels each: boolean tables, or a score for every label.

F1 over all labels at once and its mean over labels stand in :mod:`shared.evaluation.ranked` (``micro_f1_score``,
``labels_f1_score``). Tables have shape (n, labels), truth bool. A one-hot table makes the last four figures those of
one class against the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shared.errors import UsageError
from shared.evaluation.ranked import average_precision_score, roc_auc_score
from shared.lazy import require
from shared.types import AnyArray, Bool, Float64


def subset_accuracy_score(truth: AnyArray, predicted: AnyArray) -> float:
    """Share of items that were given exactly their labels; NaN without items.

    Args:
        truth: which labels each item has, shape (n, labels), bool.
        predicted: which it was given, the same shape.

    Raises:
        UsageError: the shapes differ.

    Example:
        >>> subset_accuracy_score(np.array([[True, False], [True, True]]), np.array([[True, False], [True, False]]))
        0.5
    """
    true, given = _tables(truth, predicted)
    return float((true == given).all(axis=1).mean()) if len(true) else float("nan")


def hamming_loss(truth: AnyArray, predicted: AnyArray) -> float:
    """Share of all cells of the table that are wrong; NaN without any. Arguments as :func:`subset_accuracy_score`.

    R. E. Schapire and Y. Singer, "BoosTexter", Machine Learning 39 (2000).

    Example:
        >>> hamming_loss(np.array([[True, False], [True, True]]), np.array([[True, False], [True, False]]))
        0.25
    """
    true, given = _tables(truth, predicted)
    return float((true != given).mean()) if true.size else float("nan")


def samples_f1_score(truth: AnyArray, predicted: AnyArray) -> float:
    """Mean over items of each one's F1; an item without labels that was given none counts 1.

    NaN without items. Arguments as :func:`subset_accuracy_score`.

    Example:
        >>> round(samples_f1_score(np.array([[True, True]]), np.array([[True, False]])), 4)
        0.6667
    """
    right, total = _counts(truth, predicted, axis=1)
    return _mean_ratio(2 * right, total)


def samples_jaccard_score(truth: AnyArray, predicted: AnyArray) -> float:
    """Mean over items of labels on both sides / labels on either; an item with none on either counts 1.

    NaN without items. S. Godbole and S. Sarawagi, "Discriminative methods for multi-labeled classification", PAKDD
    2004, who call it accuracy. Arguments as :func:`subset_accuracy_score`.

    Example:
        >>> samples_jaccard_score(np.array([[True, True]]), np.array([[True, False]]))
        0.5
    """
    right, total = _counts(truth, predicted, axis=1)
    return _mean_ratio(right, total - right)


def micro_jaccard_score(truth: AnyArray, predicted: AnyArray) -> float:
    """TP / (TP + FP + FN) over all cells; NaN where none is true or predicted.

    Arguments as :func:`subset_accuracy_score`.

    Example:
        >>> micro_jaccard_score(np.array([[True, False], [True, True]]), np.array([[True, True], [True, False]]))
        0.5
    """
    right, total = (side.sum() for side in _counts(truth, predicted, axis=0))
    return float(right / (total - right)) if total else float("nan")


def macro_jaccard_score(truth: AnyArray, predicted: AnyArray) -> float:
    """Mean over labels of TP / (TP + FP + FN); labels that no item has and none was given are left out.

    Arguments as :func:`subset_accuracy_score`.

    Example:
        >>> macro_jaccard_score(np.array([[True, False], [True, True]]), np.array([[True, True], [True, False]]))
        0.5
    """
    right, total = _counts(truth, predicted, axis=0)
    return _mean_ratio(right[total > 0], (total - right)[total > 0])


def macro_roc_auc_score(truth: AnyArray, scores: AnyArray) -> float:
    """Mean over labels of the area under each one's ROC curve; labels that all items have or none are left out.

    Args:
        truth: which labels each item has, shape (n, labels), bool.
        scores: shape (n, labels), the higher the likelier, without NaN.

    Raises:
        UsageError: the shapes differ, or a score is NaN.

    Example:
        >>> macro_roc_auc_score(np.array([[True, False], [False, True]]), np.array([[0.9, 0.6], [0.1, 0.5]]))
        0.5
    """
    return _mean_of(roc_auc_score, truth, scores)


def macro_average_precision_score(truth: AnyArray, scores: AnyArray) -> float:
    """Mean over labels of each one's average precision; labels that no item has are left out.

    Arguments as :func:`macro_roc_auc_score`.

    Example:
        >>> macro_average_precision_score(np.array([[True, False], [False, True]]), np.array([[0.9, 0.6], [0.1, 0.5]]))
        0.75
    """
    return _mean_of(average_precision_score, truth, scores)


def label_ranking_score(truth: AnyArray, scores: AnyArray) -> float:
    """Label ranking average precision: over items and their true labels, the share of true ones among the labels that
    score at least as high; in (0, 1], and 1 for an item with all labels or none.

    G. Tsoumakas, I. Katakis and I. Vlahavas, "Mining multi-label data" (2010), as scikit-learn computes it; NaN without
    items. Arguments as :func:`macro_roc_auc_score`.

    Example:
        >>> label_ranking_score(np.array([[True, False, False]]), np.array([[0.5, 0.9, 0.1]]))
        0.5
    """
    return _ranked("label_ranking_average_precision_score", truth, scores)


def label_ranking_loss(truth: AnyArray, scores: AnyArray) -> float:
    """Mean over items of the share of (true, other) pairs of labels that stand in the wrong order, a tie being wrong.

    0 for an item with all labels or none; NaN without items. Same source and arguments as
    :func:`label_ranking_score`.

    Example:
        >>> label_ranking_loss(np.array([[True, False, False]]), np.array([[0.5, 0.9, 0.1]]))
        0.5
    """
    return _ranked("label_ranking_loss", truth, scores)


def _tables(truth: AnyArray, predicted: AnyArray) -> tuple[Bool, Bool]:
    true, given = np.asarray(truth, np.bool_), np.asarray(predicted, np.bool_)
    if true.ndim != 2 or true.shape != given.shape:
        raise UsageError(
            f"truth and prediction must be two (n, labels) arrays of one shape. "
            f"Got {true.shape} and {given.shape} instead"
        )
    return true, given


def _scored(truth: AnyArray, scores: AnyArray) -> tuple[Bool, Float64]:
    true, given = np.asarray(truth, np.bool_), np.asarray(scores, np.float64)
    if true.ndim != 2 or true.shape != given.shape or np.isnan(given).any():
        raise UsageError(
            f"truth and scores must be two (n, labels) arrays of one shape, without NaN. "
            f"Got {true.shape} and {given.shape} instead"
        )
    return true, given


def _counts(truth: AnyArray, predicted: AnyArray, *, axis: int) -> tuple[Float64, Float64]:
    """Cells that are on both sides, and the sum of both sides, as float64."""
    true, given = _tables(truth, predicted)
    both = (true & given).sum(axis=axis).astype(np.float64)
    return both, (true.sum(axis=axis) + given.sum(axis=axis)).astype(np.float64)


def _mean_ratio(part: Float64, whole: Float64) -> float:
    ratio = np.divide(part, whole, out=np.ones(part.shape), where=whole > 0)
    return float(ratio.mean()) if ratio.size else float("nan")


def _mean_of(function: Callable[[AnyArray, AnyArray], float], truth: AnyArray, scores: AnyArray) -> float:
    true, given = _scored(truth, scores)
    found = np.array([function(true[:, at], given[:, at]) for at in range(true.shape[1]) if true[:, at].any()])
    return float(found[~np.isnan(found)].mean()) if (~np.isnan(found)).any() else float("nan")


def _ranked(name: str, truth: AnyArray, scores: AnyArray) -> float:
    true, given = _scored(truth, scores)
    return float(getattr(require("sklearn.metrics", extra="all"), name)(true, given)) if true.size else float("nan")
