"""The face page: where faces are, whether two are one person's, who somebody is, and an album by persons."""

from __future__ import annotations

from typing import Any

import gradio as gr

from demos.examples import FACES, pictures
from demos.faces import album, verify, who
from demos.faces.elsewhere import find_elsewhere
from demos.faces.seen import counted, draw_faces, screen_of
from demos.models import Models
from demos.pages import NO_ANSWER, Page, ask, head, says, which
from demos.pictures import chosen, example_pictures, picture_input, picture_output, sent
from demos.sharing import result_viewer, strip
from demos.tables import Cell, table
from vision.types import Faces

PAGE = Page("Faces", "faces", "Which faces are in this picture, do two show one person, who is it, and who is where?")

_PARTS = ("size", "sharpness", "frontality")


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(
        PAGE,
        "Pictures are deleted within a quarter of an hour. Only whom you enrol is kept: as numbers and the name that "
        "you give, on this machine and for this page alone, until you forget them or a quarter of an hour after the "
        "last of them. Enrol only people who agreed to it.",
    )
    which(models.faces.card)
    with gr.Tab("Find"):
        _build_find(models)
    with gr.Tab("Verify"):
        verify.build(models)
    with gr.Tab("Who is it?"):
        who.build(models)
    with gr.Tab("Album"):
        album.build(models)


def _build_find(models: Models) -> None:
    invitation = "Choose a picture with people in it" + (", or click an example." if pictures(FACES) else ".")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            picture = picture_input()
            example_pictures(FACES, picture)
        with gr.Column(scale=3, min_width=300):
            answer = says(invitation)
            drawn = picture_output("Found", "The picture with a box and five points on each face")
            listed = gr.HTML(label="Faces", js_on_load=None, apply_default_css=False)
    result = result_viewer("Faces")

    def faces(picture: dict[str, Any] | None) -> tuple[Any, ...]:
        """Faces of a picture with boxes, five landmarks, quality and pose; pixels of the upright picture."""
        given = chosen(picture)
        if given is None:
            return None, invitation, None, ""
        found, milliseconds = ask(models.faces, given.path, plain=given.plain)
        told = {name: value for name, value in found.to_json().items() if name != "embeddings"}
        line = f"**{counted(len(found), 'face').capitalize()}{'' if len(found) else ' found'}** · {milliseconds:.0f} ms"
        return told, line, sent(draw_faces(screen_of(given).image(), found)), _listed(found)

    shown = [result, answer, drawn, listed]
    asked = picture.change(faces, picture, shown, preprocess=False, api_name=PAGE.path)
    asked.failure(lambda: (None, NO_ANSWER, None, ""), outputs=shown, api_visibility="private", queue=False)
    strip(asked, given=[picture], result=result, write=find_elsewhere)


def _listed(found: Faces) -> str:
    rows: list[list[Cell | str]] = []
    for at in range(len(found)):
        parts = ", ".join(f"{name} {value:.0%}" for name, value in zip(_PARTS, found.quality_parts[at].tolist()))
        yaw, pitch, roll = found.pose[at].tolist()
        name = f"{at + 1}, the main one" if at == found.main and len(found) > 1 else str(at + 1)
        pose = f"turned {yaw:+.0f}°, raised {pitch:+.0f}°, leaning {roll:+.0f}°"
        score, quality = float(found.scores[at]), float(found.quality[at])
        rows.append([name, Cell(f"{score:.0%}", tag="number"), Cell(f"{quality:.0%}", tag="number", soft=parts), pose])
    return table("Faces, surest first", ["Face", "Score", "Quality", "Pose"], rows) if rows else ""
