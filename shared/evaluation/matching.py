"""Predicted boxes or masks matched with the true ones, as COCO's evaluation does it: the ground of its figures.

The definitions are those of the COCO evaluation (T.-Y. Lin et al., "Microsoft COCO: common objects in context", ECCV
2014, and its reference code): greedy matching in order of score at ten overlaps from 0.50 to 0.95; crowds and things
outside the area range neither right nor wrong; at most 100 boxes a class and image. All images are matched at once, by
:mod:`shared.evaluation.pairing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from shared.errors import UsageError
from shared.evaluation.pairing import Cover, Layout, Pairs, in_groups, lay_out, match_greedily, near_pairs
from shared.types import AnyArray, Bool, Float64, Int64

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
    found, there = _joined(predicted, "class_ids", np.int64), _joined(truth, "class_ids", np.int64)
    images, homes = _images(predicted), _images(truth)
    classes = np.unique(np.concatenate([found, there]))
    found, there = np.searchsorted(classes, found), np.searchsorted(classes, there)
    scores, crowd = _joined(predicted, "scores", np.float64), _joined(truth, "crowd", np.bool_)
    layout = lay_out(scores, found, images, most=MAX_BOXES)
    groups = in_groups(layout, found, images, there, homes)
    if overlaps is None:
        pairs = near_pairs(groups, _box_cover(truth, predicted), least=float(OVERLAPS[0]))
    else:
        cover = _image_cover(truth, predicted, images, overlaps)
        pairs = near_pairs(groups, cover, least=float(OVERLAPS[0]), held=1)
    skip = _joined(truth, "beside_the_point", np.bool_) | _outside(_joined(truth, "areas", np.float64))
    own = np.concatenate([np.zeros(0), *map(_own_areas, predicted)])
    right, ignored = _judged(layout, pairs, _outside(own[layout.order]), skip, crowd)

    images, scores, found = images[layout.order], scores[layout.order], found[layout.order]
    ends = np.searchsorted(found, np.arange(classes.size + 1))
    n = len(truth)
    counts = [np.bincount(there[~out] * n + homes[~out], minlength=classes.size * n) for out in skip]
    things = np.stack(counts).reshape(len(AREAS), classes.size, n).astype(np.float64)
    cuts = [slice(start, stop) for start, stop in pairwise(ends)]
    return Matches(
        n,
        tuple(
            ClassMatches(int(c), images[i], scores[i], layout.rank[i], right[:, :, i], ignored[:, :, i], things[:, at])
            for at, (c, i) in enumerate(zip(classes, cuts))
        ),
    )


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


def _judged(layout: Layout, pairs: Pairs, outside: Bool, skip: Bool, crowd: Bool) -> tuple[Bool, Bool]:
    """Which predictions are right and which count neither way, each (areas, overlaps, n), in the layout's order."""
    at, hit, beside = match_greedily(pairs, crowd=crowd, skip=skip, least=np.minimum(OVERLAPS, 1 - 1e-10))
    at = layout.by_group[at]
    hit, beside = (flags.T.reshape(len(AREAS), len(OVERLAPS), -1) for flags in (hit, beside))
    right = np.zeros((len(AREAS), len(OVERLAPS), layout.order.size), np.bool_)
    ignored = np.repeat(outside[:, None], len(OVERLAPS), axis=1)
    ignored[:, :, at] = ignored[:, :, at] & ~hit | beside
    right[:, :, at] = hit & ~beside
    return right, ignored


def _box_cover(truth: Sequence[Things], predicted: Sequence[Found]) -> Cover:
    """What :func:`box_overlaps` says, of pairs of any images at once."""
    mine, theirs = (np.ascontiguousarray(_joined(side, "boxes", np.float64, 4).T) for side in (predicted, truth))
    own, true = ((corners[2] - corners[0]) * (corners[3] - corners[1]) for corners in (mine, theirs))
    crowd = _joined(truth, "crowd", np.bool_)

    def cover(found: Int64, things: Int64) -> Float64:
        shared = np.ones(found.size)
        for low, high in ((0, 2), (1, 3)):
            side = np.minimum(mine[high][found], theirs[high][things])
            side -= np.maximum(mine[low][found], theirs[low][things])
            shared *= np.maximum(side, 0, out=side)
        alone = own[found]
        whole = np.where(crowd[things], alone, alone + true[things] - shared)
        overlap: Float64 = np.divide(shared, whole, out=np.zeros(found.size), where=whole > 0)
        return overlap

    return cover


def _image_cover(truth: Sequence[Things], predicted: Sequence[Found], images: Int64, overlaps: Overlaps) -> Cover:
    """The overlaps of the pairs of one group, asked for by image and positions in it."""
    mine, theirs = (np.cumsum([0, *(len(item.class_ids) for item in side)]) for side in (predicted, truth))

    def cover(found: Int64, things: Int64) -> Float64:
        image, its = int(images[found[0]]), things[found == found[0]]
        return np.ravel(overlaps(image, found[:: its.size] - mine[image], its - theirs[image]))

    return cover


def _joined(sides: Sequence[Things] | Sequence[Found], name: str, dtype: Any, columns: int = 0) -> AnyArray:
    """One field of all images in one array."""
    empty = np.zeros((0, columns) if columns else 0, dtype)
    return np.concatenate([empty, *(getattr(side, name) for side in sides)], dtype=dtype, casting="unsafe")


def _images(sides: Sequence[Things] | Sequence[Found]) -> Int64:
    """The image of each thing or prediction."""
    return np.repeat(np.arange(len(sides)), np.array([len(side.class_ids) for side in sides], np.int64))


def _own_areas(found: Found) -> Float64:
    boxes = found.boxes
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) if found.areas is None else found.areas


def _outside(areas: Float64) -> Bool:
    """Which lie outside each range of :data:`AREAS`, shape (areas, n)."""
    return np.stack([(areas < low) | (areas > high) for low, high in AREAS.values()])
