"""The face page: what it draws, what its endpoint answers, and what a visitor sees."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from gradio_client import handle_file
from PIL import Image

from demos.faces import draw_faces
from vision import Faces


def part(two_men: Path, folder: Path, name: str, box: tuple[int, int, int, int]) -> Path:
    with Image.open(two_men) as image:
        image.crop(box).save(folder / name, quality=92)
    return folder / name


def test_boxes_and_points_are_drawn_at_the_picture_s_scale() -> None:
    rest = [np.full(shape, 0.5, np.float32) for shape in (1, 1, (1, 3))]
    box, points = np.float32([[10, 10, 30, 40]]), np.full((1, 5, 2), 20, np.float32)
    found = Faces((60, 80), box, points, *rest, np.zeros((1, 3), np.float32))
    plain = Image.new("RGB", (160, 120))
    drawn = np.asarray(draw_faces(plain, found))
    assert drawn[50, 20].any()
    assert drawn[40, 40].tolist() == [255, 212, 59]
    assert not drawn[100:].any()
    assert not np.asarray(plain).any()


@pytest.mark.weights
def test_faces_and_comparison(client: Any, two_men: Path, tmp_path: Path) -> None:
    result, answer, _, listed = client.predict(handle_file(two_men), None, api_name="/faces")
    assert result["faces"]["type"] == "Faces"
    assert "embeddings" not in result["faces"]
    assert "verification" not in result
    assert "2 faces" in answer
    assert listed.count("sharpness") == 2
    left = part(two_men, tmp_path, "left.jpg", (300, 150, 760, 610))
    right = part(two_men, tmp_path, "right.jpg", (720, 0, 1280, 560))
    same = client.predict(handle_file(right), handle_file(right), api_name="/faces")
    assert same[0]["verification"]["same"]
    assert "One person" in same[1]
    other = client.predict(handle_file(right), handle_file(left), api_name="/faces")
    assert not other[0]["verification"]["same"]
    assert "Two persons" in other[1]


@pytest.mark.weights
def test_no_face_is_said(client: Any, two_men: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "green").save(tmp_path / "green.png")
    green = handle_file(tmp_path / "green.png")
    assert "No face found" in client.predict(green, None, api_name="/faces")[1]
    result, answer, *_ = client.predict(handle_file(two_men), green, api_name="/faces")
    assert result["verification"] is None
    assert "no face was found in the green.png" in answer


@pytest.mark.weights
@pytest.mark.browser
def test_two_uploads_are_compared(
    visit: Callable[..., Any], look: Callable[[Any, str], None], two_men: Path, tmp_path: Path
) -> None:
    found = visit()
    page = found.open("faces")
    files = page.get_by_test_id("file-upload")
    files.first.set_input_files(str(two_men))
    page.locator(".prose.says", has_text="2 faces").wait_for(timeout=120_000)
    page.get_by_test_id("file-upload").last.set_input_files(
        str(part(two_men, tmp_path, "left.jpg", (300, 150, 760, 610)))
    )
    page.locator(".prose.says", has_text=re.compile("One person")).wait_for(timeout=120_000)
    page.get_by_alt_text("The picture with a box and five points on each face").wait_for()
    assert page.locator(".facts tbody tr").count() == 2
    look(page, "faces-compared")
    page.get_by_text("1, compared").or_(page.get_by_text("2, compared")).first.wait_for()
    found.assert_well_behaved()
