"""The part of the detection page that takes a video: its first seconds, drawn, and how many of each thing they show."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from demos.models import Models
from demos.pages import NO_ANSWER, plain_errors, says
from demos.pictures import chosen, uploads_only
from demos.tables import Cell, table
from shared.predictor import Predictor
from shared.types import Failure, UInt8
from vision.detection.task import SCORE_THRESHOLD
from vision.draw import draw_detections
from vision.types import Detections
from vision.video import Frame, read_frames
from vision.video_writer import VideoWriter

MOST_SECONDS = 10.0
FPS = 4.0
"""Frames a second that are looked at; with :data:`MOST_SECONDS` a video asks the model 40 times at most."""
_LONGEST = 960


@dataclass(frozen=True)
class Counted:
    """What the frames of a video show.

    Attributes:
        frames: how many were looked at.
        seconds: when the last of them is shown.
        most: for each class the most things of it in one frame.
        seen: for each class the number of frames that show one.
    """

    frames: int
    seconds: float
    most: Counter[str]
    seen: Counter[str]


def clip_input(models: Models, model: gr.Dropdown) -> None:
    """Lay out the video's part of the page, whose picker is ``model``; without the extra ``video`` it says how to have
    it.
    """
    with gr.Accordion("A video instead", open=False):
        if find_spec("av") is None:
            gr.Markdown("Videos need the extra `video`: pip install 'triptych[video]'.", elem_classes="note")
            return
        gr.Markdown(
            f"The first {MOST_SECONDS:.0f} seconds are looked at, {FPS:.0f} frames of each, and boxes that score at "
            f"least {SCORE_THRESHOLD:.0%} are drawn.",
            elem_classes="note",
        )
        with gr.Row():
            video = gr.Video(label="Video", sources=["upload"], height=320)
            drawn = gr.Video(label="Found in the video", interactive=False, height=320)
        answer = says("Choose a video.")
        counts = gr.HTML(label="Counts", js_on_load=None, apply_default_css=False)
    uploads_only(video, "a video")

    def detect_video(
        video: dict[str, Any] | None,
        model: str | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        """How many of each thing the first seconds of a video show, and an MP4 of those frames with boxes drawn."""
        given = chosen(video, "a video")
        if given is None:
            return "Choose a video.", None, ""
        with plain_errors(given.plain):
            detector = models.detectors.named(model).get(gr.Info)
            begun = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="triptych-clip-") as folder:
                found = draw_clip(detector, given.path, Path(folder) / "found.mp4", say=progress)
                # Into the folder of uploads, from where it is deleted as they are.
                shown = save_file_to_cache(Path(folder) / "found.mp4", get_upload_folder())
            taken = time.perf_counter() - begun
        line = f"{_told(found)} · {found.frames} frames of {found.seconds:.1f} s · {taken:.1f} s"
        return line, shown, _table(found)

    shown = [answer, drawn, counts]
    asked = video.change(
        detect_video, [video, model], shown, preprocess=False, api_name="detect_video", concurrency_limit=1
    )
    asked.failure(lambda: (NO_ANSWER, None, ""), outputs=shown, api_visibility="private", queue=False)


def draw_clip(
    detector: Predictor[Any, Detections], path: Path, out: Path, *, say: Callable[..., object] | None = None
) -> Counted:
    """Detect in the first seconds of a video, and write its frames with boxes.

    Args:
        detector: what is asked about each frame.
        path: the video.
        out: the MP4 to write.
        say: told after each frame how much of the time that is looked at has passed, in 0..1, and in words.

    Raises:
        InputError: the video cannot be used.
    """
    most: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    frames, last = 0, 0.0
    with VideoWriter(out) as writer, closing(read_frames(path, fps=FPS)) as given:
        for frame in _bounded(given):
            found = detector.predict([frame.pixels])[0]
            if isinstance(found, Failure):  # only where errors are kept
                continue
            sure = [label for label, score in zip(found.labels, found.scores) if score >= SCORE_THRESHOLD]
            counts = Counter(sure)
            most |= counts
            seen.update(counts.keys())
            picture = draw_detections(frame.pixels, found, min_score=SCORE_THRESHOLD)
            writer.add(frame.time, _small(picture))
            frames, last = frames + 1, frame.time
            if say is not None:
                say(min(1.0, last / MOST_SECONDS), desc=f"{last:.1f} s of {MOST_SECONDS:.0f} s at most")
    return Counted(frames, last, most, seen)


def _bounded(frames: Iterator[Frame]) -> Iterator[Frame]:
    return takewhile(lambda frame: frame.time < MOST_SECONDS, frames)


def _small(picture: Image.Image) -> UInt8:
    picture.thumbnail((_LONGEST, _LONGEST))
    return np.asarray(picture)


def _told(found: Counted) -> str:
    if not found.most:
        return "Nothing that this model knows"
    return f"**{', '.join(f'at most {n} × {label}' for label, n in found.most.most_common(5))}**"


def _table(found: Counted) -> str:
    rows: list[list[Cell | str]] = [
        [label, Cell(str(n), tag="number"), Cell(f"{found.seen[label]} of {found.frames}", tag="number")]
        for label, n in found.most.most_common()
    ]
    return table("Counts", ["Thing", "At most at once", "In frames"], rows) if rows else ""
