"""The pages beside the service: ``triptych serve --ui`` as a real process, with keys."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")
pytest.importorskip("uvloop", reason="the service needs the extra 'serve'")

import httpx
from gradio_client import Client

from shared.errors import UsageError
from shared.serving import Config
from shared.serving.config_file import parse_config

KEY = "k" * 20
Served = tuple[subprocess.Popen[str], str, Path]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The process, its address, and the folder in which it keeps what is temporary."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "keys.txt").write_text(f"ann {KEY}\n")
    words = ["serve", "nlp.classification=language-id", "--port", "0", "--ui", "--rate", "5"]
    code = "from shared.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words, "--api-key-file", str(folder / "keys.txt")],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    ) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"answers at (http://\S+)", process.stderr.readline())
            assert found is not None
            assert process.stderr.readline() == f"The pages stand at {found[1]}/ui\n"
            until = time.monotonic() + 180
            with httpx.Client(base_url=found[1], timeout=60) as client:
                while True:
                    with contextlib.suppress(httpx.ConnectError):  # the address is said before it is listened on
                        if client.get("/readyz").status_code == 200:
                            break
                    assert process.poll() is None, process.stderr.read()
                    assert time.monotonic() < until, "it does not become ready"
                    time.sleep(0.05)
            yield process, found[1], folder
        finally:
            process.kill()
            process.wait(120)


@pytest.mark.weights
def test_keys_of_the_service_open_the_pages(served: Served) -> None:
    _, url, _ = served
    with httpx.Client(base_url=url, follow_redirects=True, timeout=60) as stranger:
        assert "gradio_config" in stranger.get("/ui").text  # the form that asks who it is
        assert [stranger.get(f"/ui/{path}").status_code for path in ("config", "gradio_api/info")] == [401, 401]
        assert stranger.post("/ui/gradio_api/upload", files={"files": b"x"}).status_code == 401
        given = [("ann", "x" * 20), ("bob", KEY), ("", KEY)]
        tried = [stranger.post("/ui/login", data={"username": user, "password": key}) for user, key in given]
        assert not any(one.is_success for one in tried)
        asked = {"json": {"item": "Bonjour tout le monde"}}
        assert stranger.post("/v1/tasks/nlp.classification", **asked).status_code == 401
        known = stranger.post("/v1/tasks/nlp.classification", **asked, headers={"x-api-key": KEY})
        assert known.json()["result"]["labels"][0] == "fr"
    client = Client(f"{url}/ui/", auth=("ann", KEY), verbose=False, httpx_kwargs={"timeout": 120})
    assert client.predict(["emma"], "EASE", api_name="/recommend")[0]["reason"] == "fold-in"
    client.close()


@pytest.mark.weights
@pytest.mark.browser
def test_a_visitor_works_under_the_path_and_the_server_still_stops(served: Served, chromium: Any) -> None:
    process, url, folder = served
    page = chromium.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{url}/ui/recommend")
    page.get_by_label("username").fill("ann")
    page.get_by_label("password").fill(KEY)
    page.get_by_role("button", name="Login").click()
    page.locator(".prose.says", has_text="What most readers read").wait_for()
    page.get_by_role("link", name="Text").click()
    page.get_by_role("heading", name="Text", level=1).wait_for()
    assert page.url.split("?")[0].rstrip("/") == f"{url}/ui/text"
    page.get_by_label("Text", exact=True).fill("A warm film.")
    page.get_by_role("button", name="Tell").click()
    page.locator(".prose.says", has_text="positive").wait_for()
    page.get_by_role("button", name="Use it elsewhere").click()
    page.get_by_role("tab", name="curl, here").click()
    page.locator(".listing textarea:visible").wait_for()
    assert f" {url}/ui/gradio_api/call/text " in page.locator(".listing textarea:visible").input_value()
    assert list(folder.glob("triptych-demo-*"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    assert not list(folder.glob("triptych-demo-*"))
    assert process.stderr is not None
    assert not re.search("Traceback|ASGI", process.stderr.read())
    page.close()


@pytest.mark.parametrize("path", ["ui", "/ui/", "/", "/v1/ui"])
def test_a_path_that_cannot_be(path: str) -> None:
    with pytest.raises(UsageError, match="must begin with a slash"):
        Config(ui=path)


def test_pages_need_one_process() -> None:
    assert parse_config('[server]\nui = "/pages"').ui == "/pages"
    with pytest.raises(UsageError, match="in one process"):
        Config(ui="/ui", workers=2)
