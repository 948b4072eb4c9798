"""Results as a pandas table: a row a class, box, segment or face, failures and frames of a video among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vision
from shared.errors import MissingDependencyError, UsageError
from shared.tasks import TimedResult
from shared.types import Failure
from vision.frames import to_frame
from vision.masks import encode_mask
from vision.tracking import Tracks
from vision.types import Classification, Detections, Faces, Segmentation, Verification

pandas = pytest.importorskip("pandas")

CAT = Detections(
    ("cat", "dog"), (9, 9), np.float32([[1, 2, 3, 4], [0, 0, 9, 9]]), np.float32([0.75, 0.5]), np.int32([17, 18])
)
FAULT = Failure(1, "corrupt", "cannot be decoded")


def records(table: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not isinstance(v, float) or v == v} for row in table.to_dict("records")]


def test_boxes_failures_and_nothing() -> None:
    nothing = Detections((), (5, 5), np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
    table = vision.to_frame([CAT, FAULT, nothing, CAT], inputs=["a", "b", "c", "d"])
    assert table["item"].tolist() == [0, 0, 1, 3, 3]
    assert records(table)[:3] == [
        {"item": 0, "input": "a", "label": "cat", "class_id": 17, "score": 0.75, "x1": 1, "y1": 2, "x2": 3, "y2": 4},
        {"item": 0, "input": "a", "label": "dog", "class_id": 18, "score": 0.5, "x1": 0, "y1": 0, "x2": 9, "y2": 9},
        {"item": 1, "input": "b", "error": "corrupt", "message": "cannot be decoded"},
    ]
    assert to_frame([nothing]).columns.tolist() == ["item"]
    assert to_frame([nothing], inputs=["a"]).columns.tolist() == ["item", "input"]


def test_frames_of_a_video_and_tracks() -> None:
    tracks = Tracks(CAT.labels, CAT.image_size, CAT.xyxy, CAT.scores, CAT.class_ids, np.int32([4, -1]))
    rows = records(to_frame([TimedResult(30, 1.25, tracks)]))
    assert [(row["frame"], row["time"], row["track_id"]) for row in rows] == [(30, 1.25, 4), (30, 1.25, -1)]


def test_classes_segments_and_faces() -> None:
    classes = Classification(("a", "b"), np.float32([0.75, 0.25]), np.int32([1, 2]))
    mask = encode_mask(np.ones((2, 4), np.bool_))
    box, score, number, area = np.float32([[0, 0, 4, 2]]), np.float32([0.5]), np.int32([8]), np.int64([8])
    segments = Segmentation("semantic", (2, 4), ("cat",), (mask,), box, score, number, area)
    landmarks, parts = np.zeros((1, 5, 2), np.float32), np.float32([[0.25, 0.5, 0.75]])
    pose, embedding = np.float32([[10, 20, 30]]), np.float32([[0.6, 0.8]])
    faces = Faces((2, 4), box, landmarks, score, np.float32([0.5]), parts, pose, embedding)
    table = to_frame([classes, segments, faces], polygons=True)
    first, _, segment, face = records(table)
    assert (first["label"], first["score"]) == ("a", 0.75)
    assert (segment["area"], segment["share"], len(segment["polygons"])) == (8, 1.0, 1)
    assert (face["quality_sharpness"], face["pitch"], face["x2"]) == (0.5, 20, 4)
    np.testing.assert_array_equal(table["embedding"].iloc[3], embedding[0])


def test_wrong_arguments_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for inputs in (["a"], ["a", "b", "c"]):
        with pytest.raises(UsageError, match="inputs must name each result"):
            to_frame([CAT, CAT], inputs=inputs)
    with pytest.raises(UsageError, match="must be one of a vision task, or a failure. Got Verification"):
        to_frame([Verification(0.5, 0.4, True)])
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[pandas\]'"):
        to_frame([CAT])
