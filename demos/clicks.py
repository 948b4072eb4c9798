"""The part of the segmentation page that takes clicks: points on a thing and beside it, and a box around it."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from demos.models import Model
from demos.pages import NO_ANSWER, plain_errors, refusal
from demos.pictures import chosen
from vision.segmentation.promptable import EmbeddedImage, PromptableSegmenter
from vision.types import Segmentation

CLICK = "What I click on"
NOW_CLICK = "Now click on a thing in the picture on the left."
ON, BESIDE, CORNER = "a point on it", "a point beside it", "a corner of a box"
CLICKED_KEPT = 4
"""Pictures that stay encoded for further clicks, over all visitors."""
MOST_POINTS = 50


@dataclass(frozen=True)
class Asked:
    """What a visitor clicked so far, of one thing, in pixels of the upright picture.

    Attributes:
        points: x and y of each point.
        on: for each point whether it is on the thing.
        corner: the first corner of a box that lacks its second.
        box: x1, y1, x2, y2.

    Example:
        >>> Asked().clicked((9, 8), CORNER).clicked((2, 3), CORNER).box
        (2.0, 3.0, 9.0, 8.0)
    """

    points: tuple[tuple[float, float], ...] = ()
    on: tuple[bool, ...] = ()
    corner: tuple[float, float] | None = None
    box: tuple[float, float, float, float] | None = None

    def clicked(self, at: Sequence[float], meaning: str) -> Asked:
        """With one click more; the second corner of a box closes it, and a further one begins another."""
        x, y = float(at[0]), float(at[1])
        if meaning != CORNER:
            return Asked((*self.points, (x, y)), (*self.on, meaning == ON), self.corner, self.box)
        if self.corner is None:
            return Asked(self.points, self.on, (x, y), None)
        (first, second), (third, fourth) = sorted((self.corner[0], x)), sorted((self.corner[1], y))
        return Asked(self.points, self.on, None, (first, third, second, fourth))

    @property
    def whole(self) -> bool:
        """Whether there is something to ask: a point on the thing, or a box."""
        return self.box is not None or any(self.on)

    def to_text(self) -> str:
        """As JSON, for the box that :func:`read_prompts` reads."""
        told: dict[str, Any] = {"points": [list(point) for point in self.points]}
        told["on"] = list(self.on)
        if self.box is not None:
            told["box"] = list(self.box)
        return json.dumps(told)


def read_prompts(text: str) -> Asked:
    """Points and box from JSON such as ``{"points": [[40, 30]], "on": [true], "box": [10, 10, 60, 50]}``.

    ``on`` may be left out where all points are on the thing.

    Raises:
        gradio.Error: it is no such JSON, there are too many points, or nothing says where the thing is.

    Example:
        >>> read_prompts('{"points": [[40, 30]]}').on
        (True,)
    """
    form = 'JSON like {"points": [[40, 30]], "on": [true], "box": [10, 10, 60, 50]}'
    try:
        told = json.loads(text or "{}")
        points = tuple((float(x), float(y)) for x, y in told.get("points", []))
        on = tuple(bool(value) for value in told.get("on", [True] * len(points)))
        edges = tuple(float(edge) for edge in told["box"]) if told.get("box") else None
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise refusal(f"points and box must be {form}. {error}") from error
    if len(on) != len(points) or len(points) > MOST_POINTS:
        raise refusal(f"there must be at most {MOST_POINTS} points, each with its 'on'. Got {len(points)}, {len(on)}")
    if edges is not None and len(edges) != 4:
        raise refusal(f"a box must be x1, y1, x2, y2. Got {len(edges)} numbers instead")
    asked = Asked(points, on, None, None if edges is None else (edges[0], edges[1], edges[2], edges[3]))
    if not asked.whole:
        raise refusal(f"a thing must be told by a point on it or a box around it: {form}")
    return asked


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


def prompt_input(
    clicked: Clicked,
    picture: gr.Image,
    wanted: gr.Radio,
    *,
    drawing: tuple[gr.Radio, gr.Slider],
    shown: list[Any],
    answered: Callable[..., tuple[Any, ...]],
) -> None:
    """Lay out what clicks mean, and answer them.

    Args:
        clicked: what answers.
        picture: that is clicked on.
        wanted: what a visitor wants found; clicks count where it says :data:`CLICK`.
        drawing: the controls of how it is drawn.
        shown: what an answer fills.
        answered: fills it from the picture, the segment, its milliseconds and the values of ``drawing``.
    """
    with gr.Group(visible=False) as group:
        meaning = gr.Radio([ON, BESIDE, CORNER], value=ON, label="A click is")
        text = gr.Textbox(
            "",
            label="Points and box",
            info="In pixels from the top left. Clicks write here; or write it yourself and press Enter.",
        )
        again = gr.Button("Another thing", size="sm", elem_classes="small")
    asked = gr.State(Asked())
    nothing = (None, None, NO_ANSWER, None, "")

    def prompt(picture: dict[str, Any] | None, text: str, way: str, opacity: float) -> tuple[Any, ...]:
        """The thing that points or a box tell, its mask as COCO's run lengths.

        ``text`` is JSON of ``points`` (x, y), whether each is ``on`` the thing, and a ``box`` (x1, y1, x2, y2).
        """
        told = read_prompts(text)
        given = chosen(picture)
        if given is None:
            raise refusal("there must be a picture to ask about. Choose one first")
        with plain_errors(given.plain):
            found, taken = clicked.segment(given.path, told)
        return told, *answered(given, found, taken, way, opacity)

    def click(  # noqa: PLR0917 - Gradio gives the values of the inputs in their order
        picture: dict[str, Any] | None,
        wanted: str,
        meaning: str,
        before: Asked,
        way: str,
        opacity: float,
        event: gr.SelectData,
    ) -> tuple[Any, ...]:
        if picture is None or wanted != CLICK:
            return (gr.skip(),) * (2 + len(shown))
        told = before.clicked(event.index, meaning)
        if not told.whole:
            words = "Now click on the opposite corner." if told.corner else "Now click on the thing itself."
            return told, told.to_text(), *nothing[:2], words, *nothing[3:]
        if len(told.points) > MOST_POINTS:
            raise refusal(f"there must be at most {MOST_POINTS} points. Begin another thing")
        return told, told.to_text(), *prompt(picture, told.to_text(), way, opacity)[1:]

    def anew() -> tuple[Any, ...]:
        return Asked(), ""

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
    again.click(
        lambda: (*anew(), *nothing[:2], NOW_CLICK, *nothing[3:]),
        None,
        [asked, text, *shown],
        api_visibility="private",
        queue=False,
    )
    for changed in (picture.change, wanted.change):
        changed(anew, None, [asked, text], api_visibility="private", queue=False, show_progress="hidden")
    wanted.change(lambda value: gr.Group(visible=value == CLICK), wanted, group, api_visibility="private", queue=False)
