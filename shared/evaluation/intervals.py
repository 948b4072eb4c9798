"""Confidence intervals: the bootstrap for any statistic, and Wilson's for a proportion.

Bootstrap: B. Efron and R. Tibshirani, *An Introduction to the Bootstrap* (1993), percentile interval (section 13.3).
Wilson: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from shared.errors import UsageError
from shared.evaluation.report import Metric
from shared.evaluation.resampling import EXACT
from shared.evaluation.resampling import resampled_means as many_means
from shared.types import Float64, Int64

RESAMPLES = 1000
CONFIDENCE = 0.95
"""What every figure of this project is printed with, unless its caller asks for others."""
_BLOCK = 4_000_000
"""Resampled values held at once, so that memory stays near 64 MB whatever the number of items."""


def bootstrap(
    statistic: Callable[[Int64], float],
    n: int,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Metric:
    """Percentile bootstrap over items.

    Args:
        statistic: from positions of items, an int64 array of shape (n,) with repeats, to the figure.
        n: number of items, at least 1.
        rng: source of randomness.
        resamples: how often items are drawn again, at least 1.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        The statistic of all items in their order, and the interval. Resamples in which the statistic is not a
        number (a class that was not drawn, say) are left out.

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> truth = np.array([1.0, 0.0, 1.0, 1.0])
        >>> bootstrap(lambda i: float(truth[i].mean()), 4, rng=np.random.default_rng(0)).value
        0.75
    """
    _check(n, resamples, confidence)
    value = statistic(np.arange(n))
    draws = np.array([statistic(rng.integers(0, n, n)) for _ in range(resamples)])
    return percentile_interval(value, draws, confidence=confidence)


def mean_interval(
    values: Float64, *, rng: np.random.Generator, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Metric:
    """Percentile bootstrap of a mean, vectorised; see :func:`resampled_means` for what it costs with many items.

    Args:
        values: one figure an item, shape (n,), n at least 1. NaN is refused.
        rng: source of randomness.
        resamples: how often items are drawn again, at least 1.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> metric = mean_interval(np.array([0.0, 1.0, 1.0, 1.0]), rng=np.random.default_rng(0))
        >>> metric.value, metric.low < 0.75 < metric.high
        (0.75, True)
    """
    values = np.asarray(values, dtype=np.float64)
    _check(values.size, resamples, confidence)
    if values.ndim != 1 or np.isnan(values).any():
        raise UsageError(f"values must be a (n,) array without NaN. Got shape {values.shape} instead")
    draws = resampled_means(values, rng=rng, resamples=resamples)
    return percentile_interval(float(values.mean()), draws, confidence=confidence)


def resampled_means(values: Float64, *, rng: np.random.Generator, resamples: int = RESAMPLES) -> Float64:
    """The mean of each resample. Above 20,000 items it is drawn as :mod:`shared.evaluation.resampling` says.

    Args:
        values: one figure an item, shape (n,), n at least 1, finite.
        rng: source of randomness.
        resamples: how often items are drawn again, at least 1.

    Returns:
        Shape (resamples,).
    """
    if values.size > EXACT and np.isfinite(values).all():
        return many_means(values, rng=rng, resamples=resamples)
    block = max(1, _BLOCK // values.size)
    sizes = [min(block, resamples - at) for at in range(0, resamples, block)]
    draws = [values[rng.integers(0, values.size, (size, values.size))].mean(axis=1) for size in sizes]
    return np.concatenate(draws)


def wilson(successes: int, n: int, *, confidence: float = CONFIDENCE) -> Metric:
    """Wilson's score interval of a proportion.

    Args:
        successes: how many of ``n``, in 0..n.
        n: trials, at least 1.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> metric = wilson(8, 10)
        >>> round(metric.low, 4), round(metric.high, 4)
        (0.4902, 0.9433)
    """
    _check(n, 1, confidence)
    if not 0 <= successes <= n:
        raise UsageError(f"successes must lie in 0..{n}. Got {successes} instead")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Metric(p, max(0.0, centre - half), min(1.0, centre + half))


def percentile_interval(value: float, draws: Float64, *, confidence: float = CONFIDENCE) -> Metric:
    """The interval between the outer percentiles of bootstrap draws, NaN draws left out.

    Args:
        value: the figure itself.
        draws: the statistic of each resample, shape (resamples,).
        confidence: coverage of the interval, in (0, 1).
    """
    draws = draws[~np.isnan(draws)]
    if draws.size == 0:
        return Metric(value, value, value)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Metric(value, float(low), float(high))


def _check(n: int, resamples: int, confidence: float) -> None:
    if n < 1:
        raise UsageError(f"an interval needs at least 1 item. Got {n} instead")
    if resamples < 1:
        raise UsageError(f"resamples must be at least 1. Got {resamples} instead")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1. Got {confidence} instead")
