"""What a visitor asks of a picture by clicks: points on a thing and beside it, and a box; read, and drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

from demos.pages import refusal

ON, BESIDE, CORNER = "a point on it", "a point beside it", "a corner of a box"
MOST_POINTS = 50
_ON, _BESIDE = "#0b7285", "#c2255c"


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


def draw_prompts(picture: Image.Image, asked: Asked, size: tuple[int, int]) -> Image.Image:
    """The picture with what was clicked: a filled dot on the thing, a ring beside it, and the box or its first corner.

    Args:
        picture: RGB, of any size. It is not changed.
        asked: in pixels of the upright picture.
        size: height and width of that one.
    """
    picture = picture.copy()
    pen = ImageDraw.Draw(picture)
    across, down = picture.width / size[1], picture.height / size[0]
    thick = max(2, round(max(picture.size) / 240))
    radius = 2.5 * thick
    if asked.box is not None:
        x1, y1, x2, y2 = asked.box
        edges = (x1 * across, y1 * down, x2 * across, y2 * down)
        pen.rectangle(edges, outline="white", width=2 * thick)
        pen.rectangle(edges, outline=_ON, width=thick)
    dots = [(at, _ON if on else None) for at, on in zip(asked.points, asked.on)]
    for (x, y), fill in [*dots, *([] if asked.corner is None else [(asked.corner, "white")])]:
        middle = x * across, y * down
        edges = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
        pen.ellipse(edges, fill=fill, outline="white" if fill == _ON else _BESIDE, width=thick)
    return picture
