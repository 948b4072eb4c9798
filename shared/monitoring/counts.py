"""Whether two samples of a categorical column come from the same distribution; and what any such test says.

Each test gives a p-value, which says whether a difference can be chance, and an effect, which says whether it matters:
of a million items every difference is significant. The p-values are of two samples, as a reference is a sample too.
Where counts are small, items change sides at random in the place of a distribution that holds for many: the p-values
are then exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from shared.errors import UsageError
from shared.monitoring.multiple import drawn_p_value
from shared.types import AnyArray, Float64, Int64

MOST = 4000
"""Exchanges that a permutation test draws at the most, if it is not told otherwise."""
_RARE = 5
"""Categories of which the smaller sample expects fewer are counted as one."""
_SMALL = 20
"""Chi-square's own distribution is trusted where every cell expects so many; in its far tail 5 are too few."""
CELLS = 4_000_000
"""Numbers that draws hold at once."""


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
    statistic, p_value = independent(counts, rng, most)
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

    def apart(total: Int64, inside: Int64) -> Float64:
        return np.array([psi(total - one, one) for one in inside])

    counts = _table(reference, window)
    found = _dealt(counts, apart, rng, most)
    n, m = np.maximum(1, counts.sum(axis=1)).tolist()
    return replace(found, effect=max(0.0, found.statistic - (counts.shape[1] - 1) * (1 / n + 1 / m)))


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

    def new(total: Int64, inside: Int64) -> Float64:
        return np.asarray(np.where(inside == total, inside, 0).sum(axis=1) / inside.sum(axis=1))

    return _dealt(_table(reference, window), new, rng, most)


def independent(counts: Int64, rng: np.random.Generator, most: int) -> tuple[float, float]:
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
        return seen, positive(float(chi2.sf(seen, counts.shape[1] - 1)))
    return seen, drawn_p_value(seen, _deals(total, m, pearson, rng), most=most)


def _dealt(counts: Int64, statistic: Callable[[Int64, Int64], Float64], rng: np.random.Generator, most: int) -> Tested:
    """A statistic of all counts together and those of windows, and how often windows dealt from both exceed it."""
    if min(counts.sum(axis=1)) < 2:
        return NOTHING
    total, m = counts.sum(axis=0), int(counts[1].sum())
    seen = float(statistic(total, counts[1:])[0])
    deals = _deals(total, m, lambda inside: statistic(total, inside), rng)
    return Tested(seen, seen, drawn_p_value(seen, deals, most=most) if seen > 0 else 1.0)


def _deals(
    total: Int64, m: int, statistic: Callable[[Int64], Float64], rng: np.random.Generator
) -> Callable[[int], Float64]:
    """Statistics of windows of ``m`` items that are drawn from both samples together, in counts."""

    def draw(number: int) -> Float64:
        most = max(1, CELLS // total.size)
        sizes = [min(most, number - k) for k in range(0, number, most)]
        found = [rng.multivariate_hypergeometric(total, m, size=size, method="marginals") for size in sizes]
        return np.concatenate([statistic(one) for one in found])

    return draw


def _table(reference: Mapping[str, int], window: Mapping[str, int]) -> Int64:
    names = sorted(set(reference) | set(window))
    found = np.array([[side.get(name, 0) for name in names] for side in (reference, window)], np.int64)
    return found[:, found.sum(axis=0) > 0]


def positive(p_value: float) -> float:
    """What underflowed to 0 is as small as can be written, as no p-value is 0."""
    return min(1.0, max(p_value, 1e-300))
