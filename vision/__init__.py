"""Images in, frozen results out: what a picture is of, and where things are in it.

Names are imported when they are first asked for::

    vision.classifier().predict(["street.jpg"])[0].labels
    vision.detector(score_threshold=0.5).predict(["street.jpg"])[0].xyxy
    vision.segmenter().predict(["street.jpg"])[0].shares
    vision.face_recognizer().verify("passport.jpg", "door.jpg").same

An item is a path, bytes, a PIL image or a (height, width, 3) uint8 RGB array; :mod:`vision.images` says how each kind
of picture is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lazy import lazy_names

if TYPE_CHECKING:
    from vision.classification.task import classifier, embedder
    from vision.detection.task import detector
    from vision.faces.task import FaceRecognizer, face_recognizer
    from vision.frames import to_frame
    from vision.segmentation.promptable import promptable_segmenter
    from vision.segmentation.prompts import Prompts
    from vision.segmentation.task import segmenter
    from vision.tiles import tiled
    from vision.tracking import Tracks, track
    from vision.types import Classification, Detections, Faces, Segmentation, Verification
    from vision.video import read_frames, video_info, video_results

__all__ = [
    "Classification",
    "Detections",
    "FaceRecognizer",
    "Faces",
    "Prompts",
    "Segmentation",
    "Tracks",
    "Verification",
    "classifier",
    "detector",
    "embedder",
    "face_recognizer",
    "promptable_segmenter",
    "read_frames",
    "segmenter",
    "tiled",
    "to_frame",
    "track",
    "video_info",
    "video_results",
]
_HOMES = {
    "vision.classification.task": ("classifier", "embedder"),
    "vision.detection.task": ("detector",),
    "vision.faces.task": ("FaceRecognizer", "face_recognizer"),
    "vision.frames": ("to_frame",),
    "vision.segmentation.promptable": ("promptable_segmenter",),
    "vision.segmentation.prompts": ("Prompts",),
    "vision.segmentation.task": ("segmenter",),
    "vision.tiles": ("tiled",),
    "vision.tracking": ("Tracks", "track"),
    "vision.types": ("Classification", "Detections", "Faces", "Segmentation", "Verification"),
    "vision.video": ("read_frames", "video_info", "video_results"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
