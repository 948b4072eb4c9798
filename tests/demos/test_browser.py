"""Every page, driven in a headless Chromium as a visitor would."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

pytestmark = pytest.mark.browser
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PAGES = ("", "classify", "detect", "text", "recommend")


def example(page: Any, number: int = 0) -> Any:
    return page.locator(".gallery-item, .gallery button, tr.tr-body").nth(number)


def says(page: Any, pattern: str) -> None:
    page.locator(".says", has_text=re.compile(pattern)).wait_for(timeout=90_000)


def message(page: Any, pattern: str) -> None:
    page.get_by_test_id("toast-body").filter(has_text=re.compile(pattern)).first.wait_for()


def upload(page: Any, path: Path) -> None:
    page.get_by_test_id("file-upload").set_input_files(str(path))


@pytest.fixture(scope="session")
def china() -> bytes:
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "datasets/images/china.jpg").read_bytes()


@pytest.fixture(params=["text", "cut", "large"])
def bad_picture(request: pytest.FixtureRequest, tmp_path: Path, china: bytes) -> tuple[Path, str]:
    content, expected = {
        "text": (b"This is a letter, not a picture.\n" * 40, "holiday.jpg"),
        "cut": (china[: len(china) // 2], "holiday.jpg"),
        "large": (china + bytes(21_000_000), "exceed the maximum allowed size of 20"),
    }[request.param]
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    return path, expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_and_calls_no_other_host(visit: Callable[..., Any], path: str, size: str) -> None:
    found = visit(*SIZES[size])
    page = found.open(path)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert page.locator("h1").count() == 1
    found.assert_well_behaved()


def test_everything_that_is_operated_has_a_name(visit: Callable[..., Any]) -> None:
    for path in PAGES[1:]:
        page = visit().open(path)
        page.wait_for_load_state("networkidle")
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll('input:not([type=hidden]), textarea, select')].filter(e =>
                 !e.labels?.length && !e.ariaLabel && !e.getAttribute('aria-labelledby') && !e.title
                 && e.type !== 'file').map(e => e.outerHTML)"""
        )
        assert unnamed == []


def test_home_leads_to_every_page_and_tells_of_every_model(visit: Callable[..., Any]) -> None:
    found = visit()
    page = found.open("")
    for name in ("Classify", "Detect", "Text", "Recommend"):
        assert page.locator(".facts").get_by_role("link", name=name).count() == 1
    table = page.locator(".facts", has_text="What is loaded")
    assert table.get_by_role("row").count() >= 7
    assert "Apache-2.0" in table.inner_text()
    page.locator(".facts").get_by_role("link", name="Recommend").click()
    page.get_by_role("heading", name="Recommend").wait_for()
    says(page, "What most readers read")
    page.get_by_role("link", name="Home").click()
    page.locator(".facts", has_text="What is loaded").get_by_role("row", name="ease-books").get_by_text(
        "loaded", exact=True
    ).wait_for()
    found.assert_well_behaved()


def test_recommendations_follow_the_picks(visit: Callable[..., Any]) -> None:
    found = visit()
    page = found.open("recommend")
    says(page, "What most readers read.*popular: the history is empty")
    ranked = page.locator(".facts", has_text="Read next")
    popular = ranked.inner_text()
    example(page).click()
    says(page, "For a reader of Dracula, Frankenstein and Carmilla.*fold-in")
    gothic = ranked.inner_text()
    assert gothic != popular
    assert "liked by readers of" in gothic
    page.locator(".facts", has_text="Like Carmilla").wait_for()
    page.get_by_label("Nearest neighbours").check()
    page.wait_for_function("before => !document.body.innerText.includes(before)", arg=gothic)
    box = page.get_by_label("Books that you like")
    box.click()
    box.fill("emma")
    page.get_by_role("option", name="Emma").click()
    says(page, "Carmilla and Emma")
    found.assert_well_behaved()


@pytest.mark.weights
@pytest.mark.parametrize(("path", "answer"), [("classify", r"\d+% sure · \d+ ms"), ("detect", r"\d × \w+.* · \d+ ms")])
def test_an_example_and_an_upload_are_answered(
    visit: Callable[..., Any], tmp_path: Path, china: bytes, path: str, answer: str
) -> None:
    found = visit()
    page = found.open(path)
    example(page).click()
    says(page, answer)
    page.get_by_label("Remove Image").or_(page.get_by_label("Clear")).first.click()
    says(page, "Choose a picture")
    (tmp_path / "my picture.jpg").write_bytes(china)
    upload(page, tmp_path / "my picture.jpg")
    says(page, r"\d+ ms" if path == "detect" else answer)
    page.get_by_text("The result as JSON").click()
    page.get_by_text("Classification" if path == "classify" else "Detections").first.wait_for()
    found.assert_well_behaved()


@pytest.mark.weights
@pytest.mark.parametrize("path", ["classify", "detect"])
def test_a_bad_upload_is_answered_in_plain_words(
    visit: Callable[..., Any], bad_picture: tuple[Path, str], path: str
) -> None:
    file, expected = bad_picture
    page = visit().open(path)
    upload(page, file)
    message(page, expected)
    shown = page.locator("body").inner_text()
    for riddle in ("Traceback", "PIL", "/tmp", "gradio"):
        assert riddle not in page.get_by_test_id("toast-body").first.inner_text()
    assert "% sure" not in shown
