"""Family ``yolo``: one output of boxes and the scores of all classes, suppressed within each class.

The layout is that of YOLOv8 and its successors: (1, 4 + classes, boxes), each box as centre x, centre y, width and
height in pixels of the input, each score a probability of its own.
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
from vision.types import Detections


def reader(card: ModelCard, outputs: Sequence[TensorSpec], size: tuple[int, int], limits: Limits) -> Reader[Detections]:
    """How a graph of this family is read; see :data:`vision.detection.graphs.FAMILIES`.

    Raises:
        DataError: it has no such output, or one of another number of classes.
    """
    count = max(label_set(card.options["labels"]).names) + 1
    found = [output for output in outputs if len(output.shape) == 3 and output.shape[1] == 4 + count]
    if len(found) != 1:
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer with one array (1, {4 + count}, boxes), 4 and its {count} "
            f"classes. Got {[output.shape for output in outputs]} instead"
        )
    name = found[0].name

    def keep(answer: dict[str, AnyArray]) -> Kept:
        return candidates(answer[name][0], limits)

    def decode(found: Mapping[str, AnyArray], given: Letterbox) -> Detections:
        boxes = given.to_picture(from_centres(found["boxes"]))
        return limits.detections(boxes, found["scores"], found["class_ids"], given)

    return Reader(keep, decode)


def candidates(answer: AnyArray, limits: Limits) -> Kept:
    """What is worth a look in one raw answer.

    Args:
        answer: shape (4 + classes, boxes), float32.
        limits: what is wanted.

    Returns:
        For n candidates ``boxes`` (n, 4), centre x, centre y, width, height in pixels of the input; ``scores`` (n,) and
        ``class_ids`` (n,).
    """
    class_ids, columns = limits.places(answer[4:], by_row=True)
    return {
        "boxes": np.ascontiguousarray(answer[:4, columns].T),
        "scores": answer[4 + class_ids, columns],
        "class_ids": class_ids,
    }
