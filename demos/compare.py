"""The page that compares two models: on one text or picture side by side, and on a labelled data set with a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from demos.comparing import ONE, asked_both, data_events, model_choice, picked, written
from demos.differing import differing
from demos.judging import sample_pictures, sample_texts
from demos.kinds import PICTURES, Bench, kinds_of_texts
from demos.models import Models
from demos.pages import NO_ANSWER, Page, head, plain_errors, refusal, says
from demos.pictures import LONGEST, Chosen, Screen, chosen, example_pictures, picture_input, sent
from demos.sharing import result_viewer, strip
from vision.detection.task import SCORE_THRESHOLD
from vision.draw import draw_detections
from vision.segmentation.draw import draw_segmentation
from vision.types import Detections, Segmentation

PAGE = Page("Compare", "compare", "Two models on the same input, and on the same labelled data: which is better?")

MOST_CHARACTERS = 20_000
EXAMPLES = (
    ("gradio", "media_assets/images/lion.jpg"),
    ("gradio", "test_data/cheetah2.jpg"),
    ("ultralytics", "assets/bus.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
)
_TEXTS = {
    "A warm film": ["A warm, funny film that earns every one of its tears.", "Sentiment"],
    "A double no": ["Not a film that I would not see again.", "Sentiment"],
    "A central bank": ["The central bank held its rate as inflation slowed for a third month.", "Topic"],
    "A street": ["Two men are standing on the street.", "English to German"],
}
_INVITATION = "Choose a picture, upload a zip, or click an example."


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE, "What you upload stays on this machine and is deleted.")
    with gr.Tab("Texts"):
        _texts(Bench.of(kinds_of_texts(), models))
    with gr.Tab("Pictures"):
        _pictures(Bench.of(PICTURES, models))


def _texts(bench: Bench) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            kind, first, second = model_choice(bench)
            text = gr.Textbox(label="Text", lines=3, max_length=MOST_CHARACTERS, placeholder="Any text.")
            both = gr.Button("Ask both", variant="primary")
            examples = gr.Examples(
                list(_TEXTS.values()), [text, kind], example_labels=list(_TEXTS), cache_examples=False,
                api_visibility="private",
            )  # fmt: skip
            file = gr.File(label="Labelled texts", height=150)
            form = gr.Markdown(_form(bench, "Sentiment"), elem_classes="note")
            judged = gr.Button("Compare on the file", variant="primary")
            made = gr.Button("Compare on 24 short reviews", size="sm", elem_classes="small")
        with gr.Column(scale=3, min_width=300):
            answer = says("Write a text, upload a file, or click an example.")
            shown = gr.HTML(label="Comparison", js_on_load=None, apply_default_css=False)
    result = result_viewer("Comparison")
    mode = gr.State(ONE)

    def side_by_side(text: str, kind: str, first: str | None = None, second: str | None = None) -> tuple[Any, ...]:
        """What both models say of one text; the kind's own two where none are named."""
        _, *names = bench.pair(kind, first, second)
        if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
            raise refusal(f"a text must have at most {MOST_CHARACTERS:,} characters. Got {len(text or ''):,}")
        answers, took = asked_both(bench, names, text)
        side = differing(answers)
        return {name: one.to_json() for name, one in answers.items()}, f"{side.line} · {took}", side.html, ONE

    chose, outputs = [kind, first, second], [result, answer, shown, mode]
    kind.change(lambda kind: _form(bench, kind), kind, form, api_visibility="private", queue=False)
    kind.input(picked(bench), kind, [first, second], api_visibility="private", queue=False)
    by_example = examples.load_input_event.then(picked(bench), kind, [first, second], api_visibility="private")
    asked = [
        both.click(side_by_side, [text, *chose], outputs, preprocess=False, api_name="compare_text"),
        by_example.then(side_by_side, [text, *chose], outputs, preprocess=False, api_visibility="private"),
        *data_events(
            bench, file, chose, outputs,
            buttons=(judged, made), sample=(sample_texts, "Sentiment"), api_name="compare_table",
        ),
    ]  # fmt: skip
    for event in asked:
        event.failure(lambda: (None, NO_ANSWER, "", ONE), outputs=outputs, api_visibility="private", queue=False)

    strip(asked, given=[text, file, mode, *chose], result=result, write=written(bench, "compare_text", "compare_table"))


def _pictures(bench: Bench) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            kind, first, second = model_choice(bench)
            picture = picture_input()
            example_pictures(EXAMPLES, picture)
            file = gr.File(label="Labelled pictures, as a zip", file_types=[".zip"], height=150)
            form = gr.Markdown(_form(bench, "What it is of"), elem_classes="note")
            judged = gr.Button("Compare on the zip", variant="primary")
            made = gr.Button("Compare on five pictures", size="sm", elem_classes="small")
        with gr.Column(scale=3, min_width=300):
            answer = says(_INVITATION)
            with gr.Row(visible=False) as both:
                drawn = [
                    gr.Image(label=label, interactive=False, buttons=["fullscreen"], alt_text=alt, min_width=240)
                    for label, alt in (("First", "What the first model found"), ("Second", "What the second one found"))
                ]
            shown = gr.HTML(label="Comparison", js_on_load=None, apply_default_css=False)
    result = result_viewer("Comparison")
    mode = gr.State(ONE)

    def undrawn() -> tuple[Any, ...]:
        return gr.Row(visible=False), None, None

    def side_by_side(
        picture: dict[str, Any] | None, kind: str, first: str | None = None, second: str | None = None
    ) -> tuple[Any, ...]:
        """What both models say of one picture; the kind's own two where none are named."""
        _, *names = bench.pair(kind, first, second)
        given = chosen(picture)
        if given is None:
            return None, _INVITATION, "", ONE, *undrawn()
        answers, took = asked_both(bench, names, given.path, given)
        side = differing(answers)
        pictures = drawings(given, list(answers.values()))
        row = (gr.Row(visible=True), *pictures) if pictures else undrawn()
        return {name: one.to_json() for name, one in answers.items()}, f"{side.line} · {took}", side.html, ONE, *row

    chose, outputs = [kind, first, second], [result, answer, shown, mode, both, *drawn]
    private: dict[str, Any] = {"preprocess": False, "api_visibility": "private"}
    kind.change(lambda kind: _form(bench, kind), kind, form, api_visibility="private", queue=False)
    other = kind.input(picked(bench), kind, [first, second], api_visibility="private", queue=False)
    asked = [
        picture.change(side_by_side, [picture, *chose], outputs, preprocess=False, api_name="compare_picture"),
        other.then(side_by_side, [picture, *chose], outputs, **private),
        *(model.input(side_by_side, [picture, *chose], outputs, **private) for model in (first, second)),
        *data_events(
            bench, file, chose, outputs, rest=undrawn,
            buttons=(judged, made), sample=(sample_pictures, "What it is of"), api_name="compare_pictures",
        ),
    ]  # fmt: skip
    for event in asked:
        event.failure(
            lambda: (None, NO_ANSWER, "", ONE, *undrawn()), outputs=outputs, api_visibility="private", queue=False
        )

    write = written(bench, "compare_picture", "compare_pictures")
    strip(asked, given=[picture, file, mode, *chose], result=result, write=write)


def drawings(given: Chosen, answers: Sequence[Any]) -> list[str]:
    """Where the drawings of both answers lie for the browser; none where nothing can be drawn.

    Raises:
        gradio.Error: the picture was deleted meanwhile.
    """
    if not isinstance(answers[0], Detections | Segmentation):
        return []
    with plain_errors(given.plain):
        screen = Screen.of(given.path, LONGEST)
    return [
        sent(
            draw_detections(screen.image(), found, min_score=SCORE_THRESHOLD)
            if isinstance(found, Detections)
            else draw_segmentation(screen.image(), found)
        )
        for found in answers
    ]


def _form(bench: Bench, kind: str) -> str:
    return f"It must be {bench.kinds[kind].form}."
