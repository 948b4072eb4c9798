"""The text page: sentiment, topic, kind of question, spam, language, or labels of the visitor's own, and why."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

import nlp
from demos.choosing import of_kind, offered, picker
from demos.models import Models
from demos.opening import Model
from demos.pages import NO_ANSWER, Page, ask, head, plain_errors, refusal, says
from demos.sharing import Elsewhere, predict_command, result_viewer, strip
from nlp.types import Attribution, TextLabels
from shared.predictor import Predictor

PAGE = Page(
    "Text", "text", "What is this text? Its sentiment, topic or language, whether it is spam, or labels of your own."
)

OWN = "My own labels"
MOST_CHARACTERS = 20_000
MOST_LABELS = 20
MOST_LABEL_CHARACTERS = 100
MOST_EXPLAINED = 1_500
"""Characters of a text whose words are weighed; each word costs an answer."""
STRONGEST = 0.6
"""How opaque the colour of the word is that weighs most: a stronger one leaves too little contrast to read the word."""
_EXAMPLES = {
    "A warm film": ["A warm, funny film that earns every one of its tears.", "Sentiment", ""],
    "A loud film": ["Two hours of noise, and not one person in it to care about.", "Sentiment", ""],
    "A central bank": ["The central bank held its rate as inflation slowed for a third month.", "Topic", ""],
    "A prize": ["WINNER! You have been selected for a £900 prize. Call 09061701461 now to claim.", "Spam", ""],
    "A station": ["Où est la gare, s'il vous plaît ?", "Language", ""],
    "A dictionary": ["Who wrote the first dictionary of the English language?", "Question type", ""],
    "A late parcel": [
        "My parcel has not arrived and nobody answers the phone.",
        OWN,
        "delivery, refund, praise, technical fault",
    ],
}

_CODE = """import json

import nlp

found = nlp.text_classifier({model!r}{more}).predict([{text!r}])[0]
print(json.dumps(found.to_json()))
"""


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE, "Your own labels need no training: the text goes to the label that means nearly the same.")
    kinds = {kind: choice.cards for kind, choice in models.heads.items()} | {OWN: [models.own_labels.card]}
    with gr.Row():
        with gr.Column(min_width=300):
            text = gr.Textbox(label="Text", lines=4, max_lines=12, max_length=MOST_CHARACTERS, placeholder="Any text.")
            kind = gr.Radio(list(kinds), value=next(iter(kinds)), label="What to tell")
            model = picker(*kinds.values())
            labels = gr.Textbox(
                label="Your labels",
                info=f"Two to {MOST_LABELS}, with commas between.",
                placeholder="delivery, refund, praise",
                visible=False,
            )
            button = gr.Button("Tell", variant="primary")
            examples = gr.Examples(
                list(_EXAMPLES.values()),
                [text, kind, labels],
                example_labels=list(_EXAMPLES),
                cache_examples=False,
                api_visibility="private",
            )
        with gr.Column(min_width=300):
            answer = says("Write a text, or click an example.")
            scores = gr.Label(label="Labels", show_heading=False)
            words = gr.HighlightedText(
                label="Which words spoke for it (red), and which against (violet)",
                visible=False,
                show_legend=False,
            )
    result = result_viewer("TextLabels")

    def chosen(kind: str, labels: str, model: str | None) -> Model[Predictor[str, TextLabels]]:
        return models.own_labels.model(own_labels(labels)) if kind == OWN else of_kind(models.heads, kind, model)

    def tell(text: str, kind: str, labels: str = "", model: str | None = None) -> tuple[Any, ...]:
        """Labels of a text with scores that add up to 1, best first; by the first model of its kind by default."""
        if len(text) > MOST_CHARACTERS:
            raise refusal(f"a text must have at most {MOST_CHARACTERS:,} characters. Got {len(text):,}")
        found, milliseconds = ask(chosen(kind, labels, model), text)
        best = f"**{found.labels[0]}** · {found.scores[0]:.0%} sure · {milliseconds:.0f} ms"
        return found.to_json(), best, dict(zip(found.labels, found.scores.tolist()))

    def why(text: str, kind: str, labels: str, model: str | None) -> gr.HighlightedText:
        """The text with each word as strong as it weighs; nothing of texts that are long."""
        if len(text) > MOST_EXPLAINED:
            return gr.HighlightedText(visible=False)
        with plain_errors():
            found = nlp.explain(chosen(kind, labels, model).get(gr.Info), text)
        return gr.HighlightedText(value=weighed(text, found), visible=True)

    def picked(kind: str) -> tuple[gr.Textbox, gr.Dropdown]:
        return gr.Textbox(visible=kind == OWN), gr.Dropdown(**offered(kinds[kind]))

    kind.change(picked, kind, [labels, model], api_visibility="private", queue=False, show_progress="hidden")
    given, shown = [text, kind, labels, model], [result, answer, scores]
    asked = gr.on([button.click, text.submit], tell, given, shown, api_name=PAGE.path)
    clicked = examples.load_input_event.then(tell, given, shown, api_visibility="private")
    for event in (asked, clicked):
        event.failure(lambda: (None, NO_ANSWER, None), outputs=shown, api_visibility="private", queue=False)
        event.failure(lambda: gr.HighlightedText(visible=False), outputs=words, api_visibility="private", queue=False)
        event.success(why, given, words, api_visibility="private")

    def written(text: str, kind: str, labels: str | None, model: str | None) -> Elsewhere:
        used = models.own_labels.card if kind == OWN else of_kind(models.heads, kind, model).card
        return elsewhere(text, kind, labels, used.name)

    strip([asked, clicked], given=given, result=result, write=written)


def elsewhere(text: str, kind: str, labels: str | None, model: str) -> Elsewhere:
    """The same request outside the page; the field of one's own labels is ``None`` until it is shown."""
    labels = labels or ""
    task = "nlp.classification"
    own = {"labels": own_labels(labels)} if kind == OWN else {}
    more = f", labels={own['labels']!r}" if own else ""
    return Elsewhere(
        _CODE.format(model=model, more=more, text=text),
        predict_command(task, text, model=model, **own),
        PAGE.path,
        [text, kind, labels, model],
        task,
        text,
        model=model,
        options=own,
    )


def weighed(text: str, found: Attribution) -> list[tuple[str, str | float | None]]:
    """The text in stretches, each with its weight, the largest at :data:`STRONGEST`, or ``None`` between words.

    Example:
        >>> spans, weights = np.array([[0, 4], [5, 9]]), np.float32([1, -2])
        >>> weighed("warm dull", Attribution("positive", 0.5, ("warm", "dull"), spans, weights))
        [('warm', 0.3), (' ', None), ('dull', -0.6)]
    """
    largest = float(np.abs(found.weights).max(initial=0.0)) or 1.0
    stretches: list[tuple[str, str | float | None]] = []
    at = 0
    for (start, end), weight in zip(found.spans.tolist(), found.weights.tolist()):
        stretches += [(text[at:start], None), (text[start:end], round(STRONGEST * weight / largest, 3))]
        at = end
    return [(part, weight) for part, weight in [*stretches, (text[at:], None)] if part]


def own_labels(written: str) -> tuple[str, ...]:
    """Labels as a visitor writes them, with commas between.

    Raises:
        gradio.Error: there are fewer than two different ones, too many, or one is too long.

    Example:
        >>> own_labels("delivery, refund,, praise , refund")
        ('delivery', 'refund', 'praise')
    """
    labels = tuple(dict.fromkeys(label for part in written.split(",") if (label := part.strip())))
    if not 2 <= len(labels) <= MOST_LABELS or max(map(len, labels)) > MOST_LABEL_CHARACTERS:
        raise refusal(
            f"write 2 to {MOST_LABELS} different labels of at most {MOST_LABEL_CHARACTERS} characters each, "
            f"with commas between. Got {len(labels)} labels"
        )
    return labels
