"""Figures of classifiers: truth and prediction in, number out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Bool


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
    codes = {label: code for code, label in enumerate(sorted({*truth, *predicted} - {None}))}
    true = np.array([codes[label] for label in truth])
    given = np.array([codes.get(label, -1) for label in predicted])
    n = len(codes)
    right = np.bincount(true[true == given], minlength=n)
    total = np.bincount(true, minlength=n) + np.bincount(given[given >= 0], minlength=n)
    return float(np.mean(2 * right / total))


def _same_length(truth: Sequence[object] | AnyArray, predicted: Sequence[object] | AnyArray) -> None:
    if len(truth) != len(predicted):
        raise UsageError(f"truth and prediction must have one length. Got {len(truth)} and {len(predicted)} instead")
