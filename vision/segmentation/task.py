"""The task ``vision.segmentation``: its opener, and its row for commands, pages and batch jobs."""

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
from vision.detection.prepare import Letterbox, letterbox
from vision.images import ImageSource
from vision.labels import label_set
from vision.monitoring import observe
from vision.opening import ALLOW_URLS, CLASSES, answers, open_graph, whole
from vision.optimize import optimize
from vision.reader import Kept
from vision.segmentation.datasets import FORMATS
from vision.segmentation.evaluate import evaluate_segmentation
from vision.segmentation.graphs import FAMILIES
from vision.segmentation.readers import Asked
from vision.segmentation.train import TRAIN_OPTIONS, train
from vision.tensors import feeder, rows_and_columns
from vision.types import Segmentation
from vision.video import OPTIONS as VIDEO_OPTIONS
from vision.video import video_results

NAME = "vision.segmentation"
MAX_SEGMENTS = 100


def segmenter(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_segments: int = MAX_SEGMENTS,
    classes: Sequence[str] = (),
    allow_urls: bool = False,
) -> Pipeline[ImageSource, Letterbox, Kept, Segmentation]:
    """Open a segmenter: of classes, of the foreground, or of single things, as the model has learnt.

    Args:
        name: a catalogue name, a model folder, a name that :mod:`vision.families` knows (``"torchvision:..."``,
            ``"ultralytics:..."``, ``"hf:..."``, a checkpoint's path), or ``None`` for DeepLabV3.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        score_threshold: segments below this score are left out, in [0, 1]; ``None`` takes the model's own, which is 0
            for models of classes and of the foreground.
        iou_threshold: overlap of boxes above which the worse of two things of one class is left out, in [0, 1];
            ``None`` takes the model's own. Only models that answer a thing several times have one.
        max_segments: segments of one picture at most, at least 1.
        classes: names of the classes that are wanted; all when empty.
        allow_urls: whether items that are ``http(s)`` addresses are fetched.

    Returns:
        A predictor from pictures (:data:`vision.images.ImageSource`) to :class:`~vision.types.Segmentation`.

    Raises:
        UsageError: a number, ``device`` or ``threads`` is out of its range.
        UnknownNameError: no model, or none of the model's classes, is called that.
        WeightsError: a model file cannot be had.
        MissingDependencyError: a checkpoint must be exported first, which needs an extra.
    """
    for option, value in (("score_threshold", score_threshold), ("iou_threshold", iou_threshold)):
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"{option} must lie in [0, 1]. Got {value} instead")
    if max_segments < 1:
        raise UsageError(f"max_segments must be at least 1. Got {max_segments} instead")
    card, backend = open_graph(
        name, task=NAME, families=FAMILIES, device=device, threads=threads, input_shape=_input_shape
    )
    family = FAMILIES[card.family]
    options = {**family.options, **card.options}
    asked = Asked(
        label_set(options["labels"]).only(classes),
        options["score_threshold"] if score_threshold is None else score_threshold,
        _overlap(card, options, iou_threshold),
        max_segments,
    )
    reader = family.reader(card, backend.outputs, asked)
    feed = feeder(backend.inputs[0], options)

    def run(batch: Sequence[Letterbox]) -> list[Kept]:
        return answers(backend, [feed(given.pixels) for given in batch], keep=reader.keep)

    return Pipeline(
        card,
        partial(
            letterbox,
            size=_size(card, backend, options),
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


def _overlap(card: ModelCard, options: Mapping[str, Any], asked: float | None) -> float | None:
    own = options.get("iou_threshold")
    if asked is not None and own is None:
        raise UsageError(
            f"iou_threshold is for models that answer a thing several times. {card.name!r} does not: leave it out"
        )
    return own if asked is None else asked


def _input_shape(card: ModelCard) -> tuple[int, ...] | None:
    shape = card.options.get("input_shape")
    return None if shape is None else tuple(shape)


def _size(card: ModelCard, backend: Backend, options: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the graph's pictures; of a graph that reads any size, what the card says."""
    given = options["size"]
    size = (given, given) if isinstance(given, int) else (given[0], given[1])
    fixed = rows_and_columns(backend.inputs[0])
    if fixed not in (size, (None, None)) or (options["fit"] == "shortest" and None not in fixed):
        raise DataError(
            f"{card.origin}: model {card.name!r} must read pictures of its size {size}, fit {options['fit']!r}. "
            f"Its graph reads {fixed}"
        )
    return size


TASK = Task(
    name=NAME,
    summary="which pixels belong to what: masks of the 20 VOC classes, of a foreground, or of single things",
    inputs="image",
    open=segmenter,
    observe=observe,
    options=(
        Option("score_threshold", float, None, "leave out segments below this score, in [0, 1]"),
        Option("iou_threshold", float, None, "leave out the worse of two things that overlap more, in [0, 1]"),
        Option("max_segments", int, MAX_SEGMENTS, "segments of one picture at most, at least 1"),
        CLASSES,
        ALLOW_URLS,
    ),
    evaluate=evaluate_segmentation,
    evaluate_options=(
        Option("images", str, None, "folder of the images that the masks or annotations belong to"),
        Option("split", str, None, "which part of a data set in parts, as train, val or test"),
        Option("map_class", str, (), "DATASET_CLASS=MODEL_CLASS where names differ; may be given again", multiple=True),
    ),
    formats=FORMATS,
    video=video_results,
    video_options=VIDEO_OPTIONS,
    annotate=annotate,
    train=train,
    train_options=TRAIN_OPTIONS,
    train_resumes=True,
    tools={"optimize": partial(optimize, task=NAME, open=segmenter)},
    whole=partial(whole, task=NAME),
)
