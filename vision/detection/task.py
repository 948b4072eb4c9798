"""The task ``vision.detection``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from shared.backends import Backend
from shared.catalogue import ModelCard
from shared.errors import DataError, UsageError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from vision.annotate import annotate
from vision.datasets import DETECTION_FORMATS
from vision.detection.graphs import FAMILIES
from vision.detection.limits import Limits
from vision.detection.prepare import Letterbox, letterbox
from vision.detection.train import TRAIN_OPTIONS, train
from vision.evaluate import EVALUATE_OPTIONS, evaluate_detection
from vision.formats.convert import OPTIONS as CONVERT_OPTIONS
from vision.formats.convert import convert
from vision.images import ImageSource
from vision.labels import label_set
from vision.monitoring import observe
from vision.opening import ALLOW_URLS, CLASSES, answers, open_graph, whole
from vision.optimize import optimize
from vision.reader import Kept
from vision.tensors import feeder, rows_and_columns
from vision.tiles import tiled
from vision.tracking import OPTIONS as VIDEO_OPTIONS
from vision.tracking import track_video
from vision.types import Detections

NAME = "vision.detection"
SCORE_THRESHOLD = 0.3
MAX_DETECTIONS = 100


def detector(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    score_threshold: float = SCORE_THRESHOLD,
    iou_threshold: float | None = None,
    max_detections: int = MAX_DETECTIONS,
    classes: Sequence[str] = (),
    tile: int | None = None,
    allow_urls: bool = False,
) -> Pipeline[ImageSource, Any, Any, Detections]:
    """Open an object detector.

    Args:
        name: a catalogue name, a model folder, a name that :mod:`vision.families` knows (``"torchvision:..."``,
            ``"ultralytics:..."``, ``"hf:..."``, a checkpoint's path), or ``None`` for EfficientDet-Lite0.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        score_threshold: boxes below this score are left out, in [0, 1].
        iou_threshold: overlap above which the worse of two boxes of one class is left out, in [0, 1]; ``None`` takes
            the model's own. A model that answers each thing once has none.
        max_detections: boxes of one picture at most, at least 1.
        classes: names of the classes that are wanted; all when empty.
        tile: side in pixels of overlapping tiles that are looked at too, as :func:`vision.tiled` does with its own
            settings; ``None`` looks at the whole picture alone.
        allow_urls: whether items that are ``http(s)`` addresses are fetched.

    Returns:
        A predictor from pictures (:data:`vision.images.ImageSource`) to :class:`~vision.types.Detections`.

    Raises:
        UsageError: a number, ``device`` or ``threads`` is out of its range.
        UnknownNameError: no model, or none of the model's classes, is called that.
        WeightsError: a model file cannot be had.
        MissingDependencyError: a checkpoint must be exported first, which needs an extra.
    """
    for option, value in (("score_threshold", score_threshold), ("iou_threshold", iou_threshold)):
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"{option} must lie in [0, 1]. Got {value} instead")
    if max_detections < 1:
        raise UsageError(f"max_detections must be at least 1. Got {max_detections} instead")
    card, backend = open_graph(name, task=NAME, families=FAMILIES, device=device, threads=threads)
    family = FAMILIES[card.family]
    flexible = None in rows_and_columns(backend.inputs[0])
    options = {**family.options, **(family.any_size if flexible else {}), **card.options}
    overlap = options.get("iou_threshold")
    if overlap is not None and iou_threshold is not None:
        overlap = iou_threshold
    wanted = label_set(card.options["labels"]).only(classes)
    limits = Limits(wanted, score_threshold, overlap, max_detections)
    size = _size(card, backend, options)
    reader = family.reader(card, backend.outputs, size, limits)
    feed = feeder(backend.inputs[0], options)

    def run(batch: Sequence[Letterbox]) -> list[Kept]:
        return answers(backend, [feed(given.pixels) for given in batch], keep=reader.keep)

    found = Pipeline(
        card,
        partial(
            letterbox,
            size=size,
            pad=options.get("pad", 0),
            fit=options["fit"],
            resampling=options.get("resampling", "bilinear"),
            allow_urls=allow_urls,
        ),
        run,
        reader.decode,
        batch_size=1,
        threads=threads,
        side_by_side=True,
    )
    if tile is None:
        return found
    return tiled(found, tile=tile, max_detections=max_detections, allow_urls=allow_urls)


def _size(card: ModelCard, backend: Backend, options: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the graph's pictures; of a graph that reads any size, what the card says."""
    given = options["size"]
    size = (given, given) if isinstance(given, int) else (given[0], given[1])
    fixed = rows_and_columns(backend.inputs[0])
    if fixed not in (size, (None, None)) or (options["fit"] in ("rectangle", "shortest") and None not in fixed):
        raise DataError(
            f"{card.origin}: model {card.name!r} must read pictures of its size {size}, fit {options['fit']!r}. "
            f"Its graph reads {fixed}"
        )
    return size


TASK = Task(
    name=NAME,
    summary="where things are in a picture: boxes of the 80 COCO classes",
    inputs="image",
    open=detector,
    observe=observe,
    options=(
        Option("score_threshold", float, SCORE_THRESHOLD, "leave out boxes below this score, in [0, 1]"),
        Option("iou_threshold", float, None, "leave out the worse of two boxes that overlap more, in [0, 1]"),
        Option("max_detections", int, MAX_DETECTIONS, "boxes of one picture at most, at least 1"),
        CLASSES,
        Option("tile", int, None, "look in overlapping tiles of this side in pixels too: for large pictures"),
        ALLOW_URLS,
    ),
    evaluate=evaluate_detection,
    evaluate_options=EVALUATE_OPTIONS,
    formats=DETECTION_FORMATS,
    video=track_video,
    video_options=VIDEO_OPTIONS,
    annotate=annotate,
    convert=convert,
    convert_options=CONVERT_OPTIONS,
    train=train,
    train_options=TRAIN_OPTIONS,
    train_resumes=True,
    tools={"optimize": partial(optimize, task=NAME, open=detector)},
    whole=partial(whole, task=NAME),
)
