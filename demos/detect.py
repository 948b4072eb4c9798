"""The detection page: where the things in a picture are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demos.examples import DETECT
from demos.models import LOWEST_SCORE, Models
from demos.pages import KEPT_SECONDS, NO_ANSWER, Page, ask, head, plain_errors, refusal, says
from demos.pictures import Chosen, chosen, example_pictures, picture_input
from demos.tables import Cell, table
from vision.detection.task import SCORE_THRESHOLD
from vision.draw import draw_detections
from vision.images import View, load_view
from vision.types import Detections

PAGE = Page("Detect", "detect", "What is in this picture, and where? People, animals, vehicles and 70 other things.")

_LONGEST = 1280
"""Pixels of the longer side of what is drawn and sent to the browser; boxes in the JSON are the picture's own."""


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE)
    invitation = "Choose a picture, or click an example."
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            picture = picture_input()
            threshold = gr.Slider(
                LOWEST_SCORE,
                0.95,
                SCORE_THRESHOLD,
                step=0.01,
                label="Least score",
                info="Shows the boxes that score at least this. Moving it asks the model nothing.",
            )
            example_pictures(DETECT, picture)
        with gr.Column(scale=3, min_width=300):
            answer = says(invitation)
            drawn = gr.Image(
                label="Found",
                interactive=False,
                buttons=["download", "fullscreen"],
                alt_text="The picture with a box around each thing found",
            )
            things = gr.HTML(label="Things", js_on_load=None, apply_default_css=False)
            with gr.Accordion("The result as JSON", open=False):
                result = gr.JSON(label="Detections")
    found = gr.State(time_to_live=KEPT_SECONDS)
    shown = [result, answer, drawn, things]

    def detect(picture: dict[str, Any] | None, threshold: float = SCORE_THRESHOLD) -> tuple[Any, ...]:
        """Where the things in a picture are: boxes in pixels of the upright picture, best first."""
        given = chosen(picture)
        if given is None:
            return None, None, invitation, None, ""
        detections, milliseconds = ask(models.detector, given.path, plain=given.plain)
        kept = Found(given, detections, milliseconds)
        return kept, *show(kept, threshold)

    def filter_boxes(kept: Found | None, threshold: float) -> tuple[Any, ...]:
        return (None, invitation, None, "") if kept is None else show(kept, threshold)

    asked = picture.change(detect, [picture, threshold], [found, *shown], preprocess=False, api_name=PAGE.path)
    asked.failure(
        lambda: (None, None, NO_ANSWER, None, ""), outputs=[found, *shown], api_visibility="private", queue=False
    )
    threshold.change(filter_boxes, [found, threshold], shown, api_visibility="private", show_progress="hidden")


@dataclass(frozen=True)
class Found:
    """What the model answered for the picture that is shown, kept so that the slider need not ask again.

    Attributes:
        picture: the visitor's.
        detections: all of them, down to :data:`demos.models.LOWEST_SCORE`.
        milliseconds: what they took.
    """

    picture: Chosen
    detections: Detections
    milliseconds: float


def show(found: Found, threshold: float) -> tuple[dict[str, Any], str, Image.Image, str]:
    """JSON, line, drawing and table of what scores at least ``threshold``.

    Raises:
        gradio.Error: ``threshold`` is not in 0..1, or the picture was deleted meanwhile.
    """
    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise refusal(f"the least score must be a number from 0 to 1. Got {threshold!r} instead")
    kept = at_least(found.detections, threshold)
    with plain_errors(found.picture.plain):
        pixels, _ = load_view(found.picture.path, _for_screen)
    line = f"{_counted(kept)} · {found.milliseconds:.0f} ms"
    return kept.to_json(), line, draw_detections(pixels, kept), _things(kept)


def at_least(found: Detections, threshold: float) -> Detections:
    """The detections that score at least so much."""
    kept = np.flatnonzero(found.scores >= threshold)
    return replace(
        found,
        xyxy=found.xyxy[kept],
        scores=found.scores[kept],
        class_ids=found.class_ids[kept],
        labels=tuple(found.labels[at] for at in kept),
    )


def _counted(found: Detections) -> str:
    """How many of each, in words: ``4 × person, 1 × bus``."""
    if not found.labels:
        return "Nothing scores that much"
    return f"**{', '.join(f'{n} × {label}' for label, n in Counter(found.labels).most_common())}**"


def _for_screen(height: int, width: int) -> View:
    """The whole picture, its longer side at most :data:`_LONGEST` pixels."""
    scale = min(1.0, _LONGEST / max(height, width))
    return View((0, 0, width, height), (max(1, round(height * scale)), max(1, round(width * scale))))


def _things(found: Detections) -> str:
    rows: list[list[Cell | str]] = [
        [label, Cell(f"{score:.0%}", tag="number"), Cell(" ".join(f"{edge:.0f}" for edge in box), tag="number")]
        for label, score, box in zip(found.labels, found.scores.tolist(), found.xyxy.tolist())
    ]
    return (
        table("Boxes, in pixels from the top left", ["Thing", "Score", "Left, top, right, bottom"], rows)
        if rows
        else ""
    )
