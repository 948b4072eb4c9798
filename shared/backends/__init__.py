"""Runtimes behind one protocol, one file each, imported only when a card asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.backends.base import Backend, Keep, TensorSpec
from shared.errors import BackendError, UnknownNameError
from shared.lazy import require

__all__ = ["BACKENDS", "Backend", "Keep", "TensorSpec", "open_backend"]

BACKENDS = {"openvino": "shared.backends.openvino", "onnxruntime": "shared.backends.onnxruntime"}


def open_backend(
    name: str,
    path: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    input_shape: tuple[int, ...] | None = None,
    precision: str = "f32",
) -> Backend:
    """Load a graph.

    Args:
        name: a key of :data:`BACKENDS`.
        path: an ``.onnx`` file, or ``.tflite`` / ``.xml`` for OpenVINO.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        input_shape: shape that a graph of one input is to read where that is not its own, as convolutions allow;
            OpenVINO only.
        precision: in which floats are computed, ``"f32"`` or ``"bf16"`` (OpenVINO only, where the processor can).

    Raises:
        UnknownNameError: no backend is called that.
        BackendError: the runtime cannot read or compile the graph, or has no such device or shape.
    """
    if name not in BACKENDS:
        raise UnknownNameError("backend", name, BACKENDS)
    options: dict[str, Any] = {} if input_shape is None else {"input_shape": input_shape}
    options |= {} if precision == "f32" else {"precision": precision}
    if options and name != "openvino":
        raise BackendError(
            f"{path.name} must run on openvino, which can change a graph's shape and precision. Got {name} instead"
        )
    backend: Backend = require(BACKENDS[name], extra="all").load(path, device=device, threads=threads, **options)
    return backend
