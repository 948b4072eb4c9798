"""A trained network as a model folder's files: an adapter over its base, or a whole graph."""

from __future__ import annotations

from typing import Any

from nlp.graphs.adapters import ADAPTER, adapter_bytes
from nlp.graphs.build import build_graph
from nlp.graphs.parts import TOKENIZER, Base
from nlp.training.network import all_tensors, trained_tensors
from nlp.training.options import FULL, Recipe

BACKEND = "onnxruntime"
ROOM = 1_000_000_000
"""Bytes that a training needs at most: weights, their average, the optimiser's two moments and the model."""
WINDOW = {"max_tokens": 256, "overlap": 32, "token_budget": 8192}
"""How the saved model reads texts of any length."""


def model_files(
    network: Any, base: Base, recipe: Recipe, *, types: bool = False
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of a trained network, and the options by which they are opened.

    Args:
        network: as training left it.
        base: what it began with.
        recipe: how it was trained.
        types: whether the graph takes ``token_type_ids``.
    """
    room = min(WINDOW["max_tokens"], base.shape.positions)
    window = {**WINDOW, "max_tokens": room, "overlap": min(WINDOW["overlap"], room // 8)}
    if recipe.method == FULL:
        tensors = {name: value.numpy() for name, value in all_tensors(network).items()}
        graph = build_graph(base.shape, tensors, head=network.head_kind, types=types, int8=True)
        return {"model.onnx": graph, TOKENIZER: base.tokenizer.read_bytes()}, window
    adapter = adapter_bytes({name: value.numpy() for name, value in trained_tensors(network).items()})
    options: dict[str, Any] = {"base": recipe.base, "base_sha256": base.sha256, "head": network.head_kind, **window}
    return {ADAPTER: adapter}, options | ({"types": True} if types else {})
