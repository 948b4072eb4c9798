"""The task ``vision.faces``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from shared.catalogue import ModelCard
from shared.errors import UsageError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.types import Float32
from shared.weights import Opened
from vision.annotate import annotate
from vision.boxes import clip_boxes
from vision.faces.align import ARCFACE, ARCFACE_SIDE, aligned_crop, similarity_transform
from vision.faces.calibrate import calibrate
from vision.faces.cluster import cluster
from vision.faces.decode import Found
from vision.faces.detect import CLOSE_SIDE, FaceDetector, make_detector
from vision.faces.embed import Embedder, embedder_id, make_embedder
from vision.faces.evaluate import FORMATS, evaluate_faces
from vision.faces.gallery import Gallery, open_gallery
from vision.faces.prepare import GRID, FacePicture, prepare
from vision.faces.quality import detail, face_quality, head_pose
from vision.faces.verify import DEFAULT_FAR, card_threshold, compare
from vision.families import open_model
from vision.images import ImageSource
from vision.monitoring import observe
from vision.opening import ALLOW_URLS, open_graph
from vision.types import Faces, Verification
from vision.video import OPTIONS as VIDEO_OPTIONS
from vision.video import video_results

NAME = "vision.faces"
DETECTORS, EMBEDDERS = ("face-detector",), ("face-embedder",)
DETECTOR = "yunet"
SCORE_THRESHOLD = 0.6
IOU_THRESHOLD = 0.3
MAX_FACES = 200
DETECTION_SIZE = 640


@dataclass(frozen=True)
class Looked:
    """What the networks say of one picture.

    Attributes:
        found: the faces in pixels of the upright picture as it came.
        details: shape (n,), see :func:`vision.faces.quality.detail`.
        embeddings: shape (n, d), or ``None`` where none were asked for.
    """

    found: Found
    details: Float32
    embeddings: Float32 | None


_Pipeline: TypeAlias = Pipeline[ImageSource, FacePicture, Looked, Faces]


@dataclass(frozen=True)
class FaceRecognizer(_Pipeline):
    """A predictor from pictures to :class:`~vision.types.Faces`, and what is done with embeddings.

    Attributes:
        embedder: what identifies the model of the embeddings; galleries keep it.
        dimension: numbers in an embedding; 0 where faces are not embedded.
    """

    embedder: str = ""
    dimension: int = 0

    def threshold(self, *, far: float = DEFAULT_FAR) -> float:
        """The similarity from which two faces count as one person's, as the model's card has it.

        Args:
            far: the false-accept rate that it was chosen for.

        Raises:
            UsageError: the card has no threshold for that rate; the message lists those that it has.
        """
        return card_threshold(self.card, far)

    def verify(
        self,
        first: ImageSource | Faces,
        second: ImageSource | Faces,
        *,
        far: float = DEFAULT_FAR,
        threshold: float | None = None,
    ) -> Verification:
        """Whether the main faces of two pictures are one person's; see :attr:`vision.types.Faces.main`.

        Args:
            first: a picture, or what this predictor said of one.
            second: another.
            far: false-accept rate of the card's threshold.
            threshold: in place of the card's.

        Raises:
            PredictError: a picture cannot be used.
            InputError: a picture has no face (``no-face``).
            UsageError: the card has no threshold for ``far``, or the faces were embedded by another model.
        """
        used = self.threshold(far=far) if threshold is None else threshold
        sides = [side if isinstance(side, Faces) else self._one(side) for side in (first, second)]
        return compare(sides[0], sides[1], threshold=used, far=far if threshold is None else None)

    def gallery(self, folder: str | Path) -> Gallery:
        """Open a gallery of this model's embeddings, or begin one; see :mod:`vision.faces.gallery`.

        Raises:
            DataError: the folder holds something else, or a gallery of another model.
            UsageError: this recognizer was opened with ``embed=False``.
        """
        if not self.dimension:
            raise UsageError("a gallery needs embeddings. This recognizer was opened with embed=False")
        return open_gallery(folder, embedder=self.embedder, dimension=self.dimension)

    def _one(self, picture: ImageSource) -> Faces:
        found = self.predict([picture])[0]
        assert isinstance(found, Faces)
        return found


def face_recognizer(
    name: str | Path | None = None,
    *,
    detector: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    score_threshold: float = SCORE_THRESHOLD,
    iou_threshold: float = IOU_THRESHOLD,
    max_faces: int = MAX_FACES,
    detection_size: int = DETECTION_SIZE,
    close_look: bool = True,
    embed: bool = True,
    allow_urls: bool = False,
) -> FaceRecognizer:
    """Open a face recognizer: detector, alignment, quality and embedder.

    Args:
        name: the embedder: a catalogue name, a model folder, an ONNX file with a card beside it, or ``None`` for SFace.
            What a card may say is told in :mod:`vision.faces.embed`.
        detector: likewise; ``None`` takes the one that the embedder's card names, else YuNet.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        score_threshold: faces below this score are left out, in [0, 1].
        iou_threshold: overlap above which the worse of two faces is left out, in [0, 1].
        max_faces: faces of one picture at most, at least 1.
        detection_size: longer side of what the detector looks at, in pixels, at least 32. It finds faces from some
            ten pixels on, so a larger size finds smaller faces in large pictures, in time that grows with its square.
        close_look: whether each face is turned upright and shown to the detector again, which places its landmarks
            better and costs one small run a face. Thresholds on cards were measured with it.
        embed: whether faces are embedded; without, only the detector is opened.
        allow_urls: whether items that are ``http(s)`` addresses are fetched.

    Raises:
        UsageError: a number, ``device`` or ``threads`` is out of its range.
        UnknownNameError: no model is called that.
        DataError: a card does not fit its graph.
        WeightsError: a model file cannot be had.
    """
    for option, value in (("score_threshold", score_threshold), ("iou_threshold", iou_threshold)):
        if not 0 <= value <= 1:
            raise UsageError(f"{option} must lie in [0, 1]. Got {value} instead")
    for option, number, least in (("max_faces", max_faces, 1), ("detection_size", detection_size, GRID)):
        if number < least:
            raise UsageError(f"{option} must be at least {least}. Got {number} instead")
    opening = {"task": NAME, "device": device, "threads": threads}
    embedder: Embedder | None = None
    card = None
    if embed:
        card, backend = open_graph(name, families=EMBEDDERS, input_shape=_input_shape, **opening)  # type: ignore[arg-type]
        embedder = make_embedder(card, backend)
    wanted = detector or (card.options.get("detector", DETECTOR) if card else DETECTOR)
    shapes = [(1, 3, -1, -1), (1, 3, CLOSE_SIDE, CLOSE_SIDE)][: 2 if close_look else 1]
    eyes = [
        open_graph(wanted, families=DETECTORS, input_shape=lambda card, shape=shape: shape, beside=card, **opening)  # type: ignore[arg-type,misc]
        for shape in shapes
    ]
    seer = eyes[0][0]
    find = make_detector(
        seer,
        eyes[0][1],
        eyes[1][1] if close_look else None,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_faces=max_faces,
    )
    return FaceRecognizer(
        card or seer,
        partial(prepare, size=detection_size, allow_urls=allow_urls),
        lambda batch: [_look(given, find, embedder) for given in batch],
        partial(_decode, embedder="" if card is None else embedder_id(card)),
        batch_size=1,
        threads=threads,
        side_by_side=True,
        embedder="" if card is None else embedder_id(card),
        dimension=embedder.dimension if embedder else 0,
    )


def whole(name: str | Path | None = None) -> list[Opened]:
    """The embedder, and the detector before it; what :attr:`shared.tasks.Task.whole` gives."""
    opened = open_model(name, task=NAME)
    return [opened, open_model(opened.card.options.get("detector", DETECTOR), task=NAME, beside=opened.card)]


def _input_shape(card: ModelCard) -> tuple[int, ...] | None:
    shape = card.options.get("input_shape")
    return None if shape is None else tuple(shape)


def _look(given: FacePicture, find: FaceDetector, embedder: Embedder | None) -> Looked:
    found = find(given)
    template, side = (embedder.template, embedder.size) if embedder else (np.array(ARCFACE), ARCFACE_SIDE)
    transforms = similarity_transform(found.landmarks, template)
    crops = [aligned_crop(given.picture, transform, side) for transform in transforms]
    details = np.array([detail(crop) for crop in crops], np.float32)
    embeddings = embedder(crops) if embedder else None
    (height, width), picture = given.outer, given.picture
    scale = np.array([width / picture.width, height / picture.height], np.float32)
    xyxy = clip_boxes(found.xyxy * np.tile(scale, 2), height, width)
    return Looked(Found(xyxy, found.landmarks * scale, found.scores), details, embeddings)


def _decode(looked: Looked, given: FacePicture, *, embedder: str) -> Faces:
    found = looked.found
    pose = head_pose(found.landmarks)
    quality, parts = face_quality(found.xyxy, pose, looked.details)
    scores = np.minimum(found.scores, 1.0)
    return Faces(given.outer, found.xyxy, found.landmarks, scores, quality, parts, pose, looked.embeddings, embedder)


TASK = Task(
    name=NAME,
    summary="faces in a picture: boxes, five landmarks, quality, and embeddings to compare",
    inputs="image",
    open=face_recognizer,
    observe=observe,
    options=(
        Option("detector", str, None, "catalogue name or model folder of the detector; the model's own when not given"),
        Option("score_threshold", float, SCORE_THRESHOLD, "leave out faces below this score, in [0, 1]"),
        Option("iou_threshold", float, IOU_THRESHOLD, "leave out the worse of two faces that overlap more, in [0, 1]"),
        Option("max_faces", int, MAX_FACES, "faces of one picture at most, at least 1"),
        Option("detection_size", int, DETECTION_SIZE, "longer side of what the detector looks at, in pixels"),
        Option("close_look", bool, True, "look at each face again, which places its landmarks better"),
        Option("embed", bool, False, "embed each face too"),
        ALLOW_URLS,
    ),
    evaluate=evaluate_faces,
    evaluate_options=(
        Option("far", float, DEFAULT_FAR, "false-accept rate of tar_at_far and of the model's own threshold"),
        Option("threshold", float, None, "similarity in place of the model's own threshold, in [-1, 1]"),
    ),
    formats=FORMATS,
    video=video_results,
    video_options=VIDEO_OPTIONS,
    annotate=annotate,
    tools={"open_gallery": open_gallery, "calibrate": calibrate, "cluster": cluster},
    whole=whole,
)
