"""The face page: where faces are in a picture and how fit they are, and whether two pictures show one person."""

from __future__ import annotations

import shlex
from typing import Any

import gradio as gr
from PIL import Image, ImageDraw

from demos.examples import FACES, pictures
from demos.models import Models
from demos.pages import NO_ANSWER, Page, ask, head, plain_errors, says, which
from demos.pictures import Chosen, chosen, example_pictures, picture_input
from demos.sharing import Elsewhere, predict_command, result_viewer, strip, upload
from demos.tables import Cell, table
from vision.faces.verify import DEFAULT_FAR, card_threshold, compare
from vision.images import View, load_view
from vision.types import Faces

PAGE = Page("Faces", "faces", "Which faces are in this picture, how fit are they, and do two pictures show one person?")

_LONGEST = 1280
_BOX, _MAIN, _POINT = "#0b7285", "#c2255c", "#ffd43b"
_PARTS = ("size", "sharpness", "frontality")
_CODE = """import json

import vision

recognizer = vision.face_recognizer()
print(json.dumps(recognizer.predict([{first!r}])[0].to_json()))
"""
_VERIFY = """print(json.dumps(recognizer.verify({first!r}, {second!r}, far={far!r}).to_json()))
"""


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE, "Faces are compared here and forgotten: nothing is enrolled, and uploads are deleted.")
    invitation = "Choose a picture with people in it." + ("" if pictures(FACES) else " No example is on this machine.")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            first = picture_input()
            example_pictures(FACES, first)
            second = picture_input("Second picture, to compare")
            which(models.faces.card)
        with gr.Column(scale=3, min_width=300):
            answer = says(invitation)
            drawn = gr.Image(
                label="Found",
                interactive=False,
                buttons=["download", "fullscreen"],
                alt_text="The picture with a box and five points on each face",
            )
            listed = gr.HTML(label="Faces", js_on_load=None, apply_default_css=False)
    result = result_viewer("Faces and comparison")

    def faces(first: dict[str, Any] | None, second: dict[str, Any] | None = None) -> tuple[Any, ...]:
        """Faces of a picture with landmarks and quality; with a second picture, whether their main faces are one's."""
        given = chosen(first)
        if given is None:
            return None, invitation, None, ""
        found, milliseconds = ask(models.faces, given.path, plain=given.plain)
        told: dict[str, Any] = {"faces": _without_embeddings(found)}
        line = f"**{_counted(found)}** · {milliseconds:.0f} ms"
        other = chosen(second)
        if other is not None:
            its, _ = ask(models.faces, other.path, plain=other.plain)
            words, told["verification"] = _compared(models, found, its, other)
            line = f"{words}\n\n{line}"
        with plain_errors(given.plain):
            pixels, _ = load_view(given.path, _for_screen)
        return told, line, draw_faces(Image.fromarray(pixels), found), _listed(found)

    shown = [result, answer, drawn, listed]
    asked = gr.on([first.change, second.change], faces, [first, second], shown, preprocess=False, api_name=PAGE.path)
    asked.failure(lambda: (None, NO_ANSWER, None, ""), outputs=shown, api_visibility="private", queue=False)
    strip(asked, given=[first, second], result=result, write=elsewhere)


def elsewhere(first: dict[str, Any] | None, second: dict[str, Any] | None) -> Elsewhere | None:
    """The same request outside the page."""
    one, other = upload(first), upload(second)
    if one is None:
        return None
    task, remark = "vision.faces", ""
    code, command = _CODE.format(first=one.name), predict_command(task, one)
    if other is not None:
        code += _VERIFY.format(first=one.name, second=other.name, far=DEFAULT_FAR)
        command += "\n" + shlex.join(
            ["triptych", "faces", "verify", "--far", str(DEFAULT_FAR), "--", one.name, other.name]
        )
        remark = "The service finds faces; it compares none."
    return Elsewhere(code, command, PAGE.path, [one, other], task, one, remark=remark)


def draw_faces(picture: Image.Image, found: Faces) -> Image.Image:
    """The picture with a box and five points on each face; the main face's box in another colour."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    height, width = found.image_size
    across, down = picture.width / width, picture.height / height
    line = max(1, round(max(picture.size) / 320))
    for at, ((x1, y1, x2, y2), points) in enumerate(zip(found.xyxy.tolist(), found.landmarks.tolist())):
        box = (round(x1 * across), round(y1 * down), round(x2 * across), round(y2 * down))
        draw.rectangle(box, outline=_MAIN if at == found.main else _BOX, width=line)
        for x, y in points:
            middle, radius = (x * across, y * down), 1.2 * line
            draw.ellipse((middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius), fill=_POINT)
    return picture


def _compared(models: Models, first: Faces, second: Faces, other: Chosen) -> tuple[str, dict[str, Any] | None]:
    if first.main is None or second.main is None:
        which = "first picture" if first.main is None else other.name
        return f"Nothing to compare: no face was found in the {which}.", None
    with plain_errors():
        found = compare(first, second, threshold=card_threshold(models.faces.card, DEFAULT_FAR), far=DEFAULT_FAR)
    word = "One person" if found.same else "Two persons"
    said = f"**{word}**: alike by {found.similarity:.2f}, where {found.threshold:.2f} or more counts as one"
    return f"{said} (one pair of strangers in {1 / DEFAULT_FAR:,.0f} is taken for one)", found.to_json()


def _without_embeddings(found: Faces) -> dict[str, Any]:
    return {name: value for name, value in found.to_json().items() if name != "embeddings"}


def _counted(found: Faces) -> str:
    return {0: "No face found", 1: "1 face"}.get(len(found), f"{len(found)} faces")


def _for_screen(height: int, width: int) -> View:
    scale = min(1.0, _LONGEST / max(height, width))
    return View((0, 0, width, height), (max(1, round(height * scale)), max(1, round(width * scale))))


def _listed(found: Faces) -> str:
    rows: list[list[Cell | str]] = []
    for at in range(len(found)):
        parts = ", ".join(f"{name} {value:.0%}" for name, value in zip(_PARTS, found.quality_parts[at].tolist()))
        yaw, pitch, roll = found.pose[at].tolist()
        name = f"{at + 1}, compared" if at == found.main else str(at + 1)
        pose = f"turned {yaw:+.0f}°, raised {pitch:+.0f}°, leaning {roll:+.0f}°"
        score, quality = float(found.scores[at]), float(found.quality[at])
        rows.append([name, Cell(f"{score:.0%}", tag="number"), Cell(f"{quality:.0%}", tag="number", soft=parts), pose])
    return table("Faces, surest first", ["Face", "Score", "Quality", "Pose"], rows) if rows else ""
