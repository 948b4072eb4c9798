"""COCO's detection figures: average precision and recall of boxes, with bootstrap intervals over images.

The definitions are those of the COCO evaluation (T.-Y. Lin et al., "Microsoft COCO: common objects in context", ECCV
2014, and its reference code): greedy matching in order of score at ten overlaps from 0.50 to 0.95, precision at 101
recalls, crowds and things outside the area range neither right nor wrong, at most 100 boxes a class and image.
Matching is done once an image; each bootstrap resample only weighs the images anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import percentile_interval
from shared.evaluation.report import Metric
from shared.types import AnyArray, Bool, Float64, Int64

OVERLAPS: Float64 = np.linspace(0.5, 0.95, 10)
RECALLS: Float64 = np.linspace(0.0, 1.0, 101)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Ranges of a thing's area in square pixels, both ends within."""
MAX_BOXES = 100
"""Boxes of one class in one image that count; those with the best scores."""
_BLOCK = 8_000_000
"""Weighed boxes held at once, so that memory stays near 64 MB whatever the number of images."""


class Figure(NamedTuple):
    """One of COCO's twelve: precision or recall, at which overlap (``None``: the mean of all), area and box limit."""

    kind: str
    overlap: float | None = None
    area: str = "all"
    boxes: int = MAX_BOXES


FIGURES = {
    "map": Figure("precision"),
    "map50": Figure("precision", 0.5),
    "map75": Figure("precision", 0.75),
    "map_small": Figure("precision", area="small"),
    "map_medium": Figure("precision", area="medium"),
    "map_large": Figure("precision", area="large"),
    "ar1": Figure("recall", boxes=1),
    "ar10": Figure("recall", boxes=10),
    "ar100": Figure("recall"),
    "ar_small": Figure("recall", area="small"),
    "ar_medium": Figure("recall", area="medium"),
    "ar_large": Figure("recall", area="large"),
}
"""The twelve figures by name, in COCO's own order."""


@dataclass(frozen=True)
class Things:
    """What truly is in one image.

    Attributes:
        boxes: shape (n, 4), corners x1, y1, x2, y2 in pixels.
        class_ids: shape (n,), int.
        areas: shape (n,), square pixels; of the thing's outline where that is known, else of its box.
        crowd: shape (n,), bool: whether a box holds many things, of which any number may be found.
    """

    boxes: Float64
    class_ids: Int64
    areas: Float64
    crowd: Bool


@dataclass(frozen=True)
class Found:
    """What was predicted for one image.

    Attributes:
        boxes: shape (n, 4), corners x1, y1, x2, y2 in pixels.
        class_ids: shape (n,), int.
        scores: shape (n,).
    """

    boxes: Float64
    class_ids: Int64
    scores: Float64


@dataclass(frozen=True)
class _ClassMatches:
    """All predicted boxes of one class over all images, best score first, and what each was matched to.

    Attributes:
        image: shape (n,), position of each box's image.
        rank: shape (n,), how many boxes of this class in the same image score better.
        right: shape (areas, overlaps, n), whether the box found a thing that counts.
        ignored: shape (areas, overlaps, n), whether it counts neither as right nor as wrong.
        things: shape (areas, images), how many things there are to be found.
    """

    image: Int64
    rank: Int64
    right: Bool
    ignored: Bool
    things: Float64


@dataclass(frozen=True)
class Matches:
    """Predictions matched with the truth, ready for any number of weighings.

    Attributes:
        images: how many images there are.
        classes: one entry a class that is in the truth or the predictions.
    """

    images: int
    classes: tuple[_ClassMatches, ...]


def match_boxes(truth: Sequence[Things], predicted: Sequence[Found]) -> Matches:
    """Match predicted boxes with true ones, image by image and class by class.

    Args:
        truth: what is in each image. Where scores are equal, the earlier image counts as the better one.
        predicted: what was found in each image; nothing for an image that failed.

    Raises:
        UsageError: the lengths differ.
    """
    if len(truth) != len(predicted):
        raise UsageError(
            f"truth and prediction must have one length. Got {len(truth)} and {len(predicted)} images instead"
        )
    sides = [*(side.class_ids for side in truth), *(side.class_ids for side in predicted)]
    known = {int(number) for class_ids in sides for number in np.unique(class_ids)}
    return Matches(len(truth), tuple(_match_class(truth, predicted, c) for c in sorted(known)))


def detection_scores(matches: Matches, *, weights: AnyArray | None = None) -> dict[str, Float64]:
    """COCO's twelve figures.

    Args:
        matches: from :func:`match_boxes`.
        weights: shape (resamples, images), how often each image counts; ``None`` counts each once.

    Returns:
        For each name of :data:`FIGURES` an array of shape (resamples,); NaN where no image holds a thing that the
        figure is about. Classes without such a thing are left out of the mean.

    Example:
        >>> cat = Things(np.array([[0.0, 0, 9, 9]]), np.array([1]), np.array([81.0]), np.array([False]))
        >>> found = Found(np.array([[0.0, 0, 9, 10]]), np.array([1]), np.array([0.8]))
        >>> scores = detection_scores(match_boxes([cat], [found]))
        >>> round(scores["map50"].item(), 3), round(scores["map"].item(), 3), scores["map_large"].item()
        (1.0, 0.9, nan)
    """
    weights = np.ones((1, matches.images)) if weights is None else np.asarray(weights, np.float64)
    most = max((found.image.size for found in matches.classes), default=0)
    rows = max(1, _BLOCK // max(1, most))
    blocks = [_block_scores(matches.classes, weights[at : at + rows]) for at in range(0, len(weights), rows)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in FIGURES}


def detection_intervals(
    matches: Matches, *, rng: np.random.Generator, resamples: int = 1000, confidence: float = 0.95
) -> dict[str, Metric]:
    """COCO's figures with percentile bootstrap intervals over images.

    Args:
        matches: from :func:`match_boxes`.
        rng: source of randomness.
        resamples: how often the images are drawn again, at least 1.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        The figures that the data can give: without small things, say, there is no ``map_small``.

    Raises:
        UsageError: there is no image.
    """
    if matches.images < 1:
        raise UsageError("detection figures need at least 1 image. Got none instead")
    chances = np.full(matches.images, 1 / matches.images)
    draws = rng.multinomial(matches.images, chances, size=resamples)
    values = detection_scores(matches)
    drawn = detection_scores(matches, weights=draws)
    return {
        name: percentile_interval(float(value[0]), drawn[name], confidence=confidence)
        for name, value in values.items()
        if not np.isnan(value[0])
    }


def _match_class(truth: Sequence[Things], predicted: Sequence[Found], class_id: int) -> _ClassMatches:
    parts = [_match_image(t, p, class_id) for t, p in zip(truth, predicted)]
    sizes = [part.scores.size for part in parts]
    scores = np.concatenate([part.scores for part in parts])
    order = np.argsort(-scores, kind="stable")
    return _ClassMatches(
        np.repeat(np.arange(len(parts)), sizes)[order],
        np.concatenate([np.arange(size) for size in sizes])[order],
        np.concatenate([part.right for part in parts], axis=2)[:, :, order],
        np.concatenate([part.ignored for part in parts], axis=2)[:, :, order],
        np.stack([part.things for part in parts], axis=1),
    )


class _ImageMatches(NamedTuple):
    """One class in one image: see :class:`_ClassMatches`; ``things`` has shape (areas,)."""

    scores: Float64
    right: Bool
    ignored: Bool
    things: Float64


def _match_image(truth: Things, found: Found, class_id: int) -> _ImageMatches:
    mine, theirs = found.class_ids == class_id, truth.class_ids == class_id
    order = np.argsort(-found.scores[mine], kind="stable")[:MAX_BOXES]
    boxes, scores = found.boxes[mine][order], np.asarray(found.scores[mine][order], np.float64)
    true_boxes, crowd = truth.boxes[theirs], truth.crowd[theirs]
    beside_the_point = np.stack([crowd | _outside(truth.areas[theirs], area) for area in AREAS.values()])
    matched = np.zeros((len(AREAS), len(OVERLAPS), scores.size), np.bool_)
    ignored = np.zeros_like(matched)
    if true_boxes.size and boxes.size:
        _match_greedily(_overlaps(boxes, true_boxes, crowd), crowd, beside_the_point, matched, ignored)
    own_areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    outside = np.stack([_outside(own_areas, area) for area in AREAS.values()])
    ignored |= ~matched & outside[:, None, :]
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


def _overlaps(boxes: Float64, true_boxes: Float64, crowd: Bool) -> Float64:
    """Intersection over union, shape (boxes, things); over the box's own area where the thing is a crowd."""
    low = np.maximum(boxes[:, None, :2], true_boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], true_boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    own = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    whole = np.where(crowd, own, own + (true_boxes[:, 2:] - true_boxes[:, :2]).prod(axis=1) - shared)
    overlap: Float64 = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return overlap


def _outside(areas: Float64, bounds: tuple[float, float]) -> Bool:
    return (areas < bounds[0]) | (areas > bounds[1])


def _block_scores(classes: Iterable[_ClassMatches], weights: Float64) -> dict[str, Float64]:
    sums = {name: np.zeros(len(weights)) for name in FIGURES}
    counts = {name: np.zeros(len(weights)) for name in FIGURES}
    for found in classes:
        for name, values in _class_figures(found, weights).items():
            present = ~np.isnan(values)
            sums[name][present] += values[present]
            counts[name] += present
    return {
        name: np.divide(sums[name], counts[name], out=np.full(len(weights), np.nan), where=counts[name] > 0)
        for name in FIGURES
    }


def _class_figures(found: _ClassMatches, weights: Float64) -> dict[str, Float64]:
    """The figures of one class, each of shape (resamples,); NaN where the drawn images hold nothing to be found."""
    seen = weights[:, found.image]
    precisions: dict[tuple[int, int], Float64] = {}
    figures: dict[str, Float64] = {}
    for name, figure in FIGURES.items():
        area = list(AREAS).index(figure.area)
        things = weights @ found.things[area]
        if not things.any():
            figures[name] = np.full(len(weights), np.nan)
            continue
        some = np.where(things > 0, things, 1.0)
        levels = range(len(OVERLAPS)) if figure.overlap is None else [int(abs(OVERLAPS - figure.overlap).argmin())]
        total = np.zeros(len(weights))
        for level in levels:
            right = found.right[area, level]
            if figure.kind == "recall":
                total += seen[:, right & (found.rank < figure.boxes)].sum(axis=1) / some
                continue
            if (area, level) not in precisions:
                precisions[area, level] = _average_precision(seen, right, found.ignored[area, level], some)
            total += precisions[area, level]
        figures[name] = np.where(things > 0, total / len(levels), np.nan)
    return figures


def _average_precision(seen: Float64, right: Bool, ignored: Bool, things: Float64) -> Float64:
    """Precision averaged over the 101 recalls, shape (resamples,).

    Recall rises only where a box is right, so the curve is followed at those boxes alone; at each stands the best
    precision of any recall from there on.
    """
    counted = np.flatnonzero(~ignored)
    steps = np.flatnonzero(right[counted])
    if not steps.size:
        return np.zeros(len(seen))
    starts = np.concatenate([[0], steps[:-1] + 1])
    boxes = np.add.reduceat(seen[:, counted[: steps[-1] + 1]], starts, axis=1).cumsum(axis=1)
    hits = seen[:, counted[steps]].cumsum(axis=1)
    precision = hits / (boxes + np.spacing(1.0))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALLS, hits / things[:, None], side="right")
    passed = np.diff(reached, axis=1, prepend=0)
    area: Float64 = (best * passed).sum(axis=1) / len(RECALLS)
    return area
