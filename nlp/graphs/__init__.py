"""Encoder graphs made from weights: a base and an adapter become one int8 ONNX graph, once, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nlp.graphs.adapters import ADAPTER, merge, read_adapter
from nlp.graphs.build import HEADS, VERSION, build_graph
from nlp.graphs.parts import BASE_TASK, FAMILY, TOKENIZER, WEIGHTS, Base, read_tensors, shape_of
from shared.catalogue import ModelCard
from shared.errors import DataError, UnknownNameError
from shared.weights import Opened, read_model_folder, resolve
from shared.weights.exports import Checkpoint, Exported, exported

__all__ = ["merged_folder", "open_base"]

GRAPH = "model.onnx"


def open_base(opened: Opened) -> Base:
    """Read an encoder that training and adapters stand on.

    Raises:
        UnknownNameError: its family is another.
        DataError: its files or options are not those of such an encoder.
    """
    card = opened.card
    if card.family != FAMILY:
        raise UnknownNameError(f"family of {BASE_TASK}", card.family, [FAMILY])
    shape = shape_of(card.options, f"{card.origin}: options of model {card.name!r}")
    weights = _weights(card)
    tensors = read_tensors(opened.files[weights], shape)
    return Base(shape, tensors, str(card.file(weights).sha256), card.name, opened.files[TOKENIZER])


def _weights(card: ModelCard) -> str:
    """The name of a base's file of weights: a checkpoint, or a graph with 8-bit weights."""
    return GRAPH if GRAPH in {file.name for file in card.files} else WEIGHTS


def merged_folder(opened: Opened) -> Opened:
    """A model that is an adapter, as one that is a graph: merged with its base once, then kept in ``TRIPTYCH_HOME``.

    Args:
        opened: a card whose ``options`` name ``base``, ``base_sha256`` and ``head``, with the file
            ``adapter.safetensors``. The base's files may stand beside it; else the base is found by its name.

    Returns:
        The same card with the files ``model.onnx`` and ``tokenizer.json``.

    Raises:
        DataError: the adapter was trained on another base, or does not fit it.
        WeightsError: the base cannot be had, or the graph cannot be written.
    """
    card = opened.card
    name, wanted, head = (card.options.get(key) for key in ("base", "base_sha256", "head"))
    if not isinstance(name, str) or head not in HEADS:
        raise DataError(
            f"model {card.name!r} ({card.origin}): options must name the adapter's base, and its head as one of "
            f"{', '.join(HEADS)}. Got base={name!r}, head={head!r}"
        )
    base = resolve(name, task=BASE_TASK)
    weights = _weights(base.card)
    given = base.card.file(weights).sha256
    if given != wanted:
        raise DataError(
            f"model {card.name!r} ({card.origin}) was trained over a base with sha256 {wanted}. {name!r} has {given}: "
            "train it again"
        )
    files = {
        ADAPTER: opened.files[ADAPTER],
        weights: base.files[weights],
        TOKENIZER: opened.files.get(TOKENIZER, base.files[TOKENIZER]),
    }
    settings = {"builder": VERSION, "options": _plain(card.options), "shape": _plain(base.card.options)}
    checkpoint = Checkpoint("", card.name, files, settings, card.licence, card.opt_in)

    def export(_: Checkpoint, task: str) -> Exported:
        encoder = open_base(base)
        merged = merge(encoder, read_adapter(files[ADAPTER]), origin=f"model {card.name!r} ({files[ADAPTER]})")
        graph = build_graph(encoder.shape, merged, head=str(head), types=bool(card.options.get("types")), int8=True)
        made: ModelCard = replace(card, task=task, files=(), default=False)
        return Exported(made, {GRAPH: graph, TOKENIZER: files[TOKENIZER].read_bytes()})

    folder = exported(checkpoint, task=card.task, export=export)
    found = read_model_folder(folder)
    return Opened(replace(card, files=found.files), {file.name: folder / file.name for file in found.files})


def _plain(options: Mapping[str, object]) -> dict[str, str]:
    return {key: repr(value) for key, value in sorted(options.items())}
