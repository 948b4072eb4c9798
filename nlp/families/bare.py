"""A graph file without a model folder: the tokeniser and the small card beside it."""

from __future__ import annotations

from pathlib import Path

from shared.errors import UsageError
from shared.weights.exports import bare, folder_around, small_card

SUFFIX = ".onnx"
GRAPH, TOKENIZER = "model.onnx", "tokenizer.json"


def folder(path: Path, *, task: str) -> Path:
    """The model folder of a graph file: its own folder where that is one, else one in the cache.

    Raises:
        UsageError: there is no such file, it has no card or no tokeniser beside it, or it serves another task.
        DataError: its card is malformed.
    """
    around = folder_around(path)
    if around is not None:
        return around
    card, tokenizer = small_card(path), path.with_name(TOKENIZER)
    if card is not None and not tokenizer.is_file():
        raise UsageError(f"{path} must have its {TOKENIZER} beside it. Nothing stands at {tokenizer}")
    return bare(path, card, {GRAPH: path, TOKENIZER: tokenizer}, task=task)
