"""Small things in large pictures: a detector looks at overlapping tiles, and what several tiles saw becomes one.

Two boxes of one class from two views are the same thing where, in the area that both views show, they overlap by at
least half; and a box that an edge of its view cuts is a piece of one that holds most of it. So the halves of a thing
that a seam cuts are joined, a piece gives way to the whole that another view shows, and two things side by side stay
two. Boxes of one view are never joined: its own detector told them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.predictor import Pipeline, Predictor
from shared.types import AnyArray, Bool, Float64, Int64, UInt8
from vision.boxes import clip_boxes
from vision.images import MAX_PIXELS, ImageSource, load
from vision.types import Detections

TILE = 640
OVERLAP = 0.25
MAX_DETECTIONS = 1000
_AGREE = 0.5
"""Intersection over union, in the area that both views show, from which two boxes are the same thing."""
_INSIDE = 0.8
"""Share of a cut box inside another view's box from which it is a piece of that thing."""
_AT_EDGE = 2.0
"""Pixels from an inner edge of a view within which a box counts as cut by it."""


def tiled(
    detector: Predictor[ImageSource, Detections],
    *,
    tile: int = TILE,
    overlap: float = OVERLAP,
    whole: bool = True,
    max_detections: int = MAX_DETECTIONS,
    allow_urls: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Pipeline[ImageSource, UInt8, list[Detections], Detections]:
    """A detector that looks at a picture in tiles, itself a detector.

    Args:
        detector: what :func:`vision.detector` opened.
        tile: side of a tile in pixels, at least 32. Things should fill a good part of what the model reads.
        overlap: share of a tile that the next one shows again, in [0, 0.9]. A thing no larger than that is whole in one
            tile at least.
        whole: whether the whole picture is looked at too, for things larger than a tile.
        max_detections: boxes of one picture at most, at least 1.
        allow_urls: whether items that are ``http(s)`` addresses are fetched.
        max_pixels: largest width times height of a picture; it is held in memory whole.

    Returns:
        A predictor from pictures to :class:`~vision.types.Detections`.

    Raises:
        UsageError: a number is out of its range.
    """
    if tile < 32:
        raise UsageError(f"tile must be at least 32 pixels. Got {tile} instead")
    if not 0 <= overlap <= 0.9:
        raise UsageError(f"overlap must lie in [0, 0.9]. Got {overlap} instead")
    if max_detections < 1:
        raise UsageError(f"max_detections must be at least 1. Got {max_detections} instead")

    def look(pixels: UInt8) -> list[Detections]:
        views = tile_views(pixels.shape[0], pixels.shape[1], tile=tile, overlap=overlap, whole=whole)
        answers = detector.predict([pixels[y1:y2, x1:x2] for x1, y1, x2, y2 in views.tolist()])
        return [answer for answer in answers if isinstance(answer, Detections)]

    def run(batch: Sequence[UInt8]) -> list[list[Detections]]:
        return [look(pixels) for pixels in batch]

    def decode(answers: list[Detections], pixels: UInt8) -> Detections:
        size = (pixels.shape[0], pixels.shape[1])
        views = tile_views(*size, tile=tile, overlap=overlap, whole=whole)
        return merge_views(answers, views, size, max_detections=max_detections)

    read: Any = partial(load, allow_urls=allow_urls, max_pixels=max_pixels)
    return Pipeline(detector.card, read, run, decode, batch_size=1, threads=1)


def tile_views(height: int, width: int, *, tile: int, overlap: float, whole: bool) -> Int64:
    """The parts of a picture that are looked at, the whole picture first where it is one of them.

    Args:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        tile: side of a tile in pixels.
        overlap: least share of a tile that the next one shows again.
        whole: whether the whole picture is one of them.

    Returns:
        Shape (n, 4), int64, corners x1, y1, x2, y2 in pixels; none twice.

    Example:
        >>> tile_views(100, 180, tile=100, overlap=0.2, whole=True).tolist()
        [[0, 0, 180, 100], [0, 0, 100, 100], [80, 0, 180, 100]]
    """
    rows, columns = _starts(height, tile, overlap), _starts(width, tile, overlap)
    views = [[x, y, min(x + tile, width), min(y + tile, height)] for y in rows for x in columns]
    everything = [0, 0, width, height]
    return np.array([everything] * (whole and everything not in views) + views, np.int64)


def _starts(side: int, tile: int, overlap: float) -> list[int]:
    """Where tiles begin along one side: evenly, the first at 0 and the last ending at the end."""
    if side <= tile:
        return [0]
    steps = int(np.ceil((side - tile) / max(1.0, tile * (1 - overlap))))
    return [round(at * (side - tile) / steps) for at in range(steps + 1)]


@dataclass(frozen=True)
class _Boxes:
    """Boxes of all views in pixels of the picture, best first; n of them.

    Attributes:
        xyxy: shape (n, 4).
        scores: shape (n,).
        class_ids: shape (n,).
        labels: length n.
        view: shape (n,), which view each is of.
        cut: shape (n,), whether an inner edge of the view cuts it.
    """

    xyxy: Float64
    scores: AnyArray
    class_ids: AnyArray
    labels: tuple[str, ...]
    view: Int64
    cut: Bool


def merge_views(
    answers: Sequence[Detections], views: Int64, size: tuple[int, int], *, max_detections: int = MAX_DETECTIONS
) -> Detections:
    """Detections of several views of one picture as those of the picture.

    Args:
        answers: what was found in each view, in its own pixels, length v.
        views: shape (v, 4), corners x1, y1, x2, y2 of each in pixels of the picture.
        size: height and width of the picture.
        max_detections: boxes kept at most.

    Example:
        >>> left = Detections(("cat",), (9, 9), np.float32([[4, 1, 9, 8]]), np.float32([0.9]), np.int32([17]))
        >>> right = Detections(("cat",), (9, 9), np.float32([[0, 1, 6, 8]]), np.float32([0.8]), np.int32([17]))
        >>> merge_views([left, right], np.array([[0, 0, 9, 9], [6, 0, 15, 9]]), (9, 15)).xyxy
        array([[ 4.,  1., 12.,  8.]], dtype=float32)
    """
    found = _gathered(answers, views, size)
    groups = _grouped(found, views)
    boxes = np.array([_box_of(found, group) for group in groups], np.float64).reshape(-1, 4)
    scores = np.array([found.scores[group].max() for group in groups], np.float32)
    order = np.argsort(-scores, kind="stable")[:max_detections]
    first = [groups[at][0] for at in order]
    return Detections(
        tuple(found.labels[at] for at in first),
        size,
        clip_boxes(boxes[order].astype(np.float32), *size),
        scores[order],
        found.class_ids[first].astype(np.int32),
    )


def _gathered(answers: Sequence[Detections], views: Int64, size: tuple[int, int]) -> _Boxes:
    view = np.repeat(np.arange(len(answers)), [len(answer.scores) for answer in answers])
    own = np.concatenate([np.zeros((0, 4)), *(answer.xyxy for answer in answers)])
    scores = np.concatenate([np.zeros(0, np.float32), *(answer.scores for answer in answers)])
    class_ids = np.concatenate([np.zeros(0, np.int32), *(answer.class_ids for answer in answers)])
    labels = [label for answer in answers for label in answer.labels]
    boxes = own + np.tile(views[view][:, :2], 2)
    height, width = size
    inner = views != np.array([0, 0, width, height])  # edges that are no edges of the picture
    cut = (inner[view] & (np.abs(boxes - views[view]) <= _AT_EDGE)).any(axis=1)
    order = np.lexsort((-scores, cut))  # whole ones first, so that pieces join them
    return _Boxes(
        boxes[order], scores[order], class_ids[order], tuple(labels[i] for i in order), view[order], cut[order]
    )


def _grouped(found: _Boxes, views: Int64) -> list[list[int]]:
    """Positions of the boxes of each thing."""
    groups: list[list[int]] = []
    group_of = np.zeros(len(found.scores), np.int64)
    for at in range(len(found.scores)):
        earlier = np.flatnonzero((found.class_ids[:at] == found.class_ids[at]) & (found.view[:at] != found.view[at]))
        agreement = _agreement(found, views, at, earlier)
        same = agreement >= _AGREE
        if found.cut[at]:
            same |= _covered(found.xyxy[at], found.xyxy[earlier]) >= _INSIDE
        likeliest = earlier[same][np.argsort(-agreement[same], kind="stable")]
        free = [group_of[other] for other in likeliest if found.view[at] not in found.view[groups[group_of[other]]]]
        group_of[at] = free[0] if free else len(groups)
        if free:
            groups[free[0]].append(at)
        else:
            groups.append([at])
    return groups


def _covered(box: Float64, others: Float64) -> Float64:
    """Share of one box that lies in each of others."""
    inside = _areas(_within(np.broadcast_to(box, others.shape), others))
    area = float(_areas(box[None])[0])
    shares: Float64 = inside / area if area > 0 else np.zeros(len(others))
    return shares


def _agreement(found: _Boxes, views: Int64, at: int, others: Int64) -> Float64:
    """Overlap of one box with others, each pair within the area that both their views show."""
    mine, theirs = views[found.view[at]], views[found.view[others]]
    common = np.concatenate([np.maximum(mine[:2], theirs[:, :2]), np.minimum(mine[2:], theirs[:, 2:])], axis=1)
    first = _within(found.xyxy[at][None], common)
    second = _within(found.xyxy[others], common)
    low, high = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = _areas(first) + _areas(second) - shared
    agreement: Float64 = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return agreement


def _within(boxes: Float64, bounds: AnyArray) -> Float64:
    clipped: Float64 = np.concatenate(
        [np.maximum(boxes[:, :2], bounds[:, :2]), np.minimum(boxes[:, 2:], bounds[:, 2:])], axis=1
    )
    return clipped


def _areas(boxes: Float64) -> Float64:
    areas: Float64 = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return areas


def _box_of(found: _Boxes, group: list[int]) -> Float64:
    """The best box that no edge cuts, else the box around all pieces."""
    first = group[0]
    boxes = found.xyxy[group] if found.cut[first] else found.xyxy[[first]]
    around: Float64 = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    return around
