"""What can be asked of a picture: points on things and beside them, and boxes around them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from shared.errors import UsageError
from shared.types import Float32

_TOP_LEFT, _BOTTOM_RIGHT, _NONE = 2.0, 3.0, -1.0


@dataclass(frozen=True)
class Prompts:
    """What is asked of one picture, in pixels of the upright picture: n things, each by points, by a box, or by both.

    Attributes:
        points: x and y of points, shape (n, k, 2) for k points each of n things, or (k, 2) for those of one; or
            ``None``.
        point_labels: 1 for a point on the thing, 0 for one beside it, shape (n, k) or (k,); ``None``: all are on it.
        boxes: corners x1, y1, x2, y2, shape (n, 4), or (4,) for one; or ``None``.

    Raises:
        UsageError: there is neither point nor box, a shape is another, the numbers of things differ, a value is no
            finite number, or a box's corners are the wrong way round.

    Example:
        >>> Prompts(boxes=[[10, 10, 60, 40], [5, 5, 9, 9]]).things
        2
        >>> Prompts(points=[[30, 20]]).things
        1
    """

    points: ArrayLike | None = None
    point_labels: ArrayLike | None = None
    boxes: ArrayLike | None = None
    coordinates: Float32 = field(init=False, repr=False)
    """Shape (n, tokens, 2), float32: the points, then the corners of the box, or a place for none."""
    labels: Float32 = field(init=False, repr=False)
    """Shape (n, tokens), float32: what each is."""

    def __post_init__(self) -> None:
        points = _array("points", self.points, 2)
        boxes = _array("boxes", self.boxes, 4)
        if points is None and boxes is None:
            raise UsageError("prompts must hold at least one point or box. Got none")
        if points is None and self.point_labels is not None:
            raise UsageError("point_labels must come with points. Got none")
        parts = []
        if points is not None:
            points = points[None] if points.ndim == 2 else points
            if points.ndim != 3 or points.shape[1] < 1:
                raise UsageError(f"points must have shape (n, k, 2) or (k, 2). Got {points.shape} instead")
            parts.append((points, _point_labels(self.point_labels, points)))
        if boxes is None:
            things = len(parts[0][0])
            parts.append((np.zeros((things, 1, 2), np.float32), np.full((things, 1), _NONE, np.float32)))
        else:
            boxes = boxes.reshape(1, 4) if boxes.ndim == 1 else boxes
            if boxes.ndim != 2:
                raise UsageError(f"boxes must have shape (n, 4) or (4,). Got {boxes.shape} instead")
            wrong = (boxes[:, 0] >= boxes[:, 2]) | (boxes[:, 1] >= boxes[:, 3])
            if wrong.any():
                raise UsageError(
                    f"boxes must be x1, y1, x2, y2 with x1 < x2 and y1 < y2. Got {boxes[wrong][0].tolist()}"
                )
            corners = np.tile(np.array([_TOP_LEFT, _BOTTOM_RIGHT], np.float32), (len(boxes), 1))
            parts.append((boxes.reshape(-1, 2, 2), corners))
        if len({len(places) for places, _ in parts}) > 1:
            raise UsageError(
                "points and boxes must tell of the same things, one box a thing. "
                f"Got points of {len(parts[0][0])} and boxes of {len(parts[-1][0])}"
            )
        object.__setattr__(self, "coordinates", np.concatenate([places for places, _ in parts], axis=1))
        object.__setattr__(self, "labels", np.concatenate([labels for _, labels in parts], axis=1))

    @property
    def things(self) -> int:
        """How many things are asked for."""
        return len(self.labels)

    @property
    def ambiguous(self) -> bool:
        """Whether each thing is told by one point alone."""
        return self.labels.shape[1] == 2 and bool((self.labels[:, 1] == _NONE).all())


def check_inside(prompts: Prompts, size: tuple[int, int]) -> None:
    """Check that prompts tell of a picture.

    Args:
        prompts: what is asked.
        size: height and width of the picture in pixels.

    Raises:
        UsageError: a point lies outside of the picture, or a box does not reach into it.
    """
    height, width = size
    points = prompts.coordinates[(prompts.labels == 0) | (prompts.labels == 1)]
    outside = (points < 0).any(axis=1) | (points[:, 0] > width) | (points[:, 1] > height)
    if outside.any():
        raise UsageError(
            f"points must lie in the picture, 0 <= x <= {width} and 0 <= y <= {height}. "
            f"Got {points[outside][0].tolist()} instead"
        )
    boxes = prompts.coordinates[prompts.labels == _TOP_LEFT]
    ends = prompts.coordinates[prompts.labels == _BOTTOM_RIGHT]
    beside = (boxes[:, 0] >= width) | (boxes[:, 1] >= height) | (ends <= 0).any(axis=1)
    if beside.any():
        raise UsageError(
            f"boxes must reach into the picture of {width} x {height} pixels. "
            f"Got {[*boxes[beside][0].tolist(), *ends[beside][0].tolist()]} instead"
        )


def _array(name: str, value: ArrayLike | None, last: int) -> Float32 | None:
    if value is None:
        return None
    try:
        array = np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} must be numbers in an array of one shape. {error}") from error
    if not array.size or array.shape[-1] != last or not np.isfinite(array).all():
        raise UsageError(f"{name} must be finite numbers, {last} a row. Got an array of shape {array.shape}")
    return array


def _point_labels(value: ArrayLike | None, points: Float32) -> Float32:
    if value is None:
        return np.ones(points.shape[:2], np.float32)
    labels = np.asarray(value)
    labels = labels[None] if labels.ndim == 1 else labels
    if labels.shape != points.shape[:2] or not np.isin(labels, (0, 1)).all():
        raise UsageError(
            f"point_labels must be 1 (on the thing) or 0 (beside it), one a point, shape {points.shape[:2]}. "
            f"Got {np.asarray(value).tolist()} instead"
        )
    return labels.astype(np.float32)
