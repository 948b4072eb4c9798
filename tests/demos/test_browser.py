"""Every page, driven in a headless Chromium as a visitor would."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from demos.app import JOBS

pytestmark = pytest.mark.browser
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PAGES = ("", *(job.PAGE.path for job in JOBS))


def example(page: Any, number: int = 0) -> Any:
    return page.locator(".gallery-item, .gallery button, tr.tr-body").nth(number)


def says(page: Any, pattern: str) -> None:
    page.locator(".prose.says", has_text=re.compile(pattern)).wait_for(timeout=300_000)


def begins(page: Any, told: str) -> None:
    page.wait_for_function("told => document.querySelector('.prose.says').innerText.trim().startsWith(told)", arg=told)


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


BAD = {
    "letter": (
        lambda good: b"This is a letter, not a picture.\n" * 40,
        r"must be one of JPEG.*letter\.jpg begins with",
    ),
    "half": (lambda good: good[: len(good) // 2], "cannot be decoded.*truncated"),
    "large": (lambda good: good + bytes(21_000_000), r"exceed the maximum allowed size of 20.*large\.jpg"),
    "empty": (lambda good: b"", r"empty\.jpg.*0 bytes"),
}


UNNAMED = """() => [...document.querySelectorAll('input:not([type=hidden]), textarea, select')].filter(e =>
    !e.labels?.length && !e.ariaLabel && !e.getAttribute('aria-labelledby') && !e.title
    && e.type !== 'file').map(e => e.outerHTML)"""
NAMED_PICTURES = "[...document.querySelectorAll('.gallery-item img')].every(image => image.alt)"


@pytest.mark.parametrize(("size", "dark"), [("desktop", False), ("phone", True)], ids=str)
def test_every_page_opens_by_its_address_fits_names_what_it_has_and_calls_no_other_host(
    visit: Callable[..., Any], look: Callable[[Any, str], None], size: str, dark: bool
) -> None:
    """In the other colours too, in which a page is only opened anew where it shall be looked at."""
    found = visit(*SIZES[size], fresh=True)
    for path in PAGES:
        page = found.open(path, dark=dark)
        found.settled()
        assert page.locator("h1").all_inner_texts() == [path.capitalize() or "Triptych"]
        assert page.evaluate(UNNAMED) == []
        page.wait_for_function(NAMED_PICTURES)
        for colours in (dark, not dark):
            if colours != dark and os.environ.get("TRIPTYCH_SCREENSHOTS"):
                found.open(path, dark=colours)
                found.settled()
            found.recolour(dark=colours)
            assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
            if colours == dark or os.environ.get("TRIPTYCH_SCREENSHOTS"):
                look(page, f"{path or 'home'}-{size}-{'dark' if colours else 'light'}")
    found.assert_well_behaved()


def test_home_leads_to_every_page_and_tells_of_every_model(visit: Callable[..., Any]) -> None:
    found = visit()
    page = found.open("")
    for name in (
        "Classify",
        "Detect",
        "Segment",
        "Faces",
        "Text",
        "Entities",
        "Translate",
        "Ask",
        "Recommend",
        "Compare",
        "Experiments",
        "Drift",
    ):
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
    says(page, "What most readers read.*the history is empty")
    ranked = page.locator(".facts", has_text="Read next")
    popular = ranked.inner_text()
    example(page).click()
    says(page, "For a reader of Dracula, Frankenstein and Carmilla")
    gothic = ranked.inner_text()
    assert gothic != popular
    assert re.search(r"because you liked .*(Dracula|Frankenstein|Carmilla) \(\d+%\)", gothic)
    page.locator(".facts", has_text="Like Carmilla").wait_for()
    ranked.get_by_role("link").first.press("Enter")
    title = ranked.get_by_role("link").first.inner_text()
    page.locator(".facts", has_text=f"Like {title}").wait_for()
    page.get_by_label("Nearest neighbours").check()
    page.wait_for_function("before => !document.body.innerText.includes(before)", arg=gothic)
    box = page.get_by_label("Books that you like")
    box.click()
    box.fill("emma")
    page.get_by_role("option", name="Emma").click()
    says(page, "Carmilla and Emma")
    found.assert_well_behaved()


def test_a_list_is_varied_and_a_new_book_is_placed(visit: Callable[..., Any]) -> None:
    found = visit()
    page = found.open("recommend")
    example(page).click()
    says(page, "For a reader of Dracula")
    number = page.get_by_role("spinbutton", name=re.compile("Diversity"))
    number.fill("0.6")
    number.press("Enter")
    says(page, r"diversified, relevance 0\.4")
    page.get_by_text("A new book, in your words").click()
    page.get_by_label("What the book is about").fill("A ghost in a castle, and a family with a secret")
    page.get_by_role("table", name=re.compile("Books like it")).get_by_role("link").first.wait_for()
    found.assert_well_behaved()


def test_a_visitors_own_ratings_take_the_place_of_the_books(
    visit: Callable[..., Any], look: Callable[[Any, str], None], tmp_path: Path
) -> None:
    rows = [f"u{user},m{item},{5 if (user + item) % 2 else 4}" for user in range(30) for item in range(user % 5, 12, 2)]
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n" + "\n".join(rows))
    (tmp_path / "movies.csv").write_text("movieId,title\n" + "".join(f"m{at},Film {at:02}\n" for at in range(12)))
    (tmp_path / "letter.csv").write_text("Dear all")
    found = visit()
    page = found.open("recommend")
    says(page, "What most readers read")
    page.get_by_text("Your own ratings instead").click()
    files = page.get_by_test_id("file-upload")
    files.nth(1).set_input_files(str(tmp_path / "movies.csv"))
    says(page, "Now choose the ratings too")
    files.nth(0).set_input_files(str(tmp_path / "letter.csv"))
    message(page, r"letter\.csv.*Expected here: a table in UTF-8 of user, item and rating")
    says(page, "Not read: the message says why")
    page.get_by_label("Remove").or_(page.get_by_label("Clear")).first.click()
    files.first.set_input_files(str(tmp_path / "ratings.csv"))
    says(page, "likes of 30 people and 12 items, read and fitted in")
    says(page, "What most people like")
    box = page.get_by_label("What you like")
    box.click()
    box.fill("Film 03")
    page.get_by_role("option", name="Film 03").click()
    says(page, "For a reader of Film 03")
    look(page, "own-ratings")
    page.get_by_label("Remove").or_(page.get_by_label("Clear")).last.click()
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
    page.get_by_text("Use it elsewhere" if path == "classify" else "The result as JSON").click()
    if path == "classify":
        page.get_by_role("tab", name="JSON").click()
    page.get_by_text("Classification" if path == "classify" else "Detections").first.wait_for()
    found.assert_well_behaved()


@pytest.mark.weights
@pytest.mark.parametrize(
    ("path", "kinds"),
    [("classify", BAD), ("detect", ["half"]), ("segment", ["letter"]), ("faces", ["empty"])],
    ids=["classify", "detect", "segment", "faces"],
)
def test_bad_uploads_are_answered_in_plain_words(
    visit: Callable[..., Any], tmp_path: Path, china: bytes, path: str, kinds: list[str]
) -> None:
    found = visit()
    for name, (spoil, expected) in ((kind, BAD[kind]) for kind in kinds):
        page = found.open(path)
        (tmp_path / f"{name}.jpg").write_bytes(spoil(china))
        page.get_by_test_id("file-upload").first.set_input_files(str(tmp_path / f"{name}.jpg"))
        message(page, expected)
        told = page.get_by_test_id("toast-body").all_inner_texts()
        assert not any(riddle in text for text in told for riddle in ("Traceback", "PIL", "/tmp", "gradio"))
        assert not re.search(r"\d ms", page.locator(".prose.says").inner_text())
        found.settled()


@pytest.mark.weights
def test_score_and_classes_filter_without_another_run(visit: Callable[..., Any], street_photo: Path) -> None:
    found = visit()
    page = found.open("detect")
    ran: list[int] = []
    page.on(
        "request",
        lambda request: "/queue/join" in request.url and ran.append(request.post_data_json["fn_index"]),
    )
    upload(page, street_photo)
    says(page, r"[34] × person.*1 × bus")
    detect, told = ran[0], page.locator(".prose.says").inner_text()
    number = page.get_by_role("spinbutton", name="Least score").or_(page.locator("input[type=number]")).first
    rows = page.locator(".facts", has_text="Boxes").locator("tbody tr")
    assert rows.count() >= 4
    box = page.get_by_label("Show only")
    box.click()
    page.get_by_role("option", name="bus").click()
    begins(page, "1 × bus")
    assert rows.count() == 1
    number.fill("0.95")
    number.press("Enter")
    says(page, "Nothing scores that much")
    number.fill("0.05")
    number.press("Enter")
    page.wait_for_function("document.querySelector('.prose.says').innerText.includes('bus')")
    assert ran.count(detect) == 1
    assert len(ran) >= 4
    took = re.search(r"· (\d+ ms)", told)
    assert took is not None
    assert took[1] in page.locator(".prose.says").inner_text()
    found.assert_well_behaved()


@pytest.mark.weights
def test_text_is_told_by_heads_and_by_labels_of_ones_own(visit: Callable[..., Any]) -> None:
    found = visit()
    page = found.open("text")
    assert not page.get_by_label("Your labels").is_visible()
    page.get_by_role("button", name="A loud film").click()
    says(page, r"negative.*\d+% sure")
    page.get_by_text("Which words spoke for it").wait_for()
    page.get_by_text("noise", exact=True).wait_for()
    page.get_by_label("Text", exact=True).fill("The striker scored twice in the second half.")
    page.get_by_label("Topic").check()
    page.get_by_role("button", name="Tell").click()
    says(page, "Sports")
    page.get_by_label("My own labels").check()
    page.get_by_label("Your labels").fill("cooking, football")
    page.get_by_role("button", name="Tell").click()
    says(page, "football")
    page.get_by_label("Your labels").fill("football")
    page.get_by_role("button", name="Tell").click()
    message(page, "2 to 20 different labels")
    says(page, "No answer to this one")
    found.assert_well_behaved()


@pytest.mark.weights
def test_a_street_photo_is_segmented_and_cut_out(
    visit: Callable[..., Any], look: Callable[[Any, str], None], street_photo: Path
) -> None:
    found = visit()
    page = found.open("segment")
    upload(page, street_photo)
    says(page, r"bus \d+%.* of the picture · \d+ ms")
    page.locator(".facts", has_text="Areas").get_by_role("row", name="person").wait_for()
    page.get_by_alt_text("The picture with a colour on each segment, or the foreground cut out").wait_for()
    look(page, "segmented")
    page.get_by_label("The foreground").check()
    says(page, r"foreground \d+%")
    look(page, "cut-out")
    clicks = page.get_by_label("What I click on")
    if clicks.count():
        clicks.check()
        says(page, "Now click on a thing")
        picture = page.get_by_alt_text("The picture you chose").first
        box = picture.bounding_box()
        picture.click(position={"x": box["width"] / 2, "y": box["height"] * 0.45})
        says(page, r"thing (\d+|less than 1)% of the picture")
        look(page, "clicked")
    found.assert_well_behaved()


@pytest.mark.weights
def test_a_street_photo_shows_people_and_a_bus(
    visit: Callable[..., Any], look: Callable[[Any, str], None], street_photo: Path
) -> None:
    found = visit()
    page = found.open("detect")
    upload(page, street_photo)
    says(page, r"[34] × person.*1 × bus")
    page.get_by_alt_text("The picture with a box around each thing found").wait_for()
    look(page, "street")
    found.assert_well_behaved()
