"""Figures of predicted ratings: what was given and what was predicted in, one number out.

All take two arrays of shape (n,) without NaN, and optional weights, shape (n,), at least 0. Nothing given is NaN.
"""

from __future__ import annotations

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Float64


def rmse_error(truth: AnyArray, predicted: AnyArray, *, weights: AnyArray | None = None) -> float:
    """Root of the mean squared difference.

    Args:
        truth: shape (n,), the ratings.
        predicted: shape (n,).
        weights: shape (n,), how much each counts; all the same when not given.

    Raises:
        UsageError: the shapes differ, or a number is not finite.

    Example:
        >>> rmse_error([4, 2], [5, 5])  # ((1 + 9) / 2) ** 0.5
        2.23606797749979
    """
    true, given, share = _checked(truth, predicted, weights)
    return float(np.sqrt((share * (true - given) ** 2).sum())) if true.size else float("nan")


def mae_error(truth: AnyArray, predicted: AnyArray, *, weights: AnyArray | None = None) -> float:
    """Mean absolute difference; arguments as :func:`rmse_error`.

    Example:
        >>> mae_error([4, 2], [5, 5])
        2.0
    """
    true, given, share = _checked(truth, predicted, weights)
    return float((share * np.abs(true - given)).sum()) if true.size else float("nan")


def r2_score(truth: AnyArray, predicted: AnyArray, *, weights: AnyArray | None = None) -> float:
    """Coefficient of determination: 1 - sum of squared differences / sum of squares about the mean of the truth.

    It is 0 for the mean of the truth, and negative for what is worse. Where the truth does not vary it is 1 if all is
    predicted exactly, else 0; of fewer than two ratings it is NaN. Both are scikit-learn's convention. Arguments as
    :func:`rmse_error`.

    Example:
        >>> r2_score([1, 2, 3], [1, 2, 4])
        0.5
    """
    true, given, share = _checked(truth, predicted, weights)
    if true.size < 2:
        return float("nan")
    left = (share * (true - given) ** 2).sum()
    whole = (share * (true - (share * true).sum()) ** 2).sum()
    if whole == 0:
        return float(left == 0)
    return float(1 - left / whole)


def _checked(truth: AnyArray, predicted: AnyArray, weights: AnyArray | None) -> tuple[Float64, Float64, Float64]:
    true, given = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    share = np.ones(true.shape) if weights is None else np.asarray(weights, np.float64)
    if true.ndim != 1 or not true.shape == given.shape == share.shape:
        shapes = f"{true.shape}, {given.shape} and {share.shape}"
        raise UsageError(f"truth, prediction and weights must have one shape (n,). Got {shapes} instead")
    if not (np.isfinite(true).all() and np.isfinite(given).all() and np.isfinite(share).all()):
        raise UsageError(
            "ratings and weights must be finite. Got NaN or infinity: leave such rows out, and say how many"
        )
    if true.size and ((share < 0).any() or share.sum() == 0):
        raise UsageError("weights must be at least 0, and not all 0. Got others")
    return true, given, share / share.sum() if true.size else share
