"""Both runtimes keep one contract, on a small graph made here."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from shared.backends import open_backend
from shared.backends.base import Backend, TensorSpec
from shared.backends.fake import FakeBackend
from shared.errors import BackendError, UnknownNameError, UsageError
from shared.testing.contracts import BackendContract
from shared.types import AnyArray

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)


@cache
def graph_file() -> Path:
    """``y = x @ WEIGHTS`` for x of shape (rows, 4), as an ONNX file."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])
    weights = helper.make_tensor("w", TensorProto.FLOAT, WEIGHTS.shape, WEIGHTS.ravel())
    made = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    path = Path(tempfile.mkdtemp()) / "matmul.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def graph() -> Path:
    return graph_file()


def feed(rng: np.random.Generator) -> dict[str, AnyArray]:
    return {"x": rng.normal(size=(2, 4)).astype(np.float32)}


class TestOpenVino(BackendContract):
    def build(self) -> Backend:
        return open_backend("openvino", graph_file(), threads=2)

    def feed(self, rng: np.random.Generator) -> dict[str, AnyArray]:
        return feed(rng)


SIGNALLED = """
import os, signal, sys, time
from pathlib import Path
from shared.backends import open_backend
first, second = (open_backend("openvino", Path(sys.argv[1]), threads=1) for _ in range(2))
del first
del second
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append("heard"))
os.kill(os.getpid(), signal.SIGTERM)
until = time.monotonic() + 60
while not heard and time.monotonic() < until:  # another thread may have been given it
    time.sleep(0.01)
print(*heard)
"""


def test_signals_are_heard_after_models_have_come_and_gone(graph: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALLED, str(graph)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n")


TOGETHER = """
import sys, threading
import openvino
from shared.backends.openvino import the_core
the_core()
sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
def first():
    together.wait()
    openvino.Type.f32.to_dtype()
threads = [threading.Thread(target=first) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("ended")
"""


def test_the_first_answers_of_a_process_may_be_asked_at_the_same_instant() -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", TOGETHER], stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]  # without what the core does first, about one in three waits for ever
    try:
        assert [one.communicate(timeout=60)[0] for one in started] == ["ended\n"] * 6
    finally:
        for one in started:
            one.kill()
            one.wait()


class TestOnnxRuntime(BackendContract):
    def build(self) -> Backend:
        return open_backend("onnxruntime", graph_file(), threads=1)

    def feed(self, rng: np.random.Generator) -> dict[str, AnyArray]:
        return feed(rng)


class TestFake(BackendContract):
    def build(self) -> Backend:
        spec = (TensorSpec("x", (None, 4), "float32"),), (TensorSpec("y", (None, 3), "float32"),)
        return FakeBackend(lambda f: {"y": f["x"] @ WEIGHTS}, *spec, refuse=lambda f: f["x"].shape[-1] != 4)

    def feed(self, rng: np.random.Generator) -> dict[str, AnyArray]:
        return feed(rng)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_answers_are_the_products_whatever_the_number_of_callers(name: str, graph: Path) -> None:
    backend = open_backend(name, graph)
    wrong: list[int] = []

    def call(seed: int) -> None:
        feeds = [feed(np.random.default_rng(seed + i)) for i in range(30)]
        for answer, given in zip(backend.run(feeds), feeds):
            if not np.allclose(answer["y"], given["x"] @ WEIGHTS, rtol=1e-5, atol=1e-5):
                wrong.append(seed)

    callers = [threading.Thread(target=call, args=(100 * n,)) for n in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_callers_that_are_here_at_once_share_the_threads_of_a_session(graph: Path) -> None:
    backend = open_backend("onnxruntime", graph, threads=2)
    feeds = [feed(np.random.default_rng(seed)) for seed in range(40)]
    here, leave = threading.Event(), threading.Event()

    def hold(outputs: dict[str, AnyArray]) -> dict[str, AnyArray]:
        here.set()
        leave.wait(60)
        return outputs

    def threads_of_a_run() -> set[int]:
        seen: set[int] = set()
        both = threading.Barrier(2, timeout=2.0)

        def meet(outputs: dict[str, AnyArray]) -> dict[str, AnyArray]:
            seen.add(threading.get_ident())
            with suppress(threading.BrokenBarrierError):
                both.wait()
            return outputs

        backend.run(feeds, keep=meet)
        return seen

    first = threading.Thread(target=lambda: backend.run(feeds[:1], keep=hold))
    first.start()
    here.wait(60)
    assert threads_of_a_run() == {threading.get_ident()}
    leave.set()
    first.join()
    assert len(threads_of_a_run()) == 2


@pytest.mark.parametrize("backend", [TestOpenVino, TestOnnxRuntime, TestFake])
def test_only_what_is_kept_of_the_outputs_comes_back(backend: type[BackendContract]) -> None:
    feeds = [feed(np.random.default_rng(seed)) for seed in range(20)]
    kept = backend().build().run(feeds, keep=lambda outputs: {"best": outputs["y"].max(axis=1)})
    for answer, given in zip(kept, feeds, strict=True):
        assert list(answer) == ["best"]
        np.testing.assert_allclose(answer["best"], (given["x"] @ WEIGHTS).max(axis=1), rtol=1e-5)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_array_of_any_layout_is_read_as_it_is(name: str, graph: Path) -> None:
    across = np.random.default_rng(0).normal(size=(4, 40)).astype(np.float32).T
    answers = open_backend(name, graph, threads=2).run([{"x": across}, {"x": across[::2]}] * 8)
    for answer, x in zip(answers, [across, across[::2]] * 8, strict=True):
        np.testing.assert_allclose(answer["y"], x @ WEIGHTS, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_what_cannot_be_loaded_is_a_typed_error(name: str, tmp_path: Path, graph: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(graph.read_bytes()[:-20])
    for path in (broken, tmp_path / "missing.onnx"):
        with pytest.raises(BackendError, match=f"cannot load .*{path.name}"):
            open_backend(name, path)
    with pytest.raises(UsageError, match="threads must be at least 1"):
        open_backend(name, graph, threads=0)
    with pytest.raises(UsageError, match="device must be one of auto, cpu, gpu. Got 'tpu'"):
        open_backend(name, graph, device="tpu")


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_device_that_is_not_there_is_said(name: str, graph: Path) -> None:
    with pytest.raises(BackendError, match=r"has no|sees no"):
        open_backend(name, graph, device="gpu")


def test_an_unknown_backend_lists_the_known_ones(graph: Path) -> None:
    with pytest.raises(UnknownNameError, match="no backend is called 'openvin'. Nearest: openvino"):
        open_backend("openvin", graph)
