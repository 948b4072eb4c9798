"""The segmentation page: which pixels belong to what, what stands before its background, and the thing at a click."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from demos.examples import SEGMENT
from demos.models import Model, Models
from demos.pages import NO_ANSWER, Page, ask, head, plain_errors, refusal, says
from demos.pictures import Chosen, chosen, example_pictures, picture_input
from demos.tables import Cell, table
from vision.images import View, load_view
from vision.segmentation.draw import cut_out, draw_segmentation
from vision.segmentation.promptable import EmbeddedImage, PromptableSegmenter
from vision.types import Segmentation

PAGE = Page(
    "Segment",
    "segment",
    "Which pixels belong to what? People, animals, vehicles and furniture; or the foreground, cut out with soft edges.",
)
CLICK = "What I click on"
CLICKED_KEPT = 4
"""Pictures that stay encoded for further clicks, over all visitors."""

_LONGEST = {"overlay": 1280, "cut-out": 2048}
"""Pixels of the longer side of what is drawn and sent to the browser; masks in the JSON have the picture's own."""
_INVITATION = "Choose a picture, or click an example."
_NOW_CLICK = "Now click on a thing in the picture on the left."


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE)
    choices = [*models.segmenters, *([CLICK] if models.promptable else [])]
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            picture = picture_input()
            wanted = gr.Radio(choices, value=choices[0], label="What to find")
            example_pictures(SEGMENT, picture)
        with gr.Column(scale=3, min_width=300):
            answer = says(_INVITATION)
            drawn = gr.Image(
                label="Found",
                interactive=False,
                format="png",
                buttons=["download", "fullscreen"],
                alt_text="The picture with a colour on each segment, or the foreground cut out",
            )
            areas = gr.HTML(label="Areas", js_on_load=None, apply_default_css=False)
            with gr.Accordion("The result as JSON", open=False):
                result = gr.JSON(label="Segmentation")
    shown = [result, answer, drawn, areas]

    def segment(picture: dict[str, Any] | None, wanted: str = choices[0]) -> tuple[Any, ...]:
        """Which pixels of a picture belong to what: masks as COCO's run lengths, areas, and alpha of a foreground."""
        given = chosen(picture)
        if given is None:
            return None, _INVITATION, None, ""
        if wanted == CLICK and models.promptable:
            return None, _NOW_CLICK, None, ""
        if wanted not in models.segmenters:
            raise refusal(f"what to find must be one of {', '.join(models.segmenters)}. Got {wanted!r} instead")
        found, milliseconds = ask(models.segmenters[wanted], given.path, plain=given.plain)
        return show(given, found, milliseconds)

    for change, public in ((picture.change, True), (wanted.change, False)):
        named: dict[str, Any] = {"api_name": PAGE.path} if public else {"api_visibility": "private"}
        asked = change(segment, [picture, wanted], shown, preprocess=False, **named)
        asked.failure(lambda: (None, NO_ANSWER, None, ""), outputs=shown, api_visibility="private", queue=False)
    if models.promptable is not None:
        _answer_clicks(Clicked(models.promptable), picture, wanted, shown)


def _answer_clicks(clicked: Clicked, picture: gr.Image, wanted: gr.Radio, shown: list[Any]) -> None:
    def click(picture: dict[str, Any] | None, wanted: str, event: gr.SelectData) -> tuple[Any, ...]:
        given = chosen(picture)
        if given is None or wanted != CLICK:
            return (gr.skip(),) * len(shown)
        with plain_errors(given.plain):
            photo = clicked.photo(given.path)
            begun = time.perf_counter()
            found = photo.segment(points=[event.index])
            taken = (time.perf_counter() - begun) * 1000
        return show(given, found, taken)

    asked = picture.select(click, [picture, wanted], shown, preprocess=False, api_visibility="private")
    asked.failure(lambda: (None, NO_ANSWER, None, ""), outputs=shown, api_visibility="private", queue=False)


@dataclass(frozen=True)
class Clicked:
    """The pictures that were clicked on last, encoded once each.

    Attributes:
        model: what encodes them.
    """

    model: Model[PromptableSegmenter]
    _recent: OrderedDict[Path, EmbeddedImage] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def photo(self, path: Path) -> EmbeddedImage:
        """The picture, ready for prompts.

        Raises:
            TriptychError: the model cannot be had, or the picture cannot be used.
        """
        model = self.model.get(gr.Info)
        with self._lock:
            found = self._recent.get(path)
        found = found or model.embed(path)
        with self._lock:
            self._recent[path] = found
            self._recent.move_to_end(path)
            while len(self._recent) > CLICKED_KEPT:
                self._recent.popitem(last=False)
        return found


def show(given: Chosen, found: Segmentation, milliseconds: float) -> tuple[dict[str, Any], str, Image.Image, str]:
    """JSON, line, drawing and table of a result.

    Raises:
        gradio.Error: the picture was deleted meanwhile.
    """
    is_cut = found.kind == "foreground"
    longest = _LONGEST["cut-out" if is_cut else "overlay"]

    def for_screen(height: int, width: int) -> View:
        scale = min(1.0, longest / max(height, width))
        return View((0, 0, width, height), (max(1, round(height * scale)), max(1, round(width * scale))))

    with plain_errors(given.plain):
        pixels, _ = load_view(given.path, for_screen)
        drawn = (cut_out if is_cut else draw_segmentation)(pixels, found)
    return found.to_json(), f"{_told(found)} · {milliseconds:.0f} ms", drawn, _areas(found)


def _told(found: Segmentation) -> str:
    """What was found, in words: ``person 24%, dog 7%``."""
    if not found.labels:
        return "Nothing that this model knows"
    parts = (f"{label} {share:.0%}" for label, share in zip(found.labels, found.shares.tolist()))
    return f"**{', '.join(parts)}** of the picture"


def _areas(found: Segmentation) -> str:
    columns = ["What", "Share", "Pixels", "Sure"]
    rows: list[list[Cell | str]] = [
        [
            label,
            Cell(f"{share:.1%}", tag="number"),
            Cell(f"{area:,}", tag="number"),
            Cell(f"{score:.0%}", tag="number"),
        ]
        for label, share, area, score in zip(
            found.labels, found.shares.tolist(), found.areas.tolist(), found.scores.tolist()
        )
    ]
    return table("Areas", columns, rows) if rows else ""
