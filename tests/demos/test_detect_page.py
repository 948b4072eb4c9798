"""The detection page: what its controls show of one answer, videos, and its endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

import gradio as gr
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demos.detect.clips import FPS, MOST_SECONDS, draw_clip
from demos.detect.page import Found, at_least, classes_of, show
from demos.pictures import Screen
from demos.segment.page import OVERLAY, draw, held
from demos.segment.page import Found as Segmented
from shared.errors import InputError
from vision.masks import encode_mask
from vision.types import Detections, Segmentation

BOXES = Detections(
    ("cat", "dog", "cat", "bus"),
    (60, 80),
    np.array([[1, 1, 30, 30], [30, 5, 70, 50], [5, 20, 25, 55], [2, 2, 9, 9]], np.float32),
    np.array([0.9, 0.6, 0.4, 0.1], np.float32),
    np.array([16, 17, 16, 5], np.int32),
)


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = tmp_path / "grey.png"
    Image.new("RGB", (80, 60), "grey").save(path)
    return path


@pytest.mark.parametrize(
    ("threshold", "wanted", "kept"),
    [
        (0.0, [], ("cat", "dog", "cat", "bus")),
        (0.4, [], ("cat", "dog", "cat")),
        (0.5, ["cat"], ("cat",)),
        (0.0, ["bus", "dog"], ("dog", "bus")),
        (0.95, [], ()),
        (0.0, ["zebra"], ()),
    ],
)
def test_controls_filter_what_was_found(threshold: float, wanted: list[str], kept: tuple[str, ...]) -> None:
    assert at_least(BOXES, threshold, wanted).labels == kept


def test_classes_are_named_once_the_surest_first() -> None:
    assert classes_of(BOXES) == ["cat", "dog", "bus"]


def test_a_result_is_redrawn_without_its_file_and_counted(picture: Path) -> None:
    found = Found(Screen.of(picture, 1280), BOXES, 61.0)
    picture.unlink()
    data, line, drawn, counts, things = show(found, 0.3)
    assert data["labels"] == ["cat", "dog", "cat"]
    assert line.startswith("**2 × cat, 1 × dog** · 61 ms · drawn in ")
    assert counts.count("<tr>") == 3
    assert things.count("<tr>") == 4
    assert "90%" in counts
    with Image.open(drawn) as shown:
        assert (shown.format, shown.size) == ("JPEG", (80, 60))


def test_a_large_picture_is_kept_small(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (3000, 1500)).save(path)
    screen = Screen.of(path, 1280)
    assert screen.image().size == (1280, 640)
    assert len(screen.jpeg) < 1280 * 640 / 10


def test_opacity_blends_the_two_drawings_of_one_answer(picture: Path) -> None:
    from demos.pictures import chosen

    mask = np.zeros((60, 80), np.bool_)
    mask[:, :40] = True
    told = Segmentation(
        "semantic",
        (60, 80),
        ("cat",),
        (encode_mask(mask),),
        np.float32([[0, 0, 40, 60]]),
        np.float32([0.9]),
        np.int32([1]),
        np.int64([2400]),
    )
    given = chosen({"path": str(picture)})
    assert given is not None
    found: Segmented = held(given, told, 5.0)
    picture.unlink()
    inside = []
    for opacity in (0, 0.5, 1):
        with Image.open(draw(found, OVERLAY, opacity)) as drawn:
            inside.append(np.asarray(drawn.convert("RGB"))[30, 20].astype(int))
            assert abs(np.asarray(drawn.convert("RGB"))[30, 70].astype(int) - 128).max() <= 3
    assert abs(inside[0] - 128).max() <= 3
    assert abs(inside[2] - [194, 37, 92]).max() <= 6
    assert abs(inside[1] - (inside[0] + inside[2]) / 2).max() <= 4
    for way, opacity, message in (("sideways", 0.5, "must be one of"), (OVERLAY, 2, "from 0 to 1")):
        with pytest.raises(gr.Error, match=message):
            draw(found, way, opacity)


class Seer:
    """A detector that sees two cats, and a third thing that it is not sure of."""

    asked = 0

    def predict(self, items: list[Any]) -> list[Detections]:
        self.asked += len(items)
        size = (items[0].shape[0], items[0].shape[1])
        boxes = np.array([[1, 1, 9, 9], [10, 1, 20, 9], [20, 20, 30, 30]], np.float32)
        return [Detections(("cat", "cat", "dog"), size, boxes, np.float32([0.9, 0.8, 0.1]), np.int32([16, 16, 17]))]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    from vision.video_writer import VideoWriter

    path = tmp_path_factory.mktemp("clips") / "grey.mp4"
    with VideoWriter(path) as writer:
        for at in range(4 * 13):  # 13 seconds
            writer.add(at / 4, np.full((48, 64, 3), at * 4, np.uint8))
    return path


def test_the_first_seconds_of_a_video_are_counted_and_drawn(clip: Path, tmp_path: Path) -> None:
    from vision.video import video_info

    seer: Any = Seer()
    found = draw_clip(seer, clip, tmp_path / "found.mp4")
    assert found.frames == seer.asked == MOST_SECONDS * FPS
    assert found.seconds < MOST_SECONDS
    assert found.most == {"cat": 2}
    assert found.seen == {"cat": 40}
    assert video_info(tmp_path / "found.mp4").size == (48, 64)


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    path = tmp_path / "letter.mp4"
    path.write_text("Dear all")
    with pytest.raises(InputError, match="must be a video"):
        draw_clip(Seer(), path, tmp_path / "found.mp4")  # type: ignore[arg-type]
    assert not (tmp_path / "found.mp4").exists()


@pytest.mark.weights
def test_the_video_endpoint(client: Any, clip: Path, tmp_path: Path) -> None:
    line, drawn, _ = client.predict(handle_file(clip), api_name="/detect_video")
    assert "40 frames of 9.8 s" in line
    assert Path(drawn["video"] if isinstance(drawn, dict) else drawn).is_file()
    path = tmp_path / "letter.mp4"
    path.write_text("Dear all")
    with pytest.raises(AppError, match=r"letter\.mp4 must be a video"):
        client.predict(handle_file(path), api_name="/detect_video")


@pytest.mark.weights
def test_tiles_find_what_the_whole_picture_hides(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    Image.new("RGB", (900, 700), "white").save(path)
    plain, tiled = (client.predict(handle_file(path), 0.05, tiles, api_name="/detect")[0] for tiles in (False, True))
    assert plain["image_size"] == tiled["image_size"] == [700, 900]
    large = tmp_path / "large.png"
    Image.new("RGB", (6000, 4100), "white").save(large)
    with pytest.raises(AppError, match="24,000,000"):
        client.predict(handle_file(large), 0.3, True, api_name="/detect")
