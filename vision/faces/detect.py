"""Faces in a picture: found in a view of the whole, then each looked at again closely and upright.

The landmarks decide how well a face is aligned, and the detector errs with a face's size, slant and place in its view.
So each face is turned upright by its first landmarks and shown to the detector once more, always at one size and place:
what error is left is then nearly the same for every picture of a person, and does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from shared.backends import Backend
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.types import AnyArray, Float32, Float64
from vision.faces.align import ARCFACE, aligned_crop, similarity_transform
from vision.faces.decode import Found, candidates, suppress
from vision.faces.prepare import FacePicture, detector_input
from vision.opening import answers

CLOSE_SIDE = 160
"""Pixels of the square that a face is shown in when it is looked at again."""
CLOSE_TEMPLATE: Float64 = np.array(ARCFACE) * 1.235 + (12.8, -1.2)
"""Where the landmarks lie in that square: the eyes 43.5 pixels apart and level, in the middle from side to side."""
_CLOSE_SCORE = 0.3
_CLOSE_DISTANCE = 20.0
"""What the second look must find to count: a face of that score whose landmarks lie so near to the first, in pixels of
the square on average."""
_OUTPUTS = 12


@dataclass(frozen=True)
class FaceDetector:
    """YuNet with its thresholds. Use :func:`make_detector`.

    Attributes:
        backend: the graph, loaded so that it reads any multiple of 32.
        close_backend: the same graph, loaded so that it reads squares of :data:`CLOSE_SIDE`: a graph that is given
            one shape after another prepares itself anew each time. ``None`` keeps the landmarks of the first look.
        score_threshold: faces below this score are left out, in [0, 1].
        iou_threshold: overlap above which the worse of two faces is left out, in [0, 1].
        max_faces: faces of one picture at most.
    """

    backend: Backend
    close_backend: Backend | None
    score_threshold: float
    iou_threshold: float
    max_faces: int

    def __call__(self, given: FacePicture) -> Found:
        """Faces in pixels of ``given.picture``, best first."""
        found = self._look(self.backend, [given.view], self.score_threshold)[0]
        (rows, columns), picture = given.inner, given.picture
        scale = np.array([picture.width / columns, picture.height / rows], np.float32)
        found = Found(found.xyxy * np.tile(scale, 2), found.landmarks * scale, found.scores)
        return found if self.close_backend is None else self._closely(self.close_backend, picture, found)

    def _look(self, backend: Backend, views: Sequence[Float32], score_threshold: float) -> list[Found]:
        """What stands in each view, in pixels of the view."""

        def keep(outputs: dict[str, AnyArray], width: int) -> dict[str, AnyArray]:
            return candidates(list(outputs.values()), width=width, score_threshold=score_threshold)

        widths = {view.shape[3] for view in views}
        width = widths.pop() if widths else 0
        raw = answers(backend, views, keep=lambda outputs: keep(outputs, width))
        return [suppress(one, iou_threshold=self.iou_threshold, max_faces=self.max_faces) for one in raw]

    def _closely(self, backend: Backend, picture: Image.Image, found: Found) -> Found:
        """The same faces with the landmarks of a second look, where it finds the same face."""
        transforms = similarity_transform(found.landmarks, CLOSE_TEMPLATE)
        views = [detector_input(aligned_crop(picture, transform, CLOSE_SIDE)) for transform in transforms]
        landmarks = found.landmarks.copy()
        for at, (transform, close) in enumerate(zip(transforms, self._look(backend, views, _CLOSE_SCORE))):
            distances = np.linalg.norm(close.landmarks - CLOSE_TEMPLATE, axis=2).mean(axis=1)
            if distances.size and distances.min() <= _CLOSE_DISTANCE:
                turned = close.landmarks[distances.argmin()] - transform[:, 2]
                landmarks[at] = np.linalg.solve(transform[:, :2], turned.T).T
        return Found(found.xyxy, landmarks, found.scores)


def make_detector(
    card: ModelCard,
    backend: Backend,
    close_backend: Backend | None,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_faces: int,
) -> FaceDetector:
    """A face detector by its card.

    Raises:
        DataError: the graph's answers are not YuNet's.
    """
    if len(backend.inputs) != 1 or len(backend.outputs) != _OUTPUTS:
        raise DataError(
            f"{card.origin}: model {card.name!r} must have a graph of one input and {_OUTPUTS} outputs, as YuNet. "
            f"Got {len(backend.inputs)} inputs and {len(backend.outputs)} outputs instead"
        )
    return FaceDetector(backend, close_backend, score_threshold, iou_threshold, max_faces)
