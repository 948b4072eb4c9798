"""What the tabs of the face page share: what is seen in pictures, false-accept rates, and boxes on faces."""

from __future__ import annotations

import html
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image, ImageDraw, ImageFont, ImageOps

from demos.models import Models
from demos.pages import plain_errors, refusal
from demos.pictures import LONGEST, Chosen, Screen, chosen
from shared.catalogue import ModelCard
from shared.types import Failure
from vision.faces.verify import DEFAULT_FAR
from vision.types import Faces

BOX, MAIN, POINT = "#0b7285", "#c2255c", "#ffd43b"
SERVES_NONE = "triptych serve finds the faces of one picture (vision.faces); it compares, keeps and groups none"


@dataclass(frozen=True)
class Seen:
    """What was seen in one picture of several.

    Attributes:
        given: the picture.
        faces: those found; ``None`` where the picture cannot be used.
        kind: a short name of the fault, or empty.
        why: it cannot be used, in the visitor's words, or empty.
    """

    given: Chosen
    faces: Faces | None
    kind: str = ""
    why: str = ""

    def problem(self) -> str:
        """Why nobody can be known by it, or empty."""
        return self.why or ("" if self.faces else "no face was found")


def see(models: Models, given: Sequence[Chosen], progress: Callable[..., object]) -> tuple[list[Seen], float]:
    """Faces of each picture in order, and the milliseconds for all; one that cannot be used costs none of the others.

    Raises:
        gradio.Error: the model cannot be had.
    """
    found: list[Seen] = []
    with plain_errors():
        recognizer = models.faces.get(gr.Info)
        begun = time.perf_counter()
        for picture, faces in zip(given, recognizer.stream([one.path for one in given], on_error="keep")):
            if isinstance(faces, Failure):
                found.append(Seen(picture, None, faces.kind, picture.plain(faces.message)))
            else:
                found.append(Seen(picture, faces))
            progress((len(found), len(given)), desc="Looking for faces", unit="pictures")
    return found, (time.perf_counter() - begun) * 1000


def several(values: Sequence[dict[str, Any]] | None, most: int, what: str) -> list[Chosen]:
    """The files that an event brought, at most so many.

    Raises:
        gradio.Error: there are more, or one is no upload.
    """
    given = values or []
    if not isinstance(given, list) or not all(isinstance(value, dict) for value in given):
        raise refusal(f"{what} must be a list of uploaded files. Got something else instead")
    if len(given) > most:
        raise refusal(f"give at most {most} {what}. Got {len(given)}")
    return [file for file in (chosen(value) for value in given) if file is not None]


def rates(card: ModelCard) -> dict[float, float]:
    """The similarity from which two faces count as one person's, by false-accept rate, the largest rate first."""
    known = card.options.get("thresholds", {})
    return dict(sorted(((float(rate), float(value)) for rate, value in known.items()), reverse=True))


def rate_choice(card: ModelCard, info: str) -> gr.Radio:
    """How many pairs of strangers may be taken for one person."""
    known = list(rates(card))
    value = DEFAULT_FAR if DEFAULT_FAR in known else next(iter(known), None)
    return gr.Radio([(one_in(far), far) for far in known], value=value, label="False-accept rate", info=info)


def one_in(far: float) -> str:
    """A rate in words.

    Example:
        >>> one_in(0.001)
        '1 in 1,000'
    """
    return f"1 in {1 / far:,.0f}"


def threshold_at(card: ModelCard, far: Any) -> float:
    """The threshold of a rate that a visitor chose.

    Raises:
        gradio.Error: the model has none for it.
    """
    known = rates(card)
    if isinstance(far, bool) or not isinstance(far, int | float) or far not in known:
        offered = ", ".join(f"{rate:g}" for rate in known) or "none"
        raise refusal(f"the false-accept rate must be one of {offered}. Got {far!r} instead")
    return known[far]


def draw_faces(picture: Image.Image, found: Faces, names: Sequence[str] = ()) -> Image.Image:
    """The picture with a box on each face, and five points or a name; the main face's box in another colour."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(13, round(max(picture.size) / 45)))
    height, width = found.image_size
    across, down = picture.width / width, picture.height / height
    line = max(1, round(max(picture.size) / 320))
    for at, ((x1, y1, x2, y2), points) in enumerate(zip(found.xyxy.tolist(), found.landmarks.tolist())):
        box = (round(x1 * across), round(y1 * down), round(x2 * across), round(y2 * down))
        colour = MAIN if at == found.main and not names else BOX
        draw.rectangle(box, outline=colour, width=line)
        for x, y in () if names else points:
            middle, radius = (x * across, y * down), 1.2 * line
            draw.ellipse((middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius), fill=POINT)
        if names:
            left, top, right, bottom = draw.textbbox((0, 0), names[at], font=font)
            wide, high = right + 2 * line + left, bottom + top
            corner = (max(0, min(box[0], picture.width - wide)), max(0, box[1] - high))
            draw.rectangle((*corner, corner[0] + wide, corner[1] + high), fill=colour)
            draw.text((corner[0] + line, corner[1]), names[at], fill="white", font=font)
    return picture


def screen_of(given: Chosen, longest: int = LONGEST) -> Screen:
    """The picture as it is drawn on.

    Raises:
        gradio.Error: it was deleted meanwhile.
    """
    with plain_errors(given.plain):
        return Screen.of(given.path, longest)


def counted(count: int, what: str) -> str:
    """A number of things in words.

    Example:
        >>> counted(0, "face"), counted(1, "face"), counted(2, "face")
        ('no face', '1 face', '2 faces')
    """
    return f"{count or 'no'} {what}{'s' * (count > 1)}"


def plain(text: str) -> str:
    r"""A visitor's words within Markdown, where none of them may be markup.

    Example:
        >>> print(plain("<b>*A*</b> [x](y)"))
        &lt;b&gt;\*A\*&lt;/b&gt; \[x\](y)
    """
    return re.sub(r"([\\`*_\[\]~|#])", r"\\\1", html.escape(text, quote=False))


def copied(picture: str) -> str:
    """Where an example picture lies for the browser, which gets no file from inside of a package."""
    path = _examples() / Path(picture).name
    if not path.is_file():
        shutil.copyfile(picture, path)
    return str(path)


def altered(picture: str) -> str:
    """Where the same picture lies, mirrored and darker: a second picture of somebody, where no other is here."""
    path = _examples() / f"{Path(picture).stem}-mirrored.jpg"
    if not path.is_file():
        screen = ImageOps.mirror(Screen.of(Path(picture), LONGEST).image())
        screen.point([round(0.6 * value) for value in range(256)] * 3).save(path, quality=90)
    return str(path)


def _examples() -> Path:
    """The same folder each time, and one that goes when the server stops."""
    folder = Path(get_upload_folder()) / "faces-examples"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shown_name(picture: str) -> str:
    """What an example picture is called.

    Example:
        >>> shown_name("/tmp/grace_hopper.jpg")
        'Grace Hopper'
    """
    return Path(picture).stem.replace("_", " ").title()
