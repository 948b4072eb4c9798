"""Family ``masks``: the graph itself answers finished things, each with a box and a mask of its own.

Four outputs, known by the names ``boxes`` (n, 4), corners x1, y1, x2, y2 in pixels of the input; ``scores`` (n,);
``labels`` (n,), whole numbers; and ``masks`` (n, 1, rows, columns), probabilities: over the whole input, as
torchvision's Mask R-CNN answers, or, with the card's ``mask_of = "box"``, over each thing's box alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shared.backends import TensorSpec
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.types import AnyArray
from vision.detection.prepare import Letterbox
from vision.reader import Kept, Reader
from vision.segmentation.readers import Asked, picture_boxes, things
from vision.segmentation.resample import mask_in_box, part_of_map, pasted_in_box
from vision.types import Segmentation

_NAMES = ("boxes", "scores", "labels", "masks")
HALF = 0.5
"""Probability above which a pixel belongs to a thing."""


def reader(card: ModelCard, outputs: Sequence[TensorSpec], asked: Asked) -> Reader[Segmentation]:
    """How a graph of this family is read; see :data:`vision.segmentation.graphs.FAMILIES`.

    Raises:
        DataError: it has no such outputs, or ``mask_of`` is neither ``"input"`` nor ``"box"``.
    """
    names = {output.name for output in outputs}
    mask_of = card.options.get("mask_of", "input")
    if not set(_NAMES) <= names or mask_of not in ("input", "box"):
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer with {', '.join(_NAMES)}, and its option mask_of must be "
            f"'input' or 'box'. Got {sorted(names)} and {mask_of!r} instead"
        )

    def keep(answer: dict[str, AnyArray]) -> Kept:
        scores, class_ids = answer["scores"].reshape(-1), answer["labels"].reshape(-1)
        wanted = (scores >= asked.score_threshold) & np.isin(class_ids, list(asked.classes.names))
        masks = answer["masks"]
        return {
            "boxes": answer["boxes"].reshape(-1, 4)[wanted],
            "scores": scores[wanted],
            "class_ids": class_ids[wanted].astype(np.int64),
            "masks": masks.reshape(len(scores), *masks.shape[-2:])[wanted],
        }

    def decode(found: Mapping[str, AnyArray], given: Letterbox) -> Segmentation:
        return instances(found, given, asked, of_box=mask_of == "box")

    return Reader(keep, decode)


def instances(found: Mapping[str, AnyArray], given: Letterbox, asked: Asked, *, of_box: bool) -> Segmentation:
    """The result of one picture.

    Args:
        found: ``boxes`` (n, 4), ``scores`` (n,), ``class_ids`` (n,) and ``masks`` (n, rows, columns).
        given: what the network was given.
        asked: what the user asked for.
        of_box: whether a mask covers its thing's box alone, not the whole input.
    """
    exact = given.to_picture(found["boxes"])
    boxes = picture_boxes(found["boxes"], given)
    kept = asked.best_things(boxes, found["scores"], found["class_ids"])
    if of_box:
        masks = [pasted_in_box(found["masks"][at], exact[at], given.outer, above=HALF) for at in kept]
    else:
        part = part_of_map(given, found["masks"].shape[1:])
        masks = [mask_in_box(found["masks"][at], part, boxes[at], given.outer, above=HALF) for at in kept]
    scores, class_ids = found["scores"][kept], found["class_ids"][kept]
    return things(asked, given.outer, masks, boxes=boxes[kept], scores=scores, class_ids=class_ids)
