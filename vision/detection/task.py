"""The task ``vision.detection``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from shared.errors import DataError, UsageError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.types import AnyArray
from vision.datasets import DETECTION_FORMATS
from vision.detection.decode import Decoder, make_anchors
from vision.detection.prepare import Letterbox, letterbox
from vision.evaluate import EVALUATED_FROM, evaluate_detection
from vision.images import ImageSource
from vision.labels import label_set
from vision.opening import ALLOW_URLS, answers, open_graph
from vision.types import Detections

NAME = "vision.detection"
FAMILIES = ("efficientdet",)
SCORE_THRESHOLD = 0.3
IOU_THRESHOLD = 0.5
MAX_DETECTIONS = 100

Candidates: TypeAlias = dict[str, AnyArray]
"""What :meth:`vision.detection.decode.Decoder.candidates` gives of one picture."""


def detector(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    score_threshold: float = SCORE_THRESHOLD,
    iou_threshold: float = IOU_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
    allow_urls: bool = False,
) -> Pipeline[ImageSource, Letterbox, Candidates, Detections]:
    """Open an object detector.

    Args:
        name: a catalogue name, a model folder, or ``None`` for EfficientDet-Lite0.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        score_threshold: boxes below this score are left out, in [0, 1].
        iou_threshold: overlap above which the worse of two boxes of one class is left out, in [0, 1].
        max_detections: boxes of one picture at most, at least 1.
        allow_urls: whether items that are ``http(s)`` addresses are fetched.

    Returns:
        A predictor from pictures (:data:`vision.images.ImageSource`) to :class:`~vision.types.Detections`.

    Raises:
        UsageError: a number, ``device`` or ``threads`` is out of its range.
        UnknownNameError: no model is called that.
        WeightsError: a model file cannot be had.
    """
    for option, value in (("score_threshold", score_threshold), ("iou_threshold", iou_threshold)):
        if not 0 <= value <= 1:
            raise UsageError(f"{option} must lie in [0, 1]. Got {value} instead")
    if max_detections < 1:
        raise UsageError(f"max_detections must be at least 1. Got {max_detections} instead")
    card, backend = open_graph(name, task=NAME, families=FAMILIES, device=device, threads=threads)
    size, classes = card.options["size"], label_set(card.options["labels"])
    anchors = make_anchors(size)
    outputs = {output.shape[-1]: output for output in backend.outputs}
    codes = outputs.pop(4, None)
    scores = next(iter(outputs.values()), None)
    if codes is None or scores is None or {codes.shape[:2], scores.shape[:2]} != {(1, len(anchors))}:
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer with scores (1, {len(anchors)}, classes) and box codes "
            f"(1, {len(anchors)}, 4) for an input of {size} pixels. Got {[o.shape for o in backend.outputs]} instead"
        )
    score_name, code_name = scores.name, codes.name
    decoder = Decoder(anchors, classes, score_threshold, iou_threshold, max_detections)

    def keep(outputs: dict[str, AnyArray]) -> Candidates:
        return decoder.candidates(outputs[score_name][0], outputs[code_name][0])

    def run(batch: Sequence[Letterbox]) -> list[Candidates]:
        return answers(backend, [given.pixels for given in batch], keep=keep)

    return Pipeline(
        card,
        partial(letterbox, size=size, pad=card.options["pad"], allow_urls=allow_urls),
        run,
        decoder,
        batch_size=1,
        threads=threads,
        side_by_side=True,
    )


TASK = Task(
    name=NAME,
    summary="where things are in a picture: boxes of the 80 COCO classes",
    inputs="image",
    open=detector,
    options=(
        Option("score_threshold", float, SCORE_THRESHOLD, "leave out boxes below this score, in [0, 1]"),
        Option("iou_threshold", float, IOU_THRESHOLD, "leave out the worse of two boxes that overlap more, in [0, 1]"),
        Option("max_detections", int, MAX_DETECTIONS, "boxes of one picture at most, at least 1"),
        ALLOW_URLS,
    ),
    evaluate=evaluate_detection,
    evaluate_options=(
        Option("images", str, None, "folder of the images that the annotations name; found beside them if not given"),
        Option("score_threshold", float, EVALUATED_FROM, "leave out boxes below this score, in [0, 1]"),
    ),
    formats=DETECTION_FORMATS,
)
