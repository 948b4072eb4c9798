"""Tiny graphs that answer what a test says, for the families of detectors and classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def constant_graph(
    path: Path,
    answers: Mapping[str, np.ndarray[Any, Any]],
    *,
    shape: tuple[Any, ...] = (1, 64, 64, 3),
    dtype: str = "uint8",
) -> Path:
    """An ONNX file of one input whose outputs are the given arrays, whatever it reads."""
    kinds = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
    given = helper.make_tensor_value_info("pixels", kinds[dtype], list(shape))
    nodes = [
        helper.make_node("Cast", ["pixels"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["values"], ["least"], keepdims=0),
        helper.make_node("Mul", ["least", "none"], ["nothing"]),
    ]
    weights = [numpy_helper.from_array(np.float32(0), "none")]
    outputs = []
    for name, answer in answers.items():
        weights.append(numpy_helper.from_array(answer, f"{name}_value"))
        kind = helper.np_dtype_to_tensor_dtype(answer.dtype)
        nodes += [
            helper.make_node("Cast", ["nothing"], [f"{name}_nothing"], to=kind),
            helper.make_node("Add", [f"{name}_value", f"{name}_nothing"], [name]),
        ]
        outputs.append(helper.make_tensor_value_info(name, kind, list(answer.shape)))
    graph = helper.make_graph(nodes, "graph", [given], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def card_text(task: str, family: str, options: str, *, licence: str = "MIT", backend: str = "openvino") -> str:
    """A small card of one model."""
    return (
        f'[models.tiny]\ntask = "{task}"\nfamily = "{family}"\nbackend = "{backend}"\nlicence = "{licence}"\n'
        f'summary = "for tests"\noptions = {options}\n'
    )
