"""Figures of probabilities: proper losses of whole distributions, and two more errors of calibration.

The expected calibration error and its bins stand in :mod:`shared.evaluation.classification`.
"""

from __future__ import annotations

import numpy as np

from shared.errors import UsageError
from shared.evaluation.classification import reliability
from shared.types import AnyArray, Float64, Int64

_SUM_SLACK = 1e-3
"""How far a row of float16 or float32 probabilities may be from 1 in its sum."""


def log_loss(truth: AnyArray, probabilities: AnyArray) -> float:
    """Mean of -ln of the probability that was given to the true class, in nats; NaN without items.

    A probability of 0 counts as the least number that float64 tells from 1, 2.2e-16, as in scikit-learn. I. J. Good,
    "Rational decisions", Journal of the Royal Statistical Society B 14 (1952).

    Args:
        truth: shape (n,), the true class of each item, in 0..classes - 1.
        probabilities: shape (n, classes), each row at least 0 with sum 1.

    Raises:
        UsageError: the shapes do not agree, a class is unknown, or a row is no distribution.

    Example:
        >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.75, 0.25]])), 4)  # (ln 2 + ln 4) / 2
        1.0397
    """
    true, given = _checked(truth, probabilities)
    if not true.size:
        return float("nan")
    least = np.finfo(np.float64).eps
    return float(-np.log(np.clip(given[np.arange(true.size), true], least, 1 - least)).mean())


def brier_loss(truth: AnyArray, probabilities: AnyArray) -> float:
    """Mean squared distance of each row from the true class's, summed over classes, in [0, 2]; NaN without items.

    G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950). For
    two classes it is twice what scikit-learn gives by default; divide by 2 for that. Arguments as :func:`log_loss`.

    Raises:
        UsageError: as :func:`log_loss`.

    Example:
        >>> brier_loss(np.array([0]), np.array([[0.5, 0.5]]))
        0.5
    """
    true, given = _checked(truth, probabilities)
    if not true.size:
        return float("nan")
    wanted = np.zeros(given.shape)
    wanted[np.arange(true.size), true] = 1
    return float(((given - wanted) ** 2).sum(axis=1).mean())


def maximum_calibration_error(right: AnyArray, confidence: AnyArray, *, bins: int = 15) -> float:
    """The greatest |accuracy - confidence| of :func:`shared.evaluation.classification.reliability`'s bins.

    M. P. Naeini, G. F. Cooper and M. Hauskrecht, AAAI 2015. A bin with one item counts as much as one with thousands:
    read it beside the counts. NaN without items.

    Args:
        right: shape (n,), bool, whether each best answer is the true one.
        confidence: shape (n,), in [0, 1].
        bins: how many, at least 1.

    Raises:
        UsageError: as :func:`shared.evaluation.classification.reliability`.

    Example:
        >>> round(maximum_calibration_error(np.array([True, False, True]), np.array([0.9, 0.8, 0.3]), bins=2), 4)
        0.7
    """
    found = reliability(right, confidence, bins=bins)
    some = found.counts > 0
    return float(np.abs(found.accuracy - found.confidence)[some].max()) if some.any() else float("nan")


def adaptive_calibration_error(right: AnyArray, confidence: AnyArray, *, bins: int = 15) -> float:
    """The expected calibration error over bins that hold equally many items each, so that none is nearly empty.

    The bins part at quantiles of the confidences, and equal confidences share a bin, so that the order of items does
    not count. K. Nguyen and B. O'Connor, "Posterior calibration and exploratory analysis for natural language
    processing models", EMNLP 2015; J. Nixon et al., "Measuring calibration in deep learning" (2019), who take it over
    all classes where this takes the best answer. Arguments as :func:`maximum_calibration_error`; NaN without items.

    Raises:
        UsageError: as :func:`shared.evaluation.classification.reliability`.

    Example:
        >>> right = np.array([False, True, True, True])
        >>> round(adaptive_calibration_error(right, np.array([0.5, 0.6, 0.8, 0.9]), bins=2), 4)  # (0.05 + 0.15) / 2
        0.1
    """
    reliability(right, confidence, bins=bins)  # refuses what is malformed
    hit, sure = np.asarray(right, np.float64), np.asarray(confidence, np.float64)
    if not hit.size:
        return float("nan")
    at = np.searchsorted(np.quantile(sure, np.linspace(0, 1, bins + 1)[1:-1]), sure, side="left")
    return float(np.abs(np.bincount(at, hit - sure, bins)).sum() / hit.size)


def _checked(truth: AnyArray, probabilities: AnyArray) -> tuple[Int64, Float64]:
    true, given = np.asarray(truth), np.asarray(probabilities, np.float64)
    if true.ndim != 1 or given.ndim != 2 or len(true) != len(given):
        raise UsageError(
            f"truth must have shape (n,) and probabilities (n, classes). Got {true.shape} and {given.shape} instead"
        )
    if true.size and (true.dtype.kind not in "iu" or true.min() < 0 or true.max() >= given.shape[1]):
        raise UsageError(f"truth must hold classes in 0..{given.shape[1] - 1}. Got others: pass positions, not names")
    if true.size and not (given.min() >= 0 and np.abs(given.sum(axis=1) - 1).max() <= _SUM_SLACK):
        raise UsageError("each row of probabilities must be at least 0 with sum 1. Got others: are they logits")
    return true.astype(np.int64), given
