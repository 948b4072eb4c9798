"""Seconds from the start of ``triptych demo`` to a page that can be operated, and from a click to the first detection.

A headless Chromium is the visitor. The detector's weights must be on the disk (``triptych models fetch``); nothing is
loaded before the click. Bounds: 5 s and 3 s on two idle cores. Processor seconds are the server's own and hardly feel
what else the machine does.
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
            return {
                "serving": served,
                "interactive": interactive,
                "interactive_processor": spent,
                "first_detection": time.perf_counter() - clicked,
                "first_detection_processor": _processor(server) - spent,
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
    print(json.dumps({name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}))
    print(json.dumps({"runs": arguments.runs, "load": os.getloadavg(), "processors": os.cpu_count()}))


if __name__ == "__main__":
    main()
