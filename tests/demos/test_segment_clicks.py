"""Clicks on the segmentation page, answered by a tiny model that marks what lies around the points."""

from __future__ import annotations

from collections.abc import Iterator
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
from demos import segment
from demos.clicks import BESIDE, CLICK, CORNER, ON, Asked, Clicked, read_prompts
from demos.models import Model
from shared.errors import UsageError
from shared.testing import fake_card

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


@pytest.fixture
def page(model: Model[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    models: Any = SimpleNamespace(segmenters={"Nothing": model}, promptable=model)
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


@pytest.mark.browser
def test_points_that_are_typed_are_answered(page: str, chromium: Any, picture: Path) -> None:
    context = chromium.new_context()
    shown = context.new_page()
    shown.set_default_timeout(15_000)
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
