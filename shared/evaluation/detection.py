"""COCO's detection figures: average precision and recall of boxes or masks, with bootstrap intervals over images.

Precision at 101 recalls at ten overlaps, over what :mod:`shared.evaluation.matching` matched once; each bootstrap
resample only weighs the images anew. A box on an image without truth counts as wrong wherever its class is in the data
set at all; a class that no image truly holds has no average precision, by COCO's definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval
from shared.evaluation.matching import (
    AREAS,
    MAX_BOXES,
    OVERLAPS,
    ClassMatches,
    Found,
    Matches,
    Overlaps,
    Things,
    match_boxes,
)
from shared.evaluation.report import Metric
from shared.types import AnyArray, Bool, Float64

__all__ = [
    "FIGURES",
    "Figure",
    "Figures",
    "Found",
    "Matches",
    "Overlaps",
    "Things",
    "boxes_on_empty",
    "detection_figures",
    "detection_scores",
    "match_boxes",
]

_AREAS = tuple(AREAS)
RECALLS: Float64 = np.linspace(0.0, 1.0, 101)
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


BY_CLASS = ("map", "map50")
"""The figures that are given for each class too."""


@dataclass(frozen=True)
class Figures:
    """COCO's figures with their intervals.

    Attributes:
        overall: by name; those that the data can give: without small things, say, there is no ``map_small``.
        by_class: for each class that truly occurs its own :data:`BY_CLASS`, by its number.
        things: for each class how many things there are to be found.
    """

    overall: dict[str, Metric]
    by_class: dict[int, dict[str, Metric]]
    things: dict[int, int]


def detection_scores(
    matches: Matches, *, weights: AnyArray | None = None, figures: Sequence[str] = tuple(FIGURES)
) -> dict[str, Float64]:
    """COCO's twelve figures.

    Args:
        matches: from :func:`match_boxes`.
        weights: shape (resamples, images), how often each image counts; ``None`` counts each once.
        figures: names of those of :data:`FIGURES` that are wanted.

    Returns:
        For each name an array of shape (resamples,); NaN where no image holds a thing that the
        figure is about. Classes without such a thing are left out of the mean.

    Example:
        >>> cat = Things(np.array([[0.0, 0, 9, 9]]), np.array([1]), np.array([81.0]), np.array([False]))
        >>> found = Found(np.array([[0.0, 0, 9, 10]]), np.array([1]), np.array([0.8]))
        >>> scores = detection_scores(match_boxes([cat], [found]))
        >>> round(scores["map50"].item(), 3), round(scores["map"].item(), 3), scores["map_large"].item()
        (1.0, 0.9, nan)
    """
    return _scores(matches, weights, figures)[0]


def detection_figures(
    matches: Matches, *, rng: np.random.Generator, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Figures:
    """COCO's figures, overall and by class, with percentile bootstrap intervals over images.

    Args:
        matches: from :func:`match_boxes`.
        rng: source of randomness.
        resamples: how often the images are drawn again, at least 1.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        UsageError: there is no image.
    """
    if matches.images < 1:
        raise UsageError("detection figures need at least 1 image. Got none instead")
    chances = np.full(matches.images, 1 / matches.images)
    draws = rng.multinomial(matches.images, chances, size=resamples)
    values, class_values = _scores(matches, None)
    drawn, class_drawn = _scores(matches, draws)

    def metrics(value: dict[str, Float64], several: dict[str, Float64]) -> dict[str, Metric]:
        return {
            name: percentile_interval(float(one[0]), several[name], confidence=confidence)
            for name, one in value.items()
            if not np.isnan(one[0])
        }

    by_class = {c: found for c, one in class_values.items() if (found := metrics(one, class_drawn[c]))}
    things = {found.class_id: int(found.things[0].sum()) for found in matches.classes}
    return Figures(metrics(values, drawn), by_class, {c: things[c] for c in by_class})


def boxes_on_empty(truth: Sequence[Things], predicted: Sequence[Found], *, min_score: float) -> Float64:
    """How many boxes were found in each image that truly holds nothing; every one of them is wrong.

    Args:
        truth: what is in each image.
        predicted: what was found in each image.
        min_score: boxes below it do not count.

    Returns:
        Shape (images without truth,).
    """
    counts = [float((p.scores >= min_score).sum()) for t, p in zip(truth, predicted) if not len(t.class_ids)]
    return np.array(counts, np.float64)


def _scores(
    matches: Matches, weights: AnyArray | None, wanted: Sequence[str] = tuple(FIGURES)
) -> tuple[dict[str, Float64], dict[int, dict[str, Float64]]]:
    """The figures over all classes, and :data:`BY_CLASS` of each class; arrays of shape (resamples,)."""
    if weights is None:
        return _totals(((found.class_id, _plain_figures(found)) for found in matches.classes), 1, wanted)
    weights = np.asarray(weights, np.float64)
    most = max((found.image.size for found in matches.classes), default=0)
    rows = max(1, _BLOCK // max(1, most))

    def drawn(found: ClassMatches) -> dict[str, Float64]:
        blocks = [_class_figures(found, weights[at : at + rows], wanted) for at in range(0, len(weights), rows)]
        return {name: np.concatenate([block[name] for block in blocks]) for name in wanted}

    return _totals(((found.class_id, drawn(found)) for found in matches.classes), len(weights), wanted)


def _totals(
    classes: Iterable[tuple[int, dict[str, Float64]]], n: int, wanted: Sequence[str]
) -> tuple[dict[str, Float64], dict[int, dict[str, Float64]]]:
    """Means over the classes that have a figure, shape (n,), and :data:`BY_CLASS` of each class."""
    sums = {name: np.zeros(n) for name in wanted}
    counts = {name: np.zeros(n) for name in wanted}
    by_class = {}
    for class_id, figures in classes:
        by_class[class_id] = {name: figures[name] for name in BY_CLASS if name in figures}
        for name in wanted:
            values = figures[name]
            present = ~np.isnan(values)
            sums[name][present] += values[present]
            counts[name] += present
    overall = {
        name: np.divide(sums[name], counts[name], out=np.full(n, np.nan), where=counts[name] > 0) for name in wanted
    }
    return overall, by_class


def _plain_figures(found: ClassMatches) -> dict[str, Float64]:
    """The figures of one class with every image counted once, each of shape (1,): all overlaps are followed at once."""
    things = found.things.sum(axis=1)
    precisions = [
        _precisions(right, ignored, some) if some else np.full(len(OVERLAPS), np.nan)
        for right, ignored, some in zip(found.right, found.ignored, things)
    ]
    figures = {}
    for name, figure in FIGURES.items():
        area = _AREAS.index(figure.area)
        if figure.kind == "precision":
            levels = precisions[area]
        elif things[area]:
            levels = np.count_nonzero(found.right[area][:, found.rank < figure.boxes], axis=1) / things[area]
        else:
            levels = precisions[area]
        figures[name] = np.array([levels.mean() if figure.overlap is None else levels[_level(figure.overlap)]])
    return figures


def _precisions(right: Bool, ignored: Bool, things: float) -> Float64:
    """:func:`_average_precision` of each overlap, shape (overlaps,), from flags of shape (overlaps, n)."""
    steps = np.flatnonzero(right.any(axis=0))
    if not steps.size:
        return np.zeros(len(right))
    stepped = right[:, steps]
    boxes, hits = np.cumsum(~ignored[:, : steps[-1] + 1], axis=1)[:, steps], np.cumsum(stepped, axis=1)
    precision = np.where(stepped, hits / (boxes + np.spacing(1.0)), 0.0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    passed = np.diff(np.searchsorted(RECALLS, hits / things, side="right"), axis=1, prepend=0)
    area: Float64 = (best * passed).sum(axis=1) / len(RECALLS)
    return area


def _level(overlap: float) -> int:
    return int(abs(OVERLAPS - overlap).argmin())


def _class_figures(found: ClassMatches, weights: Float64, wanted: Sequence[str]) -> dict[str, Float64]:
    """The figures of one class, each of shape (resamples,); NaN where the drawn images hold nothing to be found."""
    seen = weights[:, found.image]
    precisions: dict[tuple[int, int], Float64] = {}
    figures: dict[str, Float64] = {}
    for name in wanted:
        figure = FIGURES[name]
        area = _AREAS.index(figure.area)
        things = weights @ found.things[area]
        if not things.any():
            figures[name] = np.full(len(weights), np.nan)
            continue
        some = np.where(things > 0, things, 1.0)
        levels = range(len(OVERLAPS)) if figure.overlap is None else [_level(figure.overlap)]
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
