"""Geometry of boxes, as pure functions over (n, 4) arrays of corners x1, y1, x2, y2."""

from __future__ import annotations

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Float32, Float64, Int64


def box_area(boxes: AnyArray) -> AnyArray:
    """Width times height of each box.

    Args:
        boxes: shape (n, 4), corners x1, y1, x2, y2.

    Returns:
        Shape (n,), of the boxes' own dtype.

    Example:
        >>> box_area(np.array([[0.0, 0.0, 4.0, 3.0]]))
        array([12.])
    """
    area: AnyArray = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return area


def box_iou(first: AnyArray, second: AnyArray) -> Float64:
    """Intersection over union of every box of one list with every box of another.

    Args:
        first: shape (n, 4), corners x1, y1, x2, y2.
        second: shape (m, 4).

    Returns:
        Shape (n, m), float64, in [0, 1]; 0 where both boxes are empty.

    Example:
        >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [5, 5, 6, 6]])).round(3)
        array([[0.333, 0.   ]])
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = box_area(first)[:, None] + box_area(second)[None, :] - shared
    overlap: Float64 = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def from_centres(boxes: AnyArray) -> AnyArray:
    """Corners x1, y1, x2, y2 of boxes given as centre x, centre y, width, height.

    Args:
        boxes: shape (n, 4).

    Returns:
        Shape (n, 4), of the boxes' own dtype and unit.

    Example:
        >>> from_centres(np.array([[5.0, 4.0, 2.0, 6.0]]))
        array([[4., 1., 6., 7.]])
    """
    halves = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - halves, boxes[:, :2] + halves], axis=1)


def clip_boxes(boxes: Float32, height: int, width: int) -> Float32:
    """Boxes with every corner moved into the picture.

    Args:
        boxes: shape (n, 4), corners x1, y1, x2, y2 in pixels.
        height: of the picture, in pixels.
        width: of the picture, in pixels.

    Example:
        >>> clip_boxes(np.float32([[-3, 2, 50, 8]]), 6, 40)
        array([[ 0.,  2., 40.,  6.]], dtype=float32)
    """
    return np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))


def nms(
    boxes: AnyArray,
    scores: AnyArray,
    class_ids: AnyArray,
    *,
    iou_threshold: float,
    max_detections: int,
) -> Int64:
    """Greedy non-maximum suppression within each class.

    The best box stays and removes every box of its own class that overlaps it by more than ``iou_threshold``; then the
    best of the rest stays, and so on. Of equal scores the earlier box is the better one.

    Args:
        boxes: shape (n, 4), corners x1, y1, x2, y2.
        scores: shape (n,).
        class_ids: shape (n,).
        iou_threshold: in [0, 1].
        max_detections: how many boxes stay at most, over all classes, at least 1.

    Returns:
        Positions of the boxes that stay, best first, shape (kept,).

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 5], [0, 0, 4, 4]])
        >>> nms(boxes, np.array([0.5, 0.9, 0.4]), np.array([1, 1, 2]), iou_threshold=0.5, max_detections=10)
        array([1, 2])
    """
    if not 0 <= iou_threshold <= 1:
        raise UsageError(f"iou_threshold must lie in [0, 1]. Got {iou_threshold} instead")
    if max_detections < 1:
        raise UsageError(f"max_detections must be at least 1. Got {max_detections} instead")
    order = np.argsort(-scores, kind="stable")
    # Classes far apart never overlap, so that one pass over plain boxes serves them all.
    far = float(np.ptp(boxes)) + 1.0 if boxes.size else 0.0
    x1, y1, x2, y2 = (boxes[order].astype(np.float64) + (class_ids[order] * far)[:, None]).T
    areas = (x2 - x1) * (y2 - y1)
    waiting = np.arange(order.size)
    kept: list[int] = []
    while waiting.size and len(kept) < max_detections:
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        wide = np.minimum(x2[best], x2[waiting]) - np.maximum(x1[best], x1[waiting])
        high = np.minimum(y2[best], y2[waiting]) - np.maximum(y1[best], y1[waiting])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        waiting = waiting[shared <= iou_threshold * (areas[best] + areas[waiting] - shared)]
    return order[kept] if kept else order[:0]
