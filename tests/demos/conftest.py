"""The command as a process, and a headless Chromium that reports every request and every console line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
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

    def open(self, path: str, *, dark: bool = False) -> Any:
        self.page.goto(f"{self.address.rstrip('/')}/{path}?__theme={'dark' if dark else 'light'}")
        self.page.locator("h1").wait_for()
        self.page.locator("footer").wait_for(state="attached")
        return self.page

    def assert_well_behaved(self) -> None:
        self.page.wait_for_timeout(500)  # for what a page would still ask for when it seems done
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
        found.page.on("console", lambda line: _is_fault(line) and found.console.append(line.text))
        found.page.on("pageerror", lambda error: found.console.append(str(error)))
        return found

    yield begin
    for context in contexts:
        context.close()


def _is_fault(line: Any) -> bool:
    """Errors, but for Gradio's own two when an upload ends before its progress was asked for."""
    return line.type == "error" and "upload_progress" not in line.location["url"] and line.text != "Response"


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
        page.wait_for_function(CLEAR, timeout=10_000)
        page.evaluate(str(package.AXE_SCRIPT))
        found: list[str] = page.evaluate(BAD_ONES)
        if found:  # an example whose picture is just being fetched has no name for a moment
            page.wait_for_timeout(1000)
            found = page.evaluate(BAD_ONES)
        return found

    return find
