"""Tests for one look at a planned end: Welch, two proportions, the bootstrap. Looked at early or often they mislead.

B. L. Welch, "The generalization of Student's problem when several different population variances are involved",
Biometrika 34 (1947). R. Newcombe, "Interval estimation for the difference between independent proportions: comparison
of eleven methods", Statistics in Medicine 17 (1998), method 10. For repeated looks see
:mod:`shared.experiments.sequential`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataError, UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval, wilson
from shared.experiments.metrics import Estimate
from shared.types import AnyArray, Float64, Result

_BLOCK = 4_000_000
"""Draws held at once."""
_ROUNDING = 1e-13
"""A standard error below this share of the figures is the rounding of a constant."""


@dataclass(frozen=True, eq=False)
class Difference(Result):
    """Treatment minus control.

    Attributes:
        value: the difference.
        low: lower end of its interval.
        high: upper end.
        standard_error: of the difference.
        p_value: two-sided, of no difference.
    """

    value: float
    low: float
    high: float
    standard_error: float
    p_value: float


def welch(control: Estimate, treatment: Estimate, *, confidence: float = CONFIDENCE) -> Difference:
    """Welch's unequal-variances t-test, degrees of freedom by Welch and Satterthwaite.

    Args:
        control: the control's figure.
        treatment: the treatment's.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        DataError: neither arm varies, so that nothing can be tested.

    Example:
        >>> found = welch(Estimate(10, 1.0, 0.02), Estimate(10, 1.5, 0.02))
        >>> round(found.value, 2), round(found.p_value, 4)
        (0.5, 0.0223)
    """
    from scipy.stats import t as student  # noqa: PLC0415 - SciPy takes long to import

    variance = spread(control, treatment)
    parts = control.variance**2 / (control.n - 1) + treatment.variance**2 / (treatment.n - 1)
    df = variance**2 / parts if parts else math.inf
    value, error = treatment.value - control.value, math.sqrt(variance)
    half = float(student.ppf(0.5 + confidence / 2, df)) * error
    return Difference(value, value - half, value + half, error, float(2 * student.sf(abs(value) / error, df)))


def spread(control: Estimate, treatment: Estimate, *, what: str = "a metric") -> float:
    """The variance of the difference of two arms.

    Args:
        control: the control's figure.
        treatment: the treatment's.
        what: was measured, for the message.

    Raises:
        DataError: it is 0, but for rounding.
    """
    variance = control.variance + treatment.variance
    if not variance > (_ROUNDING * max(abs(control.value), abs(treatment.value))) ** 2:
        raise DataError(
            f"{what} must vary within at least one arm. Every unit of both has the same value, so nothing can be "
            "tested: leave it out"
        )
    return variance


def steadied(control: Estimate, treatment: Estimate) -> tuple[Estimate, Estimate]:
    """Both figures with the variance of a unit pooled over the arms, where that makes their difference less sure.

    In a small arm beside a large one a mean of skewed values and its own variance err together: while the greatest
    values have not been seen, both are too low, and intervals looked at early exclude what is true too often. Over both
    arms the variance does not follow the small arm's mean. Arms of one size are left nearly as they are.

    Example:
        >>> small, large = Estimate(100, 1.0, 0.01), Estimate(900, 1.2, 0.01)
        >>> [round(one.variance, 4) for one in steadied(large, small)]
        [0.0091, 0.082]
    """
    units = control.n + treatment.n
    one = (control.n * control.variance * control.n + treatment.n * treatment.variance * treatment.n) / units
    if one / control.n + one / treatment.n <= control.variance + treatment.variance:
        return control, treatment
    return replace(control, variance=one / control.n), replace(treatment, variance=one / treatment.n)


def proportions(successes: tuple[int, int], units: tuple[int, int], *, confidence: float = CONFIDENCE) -> Difference:
    """Two proportions: the z-test with the pooled variance, and Newcombe's interval out of two of Wilson's.

    The interval keeps its coverage near 0 and 1, where that of the z-test does not.

    Args:
        successes: of control and treatment.
        units: of control and treatment.
        confidence: coverage of the interval.

    Raises:
        UsageError: a count is out of its range.
        DataError: nobody, or everybody, of both arms succeeded.

    Example:
        >>> found = proportions((40, 60), (100, 100))
        >>> round(found.p_value, 5), round(found.low, 4), round(found.high, 4)
        (0.00468, 0.0614, 0.3281)
    """
    one, other = (wilson(s, n, confidence=confidence) for s, n in zip(successes, units))
    pooled = sum(successes) / sum(units)
    variance = pooled * (1 - pooled) * (1 / units[0] + 1 / units[1])
    if variance == 0:
        raise DataError(f"a proportion must lie between 0 and 1 in all. Got {sum(successes)} of {sum(units)} units")
    value = other.value - one.value
    low = value - math.hypot(other.value - other.low, one.high - one.value)
    high = value + math.hypot(other.high - other.value, one.value - one.low)
    return Difference(value, low, high, math.sqrt(variance), math.erfc(abs(value) / math.sqrt(2 * variance)))


def _mean(draws: Float64) -> Float64:
    return np.asarray(draws.mean(axis=-1))


def bootstrap(
    control: AnyArray,
    treatment: AnyArray,
    *,
    rng: np.random.Generator,
    statistic: Callable[[Float64], Float64] = _mean,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Difference:
    """The percentile bootstrap of the difference of any statistic; arms are drawn again each within itself.

    The p-value inverts the interval: twice the share of draws on the far side of 0, never under 2 / (resamples + 1).

    Args:
        control: shape (n,), one finite number a unit.
        treatment: shape (m,).
        rng: source of randomness.
        statistic: from float64 (draws, n) to float64 (draws,), over the last axis.
        resamples: how often units are drawn again, at least 1.
        confidence: coverage of the interval.

    Raises:
        UsageError: an array has another shape, fewer than 2 units, or NaN.

    Example:
        >>> found = bootstrap(np.arange(50.0), np.arange(50.0) + 20, rng=np.random.default_rng(0))
        >>> found.value, found.low > 10, found.p_value < 0.01
        (20.0, True, True)
    """
    arms = [np.asarray(values, np.float64) for values in (control, treatment)]
    for values in arms:
        if values.ndim != 1 or values.size < 2 or not np.isfinite(values).all():
            raise UsageError(f"each arm must be one finite number a unit, shape (n,), n >= 2. Got {values.shape}")
    draws = _redrawn(arms[1], statistic, rng, resamples) - _redrawn(arms[0], statistic, rng, resamples)
    value = float(statistic(arms[1][None])[0] - statistic(arms[0][None])[0])
    found = percentile_interval(value, draws, confidence=confidence)
    tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p_value = min(1.0, 2 * (tail + 1) / (draws.size + 1))
    return Difference(value, found.low, found.high, float(draws.std(ddof=1)) if draws.size > 1 else 0.0, p_value)


def _redrawn(
    values: Float64, statistic: Callable[[Float64], Float64], rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    size = max(1, _BLOCK // values.size)
    blocks = [min(size, resamples - start) for start in range(0, resamples, size)]
    return np.concatenate([statistic(values[rng.integers(0, values.size, (b, values.size))]) for b in blocks])


def relative(control: Estimate, treatment: Estimate, *, reach: float) -> tuple[float, float, float] | None:
    """The difference as a share of the control's value, with its interval by the delta method.

    Args:
        control: the control's figure.
        treatment: the treatment's.
        reach: half the interval's width in standard errors.

    Returns:
        The share and the ends of its interval; ``None`` where the control's value lies within ``reach`` standard errors
        of 0, since a share of nothing says nothing.
    """
    if control.value == 0 or abs(control.value) <= reach * math.sqrt(control.variance):
        return None
    value = treatment.value / control.value - 1
    error = math.sqrt(treatment.variance / control.value**2 + control.variance * treatment.value**2 / control.value**4)
    return value, value - reach * error, value + reach * error
