"""What every family of segmenters shares: what a user asked for, how answers are read, and the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.types import AnyArray, Float32
from vision.boxes import clip_boxes, nms
from vision.detection.prepare import Letterbox
from vision.labels import LabelSet
from vision.masks import Rle, rle_area, rle_box
from vision.types import Segmentation, SegmentationKind


@dataclass(frozen=True)
class Asked:
    """What a user asked for.

    Attributes:
        classes: names by the numbers that are wanted; segments of others are left out.
        score_threshold: things below this score are left out, in [0, 1].
        iou_threshold: overlap of boxes above which the worse of two things of one class is left out, in [0, 1];
            ``None`` where the network itself answers each thing once.
        max_segments: things kept at most.
    """

    classes: LabelSet
    score_threshold: float
    iou_threshold: float | None
    max_segments: int

    def best_things(self, boxes: AnyArray, scores: AnyArray, class_ids: AnyArray) -> AnyArray:
        """Positions of the things that stay, best first.

        Args:
            boxes: shape (n, 4), corners in pixels of the picture, clipped.
            scores: shape (n,).
            class_ids: shape (n,).
        """
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # the padding holds no things
        wanted = np.flatnonzero(seen & (scores >= self.score_threshold) & np.isin(class_ids, list(self.classes.names)))
        if self.iou_threshold is None:
            return wanted[np.argsort(-scores[wanted], kind="stable")[: self.max_segments]]
        kept = nms(
            boxes[wanted],
            scores[wanted],
            class_ids[wanted],
            iou_threshold=self.iou_threshold,
            max_detections=self.max_segments,
        )
        return wanted[kept]


def picture_boxes(boxes: AnyArray, given: Letterbox) -> Float32:
    """Boxes in pixels of the network's input, shape (n, 4), as pixels of the picture, clipped."""
    return clip_boxes(given.to_picture(boxes).astype(np.float32), *given.outer)


def segments(
    kind: SegmentationKind,
    image_size: tuple[int, int],
    *,
    labels: Sequence[str],
    masks: Sequence[Rle],
    scores: AnyArray,
    class_ids: AnyArray,
    xyxy: AnyArray | None = None,
) -> Segmentation:
    """A result, with the areas of its masks, and their boxes where none are given.

    Args:
        kind: of segmentation.
        image_size: height and width of the picture.
        labels: names of the n segments.
        masks: their pixels.
        scores: shape (n,), clipped to [0, 1].
        class_ids: shape (n,).
        xyxy: shape (n, 4), corners in pixels of the picture; ``None``: the smallest boxes around the masks.
    """
    boxes = np.stack([rle_box(mask) for mask in masks]) if xyxy is None and masks else xyxy
    return Segmentation(
        kind,
        image_size,
        tuple(labels),
        tuple(masks),
        np.zeros((0, 4), np.float32) if boxes is None else boxes.astype(np.float32),
        np.clip(np.asarray(scores, np.float32), 0, 1),
        np.asarray(class_ids, np.int32),
        np.array([rle_area(mask) for mask in masks], np.int64),
    )


def things(
    asked: Asked,
    image_size: tuple[int, int],
    masks: Sequence[Rle],
    *,
    boxes: AnyArray,
    scores: AnyArray,
    class_ids: AnyArray,
) -> Segmentation:
    """Instances that were already chosen and put in order, those whose mask came out empty left out."""
    there = np.array([rle_area(mask) > 0 for mask in masks], np.bool_)
    labels = [asked.classes.names[int(number)] for number in class_ids[there]]
    left = [mask for mask, is_there in zip(masks, there) if is_there]
    return segments(
        "instance",
        image_size,
        labels=labels,
        masks=left,
        scores=scores[there],
        class_ids=class_ids[there],
        xyxy=boxes[there],
    )
