"""The families of segmenters: how each is fed and read, by the name that a card gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from shared.backends import TensorSpec
from shared.catalogue import ModelCard
from vision.reader import Reader
from vision.segmentation import decode_masks, decode_matting, decode_queries, decode_semantic, decode_yolo
from vision.segmentation.readers import Asked
from vision.types import Segmentation

MakeReader: TypeAlias = Callable[[ModelCard, Sequence[TensorSpec], Asked], Reader[Segmentation]]
"""From a card, the graph's outputs and what the user asked for to how its answers are read."""


@dataclass(frozen=True)
class Family:
    """What segmenters of one family have in common.

    Attributes:
        reader: how their answers are read.
        options: what a card of the family need not say: ``fit`` and ``pad``
            (:func:`vision.detection.prepare.letterbox`), and ``score_threshold`` and ``iou_threshold`` where the user
            does not say; without an ``iou_threshold`` nothing is suppressed.
    """

    reader: MakeReader
    options: Mapping[str, Any]


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "semantic": Family(decode_semantic.reader, {"fit": "stretch", "score_threshold": 0.0}),
        "matting": Family(
            decode_matting.reader, {"fit": "stretch", "score_threshold": 0.0, "labels": ["", "foreground"]}
        ),
        "yolo-seg": Family(
            decode_yolo.reader, {"fit": "centre", "pad": 114, "score_threshold": 0.3, "iou_threshold": 0.7}
        ),
        "masks": Family(decode_masks.reader, {"fit": "stretch", "score_threshold": 0.3}),
        "queries": Family(decode_queries.reader, {"fit": "stretch", "score_threshold": 0.3}),
    }
)
"""Families by the name that a card's ``family`` gives. A card of family ``sam`` is opened by
:func:`vision.promptable_segmenter`."""
