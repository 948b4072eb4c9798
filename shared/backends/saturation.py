"""Quantised graphs whose answers are the same on processors with and without int8 dot-product instructions.

Without those (VNNI) a processor adds two products of a uint8 value and an int8 weight in 16 bits, which hold 255 * 128
but not 255 * 254: EfficientDet-Lite0 loses 3 points of COCO mAP to that. So the weights of each output channel are made
smaller until any two neighbours fit, and the channel's scale larger by as much. That costs a little resolution, half a
point at most, and keeps int8's speed, twice that of float. A graph whose integers stand elsewhere runs in float.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.types import AnyArray, Float32

_WEIGHED = ("Convolution", "GroupConvolution", "MatMul")
_MOVING = ("Concat", "Reshape", "Split", "Squeeze", "StridedSlice", "Transpose", "Unsqueeze", "VariadicSplit")
"""What only moves values about, so that integers stay integers."""
_PAIR = 127
"""Most that the weights of two neighbouring input channels may add up to, with one to spare for rounding."""


def without_saturation(graph: Any, openvino: Any) -> Any:
    """Change a quantised graph so that none of its integer sums can saturate.

    Args:
        graph: an ``openvino.Model``; it is changed in place. One that is not quantised is left as it is.
        openvino: the module.

    Returns:
        The same graph.
    """
    nodes = graph.get_ordered_ops()
    if not any(node.get_type_name() == "FakeQuantize" for node in nodes):
        return graph
    weighed = [n for n in nodes if n.get_type_name() in _WEIGHED and not _is_depthwise(n) and _is_quantised(n)]
    found = [_integer_weights(node) for node in weighed]
    if None in found:
        _run_in_float(nodes, openvino.opset13)
        return graph
    for times, convert, weights, scale in filter(None, found):
        share = _fitting_share(weights)
        for place, values in (
            (convert.input(0), (weights * share).round().astype(np.int8)),
            (times.input(1), scale / share),
        ):
            place.replace_source_output(openvino.opset13.constant(values).output(0))
    return graph


def _is_depthwise(node: Any) -> bool:
    """Whether each output sums over one input channel only; OpenVINO runs those in float."""
    return bool(node.get_type_name() == "GroupConvolution" and node.input_value(1).get_shape()[2] == 1)


def _is_quantised(node: Any) -> bool:
    """Whether both inputs of a node may be integers; where one is a float OpenVINO computes in float."""
    weights = node.input_value(1).get_node()
    return _comes_quantised(node, 0) and (weights.get_type_name() == "Multiply" or _comes_quantised(node, 1))


def _comes_quantised(node: Any, at: int) -> bool:
    """Whether an input was quantised, perhaps moved about since; of several parts joined, any."""
    source = node.input_value(at).get_node()
    if source.get_type_name() == "FakeQuantize":
        return True
    moved = source.get_input_size() if source.get_type_name() == "Concat" else 1
    return source.get_type_name() in _MOVING and any(_comes_quantised(source, i) for i in range(moved))


def _integer_weights(node: Any) -> tuple[Any, Any, AnyArray, Float32] | None:
    """Where a convolution's weights are ``scale * convert(int8)``: both nodes, the integers and the scale."""
    times = node.input_value(1).get_node()
    if node.get_type_name() != "Convolution" or times.get_type_name() != "Multiply":
        return None
    convert, scale = (times.input_value(i).get_node() for i in range(2))
    if convert.get_type_name() != "Convert" or scale.get_type_name() != "Constant":
        return None
    weights = convert.input_value(0).get_node()
    if weights.get_type_name() != "Constant" or str(weights.get_element_type().to_dtype()) != "int8":
        return None
    return times, convert, np.array(weights.get_data(), np.float32), np.array(scale.get_data(), np.float32)


def _fitting_share(weights: AnyArray) -> Float32:
    """For each output channel the share, at most 1, of its weights at which all pairs fit; shape (out, 1, 1, ...).

    Args:
        weights: shape (out, in, ...), whole numbers.

    Example:
        >>> _fitting_share(np.array([[100, 100, -100], [100, -100, 27]])).ravel()
        array([0.635, 1.   ], dtype=float32)
    """
    padded = np.concatenate([weights, np.zeros_like(weights[:, : weights.shape[1] % 2])], axis=1)
    largest = np.ones(len(weights))
    for sign in (1, -1):
        same = np.maximum(sign * padded, 0)
        pairs = same[:, 0::2] + same[:, 1::2]
        largest = np.maximum(largest, pairs.reshape(len(weights), -1).max(axis=1))
    return np.minimum(1, _PAIR / largest).astype(np.float32).reshape(-1, *[1] * (weights.ndim - 1))


def _run_in_float(nodes: Sequence[Any], ops: Any) -> None:
    """Replace every quantising node by the clamp and the scaling that it is made of."""
    for node in nodes:
        if node.get_type_name() != "FakeQuantize":
            continue
        given, low, high, out_low, out_high = (node.input_value(i) for i in range(5))
        bounds = [np.array(end.get_node().get_data()) for end in (low, high, out_low, out_high)]
        values = ops.maximum(ops.minimum(given, high), low)
        if not (np.array_equal(bounds[0], bounds[2]) and np.array_equal(bounds[1], bounds[3])):
            scale = ops.divide(ops.subtract(out_high, out_low), ops.subtract(high, low))
            values = ops.add(ops.multiply(ops.subtract(values, low), scale), out_low)
        node.output(0).replace(values.output(0))
