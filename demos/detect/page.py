"""The detection page: where the things in a picture are, and how many of each a video shows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np

from demos.choosing import picker
from demos.detect.clips import clip_input
from demos.examples import DETECT
from demos.models import LOWEST_SCORE, Models
from demos.pages import KEPT_SECONDS, NO_ANSWER, Page, ask, head, plain_errors, refusal, says
from demos.pictures import LONGEST, Screen, chosen, example_pictures, picture_input, picture_output, sent
from demos.sharing import Elsewhere, predict_command, strip, upload
from demos.tables import Cell, table
from shared.predictor import Predictor
from vision.detection.task import SCORE_THRESHOLD
from vision.draw import draw_detections
from vision.tiles import TILE, tiled
from vision.types import Detections

PAGE = Page("Detect", "detect", "What is in this picture, and where? People, animals, vehicles and 70 other things.")

MOST_TILED = 24_000_000
"""Pixels of a picture that is looked at in tiles: about a hundred tiles, each of which asks the model once."""
_CODE = """import json

import vision

found = {detector}.predict([{name!r}])[0]
print(json.dumps(found.to_json()))
"""


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE)
    invitation = "Choose a picture, or click an example."
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            picture = picture_input()
            example_pictures(DETECT, picture)
            model = picker(models.detectors.cards)
            threshold = gr.Slider(
                LOWEST_SCORE,
                0.95,
                SCORE_THRESHOLD,
                step=0.01,
                label="Least score",
                info="Shows the boxes that score at least this. Moving it asks the model nothing.",
            )
            wanted = gr.Dropdown([], multiselect=True, label="Show only", info="Of the classes found; empty shows all.")
            tiles = gr.Checkbox(
                False,
                label="Look in tiles too",
                info=f"For small things in large pictures: overlapping tiles of {TILE} pixels, slower.",
            )
        with gr.Column(scale=3, min_width=300):
            answer = says(invitation)
            drawn = picture_output("Found", "The picture with a box around each thing found")
            counts = gr.HTML(label="Counts", js_on_load=None, apply_default_css=False)
            things = gr.HTML(label="Things", js_on_load=None, apply_default_css=False)
            with gr.Accordion("The result as JSON", open=False):
                result = gr.JSON(label="Detections")
    found = gr.State(time_to_live=KEPT_SECONDS)
    shown = [result, answer, drawn, counts, things]

    def nothing(said: str = NO_ANSWER) -> tuple[Any, ...]:
        return None, None, said, None, "", "", gr.Dropdown([], value=None)

    def detect(
        picture: dict[str, Any] | None,
        threshold: float = SCORE_THRESHOLD,
        tiles: bool = False,
        model: str | None = None,
    ) -> tuple[Any, ...]:
        """Where the things in a picture are: boxes in pixels of the upright picture, best first.

        ``threshold`` is the least score of a box that is shown, in 0..1; ``tiles`` looks at overlapping parts of the
        picture too; the first model is
        asked by default. Returns the boxes as JSON, a line of counts, the drawn picture and tables in HTML.
        """
        given = chosen(picture)
        if given is None:
            return nothing(invitation)
        detections, milliseconds = ask(
            models.detectors.named(model), given.path, plain=given.plain, through=_in_tiles if tiles else None
        )
        with plain_errors(given.plain):
            kept = Found(Screen.of(given.path, LONGEST), detections, milliseconds)
        return kept, *show(kept, threshold), gr.Dropdown(classes_of(detections), value=None)

    def redraw(kept: Found | None, threshold: float, wanted: list[str] | None) -> tuple[Any, ...]:
        return (None, invitation, None, "", "") if kept is None else show(kept, threshold, wanted or ())

    events = []
    for change, public in ((picture.change, True), (tiles.input, False), (model.input, False)):
        named: dict[str, Any] = {"api_name": PAGE.path} if public else {"api_visibility": "private"}
        asked = change(detect, [picture, threshold, tiles, model], [found, *shown, wanted], preprocess=False, **named)
        asked.failure(nothing, outputs=[found, *shown, wanted], api_visibility="private", queue=False)
        events.append(asked)
    events += [
        moved(
            redraw,
            [found, threshold, wanted],
            shown,
            api_visibility="private",
            show_progress="hidden",
            trigger_mode="always_last",
        )
        for moved in (threshold.change, wanted.input)
    ]

    def written(*values: Any) -> Elsewhere | None:
        picture, threshold, tiles, wanted, name = values
        return elsewhere(picture, threshold, tiles, wanted, models.detectors.told(name))

    strip(events, given=[picture, threshold, tiles, wanted, model], result=result, write=written)
    clip_input(models, model)


def elsewhere(
    picture: dict[str, Any] | None,
    threshold: float,
    tiles: bool,
    wanted: Sequence[str] | None,
    model: str | None = None,
) -> Elsewhere | None:
    """The same request outside the page; ``model`` where it is not the task's own."""
    file = upload(picture)
    if file is None:
        return None
    classes = tuple(wanted or ())
    options = ("" if model is None else f"{model!r}, ") + f"score_threshold={threshold}"
    detector = f"vision.detector({options}{f', classes={classes!r}' if classes else ''})"
    task = "vision.detection"
    return Elsewhere(
        _CODE.format(detector=f"vision.tiled({detector})" if tiles else detector, name=file.name),
        predict_command(
            task, file, model=model, score_threshold=threshold, classes=classes, tile=TILE if tiles else None
        ),
        PAGE.path,
        [file, threshold, tiles, model],
        task,
        file,
        model,
        remark="all boxes from a score of 0.3 on, unless its model is opened with another" if threshold != 0.3 else "",
    )


def _in_tiles(detector: Predictor[Any, Detections]) -> Predictor[Any, Detections]:
    return tiled(detector, max_pixels=MOST_TILED)


@dataclass(frozen=True)
class Found:
    """What the model answered for the picture that is shown, kept so that no control need ask again.

    Attributes:
        screen: the visitor's picture, as it is drawn on.
        detections: all of them, down to :data:`demos.models.LOWEST_SCORE`.
        milliseconds: what they took.
    """

    screen: Screen
    detections: Detections
    milliseconds: float


def show(found: Found, threshold: float, wanted: Sequence[str] = ()) -> tuple[dict[str, Any], str, str, str, str]:
    """JSON, line, drawing and tables of what scores at least ``threshold`` and is of the wanted classes.

    Args:
        found: what the model answered.
        threshold: the least score, in 0..1.
        wanted: names of classes; all when empty.

    Raises:
        gradio.Error: ``threshold`` is not in 0..1.
    """
    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise refusal(f"the least score must be a number from 0 to 1. Got {threshold!r} instead")
    begun = time.perf_counter()
    kept = at_least(found.detections, threshold, wanted)
    drawn = sent(draw_detections(found.screen.image(), kept))
    taken = (time.perf_counter() - begun) * 1000
    line = f"{_counted(kept)} · {found.milliseconds:.0f} ms · drawn in {taken:.0f} ms"
    return kept.to_json(), line, drawn, _counts(kept), _things(kept)


def at_least(found: Detections, threshold: float, wanted: Sequence[str] = ()) -> Detections:
    """The detections that score at least so much, of the wanted classes; of all when none is named."""
    named = np.array([not wanted or label in wanted for label in found.labels], np.bool_)
    kept = np.flatnonzero((found.scores >= threshold) & named)
    return replace(
        found,
        xyxy=found.xyxy[kept],
        scores=found.scores[kept],
        class_ids=found.class_ids[kept],
        labels=tuple(found.labels[at] for at in kept),
    )


def classes_of(found: Detections) -> list[str]:
    """The classes found, the surest first."""
    return list(dict.fromkeys(found.labels))


def _counted(found: Detections) -> str:
    """How many of each, in words: ``4 × person, 1 × bus``."""
    if not found.labels:
        return "Nothing scores that much"
    return f"**{', '.join(f'{n} × {label}' for label, n in Counter(found.labels).most_common())}**"


def _counts(found: Detections) -> str:
    """How many of each class, and the surest of them."""
    best = dict(reversed(list(zip(found.labels, found.scores.tolist()))))
    rows: list[list[Cell | str]] = [
        [label, Cell(str(n), tag="number"), Cell(f"{best[label]:.0%}", tag="number")]
        for label, n in Counter(found.labels).most_common()
    ]
    return table("Counts", ["Thing", "Count", "Surest"], rows) if rows else ""


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
