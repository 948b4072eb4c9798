"""Whether two samples of a numeric column come from the same distribution, and how far they lie apart.

Kolmogorov and Smirnov's test is SciPy's. Wasserstein's distance is the area between the two distribution functions. The
population stability index: B. Yurdakul, *Statistical properties of population stability index* (Western Michigan
University, 2018). What has no distribution of its own is held against the same of items that change sides at random.
What a test says stands in :mod:`shared.monitoring.counts`, with the tests of categories.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shared.errors import UsageError
from shared.monitoring.counts import CELLS, MOST, NOTHING, Tested, independent, positive, psi
from shared.monitoring.multiple import drawn_p_value
from shared.types import AnyArray, Float64

BINS = 10
_SAMPLE = 20_000


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
    return Tested(float(found.statistic), float(found.statistic), positive(float(found.pvalue)))


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
    return Tested(apart, apart, independent(counts, rng, most)[1])


def _exchanges(
    sides: AnyArray, statistic: Callable[[AnyArray], Float64], rng: np.random.Generator
) -> Callable[[int], Float64]:
    """Statistics of items that change sides; ``sides``: (N,), bool, true where an item is of the window."""

    def draw(number: int) -> Float64:
        most = max(1, CELLS // sides.size)
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


def _finite(values: AnyArray) -> Float64:
    found = np.asarray(values, np.float64)
    if found.ndim != 1:
        raise UsageError(f"a column must have shape (n,). Got {found.shape} instead")
    return found[np.isfinite(found)]


def _sampled(values: AnyArray, rng: np.random.Generator) -> Float64:
    """At most 20,000 of the values, so that exchanges stay cheap."""
    found = _finite(values)
    return found if found.size <= _SAMPLE else rng.choice(found, _SAMPLE, replace=False)
