"""Figures of whole data sets in a form that tells what each item adds to them."""

from __future__ import annotations

import numpy as np

from shared.errors import UsageError
from shared.evaluation.items import Total
from shared.evaluation.segmentation import mean_of_classes
from shared.types import AnyArray, Float64


def calibration_total(right: AnyArray, confidence: AnyArray, *, bins: int = 15) -> Total:
    """Expected calibration error as a figure of totals, equal to that of
    :func:`shared.evaluation.classification.calibration_error`.

    Args:
        right: shape (n,), bool, whether each best answer is the true one; or (n, k) of k answers an item.
        confidence: of the same shape, how likely each was called, in [0, 1]; NaN where an item failed, which adds
            nothing.
        bins: of equal width, at least 1.

    Raises:
        UsageError: the shapes differ, or ``bins`` is below 1.

    Example:
        >>> total = calibration_total([True, True, False, False], [0.7, 0.7, 0.7, 0.7])
        >>> round(float(total.figure(total.rows.sum(axis=0))), 3)
        0.2
    """
    hit, sure = np.asarray(right, np.float64), np.asarray(confidence, np.float64)
    if hit.shape != sure.shape or hit.ndim not in (1, 2) or bins < 1:
        raise UsageError(
            "right and confidence must have one shape (n,) or (n, k), and bins be at least 1. "
            f"Got {hit.shape}, {sure.shape} and bins={bins}"
        )
    there = ~np.isnan(sure)
    items = np.nonzero(there)[0]
    rows = np.zeros((len(hit), bins + 1))
    at = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], sure[there], side="left")
    np.add.at(rows, (items, at), sure[there] - hit[there])
    rows[:, bins] = np.bincount(items, minlength=len(hit))
    return Total(rows, _calibration, higher_is_better=False)


def _calibration(totals: Float64) -> Float64:
    gaps, n = np.abs(totals[..., :-1]).sum(axis=-1), totals[..., -1]
    error: Float64 = np.divide(gaps, n, out=np.full(np.shape(n), np.nan), where=n > 0)
    return error


def segmentation_totals(confusions: AnyArray) -> dict[str, Total]:
    """Figures of pixels as figures of totals, equal to those of :mod:`shared.evaluation.segmentation`.

    Args:
        confusions: shape (images, classes, classes + 1), one matrix of
            :func:`shared.evaluation.segmentation.pixel_confusion` an image.

    Example:
        >>> found = segmentation_totals(np.array([[[3, 1, 0], [0, 4, 0]]]))
        >>> {name: round(float(total.figure(total.rows.sum(axis=0))), 4) for name, total in found.items()}
        {'miou': 0.775, 'dice': 0.873, 'pixel_accuracy': 0.875}
    """
    counts = np.asarray(confusions, np.float64)
    classes = counts.shape[1]
    right = np.diagonal(counts[..., :classes], axis1=-2, axis2=-1)
    rows = np.concatenate([right, counts.sum(axis=-1), counts[..., :classes].sum(axis=-2)], axis=1)
    return {"miou": Total(rows, _miou), "dice": Total(rows, _dice), "pixel_accuracy": Total(rows, _pixels)}


def _miou(totals: Float64) -> Float64:
    right, true, given = np.split(totals, 3, axis=-1)
    return mean_of_classes(right, true + given - right)


def _dice(totals: Float64) -> Float64:
    right, true, given = np.split(totals, 3, axis=-1)
    return mean_of_classes(2 * right, true + given)


def _pixels(totals: Float64) -> Float64:
    right, true, _ = np.split(totals, 3, axis=-1)
    whole = true.sum(axis=-1)
    share: Float64 = np.divide(right.sum(axis=-1), whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return share
