"""Family ``boxes``: the graph suppresses and answers any number of finished boxes, as torchvision's detectors do.

Three outputs, known by their names: ``boxes`` (n, 4), corners x1, y1, x2, y2 in pixels of the input; ``scores`` (n,);
``labels`` (n,), whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shared.backends import TensorSpec
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.types import AnyArray
from vision.detection.limits import Limits
from vision.detection.prepare import Letterbox
from vision.reader import Kept, Reader
from vision.types import Detections


def reader(card: ModelCard, outputs: Sequence[TensorSpec], size: tuple[int, int], limits: Limits) -> Reader[Detections]:
    """How a graph of this family is read; see :data:`vision.detection.graphs.FAMILIES`.

    Raises:
        DataError: it has no such outputs.
    """
    names = {output.name for output in outputs}
    if not {"boxes", "scores", "labels"} <= names:
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer with boxes, scores and labels. Got {sorted(names)} instead"
        )

    def keep(answer: dict[str, AnyArray]) -> Kept:
        return candidates(answer["boxes"], answer["scores"], answer["labels"], limits)

    def decode(found: Mapping[str, AnyArray], given: Letterbox) -> Detections:
        boxes = given.to_picture(found["boxes"])
        return limits.detections(boxes, found["scores"], found["class_ids"], given)

    return Reader(keep, decode)


def candidates(boxes: AnyArray, scores: AnyArray, labels: AnyArray, limits: Limits) -> Kept:
    """The wanted boxes that reach the threshold: ``boxes`` (n, 4), ``scores`` (n,), ``class_ids`` (n,)."""
    labels = labels.reshape(-1)
    wanted = (scores.reshape(-1) >= limits.score_threshold) & np.isin(labels, list(limits.classes.names))
    return {
        "boxes": boxes.reshape(-1, 4)[wanted],
        "scores": scores.reshape(-1)[wanted],
        "class_ids": labels[wanted].astype(np.int64),
    }
