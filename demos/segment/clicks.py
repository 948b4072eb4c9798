"""The part of the segmentation page that takes clicks: points on a thing and beside it, and a box around it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from demos.opening import Model
from demos.pages import NO_ANSWER, plain_errors, refusal
from demos.pictures import LONGEST, Screen, chosen, sent
from demos.recent import Recent
from demos.segment.prompts import BESIDE, CORNER, MOST_POINTS, ON, Asked, draw_prompts, read_prompts
from demos.sharing import Elsewhere, upload
from vision.images import size_of
from vision.segmentation.promptable import EmbeddedImage, PromptableSegmenter
from vision.types import Segmentation

CLICK = "What I click on"
NOW_CLICK = "Now click on a thing in the picture on the left."
CLICKED_KEPT = 4
"""Pictures that stay encoded for further clicks, over all visitors."""
_CODE = """import json

import vision

photo = vision.promptable_segmenter().embed({name!r})
found = photo.segment({options})
print(json.dumps(found.to_json()))
"""
_NOTHING = ("", Asked())


@dataclass(frozen=True)
class Clicked:
    """The pictures that were clicked on last, encoded once each.

    Attributes:
        model: what encodes them.
    """

    model: Model[PromptableSegmenter]
    _recent: Recent[Path, EmbeddedImage] = field(default_factory=lambda: Recent(CLICKED_KEPT))

    def photo(self, path: Path) -> EmbeddedImage:
        """The picture, ready for prompts.

        Raises:
            TriptychError: the model cannot be had, or the picture cannot be used.
        """
        model = self.model.get(gr.Info)
        found = self._recent.get(path)
        if found is None:
            found = model.embed(path)
            self._recent.put(path, found)
        return found

    def segment(self, path: Path, asked: Asked) -> tuple[Segmentation, float]:
        """The thing that is asked for, and the milliseconds that the answer took once the picture was encoded.

        Raises:
            TriptychError: as :meth:`photo`; or a point lies outside of the picture.
        """
        photo = self.photo(path)
        begun = time.perf_counter()
        found = photo.segment(
            points=[list(asked.points)] if asked.points else None,
            point_labels=[[int(on) for on in asked.on]] if asked.points else None,
            boxes=None if asked.box is None else [list(asked.box)],
        )
        return found, (time.perf_counter() - begun) * 1000


@dataclass(frozen=True)
class Controls:
    """What says what a click means, laid out where the picture is.

    Attributes:
        group: all of it, which is hidden until clicks are wanted.
        meaning: of the next click.
        text: points and box as JSON.
        again: begins another thing.
    """

    group: gr.Column
    meaning: gr.Radio
    text: gr.Textbox
    again: gr.Button


def prompt_controls() -> Controls:
    """Lay out what clicks mean in the Blocks that is open."""
    with gr.Column(visible=False) as group:
        meaning = gr.Radio([ON, BESIDE, CORNER], value=ON, label="A click is")
        text = gr.Textbox(
            "",
            label="Points and box",
            info="In pixels from the top left. Clicks write here; or write it yourself and press Enter.",
        )
        again = gr.Button("Another thing", size="sm", elem_classes="small")
    return Controls(group, meaning, text, again)


def answer_prompts(
    clicked: Clicked,
    picture: gr.Image,
    wanted: gr.Radio,
    *,
    controls: Controls,
    drawing: tuple[gr.Radio, gr.Slider],
    shown: list[Any],
    answered: Callable[..., tuple[Any, ...]],
) -> list[Dependency]:
    """Answer clicks on a picture, and points that are written.

    Args:
        clicked: what answers.
        picture: that is clicked on.
        wanted: what a visitor wants found; clicks count where it says :data:`CLICK`.
        controls: what a click means.
        drawing: the controls of how it is drawn.
        shown: what an answer fills.
        answered: fills it from the picture, the segment, its milliseconds, what was asked and the pair of values of
            ``drawing``.

    Returns:
        The events that answer.
    """
    meaning, text = controls.meaning, controls.text
    asked = gr.State(_NOTHING)  # of which picture, and what was asked of it
    nothing = (None, None, NO_ANSWER, None, "")

    def prompt(picture: dict[str, Any] | None, text: str, way: str, opacity: float) -> tuple[Any, ...]:
        """The thing that points or a box tell, its mask as COCO's run lengths.

        ``text`` is JSON of ``points`` (x, y), whether each is ``on`` the thing, and a ``box`` (x1, y1, x2, y2).
        """
        told = read_prompts(text)
        given = chosen(picture)
        if picture is None or given is None:
            raise refusal("there must be a picture to ask about. Choose one first")
        with plain_errors(given.plain):
            found, taken = clicked.segment(given.path, told)
        return (str(picture.get("path")), told), *answered(given, found, taken, told, (way, opacity))

    def click(  # noqa: PLR0917 - Gradio gives the values of the inputs in their order
        picture: dict[str, Any] | None,
        wanted: str,
        meaning: str,
        before: tuple[str, Asked],
        way: str,
        opacity: float,
        event: gr.SelectData,
    ) -> tuple[Any, ...]:
        if picture is None or wanted != CLICK:
            return (gr.skip(),) * (2 + len(shown))
        path = str(picture.get("path"))
        told = (before[1] if before[0] == path else Asked()).clicked(event.index, meaning)
        if not told.whole:
            words = "Now click on the opposite corner." if told.corner else "Now click on the thing itself."
            return (path, told), told.to_text(), None, None, words, _clicked_so_far(picture, told), ""
        if len(told.points) > MOST_POINTS:
            raise refusal(f"there must be at most {MOST_POINTS} points. Begin another thing")
        return (path, told), told.to_text(), *prompt(picture, told.to_text(), way, opacity)[1:]

    by_click = picture.select(
        click,
        [picture, wanted, meaning, asked, *drawing],
        [asked, text, *shown],
        preprocess=False,
        api_visibility="private",
    )
    by_text = text.submit(prompt, [picture, text, *drawing], [asked, *shown], preprocess=False, api_name="prompt")
    for event in (by_click, by_text):
        event.failure(lambda: nothing, outputs=shown, api_visibility="private", queue=False)
    controls.again.click(
        lambda: (_NOTHING, "", *nothing[:2], NOW_CLICK, *nothing[3:]),
        None,
        [asked, text, *shown],
        api_visibility="private",
        queue=False,
    )
    for changed in (picture.change, wanted.change):  # in the browser, so that nothing typed since is lost
        changed(None, None, text, js="() => ''", api_visibility="private")
    wanted.change(
        lambda value: (gr.Column(visible=value == CLICK), _NOTHING),
        wanted,
        [controls.group, asked],
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    return [by_click, by_text]


def elsewhere(picture: dict[str, Any] | None, text: str, way: str, opacity: float) -> Elsewhere | None:
    """What was clicked, asked outside the page; ``None`` where nothing whole was."""
    file = upload(picture)
    if file is None or not text:
        return None
    try:
        told = read_prompts(text)
    except gr.Error:  # a first corner alone asks nothing yet
        return None
    prompts = {
        "points": [list(map(list, told.points))] if told.points else None,
        "point_labels": [[int(on) for on in told.on]] if told.points else None,
        "boxes": None if told.box is None else [list(told.box)],
    }
    options = ", ".join(f"{name}={value!r}" for name, value in prompts.items() if value is not None)
    return Elsewhere(
        _CODE.format(name=file.name, options=options),
        "# No command takes points and boxes; Python does.",
        "prompt",
        [file, told.to_text(), way, opacity],
        "",
        file,
        remark="The service takes no points and boxes.",
    )


def _clicked_so_far(picture: dict[str, Any], asked: Asked) -> str | None:
    given = chosen(picture)
    if given is None:
        return None
    with plain_errors(given.plain):
        return sent(draw_prompts(Screen.of(given.path, LONGEST).image(), asked, size_of(given.path)))
