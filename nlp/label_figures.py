"""Figures of labels in a form that tells what each text adds to them, also for many resamples in one call.

The records name labels themselves, so that records of two models can stand in one sequence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from shared.evaluation.items import Pooled
from shared.evaluation.ranked import Ranking, ranking
from shared.types import AnyArray, Bool, Float64

Pair: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""The true labels of a text and those that it was given."""


def f1_of_labels(pairs: Sequence[Pair]) -> Pooled:
    """Mean F1 over the labels that stand in the truth or in the answers; NaN where none does.

    Args:
        pairs: of each text the true labels and those that were given.

    Example:
        >>> found = f1_of_labels([(("a",), ("a",)), (("b",), ("a",))])  # a: 2 / 3, b: 0
        >>> round(found.figure(found.records), 4)
        0.3333
    """
    return Pooled(pairs, _f1, weighed=_weighed_f1)


def areas_of_labels(truth: Bool, scores: Float64, failed: Bool) -> dict[str, Pooled]:
    """``roc_auc`` and ``pr_auc``: of each label against the rest, the mean over labels that some texts have and some
    have not.

    Args:
        truth: shape (n, labels), bool.
        scores: shape (n, labels), float64, in [0, 1].
        failed: shape (n,), bool: texts that are left out.
    """
    rows = np.concatenate([truth.astype(np.float64), scores], axis=1)
    rows[failed] = np.nan
    figures: dict[str, Callable[[Ranking, AnyArray], float]] = {
        "roc_auc": Ranking.roc_auc_score,
        "pr_auc": Ranking.average_precision_score,
    }
    records = list(rows)
    return {
        name: Pooled(records, partial(_area, figure), weighed=partial(_weighed_area, figure))
        for name, figure in figures.items()
    }


def _f1(records: Sequence[Pair]) -> float:
    counts = Counter(records)
    both, either = _by_label(list(counts))
    weights = np.array(list(counts.values()), np.float64)
    return float(_mean_f1(weights @ both, weights @ either))


def _weighed_f1(records: Sequence[Pair], weights: Float64) -> Float64:
    places: dict[Pair, int] = {}
    codes = np.array([places.setdefault(pair, len(places)) for pair in records], np.int64)
    both, either = _by_label(list(places))
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(places)))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    return _mean_f1(counts @ both, counts @ either)


def _by_label(pairs: Sequence[Pair]) -> tuple[Float64, Float64]:
    """What each pair adds to each label's hits, and to its texts true and given; both of shape (pairs, labels)."""
    place = {name: at for at, name in enumerate(sorted({name for pair in pairs for side in pair for name in side}))}
    both, either = np.zeros((len(pairs), len(place))), np.zeros((len(pairs), len(place)))
    for row, (true, given) in enumerate(pairs):
        for name in (*true, *given):
            either[row, place[name]] += 1
        for name in set(true) & set(given):
            both[row, place[name]] += 1
    return both, either


def _mean_f1(both: Float64, either: Float64) -> Float64:
    each = np.divide(2 * both, either, out=np.zeros_like(either), where=either > 0)
    there = (either > 0).sum(axis=-1)
    mean: Float64 = np.divide(each.sum(axis=-1), there, out=np.full(np.shape(there), np.nan), where=there > 0)
    return mean


def _area(figure: Callable[[Ranking, AnyArray], float], records: Sequence[Float64]) -> float:
    return float(_weighed_area(figure, records, np.ones((1, len(records))))[0])


def _weighed_area(
    figure: Callable[[Ranking, AnyArray], float], records: Sequence[Float64], weights: Float64
) -> Float64:
    rows = np.array(records)
    answered = ~np.isnan(rows).any(axis=1)
    rows, weights = rows[answered], weights[:, answered]
    half = rows.shape[1] // 2
    rankings = [ranking(rows[:, at] > 0, rows[:, half + at]) for at in range(half)]
    found = np.array([[figure(one, row) for one in rankings] for row in weights]).reshape(len(weights), half)
    there = ~np.isnan(found)
    sums = np.where(there, found, 0.0).sum(axis=1)
    mean: Float64 = np.divide(sums, there.sum(axis=1), out=np.full(len(weights), np.nan), where=there.any(axis=1))
    return mean
