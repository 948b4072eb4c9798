"""Intervals by formula: of a mean, and of the difference of two means, by Student's t or the normal distribution.

Student, "The probable error of a mean", Biometrika 6 (1908); unequal variances: B. L. Welch, "The generalization of
'Student's' problem when several different population variances are involved", Biometrika 34 (1947). A proportion has
:func:`shared.evaluation.intervals.wilson`.
"""

from __future__ import annotations

import math

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE
from shared.evaluation.report import Metric
from shared.types import AnyArray, Float64

KINDS = ("t", "normal")


def mean_by_formula(values: AnyArray, *, kind: str = "t", confidence: float = CONFIDENCE) -> Metric:
    """Interval of a mean: mean plus and minus the quantile times s / sqrt(n).

    Args:
        values: one figure an item, shape (n,), finite, n at least 2.
        kind: ``"t"`` with n - 1 degrees of freedom, exact for normal values; or ``"normal"``, for many.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        UnknownNameError: no kind has that name.
        UsageError: an argument is out of its range.

    Example:
        >>> metric = mean_by_formula(np.array([1.0, 2.0, 3.0, 4.0]))
        >>> round(metric.low, 4), round(metric.high, 4)
        (0.4457, 4.5543)
    """
    found = _checked(values, "values")
    half = _quantile(kind, confidence, found.size - 1) * math.sqrt(found.var(ddof=1) / found.size)
    return _around(float(found.mean()), half)


def difference_by_formula(
    first: AnyArray, second: AnyArray, *, paired: bool, kind: str = "t", confidence: float = CONFIDENCE
) -> Metric:
    """Interval of the difference of two means, first - second.

    Args:
        first: the first system's figures, shape (n,), finite, n at least 2.
        second: the second's, shape (m,), finite, m at least 2; where ``paired``, of the same items in the same order.
        paired: whether both were measured on the same items; else the two are independent, and ``"t"`` is Welch's.
        kind: ``"t"`` or ``"normal"``.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        UnknownNameError: no kind has that name.
        UsageError: an argument is out of its range, or paired figures differ in number.

    Example:
        >>> metric = difference_by_formula([1.0, 2.0, 3.0], [0.5, 1.0, 2.5], paired=True)
        >>> round(metric.value, 4), round(metric.low, 4), round(metric.high, 4)
        (0.6667, -0.0504, 1.3838)
    """
    one, other = _checked(first, "first"), _checked(second, "second")
    if paired:
        if one.size != other.size:
            raise UsageError(f"paired figures must be of the same items. Got {one.size} and {other.size}")
        return mean_by_formula(one - other, kind=kind, confidence=confidence)
    parts = np.array([one.var(ddof=1) / one.size, other.var(ddof=1) / other.size])
    below = float((parts**2 / [one.size - 1, other.size - 1]).sum())
    freedom = float(parts.sum() ** 2 / below) if below > 0 else one.size + other.size - 2.0
    half = _quantile(kind, confidence, freedom) * math.sqrt(parts.sum())
    return _around(float(one.mean() - other.mean()), half)


def _around(value: float, half: float) -> Metric:
    return Metric(value, value - half, value + half)


def _quantile(kind: str, confidence: float, freedom: float) -> float:
    from scipy.special import ndtri, stdtrit  # noqa: PLC0415 - heavy, and asked only here

    if kind not in KINDS:
        raise UnknownNameError("kind of interval", kind, KINDS)
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1. Got {confidence} instead")
    at = 0.5 + confidence / 2
    return float(stdtrit(freedom, at) if kind == "t" else ndtri(at))


def _checked(values: AnyArray, name: str) -> Float64:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or found.size < 2 or not np.isfinite(found).all():
        raise UsageError(f"{name} must be a (n,) array of at least 2 finite figures. Got shape {found.shape} instead")
    return found
