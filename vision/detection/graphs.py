"""The families of detectors: how each is fed and read, by the name that a card gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from shared.backends import TensorSpec
from shared.catalogue import ModelCard
from vision.detection import decode, decode_boxes, decode_detr, decode_yolo
from vision.detection.limits import Limits
from vision.reader import Reader
from vision.types import Detections

MakeReader: TypeAlias = Callable[[ModelCard, Sequence[TensorSpec], tuple[int, int], Limits], Reader[Detections]]
"""From a card, the graph's outputs, its input's height and width and the user's limits to how its answers are read."""


@dataclass(frozen=True)
class Family:
    """What detectors of one family have in common.

    Attributes:
        reader: how their answers are read.
        options: what a card of the family need not say: ``fit`` and ``pad``
            (:func:`vision.detection.prepare.letterbox`), and ``iou_threshold`` where the user does not say; without one
            the graph answers each thing once and nothing is suppressed.
        any_size: options of graphs that read pictures of any size, where they are others.
    """

    reader: MakeReader
    options: Mapping[str, Any]
    any_size: Mapping[str, Any] = field(default_factory=dict)


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "efficientdet": Family(decode.reader, {"fit": "corner", "pad": 127, "iou_threshold": 0.5}),
        "yolo": Family(
            decode_yolo.reader, {"fit": "centre", "pad": 114, "iou_threshold": 0.7}, any_size={"fit": "rectangle"}
        ),
        "detr": Family(decode_detr.reader, {"fit": "stretch"}),
        "boxes": Family(decode_boxes.reader, {"fit": "stretch"}),
    }
)
"""Families by the name that a card's ``family`` gives."""
