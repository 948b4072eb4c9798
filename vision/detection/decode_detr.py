"""Family ``detr``: class logits and boxes of a fixed number of queries, each thing answered once.

Boxes are centre x, centre y, width and height as shares of the picture (N. Carion et al., "End-to-end object detection
with transformers", ECCV 2020). With the option ``activation = "softmax"`` a last class says that a query found nothing,
and each query has one class; with ``"sigmoid"`` every class of every query has a score of its own, as in Deformable
DETR, RT-DETR and D-FINE.
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
        DataError: it has no such outputs, or scores of another number of classes.
    """
    by_name = {output.name: output.shape for output in outputs}
    softmax = card.options["activation"] == "softmax"
    count = max(label_set(card.options["labels"]).names) + 1
    logits, boxes = by_name.get("logits", ()), by_name.get("pred_boxes", ())
    if len(logits) != 3 or boxes[-1:] != (4,) or (logits[2] or 0) < count + softmax:
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer with logits (1, queries, classes) for its {count} classes"
            f"{' and one of nothing' if softmax else ''}, and with pred_boxes (1, queries, 4). Got {by_name} instead"
        )

    def keep(answer: dict[str, AnyArray]) -> Kept:
        return candidates(answer["logits"][0], answer["pred_boxes"][0], limits, softmax=softmax)

    def decode(found: Mapping[str, AnyArray], given: Letterbox) -> Detections:
        height, width = given.outer
        boxes = from_centres(found["boxes"]) * np.array([width, height, width, height])
        return limits.detections(boxes, found["scores"], found["class_ids"], given)

    return Reader(keep, decode)


def candidates(logits: AnyArray, boxes: AnyArray, limits: Limits, *, softmax: bool) -> Kept:
    """What is worth a look in one raw answer.

    Args:
        logits: shape (queries, classes), float32.
        boxes: shape (queries, 4), float32: centre x, centre y, width, height in [0, 1].
        limits: what is wanted.
        softmax: whether the classes of a query exclude one another and the last is nothing.

    Returns:
        For n candidates ``boxes`` (n, 4), ``scores`` (n,) and ``class_ids`` (n,).

    Example:
        >>> from vision.labels import LabelSet
        >>> limits = Limits(LabelSet({0: "cat"}), 0.5, None, 10)
        >>> logits, boxes = np.float32([[3, 0], [0, 3]]), np.float32([[0.5] * 4] * 2)
        >>> candidates(logits, boxes, limits, softmax=True)["scores"].round(2)
        array([0.95], dtype=float32)
    """
    if softmax:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = (powers / powers.sum(axis=1, keepdims=True))[:, :-1]
        scores = np.where(scores == scores.max(axis=1, keepdims=True), scores, -1.0).astype(np.float32)
    else:
        scores = (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)  # the logistic function, which cannot overflow
    rows, columns = limits.places(scores)
    return {"boxes": boxes[rows], "scores": scores[rows, columns], "class_ids": columns}
