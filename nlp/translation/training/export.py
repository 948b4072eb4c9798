"""A trained network as a model folder of CTranslate2, int8, with its vocabulary and card."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlp.translation import engine
from nlp.translation.models import BACKEND, QUANTISATION, TASK_NAME
from nlp.translation.pieces import TOKENIZER
from nlp.translation.training.network import Shape, positions
from nlp.translation.training.vocabulary import END, START, UNKNOWN
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.lazy import require
from shared.types import Float32
from shared.weights import write_model_folder

POSITIONS = 768
"""Places for which the export holds position codes: those of the longest translation that is written."""


def export_translator(
    weights: Path,
    vocabulary: Path,
    out: Path,
    *,
    shape: Shape,
    pairs: Sequence[str],
    name: str,
    licence: str,
    summary: str,
    facts: Mapping[str, Any],
    quantisation: str = QUANTISATION,
) -> ModelCard:
    """Write the model folder of trained weights.

    Args:
        weights: ``model.safetensors`` of a training, or a checkpoint of its folder.
        vocabulary: ``tokenizer.json``.
        out: the folder to write.
        shape: of the network.
        pairs: what it translates (``"en-de"``).
        name: catalogue name.
        licence: SPDX identifier of the weights' licence.
        summary: one line for people.
        facts: further options of the card: data, recipe, figures.
        quantisation: CTranslate2's name of the numbers that weights are kept in; ``"float32"`` keeps them as they are.

    Raises:
        DataError: weights and shape do not fit.
    """
    tokenizer = require("tokenizers", extra="all").Tokenizer.from_file(str(vocabulary))
    ids = tokenizer.get_vocab()
    tokens = sorted(ids, key=ids.__getitem__)
    spec = _spec(_tensors(weights), shape, tokens)
    if quantisation != "float32":
        spec.optimize(quantization=quantisation)
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    files[TOKENIZER] = vocabulary.read_bytes()
    options = {"pairs": list(pairs), "after": [END], "prefix": ["<2{target}>"], **facts}
    card = ModelCard(name, TASK_NAME, engine.FAMILY, BACKEND, licence, summary, options=options)
    return write_model_folder(out, card, files)


def _tensors(weights: Path) -> dict[str, Float32]:
    """Weights by name, of a finished training or of the best checkpoint of one under way."""
    tensors: dict[str, Any] = require("safetensors.numpy", extra="all").load_file(str(weights))
    if any(name.startswith("average/") for name in tensors):
        tensors = {
            name.removeprefix("average/"): value for name, value in tensors.items() if name.startswith("average/")
        }
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()}


def _spec(tensors: Mapping[str, Float32], shape: Shape, tokens: Sequence[str]) -> Any:
    specs = require("ctranslate2.specs", extra="all")
    spec = specs.TransformerSpec.from_config(
        (shape.encoder_layers, shape.decoder_layers), shape.heads, pre_norm=True, activation=specs.Activation.RELU
    )
    try:
        for side, part in (("encoder", spec.encoder), ("decoder", spec.decoder)):
            embeddings = part.embeddings[0] if side == "encoder" else part.embeddings
            embeddings.weight = tensors["embedding.weight"]
            part.position_encodings.encodings = positions(POSITIONS, shape.width)
            _norm(part.layer_norm, tensors, f"{side}_norm")
            for number, layer in enumerate(part.layer):
                _layer(layer, tensors, f"{side}.{number}", crossed=side == "decoder")
        spec.decoder.projection.weight = tensors["embedding.weight"]
        spec.decoder.projection.bias = tensors["bias"]
    except KeyError as error:
        raise DataError(f"the weights must be of a network of this shape. They lack {error}") from error
    for register in (spec.register_source_vocabulary, spec.register_target_vocabulary):
        register(list(tokens))
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = UNKNOWN, START, END
    spec.config.decoder_start_token = START
    spec.validate()
    return spec


def _layer(layer: Any, tensors: Mapping[str, Float32], name: str, *, crossed: bool) -> None:
    own = layer.self_attention
    _norm(own.layer_norm, tensors, f"{name}.attention_norm")
    parts = [f"{name}.attention.{part}" for part in ("query", "keys_values")]
    own.linear[0].weight = np.concatenate([tensors[f"{part}.weight"] for part in parts])
    own.linear[0].bias = np.concatenate([tensors[f"{part}.bias"] for part in parts])
    _linear(own.linear[1], tensors, f"{name}.attention.out")
    if crossed:
        cross = layer.attention
        _norm(cross.layer_norm, tensors, f"{name}.cross_norm")
        for linear, part in zip(cross.linear, ("query", "keys_values", "out"), strict=True):
            _linear(linear, tensors, f"{name}.cross.{part}")
    _norm(layer.ffn.layer_norm, tensors, f"{name}.norm")
    _linear(layer.ffn.linear_0, tensors, f"{name}.grow")
    _linear(layer.ffn.linear_1, tensors, f"{name}.shrink")


def _linear(linear: Any, tensors: Mapping[str, Float32], name: str) -> None:
    linear.weight, linear.bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def _norm(norm: Any, tensors: Mapping[str, Float32], name: str) -> None:
    norm.gamma, norm.beta = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
