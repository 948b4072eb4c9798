"""The tab that knows people: enrol them from files or the webcam, tell who is in a picture, and forget them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from demos.examples import FACES, pictures
from demos.faces.desk import INVITATION, Desk, people_html
from demos.faces.elsewhere import known_elsewhere
from demos.faces.known import MOST_NAME, MOST_PICTURES, forgotten
from demos.faces.seen import altered, copied, rate_choice, shown_name
from demos.models import Models
from demos.pages import KEPT_SECONDS, NO_ANSWER, says
from demos.pictures import picture_input, picture_output, uploads_only
from demos.sharing import result_viewer, strip

_PRIVATE: dict[str, Any] = {"api_visibility": "private"}


def build(models: Models) -> None:
    """Lay the tab out."""
    card = models.faces.card
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            name = gr.Textbox(label="Name", max_length=MOST_NAME, placeholder="Whose pictures are these?")
            files = gr.File(
                label=f"Pictures of this person, at most {MOST_PICTURES}",
                file_count="multiple",
                file_types=["image"],
                height=150,
            )
            uploads_only(files, "a picture")
            snapshot = picture_input("Or a snapshot by the webcam", sources=["webcam"], height=240)
            enrol = gr.Button("Enrol", variant="primary")
            portraits = pictures(FACES)[:1]
            offered = [
                gr.Button(f"{shown_name(portrait)}, and the same mirrored and darker", size="sm", elem_classes="small")
                for portrait in portraits
            ]
            listed = gr.HTML(people_html({}), label="Enrolled", js_on_load=None, apply_default_css=False)
            whom = gr.Dropdown([], multiselect=True, label="Whom to forget")
            with gr.Row():
                forget = gr.Button("Forget these", size="sm", elem_classes="small")
                everybody = gr.Button("Forget everybody", size="sm", elem_classes="small")
        with gr.Column(scale=3, min_width=300):
            picture = picture_input("Who is in this picture?", height=240)
            far = rate_choice(card, "Of one comparison: with n people a stranger is taken for one n times as often.")
            answer = says(INVITATION)
            drawn = picture_output("Recognised", "The picture with a name on each face")
            found = gr.HTML(label="Faces and names", js_on_load=None, apply_default_css=False)
            taken = gr.HTML(label="Pictures enrolled", js_on_load=None, apply_default_css=False)
    result = result_viewer("People")
    known = gr.State(None, time_to_live=KEPT_SECONDS, delete_callback=forgotten)
    last = gr.State(None, time_to_live=KEPT_SECONDS)

    desk = Desk(models)
    person = [name, files, snapshot]
    after = [result, answer, taken, listed, whom, known]
    told = [result, answer, drawn, found, taken]
    once: dict[str, Any] = {"preprocess": False, "concurrency_limit": 1, "concurrency_id": "enrol"}
    changes = [
        enrol.click(desk.enroll, [*person, known], after, api_name="faces_enroll", **once),
        forget.click(desk.forget_some, [whom, known], after, preprocess=False, api_name="faces_forget"),
        everybody.click(desk.forget_all, known, after, api_name="faces_forget_all"),
    ]
    for button in offered:
        filled = button.click(
            lambda: (shown_name(portraits[0]), [copied(portraits[0])], None), outputs=person, queue=False, **_PRIVATE
        )
        changes.append(filled.then(desk.enroll, [*person, known], after, **once, **_PRIVATE))
        changes[-1].success(lambda: altered(portraits[0]), outputs=picture, queue=False, **_PRIVATE)
    asked = picture.change(
        desk.identify, [picture, far, known], [*told, last], preprocess=False, api_name="faces_identify"
    )
    asked.failure(lambda: (None, NO_ANSWER, None, "", "", None), outputs=[*told, last], queue=False, **_PRIVATE)
    judged = far.input(desk.again, [last, far, known], told, show_progress="hidden", **_PRIVATE)
    for event in changes:
        event.success(lambda: ("", None, None), outputs=person, queue=False, **_PRIVATE)
        event.success(desk.redrawn, [last, far, known], told[2:4], show_progress="hidden", **_PRIVATE)
        event.failure(lambda: (None, NO_ANSWER, ""), outputs=after[:3], queue=False, **_PRIVATE)
    strip([*changes, asked, judged], given=[known, picture, far], result=result, write=known_elsewhere)
