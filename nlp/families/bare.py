"""A graph file without a model folder: the tokeniser and the small card beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from shared.catalogue import ModelCard, read
from shared.errors import DataError, UsageError
from shared.weights.exports import Checkpoint, Exported, exported
from shared.weights.folder import is_model_folder

SUFFIX = ".onnx"
GRAPH, TOKENIZER = "model.onnx", "tokenizer.json"


def folder(path: Path, *, task: str) -> Path:
    """The model folder of a graph file: its own folder where that is one, else one in the cache.

    Raises:
        UsageError: there is no such file, it has no card or no tokeniser beside it, or it serves another task.
        DataError: its card is malformed.
    """
    if not path.is_file():
        raise UsageError(f"a graph must be an existing file. Nothing stands at {path}")
    if is_model_folder(path.parent):
        listed = read(path.parent / "card.toml")
        if any(path.name == file.name for card in listed for file in card.files):
            return path.parent
    card = _card(path)
    if card.task != task:
        raise UsageError(f"{path} must be a model of {task}. Its card says {card.task}")
    tokenizer = path.with_name(TOKENIZER)
    if not tokenizer.is_file():
        raise UsageError(f"{path} must have its {TOKENIZER} beside it. Nothing stands at {tokenizer}")
    files = {GRAPH: path, TOKENIZER: tokenizer}
    settings = {"family": card.family, "options": repr(sorted(card.options.items())), "backend": card.backend}
    content = lambda *_: Exported(card, {name: place.read_bytes() for name, place in files.items()})  # noqa: E731
    return exported(Checkpoint("", card.name, files, settings), task=task, export=content)


def _card(path: Path) -> ModelCard:
    for place in (path.with_name(f"{path.stem}.card.toml"), path.with_name("card.toml")):
        if place.is_file():
            cards = read(place)
            if len(cards) != 1:
                raise DataError(f"{place} must describe one model. Got {[card.name for card in cards]} instead")
            return dataclasses.replace(cards[0], files=())
    raise UsageError(
        f"{path} must have a small card beside it that says its task, family and options: {path.stem}.card.toml, "
        "as 'triptych models show --card NAME' prints one"
    )
