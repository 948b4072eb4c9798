"""Images in, frozen results out: what a picture is of, and where things are in it.

Names are imported when they are first asked for::

    vision.classifier().predict(["street.jpg"])[0].labels
    vision.detector(score_threshold=0.5).predict(["street.jpg"])[0].xyxy

An item is a path, bytes, a PIL image or a (height, width, 3) uint8 RGB array; :mod:`vision.images` says how each kind
of picture is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lazy import lazy_names

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
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
