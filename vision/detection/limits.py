"""Which boxes an answer holds, and the result that all families of detectors give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.types import AnyArray
from vision.boxes import clip_boxes, nms
from vision.detection.prepare import Letterbox
from vision.labels import LabelSet
from vision.types import Detections

MAX_CANDIDATES = 5000
"""Boxes with the best scores that enter suppression."""


@dataclass(frozen=True)
class Limits:
    """What a user asked for.

    Attributes:
        classes: names by the numbers that are wanted; others are left out.
        score_threshold: boxes below this score are left out, in [0, 1].
        iou_threshold: overlap above which the worse of two boxes of one class is left out, in [0, 1]; ``None`` where
            the network itself answers each thing once.
        max_detections: boxes kept at most.
    """

    classes: LabelSet
    score_threshold: float
    iou_threshold: float | None
    max_detections: int

    def places(self, scores: AnyArray, *, first: int = 0, by_row: bool = False) -> tuple[AnyArray, AnyArray]:
        """Where scores of wanted classes reach the threshold: rows and columns, at most :data:`MAX_CANDIDATES`.

        Args:
            scores: shape (boxes, classes), or (classes, boxes) with ``by_row``.
            first: number of the first class in it.
            by_row: whether each row is a class.

        Returns:
            Rows and columns, two arrays of shape (n,), in the order of the memory.
        """
        flat = scores.reshape(-1)
        found = np.flatnonzero(flat >= self.score_threshold)
        rows, columns = np.divmod(found, scores.shape[1])
        wanted = np.isin(np.arange(scores.shape[1 - by_row]) + first, list(self.classes.names))
        named = wanted[rows if by_row else columns]
        rows, columns = rows[named], columns[named]
        if rows.size > MAX_CANDIDATES:
            best = np.sort(np.argpartition(scores[rows, columns], -MAX_CANDIDATES)[-MAX_CANDIDATES:])
            rows, columns = rows[best], columns[best]
        return rows, columns

    def detections(self, boxes: AnyArray, scores: AnyArray, class_ids: AnyArray, given: Letterbox) -> Detections:
        """The result of one picture.

        Args:
            boxes: shape (n, 4), corners x1, y1, x2, y2 in pixels of the picture as it came.
            scores: shape (n,), at least the threshold.
            class_ids: shape (n,), all of wanted classes.
            given: what the network was given.
        """
        height, width = given.outer
        clipped = clip_boxes(boxes.astype(np.float32), height, width)
        seen = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])  # the padding holds no things
        clipped, scores, class_ids = clipped[seen], scores[seen], class_ids[seen]
        if self.iou_threshold is None:
            kept = np.argsort(-scores, kind="stable")[: self.max_detections]
        else:
            kept = nms(clipped, scores, class_ids, iou_threshold=self.iou_threshold, max_detections=self.max_detections)
        numbers = class_ids[kept].astype(np.int32)
        labels = tuple(self.classes.names[number] for number in numbers.tolist())
        best = np.minimum(scores[kept], 1.0).astype(np.float32)
        return Detections(labels, (height, width), clipped[kept], best, numbers)
