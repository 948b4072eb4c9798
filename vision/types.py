"""What the vision tasks answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.types import Float32, Int32, Result, array_field


@dataclass(frozen=True, eq=False)
class Classification(Result):
    """What a picture is of: the likeliest classes, best first.

    Attributes:
        labels: names of the classes, length k.
        scores: shape (k,), float32, probabilities in [0, 1] that never rise; over all classes they add up to 1.
        class_ids: shape (k,), int32, the model's own numbers of the classes.

    Example:
        >>> best = Classification(("tabby", "lynx"), np.float32([0.75, 0.25]), np.int32([281, 287]))
        >>> Result.from_json(best.to_json()) == best
        True
    """

    labels: tuple[str, ...]
    scores: Float32 = array_field("float32", ("k",), 0.0, 1.0)
    class_ids: Int32 = array_field("int32", ("k",), 0)

    def check(self, axes: Mapping[str, int]) -> None:
        _check_ranking(self, len(self.labels), axes["k"], self.scores)


@dataclass(frozen=True, eq=False)
class Detections(Result):
    """Where things are in a picture, best first.

    Attributes:
        labels: name of the class of each box, length n.
        image_size: height and width of the upright picture in pixels.
        xyxy: shape (n, 4), float32, corners x1, y1, x2, y2 in pixels of the upright picture as it came (before any
            resizing), with 0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height. x runs right, y runs down, and the
            top left corner of the picture is (0, 0).
        scores: shape (n,), float32, in [0, 1], never rising.
        class_ids: shape (n,), int32, the model's own numbers of the classes (1 to 90 for the COCO categories).

    Example:
        >>> found = Detections(("cat",), (480, 640), np.float32([[8, 8, 64, 32]]), np.float32([0.5]), np.int32([17]))
        >>> Result.from_json(found.to_json()) == found
        True
    """

    labels: tuple[str, ...]
    image_size: tuple[int, int]
    xyxy: Float32 = array_field("float32", ("n", 4), 0.0)
    scores: Float32 = array_field("float32", ("n",), 0.0, 1.0)
    class_ids: Int32 = array_field("int32", ("n",), 0)

    def check(self, axes: Mapping[str, int]) -> None:
        _check_ranking(self, len(self.labels), axes["n"], self.scores)
        height, width = self.image_size
        if height < 1 or width < 1:
            raise UsageError(f"Detections.image_size must be (height, width) in pixels. Got {self.image_size} instead")
        x1, y1, x2, y2 = self.xyxy.T
        outside = (x1 > x2) | (y1 > y2) | (x2 > width) | (y2 > height)
        if outside.any():
            box = self.xyxy[outside][0].tolist()
            raise UsageError(
                f"Detections.xyxy must be x1, y1, x2, y2 with x1 <= x2 <= {width} and y1 <= y2 <= {height}. "
                f"Got {box} instead"
            )


def _check_ranking(result: Result, labels: int, n: int, scores: Float32) -> None:
    owner = type(result).__name__
    if labels != n:
        raise UsageError(f"{owner} must have a label for each score. Got {labels} labels, {n} scores instead")
    if (np.diff(scores) > 0).any():
        raise UsageError(f"{owner}.scores must never rise. Got {scores.tolist()[:10]} instead")
