"""Bootstrap intervals of figures that are made of totals: percentile, and BCa, over items or over groups of them.

BCa, bias-corrected and accelerated: B. Efron, "Better bootstrap confidence intervals", JASA 82 (1987); the acceleration
is the jackknife's, formula 14.15 of B. Efron and R. Tibshirani, *An Introduction to the Bootstrap* (1993).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval
from shared.evaluation.report import Metric
from shared.evaluation.resampling import as_sums, grouped_sums, in_blocks, resampled_sums, total_of
from shared.types import AnyArray, Float64, Id

METHODS = ("bca", "percentile")
Figure = Callable[[Float64], Float64]
"""From totals, shape (..., d), to the figure, shape (...): one call serves every resample."""


def ratio(totals: Float64) -> Float64:
    """First total over second: a mean by (value, 1), a weighted mean by (weight * value, weight). NaN over 0.

    Example:
        >>> float(ratio(np.array([3.0, 4.0])))
        0.75
    """
    return _divided(totals[..., 0], totals[..., 1])


def f1(totals: Float64) -> Float64:
    """F1 of totals (right, predicted, true), as :func:`shared.evaluation.spans.f1` has it; 0 where both sides are 0.

    Example:
        >>> float(f1(np.array([3.0, 4.0, 4.0])))
        0.75
    """
    return np.nan_to_num(_divided(2 * totals[..., 0], totals[..., 1] + totals[..., 2]))


def sums_interval(
    figure: Figure,
    sums: AnyArray,
    *,
    rng: np.random.Generator,
    groups: Sequence[Id] | AnyArray | None = None,
    method: str = "bca",
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Metric:
    """Bootstrap interval of a figure of totals, vectorised over resamples and over the jackknife.

    With more than 20,000 items of many distinct values both take random blocks of items in place of items; see
    :mod:`shared.evaluation.resampling`.

    Args:
        figure: from totals, shape (..., d), to the figure, shape (...); it must not depend on how many items there are
            unless a column of ones tells it (:func:`ratio` of (value, 1) is a mean).
        sums: what each item adds to the totals, shape (n, d) or (n,), finite, n at least 1.
        rng: source of randomness.
        groups: the group of each item, length n; rows of one group are then drawn together. None draws items.
        method: ``"bca"`` or ``"percentile"``.
        resamples: how often items are drawn again, at least 1.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        UnknownNameError: no method has that name.
        UsageError: an argument is out of its range.

    Example:
        >>> weights, values = np.array([1.0, 2.0, 1.0, 4.0]), np.array([0.2, 0.9, 0.4, 0.5])
        >>> rows = np.stack([weights * values, weights], axis=1)
        >>> round(sums_interval(ratio, rows, rng=np.random.default_rng(0)).value, 3)
        0.55
    """
    if method not in METHODS:
        raise UnknownNameError("interval method", method, METHODS)
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1. Got {confidence} instead")
    rows = as_sums(sums) if groups is None else grouped_sums(sums, groups)
    total = total_of(rows)
    value = float(figure(total))
    rows = in_blocks(rows, rng=rng)  # once, so that the jackknife costs no more than the draws
    draws = figure(resampled_sums(rows, rng=rng, resamples=resamples))
    if method == "percentile":
        return percentile_interval(value, draws, confidence=confidence)
    return bca_interval(value, draws, figure(total - rows), confidence=confidence)


def bca_interval(value: float, draws: Float64, left_out: Float64, *, confidence: float = CONFIDENCE) -> Metric:
    """The interval between the percentiles of bootstrap draws that BCa picks.

    Args:
        value: the figure itself.
        draws: the figure of each resample, shape (resamples,). NaN is left out; a tie with ``value`` counts half.
        left_out: the jackknife: the figure without each item in turn, shape (n,). NaN is left out.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        The figure and the interval. Where all draws lie on one side of the figure BCa has no answer, and the
        percentile interval is given.

    Raises:
        UsageError: ``confidence`` is out of its range.

    Example:
        >>> x = np.array([1.0, 2.0, 4.0])
        >>> draws = x[np.random.default_rng(0).integers(0, 3, (2000, 3))].mean(axis=1)
        >>> found = bca_interval(float(x.mean()), draws, (x.sum() - x) / 2)
        >>> found.low < found.value < found.high
        True
    """
    from scipy.special import ndtr, ndtri  # noqa: PLC0415 - heavy, and asked only here

    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1. Got {confidence} instead")
    draws = draws[~np.isnan(draws)]
    below = float((draws < value).mean() + (draws == value).mean() / 2) if draws.size else 0.0
    if not 0 < below < 1:
        return percentile_interval(value, draws, confidence=confidence)
    bias = ndtri(below)
    z = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    low, high = np.quantile(draws, ndtr(bias + z / (1 - _acceleration(left_out) * z)))
    return Metric(value, float(low), float(high))


def _acceleration(left_out: Float64) -> float:
    kept = left_out[~np.isnan(left_out)]
    apart = kept.mean() - kept if kept.size else np.zeros(1)
    spread = float((apart * apart).sum())
    return float((apart * apart * apart).sum()) / (6 * spread**1.5) if spread > 0 else 0.0


def _divided(top: Float64, bottom: Float64) -> Float64:
    top, bottom = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
    found: Float64 = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return found
