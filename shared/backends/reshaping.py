"""OpenVINO graphs made to read pictures of another size, as convolutions allow.

Some exports write sizes down that follow from the input's: the window of a pool over the whole map, and the sizes to
which maps are enlarged. Left as they are, such a graph does not fit together at another size. Where corners are
aligned, a map of n cells for an input of m pixels has 1 + (n - 1) * (k - 1) / (m - 1) cells for one of k.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def reshape(graph: Any, shape: Sequence[int], openvino: Any) -> None:
    """Give a graph of one input another input shape, in place.

    Args:
        graph: an ``openvino.Model``.
        shape: the input's new shape.
        openvino: the module.

    Raises:
        RuntimeError: the graph does not fit together at that shape; raised by OpenVINO.
    """
    given = graph.get_parameters()[0]
    if given.partial_shape.is_static:
        changed = [(old, new) for old, new in zip(list(given.shape), shape) if old != new and old > 1]
        for node in graph.get_ordered_ops():
            if node.get_type_name() == "AvgPool":
                _pool_everything(node, openvino.opset13)
            elif node.get_type_name() == "Interpolate" and len(changed) == 2:
                _enlarge_further(node, [(new - 1) / (old - 1) for old, new in changed], openvino.opset13)
    given.set_partial_shape(openvino.PartialShape(list(shape)))
    graph.validate_nodes_and_infer_types()


def _pool_everything(node: Any, ops: Any) -> None:
    """A pool whose window is the whole map, as a mean over whatever the map is."""
    window = list(node.get_attributes()["kernel"])
    if list(node.input_value(0).get_shape())[2:] != window or list(node.output(0).get_shape())[2:] != [1] * len(window):
        return
    mean = ops.reduce_mean(node.input_value(0), list(range(2, 2 + len(window))), keep_dims=True)
    for target in list(node.output(0).get_target_inputs()):
        target.replace_source_output(mean.output(0))


def _enlarge_further(node: Any, rates: Sequence[float], ops: Any) -> None:
    """An enlargement to fixed sizes with aligned corners, to those that follow from the new input."""
    facts, sizes = node.get_attributes(), node.input_value(1).get_node()
    aligned = facts["coordinate_transformation_mode"] == "align_corners" and facts["shape_calculation_mode"] == "sizes"
    if not aligned or sizes.get_type_name() != "Constant" or len(sizes.data) != len(rates):
        return
    wanted = [1 + (int(size) - 1) * rate for size, rate in zip(sizes.data, rates)]
    if all(size == round(size) for size in wanted):
        constant = ops.constant([round(size) for size in wanted], dtype=sizes.data.dtype)
        node.input(1).replace_source_output(constant.output(0))
