"""The segmentation page: which pixels belong to what, what stands before its background, and the thing at a click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from demos.choosing import of_kind, offered, picker
from demos.examples import SEGMENT
from demos.models import Models
from demos.pages import KEPT_SECONDS, NO_ANSWER, Page, ask, head, plain_errors, refusal, says
from demos.pictures import LONGEST, Chosen, Screen, chosen, example_pictures, picture_input, picture_output, sent
from demos.segment import clicks
from demos.segment.clicks import CLICK, NOW_CLICK, Clicked, answer_prompts, prompt_controls
from demos.segment.prompts import Asked, draw_prompts
from demos.sharing import Elsewhere, predict_command, strip, upload
from demos.tables import Cell, table
from vision.segmentation.draw import OPACITY, cut_out, draw_segmentation
from vision.types import Segmentation

PAGE = Page(
    "Segment",
    "segment",
    "Which pixels belong to what? People, animals, vehicles and furniture; or the foreground, cut out with soft edges.",
)
OVERLAY, CUT_OUT = "Colours over the picture", "Cut out"

_CODE = """import json

import vision

found = vision.segmenter({model!r}).predict([{name!r}])[0]
print(json.dumps(found.to_json()))
"""
_LONGEST_CUT = 2048
"""Pixels of the longer side of a cut-out, which people keep; masks in the JSON have the picture's own size."""
_INVITATION = "Choose a picture, or click an example."


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE)
    kinds = {kind: choice.cards for kind, choice in models.segmenters.items()}
    if models.promptable is not None:
        kinds[CLICK] = [models.promptable.card]
    choices = list(kinds)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            picture = picture_input()
            example_pictures(SEGMENT, picture)
            wanted = gr.Radio(choices, value=choices[0], label="What to find")
            model = picker(*kinds.values())
            controls = prompt_controls()
            way = gr.Radio([OVERLAY, CUT_OUT], value=OVERLAY, label="Show it as")
            opacity = gr.Slider(
                0, 1, OPACITY, step=0.05, label="Opacity", info="Of the colours. Moving it asks the model nothing."
            )
        with gr.Column(scale=3, min_width=300):
            answer = says(_INVITATION)
            drawn = picture_output("Found", "The picture with a colour on each segment, or the foreground cut out")
            areas = gr.HTML(label="Areas", js_on_load=None, apply_default_css=False)
            with gr.Accordion("The result as JSON", open=False):
                result = gr.JSON(label="Segmentation")
    found = gr.State(time_to_live=KEPT_SECONDS)
    shown = [result, answer, drawn, areas]
    nothing = (None, None, NO_ANSWER, None, "")

    def segment(
        picture: dict[str, Any] | None,
        wanted: str = choices[0],
        way: str = OVERLAY,
        opacity: float = OPACITY,
        model: str | None = None,
    ) -> tuple[Any, ...]:
        """Which pixels of a picture belong to what: masks as COCO's run lengths, areas, and alpha of a foreground.

        ``way`` is how it is drawn, ``opacity`` how strongly the colours cover the picture, in 0..1; ``model`` is the
        first of its kind by default.
        """
        given = chosen(picture)
        if given is None:
            return *nothing[:2], _INVITATION, *nothing[3:]
        if wanted == CLICK and models.promptable:
            return *nothing[:2], NOW_CLICK, *nothing[3:]
        asked = of_kind(models.segmenters, wanted, model)
        kept = held(given, *ask(asked, given.path, plain=given.plain))
        return kept, *show(kept, way, opacity)

    def redraw(kept: Found | None, way: str, opacity: float) -> Any:
        return gr.skip() if kept is None else draw(kept, way, opacity)

    wanted.change(
        lambda wanted: gr.Dropdown(**offered(kinds[wanted])),
        wanted,
        model,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    events = []
    for change, public in ((picture.change, True), (wanted.input, False), (model.input, False)):
        named: dict[str, Any] = {"api_name": PAGE.path} if public else {"api_visibility": "private"}
        asked = change(segment, [picture, wanted, way, opacity, model], [found, *shown], preprocess=False, **named)
        asked.failure(lambda: nothing, outputs=[found, *shown], api_visibility="private", queue=False)
        events.append(asked)

    for moved in (opacity.change, way.input):
        moved(
            redraw,
            [found, way, opacity],
            drawn,
            api_visibility="private",
            show_progress="hidden",
            trigger_mode="always_last",
        )
    if models.promptable is not None:

        def answered(
            given: Chosen, told: Segmentation, milliseconds: float, asked: Asked, drawing: tuple[str, float]
        ) -> Any:
            kept = held(given, told, milliseconds, asked)
            return kept, *show(kept, *drawing)

        events += answer_prompts(
            Clicked(models.promptable),
            picture,
            wanted,
            controls=controls,
            drawing=(way, opacity),
            shown=[found, *shown],
            answered=answered,
        )

    def written(*values: Any) -> Elsewhere | None:
        picture, wanted, way, opacity, model, prompts = values
        if wanted == CLICK:
            return clicks.elsewhere(picture, prompts, way, opacity)
        return elsewhere(picture, of_kind(models.segmenters, wanted, model).card.name, wanted, way, opacity)

    strip(events, given=[picture, wanted, way, opacity, model, controls.text], result=result, write=written)


def elsewhere(
    picture: dict[str, Any] | None, model: str, wanted: str, way: str = OVERLAY, opacity: float = OPACITY
) -> Elsewhere | None:
    """The same request outside the page."""
    file = upload(picture)
    if file is None:
        return None
    task = "vision.segmentation"
    command = predict_command(task, file, model=model)
    given = [file, wanted, way, opacity, model]
    return Elsewhere(_CODE.format(model=model, name=file.name), command, PAGE.path, given, task, file, model)


@dataclass(frozen=True)
class Found:
    """What the model answered for the picture that is shown, kept so that no control need ask again.

    Attributes:
        picture: the visitor's.
        segmentation: what was found in it.
        milliseconds: what it took.
        bare: the picture with outlines alone, as it is shown at opacity 0.
        covered: the same at opacity 1. What lies between is a blend of the two, for segments do not overlap.
        asked: what was clicked, which is drawn too; ``None`` where nothing was.
    """

    picture: Chosen
    segmentation: Segmentation
    milliseconds: float
    bare: Screen
    covered: Screen
    asked: Asked | None = None


def held(given: Chosen, found: Segmentation, milliseconds: float, asked: Asked | None = None) -> Found:
    """A result with its two drawings.

    Raises:
        gradio.Error: the picture was deleted meanwhile.
    """
    with plain_errors(given.plain):
        pixels = Screen.of(given.path, LONGEST).image()
    bare, covered = (Screen.holding(draw_segmentation(pixels, found, opacity=opacity)) for opacity in (0, 1))
    return Found(given, found, milliseconds, bare, covered, asked)


def show(found: Found, way: str, opacity: float) -> tuple[dict[str, Any], str, str, str]:
    """JSON, line, drawing and table of a result.

    Raises:
        gradio.Error: as :func:`draw`.
    """
    told, drawn = found.segmentation, draw(found, way, opacity)
    return told.to_json(), f"{_told(told)} · {found.milliseconds:.0f} ms", drawn, _areas(told)


def draw(found: Found, way: str, opacity: float) -> str:
    """Where the drawing of a result lies for the browser.

    Raises:
        gradio.Error: ``way`` is not offered, ``opacity`` is not in 0..1, or the picture was deleted meanwhile.
    """
    if way not in (OVERLAY, CUT_OUT):
        raise refusal(f"the way to show it must be one of {OVERLAY}, {CUT_OUT}. Got {way!r} instead")
    if not isinstance(opacity, int | float) or not 0 <= opacity <= 1:
        raise refusal(f"the opacity must be a number from 0 to 1. Got {opacity!r} instead")
    if way == OVERLAY:
        blend = Image.blend(found.bare.image(), found.covered.image(), opacity)
        asked, size = found.asked, found.segmentation.image_size
        return sent(blend if asked is None else draw_prompts(blend, asked, size))
    with plain_errors(found.picture.plain):
        return sent(cut_out(Screen.of(found.picture.path, _LONGEST_CUT).image(), found.segmentation))


def _told(found: Segmentation) -> str:
    """What was found, in words: ``person 24%, dog 7%``."""
    if not found.labels:
        return "Nothing that this model knows"
    parts = (f"{label} {_share(share)}" for label, share in zip(found.labels, found.shares.tolist()))
    return f"**{', '.join(parts)}** of the picture"


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"


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
