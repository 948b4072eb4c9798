"""Images in, frozen results out: what a picture is of, and where things are in it.

Names are imported when they are first asked for::

    vision.classifier().predict(["street.jpg"])[0].labels
    vision.detector(score_threshold=0.5).predict(["street.jpg"])[0].xyxy

An item is a path, bytes, a PIL image or a (height, width, 3) uint8 RGB array; :mod:`vision.images` says how each kind
of picture is read.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vision.classification.task import classifier
    from vision.detection.task import detector
    from vision.types import Classification, Detections

__all__ = ["Classification", "Detections", "classifier", "detector"]
_HOMES = {
    "vision.classification.task": ("classifier",),
    "vision.detection.task": ("detector",),
    "vision.types": ("Classification", "Detections"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
