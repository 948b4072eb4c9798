"""Two evaluations on the same items: what differs, by how much, how surely, and in which slices.

Each figure is compared in its own way: a mean over items by the paired bootstrap and the randomisation test, right or
wrong by McNemar's exact test, totals and pooled figures by the paired bootstrap and approximate randomisation. P-values
are corrected over the figures by Holm's method, and over the slices apart from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np

from shared.errors import UsageError
from shared.evaluation.bca import ratio
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES
from shared.evaluation.items import ItemFigure, Items, Mean, Pooled, Total
from shared.evaluation.paired import adjusted_p_values, compare_paired
from shared.evaluation.pooled import compare_pooled
from shared.evaluation.report import Evaluation, Metric
from shared.evaluation.same_items import cannot_slice, check_same, items_of
from shared.evaluation.slice_changes import SliceChange, changed_slices
from shared.evaluation.slicing import SUPPORT
from shared.evaluation.two_systems import McNemar, compare_totals, mcnemar
from shared.types import AnyArray, Float64

POWER = 0.8
"""The chance at which a difference counts as one that would have been seen."""
_Found: TypeAlias = tuple[float, float, Metric, float, str]


@dataclass(frozen=True)
class Difference:
    """One figure of two systems.

    Attributes:
        name: of the figure.
        first: the first system's.
        second: the second's.
        difference: second - first, with its paired interval.
        detectable: the least difference that so many items show with a chance of :data:`POWER`, from the interval's
            width; 0 where no resample differs.
        p_value: two-sided, of no difference.
        adjusted_p_value: the same after Holm's correction over the figures.
        test: which test the p-value is of.
        higher_is_better: whether a greater value is a better one.

    Raises:
        UsageError: a p-value is out of range.
    """

    name: str
    first: float
    second: float
    difference: Metric
    detectable: float
    p_value: float
    adjusted_p_value: float
    test: str
    higher_is_better: bool

    def __post_init__(self) -> None:
        if not 0 <= self.p_value <= self.adjusted_p_value <= 1:
            raise UsageError(
                "p-values must lie in 0..1, the adjusted no less. "
                f"Got {self.p_value} and {self.adjusted_p_value} instead"
            )

    @property
    def gain(self) -> float:
        """By how much the second system is better; below 0 it is worse."""
        return self.difference.value if self.higher_is_better else -self.difference.value


@dataclass(frozen=True)
class Compared:
    """What the same items say of two systems. Every difference is the second's figure less the first's.

    Attributes:
        task: the task of both.
        dataset: what both were evaluated on.
        first: name of the first system.
        second: name of the second.
        n: items.
        groups: groups of items that were drawn together; ``None`` where items were drawn alone.
        failed: items that the first and the second could not answer; they count as wrong.
        main: name of the figure of single items that slices are compared by; empty where there is none.
        figures: of every figure that both have, in the evaluation's order; the verdict is about the first.
        not_compared: figures that one system alone has, or that are of another kind in each.
        mcnemar: where the main figure is right or wrong, and items are drawn alone, who was right on what; ``None``
            elsewhere.
        changed: slices whose adjusted p-value lies below ``1 - confidence``, the one that lost most first. Their
            figures are such that higher is better.
        tested: slices that were tested.
        no_slices: why none were tested, or empty.
        confidence: coverage of the intervals.
        resamples: of bootstrap and randomisation.
    """

    task: str
    dataset: str
    first: str
    second: str
    n: int
    groups: int | None
    failed: tuple[int, int]
    main: str
    figures: tuple[Difference, ...]
    not_compared: tuple[str, ...]
    mcnemar: McNemar | None
    changed: tuple[SliceChange, ...]
    tested: int
    no_slices: str
    confidence: float
    resamples: int

    @property
    def alpha(self) -> float:
        """The level below which a p-value shows a difference."""
        return round(1 - self.confidence, 12)

    @property
    def judged(self) -> Difference:
        """The figure that the verdict is about."""
        return self.figures[0]


def compare_evaluations(
    first: Evaluation,
    second: Evaluation,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Compared:
    """Compare two evaluations of the same items, such as two models on one data set.

    Args:
        first: the evaluation of the system that is there.
        second: of the one that is to take its place.
        rng: source of randomness.
        resamples: of the bootstraps and randomisation tests; figures of pooled records may take fewer.
        confidence: coverage of the intervals, in (0, 1); a p-value below 1 less that shows a difference.

    Raises:
        UsageError: the tasks or the items differ, an evaluation does not tell its items, or no figure is in both.

    Example:
        >>> from shared.evaluation.report import Metric
        >>> def told(hits):
        ...     items = Items(tuple("abcd"), {"top1": Mean(np.array(hits))}, "top1")
        ...     return Evaluation("a.task", "m", "data", 4, 0, {"top1": Metric(0.5, 0.0, 1.0)}, items=lambda: items)
        >>> found = compare_evaluations(told([1.0, 0, 0, 0]), told([1.0, 1, 1, 0]), rng=np.random.default_rng(0))
        >>> found.judged.difference.value, found.judged.p_value
        (0.5, 0.5)
    """
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1. Got {confidence} instead")
    if first.task != second.task:
        raise UsageError(f"both evaluations must be of one task. Got {first.task} and {second.task}")
    one, other = (items_of(evaluation) for evaluation in (first, second))
    check_same(one, other)
    shared = [name for name in one.figures if name in other.figures and _usable(one.figures[name], other.figures[name])]
    if not shared:
        raise UsageError(f"both evaluations must have a figure in common. Got {[*one.figures]} and {[*other.figures]}")
    order = [*first.metrics, *shared]
    groups = one.groups
    options = {"rng": rng, "resamples": resamples, "confidence": confidence}
    found = {
        name: _compared(one.figures[name], other.figures[name], groups, options)
        for name in sorted(shared, key=order.index)
    }
    adjusted = adjusted_p_values({name: p_value for name, (_, _, _, p_value, _) in found.items()})
    figures = tuple(
        Difference(name, a, b, apart, _detectable(apart, confidence), p, adjusted[name], test, _higher(one, name))
        for name, (a, b, apart, p, test) in found.items()
    )
    changes, no_slices = _changes(one, other, rng, resamples, confidence)
    names = (first.model, second.model)
    if names[0] == names[1]:
        names = (f"{names[0]} (first)", f"{names[1]} (second)")
    return Compared(
        task=first.task,
        dataset=first.dataset,
        first=names[0],
        second=names[1],
        n=len(one),
        groups=None if groups is None else len(np.unique(np.asarray(groups))),
        failed=(first.failed, second.failed),
        main=one.main,
        figures=figures,
        not_compared=tuple(sorted(({*one.figures} | {*other.figures}) - {*shared})),
        mcnemar=_mcnemar(one, other) if groups is None else None,
        changed=tuple(change for change in changes if change.adjusted_p_value < 1 - confidence),
        tested=len(changes),
        no_slices=no_slices,
        confidence=confidence,
        resamples=resamples,
    )


def _usable(one: ItemFigure, other: ItemFigure) -> bool:
    """Whether two figures of one name are of one kind and have an item to be compared on."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Mean) and isinstance(other, Mean):
        return bool((~(np.isnan(one.values) | np.isnan(other.values))).any())
    if isinstance(one, Pooled) and isinstance(other, Pooled):
        values = [float(side.figure(side.records)) for side in (one, other)]
        return not np.isnan(values).any()
    if isinstance(one, Total) and isinstance(other, Total):
        if not len(one) or one.rows.shape != other.rows.shape:
            return False
        return not any(np.isnan(side.figure(side.rows.sum(axis=0))) for side in (one, other))
    return False


def _compared(one: ItemFigure, other: ItemFigure, groups: AnyArray | None, options: dict[str, Any]) -> _Found:
    """First, second, second - first with its interval, p-value and the name of the test."""
    if isinstance(one, Mean) and isinstance(other, Mean):
        return _compared_means(one.values, other.values, groups, options)
    if isinstance(one, Total) and isinstance(other, Total):
        totals = compare_totals(one.figure, other.rows, one.rows, groups=groups, **options)
        return totals.second, totals.first, totals.difference, totals.p_value, "randomisation"
    if isinstance(one, Pooled) and isinstance(other, Pooled):
        pooled = compare_pooled(other, one, groups=groups, **options)
        return pooled.second, pooled.first, pooled.difference, pooled.p_value, "randomisation"
    raise UsageError(f"a figure must be of one kind in both. Got {type(one).__name__} and {type(other).__name__}")


def _compared_means(first: Float64, second: Float64, groups: AnyArray | None, options: dict[str, Any]) -> _Found:
    there = ~(np.isnan(first) | np.isnan(second))
    first, second = first[there], second[there]
    if groups is not None:
        rows = [np.stack([values, np.ones(len(values))], axis=1) for values in (second, first)]
        totals = compare_totals(ratio, *rows, groups=np.asarray(groups)[there], **options)
        return totals.second, totals.first, totals.difference, totals.p_value, "randomisation of groups"
    paired = compare_paired(second, first, **options)
    if _binary(first, second):
        exact = mcnemar(first == 1, second == 1).p_value
        return paired.second, paired.first, paired.difference, exact, "McNemar, exact"
    return paired.second, paired.first, paired.difference, paired.p_value, "randomisation"


def _mcnemar(one: Items, other: Items) -> McNemar | None:
    sides = [items.figures.get(items.main) for items in (one, other)]
    values = [side.values for side in sides if isinstance(side, Mean)]
    if one.main != other.main or len(values) < 2 or not _binary(*values):
        return None
    return mcnemar(values[0] == 1, values[1] == 1)


def _binary(one: Float64, other: Float64) -> bool:
    return bool(np.isin(one, (0, 1)).all() and np.isin(other, (0, 1)).all())


def _detectable(difference: Metric, confidence: float) -> float:
    """The least difference seen with a chance of :data:`POWER`: two quantiles of the standard error."""
    level = NormalDist().inv_cdf(0.5 + confidence / 2)
    error = (difference.high - difference.low) / (2 * level)
    return (level + NormalDist().inv_cdf(POWER)) * error


def _higher(items: Items, name: str) -> bool:
    return items.figures[name].higher_is_better


def _changes(
    one: Items, other: Items, rng: np.random.Generator, resamples: int, confidence: float
) -> tuple[tuple[SliceChange, ...], str]:
    """Every slice that could be tested, and why none could."""
    why = cannot_slice(one) or cannot_slice(other)
    if why:
        return (), why
    # A slice's least p-value must survive the correction over all slices, so no fewer draws than is usual there.
    options = {"rng": rng, "resamples": max(resamples, 10_000), "confidence": confidence}
    first, second = one.right(), other.right()
    if (~np.isnan(first + second)).sum() < 2:
        return (), "fewer than two items have a figure of both"
    changes = changed_slices(first, second, one.attributes, **options)  # type: ignore[arg-type]
    return changes, "" if changes else f"no value of an attribute has {SUPPORT} items in it and as many outside"
