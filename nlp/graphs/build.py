"""An ONNX graph of a BERT encoder with a head, written node by node from its weights; nothing but NumPy and onnx.

The graph takes one window at a time, so nothing is padded: ``attention_mask`` is taken for the sake of one form of
request and not looked at. In int8 the weights of the linear layers are integers, scaled by output channel, and each
layer's input is quantised as it comes (ONNX Runtime's ``DynamicQuantizeMatMul``); attention, norms and the head stay in
float. Weights use seven bits of the eight: processors without VNNI add two products in 16 bits, which would overflow.

One scale serves a whole input, so a few channels that a norm makes large would leave little resolution to the others.
Where the input comes from a norm its channels are therefore divided, and the weights multiplied, by a power of how
large the norm makes them (G. Xiao and others, "SmoothQuant", ICML 2023; here estimated from the norm, without data).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nlp.graphs.parts import (
    ATTENDED,
    DOWN,
    EMBEDDING_NORM,
    KEY,
    NORMS,
    POSITIONS,
    QUERY,
    TYPES,
    UP,
    VALUE,
    WORDS,
    EncoderShape,
    layer,
)
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.types import AnyArray, Float32

VERSION = 3
"""Of what a built graph is like; a change makes every merged model be built anew."""
HEADS = {"text": ("logits",), "tokens": ("logits",), "spans": ("start_logits", "end_logits"), "vectors": ("vectors",)}
"""The outputs of each head: of a text's mean vector, of each token, start and end, or the token vectors themselves."""
FEATURES, HEAD = "features.weight", "head"
_MICROSOFT = "com.microsoft"
_OPSET, _IR = 17, 8
_LARGEST = 63
_DEVIATIONS, _POWER = 4.0, 0.7
"""How far from its mean a channel is thought to go, in standard deviations; how much of its size is taken out."""


def build_graph(shape: EncoderShape, tensors: Mapping[str, Float32], *, head: str, types: bool, int8: bool) -> bytes:
    """The encoder as an ONNX file.

    Args:
        shape: its numbers.
        tensors: its weights by checkpoint name, low-rank parts merged; with a head ``head.weight`` (outputs, hidden)
            and ``head.bias``; with codes beside the words ``features.weight`` (codes, hidden).
        head: a key of :data:`HEADS`.
        types: whether the graph takes ``token_type_ids``; without them every token is of type 0.
        int8: whether linear layers and the table of words are integers.

    Returns:
        The file. Inputs ``input_ids``, ``attention_mask``, perhaps ``token_type_ids`` and ``features``, each int64 of
        shape (1, tokens); outputs float32: ``logits`` (1, outputs) or (1, tokens, outputs), or ``start_logits`` and
        ``end_logits`` (1, tokens), or ``vectors`` (1, tokens, hidden).

    Raises:
        UsageError: there is no such head.
        DataError: a tensor is missing, or of another shape than the others ask for.
    """
    if head not in HEADS:
        raise UsageError(f"head must be one of {', '.join(HEADS)}. Got {head!r} instead")
    writer = _Writer(shape, tensors, int8=int8)
    states = writer.embedded(types=types)
    for number in range(shape.layers):
        states = writer.layer(number, states)
    return writer.file(writer.answered(head, states), head, types=types)


def quantised(weight: Float32) -> tuple[AnyArray, Float32]:
    """Rows as seven-bit integers and a scale each, symmetric about 0.

    Args:
        weight: shape (rows, columns).

    Returns:
        int8 in -63..63, of that shape; and shape (rows,), float32: their product is the weight, to half a step.

    Example:
        >>> values, scale = quantised(np.float32([[0.25, -1.0], [0.0, 0.0]]))
        >>> values.tolist(), (scale * 63).tolist()
        ([[16, -63], [0, 0]], [1.0, 63.0])
    """
    largest = np.abs(weight).max(axis=1)
    scale = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def evening(weight: Float32, norm_weight: Float32, norm_bias: Float32) -> Float32:
    """What the channels of a norm's answer are divided by before they are quantised, about 1 in the mean.

    Args:
        weight: of the linear layer behind it, shape (rows, channels).
        norm_weight: shape (channels,).
        norm_bias: shape (channels,).

    Returns:
        Shape (channels,), float32, above 0.
    """
    least = np.finfo(np.float32).tiny
    sizes = np.maximum(np.abs(norm_bias) + _DEVIATIONS * np.abs(norm_weight), least)
    logs = _POWER * np.log(sizes) - (1 - _POWER) * np.log(np.maximum(np.abs(weight).max(axis=0), least))
    found: Float32 = np.exp(logs - logs.mean()).astype(np.float32)
    return found


class _Writer:
    """Nodes and constants of one graph as they are written."""

    def __init__(self, shape: EncoderShape, tensors: Mapping[str, Float32], *, int8: bool) -> None:
        self.onnx = require("onnx", extra="all")
        self.shape, self.tensors, self.int8 = shape, tensors, int8
        self.nodes: list[Any] = []
        self.constants: dict[str, AnyArray] = {}

    def tensor(self, name: str, *dims: int | None) -> Float32:
        found = self.tensors.get(name)
        size = None if found is None else found.shape
        if found is None or len(found.shape) != len(dims) or any(d not in (None, s) for d, s in zip(dims, found.shape)):
            raise DataError(f"an encoder of this shape must have {name} of shape {dims}. Got {size} instead")
        return np.ascontiguousarray(found, dtype=np.float32)

    def constant(self, name: str, values: Any) -> str:
        self.constants[name] = np.asarray(values)
        return name

    def node(
        self, kind: str, given: Sequence[str], answers: str | Sequence[str], domain: str = "", **facts: Any
    ) -> str:
        outputs = [answers] if isinstance(answers, str) else list(answers)
        self.nodes.append(self.onnx.helper.make_node(kind, list(given), outputs, domain=domain, **facts))
        return outputs[0]

    def embedded(self, *, types: bool) -> str:
        """Token vectors before the first layer."""
        hidden = self.shape.hidden
        words = self.tensor(WORDS, None, hidden)
        if self.int8:
            integers, scale = quantised(words)
            rows = self.node("Gather", [self.constant("words", integers), "input_ids"], "words/integers")
            scales = self.node("Gather", [self.constant("words/scale", scale[:, None]), "input_ids"], "words/scales")
            plain = self.node("Cast", [rows], "words/plain", to=self.onnx.TensorProto.FLOAT)
            states = self.node("Mul", [plain, scales], "words/vectors")
        else:
            states = self.node("Gather", [self.constant("words", words), "input_ids"], "words/vectors")
        kinds = self.tensor(TYPES, None, hidden)
        table = self.tensor(POSITIONS, self.shape.positions, hidden) + (0 if types else kinds[:1])
        size = self.node("Shape", ["input_ids"], "tokens", start=1, end=2)
        zero = self.constant("zero", np.array([0], dtype=np.int64))
        places = self.node("Slice", [self.constant("positions", table), zero, size, zero], "positions/here")
        states = self.node("Add", [states, places], "embedded/places")
        if types:
            more = self.node("Gather", [self.constant("types", kinds), "token_type_ids"], "types/vectors")
            states = self.node("Add", [states, more], "embedded/types")
        if FEATURES in self.tensors:
            table = self.tensor(FEATURES, None, hidden)
            more = self.node("Gather", [self.constant("features/table", table), "features"], "features/vectors")
            states = self.node("Add", [states, more], "embedded/features")
        weight, bias = self.norm(EMBEDDING_NORM)
        return self.node("LayerNormalization", [states, weight, bias], "embedded", axis=-1, epsilon=self.shape.eps)

    def norm(self, name: str) -> tuple[str, str]:
        found = [self.constant(f"{name}.{kind}", self.tensor(f"{name}.{kind}", self.shape.hidden)) for kind in _KINDS]
        return found[0], found[1]

    def layer(self, number: int, states: str) -> str:
        """One layer of the encoder."""
        shape, at = self.shape, f"layer{number}"
        names = [layer(number, part) for part in (QUERY, KEY, VALUE)]
        before = layer(number - 1, NORMS[1]) if number else EMBEDDING_NORM
        asked = self.linear(f"{at}/asked", names, states, shape.hidden, shape.hidden, norm=before)
        parts = [f"{at}/{kind}" for kind in ("query", "key", "value")]
        sizes = self.constant("thirds", np.array([shape.hidden] * 3, dtype=np.int64))
        self.node("Split", [asked, sizes], parts, axis=2)
        met = self.node("MultiHeadAttention", parts, f"{at}/met", _MICROSOFT, num_heads=shape.heads)
        met_norm = layer(number, NORMS[0])
        met = self.linear(f"{at}/attended", [layer(number, ATTENDED)], met, shape.hidden, shape.hidden)
        states = self.joined(f"{at}/attention", met, states, met_norm)
        inner = self.linear(f"{at}/up", [layer(number, UP)], states, shape.inner, shape.hidden, norm=met_norm)
        inner = self.node("Gelu", [inner], f"{at}/inner", _MICROSOFT)
        outer = self.linear(f"{at}/down", [layer(number, DOWN)], inner, shape.hidden, shape.inner)
        return self.joined(f"{at}/states", outer, states, layer(number, NORMS[1]))

    def linear(
        self, at: str, names: Sequence[str], given: str, rows: int, columns: int, *, norm: str | None = None
    ) -> str:
        """Linear layers of one input, their answers end to end; ``norm`` is where the input comes from."""
        weight = np.concatenate([self.tensor(f"{name}.weight", rows, columns) for name in names])
        bias = self.constant(f"{at}/bias", np.concatenate([self.tensor(f"{name}.bias", rows) for name in names]))
        if not self.int8:
            found = self.node("MatMul", [given, self.constant(f"{at}/weight", weight.T.copy())], f"{at}/plain")
            return self.node("Add", [found, bias], at)
        if norm is not None:
            sizes = evening(weight, *(self.tensor(f"{norm}.{kind}", columns) for kind in _KINDS))
            given = self.node("Mul", [given, self.constant(f"{at}/evening", 1 / sizes)], f"{at}/evened")
            weight = weight * sizes
        integers, scale = quantised(weight)
        held = self.constant(f"{at}/weight", integers.T.copy())
        scales = self.constant(f"{at}/scale", scale)
        none = self.constant(f"{at}/zero", np.zeros(len(scale), dtype=np.int8))
        return self.node("DynamicQuantizeMatMul", [given, held, scales, none, bias], at, _MICROSOFT)

    def joined(self, at: str, new: str, old: str, norm: str) -> str:
        """The norm of a part's answer and its input added."""
        # the runtime's SkipLayerNormalization would do both, and takes several times as long as the two
        both = self.node("Add", [new, old], f"{at}/sum")
        return self.node("LayerNormalization", [both, *self.norm(norm)], at, axis=-1, epsilon=self.shape.eps)

    def answered(self, head: str, states: str) -> list[int | None]:
        """The head's outputs; returns the shape of each after the window's own."""
        hidden = self.shape.hidden
        if head == "vectors":
            self.node("Identity", [states], "vectors")
            return [None, hidden]
        weight = self.tensor(f"{HEAD}.weight", None, hidden)
        bias = self.constant("head/bias", self.tensor(f"{HEAD}.bias", len(weight)))
        held = self.constant("head/weight", weight.T.copy())
        if head == "text":
            states = self.node("ReduceMean", [states], "mean", axes=[1], keepdims=0)
        found = self.node("MatMul", [states, held], "head/plain")
        if head != "spans":
            self.node("Add", [found, bias], "logits")
            return [len(weight)] if head == "text" else [None, len(weight)]
        both = self.node("Add", [found, bias], "head/both")
        sides = self.constant("sides", np.array([1, 1], dtype=np.int64))
        self.node("Split", [both, sides], ["head/start", "head/end"], axis=2)
        last = self.constant("last", np.array([2], dtype=np.int64))
        for side in ("start", "end"):
            self.node("Squeeze", [f"head/{side}", last], f"{side}_logits")
        return [None]

    def file(self, dims: Sequence[int | None], head: str, *, types: bool) -> bytes:
        """The graph as bytes; equal weights give equal bytes."""
        helper, proto = self.onnx.helper, self.onnx.TensorProto
        taken = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
        taken += ["features"] if FEATURES in self.tensors else []
        size = [1, *("tokens" if dim is None else dim for dim in dims)]
        graph = helper.make_graph(
            self.nodes,
            "encoder",
            [helper.make_tensor_value_info(name, proto.INT64, [1, "tokens"]) for name in taken],
            [helper.make_tensor_value_info(name, proto.FLOAT, size) for name in HEADS[head]],
            [self.onnx.numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="triptych")
        content: bytes = model.SerializeToString(deterministic=True)
        return content


_KINDS = ("weight", "bias")
