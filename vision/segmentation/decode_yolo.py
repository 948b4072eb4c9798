"""Family ``yolo-seg``: boxes with the scores of all classes, and each thing's mask as a mixture of a few prototypes.

Two outputs, as YOLOv8 and its successors give them: (1, 4 + classes + k, boxes), each box as centre x, centre y, width
and height in pixels of the input, then a probability a class, then k weights; and the prototypes (1, k, rows, columns).
A mask is present where the weighted sum of the prototypes is above 0, inside the box (D. Bolya et al., "YOLACT:
real-time instance segmentation", ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shared.backends import TensorSpec
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.types import AnyArray
from vision.boxes import from_centres
from vision.detection.limits import Limits
from vision.detection.prepare import Letterbox
from vision.labels import label_set
from vision.reader import Kept, Reader
from vision.segmentation.readers import Asked, picture_boxes, things
from vision.segmentation.resample import mask_in_box, part_of_map
from vision.types import Segmentation


def reader(card: ModelCard, outputs: Sequence[TensorSpec], asked: Asked) -> Reader[Segmentation]:
    """How a graph of this family is read; see :data:`vision.segmentation.graphs.FAMILIES`.

    Raises:
        DataError: it has no such outputs, or one of another number of classes.
    """
    count = max(label_set(card.options["labels"]).names) + 1
    pairs = [
        (boxes.name, prototypes.name)
        for prototypes in outputs
        for boxes in outputs
        if len(prototypes.shape) == 4
        and len(boxes.shape) == 3
        and boxes.shape[1] == 4 + count + (prototypes.shape[1] or 0)
    ]
    if len(pairs) != 1:
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer with prototypes (1, k, rows, columns) and with boxes (1, "
            f"4 + {count} classes + k, boxes). Got {[output.shape for output in outputs]} instead"
        )
    box_name, map_name = pairs[0]
    limits = Limits(asked.classes, asked.score_threshold, asked.iou_threshold, asked.max_segments)

    def keep(answer: dict[str, AnyArray]) -> Kept:
        return candidates(answer[box_name][0], count, limits) | {"prototypes": answer[map_name][0].copy()}

    def decode(found: Mapping[str, AnyArray], given: Letterbox) -> Segmentation:
        return instances(found, given, asked)

    return Reader(keep, decode)


def candidates(answer: AnyArray, classes: int, limits: Limits) -> Kept:
    """What is worth a look in one raw answer.

    Args:
        answer: shape (4 + classes + k, boxes), float32.
        classes: how many there are.
        limits: what is wanted.

    Returns:
        For n candidates ``boxes`` (n, 4), centre x, centre y, width, height in pixels of the input; ``scores`` (n,),
        ``class_ids`` (n,) and ``weights`` (n, k).
    """
    class_ids, columns = limits.places(answer[4 : 4 + classes], by_row=True)
    return {
        "boxes": np.ascontiguousarray(answer[:4, columns].T),
        "scores": answer[4 + class_ids, columns],
        "class_ids": class_ids,
        "weights": np.ascontiguousarray(answer[4 + classes :, columns].T),
    }


def instances(found: Mapping[str, AnyArray], given: Letterbox, asked: Asked) -> Segmentation:
    """The result of one picture.

    Args:
        found: as :func:`candidates` gives it, with ``prototypes``, shape (k, rows, columns).
        given: what the network was given.
        asked: what the user asked for.
    """
    boxes = picture_boxes(from_centres(found["boxes"]), given)
    kept = asked.best_things(boxes, found["scores"], found["class_ids"])
    prototypes = found["prototypes"]
    maps = (found["weights"][kept] @ prototypes.reshape(len(prototypes), -1)).reshape(-1, *prototypes.shape[1:])
    part = part_of_map(given, prototypes.shape[1:])
    masks = [mask_in_box(values, part, box, given.outer, above=0.0) for values, box in zip(maps, boxes[kept])]
    scores, class_ids = found["scores"][kept], found["class_ids"][kept]
    return things(asked, given.outer, masks, boxes=boxes[kept], scores=scores, class_ids=class_ids)
