"""Tracking: a moving thing keeps its number, over gaps, uneven times and other things that cross its way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from shared.cli.main import triptych
from shared.errors import UsageError
from shared.tasks import TimedResult
from shared.types import Failure, Result
from vision.datasets import read_boxed_images
from vision.images import load
from vision.tracking import Tracks, track
from vision.types import Detections
from vision.video_writer import VideoWriter

pytest.importorskip("trackers", exc_type=ImportError)

Box = tuple[float, float, int]


def found(*things: Box, score: float = 0.9, size: float = 40.0) -> Detections:
    """Squares by the x and y of their middles and their class."""
    boxes = np.float32([[x - size / 2, y - size / 2, x + size / 2, y + size / 2] for x, y, _ in things]).reshape(-1, 4)
    classes = np.int32([c for *_, c in things])
    scores = np.full(len(things), score, np.float32)
    return Detections(tuple(f"class {c}" for c in classes), (400, 800), boxes, scores, classes)


def frames(answers: list[Result], fps: float = 30.0) -> Iterator[TimedResult]:
    return iter([TimedResult(at, at / fps, answer) for at, answer in enumerate(answers)])


def ids(results: Iterator[TimedResult]) -> list[list[int]]:
    return [item.result.track_ids.tolist() for item in results if isinstance(item.result, Tracks)]


def test_two_things_that_pass_each_other_keep_their_numbers() -> None:
    answers: list[Result] = [found((50 + 8 * t, 100, 1), (650 - 8 * t, 125, 2)) for t in range(70)]
    numbers = ids(track(frames(answers)))
    assert numbers[0] == [-1, -1]
    assert set(map(tuple, numbers[1:])) == {(1, 2)}


def test_a_thing_out_of_sight_for_a_while_is_the_same_and_after_long_another() -> None:
    def with_gap(gap: int) -> list[list[int]]:
        answers: list[Result] = [
            found() if 20 <= t < 20 + gap else found((50 + 2 * t, 100, 1)) for t in range(60 + gap)
        ]
        return ids(track(frames(answers), lost_seconds=1.0))

    assert {n for row in with_gap(10)[1:] for n in row} == {1}
    assert {n for row in with_gap(80)[1:] for n in row if n >= 0} == {1, 2}


def test_uneven_times_and_failures_do_not_break_a_track() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([1, 1, 1, 4], 60)) / 30
    answers = [
        TimedResult(at, time, Failure(at, "corrupt", "no frame") if at % 9 == 8 else found((50 + 150 * time, 99, 1)))
        for at, time in enumerate(times.tolist())
    ]
    results = list(track(iter(answers)))
    assert [item.frame for item in results] == list(range(60))
    assert isinstance(results[8].result, Failure)
    assert {n for row in ids(iter(results))[1:] for n in row} == {1}


def test_unsure_boxes_go_on_and_do_not_begin() -> None:
    answers: list[Result] = [found((50 + 4 * t, 100, 1), score=0.9 if t < 5 else 0.3) for t in range(20)]
    assert ids(track(frames(answers)))[1:] == [[1]] * 19
    unsure: list[Result] = [found((50 + 4 * t, 100, 1), score=0.3) for t in range(20)]
    assert ids(track(frames(unsure))) == [[-1]] * 20


def test_boxes_keep_their_order_and_the_result_survives_json() -> None:
    answers: list[Result] = [found(*[(40 + 80 * at, 50 + 2 * t, at % 3) for at in range(9)]) for t in range(4)]
    for item, given in zip(track(frames(answers)), answers):
        result = item.result
        assert isinstance(result, Tracks)
        assert isinstance(given, Detections)
        np.testing.assert_array_equal(result.xyxy, given.xyxy)
        assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert sorted(result.track_ids.tolist()) == list(range(1, 10))  # type: ignore[union-attr]


@pytest.mark.parametrize("options", [{"lost_seconds": -1}, {"start_score": 0}, {"start_score": 1.5}])
def test_wrong_arguments_say_so(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must"):
        track(iter([]), **options)


def moving_crops(data_root: Path, file: Path) -> int:
    """A video of real things, cut out and moving over a still street of grey; how many they are."""
    data = read_boxed_images(data_root / "vision" / "coco128")
    crops = []
    for wanted in ("bear", "cat", "zebra"):
        number = next(n for n, name in data.classes.items() if name == wanted)
        image = next(i for i in data.images if (i.class_ids == number).sum() == 1 and len(i.class_ids) == 1)
        x1, y1, x2, y2 = image.xyxy[0].astype(int)
        crop = Image.fromarray(load(image.path)[y1:y2, x1:x2])
        crop.thumbnail((150, 150))
        crops.append(np.asarray(crop))
    with VideoWriter(file) as writer:
        for t in range(24):
            pixels = np.full((360, 480, 3), 150, np.uint8)
            for at, crop in enumerate(crops):
                y, x = (20, 190, 190)[at], (10 + 8 * t, 10 + 2 * t, 320 - 3 * t)[at]
                pixels[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
            writer.add(t / 15, pixels)
    return len(crops)


@pytest.mark.weights
@pytest.mark.data
def test_moving_crops_of_real_pictures_keep_their_numbers(data_root: Path, tmp_path: Path) -> None:
    count = moving_crops(data_root, tmp_path / "a.mp4")
    command = ["predict", "vision.detection", str(tmp_path / "a.mp4"), "--track", "--score-threshold", "0.3"]
    done = CliRunner().invoke(triptych, command, standalone_mode=False)
    if done.exception:
        raise done.exception
    rows = [json.loads(line)["result"] for line in done.stdout.splitlines()]
    assert len(rows) == 24
    seen: dict[str, list[int]] = {}
    for row in rows:
        for label, number in zip(row["labels"], row["track_ids"]):
            if number >= 0:
                seen.setdefault(label, []).append(number)
    steady = {label: numbers for label, numbers in seen.items() if len(numbers) >= 15}
    assert len(steady) >= count - 1, seen
    assert all(len(set(numbers)) == 1 for numbers in steady.values()), seen
