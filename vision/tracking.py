"""Which box is the same thing from frame to frame: ByteTrack, of the library ``trackers`` (the extra ``tracking``).

Y. Zhang et al., "ByteTrack: multi-object tracking by associating every detection box", ECCV 2022: boxes are matched
with the predicted places of known things by their overlap, sure boxes first and unsure ones with what is left. Each
class is tracked by itself, so that two things of different classes never change places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.lazy import require
from shared.predictor import Predictor
from shared.tasks import Option, TimedResult
from shared.types import Int32, array_field
from vision.types import Detections
from vision.video import OPTIONS as VIDEO_OPTIONS
from vision.video import video_results

EXTRA = "tracking"
OPTIONS = (
    *VIDEO_OPTIONS,
    Option("track", bool, False, "of a video say which box is the same thing from frame to frame"),
)
LOST_SECONDS = 1.0
START_SCORE = 0.5
_FRAMES_LOST = 30
"""The library counts how long a thing may be lost in frames of 1/30 s."""


@dataclass(frozen=True, eq=False)
class Tracks(Detections):
    """Detections of one frame of a video, and which thing each of them is.

    Attributes:
        track_ids: shape (n,), int32: the number of each box's thing, from 1 on, the same from frame to frame; -1 for a
            box that is no known thing, or not yet: a thing is known from the second frame that shows it.
    """

    track_ids: Int32 = array_field("int32", ("n",), -1)


def track(
    results: Iterator[TimedResult], *, lost_seconds: float = LOST_SECONDS, start_score: float = START_SCORE
) -> Iterator[TimedResult]:
    """The same results, each :class:`~vision.types.Detections` as :class:`Tracks`.

    Open the detector with a ``score_threshold`` well below ``start_score``: unsure boxes keep known things alive.

    Args:
        results: of the frames of one video, in order of their times; failures pass through.
        lost_seconds: how long a thing may be out of sight and still be the same, at least 0.
        start_score: least score of a box that begins a thing, in (0, 1].

    Raises:
        UsageError: a number is out of its range.
        MissingDependencyError: the extra ``tracking`` is not installed.
    """
    if not lost_seconds >= 0:
        raise UsageError(f"lost_seconds must be at least 0. Got {lost_seconds} instead")
    if not 0 < start_score <= 1:
        raise UsageError(f"start_score must lie in (0, 1]. Got {start_score} instead")
    for module in ("trackers", "supervision"):
        require(module, extra=EXTRA)
    return _tracked(results, _Tracker(lost_seconds, start_score))


def track_video(
    predictor: Predictor[Any, Any],
    path: str | Path,
    *,
    track: bool = False,
    every: int | None = None,
    fps: float | None = None,
    annotated: Path | None = None,
) -> Iterator[TimedResult]:
    """As :func:`vision.video.video_results`, with things tracked where ``track`` is true."""
    follow = _follow if track else lambda results: results
    return video_results(predictor, path, every=every, fps=fps, annotated=annotated, refine=follow)


def _follow(results: Iterator[TimedResult]) -> Iterator[TimedResult]:
    return track(results)


def _tracked(results: Iterator[TimedResult], tracker: _Tracker) -> Iterator[TimedResult]:
    for item in results:
        if isinstance(item.result, Detections):
            yield TimedResult(item.frame, item.time, tracker.update(item.time, item.result))
        else:
            yield item


class _Tracker:
    """One tracker of the library a class, and one count of things over all classes."""

    def __init__(self, lost_seconds: float, start_score: float) -> None:
        self._library = require("trackers", extra=EXTRA)
        self._boxes = require("supervision", extra=EXTRA)
        self._lost, self._start = lost_seconds, start_score
        self._trackers: dict[int, Any] = {}
        self._ids: dict[tuple[int, int], int] = {}

    def update(self, time: float, found: Detections) -> Tracks:
        ids = np.full(len(found.scores), -1, np.int32)
        present = set(found.class_ids.tolist())
        for number in sorted(present | self._trackers.keys()):
            if number not in self._trackers:
                self._trackers[number] = self._new()
            mine = np.flatnonzero(found.class_ids == number)
            given = self._boxes.Detections(
                xyxy=found.xyxy[mine].astype(np.float64),
                confidence=found.scores[mine].astype(np.float64),
                class_id=mine,  # comes back with each box, whose order may be another
            )
            answer = self._trackers[number].update(given, timestamp=time)
            for at, key in zip(answer.class_id, answer.tracker_id) if len(answer) else ():
                if key >= 0:
                    ids[at] = self._ids.setdefault((number, int(key)), len(self._ids) + 1)
        return Tracks(found.labels, found.image_size, found.xyxy, found.scores, found.class_ids, ids)

    def _new(self) -> Any:
        return self._library.ByteTrackTracker(
            lost_track_buffer=round(self._lost * _FRAMES_LOST),
            track_activation_threshold=self._start,
            high_conf_det_threshold=self._start,
            minimum_consecutive_frames=1,
        )
