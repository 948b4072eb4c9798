"""Products in 8-bit integers that come closer to those in float, for models that show every rounding.

Weights: each is rounded in turn, and those after it take up what typical inputs show of its error (E. Frantar and
others, "GPTQ", ICLR 2023, algorithm 1), which costs nothing when the model runs. Activations: a few tokens may be many
times as large as all others, and would leave these little resolution under one scale; such a tensor gets a scale and a
zero a row, for little more time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from shared.lazy import require
from shared.types import AnyArray, Float32, Float64

LARGEST = 127
UNLIKE = 2.0
"""How many times the usual row the largest must be for a tensor to be taken row by row."""
DAMPING = 0.01
"""What is added to the squares of the channels, as a share of their mean."""
TOGETHER = 128
"""Channels whose errors are handed on to those after them at once."""
MOST_BYTES = 2**28
"""Memory of the second moments that are gathered in one pass over the typical inputs."""
Integers: TypeAlias = tuple[AnyArray, Float32]
"""Weights as int8 of shape (channels, columns), and the scale of each column."""


def unlike(rows: Float32) -> bool:
    """Whether the rows of a tensor are of such different sizes that each should have its own scale.

    Args:
        rows: largest absolute value of each, shape (n,), at least one.

    Example:
        >>> unlike(np.float32([1, 1, 1, 9])), unlike(np.float32([1, 2, 3, 3]))
        (True, False)
    """
    return bool(rows.max() >= UNLIKE * np.median(rows))


def rounded(weight: Float32, moments: Float64) -> Integers:
    """Weights as integers whose products with typical inputs are as near as may be to those of the weights.

    Args:
        weight: shape (channels, columns).
        moments: sum over typical rows of their outer product with themselves, shape (channels, channels).

    Returns:
        See :data:`Integers`.
    """
    left = weight.astype(np.float64)
    largest = np.abs(left).max(axis=0)
    scale = np.where(largest > 0, largest / LARGEST, 1.0)
    usual = float(np.mean(np.diag(moments))) or 1.0
    damped = moments + DAMPING * usual * np.eye(len(moments))
    spread = np.linalg.cholesky(np.linalg.inv(damped)).T
    found = np.zeros(left.shape, np.int8)
    for begin in range(0, len(left), TOGETHER):
        stop = min(begin + TOGETHER, len(left))
        errors = np.zeros((stop - begin, left.shape[1]))
        for at in range(begin, stop):
            integers = np.clip(np.rint(left[at] / scale), -LARGEST, LARGEST)
            found[at] = integers
            error = (left[at] - integers * scale) / spread[at, at]
            left[at + 1 : stop] -= np.outer(spread[at, at + 1 : stop], error)
            errors[at - begin] = error
        left[stop:] -= spread[begin:stop, stop:].T @ errors
    return found, scale.astype(np.float32)


def passes(widths: Mapping[str, int]) -> Iterator[list[str]]:
    """Tensors in groups whose second moments fit into :data:`MOST_BYTES`; one that alone does not is a group.

    Args:
        widths: channels by the tensor's name.
    """
    group: list[str] = []
    size = 0
    for name, width in widths.items():
        more = 8 * width * width
        if group and size + more > MOST_BYTES:
            yield group
            group, size = [], 0
        group.append(name)
        size += more
    if group:
        yield group


def moments(values: Iterator[Sequence[AnyArray]], names: Sequence[str]) -> dict[str, Float64]:
    """Sums over all rows of tensors of their outer products with themselves, each (channels, channels).

    Args:
        values: the tensors for each typical input, their last axis the channels.
        names: of the tensors.
    """
    sums: dict[str, Float64] = {}
    for request in values:
        for name, value in zip(names, request, strict=True):
            rows = value.reshape(-1, value.shape[-1])
            sums[name] = sums.get(name, 0.0) + (rows.T @ rows).astype(np.float64)
    return sums


def row_nodes(given: str, constants: dict[str, AnyArray]) -> list[Any]:
    """Nodes that bring a tensor of shape (1, rows, channels) into uint8, with a scale and a zero a row.

    They make ``{given}/integers``, and ``{given}/scales`` and ``{given}/lows`` of shape (1, rows, 1): a value is its
    integer times the scale of its row, less the low of its row.

    Args:
        given: name of the tensor.
        constants: what the nodes need is put here, by name.
    """
    onnx = require("onnx", extra="all")
    constants |= {
        "by-rows//none": np.array([0], np.float32),
        "by-rows//tiny": np.array([1e-9], np.float32),
        "by-rows//step": np.array([1 / 255], np.float32),
        "by-rows//axes": np.array([0, 2], np.int64),
    }

    def node(kind: str, takes: Sequence[str], gives: str, **options: Any) -> Any:
        held = [name if name == given or "//" in name else f"{given}/{name}" for name in takes]
        return onnx.helper.make_node(kind, held, [f"{given}/{gives}"], **options)

    # as DynamicQuantizeLinear does it for a whole tensor: from the least to the most, with 0 among them
    return [
        node("ReduceMin", [given], "low", axes=[0, 2], keepdims=0),
        node("ReduceMax", [given], "high", axes=[0, 2], keepdims=0),
        node("Min", ["low", "by-rows//none"], "least"),
        node("Max", ["high", "by-rows//tiny"], "most"),
        node("Sub", ["most", "least"], "span"),
        node("Mul", ["span", "by-rows//step"], "scale"),
        node("Div", ["least", "scale"], "place"),
        node("Neg", ["place"], "up"),
        node("Round", ["up"], "whole"),
        node("Cast", ["whole"], "zero", to=onnx.TensorProto.UINT8),
        node("QuantizeLinear", [given, "scale", "zero"], "integers", axis=1),
        node("Mul", ["whole", "scale"], "shift"),
        node("Unsqueeze", ["scale", "by-rows//axes"], "scales"),
        node("Unsqueeze", ["shift", "by-rows//axes"], "lows"),
    ]


def row_product(given: str, at: str, weights: Integers, constants: dict[str, AnyArray]) -> list[Any]:
    """Nodes that multiply what :func:`row_nodes` made with weights.

    Args:
        given: name of the tensor.
        at: name of the product.
        weights: see :data:`Integers`.
        constants: what the nodes need is put here, by name.
    """
    onnx = require("onnx", extra="all")
    integers, scale = weights
    sums = (integers.sum(axis=0, dtype=np.int64) * scale.astype(np.float64)).astype(np.float32)
    constants |= {f"{at}/weight": integers, f"{at}/step": scale, f"{at}/none": np.zeros(len(scale), np.int8)}
    constants |= {f"{at}/sums": sums, "by-rows//one": np.array(1, np.float32), "by-rows//zero": np.array(0, np.uint8)}
    taken = [f"{given}/integers", f"{at}/weight", "by-rows//one", f"{at}/step", "by-rows//zero", f"{at}/none"]
    node = onnx.helper.make_node
    return [
        node("MatMulIntegerToFloat", taken, [f"{at}/raw"], domain="com.microsoft"),
        node("Mul", [f"{at}/raw", f"{given}/scales"], [f"{at}/scaled"]),
        node("Mul", [f"{given}/lows", f"{at}/sums"], [f"{at}/shift"]),
        node("Sub", [f"{at}/scaled", f"{at}/shift"], [at]),
    ]
