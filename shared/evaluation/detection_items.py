"""What each image says of detection figures: F1 of one image, and records by which two detectors are compared.

A record is an image of one matching. Records of two systems may be mixed: their matches are joined once, and every
resample only weighs the images of the join anew, as one system's own bootstrap does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from shared.evaluation.detection import FIGURES, detection_scores
from shared.evaluation.items import Pooled
from shared.evaluation.matching import AREAS, OVERLAPS, ClassMatches, Matches
from shared.types import Float64

_ALL, _HALF = list(AREAS).index("all"), int(abs(OVERLAPS - 0.5).argmin())


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """One image of a matching.

    Attributes:
        matches: all images of one system.
        image: which of them.
    """

    matches: Matches
    image: int


def image_f1(matches: Matches, *, min_score: float) -> Float64:
    """F1 of each image's boxes at an overlap of one half: 2 right / (found + there), over all classes.

    Args:
        matches: from :func:`shared.evaluation.matching.match_boxes`.
        min_score: boxes below it do not count.

    Returns:
        Shape (images,), in [0, 1]; 1 for an image where nothing is there and nothing was found.

    Example:
        >>> from shared.evaluation.matching import Found, Things, match_boxes
        >>> cat = Things(np.array([[0.0, 0, 9, 9]]), np.array([1]), np.array([81.0]), np.array([False]))
        >>> two = Found(np.array([[0.0, 0, 9, 9], [0.0, 0, 1, 1]]), np.array([1, 1]), np.array([0.9, 0.8]))
        >>> image_f1(match_boxes([cat], [two]), min_score=0.3).round(3).tolist()
        [0.667]
    """
    right, found, there = np.zeros((3, matches.images))
    for one in matches.classes:
        shown = one.scores >= min_score
        counted = shown & ~one.ignored[_ALL, _HALF]
        right += np.bincount(one.image, one.right[_ALL, _HALF] & shown, matches.images)
        found += np.bincount(one.image, counted, matches.images)
        there += one.things[_ALL]
    whole = found + there
    f1: Float64 = np.divide(2 * right, whole, out=np.ones(matches.images), where=whole > 0)
    return f1


def pooled_figures(matches: Matches, names: Sequence[str]) -> dict[str, Pooled]:
    """COCO's figures as pooled ones of images.

    Args:
        matches: from :func:`shared.evaluation.matching.match_boxes`.
        names: of figures, those of :data:`shared.evaluation.detection.FIGURES`.
    """
    records = [ImageRecord(matches, image) for image in range(matches.images)]
    joins: dict[tuple[int, ...], tuple[tuple[Matches, ...], Matches]] = {}

    def join(parts: tuple[Matches, ...]) -> Matches:
        # Every figure and every block of resamples asks for the same join; the parts are held so that ids stay theirs.
        key = tuple(map(id, parts))
        if key not in joins:
            joins.clear()
            joins[key] = (parts, joined(parts))
        return joins[key][1]

    return {
        name: Pooled(records, partial(_figure, join, name), weighed=partial(_weighed, join, name))
        for name in names
        if name in FIGURES
    }


def joined(parts: Sequence[Matches]) -> Matches:
    """The images of several matchings as those of one, in order."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(part.images for part in parts)])
    classes = []
    for number in sorted({one.class_id for part in parts for one in part.classes}):
        found = [(start, one) for start, part in zip(starts, parts) for one in part.classes if one.class_id == number]
        things = np.zeros((len(AREAS), int(starts[-1])))
        for start, one in found:
            things[:, start : start + one.things.shape[1]] = one.things
        scores = np.concatenate([one.scores for _, one in found])
        order = np.argsort(-scores, kind="stable")
        image = np.concatenate([one.image + start for start, one in found])
        rank = np.concatenate([one.rank for _, one in found])
        right = np.concatenate([one.right for _, one in found], axis=2)
        ignored = np.concatenate([one.ignored for _, one in found], axis=2)
        classes.append(
            ClassMatches(
                number, image[order], scores[order], rank[order], right[..., order], ignored[..., order], things
            )
        )
    return Matches(int(starts[-1]), tuple(classes))


_Join = Callable[[tuple[Matches, ...]], Matches]


def _figure(join: _Join, name: str, records: Sequence[ImageRecord]) -> float:
    return float(_weighed(join, name, records, np.ones((1, len(records))))[0])


def _weighed(join: _Join, name: str, records: Sequence[ImageRecord], weights: Float64) -> Float64:
    parts = {id(record.matches): record.matches for record in records}
    matches = tuple(parts.values())
    starts = dict(zip(parts, np.cumsum([0, *(part.images for part in matches)]).tolist()))
    places = np.array([starts[id(record.matches)] + record.image for record in records])
    whole = join(matches)
    of_images = np.zeros((len(weights), whole.images))
    if len(np.unique(places)) == len(places):
        of_images[:, places] = weights
    else:
        np.add.at(of_images.T, places, weights.T)
    return detection_scores(whole, weights=of_images, figures=(name,))[name]
