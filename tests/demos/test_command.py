"""``triptych demo`` as a real process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")


def demo(*options: str) -> list[str]:
    return [sys.executable, "-c", "from shared.cli.main import main; main()", "demo", *options]


def ended(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(demo(*options), capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def started(tmp_path: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(demo(*options), stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"answers at (http://\S+)", process.stdout.readline())
            assert found is not None
            yield process, found[1]
        finally:
            if process.poll() is None:
                process.kill()


def status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_stops_cleanly_and_keeps_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path, "--port", "0") as (process, address):
        for page in ("", "classify", "detect", "text", "recommend"):
            assert status(address + page) == 200
        assert [path.name.startswith("triptych-demo-") for path in tmp_path.iterdir()] == [True]
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
    assert list(tmp_path.iterdir()) == []


def test_auth_keeps_strangers_out(tmp_path: Path) -> None:
    with started(tmp_path, "--port", "0", "--auth", "ada:secret") as (_, address):
        assert status(address + "config") == 401


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = ended("--port", str(port))
    assert process.returncode == 2
    assert f"cannot listen on port {port} of 127.0.0.1: Address already in use" in process.stderr
    assert "--port" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("auth", ["ada", "ada:", ":secret"])
def test_half_a_credential_is_refused(auth: str) -> None:
    process = ended("--auth", auth)
    assert process.returncode == 2
    assert "--auth must be USER:PASSWORD" in process.stderr


def test_a_host_that_is_not_ours_is_a_clear_error() -> None:
    process = ended("--host", "192.0.2.1")
    assert process.returncode == 2
    assert "of 192.0.2.1" in process.stderr


def test_without_gradio_it_says_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.cli.demo import command
    from shared.errors import MissingDependencyError

    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[demos\]'") as caught:
        command.main([], standalone_mode=False)
    assert caught.value.exit_code == 3


def test_the_package_itself_is_light() -> None:
    heavy = "gradio openvino onnxruntime torch sklearn pandas scipy"
    code = f"import sys, demos, demos.library; print([m for m in '{heavy}'.split() if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
