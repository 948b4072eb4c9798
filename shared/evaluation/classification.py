"""Figures of classifiers: truth and prediction in, number out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.lazy import require
from shared.types import AnyArray, Bool, Float64, Int64


def hits(truth: Sequence[str], ranked: Sequence[Sequence[str]], *, k: int) -> Bool:
    """Whether each item's true label stands among the first ``k`` that were given.

    Args:
        truth: the true label of each item, length n.
        ranked: for each item labels from best to worst; empty for an item that failed, which is a miss.
        k: how many of them count, at least 1.

    Returns:
        Shape (n,).

    Raises:
        UsageError: the lengths differ or ``k`` is below 1.
    """
    _same_length(truth, ranked)
    if k < 1:
        raise UsageError(f"k must be at least 1. Got {k} instead")
    return np.array([label in list(given)[:k] for label, given in zip(truth, ranked)], dtype=np.bool_)


def top_k_score(truth: Sequence[str], ranked: Sequence[Sequence[str]], *, k: int) -> float:
    """Share of items whose true label stands among the first ``k``; NaN without items. See :func:`hits`.

    Example:
        >>> top_k_score(["cat", "dog"], [["dog", "cat"], ["dog"]], k=2)
        1.0
    """
    found = hits(truth, ranked, k=k)
    return float(found.mean()) if found.size else float("nan")


def accuracy_score(truth: Sequence[str] | AnyArray, predicted: Sequence[str | None] | AnyArray) -> float:
    """Share of items whose predicted label is the true one; NaN without items.

    A ``None`` in ``predicted`` stands for an item that failed, which is wrong.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> accuracy_score(["a", "b", "b"], ["a", "b", None])
        0.6666666666666666
    """
    _same_length(truth, predicted)
    return float(np.mean([t == p for t, p in zip(truth, predicted)])) if len(truth) else float("nan")


def macro_f1_score(truth: Sequence[str] | AnyArray, predicted: Sequence[str | None] | AnyArray) -> float:
    """Mean over the labels of F1 = 2 TP / (2 TP + FP + FN); NaN without items.

    The labels are those that stand in ``truth`` or in ``predicted``, as scikit-learn's ``f1_score`` with
    ``average="macro"`` takes them; ``None`` (a failed item) misses its true label and adds no label of its own.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> round(macro_f1_score(["a", "a", "b"], ["a", "b", "b"]), 4)
        0.6667
    """
    _same_length(truth, predicted)
    if not len(truth):
        return float("nan")
    names, true, given = _coded(truth, predicted)
    n = len(names)
    right = np.bincount(true[true == given], minlength=n)
    total = np.bincount(true, minlength=n) + np.bincount(given[given >= 0], minlength=n)
    return float(np.mean(2 * right / total))


def balanced_accuracy_score(truth: Sequence[str] | AnyArray, predicted: Sequence[str | None] | AnyArray) -> float:
    """Mean over the true labels of the share of their items that are right; NaN without items.

    K. H. Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010. A ``None`` in
    ``predicted`` is wrong.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> balanced_accuracy_score(["a", "a", "a", "b"], ["a", "a", "a", "a"])
        0.5
    """
    _same_length(truth, predicted)
    if not len(truth):
        return float("nan")
    _, true, given = _coded(truth, predicted)
    recall = require("sklearn.metrics", extra="all").recall_score
    return float(recall(true, given, labels=np.unique(true), average="macro", zero_division=0.0))


def kappa_score(truth: Sequence[str] | AnyArray, predicted: Sequence[str | None] | AnyArray) -> float:
    """Cohen's kappa: agreement beyond what the two sides' shares of labels give by chance, in [-1, 1].

    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960). NaN
    where both sides hold one and the same label only, as chance agrees wholly then, and without items. ``None`` agrees
    with nothing.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> kappa_score(["a", "a", "b", "b"], ["a", "b", "b", "b"])  # (3/4 - 1/2) / (1 - 1/2)
        0.5
    """
    _same_length(truth, predicted)
    _, true, given = _coded(truth, predicted)
    if len(np.union1d(true, given)) < 2:
        return float("nan")
    return float(require("sklearn.metrics", extra="all").cohen_kappa_score(true, given))


def matthews_score(truth: Sequence[str] | AnyArray, predicted: Sequence[str | None] | AnyArray) -> float:
    """Matthews' correlation coefficient over any number of labels, in [-1, 1]; 0 where either side holds one label.

    B. W. Matthews, Biochimica et Biophysica Acta 405 (1975); for more than two labels J. Gorodkin, Computational
    Biology and Chemistry 28 (2004). NaN without items. ``None`` agrees with nothing.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> round(matthews_score(["a", "a", "b", "b"], ["a", "b", "b", "b"]), 4)
        0.5774
    """
    _same_length(truth, predicted)
    _, true, given = _coded(truth, predicted)
    return float(require("sklearn.metrics", extra="all").matthews_corrcoef(true, given)) if true.size else float("nan")


@dataclass(frozen=True)
class ClassFigures:
    """What a classifier does on each label.

    Attributes:
        labels: those of either side, sorted, length m.
        precision: shape (m,), in [0, 1]; 0 for a label that was never given.
        recall: shape (m,), in [0, 1]; 0 for a label that is never true.
        f1: shape (m,), in [0, 1].
        support: shape (m,), how many items truly have it.
    """

    labels: tuple[str, ...]
    precision: Float64
    recall: Float64
    f1: Float64
    support: Int64


def class_figures(truth: Sequence[str] | AnyArray, predicted: Sequence[str | None] | AnyArray) -> ClassFigures:
    """Precision, recall, F1 and number of items of each label; a ``None`` in ``predicted`` misses its true label.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> found = class_figures(["a", "a", "b"], ["a", "b", "b"])
        >>> found.labels, found.precision.tolist(), found.recall.tolist(), found.support.tolist()
        (('a', 'b'), [1.0, 0.5], [0.5, 1.0], [2, 1])
    """
    _same_length(truth, predicted)
    names, true, given = _coded(truth, predicted)
    if not names:
        return ClassFigures((), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    figures = require("sklearn.metrics", extra="all").precision_recall_fscore_support
    return ClassFigures(names, *figures(true, given, labels=np.arange(len(names)), zero_division=0.0))


@dataclass(frozen=True)
class Reliability:
    """How sure a classifier was beside how often it was right, in bins of its confidence.

    Attributes:
        edges: shape (bins + 1,), from 0 to 1; bin b holds confidences in (edges[b], edges[b + 1]], the first one 0 too.
        counts: shape (bins,), items in each bin.
        confidence: shape (bins,), mean confidence of the items in each; NaN where there are none.
        accuracy: shape (bins,), share of them that are right; NaN where there are none.
    """

    edges: Float64
    counts: Int64
    confidence: Float64
    accuracy: Float64


def reliability(right: AnyArray, confidence: AnyArray, *, bins: int = 15) -> Reliability:
    """Accuracy by confidence, in bins of equal width.

    Args:
        right: shape (n,), bool, whether each best answer is the true one.
        confidence: shape (n,), the probability given to each best answer, in [0, 1].
        bins: how many, at least 1.

    Raises:
        UsageError: the lengths differ, ``bins`` is below 1, or a confidence is no number in [0, 1].

    Example:
        >>> reliability(np.array([True, False, True]), np.array([0.9, 0.8, 0.3]), bins=2).accuracy
        array([1. , 0.5])
    """
    at, right, confidence = _binned(right, confidence, bins)
    counts = np.bincount(at, minlength=bins)
    sums = (np.bincount(at, confidence, bins), np.bincount(at, right, bins))
    sure, hit = (np.divide(s, counts, out=np.full(bins, np.nan), where=counts > 0) for s in sums)
    return Reliability(np.linspace(0, 1, bins + 1), counts, sure, hit)


def calibration_error(right: AnyArray, confidence: AnyArray, *, bins: int = 15) -> float:
    """Expected calibration error: the mean over bins of |accuracy - confidence|, weighted by the bins' items.

    As M. P. Naeini, G. F. Cooper and M. Hauskrecht, AAAI 2015, and C. Guo et al., "On calibration of modern neural
    networks", ICML 2017, define it, over :func:`reliability`'s bins of equal width. The finite number of items in a bin
    makes it read high for few items, so compare it only at equal n. NaN without items.

    Args:
        right: shape (n,), bool.
        confidence: shape (n,), in [0, 1].
        bins: how many, at least 1.

    Raises:
        UsageError: as :func:`reliability`.

    Example:
        >>> round(calibration_error(np.array([True, True, False, False]), np.array([0.7, 0.7, 0.7, 0.7])), 3)
        0.2
    """
    at, right, confidence = _binned(right, confidence, bins)
    if not at.size:
        return float("nan")
    gaps = np.bincount(at, confidence, bins) - np.bincount(at, right, bins)
    return float(np.abs(gaps).sum() / at.size)


def confusion_matrix(
    truth: Sequence[str] | AnyArray, predicted: Sequence[str | None] | AnyArray, labels: Sequence[str]
) -> Int64:
    """How often each true label was answered with each label.

    Args:
        truth: the true label of each item, length n.
        predicted: what was answered; ``None`` for an item that failed.
        labels: the labels of the rows and columns, in their order; ``truth`` has no others.

    Returns:
        Shape (labels, labels + 1), int64: rows are the truth, columns the answers; the last column counts items that
        failed or were answered with none of ``labels``.

    Raises:
        UsageError: the lengths differ, or ``truth`` holds another label.

    Example:
        >>> confusion_matrix(["a", "a", "b"], ["a", "b", None], ["a", "b"])
        array([[1, 1, 0],
               [0, 0, 1]])
    """
    _same_length(truth, predicted)
    codes: dict[str | None, int] = {label: code for code, label in enumerate(labels)}
    strange = sorted({str(label) for label in truth if label not in codes})
    if strange:
        raise UsageError(f"labels must hold every true label. It lacks {', '.join(strange[:5])}")
    matrix = np.zeros((len(codes), len(codes) + 1), np.int64)
    rows = np.array([codes[label] for label in truth], np.int64)
    columns = np.array([codes.get(label, len(codes)) for label in predicted], np.int64)
    np.add.at(matrix, (rows, columns), 1)
    return matrix


def _coded(
    truth: Sequence[str] | AnyArray, predicted: Sequence[str | None] | AnyArray
) -> tuple[tuple[str, ...], Int64, Int64]:
    """The labels of either side, sorted, and both sides as positions among them; -1 for an item that failed."""
    names = tuple(sorted({*truth, *predicted} - {None}))
    codes = {label: code for code, label in enumerate(names)}
    true = np.array([codes[label] for label in truth], np.int64)
    return names, true, np.array([codes.get(label, -1) for label in predicted], np.int64)


def _binned(right: AnyArray, confidence: AnyArray, bins: int) -> tuple[Int64, Float64, Float64]:
    right, confidence = np.asarray(right, np.float64), np.asarray(confidence, np.float64)
    _same_length(right, confidence)
    if bins < 1:
        raise UsageError(f"bins must be at least 1. Got {bins} instead")
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1):
        raise UsageError(f"confidences must lie in [0, 1]. Got {confidence.min()} to {confidence.max()} instead")
    edges = np.linspace(0, 1, bins + 1)
    return np.searchsorted(edges[1:-1], confidence, side="left"), right, confidence


def _same_length(truth: Sequence[object] | AnyArray, predicted: Sequence[object] | AnyArray) -> None:
    if len(truth) != len(predicted):
        raise UsageError(f"truth and prediction must have one length. Got {len(truth)} and {len(predicted)} instead")
