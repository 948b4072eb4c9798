"""From a model's name to its card and its running graph: what every opener of this package begins with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from shared.backends import Backend, Keep, open_backend
from shared.catalogue import ModelCard
from shared.errors import DataError, UnknownNameError
from shared.tasks import Option
from shared.types import AnyArray
from shared.weights import Opened
from vision.families import open_model

GRAPHS = (".onnx", ".tflite", ".xml")

ALLOW_URLS = Option("allow_urls", bool, False, "fetch inputs that are http(s) addresses")
CLASSES = Option("classes", str, (), "leave out all but this class, by name; may be given again", multiple=True)


def open_graph(
    name: str | Path | None,
    *,
    task: str,
    families: Collection[str],
    device: str,
    threads: int | None,
    input_shape: Callable[[ModelCard], tuple[int, ...] | None] = lambda card: None,
    beside: ModelCard | None = None,
) -> tuple[ModelCard, Backend]:
    """The card of a model and its loaded graph.

    Args:
        name: a catalogue name, a model folder, a name that :mod:`vision.families` knows, or ``None`` for the task's
            default.
        task: the task that it must serve.
        families: the families that the task's prepare and decode know.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        input_shape: shape that the card wants its graph to read, where that is not the graph's own.
        beside: the model that opens this one too, where that is so; see :func:`shared.weights.resolve`.

    Raises:
        UnknownNameError: nothing is called that, or the card's family is none of ``families``.
        WeightsError: a file cannot be had.
        MissingDependencyError: a checkpoint must be exported first, which needs an extra.
        DataError: the card names no file, or several, that a backend could run.
        BackendError: the runtime refuses the graph or the device.
    """
    opened = open_model(name, task=task, beside=beside)
    card = opened.card
    if card.family not in families:
        raise UnknownNameError(f"family of {task}", card.family, families)
    graphs = [path for file, path in opened.files.items() if file.endswith(GRAPHS)]
    if len(graphs) != 1:
        raise DataError(
            f"{card.origin}: model {card.name!r} must have one file ending in {', '.join(GRAPHS)}. "
            f"Got {sorted(opened.files)} instead"
        )
    shape = input_shape(card)
    precision = "bf16" if card.options.get("precision") == "bf16" else "f32"
    backend = open_backend(
        card.backend, graphs[0], device=device, threads=threads, input_shape=shape, precision=precision
    )
    return card, backend


def whole(name: str | Path | None, *, task: str) -> list[Opened]:
    """A task's model with the files that it runs from; what :attr:`shared.tasks.Task.whole` gives."""
    return [open_model(name, task=task)]


def answers(backend: Backend, images: Sequence[AnyArray], *, keep: Keep | None = None) -> list[dict[str, AnyArray]]:
    """Run a graph of one input over independent images, in order, and keep of each what ``keep`` returns."""
    name = backend.inputs[0].name
    return backend.run([{name: image} for image in images], keep=keep)
