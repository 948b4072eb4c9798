"""Family ``efficientdet``: raw scores of anchors and box codes.

Anchors and box codes: M. Tan, R. Pang and Q. V. Le, "EfficientDet: scalable and efficient object detection", CVPR 2020,
with the anchor settings of the Lite models; suppression within each class as COCO's evaluation expects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shared.backends import TensorSpec
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.types import AnyArray, Float32, Float64
from vision.detection.limits import Limits
from vision.detection.prepare import Letterbox
from vision.reader import Reader
from vision.types import Detections


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
        limits: what is wanted; column c of the raw scores is class c + 1, and columns without a name are not read.
    """

    anchors: Float64
    limits: Limits

    def candidates(self, scores: Float32, codes: Float32) -> dict[str, AnyArray]:
        """What is worth a look in one raw answer, in arrays of its own.

        Args:
            scores: shape (anchors, columns), float32, probabilities.
            codes: shape (anchors, 4), float32, box codes.

        Returns:
            For n candidates ``anchors`` (n,), where each stands; ``class_ids`` (n,); ``scores`` (n,) and ``codes``
            (n, 4), float32.
        """
        rows, columns = self.limits.places(scores, first=1)
        return {"anchors": rows, "class_ids": columns + 1, "scores": scores[rows, columns], "codes": codes[rows]}

    def __call__(self, candidates: Mapping[str, AnyArray], given: Letterbox) -> Detections:
        """Detections of one picture.

        Args:
            candidates: as :meth:`candidates` gives them.
            given: what the network was given.
        """
        boxes = decode_boxes(candidates["codes"], self.anchors[candidates["anchors"]])
        return self.limits.detections(given.to_picture(boxes), candidates["scores"], candidates["class_ids"], given)


def reader(card: ModelCard, outputs: Sequence[TensorSpec], size: tuple[int, int], limits: Limits) -> Reader[Detections]:
    """How a graph of this family is read; see :data:`vision.detection.graphs.FAMILIES`.

    Raises:
        DataError: its outputs are not those of an EfficientDet of that size.
    """
    anchors = make_anchors(size[0])
    found = {output.shape[-1]: output for output in outputs}
    codes = found.pop(4, None)
    scores = next(iter(found.values()), None)
    if codes is None or scores is None or {codes.shape[:2], scores.shape[:2]} != {(1, len(anchors))}:
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer with scores (1, {len(anchors)}, classes) and box codes "
            f"(1, {len(anchors)}, 4) for an input of {size[0]} pixels. Got {[o.shape for o in outputs]} instead"
        )
    score_name, code_name = scores.name, codes.name
    decoder = Decoder(anchors, limits)
    return Reader(lambda outputs: decoder.candidates(outputs[score_name][0], outputs[code_name][0]), decoder)
