"""Geometry of boxes against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import UsageError
from vision.boxes import box_area, box_iou, clip_boxes, nms

Box = tuple[float, float, float, float]
BOX = st.tuples(*(st.integers(0, 20) for _ in range(4))).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


def plain_iou(a: Box, b: Box) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union else 0.0


def plain_nms(boxes: list[Box], scores: list[float], classes: list[int], threshold: float, most: int) -> list[int]:
    kept: list[int] = []
    for at in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(classes[k] != classes[at] or plain_iou(boxes[k], boxes[at]) <= threshold for k in kept):
            kept.append(at)
    return kept[:most]


@given(st.lists(BOX, max_size=6), st.lists(BOX, max_size=6))
def test_iou_equals_a_plain_loop(first: list[Box], second: list[Box]) -> None:
    got = box_iou(np.array(first).reshape(-1, 4), np.array(second).reshape(-1, 4))
    assert got.shape == (len(first), len(second))
    wanted = [[plain_iou(a, b) for b in second] for a in first]
    np.testing.assert_allclose(got, np.array(wanted).reshape(got.shape))


@settings(max_examples=200)
@given(st.data())
def test_nms_equals_a_plain_loop(data: st.DataObject) -> None:
    boxes = data.draw(st.lists(BOX, max_size=25))
    n = len(boxes)
    scores = data.draw(st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.9]), min_size=n, max_size=n))
    classes = data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
    threshold = data.draw(st.sampled_from([0.0, 0.3, 0.45, 1.0]))
    most = data.draw(st.integers(1, 8))
    kept = nms(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(classes),
        iou_threshold=threshold,
        max_detections=most,
    )
    assert kept.tolist() == plain_nms(boxes, scores, classes, threshold, most)


def test_area_and_clip() -> None:
    assert box_area(np.array([[1, 2, 4, 8], [3, 3, 3, 9]])).tolist() == [18, 0]
    boxes = np.array([[-5, -5, 5, 5], [90, 40, 200, 70]], np.float32)
    assert clip_boxes(boxes, 50, 100).tolist() == [[0, 0, 5, 5], [90, 40, 100, 50]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"iou_threshold": 1.5}, "iou_threshold must lie in \\[0, 1\\]. Got 1.5"),
        ({"max_detections": 0}, "max_detections must be at least 1. Got 0"),
    ],
)
def test_wrong_arguments_say_so(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), **({"iou_threshold": 0.5, "max_detections": 1} | options))
