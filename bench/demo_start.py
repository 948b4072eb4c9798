"""Seconds from the start of ``triptych demo`` to a page that can be operated, from a click to the first detection, and
from a slider's move to other boxes, which no model is asked for.

A headless Chromium is the visitor. The detector's weights must be on the disk (``triptych models fetch``); nothing is
loaded before the click. Bounds: 5 s, 3 s and 0.1 s on two idle cores. Processor seconds are the server's own and hardly
feel what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import sync_playwright

MOVES = (0.05, 0.95) * 8
"""From nearly every box to none, so that each move changes what the page says."""
MOVED = """least => new Promise((done, fail) => {
  const line = document.querySelector(".prose.says"), slider = document.querySelector("input[type=range]");
  const seen = new MutationObserver(() => { seen.disconnect(); done((performance.now() - begun) / 1000); });
  setTimeout(() => fail(new Error("the page did not follow the slider")), 10000);
  seen.observe(line, { childList: true, characterData: true, subtree: true });
  const begun = performance.now();
  slider.value = least;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
})"""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def started(browser: Any, picture: Path) -> dict[str, float]:
    """One start, one page, one click."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", "from shared.cli.main import main; main()", "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"answers at (http://\S+)", process.stdout.readline())
            assert found is not None
            served, server = time.perf_counter() - begun, psutil.Process(process.pid)
            page = browser.new_page()
            page.goto(f"{found[1]}detect")
            box = page.get_by_test_id("file-upload")
            box.wait_for(state="attached")
            page.get_by_label("Least score").first.wait_for()
            interactive, spent = time.perf_counter() - begun, _processor(server)
            clicked = time.perf_counter()
            box.set_input_files(str(picture))
            page.locator(".prose.says", has_text=re.compile(r"\d+ ms")).wait_for(timeout=120_000)
            detected, spent_then = time.perf_counter() - clicked, _processor(server) - spent
            page.wait_for_timeout(500)
            moves = [page.evaluate(MOVED, least) for least in MOVES]
            return {
                "serving": served,
                "interactive": interactive,
                "interactive_processor": spent,
                "first_detection": detected,
                "first_detection_processor": spent_then,
                "slider": statistics.median(moves),
                "slider_worst": max(moves),
            }
        finally:
            process.terminate()
            process.wait(timeout=30)


def _processor(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    picture = Path(spec.origin).parent / "datasets/images/china.jpg"
    path = os.environ.get("TRIPTYCH_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        runs = [started(browser, picture) for _ in range(arguments.runs)]
        browser.close()
    print(json.dumps({name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}))
    print(json.dumps({"runs": arguments.runs, "load": os.getloadavg(), "processors": os.cpu_count()}))


if __name__ == "__main__":
    main()
