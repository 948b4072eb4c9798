"""Figures of labelled spans: the spans of each item in truth and prediction in, number out.

A span is ``(first position, one past the last, label)``; positions may count characters or words. What agrees:

- ``"strict"``: both ends and the label, as CoNLL and seqeval count.
- ``"bounds"``: both ends, whatever the labels.
- ``"partial"``: one label, and some position in common; a pair whose ends differ counts a half (the partial credit of
  SemEval-2013 task 9, with the label asked for).
- ``"type"``: one label, and some position in common; every pair counts whole.

A span agrees with at most one span of the other side: pairs of equal ends are made first, then those with most in
common. Precision, recall and F1 are 0 where nothing was found, nothing was there, or both, as in seqeval.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.types import Float64, Int64

Span: TypeAlias = tuple[int, int, str]
Spans: TypeAlias = Sequence[Collection[Span]]
MATCHES = ("strict", "bounds", "partial", "type")


@dataclass(frozen=True)
class SpanCounts:
    """Counts of each item and label, so that any items can be drawn and any labels left out.

    Attributes:
        labels: the labels of both sides, sorted, length m. Under ``"bounds"`` a pair counts for the true label.
        right: credit for spans that agree, shape (n, m), float64.
        predicted: spans that were given, shape (n, m), float64.
        true: spans that are true, shape (n, m), float64.
    """

    labels: tuple[str, ...]
    right: Float64
    predicted: Float64
    true: Float64

    def totals(self, at: Int64 | None = None) -> tuple[Float64, Float64, Float64]:
        """Right, predicted and true of each label over all items, or over those at some positions; each (m,)."""
        chosen = slice(None) if at is None else at
        return self.right[chosen].sum(axis=0), self.predicted[chosen].sum(axis=0), self.true[chosen].sum(axis=0)


def span_counts(truth: Spans, predicted: Spans, *, match: str = "strict") -> SpanCounts:
    """Count what agrees.

    Args:
        truth: the true spans of each item, length n; a span that stands twice in one item counts once.
        predicted: those that were given for each item, length n; empty for an item that failed.
        match: one of :data:`MATCHES`.

    Raises:
        UnknownNameError: there is no such way to match.
        UsageError: the lengths differ.
    """
    if match not in MATCHES:
        raise UnknownNameError("way to match spans", match, MATCHES)
    if len(truth) != len(predicted):
        raise UsageError(f"truth and predicted must have one length. Got {len(truth)} and {len(predicted)} instead")
    labels = tuple(sorted({label for item in (*truth, *predicted) for _, _, label in item}))
    place = {label: at for at, label in enumerate(labels)}
    right, given, true = (np.zeros((len(truth), len(labels))) for _ in range(3))
    for at, (wanted, found) in enumerate(zip(truth, predicted)):
        left, answered = set(wanted), set(found)
        for _, _, label in left:
            true[at, place[label]] += 1
        for _, _, label in answered:
            given[at, place[label]] += 1
        for label, credit in _credits(left, answered, match):
            right[at, place[label]] += credit
    return SpanCounts(labels, right, given, true)


def _credits(truth: set[Span], predicted: set[Span], match: str) -> list[tuple[str, float]]:
    if match == "strict":
        return [(label, 1.0) for _, _, label in truth & predicted]
    if match == "bounds":
        ends: dict[tuple[int, int], list[str]] = {}
        for start, stop, label in sorted(truth):
            ends.setdefault((start, stop), []).append(label)
        got = [(start, stop) for start, stop, _ in sorted(predicted) if (start, stop) in ends]
        return [(ends[pair].pop(0), 1.0) for pair in got if ends[pair]]
    pairs = sorted(
        ((_common(a, b), a, b) for a in truth for b in predicted if a[2] == b[2] and _common(a, b) > 0),
        key=lambda pair: (pair[1] != pair[2], -pair[0], pair[1:]),
    )
    found: list[tuple[str, float]] = []
    left, answered = set(truth), set(predicted)
    for _, true, given in pairs:
        if true in left and given in answered:
            left.discard(true)
            answered.discard(given)
            found.append((true[2], 1.0 if match == "type" or true == given else 0.5))
    return found


def _common(a: Span, b: Span) -> int:
    return min(a[1], b[1]) - max(a[0], b[0])


def precision(right: float, predicted: float) -> float:
    """Share of what was given that is right; 0 where nothing was given."""
    return right / predicted if predicted else 0.0


def recall(right: float, true: float) -> float:
    """Share of what is true that was given; 0 where nothing is true."""
    return right / true if true else 0.0


def f1(right: float, predicted: float, true: float) -> float:
    """Harmonic mean of precision and recall, 2 right / (predicted + true); 0 where both sides are empty."""
    return 2 * right / (predicted + true) if predicted + true else 0.0


def span_precision_score(truth: Spans, predicted: Spans, *, match: str = "strict") -> float:
    """Share of the given spans that are right, over all items and labels; see this module's docstring.

    Example:
        >>> span_precision_score([{(0, 2, "PER")}], [{(0, 2, "PER"), (3, 4, "LOC")}])
        0.5
    """
    right, given, _ = span_counts(truth, predicted, match=match).totals()
    return precision(float(right.sum()), float(given.sum()))


def span_recall_score(truth: Spans, predicted: Spans, *, match: str = "strict") -> float:
    """Share of the true spans that were given, over all items and labels; see this module's docstring.

    Example:
        >>> span_recall_score([{(0, 2, "PER"), (3, 4, "LOC")}], [{(0, 2, "PER")}])
        0.5
    """
    right, _, true = span_counts(truth, predicted, match=match).totals()
    return recall(float(right.sum()), float(true.sum()))


def span_f1_score(truth: Spans, predicted: Spans, *, match: str = "strict") -> float:
    """F1 over all items and labels; see this module's docstring.

    Example:
        >>> truth, given = [{(0, 2, "PER")}], [{(0, 1, "PER")}]
        >>> span_f1_score(truth, given), span_f1_score(truth, given, match="partial")
        (0.0, 0.5)
    """
    right, given, true = span_counts(truth, predicted, match=match).totals()
    return f1(float(right.sum()), float(given.sum()), float(true.sum()))


def span_macro_f1_score(truth: Spans, predicted: Spans, *, match: str = "strict") -> float:
    """Mean of the labels' F1, each label of either side counting alike; 0 without labels.

    Example:
        >>> span_macro_f1_score([{(0, 2, "PER"), (3, 4, "LOC")}], [{(0, 2, "PER")}])
        0.5
    """
    return macro_f1(*span_counts(truth, predicted, match=match).totals())


def macro_f1(right: Float64, predicted: Float64, true: Float64) -> float:
    """Mean F1 of labels, from each label's counts, shape (m,); labels without a span on either side are left out."""
    some = predicted + true > 0
    return float((2 * right[some] / (predicted + true)[some]).mean()) if some.any() else 0.0
