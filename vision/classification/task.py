"""The task ``vision.classification``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from shared.catalogue import ModelCard
from shared.errors import DataError, UsageError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.types import AnyArray, Float32, UInt8
from vision.annotate import annotate
from vision.classification.decode import decode, fingerprint, softmax
from vision.classification.prepare import ClassifierInput
from vision.classification.train import TRAIN_OPTIONS, train
from vision.datasets import CLASSIFICATION_FORMATS
from vision.evaluate import evaluate_classification
from vision.images import ImageSource
from vision.labels import label_set
from vision.monitoring import observe
from vision.opening import ALLOW_URLS, CLASSES, answers, open_graph, whole
from vision.optimize import optimize
from vision.spoiling import spoilings
from vision.tensors import feeder
from vision.types import Classification
from vision.video import OPTIONS as VIDEO_OPTIONS
from vision.video import video_results

NAME = "vision.classification"
FAMILIES = ("image-classifier",)
TOP_K = 5
ANSWERS: Mapping[str, Callable[[AnyArray], AnyArray]] = {
    "logits": softmax,
    "probabilities": np.asarray,
    "uint8": lambda bytes_: bytes_.astype(np.float32) / 255,
}
"""From what the option ``answers`` says that a graph answers to probabilities, shape (classes,)."""


def classifier(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    top_k: int = TOP_K,
    classes: Sequence[str] = (),
    allow_urls: bool = False,
) -> Pipeline[ImageSource, UInt8, AnyArray, Classification]:
    """Open an image classifier.

    Args:
        name: a catalogue name, a model folder, a name that :mod:`vision.families` knows (``"torchvision:..."``,
            ``"ultralytics:..."``, ``"hf:..."``, a checkpoint's path), or ``None`` for MobileNetV2.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        top_k: how many classes each answer names, at least 1.
        classes: names of the classes that are wanted, whose probabilities stay what they are; all when empty.
        allow_urls: whether items that are ``http(s)`` addresses are fetched.

    Returns:
        A predictor from pictures (:data:`vision.images.ImageSource`) to :class:`~vision.types.Classification`.

    Raises:
        UsageError: ``top_k``, ``device`` or ``threads`` is out of its range.
        UnknownNameError: no model, or none of the model's classes, is called that.
        WeightsError: a model file cannot be had.
        MissingDependencyError: a checkpoint must be exported first, which needs an extra.
    """
    if top_k < 1:
        raise UsageError(f"top_k must be at least 1. Got {top_k} instead")
    card, backend = open_graph(
        name, task=NAME, families=FAMILIES, device=device, threads=threads, input_shape=_input_shape
    )
    known = label_set(card.options["labels"])
    wanted = known.only(classes)
    output = backend.outputs[0]
    if output.shape[-1] != max(known.names) + 1:
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer for the {len(known.names)} classes of its labels. "
            f"Its output has shape {output.shape}"
        )
    mirror, answer = card.options.get("mirror", False), card.options.get("answers", "logits")
    if answer not in ANSWERS:
        raise DataError(f"{card.origin}: answers must be one of {', '.join(ANSWERS)}. Got {answer!r} instead")
    feed, scored = feeder(backend.inputs[0], card.options), ANSWERS[answer]

    def run(batch: Sequence[UInt8]) -> list[AnyArray]:
        views = [view for image in batch for view in ((image, image[:, :, ::-1]) if mirror else (image,))]
        raw = answers(backend, [feed(view) for view in views])
        found = [scored(answer[output.name].reshape(-1)) for answer in raw]
        return [(a + b) / 2 for a, b in zip(found[::2], found[1::2])] if mirror else found

    return Pipeline(
        card,
        partial(ClassifierInput.of(card.options).prepare, allow_urls=allow_urls),
        run,
        lambda scores, _: decode(scores, wanted, top_k=top_k),
        batch_size=1,
        threads=threads,
        side_by_side=True,
    )


def embedder(
    name: str | Path | None = None, *, device: str = "auto", threads: int | None = None, allow_urls: bool = False
) -> Pipeline[ImageSource, UInt8, AnyArray, Float32]:
    """Open an image embedder: a classifier whose answer over all its classes stands for the picture.

    Args:
        name: as :func:`classifier` takes it; ``None`` for MobileNetV2.
        device: as :func:`classifier` takes it.
        threads: as :func:`classifier` takes it.
        allow_urls: as :func:`classifier` takes it.

    Returns:
        A predictor from pictures to vectors, each shape (classes,), float32, of length 1; see
        :func:`~vision.classification.decode.fingerprint`. The dot product of two is their cosine.

    Raises:
        UnknownNameError: no model is called that.
        WeightsError: a model file cannot be had.
    """
    opened = classifier(name, device=device, threads=threads, allow_urls=allow_urls)
    return Pipeline(
        opened.card,
        opened.prepare,
        opened.run,
        lambda scores, _: fingerprint(scores),
        batch_size=opened.batch_size,
        threads=opened.threads,
        side_by_side=opened.side_by_side,
    )


def _input_shape(card: ModelCard) -> tuple[int, ...] | None:
    size = card.options["size"]
    return (1, 3, size, size) if card.options.get("reshape", False) else None


TASK = Task(
    name=NAME,
    summary="what a picture is of: the likeliest of 1,000 ImageNet classes",
    inputs="image",
    open=classifier,
    observe=observe,
    options=(Option("top_k", int, TOP_K, "classes that each answer names, at least 1"), CLASSES, ALLOW_URLS),
    evaluate=evaluate_classification,
    formats=CLASSIFICATION_FORMATS,
    video=video_results,
    video_options=VIDEO_OPTIONS,
    annotate=annotate,
    train=train,
    train_options=TRAIN_OPTIONS,
    train_resumes=True,
    tools={
        "optimize": partial(optimize, task=NAME, open=classifier),
        "embedder": embedder,
        "spoilt": spoilings,
    },
    whole=partial(whole, task=NAME),
)
