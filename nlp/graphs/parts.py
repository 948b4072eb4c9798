"""The parts of a BERT encoder by their checkpoint names, and the base model that adapters stand on.

J. Devlin and others, "BERT", NAACL 2019. Names and layout are those of its usual checkpoints: a linear layer's weight
is (out, in).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlp.graphs.quantised import read_quantised
from shared.errors import DataError
from shared.lazy import require
from shared.types import AnyArray, Float32

BASE_TASK = "nlp.base"
DEFAULT_BASE = "minilm-l6-base"
FAMILY = "bert-encoder"
WEIGHTS, TOKENIZER, CONFIG = "model.safetensors", "tokenizer.json", "config.json"
QUERY, KEY, VALUE = "attention.self.query", "attention.self.key", "attention.self.value"
ATTENDED, UP, DOWN = "attention.output.dense", "intermediate.dense", "output.dense"
LINEARS = (QUERY, KEY, VALUE, ATTENDED, UP, DOWN)
"""The linear layers of one encoder layer."""
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
WORDS, POSITIONS, TYPES = (f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type"))
EMBEDDING_NORM = "embeddings.LayerNorm"
_FIELDS = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "inner": "intermediate_size",
    "positions": "max_position_embeddings",
    "eps": "layer_norm_eps",
}


def layer(number: int, part: str) -> str:
    """The name of a part of a layer.

    Example:
        >>> layer(0, QUERY)
        'encoder.layer.0.attention.self.query'
    """
    return f"encoder.layer.{number}.{part}"


@dataclass(frozen=True)
class EncoderShape:
    """The numbers that make a BERT encoder.

    Attributes:
        layers: how many.
        hidden: length of a token's vector.
        heads: of attention; a divisor of ``hidden``.
        inner: length of the vector inside a layer's feed-forward part.
        positions: the longest window in tokens.
        eps: what layer norms add to the variance.
    """

    layers: int
    hidden: int
    heads: int
    inner: int
    positions: int
    eps: float

    def linear(self, part: str) -> tuple[int, int]:
        """Rows and columns of a linear layer's weight."""
        return {UP: (self.inner, self.hidden), DOWN: (self.hidden, self.inner)}.get(part, (self.hidden, self.hidden))


@dataclass(frozen=True)
class Base:
    """An encoder before training.

    Attributes:
        shape: its numbers.
        tensors: its weights by checkpoint name, float32.
        sha256: of the file that they came from.
        name: for people.
        tokenizer: path of its ``tokenizer.json``.
    """

    shape: EncoderShape
    tensors: Mapping[str, Float32]
    sha256: str
    name: str
    tokenizer: Path


def shape_of(options: Mapping[str, Any], origin: str) -> EncoderShape:
    """The encoder's numbers from a card's options.

    Raises:
        DataError: one is missing, or is no number above 0.
    """
    values = {name: options.get(name) for name in _FIELDS}
    wrong = {name: value for name, value in values.items() if not isinstance(value, int | float) or value <= 0}
    if wrong:
        raise DataError(f"{origin} must state {', '.join(_FIELDS)} as numbers above 0. Got {wrong} instead")
    layers, hidden, heads, inner, positions = (int(values[name] or 0) for name in tuple(_FIELDS)[:-1])
    shape = EncoderShape(layers, hidden, heads, inner, positions, float(values["eps"] or 0))
    if shape.hidden % shape.heads:
        raise DataError(f"{origin}: heads must divide hidden. Got {shape.heads} and {shape.hidden}")
    return shape


def shape_of_config(path: Path) -> EncoderShape:
    """The encoder's numbers from a checkpoint's ``config.json``.

    Raises:
        DataError: it is no BERT encoder with exact GELU and absolute positions.
    """
    try:
        config = json.loads(path.read_bytes())
        options = {name: config[theirs] for name, theirs in _FIELDS.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} must be the configuration of a BERT encoder. {error!r}") from error
    told = (config.get("model_type"), config.get("hidden_act"), config.get("position_embedding_type", "absolute"))
    if told != ("bert", "gelu", "absolute"):
        raise DataError(f"{path} must tell of a bert model with gelu and absolute positions. Got {told} instead")
    return shape_of(options, str(path))


def read_tensors(path: Path, shape: EncoderShape) -> dict[str, Float32]:
    """The encoder's weights, whatever prefix (``bert.``, say) their names have; other tensors are passed over.

    Args:
        path: a safetensors file, or an ONNX graph with 8-bit weights (see :mod:`nlp.graphs.quantised`).
        shape: the encoder's numbers.

    Raises:
        DataError: the file is none, or a tensor is missing or of another shape.
    """
    given = read_quantised(path) if path.suffix == ".onnx" else _read_safetensors(path)
    wanted = shapes(shape)
    anchor = next((name for name in given if name.endswith(WORDS)), WORDS)
    prefix = anchor.removesuffix(WORDS)
    found: dict[str, Float32] = {}
    for name in wanted:
        values = given.get(prefix + name, given.get(name))
        if values is not None:
            found[name] = values.astype(np.float32)
    for name, size in wanted.items():
        got = found[name].shape if name in found else "nothing"
        if got != size and not (name in (WORDS, TYPES) and name in found and got[1:] == size[1:]):
            raise DataError(f"{path} must hold {name} of shape {size}. Got {got} instead")
    return found


def _read_safetensors(path: Path) -> dict[str, AnyArray]:
    library = require("safetensors", extra="all")
    try:
        with library.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no mapping
    except (OSError, library.SafetensorError) as error:
        raise DataError(f"{path} must be a safetensors file. {error}") from error


def shapes(shape: EncoderShape) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of the encoder, by name; 0 stands for as many rows as there are."""
    wanted: dict[str, tuple[int, ...]] = {
        WORDS: (0, shape.hidden),
        POSITIONS: (shape.positions, shape.hidden),
        TYPES: (0, shape.hidden),
    }
    norms = [EMBEDDING_NORM]
    for number in range(shape.layers):
        norms += [layer(number, norm) for norm in NORMS]
        for part in LINEARS:
            rows, columns = shape.linear(part)
            wanted |= {f"{layer(number, part)}.weight": (rows, columns), f"{layer(number, part)}.bias": (rows,)}
    for norm in norms:
        wanted |= {f"{norm}.weight": (shape.hidden,), f"{norm}.bias": (shape.hidden,)}
    return wanted
