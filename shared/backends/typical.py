"""What typical inputs become within a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from shared.errors import BackendError
from shared.lazy import require
from shared.types import AnyArray, Float32


def taken(
    graph: Any, names: Sequence[str], typical: Sequence[Mapping[str, AnyArray]]
) -> tuple[dict[str, Float32], dict[str, Float32]]:
    """The largest absolute value of each channel of tensors within a graph, and of each row."""
    sizes: dict[str, Float32] = {}
    rows: dict[str, list[Float32]] = {name: [] for name in names}
    for values in answers(watching(graph, names), typical):
        for name, value in zip(names, values, strict=True):
            found = np.abs(value).reshape(-1, value.shape[-1])
            sizes[name] = np.maximum(sizes.get(name, 0), found.max(axis=0))
            rows[name].append(found.max(axis=1))
    return sizes, {name: np.concatenate(found) for name, found in rows.items()}


def watching(graph: Any, names: Sequence[str]) -> Any:
    """The graph with tensors from within as its outputs."""
    onnx = require("onnx", extra="all")
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    del watched.graph.output[:]
    watched.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    return watched


def answers(graph: Any, feeds: Sequence[Mapping[str, AnyArray]]) -> Iterator[list[AnyArray]]:
    """All outputs of a graph for each request, in the graph's order."""
    ort = require("onnxruntime", extra="all")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        content = graph if isinstance(graph, bytes) else graph.SerializeToString()
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for feed in feeds:
            yield session.run(None, dict(feed))
    except Exception as error:  # the runtime's own errors share no base
        raise BackendError(f"ONNX Runtime cannot run the graph on typical inputs: {error}") from error
