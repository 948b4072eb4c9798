"""From YuNet's raw answers to boxes and landmarks, as pure functions over arrays.

W. Wu, H. Peng and S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20 (2023). On
each of three grids, of cells 8, 16 and 32 pixels wide, every cell tells of one face: a class score and an objectness,
the shift of the box's centre from the cell's corner in cells, logarithms of the box's sides in cells, and the shifts
of five landmarks from the cell's corner in cells. The score of a face is the geometric mean of the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shared.types import AnyArray, Float32
from vision.boxes import nms

STRIDES = (8, 16, 32)
LANDMARKS = 5
MAX_CANDIDATES = 5000
"""Cells that are looked at before suppression, best first."""


@dataclass(frozen=True)
class Found:
    """Faces in pixels of the detector's input, best first.

    Attributes:
        xyxy: shape (n, 4), float32, corners x1, y1, x2, y2, not clipped.
        landmarks: shape (n, 5, 2), float32, x and y of the eyes, the tip of the nose and the corners of the mouth,
            left first as one looks at the picture.
        scores: shape (n,), float32, in [0, 1], never rising.
    """

    xyxy: Float32
    landmarks: Float32
    scores: Float32


def candidates(outputs: Sequence[AnyArray], *, width: int, score_threshold: float) -> dict[str, AnyArray]:
    """What is worth a look in one raw answer, in arrays of its own.

    Args:
        outputs: twelve arrays in the graph's order, cells row by row: for each stride the class scores (1, cells, 1),
            then likewise objectness (1, cells, 1), boxes (1, cells, 4) and landmarks (1, cells, 10).
        width: of the detector's input in pixels, a multiple of 32.
        score_threshold: cells below it are left out, in [0, 1].

    Returns:
        For n candidates: ``scores`` (n,), ``xyxy`` (n, 4) and ``landmarks`` (n, 5, 2), float32, in pixels of the
        detector's input.
    """
    parts: list[tuple[AnyArray, AnyArray, AnyArray]] = []
    for stride, cls, obj, boxes, points in zip(STRIDES, *(outputs[at : at + 3] for at in range(0, 12, 3))):
        scores = np.sqrt(np.clip(cls[0, :, 0], 0, 1) * np.clip(obj[0, :, 0], 0, 1))
        places = np.flatnonzero(scores >= score_threshold)
        corner = np.stack([places % (width // stride), places // (width // stride)], axis=1)
        box = boxes[0, places]
        centre, half = (corner + box[:, :2]) * stride, np.exp(box[:, 2:]) * (stride / 2)
        shifts = points[0, places].reshape(-1, LANDMARKS, 2)
        xyxy = np.concatenate([centre - half, centre + half], axis=1)
        parts.append((scores[places], xyxy, (corner[:, None] + shifts) * stride))
    scores, xyxy, landmarks = (np.concatenate(part).astype(np.float32) for part in zip(*parts))
    if scores.size > MAX_CANDIDATES:
        best = np.sort(np.argpartition(scores, -MAX_CANDIDATES)[-MAX_CANDIDATES:])
        scores, xyxy, landmarks = scores[best], xyxy[best], landmarks[best]
    return {"scores": scores, "xyxy": xyxy, "landmarks": landmarks}


def suppress(found: Mapping[str, AnyArray], *, iou_threshold: float, max_faces: int) -> Found:
    """One face where several cells told of it.

    Args:
        found: as :func:`candidates` gives it.
        iou_threshold: overlap above which the worse of two faces is left out, in [0, 1].
        max_faces: how many stay at most, at least 1.
    """
    scores, xyxy = found["scores"], found["xyxy"]
    one_class = np.zeros(scores.shape, np.int64)
    kept = nms(xyxy, scores, one_class, iou_threshold=iou_threshold, max_detections=max_faces)
    return Found(xyxy[kept], found["landmarks"][kept], scores[kept])
