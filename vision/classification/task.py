"""The task ``vision.classification``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from shared.catalogue import ModelCard
from shared.errors import DataError, UsageError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.types import AnyArray, Float32
from vision.classification.decode import decode, softmax
from vision.classification.prepare import ClassifierInput
from vision.datasets import CLASSIFICATION_FORMATS
from vision.evaluate import evaluate_classification
from vision.images import ImageSource
from vision.labels import label_set
from vision.opening import ALLOW_URLS, answers, open_graph
from vision.types import Classification

NAME = "vision.classification"
FAMILIES = ("image-classifier",)
TOP_K = 5


def classifier(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    top_k: int = TOP_K,
    allow_urls: bool = False,
) -> Pipeline[ImageSource, Float32, AnyArray, Classification]:
    """Open an image classifier.

    Args:
        name: a catalogue name, a model folder, or ``None`` for MobileNetV2.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        top_k: how many classes each answer names, at least 1.
        allow_urls: whether items that are ``http(s)`` addresses are fetched.

    Returns:
        A predictor from pictures (:data:`vision.images.ImageSource`) to :class:`~vision.types.Classification`.

    Raises:
        UsageError: ``top_k``, ``device`` or ``threads`` is out of its range.
        UnknownNameError: no model is called that.
        WeightsError: a model file cannot be had.
    """
    if top_k < 1:
        raise UsageError(f"top_k must be at least 1. Got {top_k} instead")
    card, backend = open_graph(
        name, task=NAME, families=FAMILIES, device=device, threads=threads, input_shape=_input_shape
    )
    classes = label_set(card.options["labels"])
    output = backend.outputs[0]
    if output.shape[-1] != len(classes.names):
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer for the {len(classes.names)} classes of "
            f"{card.options['labels']!r}. Its output has shape {output.shape}"
        )
    mirror = card.options.get("mirror", False)

    def run(batch: Sequence[Float32]) -> list[AnyArray]:
        views = [view for image in batch for view in ((image, image[..., ::-1]) if mirror else (image,))]
        found = [softmax(answer[output.name].reshape(-1)) for answer in answers(backend, views)]
        return [(a + b) / 2 for a, b in zip(found[::2], found[1::2])] if mirror else found

    return Pipeline(
        card,
        partial(ClassifierInput.of(card.options).prepare, allow_urls=allow_urls),
        run,
        lambda scores, _: decode(scores, classes, top_k=top_k),
        batch_size=1,
        threads=threads,
        side_by_side=True,
    )


def _input_shape(card: ModelCard) -> tuple[int, ...] | None:
    size = card.options["size"]
    return (1, 3, size, size) if card.options.get("reshape", False) else None


TASK = Task(
    name=NAME,
    summary="what a picture is of: the likeliest of 1,000 ImageNet classes",
    inputs="image",
    open=classifier,
    options=(Option("top_k", int, TOP_K, "classes that each answer names, at least 1"), ALLOW_URLS),
    evaluate=evaluate_classification,
    formats=CLASSIFICATION_FORMATS,
)
