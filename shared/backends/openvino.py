"""OpenVINO: reads ONNX, TFLite and its own IR, and runs requests in parallel, one a processor."""

from __future__ import annotations

import io
import queue
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from shared.backends.base import Keep, TensorSpec, check_threads
from shared.backends.reshaping import reshape
from shared.backends.saturation import without_saturation
from shared.errors import BackendError, UsageError
from shared.lazy import require
from shared.settings import cpu_count
from shared.types import AnyArray

_DEVICES = {"auto": "CPU", "cpu": "CPU", "gpu": "GPU"}
_MAX_COPIES = 4
"""Beyond this, more processors go to each copy rather than to more copies, which cost memory."""
_CONFIG = {"NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
"""One stream a copy: a graph compiled for several streams at once can come out with wrong weights, differently at each
load (2026.4, EfficientDet-Lite0). Unpinned, for the copies would otherwise be pinned to the same processors."""
_FIRST = Lock()


class OpenVinoBackend:
    """Copies of one compiled graph, each on processors of its own. Use :func:`load`."""

    def __init__(self, copies: Sequence[Any]) -> None:
        self.inputs = tuple(_spec(port) for port in copies[0].inputs)
        self.outputs = tuple(_spec(port) for port in copies[0].outputs)
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for compiled in copies:
            self._free.put(compiled.create_infer_request())
        self._pool = ThreadPoolExecutor(len(copies), "openvino")

    def run(self, feeds: Sequence[Mapping[str, AnyArray]], *, keep: Keep | None = None) -> list[dict[str, AnyArray]]:
        """See :meth:`shared.backends.base.Backend.run`."""
        keep = keep or _copies
        try:
            if len(feeds) == 1:
                return [self._answer(feeds[0], keep)]
            answers = [self._pool.submit(self._answer, feed, keep) for feed in feeds]
            wait(answers)
            return [answer.result() for answer in answers]
        except RuntimeError as error:
            raise BackendError(f"OpenVINO refused a request: {_first_line(error)}") from error

    def _answer(self, feed: Mapping[str, AnyArray], keep: Keep) -> dict[str, AnyArray]:
        request = self._free.get()
        try:
            request.infer(dict(feed), share_inputs=True)
            return keep({spec.name: request.get_output_tensor(i).data for i, spec in enumerate(self.outputs)})
        finally:
            self._free.put(request)


def the_core() -> Any:
    """The one core of this process.

    Each core's plugin for processors sets the stack on which this thread's signals are handled and puts back, as it
    ends, what was there before. Of two that do not end in reverse order the second puts back what the first has freed,
    and the next signal ends the process (2026.4).
    """
    with _FIRST:
        return _made()


@lru_cache(maxsize=1)
def _made() -> Any:
    openvino = require("openvino", extra="all")
    # The first call of this method makes a table with the interpreter's lock let go: of two threads that are there at
    # once, one then holds the table and waits for the interpreter, the other the reverse, for ever (2026.4).
    openvino.Type.f32.to_dtype()
    return openvino.Core()


def load(path: Path, **options: Any) -> OpenVinoBackend:
    """Read and compile a graph; see :func:`shared.backends.open_backend`."""
    return OpenVinoBackend(compile_copies(path, **options))


def compile_copies(
    path: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    input_shape: tuple[int, ...] | None = None,
    precision: str = "f32",
) -> list[Any]:
    """The compiled copies of a graph that :func:`load` runs, each with processors of its own."""
    check_threads(threads)
    if device not in _DEVICES:
        raise UsageError(f"device must be one of {', '.join(_DEVICES)}. Got {device!r} instead")
    openvino = require("openvino", extra="all")
    count = threads or cpu_count()
    copies = min(count, _MAX_COPIES)
    config = _CONFIG | {"INFERENCE_NUM_THREADS": count // copies, "INFERENCE_PRECISION_HINT": precision}
    core = the_core()
    if _DEVICES[device] not in {name.split(".")[0] for name in core.available_devices}:
        raise BackendError(f"OpenVINO sees no {device} here. It sees: {', '.join(core.available_devices)}")
    try:
        graph = without_saturation(core.read_model(str(path)), openvino)
        if input_shape is not None:
            reshape(graph, input_shape, openvino)
        if _DEVICES[device] != "CPU":
            return [core.compile_model(graph, _DEVICES[device])]
        first = core.compile_model(graph, "CPU", config)
        if copies == 1:
            return [first]
        plan = first.export_model().getvalue()  # reading a compiled graph takes a quarter of compiling one
        return [first, *(core.import_model(io.BytesIO(plan), "CPU", config) for _ in range(copies - 1))]
    except RuntimeError as error:
        raise BackendError(f"OpenVINO cannot load {path}: {_first_line(error)}") from error


def _copies(outputs: dict[str, AnyArray]) -> dict[str, AnyArray]:
    return {name: array.copy() for name, array in outputs.items()}


def _spec(port: Any) -> TensorSpec:
    shape = tuple(axis.get_length() if axis.is_static else None for axis in port.partial_shape)
    return TensorSpec(_name(port), shape, str(port.element_type.to_dtype()))


def _name(port: Any) -> str:
    """The graph's own name of an input or output: compiling may give it those of merged nodes too."""
    own: str = port.get_node().get_friendly_name().rpartition("/sink_port_")[0]
    return own if own in port.get_names() else port.any_name


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
