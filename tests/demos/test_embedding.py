"""Pages inside other applications."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from fastapi import FastAPI

import demos
from demos.models import declare
from shared.errors import UnknownNameError, UsageError

DOCS = Path(__file__).parents[2] / "docs" / "demos.md"


@pytest.fixture(scope="module")
def mounted() -> Iterator[str]:
    """The example of docs/demos.md, served beside a route of its own, in a process as an application would be."""
    code = re.search(r"```python\n((?:(?!```).)*demos\.mount.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert code is not None
    more = """
import socket, uvicorn
assert "recommend" in {function.api_name for function in mine.fns.values()}
app.get("/healthz")(lambda: "ok")
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening])
"""
    with subprocess.Popen([sys.executable, "-c", code[1] + more], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, until = int(process.stdout.readline()), time.monotonic() + 120
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert process.poll() is None
                    assert time.monotonic() < until, "it does not listen"
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def test_pages_stand_under_a_path_beside_the_application_s_own(mounted: str) -> None:
    import httpx
    from gradio_client import Client

    for path in ("/ui/", "/ui/detect", "/ui/recommend", "/healthz"):
        assert httpx.get(mounted + path, follow_redirects=True, timeout=60).status_code == 200, path
    assert httpx.get(f"{mounted}/detect", timeout=60).status_code == 404
    client = Client(f"{mounted}/ui/", verbose=False, httpx_kwargs={"timeout": 120})
    assert client.predict(["emma"], "EASE", api_name="/recommend")[0]["reason"] == "fold-in"
    client.close()


@pytest.mark.browser
def test_links_and_requests_lead_under_the_path(mounted: str, chromium: Any) -> None:
    page = chromium.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{mounted}/ui")
    page.locator(".facts").get_by_role("link", name="Translate").click()
    page.get_by_role("heading", name="Translate", level=1).wait_for()
    assert page.url.split("?")[0].rstrip("/") == f"{mounted}/ui/translate"
    page.close()


def test_one_page_shares_the_models_that_are_given() -> None:
    models = declare()

    async def build() -> Any:  # inside a loop, since Gradio would make one and leave it open
        return demos.page("text", models=models)

    with ThreadPoolExecutor(1) as thread:
        page = thread.submit(lambda: asyncio.run(build())).result()
    assert "text" in {function.api_name for function in page.fns.values()}
    assert not any(model.opened for model in models.all())


def test_what_is_no_page_and_no_path() -> None:
    with pytest.raises(UnknownNameError, match=r"detect"):
        demos.page("detekt")
    for path in ("ui", "/ui/", "/"):
        with pytest.raises(UsageError, match="must begin with a slash"):
            demos.mount(FastAPI(), path)
