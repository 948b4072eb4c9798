"""The application in a thread, and a headless Chromium that reports every request and every console line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-pings")


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    from demos.app import running

    with running() as where:
        yield where


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    from gradio_client import Client

    with Client(address, verbose=False) as found:
        yield found


@dataclass
class Visit:
    """One open page and what it did."""

    page: Any
    address: str
    hosts: set[str] = field(default_factory=set)
    console: list[str] = field(default_factory=list)

    def open(self, path: str, *, dark: bool = False) -> Any:
        self.page.goto(f"{self.address.rstrip('/')}/{path}?__theme={'dark' if dark else 'light'}")
        self.page.locator("h1").wait_for()
        return self.page

    def assert_well_behaved(self) -> None:
        assert self.hosts <= {"127.0.0.1", "localhost"}
        assert self.console == []


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
    path = os.environ.get("TRIPTYCH_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(CHROMIUM)} is on the path; name one with TRIPTYCH_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, address: str) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def begin(width: int = 1280, height: int = 900) -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        found = Visit(context.new_page(), address)
        found.page.on("request", lambda request: found.hosts.add(urlsplit(request.url).hostname or "local"))
        found.page.on("console", lambda line: line.type == "error" and found.console.append(line.text))
        found.page.on("pageerror", lambda error: found.console.append(str(error)))
        return found

    yield begin
    for context in contexts:
        context.close()


@pytest.fixture
def look(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any, str], Path]:
    """Take a full screenshot, into ``TRIPTYCH_SCREENSHOTS`` where that is set."""
    named = os.environ.get("TRIPTYCH_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")

    def take(page: Any, name: str) -> Path:
        path = folder / f"{name}.png"
        page.screenshot(path=path, full_page=True)
        return path

    return take
