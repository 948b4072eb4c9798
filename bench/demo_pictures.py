"""The README's pictures of the pages, rendered from the pages themselves: ``python bench/demo_pictures.py``.

Needs the extras ``demos`` and ``dev``, a Chromium (``TRIPTYCH_CHROMIUM`` names one that is not on the path) and, for
the first page, matplotlib, whose sample portrait of Grace Hopper is of the public domain. Each picture is 1280 pixels
wide, in WebP, and at most 150 kB.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from demos.app import running

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
LARGEST = 150_000
HEIGHT = 800
SCROLLED = {"ask": 440}
"""Pixels by which a page is moved up before it is taken, so that the answer is in sight."""


def says(page: Any, pattern: str) -> None:
    page.locator(".prose.says:visible", has_text=re.compile(pattern)).wait_for(timeout=120_000)


def detect(page: Any) -> None:
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    portrait = Path(spec.origin).parent / "mpl-data/sample_data/grace_hopper.jpg"
    page.get_by_test_id("file-upload").first.set_input_files(str(portrait))
    says(page, r"person.* ms")
    page.get_by_alt_text("The picture with a box around each thing found").wait_for()


def ask(page: Any) -> None:
    page.locator(".gallery-item, .gallery button, tr.tr-body").nth(3).click()
    page.get_by_alt_text(re.compile("^Page 2 of")).first.wait_for(timeout=120_000)


def recommend(page: Any) -> None:
    says(page, "What most readers read")
    page.get_by_role("button", name="Castles at night").click()
    says(page, "For a reader of Dracula")


def experiments(page: Any) -> None:
    page.get_by_role("tab", name="Peek").click()
    says(page, "wrongly call a difference")


PAGES = {"detect": detect, "ask": ask, "recommend": recommend, "experiments": experiments}


def smallest(png: bytes) -> bytes:
    """The picture as WebP, as good as fits."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in (90, 80, 70, 60):
        packed = io.BytesIO()
        picture.save(packed, "WEBP", quality=quality, method=6)
        if len(packed.getvalue()) <= LARGEST:
            return packed.getvalue()
    raise SystemExit(f"the picture must have at most {LARGEST} bytes. It has {len(packed.getvalue())} at quality 60")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("pages", nargs="*", default=list(PAGES), help=f"of {', '.join(PAGES)}")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = os.environ.get("TRIPTYCH_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)))
    with running() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name in arguments.pages:
            page = browser.new_page(viewport={"width": 1280, "height": HEIGHT})
            page.goto(f"{address}{name}?__theme=light")
            page.locator("h1").wait_for()
            PAGES[name](page)
            page.mouse.move(0, 0)
            page.get_by_test_id("toast-body").wait_for(state="detached", timeout=30_000)
            page.wait_for_timeout(2_000)  # plots are drawn
            page.evaluate("down => window.scrollTo(0, down)", SCROLLED.get(name, 0))
            target = arguments.out / f"{name}.webp"
            target.write_bytes(smallest(page.screenshot()))
            print(f"{target}: {target.stat().st_size:,} bytes")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
