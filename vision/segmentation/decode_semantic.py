"""Family ``semantic``: a score of every class for every cell of a grid, or the number of the best class itself.

The graph's one output is (1, classes, rows, columns) or (1, rows, columns, classes), of any stride, or whole numbers
(1, rows, columns) or (1, 1, rows, columns). Scores are brought to the picture's size before the best class is chosen,
which gives smoother and truer edges than enlarging the chosen classes; only classes that are best somewhere on the grid
are enlarged, so that the work depends on what is in the picture and not on how many classes there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shared.backends import TensorSpec
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.types import AnyArray, Float32
from vision.detection.prepare import Letterbox
from vision.labels import label_set
from vision.masks import encode_classes, rle_area
from vision.reader import Kept, Reader
from vision.segmentation.readers import Asked, segments
from vision.segmentation.resample import Box, best_of_maps, part_of_map
from vision.types import Segmentation


def reader(card: ModelCard, outputs: Sequence[TensorSpec], asked: Asked) -> Reader[Segmentation]:
    """How a graph of this family is read; see :data:`vision.segmentation.graphs.FAMILIES`.

    Raises:
        DataError: it has no such output, or one of another number of classes.
    """
    classes = label_set(card.options["labels"])
    count = max(classes.names) + 1
    output = _output(card, outputs, count)
    is_map = output.dtype.startswith(("int", "uint"))
    last = not is_map and output.shape[-1] == count and output.shape[1] != count
    background = card.options.get("background")

    def keep(answer: dict[str, AnyArray]) -> Kept:
        values = answer[output.name]
        if is_map:
            return kept_of_map(values.reshape(values.shape[-2:]))
        return kept_of_scores(values[0].transpose(2, 0, 1) if last else values[0])

    def decode(found: Mapping[str, AnyArray], given: Letterbox) -> Segmentation:
        return semantic(found, given, asked, background)

    return Reader(keep, decode)


def kept_of_scores(scores: AnyArray) -> Kept:
    """What matters of a score for each class and cell.

    Args:
        scores: shape (classes, rows, columns), unnormalised log-probabilities.

    Returns:
        For the k classes that are best somewhere ``class_ids`` (k,), ``maps`` (k, rows, columns), and over all cells
        ``best`` (rows, columns), positions among the k, and ``sure`` (rows, columns), the best class's probability.
    """
    scores = np.ascontiguousarray(scores, np.float32)
    winners = scores.argmax(axis=0)
    there = np.flatnonzero(np.bincount(winners.reshape(-1), minlength=len(scores)))
    places = np.zeros(len(scores), np.int64)
    places[there] = np.arange(there.size)
    apart = scores - scores.max(axis=0)
    sure = 1 / np.exp(apart, out=apart).sum(axis=0)
    return {"class_ids": there, "maps": scores[there], "best": places[winners], "sure": sure}


def kept_of_map(numbers: AnyArray) -> Kept:
    """As :func:`kept_of_scores` for a map, shape (rows, columns), of the numbers of the best classes."""
    class_ids, best = np.unique(numbers, return_inverse=True)
    best = best.reshape(numbers.shape)
    maps = (best[None] == np.arange(class_ids.size)[:, None, None]).astype(np.float32)
    return {"class_ids": class_ids, "maps": maps, "best": best, "sure": np.ones(numbers.shape, np.float32)}


def semantic(found: Mapping[str, AnyArray], given: Letterbox, asked: Asked, background: int | None) -> Segmentation:
    """The result of one picture: a segment for each wanted class that is there, largest first.

    Args:
        found: as :func:`kept_of_scores` gives it.
        given: what the network was given.
        asked: what the user asked for.
        background: the class of what belongs to nothing, which has no segment; ``None`` where every pixel has a class.
    """
    maps: Float32 = found["maps"]
    part = part_of_map(given, maps.shape[1:])
    sure = _sureness(found, part)
    masks = {}
    for at, rle in encode_classes(best_of_maps(maps, part, given.outer)).items():
        number = int(found["class_ids"][at])
        if number in asked.classes.names and number != background and sure[at] >= asked.score_threshold:
            masks[number] = (rle, sure[at])
    numbers = sorted(masks, key=lambda number: -rle_area(masks[number][0]))[: asked.max_segments]
    return segments(
        "semantic",
        given.outer,
        labels=[asked.classes.names[number] for number in numbers],
        masks=[masks[number][0] for number in numbers],
        scores=np.array([masks[number][1] for number in numbers], np.float32),
        class_ids=np.array(numbers, np.int32),
    )


def _sureness(found: Mapping[str, AnyArray], part: Box) -> AnyArray:
    """Mean probability of each class over its own cells inside the picture, shape (k,); of all its cells if none is."""
    best, sure = found["best"], found["sure"]
    rows, columns = best.shape
    left, top, right, bottom = (round(edge) for edge in part)
    inside = np.zeros((rows, columns), np.float64)
    inside[min(top, rows - 1) : max(bottom, top + 1), min(left, columns - 1) : max(right, left + 1)] = 1.0
    weights = inside + 1e-9
    k = found["class_ids"].size
    sums = np.bincount(best.reshape(-1), (sure * weights).reshape(-1), minlength=k)
    mean: AnyArray = sums / np.bincount(best.reshape(-1), weights.reshape(-1), minlength=k)
    return mean


def _output(card: ModelCard, outputs: Sequence[TensorSpec], count: int) -> TensorSpec:
    wanted = card.options.get("output")
    named = [output for output in outputs if wanted in (None, output.name)]
    fitting = [output for output in named if _fits(output, count)]
    if not fitting:
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer with scores (1, {count}, rows, columns) or (1, rows, "
            f"columns, {count}) of its {count} classes, or with whole numbers (1, rows, columns). "
            f"Got {[(output.name, output.dtype, output.shape) for output in outputs]} instead"
        )
    return fitting[0]


def _fits(output: TensorSpec, count: int) -> bool:
    if output.dtype.startswith(("int", "uint")):
        return len(output.shape) == 3 or (len(output.shape) == 4 and output.shape[1] == 1)
    return len(output.shape) == 4 and count in (output.shape[1], output.shape[3])
