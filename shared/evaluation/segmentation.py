"""Figures of semantic segmentation: counts of pixels by true and predicted class in, numbers out.

With t_ij the pixels of class i that were predicted as class j: the overlap of class i is t_ii / (sum_j t_ij + sum_j
t_ji
- t_ii), and mIoU its mean (M. Everingham et al., "The Pascal visual object classes challenge: a retrospective", IJCV
111, 2015); Dice of class i is 2 t_ii / (sum_j t_ij + sum_j t_ji) (L. R. Dice, Ecology 26, 1945); accuracy of pixels is
sum_i t_ii / sum_ij t_ij. All are taken over the pixels of the whole data set together, never as a mean over images, so
that a class counts by its pixels and not by the images it is missing from. A class that is neither in the truth nor in
the prediction has no overlap and is left out of the means, as in scikit-learn's ``jaccard_score``.
"""

from __future__ import annotations

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval
from shared.evaluation.report import Metric
from shared.types import AnyArray, Float64, Int64

FIGURES = ("miou", "dice", "pixel_accuracy")
_BLOCK = 8_000_000
"""Resampled counts held at once, so that memory stays near 64 MB whatever the number of images and classes."""


def pixel_confusion(truth: AnyArray, predicted: AnyArray | None, *, classes: int, ignore: int | None = None) -> Int64:
    """How many pixels of each class were given which class.

    Args:
        truth: the class of each pixel, integers in 0..classes - 1, or ``ignore``; any shape.
        predicted: the class that each was given, of the same shape, in 0..classes - 1, or -1 for a pixel that was given
            none of them; ``None`` where no pixel was, as in an image that failed.
        classes: how many there are, at least 1.
        ignore: pixels whose truth is this number count nowhere, whatever was predicted.

    Returns:
        Shape (classes, classes + 1), int64: true class down, predicted class across, in the last column the pixels
        that were given none: they are missing from their true class and wrong for no other.

    Raises:
        UsageError: the shapes differ, or a number is out of its range.

    Example:
        >>> pixel_confusion(np.array([[0, 1], [1, 255]]), np.array([[0, 1], [0, 0]]), classes=2, ignore=255)
        array([[1, 0, 0],
               [1, 1, 0]])
    """
    if predicted is None:
        predicted = np.full(truth.shape, -1)
    if truth.shape != predicted.shape:
        raise UsageError(f"truth and prediction must have one shape. Got {truth.shape} and {predicted.shape} instead")
    if classes < 1:
        raise UsageError(f"classes must be at least 1. Got {classes} instead")
    true, given = truth.reshape(-1), predicted.reshape(-1)
    if ignore is not None:
        counted = true != ignore
        true, given = true[counted], given[counted]
    others = "" if ignore is None else f" or be {ignore}"
    for name, values, least, more in (("truth", true, 0, others), ("predicted", given, -1, " or be -1")):
        if values.size and not (least <= int(values.min()) and int(values.max()) < classes):
            raise UsageError(
                f"{name} must lie in 0..{classes - 1}{more}. "
                f"Got values from {int(values.min())} to {int(values.max())} instead"
            )
    columns = np.where(given < 0, classes, given).astype(np.int64)
    counts = np.bincount(true.astype(np.int64) * (classes + 1) + columns, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1)


def class_iou(confusion: AnyArray) -> Float64:
    """Intersection over union of each class; NaN for a class that is nowhere.

    Args:
        confusion: shape (..., classes, classes + 1), as :func:`pixel_confusion` gives it, or without the last column.

    Returns:
        Shape (..., classes), in [0, 1] or NaN.

    Example:
        >>> class_iou(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
        array([0.75, 0.8 ,  nan])
    """
    right, true, given = _parts(confusion)
    return _ratio(right, true + given - right)


def class_dice(confusion: AnyArray) -> Float64:
    """Dice's coefficient of each class, which is also its F1; NaN for a class that is nowhere.

    Args:
        confusion: shape (..., classes, classes + 1), as :func:`pixel_confusion` gives it, or without the last column.

    Returns:
        Shape (..., classes), in [0, 1] or NaN.

    Example:
        >>> class_dice(np.array([[3, 1], [0, 4]])).round(4)
        array([0.8571, 0.8889])
    """
    right, true, given = _parts(confusion)
    return _ratio(2 * right, true + given)


def miou_score(confusion: AnyArray) -> Float64:
    """Mean of :func:`class_iou` over the classes that are somewhere, shape (...,); NaN without any pixel.

    Example:
        >>> miou_score(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])).item()
        0.775
    """
    return _mean(class_iou(confusion))


def dice_score(confusion: AnyArray) -> Float64:
    """Mean of :func:`class_dice` over the classes that are somewhere, shape (...,); NaN without any pixel.

    Example:
        >>> round(dice_score(np.array([[3, 1], [0, 4]])).item(), 4)
        0.873
    """
    return _mean(class_dice(confusion))


def pixel_accuracy_score(confusion: AnyArray) -> Float64:
    """Share of pixels that were given their true class, shape (...,); NaN without any pixel.

    Example:
        >>> pixel_accuracy_score(np.array([[3, 1], [0, 4]])).item()
        0.875
    """
    right, true, _ = _parts(confusion)
    return _ratio(right.sum(axis=-1), true.sum(axis=-1))


def segmentation_intervals(
    confusions: AnyArray, *, rng: np.random.Generator, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> dict[str, Metric]:
    """mIoU, Dice and accuracy of pixels with percentile bootstrap intervals over images.

    Args:
        confusions: shape (images, classes, classes + 1), one matrix of :func:`pixel_confusion` an image.
        rng: source of randomness.
        resamples: how often the images are drawn again, at least 1.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        A figure for each of :data:`FIGURES`.

    Raises:
        UsageError: there is no image, or no pixel that counts.
    """
    confusions = np.asarray(confusions, np.float64)
    images = len(confusions)
    if images < 1 or not confusions.any():
        raise UsageError(
            f"figures of segmentation need at least 1 pixel that counts. Got {images} images without one instead"
        )
    flat = confusions.reshape(images, -1)
    drawn = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    rows = max(1, _BLOCK // flat.shape[1])
    blocks = [
        _figures((drawn[at : at + rows] @ flat).reshape(-1, *confusions.shape[1:])) for at in range(0, resamples, rows)
    ]
    values = _figures(confusions.sum(axis=0))
    return {
        name: percentile_interval(
            float(values[name]), np.concatenate([block[name] for block in blocks]), confidence=confidence
        )
        for name in FIGURES
    }


def _figures(confusion: AnyArray) -> dict[str, Float64]:
    scores = (miou_score(confusion), dice_score(confusion), pixel_accuracy_score(confusion))
    return dict(zip(FIGURES, scores))


def _parts(confusion: AnyArray) -> tuple[Float64, Float64, Float64]:
    """Pixels that are right, that are truly of each class, and that were given each class; each (..., classes)."""
    counts = np.asarray(confusion, np.float64)
    classes = counts.shape[-2] if counts.ndim >= 2 else 0
    if not classes or counts.shape[-1] not in (classes, classes + 1):
        raise UsageError(f"a confusion must have shape (..., classes, classes + 1). Got {counts.shape} instead")
    answered = counts[..., :classes]
    return np.diagonal(answered, axis1=-2, axis2=-1), counts.sum(axis=-1), answered.sum(axis=-2)


def _ratio(part: Float64, whole: Float64) -> Float64:
    share: Float64 = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return share


def mean_of_classes(part: Float64, whole: Float64) -> Float64:
    """Mean over the last axis of part / whole, classes that have nothing left out; NaN where none has anything."""
    return _mean(_ratio(part, whole))


def _mean(values: Float64) -> Float64:
    """Mean over the last axis without the NaN, and NaN where there is nothing else."""
    there = ~np.isnan(values)
    return _ratio(np.where(there, values, 0.0).sum(axis=-1), there.sum(axis=-1).astype(np.float64))
