"""Clicks on the segmentation page, answered by a tiny model that marks what lies around the points."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")
pytest.importorskip("onnx", reason="the tiny graphs are written with onnx")

import gradio as gr
import tiny_segmenters as tiny
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import vision
from demos.choosing import Choice
from demos.opening import Model
from demos.segment import clicks
from demos.segment import page as segment
from demos.segment.clicks import CLICK, Clicked
from demos.segment.page import OVERLAY
from demos.segment.prompts import BESIDE, CORNER, ON, Asked, draw_prompts, read_prompts
from demos.sharing import to_service
from shared.errors import UsageError
from shared.testing import fake_card
from vision.segmentation.promptable import prompting_at_hand

# Gradio, served in this process, uses pandas as it was and leaves loops open.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize(
    ("clicks", "points", "on", "box", "whole"),
    [
        ([((5, 6), ON)], ((5, 6),), (True,), None, True),
        ([((5, 6), BESIDE)], ((5, 6),), (False,), None, False),
        ([((5, 6), ON), ((9, 9), BESIDE)], ((5, 6), (9, 9)), (True, False), None, True),
        ([((5, 6), CORNER)], (), (), None, False),
        ([((5, 60), CORNER), ((50, 6), CORNER)], (), (), (5, 6, 50, 60), True),
        ([((1, 2), CORNER), ((3, 4), CORNER), ((5, 6), CORNER)], (), (), None, False),
        ([((1, 2), CORNER), ((8, 9), ON), ((3, 4), CORNER)], ((8, 9),), (True,), (1, 2, 3, 4), True),
    ],
)
def test_clicks_add_up(clicks: list[Any], points: Any, on: Any, box: Any, whole: bool) -> None:
    asked = Asked()
    for at, meaning in clicks:
        asked = asked.clicked(at, meaning)
    assert (asked.points, asked.on, asked.box, asked.whole) == (points, on, box, whole)
    if whole:
        again = read_prompts(asked.to_text())
        assert (again.points, again.on, again.box) == (points, on, box)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("here", "must be JSON like"),
        ("[1, 2]", "must be JSON like"),
        ('{"points": [[1]]}', "must be JSON like"),
        ('{"points": [[1, 2]], "on": [true, false]}', "each with its 'on'"),
        ('{"box": [1, 2, 3]}', "x1, y1, x2, y2"),
        ('{"points": [[1, 2]], "on": [false]}', "a point on it or a box"),
        ("", "a point on it or a box"),
        ('{"points": ' + str([[1, 1]] * 51) + "}", "at most 50 points"),
    ],
)
def test_prompts_that_tell_nothing_are_refused(text: str, message: str) -> None:
    with pytest.raises(gr.Error, match=message):
        read_prompts(text)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model[Any]:
    folder = tiny.around_points(tmp_path_factory.mktemp("prompted"))
    return Model("Segment", fake_card(name="tiny-sam"), lambda: vision.promptable_segmenter(folder))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "blue.png"
    Image.new("RGB", (64, 64), "blue").save(path)
    return path


def test_a_picture_is_encoded_once_for_all_clicks(model: Model[Any], picture: Path) -> None:
    clicked = Clicked(model)
    photo = clicked.photo(picture)
    found, _ = clicked.segment(picture, Asked().clicked((20, 40), ON))
    assert clicked.photo(picture) is photo
    x1, y1, x2, y2 = found.xyxy[0].tolist()
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((20, 40), abs=3)
    boxed, _ = clicked.segment(picture, Asked(box=(30, 10, 50, 30)))
    assert boxed.areas[0] < found.areas[0]
    with pytest.raises(UsageError, match="points must lie in the picture"):
        clicked.segment(picture, Asked().clicked((200, 40), ON))


@pytest.fixture(scope="module")
def page(model: Model[Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models: Any = SimpleNamespace(segmenters={"Nothing": Choice({"tiny-sam": model})}, promptable=model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        with gr.Blocks() as app:
            segment.build(models)
        _, address, _ = app.launch(
            prevent_thread_lock=True, quiet=True, share=False, server_name="127.0.0.1", enable_monitoring=False
        )
        yield address
        app.close(verbose=False)


def test_the_endpoint_takes_points_and_boxes(page: str, picture: Path) -> None:
    client = Client(page, verbose=False)
    data, answer, drawn, areas = client.predict(
        handle_file(picture), '{"points": [[20, 40]]}', "Cut out", 0.5, api_name="/prompt"
    )
    assert data["kind"] == "prompted"
    assert "of the picture" in answer
    assert "thing" in areas
    with Image.open(drawn) as cut:
        assert cut.mode == "RGBA"
        assert cut.getpixel((20, 40))[3] == 255  # type: ignore[index]
        assert cut.getpixel((60, 4))[3] == 0  # type: ignore[index]
    with pytest.raises(AppError, match="must be JSON like"):
        client.predict(handle_file(picture), "here", api_name="/prompt")
    client.close()


def test_what_was_clicked_is_drawn() -> None:
    asked = Asked(points=((10, 30), (90, 30)), on=(True, False), box=(4, 4, 60, 56))
    drawn = draw_prompts(Image.new("RGB", (200, 120)), asked, (60, 100))
    lit = {at: drawn.getpixel(at) for at in ((20, 60), (180, 60), (185, 60), (8, 60), (100, 60))}
    assert lit[20, 60] == (11, 114, 133)
    assert lit[180, 60] == (0, 0, 0)  # the middle of a ring
    assert lit[185, 60] == (194, 37, 92)
    assert lit[8, 60] == (11, 114, 133)
    assert lit[100, 60] == (0, 0, 0)
    cornered = draw_prompts(Image.new("RGB", (100, 60)), Asked(corner=(50, 30)), (60, 100))
    assert cornered.getpixel((50, 30)) == (255, 255, 255)


def test_clicks_elsewhere_are_the_same_points(tmp_path: Path) -> None:
    file = {"path": "x.png", "orig_name": "my cat.png"}
    wanted = clicks.elsewhere(
        file, '{"points": [[5, 6], [7, 8]], "on": [true, false], "box": [1, 2, 30, 40]}', "a", 0.5
    )
    assert wanted is not None
    assert "points=[[[5.0, 6.0], [7.0, 8.0]]], point_labels=[[1, 0]], boxes=[[1.0, 2.0, 30.0, 40.0]]" in wanted.python
    assert to_service(wanted) == "# The service takes no points and boxes."
    assert clicks.elsewhere(file, '{"points": []}', "a", 0.5) is None
    assert clicks.elsewhere(None, "", "a", 0.5) is None


@pytest.mark.weights
@pytest.mark.skipif(not prompting_at_hand(), reason="MobileSAM was not exported here, which needs the extra torch")
def test_the_shown_python_finds_what_was_clicked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = Image.new("RGB", (320, 240), "white")
    picture.paste("darkred", (100, 60, 220, 180))
    picture.save(tmp_path / "a square.png")
    wanted = clicks.elsewhere({"orig_name": "a square.png"}, '{"points": [[160, 120]]}', OVERLAY, 0.5)
    assert wanted is not None
    monkeypatch.chdir(tmp_path)
    exec(compile(wanted.python, "shown", "exec"), {})
    found = json.loads(capsys.readouterr().out)
    assert found["xyxy"][0] == pytest.approx([100, 60, 220, 180], abs=4)
    assert found["areas"][0] == pytest.approx(120 * 120, rel=0.05)


AT = """(image, [x, y]) => {
  const box = image.getBoundingClientRect();
  const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight, 1);
  return [box.x + (box.width - image.naturalWidth * scale) / 2 + x * scale,
          box.y + (box.height - image.naturalHeight * scale) / 2 + y * scale];
}"""
"""Where a pixel of a picture is on the screen: pictures are made smaller to fit, never larger."""


def click(shown: Any, x: float, y: float) -> None:
    picture = shown.get_by_alt_text("The picture you chose").first
    picture.scroll_into_view_if_needed()
    shown.mouse.click(*picture.evaluate(AT, [x, y]))


@pytest.fixture
def clicking(page: str, chromium: Any) -> Iterator[Any]:
    """The segmentation page, told to find what is clicked on."""
    context = chromium.new_context()
    shown = context.new_page()
    shown.set_default_timeout(60_000)
    shown.goto(page)
    shown.get_by_label(CLICK).check()
    shown.get_by_label("A click is").or_(shown.get_by_text("A click is")).first.wait_for()
    yield shown
    context.close()


def says(shown: Any, text: str) -> None:
    shown.locator(".prose.says", has_text=text).wait_for()


def row(shown: Any) -> list[str]:
    """Share and pixels of the thing that was found."""
    told = shown.locator(".facts tbody tr td").all_inner_texts()
    return [cell.split(": ")[-1] for cell in told]


@pytest.mark.browser
@pytest.mark.parametrize("side", [64, 640], ids=["smaller than its frame", "larger"])
def test_clicks_on_the_picture_are_answered_with_a_mask(clicking: Any, tmp_path: Path, side: int) -> None:
    large = side / 64
    Image.new("RGB", (side, side), "blue").save(tmp_path / "blue.png")
    clicking.get_by_test_id("file-upload").set_input_files(str(tmp_path / "blue.png"))
    says(clicking, "Now click on a thing")
    click(clicking, 20 * large, 40 * large)
    says(clicking, "of the picture")
    prompts = json.loads(clicking.get_by_label("Points and box").input_value())
    assert prompts["on"] == [True]
    assert prompts["points"][0] == pytest.approx([20 * large, 40 * large], abs=1.5 * max(1, side / 278))
    share, pixels, _ = row(clicking)
    assert int(pixels.replace(",", "")) == pytest.approx(3.14159 * (12 * large) ** 2, rel=0.15)  # a circle of radius 12
    clicking.get_by_label(BESIDE).check()
    click(clicking, 50 * large, 20 * large)
    clicking.wait_for_function("before => document.querySelector('.facts tbody td')?.innerText !== before", arg=share)
    assert json.loads(clicking.get_by_label("Points and box").input_value())["on"] == [True, False]
    with Image.open(BytesIO(clicking.request.get(drawn(clicking)).body())) as picture:
        assert picture.size == (side, side)


def drawn(shown: Any) -> str:
    address: str = shown.get_by_alt_text("The picture with a colour on each segment, or").first.get_attribute("src")
    return address


@pytest.mark.browser
def test_two_corners_make_a_box_and_the_strip_tells_of_it(clicking: Any, tmp_path: Path) -> None:
    Image.new("RGB", (640, 640), "blue").save(tmp_path / "blue.png")
    clicking.get_by_test_id("file-upload").set_input_files(str(tmp_path / "blue.png"))
    says(clicking, "Now click on a thing")
    clicking.get_by_label(CORNER).check()
    click(clicking, 500, 300)
    says(clicking, "Now click on the opposite corner")
    clicking.get_by_alt_text("The picture with a colour on each segment, or").first.wait_for()  # with the corner on it
    click(clicking, 300, 100)
    says(clicking, "of the picture")
    box = json.loads(clicking.get_by_label("Points and box").input_value())["box"]
    assert box == pytest.approx([300, 100, 500, 300], abs=4)
    assert int(row(clicking)[1].replace(",", "")) == pytest.approx(3.14159 * 80**2, rel=0.15)  # a box: radius 8 of 64
    clicking.get_by_role("button", name="Use it elsewhere").click()
    listing = clicking.locator(".listing textarea:visible")
    clicking.wait_for_function("document.querySelector('.listing textarea')?.value.length > 0")
    assert f"boxes=[{[float(edge) for edge in box]}]" in listing.input_value()
    clicking.get_by_role("button", name="Another thing").click()
    says(clicking, "Now click on a thing")
    assert clicking.get_by_label("Points and box").input_value() == ""


@pytest.mark.browser
def test_points_that_are_typed_are_answered(page: str, chromium: Any, picture: Path) -> None:
    context = chromium.new_context()
    shown = context.new_page()
    shown.set_default_timeout(60_000)
    shown.goto(page)
    shown.get_by_label(CLICK).check()
    shown.get_by_test_id("file-upload").set_input_files(str(picture))
    shown.locator(".prose.says", has_text="Now click on a thing").wait_for()
    box = shown.get_by_label("Points and box")
    box.fill('{"points": [[20, 40]]}')
    box.press("Enter")
    shown.locator(".prose.says", has_text="of the picture").wait_for()
    shown.get_by_role("button", name="Another thing").click()
    shown.locator(".prose.says", has_text="Now click on a thing").wait_for()
    assert box.input_value() == ""
    context.close()


@pytest.mark.browser
def test_points_go_with_their_picture(clicking: Any, tmp_path: Path) -> None:
    for name, at in (("first", 20), ("second", 40)):
        Image.new("RGB", (64, 64), "blue").save(tmp_path / f"{name}.png")
        clicking.get_by_test_id("file-upload").set_input_files(str(tmp_path / f"{name}.png"))
        says(clicking, "Now click on a thing")
        assert clicking.get_by_label("Points and box").input_value() == ""
        click(clicking, at, 40)
        says(clicking, "of the picture")
        told = json.loads(clicking.get_by_label("Points and box").input_value())
        assert len(told["points"]) == 1
        assert told["points"][0][0] == pytest.approx(at, abs=2)
        clicking.get_by_label("Remove Image").or_(clicking.get_by_label("Clear")).first.click()
