"""A BERT encoder small enough to make here: two layers over the twelve words of the tiny encoder."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import save
from tiny_encoder import WORDS, tokenizer_json, word_vectors

from nlp.graphs.parts import EMBEDDING_NORM, LINEARS, NORMS, TYPES, EncoderShape, layer, shapes
from nlp.graphs.parts import WORDS as WORD_TABLE
from shared.catalogue import ModelCard
from shared.types import Float32, Int64
from shared.weights import write_model_folder

SHAPE = EncoderShape(layers=2, hidden=8, heads=2, inner=16, positions=24, eps=1e-12)


@cache
def tensors(shape: EncoderShape = SHAPE, scale: float = 0.3) -> dict[str, Float32]:
    """Random weights by name; words point where the tiny encoder's do."""
    rng = np.random.default_rng(3)
    made = {}
    for name, size in shapes(shape).items():
        rows = {TYPES: 2, WORD_TABLE: len(WORDS)}.get(name, size[0])
        made[name] = rng.normal(scale=scale, size=(rows, *size[1:])).astype(np.float32)
        if name.endswith("LayerNorm.weight"):
            made[name] += 1
    made[WORD_TABLE][:, : word_vectors().shape[1]] += word_vectors()
    return made


@cache
def base_folder() -> Path:
    """A model folder of the task nlp.base."""
    folder = Path(tempfile.mkdtemp(prefix="tiny-base-"))
    card = ModelCard("tiny-base", "nlp.base", "bert-encoder", "onnxruntime", "Apache-2.0", "tiny", options=vars(SHAPE))
    extra = {"pooler.dense.bias": np.zeros(8, dtype=np.float32)}
    files = {"model.safetensors": save({**tensors(), **extra}), "tokenizer.json": tokenizer_json().encode()}
    write_model_folder(folder, card, files)
    return folder


def reference(
    given: Mapping[str, Float32], ids: Int64, *, types: Int64 | None = None, features: Int64 | None = None
) -> Float32:
    """Token vectors, shape (tokens, hidden), by the formulas of the paper, one after another."""

    def linear(name: str, x: Float32) -> Float32:
        return x @ given[f"{name}.weight"].T + given[f"{name}.bias"]

    def norm(name: str, x: Float32) -> Float32:
        scaled = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + SHAPE.eps)
        return scaled * given[f"{name}.weight"] + given[f"{name}.bias"]

    x = given[WORD_TABLE][ids] + given["embeddings.position_embeddings.weight"][: len(ids)]
    x = x + given[TYPES][np.zeros_like(ids) if types is None else types]
    if features is not None:
        x = x + given["features.weight"][features]
    x = norm(EMBEDDING_NORM, x)
    size = SHAPE.hidden // SHAPE.heads
    for number in range(SHAPE.layers):
        query, key, value = (linear(layer(number, part), x) for part in LINEARS[:3])
        met = []
        for at in range(0, SHAPE.hidden, size):
            scores = query[:, at : at + size] @ key[:, at : at + size].T / math.sqrt(size)
            powers = np.exp(scores - scores.max(1, keepdims=True))
            met.append(powers / powers.sum(1, keepdims=True) @ value[:, at : at + size])
        x = norm(layer(number, NORMS[0]), x + linear(layer(number, LINEARS[3]), np.concatenate(met, axis=1)))
        inner = linear(layer(number, LINEARS[4]), x)
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(layer(number, NORMS[1]), x + linear(layer(number, LINEARS[5]), inner))
    return x.astype(np.float32)
