"""Memory of ``triptych demo`` while two visitors click through all pages for as long as you say.

Each visitor is a headless Chromium that first takes a tour (every page, every choice on it and every model, with its
first example) and then does what comes to its mind, from a seed: examples, sliders, choices, models, buttons, tabs,
texts, good and bad uploads.
The figure is the server's resident memory at the end beside that after five minutes, or after the tours where they last
longer, since whatever model a visitor asks for is opened then. Bound: 1.10. The median and the most of all looks since
then, one each ten seconds, stand beside it.

Weights that are not on the disk are fetched; set TRIPTYCH_OFFLINE=1 to let such models refuse.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Error, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
EXAMPLES = ".gallery-item, .gallery button, button.gallery-item, tr.tr-body"
PICKER = "input[aria-label='Model']:visible"
OPTION = "ul[role=listbox] li[role=option]"
SETTLED = """() => {
  const busy = [...document.querySelectorAll('.progress-text, .eta-bar, .generating')];
  return busy.every(one => !one.checkVisibility({opacityProperty: true, visibilityProperty: true}));
}"""
TEXTS = (
    "Ada Lovelace wrote the first program in London, and Charles Babbage answered her by post.",
    "The central bank held its rate as inflation slowed.",
    "Where is the summit?",
    "sports, finance, weather",
    "",
)


class Visitor(threading.Thread):
    """One browser that clicks until the time is over."""

    def __init__(self, address: str, seed: int, until: float, files: dict[str, list[Path]]) -> None:
        super().__init__()
        self.address, self.until, self.files = address, until, files
        self.rng = random.Random(seed)
        self.toured = threading.Event()
        self.did: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()

    def run(self) -> None:
        path = os.environ.get("TRIPTYCH_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(30_000)
            page.on("pageerror", lambda error: self.wrong.update([str(error)[:120]]))
            page.goto(self.address)
            links = page.locator(".facts th a")
            links.first.wait_for(timeout=60_000)
            paths = [name for link in links.all() if (name := link.get_attribute("href"))]
            for path in paths:
                self.tour(page, path)
            self.toured.set()
            while time.monotonic() < self.until:
                self.open(page, self.rng.choice(["", *paths]))
                for _ in range(self.rng.randint(2, 8)):
                    self.act(page)
            browser.close()

    def open(self, page: Any, path: str) -> None:
        self.attempt("open", lambda: (page.goto(f"{self.address}{path}"), page.locator("h1").wait_for()))
        page.wait_for_timeout(500)
        self.did[f"page {path or 'home'}"] += 1

    def tour(self, page: Any, path: str) -> None:
        self.open(page, path)
        choices = page.locator("input[type=radio]")
        for number in range(max(1, choices.count())):
            if choices.count() > number and choices.nth(number).is_visible():
                self.attempt("choose", lambda number=number: choices.nth(number).check())  # type: ignore[misc]
            for model in range(max(1, self.models(page))):
                self.pick(page, model)
                example = page.locator(EXAMPLES).first
                if example.count() and example.is_visible():
                    self.attempt("example", example.click)
                    for button in page.locator("button.primary:visible").all()[:1]:
                        self.attempt("button", button.click)
                self.settle(page)

    def models(self, page: Any) -> int:
        """How many models the page offers."""
        picker = page.locator(PICKER).first
        if not picker.count():
            return 0
        self.attempt("look at models", picker.click)
        count = int(page.locator(OPTION).count())
        picker.blur()
        return count

    def pick(self, page: Any, number: int | None = None) -> None:
        """Choose a model, any where no number is given."""
        picker = page.locator(PICKER).first
        if not picker.count():
            return
        self.attempt("look at models", picker.click)
        offered = page.locator(OPTION)
        at = self.rng.randrange(max(1, offered.count())) if number is None else number
        self.attempt("model", lambda: offered.nth(at).click(timeout=3_000))

    def act(self, page: Any) -> None:
        kinds = {
            "example": EXAMPLES,
            "slider": "input[type=number]:visible",
            "choice": "input[type=radio]:visible, input[type=checkbox]:visible",
            "button": "button.primary:visible, button.secondary:visible, button.small:visible",
            "tab": "button[role=tab]:visible",
            "text": "textarea:visible:not([disabled]), input[type=text]:visible:not([disabled])",
            "upload": "input[type=file]",
        }
        kind = self.rng.choice([*kinds, "model"])
        if kind == "model":
            self.pick(page)
            self.settle(page)
            return
        found = page.locator(kinds[kind])
        count = found.count()
        if not count:
            return
        one = found.nth(self.rng.randrange(count))
        if kind == "slider":
            low, high = (float(one.get_attribute(name) or word) for name, word in (("min", 1), ("max", 20)))
            self.attempt(kind, lambda: one.fill(f"{self.rng.uniform(low, min(high, 10_000)):.2f}"))
        elif kind == "text":
            self.attempt(kind, lambda: one.fill(self.rng.choice(TEXTS)))
        elif kind == "upload":
            accepted = one.get_attribute("accept") or ""
            fit = "image" if "image" in accepted else "csv" if "csv" in accepted else "text"
            self.attempt(kind, lambda: one.set_input_files(str(self.rng.choice(self.files[fit]))))
        else:
            self.attempt(kind, lambda: one.click(timeout=3_000))
        self.settle(page)

    def attempt(self, kind: str, what: Any) -> None:
        try:
            what()
            self.did[kind] += 1
        except Error as error:
            self.wrong[f"{kind}: {str(error).splitlines()[0][:60]}"] += 1

    def settle(self, page: Any) -> None:
        page.wait_for_timeout(self.rng.randint(200, 900))
        try:
            page.wait_for_function(SETTLED, timeout=60_000)
        except Error:
            self.wrong["not settled"] += 1


def uploads(folder: Path) -> dict[str, list[Path]]:
    """Files to upload by what a page accepts, a bad one among each."""
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    pictures = [Path(spec.origin).parent / "datasets/images" / name for name in ("china.jpg", "flower.jpg")]
    (folder / "letter.jpg").write_text("Dear all, this is no picture.")
    (folder / "half.jpg").write_bytes(pictures[0].read_bytes()[:30_000])
    (folder / "notes.md").write_text("# Alps\n\nThe Eiger's summit is 3,967 m high.\n" * 20)
    rows = [f"{n},{'ab'[n % 2]},{n % 7}" for n in range(500)]
    (folder / "shop.csv").write_text("unit,arm,spend\n" + "\n".join(rows))
    (folder / "reviews.csv").write_text(
        "text,label\n" + "A joy from start to end.,positive\nLoud and empty.,negative\n" * 8
    )
    (folder / "bad.csv").write_text("Dear all")
    tables = [folder / name for name in ("shop.csv", "reviews.csv", "bad.csv")]
    return {
        "image": [*pictures, folder / "letter.jpg", folder / "half.jpg"],
        "csv": tables,
        "text": [folder / "notes.md", *tables],
    }


def megabytes(process: psutil.Process) -> float:
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    command = [sys.executable, "-c", "from shared.cli.main import main; main()", "demo", "--port", "0"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            found = re.search(r"answers at (http://\S+)", process.stdout.readline())
            assert found is not None
            server, begun = psutil.Process(process.pid), time.monotonic()
            until, files = begun + 60 * arguments.minutes, uploads(Path(folder))
            visitors = [Visitor(found[1], arguments.seed + n, until, files) for n in range(arguments.sessions)]
            for visitor in visitors:
                visitor.start()
            first, memory, later = None, 0.0, []
            while any(visitor.is_alive() for visitor in visitors):
                time.sleep(10)
                passed, memory = (time.monotonic() - begun) / 60, megabytes(server)
                if (
                    first is None
                    and passed >= min(5, arguments.minutes / 2)
                    and all(v.toured.is_set() for v in visitors)
                ):
                    first = (passed, memory)
                if first is not None:
                    later.append(memory)
                if int(passed) != int(passed - 1 / 6):
                    print(
                        json.dumps({"minute": round(passed, 1), "mb": round(memory), "threads": server.num_threads()})
                    )
                    sys.stdout.flush()
            assert first is not None, "the tours took longer than the time: give more minutes"
            did, wrong = sum((v.did for v in visitors), Counter()), sum((v.wrong for v in visitors), Counter())
            told = {"minutes": round(passed, 1), "from_minute": round(first[0], 1), "mb_then": round(first[1])}
            told |= {"mb_end": round(memory), "ratio": round(memory / first[1], 3)}
            told |= {"median_ratio": round(statistics.median(later) / first[1], 3)}
            told |= {"most_ratio": round(max(later) / first[1], 3), "did": did, "wrong": wrong}
            print(json.dumps(told))
        finally:
            process.terminate()
            process.wait(timeout=120)


if __name__ == "__main__":
    main()
