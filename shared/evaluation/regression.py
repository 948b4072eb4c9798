"""Figures of predicted numbers beside those of :mod:`shared.evaluation.rating`: truth and prediction in, number out.

All take two arrays of shape (n,) without NaN, and optional weights, shape (n,), at least 0. Nothing given is NaN.
Weighted means and medians are scikit-learn's. RMSE, MAE and R² stand in :mod:`shared.evaluation.rating`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.lazy import require
from shared.types import AnyArray, Float64


def explained_variance_score(truth: AnyArray, predicted: AnyArray, *, weights: AnyArray | None = None) -> float:
    """Share of the truth's variance that is explained: 1 - variance of the differences / variance of the truth.

    Unlike R² it forgives a constant offset. Where the truth does not vary it is 1 if the differences do not either,
    else 0, by scikit-learn's convention; of fewer than two numbers it is NaN.

    Args:
        truth: shape (n,).
        predicted: shape (n,).
        weights: shape (n,), how much each counts; all the same when not given.

    Raises:
        UsageError: the shapes differ, or a number is not finite.

    Example:
        >>> explained_variance_score([1, 2, 3], [11, 12, 13])
        1.0
    """
    true, given, share = _checked(truth, predicted, weights)
    return _of("explained_variance_score", true, given, share) if true.size > 1 else float("nan")


def mape_error(truth: AnyArray, predicted: AnyArray, *, weights: AnyArray | None = None) -> float:
    """Mean absolute percentage error, as a fraction: the mean of |truth - predicted| / |truth|, which may exceed 1.

    It punishes what is too high more than what is too low: R. J. Hyndman and A. B. Koehler, "Another look at measures
    of forecast accuracy", International Journal of Forecasting 22 (2006). Arguments as
    :func:`explained_variance_score`.

    Raises:
        UsageError: as :func:`explained_variance_score`, or the truth holds a 0, of which nothing is a percentage.

    Example:
        >>> mape_error([4, 2], [5, 1])  # (1/4 + 1/2) / 2
        0.375
    """
    true, given, share = _checked(truth, predicted, weights)
    if (true == 0).any():
        raise UsageError(
            f"truth must not be 0 for a percentage of it. Got {int((true == 0).sum())} zeros: take smape_error"
        )
    return _of("mean_absolute_percentage_error", true, given, share)


def smape_error(truth: AnyArray, predicted: AnyArray, *, weights: AnyArray | None = None) -> float:
    """Symmetric mean absolute percentage error: the mean of 2 |truth - predicted| / (|truth| + |predicted|), in [0, 2].

    A pair of zeros counts as 0. S. Makridakis, "Accuracy measures: theoretical and practical concerns", International
    Journal of Forecasting 9 (1993), in the form of the M3 competition with absolute values below; others divide by
    half as much and reach 1. scikit-learn has none. Arguments as :func:`explained_variance_score`.

    Raises:
        UsageError: as :func:`explained_variance_score`.

    Example:
        >>> smape_error([3, 0], [1, 0])  # (2 x 2 / 4 + 0) / 2
        0.5
    """
    true, given, share = _checked(truth, predicted, weights)
    size = np.abs(true) + np.abs(given)
    parts = np.divide(2 * np.abs(true - given), size, out=np.zeros(true.shape), where=size > 0)
    return float(np.average(parts, weights=share)) if true.size else float("nan")


def median_absolute_error(truth: AnyArray, predicted: AnyArray, *, weights: AnyArray | None = None) -> float:
    """Median of the absolute differences, which a few outliers do not move; arguments as
    :func:`explained_variance_score`.

    Raises:
        UsageError: as :func:`explained_variance_score`.

    Example:
        >>> median_absolute_error([1, 2, 3], [1, 3, 100])
        1.0
    """
    true, given, share = _checked(truth, predicted, weights)
    return _of("median_absolute_error", true, given, None if weights is None else share)


def pinball_loss(
    truth: AnyArray, predicted: AnyArray, *, quantile: float = 0.5, weights: AnyArray | None = None
) -> float:
    """Pinball loss of a predicted quantile: the mean of q (t - p) where the truth lies above, (1 - q) (p - t) below.

    The q-quantile of what may come has the least. At q = 1/2 it is half the mean absolute error. R. Koenker and G.
    Bassett, "Regression quantiles", Econometrica 46 (1978).

    Args:
        truth: shape (n,).
        predicted: shape (n,).
        quantile: which one was predicted, above 0 and below 1.
        weights: shape (n,), how much each counts; all the same when not given.

    Raises:
        UsageError: as :func:`explained_variance_score`, or the quantile lies outside.

    Example:
        >>> pinball_loss([10, 10], [8, 11], quantile=0.9)  # (0.9 x 2 + 0.1 x 1) / 2
        0.95
    """
    if not 0 < quantile < 1:
        raise UsageError(f"quantile must lie above 0 and below 1. Got {quantile} instead")
    true, given, share = _checked(truth, predicted, weights)
    return _of("mean_pinball_loss", true, given, share, alpha=quantile)


def _of(name: str, true: Float64, given: Float64, share: Float64 | None, **options: Any) -> float:
    if not true.size:
        return float("nan")
    function = getattr(require("sklearn.metrics", extra="all"), name)
    return float(function(true, given, sample_weight=share, **options))


def _checked(truth: AnyArray, predicted: AnyArray, weights: AnyArray | None) -> tuple[Float64, Float64, Float64]:
    true, given = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    share = np.ones(true.shape) if weights is None else np.asarray(weights, np.float64)
    if true.ndim != 1 or not true.shape == given.shape == share.shape:
        shapes = f"{true.shape}, {given.shape} and {share.shape}"
        raise UsageError(f"truth, prediction and weights must have one shape (n,). Got {shapes} instead")
    if not all(np.isfinite(values).all() for values in (true, given, share)):
        raise UsageError(
            "numbers and weights must be finite. Got NaN or infinity: leave such rows out, and say how many"
        )
    if true.size and ((share < 0).any() or share.sum() == 0):
        raise UsageError("weights must be at least 0, and not all 0. Got others")
    return true, given, share
