"""Two systems on the same items, or one system on groups of them: differences with intervals and p-values.

Bootstrap: B. Efron and R. Tibshirani, *An Introduction to the Bootstrap* (1993). Randomisation test: R. A. Fisher, *The
Design of Experiments* (1935); M. Smucker, J. Allan and B. Carterette, "A comparison of statistical significance tests
for information retrieval evaluation", CIKM 2007, recommend it over the sign test, which is given besides because it
asks only which system was better and so does not mind outliers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, mean_interval, percentile_interval, resampled_means
from shared.evaluation.report import Metric
from shared.evaluation.resampling import resampled_signs
from shared.types import AnyArray, Bool, Id


@dataclass(frozen=True)
class Comparison:
    """What the same items say of two systems. A figure is a mean over items, the higher the better unless said.

    Attributes:
        n: items that both have a figure for.
        left_out: items without a figure for either.
        first: the first system's mean.
        second: the second system's mean.
        difference: first - second, with its paired bootstrap interval.
        p_value: two-sided, of the randomisation test that swaps the two systems' figures item by item.
        wins: items where the first is greater.
        losses: items where the second is greater.
        ties: items where they are equal.
        sign_p_value: two-sided, of the exact sign test over wins and losses.
    """

    n: int
    left_out: int
    first: float
    second: float
    difference: Metric
    p_value: float
    wins: int
    losses: int
    ties: int
    sign_p_value: float


def compare_paired(
    first: AnyArray,
    second: AnyArray,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Compare two systems by one figure each an item.

    Args:
        first: shape (n,), the first system's figures.
        second: shape (n,), the second's, of the same items in the same order. Items with NaN in either are left out.
        rng: source of randomness.
        resamples: of the bootstrap, and of the randomisation test, whose least p-value is 1 / (resamples + 1).
        confidence: coverage of the interval, in (0, 1).

    Raises:
        UsageError: the shapes differ, no item is left, or an argument is out of its range.

    Example:
        >>> found = compare_paired([1.0, 0.8, 0.9, 0.7], [0.5, 0.4, 0.9, 0.2], rng=np.random.default_rng(0))
        >>> round(found.difference.value, 2), (found.wins, found.losses, found.ties), found.sign_p_value
        (0.35, (3, 0, 1), 0.25)
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.ndim != 1 or one.shape != other.shape:
        raise UsageError(f"both systems must have one figure an item, shape (n,). Got {one.shape} and {other.shape}")
    kept = ~(np.isnan(one) | np.isnan(other))
    if not kept.any():
        raise UsageError(f"at least one item must have a figure of both systems. Got none of {one.size}")
    one, other = one[kept], other[kept]
    apart = one - other
    difference = mean_interval(apart, rng=rng, resamples=resamples, confidence=confidence)
    wins, losses = int((apart > 0).sum()), int((apart < 0).sum())
    return Comparison(
        n=apart.size,
        left_out=int((~kept).sum()),
        first=float(one.mean()),
        second=float(other.mean()),
        difference=difference,
        p_value=randomisation_p_value(apart, rng=rng, resamples=resamples),
        wins=wins,
        losses=losses,
        ties=apart.size - wins - losses,
        sign_p_value=sign_p_value(wins, losses),
    )


def randomisation_p_value(differences: AnyArray, *, rng: np.random.Generator, resamples: int = RESAMPLES) -> float:
    """Two-sided p-value of a mean difference of 0: how often random signs give one at least as far from 0.

    The differences as they are count as one of the draws, so the value is never 0 and the test is valid at any n.

    Args:
        differences: shape (n,), without NaN.
        rng: source of randomness.
        resamples: how often signs are drawn, at least 1.

    Example:
        >>> randomisation_p_value(np.zeros(5), rng=np.random.default_rng(0))
        1.0
    """
    values = np.asarray(differences, np.float64)
    if not values.size:
        return 1.0
    sums = resampled_signs(values, rng=rng, resamples=resamples)[:, 0]
    least = abs(values.sum()) - 1e-12 * np.abs(values).sum()  # sums in another order differ by so much
    reached = 1 + int((np.abs(sums) >= least).sum())
    return reached / (resamples + 1)


def sign_p_value(wins: int, losses: int) -> float:
    """Two-sided p-value of the exact sign test: as many wins as losses, or more lopsided, by tosses of a fair coin.

    Ties are left out by the caller. 1 where there are neither.

    Example:
        >>> round(sign_p_value(8, 2), 6)
        0.109375
    """
    if min(wins, losses) < 0:
        raise UsageError(f"wins and losses must be at least 0. Got {wins} and {losses} instead")
    if not wins + losses:
        return 1.0
    from scipy.special import bdtr  # noqa: PLC0415 - the only use of SciPy here

    return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5)))


def adjusted_p_values(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction for several comparisons: what stays below a level errs in all with that chance.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).

    Example:
        >>> adjusted_p_values({"a": 0.01, "b": 0.04})
        {'a': 0.02, 'b': 0.04}
    """
    found, least = {}, 0.0
    for place, (name, value) in enumerate(sorted(p_values.items(), key=lambda pair: pair[1])):
        least = min(1.0, max(least, (len(p_values) - place) * value))
        found[name] = least
    return {name: found[name] for name in p_values}


def benjamini_hochberg(p_values: Mapping[str, float]) -> dict[str, float]:
    """The step-up correction: calling those at most q true makes a share of q of the called ones false, at most.

    Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995).

    Example:
        >>> benjamini_hochberg({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'b': 0.04, 'c': 0.04}
    """
    found, least = {}, 1.0
    ranked = sorted(p_values.items(), key=lambda pair: pair[1], reverse=True)
    for place, (name, value) in enumerate(ranked):
        least = min(least, value * (len(ranked) / (len(ranked) - place)))  # a factor of 1 or more: never below value
        found[name] = least
    return {name: found[name] for name in p_values}


@dataclass(frozen=True)
class GroupGap:
    """A figure by group of users, and how far the best and the worst served are apart.

    Attributes:
        groups: each group's mean with its bootstrap interval.
        sizes: users with a figure in each.
        best: the group with the greatest mean.
        worst: the group with the least.
        gap: best - worst, with a bootstrap interval for these two groups. Where there are more than two, the two were
            picked because they lie farthest apart, so the interval reads high.
    """

    groups: Mapping[Id, Metric]
    sizes: Mapping[Id, int]
    best: Id
    worst: Id
    gap: Metric


def group_gap(
    values: AnyArray,
    groups: Sequence[Id] | AnyArray,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> GroupGap:
    """Fairness to groups of users: the gap of a figure between the best and the worst served.

    M. Ekstrand et al., "All the cool kids, how do they fit in?", FAT* 2018; Y. Li et al., "User-oriented fairness in
    recommendation", WWW 2021. Users are drawn again within their groups.

    Args:
        values: shape (n,), one figure a user; NaN is left out.
        groups: the group of each user, length n.
        rng: source of randomness.
        resamples: how often users are drawn again, at least 1.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        UsageError: the lengths differ, or fewer than two groups have a figure.

    Example:
        >>> found = group_gap([1.0, 1.0, 0.5, 0.5], ["old", "old", "new", "new"], rng=np.random.default_rng(0))
        >>> found.best, found.worst, found.gap.value
        ('old', 'new', 0.5)
    """
    figures, names = np.asarray(values, np.float64), np.asarray(groups)
    if figures.ndim != 1 or names.shape != figures.shape:
        raise UsageError(f"values and groups must have one length. Got {figures.shape} and {names.shape} instead")
    kept: Bool = ~np.isnan(figures)
    parts = {name.item(): figures[kept & (names == name)] for name in np.unique(names[kept])}
    if len(parts) < 2:
        raise UsageError(f"a gap needs at least two groups with a figure. Got {len(parts)}")
    options = {"resamples": resamples, "confidence": confidence}
    means = {name: mean_interval(part, rng=rng, **options) for name, part in parts.items()}  # type: ignore[arg-type]
    best, worst = max(means, key=lambda name: means[name].value), min(means, key=lambda name: means[name].value)
    draws = resampled_means(parts[best], rng=rng, resamples=resamples)
    draws = draws - resampled_means(parts[worst], rng=rng, resamples=resamples)
    gap = percentile_interval(means[best].value - means[worst].value, draws, confidence=confidence)
    return GroupGap(means, {name: len(part) for name, part in parts.items()}, best, worst, gap)
