"""The command as a process, and a headless Chromium that reports every request and every console line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import demo_shell
import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
MOST_MS = 120_000
"""What a busy machine may take for what is waited for."""
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-pings")


Demo = tuple[subprocess.Popen[str], str]


@dataclass(frozen=True)
class Served:
    """The application that the tests share: its address, its temporary folder, and what it says of faults."""

    address: str
    folder: Path
    log: Path


@pytest.fixture(scope="session")
def started() -> Callable[..., Any]:
    """Start ``triptych demo`` with options and environment; gives the process and its address."""

    @contextmanager
    def start(*options: str, log: Path | None = None, **environment: str) -> Iterator[Demo]:
        command = [sys.executable, "-c", "from shared.cli.main import main; main()", "demo", "--port", "0", *options]
        with (
            nullcontext() if log is None else log.open("w") as stderr,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=os.environ | environment
            ) as process,
        ):
            try:
                assert process.stdout is not None
                found = re.search(r"answers at (http://\S+)", process.stdout.readline())
                assert found is not None
                yield process, found[1]
            finally:
                process.terminate()
                process.wait(timeout=120)

    return start


@pytest.fixture(scope="session")
def shared_app(started: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, log = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("log") / "stderr"
    with started(log=log, TMPDIR=str(folder)) as (_, where):
        yield Served(where, folder, log)


@pytest.fixture(scope="session")
def address(shared_app: Served) -> str:
    return shared_app.address


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[Any]:
    """One for all tests: to make one, every page's description is read. What they ask leaves no trace in it."""
    from gradio_client import Client

    found = Client(address, verbose=False, httpx_kwargs={"timeout": 120})
    yield found
    found.close()


@dataclass
class Visit:
    """One open page and what it did."""

    page: Any
    address: str
    hosts: set[str] = field(default_factory=set)
    console: list[str] = field(default_factory=list)
    under_way: set[Any] = field(default_factory=set)
    """Requests that are not answered yet, but for the one that stays open as long as a page does."""

    def open(self, path: str, *, dark: bool = False) -> Any:
        self.page.goto(f"{self.address.rstrip('/')}/{path}?__theme={'dark' if dark else 'light'}")
        self.page.locator("h1").wait_for()
        self.page.locator("footer").wait_for(state="attached")
        return self.page

    def recolour(self, *, dark: bool) -> None:
        """Show the page that is open in the other colours, as ``__theme`` does when a page is opened."""
        self.page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)

    def settled(self) -> None:
        """Wait until the page asks for nothing any more; whoever leaves before would break its requests off."""
        quiet, end = 0, time.monotonic() + 60
        while quiet < 5:
            assert time.monotonic() < end, [request.url for request in self.under_way]
            self.page.wait_for_timeout(30)
            quiet = 0 if self.under_way else quiet + 1

    def assert_well_behaved(self) -> None:
        self.settled()
        assert self.hosts <= {"127.0.0.1", "localhost"}
        assert self.console == []


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = os.environ.get("TRIPTYCH_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(CHROMIUM)} is on the path; name one with TRIPTYCH_CHROMIUM")
    return path


@pytest.fixture(scope="session")
def chromium(chromium_path: str) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browsing(chromium: Any) -> Iterator[Any]:
    """What visitors share: what the browser has fetched of the pages' own scripts, and nothing else that they keep."""
    context = chromium.new_context()
    context.set_default_timeout(MOST_MS)
    yield context
    context.close()


@pytest.fixture
def visit(chromium: Any, browsing: Any, address: str) -> Iterator[Callable[..., Visit]]:
    """Open a page of its own; with ``fresh`` in a browser that has fetched nothing yet."""
    opened = []

    def begin(width: int = 1280, height: int = 900, *, fresh: bool = False) -> Visit:
        context = chromium.new_context() if fresh else browsing
        page = context.new_page()
        page.set_default_timeout(MOST_MS)
        opened.append(context if fresh else page)
        page.set_viewport_size({"width": width, "height": height})
        found = Visit(page, address)
        page.on("request", lambda request: _began(found, request))
        for ended in ("requestfinished", "requestfailed"):
            page.on(ended, lambda request: _ended(found, request))
        page.on("console", lambda line: _is_fault(line) and found.console.append(line.text))
        page.on("pageerror", lambda error: found.console.append(str(error)))
        return found

    yield begin
    for one in opened:
        one.close()


def _ended(found: Visit, request: Any) -> None:
    found.under_way.discard(request)


def _began(found: Visit, request: Any) -> None:
    found.hosts.add(urlsplit(request.url).hostname or "local")
    if request.is_navigation_request():
        found.under_way.clear()  # nothing of the page before comes any more
    if "/heartbeat/" not in request.url:
        found.under_way.add(request)


def _is_fault(line: Any) -> bool:
    """Errors, but for Gradio's own two when an upload ends before its progress was asked for."""
    return line.type == "error" and "upload_progress" not in line.location["url"] and line.text != "Response"


@pytest.fixture
def look() -> Callable[[Any, str], None]:
    """Take a full screenshot into ``TRIPTYCH_SCREENSHOTS``; none where that is not set, for nobody would look at it."""
    named = os.environ.get("TRIPTYCH_SCREENSHOTS")

    def take(page: Any, name: str) -> None:
        if named:
            page.screenshot(path=Path(named) / f"{name}.png", full_page=True)

    return take


@pytest.fixture(scope="session")
def street_photo() -> Path:
    """A street with people and a bus, read out of the ultralytics wheel on the package index as out of an archive."""
    from shared.catalogue import ModelFile
    from shared.testing import fake_card
    from shared.weights import ensure

    file = ModelFile(
        "bus.jpg",
        137_419,
        "c02019c4979c191eb739ddd944445ef408dad5679acab6fd520ef9d434bfbc63",
        ("index:ultralytics==8.4.190/ultralytics/assets/bus.jpg",),
    )
    return ensure(fake_card(name="street-photo", files=(file,)), progress=False)["bus.jpg"]


@pytest.fixture(scope="session")
def two_men() -> Path:
    """Two men, read out of the ultralytics wheel on the package index as out of an archive."""
    from shared.catalogue import ModelFile
    from shared.testing import fake_card
    from shared.weights import ensure

    file = ModelFile(
        "zidane.jpg",
        50_427,
        "16d73869e3267a7d4ed00de8e860833bd1657c1b252e94c0c348277adc7b6edb",
        ("index:ultralytics==8.4.190/ultralytics/assets/zidane.jpg",),
    )
    return ensure(fake_card(name="two-men", files=(file,)), progress=False)["zidane.jpg"]


@pytest.fixture(scope="session")
def answers() -> Callable[..., tuple[list[Any], list[Any]]]:
    """Run what the pages show in a shell; see :func:`demo_shell.answers`."""
    return demo_shell.answers


BAD_ONES = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.filter(one => ["serious", "critical"].includes(one.impact)).flatMap(
    one => one.nodes.map(node => `${one.id}: ${node.html.slice(0, 160)} ${node.any.map(c => c.message).join("; ")}`));
}"""
CLEAR = """() => [...document.querySelectorAll(".facts, .prose")].every(shown => {
  for (let at = shown; at; at = at.parentElement) if (getComputedStyle(at).opacity < 1) return false;
  return true;
})"""
"""Nothing is faded any more: while it is, contrast is low."""


@pytest.fixture(scope="session")
def violations() -> Callable[[Any], list[str]]:
    """What axe-core, which a package carries, finds serious or critical in a page."""
    package = pytest.importorskip("axe_playwright_python.base", reason="axe-core comes with axe-playwright-python")

    def find(page: Any) -> list[str]:
        page.wait_for_function(CLEAR)
        if not page.evaluate("'axe' in window"):
            page.evaluate(str(package.AXE_SCRIPT))
        found: list[str] = page.evaluate(BAD_ONES)
        for _ in range(20):  # an example whose picture is just being fetched has no name for a moment
            if not found:
                break
            page.wait_for_timeout(500)
            found = page.evaluate(BAD_ONES)
        return found

    return find


@pytest.fixture
def in_both(violations: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """What is found in an open page, in light and in dark."""

    def find(found: Any) -> list[str]:
        told: list[str] = []
        for dark in (False, True):
            found.recolour(dark=dark)
            told += [f"{'dark' if dark else 'light'}: {one}" for one in violations(found.page)]
        return told

    return find
