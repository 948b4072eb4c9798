"""OpenVINO: reads ONNX, TFLite and its own IR, and runs requests in parallel on one stream a processor."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.backends.base import TensorSpec, check_threads
from shared.errors import BackendError, UsageError
from shared.lazy import require
from shared.settings import cpu_count
from shared.types import AnyArray

_DEVICES = {"auto": "CPU", "cpu": "CPU", "gpu": "GPU"}


class OpenVinoBackend:
    """A compiled graph with a pool of requests. Use :func:`load`."""

    def __init__(self, compiled: Any, async_queue: type[Any], jobs: int) -> None:
        self._compiled = compiled
        self._queue = async_queue(compiled, jobs)
        self._one_caller = threading.Lock()
        self.inputs = tuple(_spec(port) for port in compiled.inputs)
        self.outputs = tuple(_spec(port) for port in compiled.outputs)
        self._queue.set_callback(self._collect)

    def _collect(self, request: Any, place: tuple[list[Any], int]) -> None:
        answers, at = place
        arrays = [request.get_output_tensor(i).data.copy() for i in range(len(self.outputs))]
        answers[at] = dict(zip((o.name for o in self.outputs), arrays))

    def run(self, feeds: Sequence[Mapping[str, AnyArray]]) -> list[dict[str, AnyArray]]:
        """See :meth:`shared.backends.base.Backend.run`."""
        answers: list[Any] = [None] * len(feeds)
        with self._one_caller:
            try:
                for at, feed in enumerate(feeds):
                    self._queue.start_async(dict(feed), (answers, at), share_inputs=True)
                self._queue.wait_all()
            except RuntimeError as error:
                self._queue.wait_all()
                raise BackendError(f"OpenVINO refused a request: {_first_line(error)}") from error
        return answers


def load(path: Path, *, device: str = "auto", threads: int | None = None) -> OpenVinoBackend:
    """Read and compile a graph; see :func:`shared.backends.open_backend`."""
    check_threads(threads)
    if device not in _DEVICES:
        raise UsageError(f"device must be one of {', '.join(_DEVICES)}. Got {device!r} instead")
    openvino = require("openvino", extra="all")
    count = threads or cpu_count()
    config = {"INFERENCE_NUM_THREADS": count, "NUM_STREAMS": count, "INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    if _DEVICES[device] not in {name.split(".")[0] for name in core.available_devices}:
        raise BackendError(f"OpenVINO sees no {device} here. It sees: {', '.join(core.available_devices)}")
    try:
        graph = core.read_model(str(path))
        compiled = core.compile_model(graph, _DEVICES[device], config if _DEVICES[device] == "CPU" else {})
    except RuntimeError as error:
        raise BackendError(f"OpenVINO cannot load {path}: {_first_line(error)}") from error
    return OpenVinoBackend(compiled, openvino.AsyncInferQueue, count)


def _spec(port: Any) -> TensorSpec:
    shape = tuple(axis.get_length() if axis.is_static else None for axis in port.partial_shape)
    return TensorSpec(port.any_name, shape, str(port.element_type.to_dtype()))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
