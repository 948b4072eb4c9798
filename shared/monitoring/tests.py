"""Whether two samples of one column come from the same distribution, and how far they lie apart.

Each test gives a p-value, which says whether a difference can be chance, and an effect, which says whether it matters:
of a million items every difference is significant. The p-values are of two samples, as a reference is a sample too.

Kolmogorov and Smirnov's test, Wasserstein's distance and chi-square are SciPy's. The population stability index: B.
Yurdakul, *Statistical properties of population stability index* (Western Michigan University, 2018). Where counts are
small, and for what has no distribution of its own, items change sides at random: the p-values are then exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.monitoring.multiple import drawn_p_value
from shared.types import AnyArray, Float64, Int64

BINS = 10
MOST = 4000
"""Exchanges that a permutation test draws at the most, if it is not told otherwise."""
_RARE = 5
"""Categories of which the smaller sample expects fewer are counted as one."""
_SMALL = 20
"""Chi-square's own distribution is trusted where every cell expects so many; in its far tail 5 are too few."""
_SAMPLE = 20_000
_CELLS = 4_000_000


@dataclass(frozen=True)
class Tested:
    """What a test says of one column.

    Attributes:
        statistic: the test's own.
        effect: how far the samples lie apart, at least 0; each test's docstring says in what unit.
        p_value: in (0, 1]; 1 where a sample has too few values to say anything.
    """

    statistic: float
    effect: float
    p_value: float


NOTHING = Tested(0.0, 0.0, 1.0)
"""Of samples too small to say anything."""


def kolmogorov_smirnov(reference: AnyArray, window: AnyArray) -> Tested:
    """The greatest difference D of the two distribution functions; the effect is D, in [0, 1].

    Args:
        reference: shape (n,), values that are not finite are missing.
        window: shape (m,), the same.

    Example:
        >>> found = kolmogorov_smirnov(np.arange(10.0), np.arange(5.0, 15.0))
        >>> found.statistic, round(found.p_value, 4)
        (0.5, 0.1678)
    """
    from scipy.stats import ks_2samp  # noqa: PLC0415 - heavy

    one, other = _finite(reference), _finite(window)
    if min(one.size, other.size) < 2:
        return NOTHING
    exact = one.size * other.size <= 250_000  # beyond it the two agree, and the exact one costs seconds
    found = ks_2samp(one, other, method="exact" if exact else "asymp")
    return Tested(float(found.statistic), float(found.statistic), _positive(float(found.pvalue)))


def wasserstein(reference: AnyArray, window: AnyArray, *, rng: np.random.Generator, most: int = MOST) -> Tested:
    """How far values must be moved on average; the effect is that in standard deviations of the reference.

    Args:
        reference: shape (n,), values that are not finite are missing.
        window: shape (m,), the same.
        rng: of the exchanges.
        most: of them, at the most.

    Example:
        >>> wasserstein(np.array([0.0, 1, 2, 3]), np.array([1.0, 2, 3, 4]), rng=np.random.default_rng(0)).statistic
        1.0
    """
    one, other = _sampled(reference, rng), _sampled(window, rng)
    if min(one.size, other.size) < 2:
        return NOTHING
    values, sides = _pooled(one, other)
    gaps = np.diff(values)

    def moved(inside: AnyArray) -> Float64:
        share = inside.cumsum(axis=1)[:, :-1]  # (draws, N - 1), of the window up to each value
        rest = np.arange(1, values.size) - share
        return np.asarray(np.abs(share / other.size - rest / one.size) @ gaps)

    seen = float(moved(sides[None])[0])
    spread = float(one.std()) or float(values.std()) or 1.0
    return Tested(seen, seen / spread, drawn_p_value(seen, _exchanges(sides, moved, rng), most=most))


def population_stability(
    reference: AnyArray, window: AnyArray, *, rng: np.random.Generator, bins: int = BINS, most: int = MOST
) -> Tested:
    """PSI over bins that part at the quantiles of the reference; the effect is it less what chance alone gives.

    Without drift it comes out near (bins - 1) (1/n + 1/m), which is much for small windows and is taken off; the
    p-value is of items that change sides, with the bins found anew.

    Args:
        reference: shape (n,), values that are not finite are missing.
        window: shape (m,), the same.
        rng: of the exchanges.
        bins: at least 2; fewer where values are equal.
        most: exchanges at the most.

    Raises:
        UsageError: ``bins`` is below 2.

    Example:
        >>> both = np.arange(100.0)
        >>> population_stability(both, both, rng=np.random.default_rng(0)).statistic
        0.0
    """
    if bins < 2:
        raise UsageError(f"bins must be at least 2. Got {bins} instead")
    one, other = _sampled(reference, rng), _sampled(window, rng)
    if min(one.size, other.size) < 2:
        return NOTHING
    values, sides = _pooled(one, other)
    ends = np.flatnonzero(np.append(np.diff(values) > 0, True))  # the last place of each different value
    wanted = np.ceil(np.arange(1, bins) * one.size / bins)

    def apart(inside: AnyArray) -> Float64:
        share = inside.cumsum(axis=1)[:, ends]  # (draws, values), of the window up to each value
        rest = ends + 1 - share
        found = np.empty(len(share))
        for k, (theirs, own) in enumerate(zip(rest, share)):
            at = np.searchsorted(theirs, wanted, side="left")
            edges = np.unique(np.append(at, ends.size - 1))
            found[k] = psi(np.diff(theirs[edges], prepend=0), np.diff(own[edges], prepend=0))
        return found

    seen = float(apart(sides[None])[0])
    used = len(np.unique(np.quantile(one, np.arange(1, bins) / bins, method="inverted_cdf")))
    chance = used * (1 / one.size + 1 / other.size)
    return Tested(seen, max(0.0, seen - chance), drawn_p_value(seen, _exchanges(sides, apart, rng), most=most))


def psi(reference: AnyArray, window: AnyArray, *, smoothing: float = 0.5) -> float:
    """The population stability index, the sum of (q - p) ln(q / p) over cells that any of the two samples has.

    Args:
        reference: shape (cells,), counts.
        window: shape (cells,), counts.
        smoothing: added to each cell of each sample, so that an empty cell is not infinitely far; above 0.

    Raises:
        UsageError: shapes differ, a count is below 0, a sample is empty or ``smoothing`` is not above 0.

    Example:
        >>> round(psi(np.array([50, 50]), np.array([25, 75]), smoothing=1e-9), 4)  # 0.25 ln(0.75 / 0.25)
        0.2747
    """
    one, other = np.asarray(reference, np.float64), np.asarray(window, np.float64)
    if one.ndim != 1 or one.shape != other.shape or not smoothing > 0:
        raise UsageError(f"counts must have one shape (cells,). Got {one.shape} and {other.shape}, {smoothing=}")
    if min(one.min(initial=0), other.min(initial=0)) < 0 or not one.sum() > 0 or not other.sum() > 0:
        raise UsageError("counts must be at least 0, and some of each sample above it. Got others")
    some = (one + other) > 0
    p, q = one[some] + smoothing, other[some] + smoothing
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def missing_rate(reference: AnyArray, window: AnyArray, *, rng: np.random.Generator, most: int = MOST) -> Tested:
    """Whether another share of the values is missing (not finite); statistic and effect are the difference of shares.

    Args:
        reference: shape (n,).
        window: shape (m,).
        rng: of the exchanges.
        most: of them, at the most.
    """
    both = [np.asarray(side, np.float64) for side in (reference, window)]
    if not both[0].size or not both[1].size:
        return NOTHING
    counts = np.array([[np.isfinite(side).sum(), (~np.isfinite(side)).sum()] for side in both])
    apart = float(abs(counts[1, 1] / counts[1].sum() - counts[0, 1] / counts[0].sum()))
    return Tested(apart, apart, _independent(counts, rng, most)[1])


def chi_square(
    reference: Mapping[str, int], window: Mapping[str, int], *, rng: np.random.Generator, most: int = MOST
) -> Tested:
    """Whether categories come in other shares; the effect is the share of items that would have to change category.

    Categories of which the smaller sample would have fewer than 5 are counted as one, by the counts of both samples
    together, so that new ones and lost ones are in the test. Where a cell expects fewer than 20, items change sides at
    random instead of the distribution of chi-square.

    Args:
        reference: counts by category.
        window: the same.
        rng: of the exchanges.
        most: of them, at the most.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = chi_square({"en": 900, "de": 100}, {"en": 80, "fr": 20}, rng=rng)
        >>> round(found.effect, 2), found.p_value < 0.001
        (0.2, True)
    """
    counts = _table(reference, window)
    if min(counts.sum(axis=1)) < 2:
        return NOTHING
    total = counts.sum(axis=0)
    expected = total * (counts.sum(axis=1).min() / total.sum())
    rare = expected < _RARE
    if rare.sum() > 1:
        counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
    statistic, p_value = _independent(counts, rng, most)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return Tested(statistic, float(np.abs(shares[1] - shares[0]).sum() / 2), p_value)


def category_stability(
    reference: Mapping[str, int], window: Mapping[str, int], *, rng: np.random.Generator, most: int = MOST
) -> Tested:
    """PSI over categories; the effect is it less what chance alone gives, (cells - 1) (1/n + 1/m).

    Args:
        reference: counts by category.
        window: the same.
        rng: of the exchanges.
        most: of them, at the most.
    """
    counts = _table(reference, window)
    n, m = (int(side) for side in counts.sum(axis=1))
    if min(n, m) < 2:
        return NOTHING
    seen = psi(counts[0], counts[1])
    total = counts.sum(axis=0)

    def apart(inside: Int64) -> Float64:
        return np.array([psi(total - one, one) for one in inside])

    chance = (np.count_nonzero(total) - 1) * (1 / n + 1 / m)
    return Tested(seen, max(0.0, seen - chance), drawn_p_value(seen, _deals(total, m, apart, rng), most=most))


def new_categories(
    reference: Mapping[str, int], window: Mapping[str, int], *, rng: np.random.Generator, most: int = MOST
) -> Tested:
    """Whether more items than by chance are of categories that the reference has not; the effect is their share.

    Of ids with a long tail some are always new; random exchanges of items say how many.

    Args:
        reference: counts by category.
        window: the same.
        rng: of the exchanges.
        most: of them, at the most.
    """
    counts = _table(reference, window)
    n, m = (int(side) for side in counts.sum(axis=1))
    if min(n, m) < 2:
        return NOTHING
    total = counts.sum(axis=0)

    def new(inside: Int64) -> Float64:
        return np.where(inside == total, inside, 0).sum(axis=1) / m

    seen = float(new(counts[1:])[0])
    p_value = drawn_p_value(seen, _deals(total, m, new, rng), most=most) if seen > 0 else 1.0
    return Tested(seen, seen, p_value)


def _independent(counts: Int64, rng: np.random.Generator, most: int) -> tuple[float, float]:
    """Pearson's chi-square of a table of two rows, and its p-value."""
    from scipy.stats import chi2  # noqa: PLC0415 - heavy

    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2:
        return 0.0, 1.0
    total, m = counts.sum(axis=0), int(counts[1].sum())
    share = m / total.sum()
    expected = np.array([total * (1 - share), total * share])

    def pearson(inside: Int64) -> Float64:
        # Both rows are as far from what they expect, so that one gives the sum of both.
        return np.asarray((inside - expected[1]) ** 2 @ (1 / expected[0] + 1 / expected[1]))

    seen = float(pearson(counts[1:])[0])
    if expected.min() >= _SMALL or total.sum() >= 1e9:  # NumPy deals no more than that
        return seen, _positive(float(chi2.sf(seen, counts.shape[1] - 1)))
    return seen, drawn_p_value(seen, _deals(total, m, pearson, rng), most=most)


def _deals(
    total: Int64, m: int, statistic: Callable[[Int64], Float64], rng: np.random.Generator
) -> Callable[[int], Float64]:
    """Statistics of windows of ``m`` items that are drawn from both samples together, in counts."""

    def draw(number: int) -> Float64:
        most = max(1, _CELLS // total.size)
        sizes = [min(most, number - k) for k in range(0, number, most)]
        found = [rng.multivariate_hypergeometric(total, m, size=size, method="marginals") for size in sizes]
        return np.concatenate([statistic(one) for one in found])

    return draw


def _exchanges(
    sides: AnyArray, statistic: Callable[[AnyArray], Float64], rng: np.random.Generator
) -> Callable[[int], Float64]:
    """Statistics of items that change sides; ``sides``: (N,), bool, true where an item is of the window."""

    def draw(number: int) -> Float64:
        most = max(1, _CELLS // sides.size)
        sizes = [min(most, number - k) for k in range(0, number, most)]
        return np.concatenate(
            [statistic(rng.permuted(np.broadcast_to(sides, (size, sides.size)), axis=1)) for size in sizes]
        )

    return draw


def _pooled(one: Float64, other: Float64) -> tuple[Float64, AnyArray]:
    """Both samples in order, and which values are of the second."""
    values = np.concatenate([one, other])
    order = np.argsort(values, kind="stable")
    return values[order], order >= one.size


def _table(reference: Mapping[str, int], window: Mapping[str, int]) -> Int64:
    names = sorted(set(reference) | set(window))
    found = np.array([[side.get(name, 0) for name in names] for side in (reference, window)], np.int64)
    return found[:, found.sum(axis=0) > 0]


def _finite(values: AnyArray) -> Float64:
    found = np.asarray(values, np.float64)
    if found.ndim != 1:
        raise UsageError(f"a column must have shape (n,). Got {found.shape} instead")
    return found[np.isfinite(found)]


def _sampled(values: AnyArray, rng: np.random.Generator) -> Float64:
    """At most 20,000 of the values, so that exchanges stay cheap."""
    found = _finite(values)
    return found if found.size <= _SAMPLE else rng.choice(found, _SAMPLE, replace=False)


def _positive(p_value: float) -> float:
    """What underflowed to 0 is as small as can be written, as no p-value is 0."""
    return min(1.0, max(p_value, 1e-300))
