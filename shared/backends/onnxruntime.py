"""ONNX Runtime: the fastest here for int8 text encoders."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from shared.backends.base import Keep, TensorSpec, check_threads
from shared.errors import BackendError, UsageError
from shared.lazy import require
from shared.settings import cpu_count
from shared.types import AnyArray

_PROVIDERS = {"auto": "CPUExecutionProvider", "cpu": "CPUExecutionProvider", "gpu": "CUDAExecutionProvider"}
_REFUSALS = (
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "NoSuchFile",
    "NotImplemented",
    "RuntimeException",
)
_PROCESSOR = Path("/proc/cpuinfo")
_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni"}
_WHOLE_SUMS = "session.x64quantprecision"
"""Where products of 8 bits are added in 16, have weights of more than 7 bits multiplied in a slower way that is exact.
The runtime looks at the weights; it cannot tell all processors with VNNI from those without."""
_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}


class OnnxRuntimeBackend:
    """A session. Requests run at once, each on one thread: small graphs gain nothing from more. Use :func:`load`."""

    def __init__(self, session: Any, refused: tuple[type[Exception], ...], threads: int) -> None:
        self._session = session
        self._refused = refused
        self._threads = threads
        self._callers, self._lock = 0, Lock()
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())
        self._names = [output.name for output in self.outputs]

    def run(self, feeds: Sequence[Mapping[str, AnyArray]], *, keep: Keep | None = None) -> list[dict[str, AnyArray]]:
        """See :meth:`shared.backends.base.Backend.run`; callers that are here at once share the threads."""
        try:
            with self._sharing() as share:
                count = min(share, len(feeds))
                if count < 2:
                    return [self._answer(feed, keep) for feed in feeds]
                return self._in_threads(feeds, keep, count)
        except self._refused as error:
            raise BackendError(f"ONNX Runtime refused a request: {error}") from error

    @contextmanager
    def _sharing(self) -> Iterator[int]:
        """One caller more: the threads that are its part."""
        with self._lock:
            self._callers += 1
            share = self._threads // self._callers
        try:
            yield share
        finally:
            with self._lock:
                self._callers -= 1

    def _in_threads(
        self, feeds: Sequence[Mapping[str, AnyArray]], keep: Keep | None, count: int
    ) -> list[dict[str, AnyArray]]:
        """Answer in so many threads, of which the caller's is one: a small graph runs little longer than one starts."""
        answers: list[dict[str, AnyArray]] = [{} for _ in feeds]
        left = deque(range(len(feeds)))  # to take from it is one step for all threads

        def work() -> None:
            while True:
                try:
                    at = left.popleft()
                except IndexError:
                    return
                try:
                    answers[at] = self._answer(feeds[at], keep)
                except BaseException:
                    left.clear()
                    raise

        with ThreadPoolExecutor(count - 1, "onnxruntime") as pool:
            others = [pool.submit(work) for _ in range(count - 1)]
            work()
            for other in others:
                other.result()
        return answers

    def _answer(self, feed: Mapping[str, AnyArray], keep: Keep | None) -> dict[str, AnyArray]:
        outputs = dict(zip(self._names, self._session.run(self._names, dict(feed))))
        return outputs if keep is None else keep(outputs)


def load(path: Path, *, device: str = "auto", threads: int | None = None) -> OnnxRuntimeBackend:
    """Read a graph; see :func:`shared.backends.open_backend`."""
    check_threads(threads)
    if device not in _PROVIDERS:
        raise UsageError(f"device must be one of {', '.join(_PROVIDERS)}. Got {device!r} instead")
    ort = require("onnxruntime", extra="all")
    state = require("onnxruntime.capi.onnxruntime_pybind11_state", extra="all")
    refused = (*(getattr(state, name) for name in _REFUSALS), ValueError)
    provider = _PROVIDERS[device]
    if provider not in ort.get_available_providers():
        raise BackendError(f"ONNX Runtime has no {provider} here. It has: {', '.join(ort.get_available_providers())}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not adds_whole(_PROCESSOR):
        options.add_session_config_entry(_WHOLE_SUMS, "1")
    try:
        session = ort.InferenceSession(str(path), options, providers=[provider])
    except refused as error:
        raise BackendError(f"ONNX Runtime cannot load {path}: {error}") from error
    return OnnxRuntimeBackend(session, refused, threads or cpu_count())


@lru_cache(maxsize=8)
def adds_whole(described: Path) -> bool:
    """Whether the processor is known to add products of 8-bit integers in 32 bits (VNNI).

    Args:
        described: what Linux tells of it, ``/proc/cpuinfo``; elsewhere there is none, and nothing is known.
    """
    try:
        return any(word in _DOT_PRODUCTS for word in described.read_text("utf-8").split())
    except OSError:
        return False


def _spec(node: Any) -> TensorSpec:
    shape = tuple(axis if isinstance(axis, int) else None for axis in node.shape)
    return TensorSpec(node.name, shape, _DTYPES.get(node.type, node.type.removeprefix("tensor(").rstrip(")")))
