"""The weights of a BERT encoder out of an ONNX graph whose weights are 8-bit integers, as float32.

The graph is one that a checkpoint was exported to and that ONNX Runtime's dynamic quantisation went over: embeddings as
``NAME_quantized`` with ``NAME_scale`` and ``NAME_zero_point``, linear layers as ``MatMulInteger`` nodes that are called
by the checkpoint's path. What comes out is ``(integer - zero point) * scale``, the formula of ONNX's DequantizeLinear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import DataError
from shared.lazy import require
from shared.types import Float32

QUANTISED = "_quantized"
_LINEAR = re.compile(r"^/(?:[^/]+/)?(encoder/layer\.\d+/[a-z/]+)/MatMul")


def read_quantised(path: Path) -> dict[str, Float32]:
    """Every weight of the graph by its checkpoint name; a linear layer's weight is (out, in).

    Raises:
        DataError: the file is no ONNX graph, or an integer weight has no scale.
    """
    onnx = require("onnx", extra="all")
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # the parser's own errors share no base
        raise DataError(f"{path} must be an ONNX graph. {error}") from error
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found: dict[str, Float32] = {}
    for name, array in values.items():
        if name.startswith("onnx::"):
            continue
        if name.endswith(QUANTISED):
            found[name.removesuffix(QUANTISED)] = _floats(values, name, path)
        elif array.dtype == np.float32 and array.ndim:
            found[name] = array
    for node in graph.node:
        named = _LINEAR.match(node.name)
        if node.op_type == "MatMulInteger" and named is not None:
            weight = named[1].replace("/", ".") + ".weight"
            found[weight] = np.ascontiguousarray(_floats(values, node.input[1], path).T)
    return found


def _floats(values: Mapping[str, Any], name: str, path: Path) -> Float32:
    stem = name.removesuffix(QUANTISED)
    scale, zero = values.get(f"{stem}_scale"), values.get(f"{stem}_zero_point")
    if name not in values or scale is None or zero is None:
        raise DataError(f"{path} must hold {stem} as integers with a scale and a zero point. Something is missing")
    floats: Float32 = (values[name].astype(np.float32) - np.float32(zero)) * np.float32(scale)
    return floats
