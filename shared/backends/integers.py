"""A text graph in 8-bit integers for ONNX Runtime: weights once, activations as they come ("dynamic quantisation").

Weights take 7 bits of each output channel's own scale: without VNNI a processor adds two products of a uint8 and an
int8 in 16 bits, which hold 255 * 64 twice but not 255 * 127 twice, so the answers are the same with and without.
What multiplies activations with one another stays in float, and so do embeddings: in integers they make the file
smaller, the answers worse, and nothing faster.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from shared.errors import BackendError
from shared.lazy import require


def is_quantised(path: Path) -> bool:
    """Whether a graph computes in 8-bit integers already.

    Raises:
        BackendError: it is no ONNX graph.
    """
    kinds = _operators(path)
    return bool(kinds & {"MatMulInteger", "QLinearMatMul", "DynamicQuantizeLinear", "QuantizeLinear"})


def to_integers(path: Path) -> bytes:
    """The graph with weights in 8-bit integers.

    Raises:
        BackendError: ONNX Runtime cannot read or change it, or it has nothing that integers would serve.
    """
    if "MatMul" not in _operators(path):
        raise BackendError(f"{path.name} must have matrix products for integers to serve. It has none")
    tools = require("onnxruntime.quantization", extra="all")
    talk = logging.getLogger()
    level = talk.level
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "model.onnx"
        try:
            talk.setLevel(logging.ERROR)  # it advises a preparation of the graph that changes nothing here
            tools.quantize_dynamic(
                str(path),
                str(made),
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                reduce_range=True,
                weight_type=tools.QuantType.QInt8,
            )
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise BackendError(f"ONNX Runtime cannot bring {path.name} into 8-bit integers: {error}") from error
        finally:
            talk.setLevel(level)
        return made.read_bytes()


def _operators(path: Path) -> set[str]:
    onnx = require("onnx", extra="all")
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:
        if type(error).__module__.startswith("google") or isinstance(error, OSError | ValueError):
            raise BackendError(f"{path} must be an ONNX graph. {error}") from error
        raise
    return {node.op_type for node in graph.node}
