"""``triptych demo`` as a real process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demos.examples import CLASSIFY, pictures
from shared.cli.demo import command
from shared.errors import MissingDependencyError, UsageError

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")


def run(*options: str) -> None:
    command.main(list(options), standalone_mode=False)


def status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_answers_stops_cleanly_and_keeps_nothing(started: Callable[..., Any], tmp_path: Path) -> None:
    with started(TMPDIR=str(tmp_path)) as (process, address):
        for page in ("", "classify", "detect", "text", "recommend"):
            assert status(address + page) == 200
        assert len(list(tmp_path.glob("triptych-demo-*"))) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_model_that_cannot_be_had_is_told_and_the_rest_works(started: Callable[..., Any], empty_home: Path) -> None:
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    picture = pictures(CLASSIFY)[0]
    with started(TRIPTYCH_HOME=str(empty_home), TRIPTYCH_OFFLINE="1", TRIPTYCH_WEIGHTS="") as (_, address):
        client = Client(address, verbose=False, httpx_kwargs={"timeout": 120})
        with pytest.raises(AppError, match="(?s)mobilenetv2.* cannot be had.*TRIPTYCH_OFFLINE"):
            client.predict(handle_file(picture), api_name="/classify")
        assert client.predict(["emma"], "EASE", api_name="/recommend")[0]["reason"] == "fold-in"
        client.close()


def test_auth_keeps_strangers_out(started: Callable[..., Any]) -> None:
    with started("--auth", "ada:secret") as (process, address):
        assert status(address + "config") == 401
        process.terminate()
        assert process.wait(timeout=120) == 0


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = f"cannot listen on port {port} of 127.0.0.1: Address already in use. Choose another with --port"
        with pytest.raises(UsageError, match=message):
            run("--port", str(port))


@pytest.mark.parametrize("auth", ["ada", "ada:", ":secret"])
def test_half_a_credential_is_refused(auth: str) -> None:
    with pytest.raises(UsageError, match="--auth must be USER:PASSWORD"):
        run("--auth", auth)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_a_host_that_is_not_ours_is_a_clear_error(host: str) -> None:
    with pytest.raises(UsageError, match=host):
        run("--host", host)


def test_without_gradio_it_says_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[demos\]'") as caught:
        run()
    assert caught.value.exit_code == 3


def test_the_package_itself_is_light() -> None:
    heavy = "gradio openvino onnxruntime torch sklearn pandas scipy"
    code = f"import sys, demos, demos.library; print([m for m in '{heavy}'.split() if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
