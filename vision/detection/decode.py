"""From EfficientDet's raw scores and box codes to detections.

Anchors and box codes: M. Tan, R. Pang and Q. V. Le, "EfficientDet: scalable and efficient object detection", CVPR 2020,
with the anchor settings of the Lite models; suppression within each class as COCO's evaluation expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.types import AnyArray, Float32, Float64
from vision.boxes import clip_boxes, nms
from vision.detection.prepare import Letterbox
from vision.labels import LabelSet
from vision.types import Detections

MAX_CANDIDATES = 5000
"""Boxes with the best scores that enter suppression."""


def make_anchors(
    size: int,
    *,
    levels: range = range(3, 8),
    octaves: int = 3,
    aspects: tuple[float, ...] = (1.0, 2.0, 0.5),
    scale: float = 3.0,
) -> Float64:
    """The boxes that the network's codes start from.

    On level l a cell is 2**l pixels wide, and an anchor of octave o and aspect (width by height) a stands on each
    cell's centre, ``scale * 2**l * 2**(o / octaves)`` pixels the side of a square of its area.

    Args:
        size: side of the network's input in pixels.
        levels: of the feature pyramid.
        octaves: scales on each level.
        aspects: width divided by height.
        scale: side of the first anchor in cells.

    Returns:
        Shape (anchors, 4), float64: centre y, centre x, height, width in pixels; by level, row, column, octave, aspect.

    Example:
        >>> make_anchors(320).shape
        (19206, 4)
        >>> make_anchors(320)[0]
        array([ 4.,  4., 24., 24.])
    """
    wide = np.sqrt(np.array(aspects))
    blocks = []
    for level in levels:
        cell = 2**level
        sides = scale * cell * 2 ** (np.arange(octaves) / octaves)
        shapes = np.stack([np.divide.outer(sides, wide), np.multiply.outer(sides, wide)], axis=-1).reshape(-1, 2)
        centres = (np.arange(-(-size // cell)) + 0.5) * cell
        grid = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1).reshape(-1, 2)
        block = np.concatenate([np.repeat(grid, len(shapes), axis=0), np.tile(shapes, (len(grid), 1))], axis=1)
        blocks.append(block)
    return np.concatenate(blocks)


def decode_boxes(codes: Float32, anchors: Float64) -> Float64:
    """Boxes of box codes.

    Args:
        codes: shape (n, 4): shift of the centre in y and x in units of the anchor's height and width, then logarithms
            of the box's height and width in the same units.
        anchors: shape (n, 4): centre y, centre x, height, width in pixels.

    Returns:
        Shape (n, 4), float64, corners x1, y1, x2, y2 in pixels of the network's input, not clipped.

    Example:
        >>> decode_boxes(np.float32([[0.5, 0, 0, np.log(2)]]), np.array([[10.0, 10.0, 4.0, 8.0]])).round(3)
        array([[ 2., 10., 18., 14.]])
    """
    centres = codes[:, :2] * anchors[:, 2:] + anchors[:, :2]
    halves = np.exp(codes[:, 2:].astype(np.float64)) * anchors[:, 2:] / 2
    boxes: Float64 = np.concatenate([centres - halves, centres + halves], axis=1)[:, [1, 0, 3, 2]]
    return boxes


@dataclass(frozen=True)
class Decoder:
    """What turns raw answers into detections.

    Attributes:
        anchors: as :func:`make_anchors` gives them.
        classes: names by number; column c of the raw scores is class c + 1, and columns without a name are not read.
        score_threshold: boxes below this score are left out, in [0, 1].
        iou_threshold: overlap above which the worse of two boxes of one class is left out, in [0, 1].
        max_detections: boxes kept at most.
    """

    anchors: Float64
    classes: LabelSet
    score_threshold: float
    iou_threshold: float
    max_detections: int

    def candidates(self, scores: Float32, codes: Float32) -> dict[str, AnyArray]:
        """What is worth a look in one raw answer, in arrays of its own.

        Args:
            scores: shape (anchors, columns), float32, probabilities.
            codes: shape (anchors, 4), float32, box codes.

        Returns:
            For n candidates, at most :data:`MAX_CANDIDATES`, in the order of the scores: ``anchors`` (n,) and
            ``columns`` (n,), int64, where each stands; ``scores`` (n,) and ``codes`` (n, 4), float32.
        """
        width = scores.shape[1]
        flat = scores.reshape(-1)
        places = np.flatnonzero(flat >= self.score_threshold)
        named = np.isin(np.arange(1, width + 1), list(self.classes.names))
        places = places[named[places % width]]
        if places.size > MAX_CANDIDATES:
            best = np.argpartition(flat[places], -MAX_CANDIDATES)[-MAX_CANDIDATES:]
            places = np.sort(places[best])
        rows = places // width
        return {"anchors": rows, "columns": places % width, "scores": flat[places], "codes": codes[rows]}

    def __call__(self, candidates: Mapping[str, AnyArray], given: Letterbox) -> Detections:
        """Detections of one picture.

        Args:
            candidates: as :meth:`candidates` gives them.
            given: what the network was given.
        """
        columns, best = candidates["columns"], candidates["scores"]
        (inner_height, inner_width), (height, width) = given.inner, given.outer
        across, down = width / inner_width, height / inner_height
        scaled = decode_boxes(candidates["codes"], self.anchors[candidates["anchors"]]) * [across, down, across, down]
        boxes = clip_boxes(scaled.astype(np.float32), height, width)
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # the padding holds no things
        boxes, best, class_ids = boxes[seen], best[seen], columns[seen] + 1
        kept = nms(boxes, best, class_ids, iou_threshold=self.iou_threshold, max_detections=self.max_detections)
        numbers = class_ids[kept].astype(np.int32)
        labels = tuple(self.classes.names[number] for number in numbers.tolist())
        return Detections(labels, (height, width), boxes[kept], np.minimum(best[kept], 1.0), numbers)
