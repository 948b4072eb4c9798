"""Predicted boxes or masks matched with the true ones, as COCO's evaluation does it: the ground of its figures.

The definitions are those of the COCO evaluation (T.-Y. Lin et al., "Microsoft COCO: common objects in context", ECCV
2014, and its reference code): greedy matching in order of score at ten overlaps from 0.50 to 0.95; crowds and things
outside the area range neither right nor wrong; at most 100 boxes a class and image. Matching is done once an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from shared.errors import UsageError
from shared.types import Bool, Float64, Int64

OVERLAPS: Float64 = np.linspace(0.5, 0.95, 10)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Ranges of a thing's area in square pixels, both ends within."""
MAX_BOXES = 100
"""Boxes of one class in one image that count; those with the best scores."""
Overlaps: TypeAlias = Callable[[int, Int64, Int64], Float64]
"""From an image's number, positions of n of its predictions and of m of its things to their overlaps, shape (n, m)."""


@dataclass(frozen=True)
class Things:
    """What truly is in one image.

    Attributes:
        boxes: shape (n, 4), corners x1, y1, x2, y2 in pixels.
        class_ids: shape (n,), int.
        areas: shape (n,), square pixels; of the thing's outline where that is known, else of its box.
        crowd: shape (n,), bool: whether a box holds many things, of which any number may be found.
        difficult: shape (n,), bool: whether a thing counts neither as found nor as missed; ``None``: none does.
    """

    boxes: Float64
    class_ids: Int64
    areas: Float64
    crowd: Bool
    difficult: Bool | None = None

    @property
    def beside_the_point(self) -> Bool:
        """Shape (n,): what need not be found and may be."""
        return self.crowd if self.difficult is None else self.crowd | self.difficult


@dataclass(frozen=True)
class Found:
    """What was predicted for one image.

    Attributes:
        boxes: shape (n, 4), corners x1, y1, x2, y2 in pixels.
        class_ids: shape (n,), int.
        scores: shape (n,).
        areas: shape (n,), square pixels of the masks, where masks are matched; ``None``: those of the boxes.
    """

    boxes: Float64
    class_ids: Int64
    scores: Float64
    areas: Float64 | None = None


@dataclass(frozen=True)
class ClassMatches:
    """All predicted boxes of one class over all images, best score first, and what each was matched to.

    Attributes:
        class_id: which class.
        image: shape (n,), position of each box's image.
        scores: shape (n,), falling.
        rank: shape (n,), how many boxes of this class in the same image score better.
        right: shape (areas, overlaps, n), whether the box found a thing that counts.
        ignored: shape (areas, overlaps, n), whether it counts neither as right nor as wrong.
        things: shape (areas, images), how many things there are to be found.
    """

    class_id: int
    image: Int64
    scores: Float64
    rank: Int64
    right: Bool
    ignored: Bool
    things: Float64


@dataclass(frozen=True, eq=False)
class Matches:
    """Predictions matched with the truth, ready for any number of weighings.

    Attributes:
        images: how many images there are.
        classes: one entry a class that is in the truth or the predictions.
    """

    images: int
    classes: tuple[ClassMatches, ...]


def match_boxes(truth: Sequence[Things], predicted: Sequence[Found], *, overlaps: Overlaps | None = None) -> Matches:
    """Match predictions with what is there, image by image and class by class.

    Args:
        truth: what is in each image. Where scores are equal, the earlier image counts as the better one.
        predicted: what was found in each image; nothing for an image that failed.
        overlaps: how far predictions and things cover each other; ``None`` takes intersection over union of the boxes.
            For masks it is the same of their pixels. Over a crowd it is the share of the prediction that lies in it.

    Raises:
        UsageError: the lengths differ.
    """
    if len(truth) != len(predicted):
        raise UsageError(
            f"truth and prediction must have one length. Got {len(truth)} and {len(predicted)} images instead"
        )
    sides = [*(side.class_ids for side in truth), *(side.class_ids for side in predicted)]
    known = {int(number) for class_ids in sides for number in np.unique(class_ids)}

    def of_boxes(image: int, found: Int64, things: Int64) -> Float64:
        there = truth[image]
        return box_overlaps(predicted[image].boxes[found], there.boxes[things], there.crowd[things])

    cover = overlaps or of_boxes
    return Matches(len(truth), tuple(_match_class(truth, predicted, c, cover) for c in sorted(known)))


@dataclass(frozen=True)
class Judged:
    """The answers for one image at one overlap, as a viewer sees them.

    Attributes:
        right: shape (n,), bool, which predictions found a thing of their class.
        wrong: shape (n,), bool, which found none; those on crowds and difficult things are neither.
        missed: shape (m,), bool, which things that count were not found.
    """

    right: Bool
    wrong: Bool
    missed: Bool


def judge(truth: Things, found: Found, *, overlap: float = 0.5, min_score: float = 0.3) -> Judged:
    """What is right, wrong and missed in one image.

    Args:
        truth: what is in it.
        found: what was found in it; boxes below ``min_score`` are neither right nor wrong.
        overlap: least intersection over union of a box that is right.
        min_score: least score that a viewer would be shown.

    Example:
        >>> cat = Things(np.array([[0.0, 0, 9, 9]]), np.array([1]), np.array([81.0]), np.array([False]))
        >>> two = Found(np.array([[0.0, 0, 9, 8], [0.0, 0, 8, 9]]), np.array([1, 1]), np.array([0.5, 0.9]))
        >>> judge(cat, two)
        Judged(right=array([False,  True]), wrong=array([ True, False]), missed=array([False]))
    """
    right, wrong = np.zeros((2, found.scores.size), np.bool_)
    taken = np.zeros(truth.class_ids.size, np.bool_)
    skip = truth.beside_the_point
    cover = box_overlaps(found.boxes, truth.boxes, truth.crowd)
    for at in np.argsort(-found.scores, kind="stable"):
        if found.scores[at] < min_score:
            break
        free = (truth.class_ids == found.class_ids[at]) & (cover[at] >= overlap)
        counting = np.flatnonzero(free & ~skip & ~taken)
        if counting.size:
            taken[counting[cover[at][counting].argmax()]] = True
            right[at] = True
        elif not (free & skip).any():
            wrong[at] = True
    return Judged(right, wrong, ~taken & ~skip)


def _match_class(
    truth: Sequence[Things], predicted: Sequence[Found], class_id: int, overlaps: Overlaps
) -> ClassMatches:
    pairs = enumerate(zip(truth, predicted))
    parts = [_match_image(image, t, p, class_id, overlaps) for image, (t, p) in pairs]
    sizes = [part.scores.size for part in parts]
    scores = np.concatenate([part.scores for part in parts])
    order = np.argsort(-scores, kind="stable")
    return ClassMatches(
        class_id,
        np.repeat(np.arange(len(parts)), sizes)[order],
        scores[order],
        np.concatenate([np.arange(size) for size in sizes])[order],
        np.concatenate([part.right for part in parts], axis=2)[:, :, order],
        np.concatenate([part.ignored for part in parts], axis=2)[:, :, order],
        np.stack([part.things for part in parts], axis=1),
    )


class _ImageMatches(NamedTuple):
    """One class in one image: see :class:`ClassMatches`; ``things`` has shape (areas,)."""

    scores: Float64
    right: Bool
    ignored: Bool
    things: Float64


def _match_image(image: int, truth: Things, found: Found, class_id: int, overlaps: Overlaps) -> _ImageMatches:
    mine, theirs = np.flatnonzero(found.class_ids == class_id), np.flatnonzero(truth.class_ids == class_id)
    mine = mine[np.argsort(-found.scores[mine], kind="stable")[:MAX_BOXES]]
    skipped, crowd = truth.beside_the_point[theirs], truth.crowd[theirs]
    beside_the_point = np.stack([skipped | _outside(truth.areas[theirs], area) for area in AREAS.values()])
    matched = np.zeros((len(AREAS), len(OVERLAPS), mine.size), np.bool_)
    ignored = np.zeros_like(matched)
    if theirs.size and mine.size:
        _match_greedily(overlaps(image, mine, theirs), crowd, beside_the_point, matched, ignored)
    boxes = found.boxes[mine]
    own_areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) if found.areas is None else found.areas[mine]
    outside = np.stack([_outside(own_areas, area) for area in AREAS.values()])
    ignored |= ~matched & outside[:, None, :]
    scores = np.asarray(found.scores[mine], np.float64)
    return _ImageMatches(scores, matched & ~ignored, ignored, (~beside_the_point).sum(axis=1).astype(np.float64))


def _match_greedily(overlaps: Float64, crowd: Bool, beside_the_point: Bool, matched: Bool, ignored: Bool) -> None:
    """Give each box, best score first, the best thing that is left; fills ``matched`` and ``ignored``.

    A thing that counts goes before one that is beside the point, and of equal overlaps the later thing is taken. All
    areas and overlaps are matched side by side: the arrays inside have shape (areas, overlaps, things).
    """
    least = np.minimum(OVERLAPS, 1 - 1e-10)[None, :, None]
    skip = beside_the_point[:, None, :]
    taken = np.zeros((len(AREAS), len(OVERLAPS), crowd.size), np.bool_)
    area, level = np.ogrid[: len(AREAS), : len(OVERLAPS)]
    for at in np.flatnonzero((overlaps >= least.min()).any(axis=1)):
        free = (overlaps[at] >= least) & (~taken | crowd)
        counting = free & ~skip
        choices = np.where(counting.any(axis=2, keepdims=True), counting, free)
        values = np.where(choices, overlaps[at], -1.0)[:, :, ::-1]
        best = crowd.size - 1 - values.argmax(axis=2)
        hit = choices.any(axis=2)
        matched[:, :, at] = hit
        ignored[:, :, at] = hit & skip[area, 0, best]
        taken[area, level, best] |= hit


def box_overlaps(boxes: Float64, true_boxes: Float64, crowd: Bool) -> Float64:
    """Intersection over union, over the predicted box's own area where the thing is a crowd.

    Args:
        boxes: shape (n, 4), corners x1, y1, x2, y2.
        true_boxes: shape (m, 4).
        crowd: shape (m,).

    Returns:
        Shape (n, m), in [0, 1].
    """
    low = np.maximum(boxes[:, None, :2], true_boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], true_boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    own = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    whole = np.where(crowd, own, own + (true_boxes[:, 2:] - true_boxes[:, :2]).prod(axis=1) - shared)
    overlap: Float64 = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return overlap


def _outside(areas: Float64, bounds: tuple[float, float]) -> Bool:
    return (areas < bounds[0]) | (areas > bounds[1])
