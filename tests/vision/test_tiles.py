"""Tiles: each thing once, whole, wherever the seams fall; and more small things found in a large picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vision
from shared.errors import UsageError
from shared.predictor import Pipeline
from shared.testing import fake_card
from shared.testing.contracts import PredictorContract
from shared.types import Failure
from vision.boxes import box_iou
from vision.datasets import read_boxed_images
from vision.images import load
from vision.tiles import merge_views, tile_views, tiled
from vision.types import Detections


def find_colours(pixels: np.ndarray[Any, Any]) -> Detections:
    """A detector of plain rectangles: each colour but black is one thing, its class the red value modulo 3."""
    numbers = pixels.astype(np.int64) @ [1, 256, 65536]
    boxes, classes = [], []
    for colour in np.unique(numbers[numbers > 0]).tolist():
        rows, columns = np.nonzero(numbers == colour)
        boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        classes.append(colour % 256 % 3)
    scores = np.linspace(0.9, 0.5, len(boxes)).astype(np.float32)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(tuple(map(str, classes)), pixels.shape[:2], xyxy, scores, np.array(classes, np.int32))


def colour_detector() -> Pipeline[Any, Any, Any, Detections]:
    return Pipeline(fake_card(), load, lambda batch: batch, lambda raw, _: find_colours(raw))


def scene(rng: np.random.Generator, n: int, side: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Rectangles that lie apart, in any place and of any shape up to the given sides."""
    pixels = np.zeros((700, 900, 3), np.uint8)
    placed = 0
    while placed < n:
        height, width = rng.integers(side[0], side[1], 2)
        y, x = rng.integers(0, 700 - height), rng.integers(0, 900 - width)
        if not pixels[max(0, y - 2) : y + height + 2, max(0, x - 2) : x + width + 2].any():
            placed += 1
            pixels[y : y + height, x : x + width] = (placed, 7, 9)
    return pixels


def same(found: Detections, wanted: Detections) -> None:
    assert sorted(map(tuple, found.xyxy.tolist())) == sorted(map(tuple, wanted.xyxy.tolist()))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("whole", [True, False])
def test_each_small_thing_is_found_once_and_whole(seed: int, whole: bool) -> None:
    pixels = scene(np.random.default_rng(seed), 40, (5, 50))
    found = tiled(colour_detector(), tile=200, overlap=0.25, whole=whole).predict([pixels])[0]
    assert isinstance(found, Detections)
    same(found, find_colours(pixels))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("whole", [True, False])
def test_things_larger_than_a_tile_are_joined_over_all_seams(seed: int, whole: bool) -> None:
    pixels = scene(np.random.default_rng(seed), 4, (150, 320))
    found = tiled(colour_detector(), tile=200, overlap=0.25, whole=whole).predict([pixels])[0]
    assert isinstance(found, Detections)
    same(found, find_colours(pixels))


def test_two_things_on_either_side_of_a_seam_stay_two() -> None:
    pixels = np.zeros((100, 190, 3), np.uint8)
    pixels[40:60, 70:94] = (3, 1, 1)
    pixels[40:60, 95:120] = (6, 1, 1)
    found = tiled(colour_detector(), tile=100, overlap=0.1).predict([pixels])[0]
    assert isinstance(found, Detections)
    same(found, find_colours(pixels))


def test_classes_are_never_joined_and_the_best_boxes_stay() -> None:
    boxes = np.float32([[10, 10, 30, 30]])
    answers = [Detections((str(c),), (50, 50), boxes, np.float32([0.1 * (c + 1)]), np.int32([c])) for c in range(4)]
    views = np.array([[0, 0, 50, 50]] * 4)
    merged = merge_views(answers, views, (50, 50))
    assert merged.class_ids.tolist() == [3, 2, 1, 0]
    assert merge_views(answers, views, (50, 50), max_detections=2).class_ids.tolist() == [3, 2]
    assert merge_views([], np.zeros((0, 4), np.int64), (5, 5)).labels == ()


@pytest.mark.parametrize("shape", [(50, 60), (200, 200), (201, 200), (640, 1000), (4000, 333)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_tiles_cover_the_picture_and_overlap_enough(shape: tuple[int, int], overlap: float) -> None:
    height, width = shape
    views = tile_views(height, width, tile=200, overlap=overlap, whole=False)
    covered = np.zeros(shape, bool)
    for x1, y1, x2, y2 in views.tolist():
        covered[y1:y2, x1:x2] = True
        assert (x2 - x1, y2 - y1) == (min(200, width), min(200, height))
    assert covered.all()
    for axis, side in ((0, width), (1, height)):
        starts = np.unique(views[:, axis])
        assert (np.diff(starts) <= 200 * (1 - overlap) + 1).all()
        assert starts[-1] == max(0, side - 200)
    with_whole = tile_views(height, width, tile=200, overlap=overlap, whole=True)
    assert len(with_whole) == len(views) + (height > 200 or width > 200)


class TestTiled(PredictorContract):
    def build(self) -> Any:
        return tiled(colour_detector(), tile=64)

    def good(self) -> list[Any]:
        rng = np.random.default_rng(0)
        return [scene(rng, 3, (5, 30)) for _ in range(3)]

    def bad(self) -> Any:
        return b"<html>"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tile": 16}, "tile must be at least 32 pixels. Got 16"),
        ({"overlap": 1.0}, r"overlap must lie in \[0, 0.9\]. Got 1.0"),
        ({"max_detections": 0}, "max_detections must be at least 1"),
    ],
)
def test_wrong_arguments_say_so(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tiled(colour_detector(), **options)


def test_a_picture_beyond_the_bound_is_a_failure() -> None:
    found = tiled(colour_detector(), max_pixels=100).predict([np.zeros((20, 20, 3), np.uint8)], on_error="keep")[0]
    assert isinstance(found, Failure)
    assert found.kind == "too-large"


def mosaic(paths: Sequence[Path | str], truths: Sequence[Any], side: int) -> tuple[Any, Any]:
    """Pictures in a square grid, each scaled to fit a cell, and the boxes of their things."""
    from PIL import Image

    across = int(np.ceil(np.sqrt(len(paths))))
    canvas = Image.new("RGB", (across * side, across * side), (127, 127, 127))
    boxes = []
    for at, (path, truth) in enumerate(zip(paths, truths)):
        picture = Image.fromarray(load(path))
        scale = side / max(picture.size)
        left, top = at % across * side, at // across * side
        canvas.paste(picture.resize((round(picture.width * scale), round(picture.height * scale))), (left, top))
        boxes.append(truth.boxes[~truth.crowd] * scale + [left, top, left, top])
    return np.array(canvas), np.concatenate(boxes)


@pytest.mark.weights
@pytest.mark.data
def test_tiles_find_small_things_that_the_whole_picture_hides(data_root: Path) -> None:
    data = read_boxed_images(data_root / "vision" / "coco128", limit=36)
    pixels, things = mosaic(data.paths, data.truth, 320)
    detector = vision.detector(score_threshold=0.3)
    recalls = {}
    for name, predictor in (("whole", detector), ("tiled", tiled(detector, tile=320, overlap=0.25))):
        found = predictor.predict([pixels])[0]
        assert isinstance(found, Detections)
        recalls[name] = float((box_iou(things, found.xyxy).max(axis=1, initial=0) >= 0.5).mean())
    assert recalls["tiled"] > 5 * max(recalls["whole"], 0.01)
    assert recalls["tiled"] > 0.25
