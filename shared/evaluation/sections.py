"""Sections that every classifier's report has: calibration, confusion, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from shared.evaluation.classification import confusion_matrix, reliability
from shared.evaluation.report import Curve, Matrix, Section, Table
from shared.types import Bool, Failure

MOST_CLASSES = 30
"""Classes of a confusion matrix: those that were confused most."""


def reliability_table(
    truth: Sequence[str], answers: Sequence[str | None], scores: Sequence[float], *, things: str
) -> Table:
    """How sure a classifier was beside how often it was right.

    Args:
        truth: the true label of each item.
        answers: its best answer; ``None`` for an item that failed, which is left out.
        scores: how sure it was, in [0, 1].
        things: what the items are called, in the plural.
    """
    answered: Bool = np.array([answer is not None for answer in answers], np.bool_)
    right: Bool = np.array([a == t for a, t in zip(answers, truth)], np.bool_)
    bins = reliability(right[answered], np.array(scores)[answered])
    rows = [
        (f"{low:.2f} to {high:.2f}", int(count), float(sure), float(hit), float(hit - sure))
        for low, high, count, sure, hit in zip(bins.edges, bins.edges[1:], bins.counts, bins.confidence, bins.accuracy)
        if count
    ]
    columns = ("score of the best answer", things, "mean score", "share right", "difference")
    plot = Curve(tuple((row[2], row[3], row[1]) for row in rows), "mean score", "share right")
    return Table("How sure, and how often right", columns, tuple(rows), plot=plot)


def confusion_of(truth: Sequence[str], answers: Sequence[str | None]) -> Matrix:
    """True labels beside answered ones; of more than :data:`MOST_CLASSES` those that were confused most.

    Args:
        truth: the true label of each item.
        answers: its best answer; ``None`` for an item that failed.
    """
    pairs = Counter((t, a) for t, a in zip(truth, answers) if a != t)
    busy = Counter[str]()
    for (true, answer), count in pairs.items():
        busy[true] += count
        if answer is not None:
            busy[answer] += count
    everything = sorted({*truth, *(a for a in answers if a is not None)})
    small = len(everything) <= MOST_CLASSES
    chosen = sorted(everything if small else [name for name, _ in busy.most_common(MOST_CLASSES)])
    inside = [at for at, name in enumerate(truth) if name in set(chosen)]
    counts = confusion_matrix([truth[at] for at in inside], [answers[at] for at in inside], chosen)
    note = "Rows are true, columns are answered."
    note += "" if small else f" The {len(chosen)} classes that were confused most, of {len(everything)}."
    rows = tuple(tuple(row) for row in counts.tolist())
    return Matrix("Confusion", tuple(chosen), (*chosen, "other or failed"), rows, note)


def failures_of(names: Sequence[str], results: Sequence[object], *, things: str) -> list[Section]:
    """A table of the items that failed, where there are any.

    Args:
        names: what each item is called.
        results: what became of it.
        things: what the items are called, in the plural.
    """
    rows = tuple((name, r.kind, r.message) for name, r in zip(names, results) if isinstance(r, Failure))
    title = f"{things.capitalize()} that could not be predicted"
    return [Table(title, (things.removesuffix("s"), "kind", "why"), rows)] if rows else []
