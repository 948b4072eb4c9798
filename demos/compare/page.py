"""The page that compares two models: on one text, question or picture side by side, and on a labelled data set with a
verdict.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import gradio as gr

from demos.compare.controls import ONE, asked_both, data_events, model_choice, picked, written
from demos.compare.differing import differing
from demos.compare.kinds import PICTURES, QUESTIONS, Bench, kinds_of_texts
from demos.compare.samples import sample_pictures, sample_questions, sample_texts
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
MOST_QUESTION = 500
EXAMPLES = (
    ("gradio", "media_assets/images/lion.jpg"),
    ("gradio", "test_data/cheetah2.jpg"),
    ("ultralytics", "assets/bus.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
)
_INVITATION = "Choose a picture, upload a zip, or click an example."
_FERRY = (
    "The ferry crosses the strait eleven times a day from April to October. It carries 240 passengers and 31 cars; "
    "cyclists board first. Tickets stay valid for a year."
)

_Beside: TypeAlias = Callable[[str, str, str | None, str | None], tuple[Any, ...]]
"""From an item, a kind and two models to what is shown."""


@dataclass(frozen=True)
class Written:
    """A part of the page whose items are written.

    Attributes:
        boxes: lays out what an item is written in.
        asked: makes of what answers an item what answers the boxes; its parameters are those of the endpoint.
        item: makes one of what the boxes hold; ``None`` where one box holds it.
        invitation: before anything was asked.
        examples: for each box what it holds, and the kind; by what the visitor clicks.
        file: what labelled data are called.
        sample: the button that compares on a sample, what makes that, and its kind.
        endpoints: for an item, and for labelled data.
    """

    boxes: Callable[[], list[gr.Textbox]]
    asked: Callable[[_Beside], Callable[..., tuple[Any, ...]]]
    item: Callable[..., str] | None
    invitation: str
    examples: Mapping[str, list[str]]
    file: str
    sample: tuple[str, Callable[[], str], str]
    endpoints: tuple[str, str]


def _text_box() -> list[gr.Textbox]:
    return [gr.Textbox(label="Text", lines=3, max_length=MOST_CHARACTERS, placeholder="Any text.")]


def _ask_text(beside: _Beside) -> Callable[..., tuple[Any, ...]]:
    def side_by_side(text: str, kind: str, first: str | None = None, second: str | None = None) -> tuple[Any, ...]:
        """What both models say of one text; the kind's own two where none are named."""
        return beside(text, kind, first, second)

    return side_by_side


def _question_boxes() -> list[gr.Textbox]:
    return [
        gr.Textbox(label="Question", max_length=MOST_QUESTION, placeholder="What would you like to know?"),
        gr.Textbox(label="Passage", lines=6, max_length=MOST_CHARACTERS, placeholder="A text that may say it."),
    ]


def _ask_question(beside: _Beside) -> Callable[..., tuple[Any, ...]]:
    def side_by_side(
        question: str, passage: str, kind: str, first: str | None = None, second: str | None = None
    ) -> tuple[Any, ...]:
        """What both readers answer to a question about a passage; the kind's own two where none are named."""
        if not (question or "").strip() or not (passage or "").strip() or len(question) > MOST_QUESTION:
            raise refusal(f"write a question of at most {MOST_QUESTION} characters, and the passage that may answer it")
        return beside(question_item(question, passage), kind, first, second)

    return side_by_side


def question_item(question: str, passage: str) -> str:
    """A question with its passage as the task takes it, in JSON."""
    return json.dumps({"question": question, "context": passage}, ensure_ascii=False)


TEXTS = Written(
    _text_box,
    _ask_text,
    None,
    "Write a text, upload a file, or click an example.",
    {
        "A warm film": ["A warm, funny film that earns every one of its tears.", "Sentiment"],
        "A double no": ["Not a film that I would not see again.", "Sentiment"],
        "A central bank": ["The central bank held its rate as inflation slowed for a third month.", "Topic"],
        "A street": ["Two men are standing on the street.", "English to German"],
    },
    "Labelled texts",
    ("Compare on 24 short reviews", sample_texts, "Sentiment"),
    ("compare_text", "compare_table"),
)
ANSWERS = Written(
    _question_boxes,
    _ask_question,
    question_item,
    "Write a question and a passage, upload a file, or click an example.",
    {
        "Who boards first?": ["Who boards first?", _FERRY, "Answers"],
        "How many cars?": ["How many cars does the ferry carry?", _FERRY, "Answers"],
        "Something that it does not say": ["What does a ticket cost?", _FERRY, "Answers"],
    },
    "Questions with their answers",
    ("Compare on 24 short questions", sample_questions, "Answers"),
    ("compare_answer", "compare_answers"),
)


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE, "What you upload stays on this machine and is deleted.")
    with gr.Tab("Texts"):
        _written(Bench.of(kinds_of_texts(), models), TEXTS)
    with gr.Tab("Answers"):
        _written(Bench.of(QUESTIONS, models), ANSWERS)
    with gr.Tab("Pictures"):
        _pictures(Bench.of(PICTURES, models))


def _written(bench: Bench, part: Written) -> None:
    button, make, of = part.sample
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            kind, first, second = model_choice(bench)
            boxes = part.boxes()
            both = gr.Button("Ask both", variant="primary")
            examples = gr.Examples(
                list(part.examples.values()), [*boxes, kind], example_labels=list(part.examples), cache_examples=False,
                api_visibility="private",
            )  # fmt: skip
            file = gr.File(label=part.file, height=150)
            form = gr.Markdown(_form(bench, of), elem_classes="note")
            judged = gr.Button("Compare on the file", variant="primary")
            made = gr.Button(button, size="sm", elem_classes="small")
        with gr.Column(scale=3, min_width=300):
            answer = says(part.invitation)
            shown = gr.HTML(label="Comparison", js_on_load=None, apply_default_css=False)
    result = result_viewer("Comparison")
    mode = gr.State(ONE)

    def beside(item: str, kind: str, first: str | None, second: str | None) -> tuple[Any, ...]:
        found, *names = bench.pair(kind, first, second)
        if not isinstance(item, str) or len(item) > MOST_CHARACTERS:
            raise refusal(f"a text must have at most {MOST_CHARACTERS:,} characters. Got {len(item or ''):,}")
        answers, took = asked_both(bench, found, names, item)
        side = differing(answers)
        return {name: one.to_json() for name, one in answers.items()}, f"{side.line} · {took}", side.html, ONE

    side_by_side = part.asked(beside)
    chose, outputs = [kind, first, second], [result, answer, shown, mode]
    kind.change(lambda kind: _form(bench, kind), kind, form, api_visibility="private", queue=False)
    kind.input(picked(bench), kind, [first, second], api_visibility="private", queue=False)
    by_example = examples.load_input_event.then(picked(bench), kind, [first, second], api_visibility="private")
    one, many = part.endpoints
    asked = [
        both.click(side_by_side, [*boxes, *chose], outputs, preprocess=False, api_name=one),
        by_example.then(side_by_side, [*boxes, *chose], outputs, preprocess=False, api_visibility="private"),
        *data_events(
            bench, file, chose, outputs, buttons=(judged, made), sample=(make, of), api_name=many,
        ),
    ]  # fmt: skip
    for event in asked:
        event.failure(lambda: (None, NO_ANSWER, "", ONE), outputs=outputs, api_visibility="private", queue=False)

    write = written(bench, one, many, item=part.item)
    strip(asked, given=[*boxes, file, mode, *chose], result=result, write=write)


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
        found, *names = bench.pair(kind, first, second)
        given = chosen(picture)
        if given is None:
            return None, _INVITATION, "", ONE, *undrawn()
        answers, took = asked_both(bench, found, names, given.path, given)
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
