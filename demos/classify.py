"""The image classification page: what a picture is of."""

from __future__ import annotations

from typing import Any

import gradio as gr

from demos.choosing import picker
from demos.examples import CLASSIFY
from demos.models import Models
from demos.pages import NO_ANSWER, Page, ask, head, says
from demos.pictures import chosen, example_pictures, picture_input
from demos.sharing import Elsewhere, predict_command, result_viewer, strip, upload

PAGE = Page(
    "Classify", "classify", "What is this a picture of? One of the 1,000 things of ImageNet, five best guesses."
)

_CODE = """import json

import vision

found = vision.classifier({model}).predict([{name!r}])[0]
print(json.dumps(found.to_json()))
"""


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE)
    invitation = "Choose a picture, or click an example."
    with gr.Row():
        with gr.Column(min_width=300):
            picture = picture_input()
            example_pictures(CLASSIFY, picture)
            model = picker(models.classifiers.cards)
        with gr.Column(min_width=300):
            answer = says(invitation)
            labels = gr.Label(label="Best guesses", show_heading=False)
    result = result_viewer("Classification")

    def classify(picture: dict[str, Any] | None, model: str | None = None) -> tuple[Any, ...]:
        """What a picture is of: labels with scores that add up to at most 1, best first; the first model by default."""
        given = chosen(picture)
        if given is None:
            return None, invitation, None
        found, milliseconds = ask(models.classifiers.named(model), given.path, plain=given.plain)
        best = f"**{found.labels[0]}** · {found.scores[0]:.0%} sure · {milliseconds:.0f} ms"
        return found.to_json(), best, dict(zip(found.labels, found.scores.tolist()))

    shown = [result, answer, labels]
    given = [picture, model]
    asked = [
        picture.change(classify, given, shown, preprocess=False, api_name=PAGE.path),
        model.input(classify, given, shown, preprocess=False, api_visibility="private"),
    ]
    for event in asked:
        event.failure(lambda: (None, NO_ANSWER, None), outputs=shown, api_visibility="private", queue=False)
    strip(asked, given=given, result=result, write=lambda one, name: elsewhere(one, models.classifiers.told(name)))


def elsewhere(picture: dict[str, Any] | None, model: str | None = None) -> Elsewhere | None:
    """The same request outside the page; ``model`` where it is not the task's own."""
    file = upload(picture)
    if file is None:
        return None
    task = "vision.classification"
    return Elsewhere(
        _CODE.format(model="" if model is None else repr(model), name=file.name),
        predict_command(task, file, model=model),
        PAGE.path,
        [file, model],
        task,
        file,
        model,
    )
