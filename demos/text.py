"""The text page: sentiment, topic, kind of question, or labels of the visitor's own."""

from __future__ import annotations

from typing import Any

import gradio as gr

from demos.models import Models
from demos.pages import NO_ANSWER, Page, ask, head, refusal, says

PAGE = Page("Text", "text", "What is this text? Its sentiment, its topic, its kind of question, or labels of your own.")

OWN = "My own labels"
MOST_CHARACTERS = 20_000
MOST_LABELS = 20
MOST_LABEL_CHARACTERS = 100
_EXAMPLES = {
    "A warm film": ["A warm, funny film that earns every one of its tears.", "Sentiment", ""],
    "A loud film": ["Two hours of noise, and not one person in it to care about.", "Sentiment", ""],
    "A central bank": ["The central bank held its rate as inflation slowed for a third month.", "Topic", ""],
    "A dictionary": ["Who wrote the first dictionary of the English language?", "Question type", ""],
    "A late parcel": [
        "My parcel has not arrived and nobody answers the phone.",
        OWN,
        "delivery, refund, praise, technical fault",
    ],
}


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE, "Your own labels need no training: the text goes to the label that means nearly the same.")
    names = [*models.heads, OWN]
    with gr.Row():
        with gr.Column(min_width=300):
            text = gr.Textbox(label="Text", lines=4, max_lines=12, max_length=MOST_CHARACTERS, placeholder="Any text.")
            kind = gr.Radio(names, value=names[0], label="What to tell")
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
            with gr.Accordion("The result as JSON", open=False):
                result = gr.JSON(label="TextLabels")

    def tell(text: str, kind: str, labels: str = "") -> tuple[Any, ...]:
        """Labels of a text with scores that add up to 1, best first."""
        if len(text) > MOST_CHARACTERS:
            raise refusal(f"a text must have at most {MOST_CHARACTERS:,} characters. Got {len(text):,}")
        model = models.own_labels.model(own_labels(labels)) if kind == OWN else models.heads[kind]
        found, milliseconds = ask(model, text)
        best = f"**{found.labels[0]}** · {found.scores[0]:.0%} sure · {milliseconds:.0f} ms"
        return found.to_json(), best, dict(zip(found.labels, found.scores.tolist()))

    kind.change(lambda chosen: gr.Textbox(visible=chosen == OWN), kind, labels, api_visibility="private", queue=False)
    given, shown = [text, kind, labels], [result, answer, scores]
    asked = gr.on([button.click, text.submit], tell, given, shown, api_name=PAGE.path)
    clicked = examples.load_input_event.then(tell, given, shown, api_visibility="private")
    for event in (asked, clicked):
        event.failure(lambda: (None, NO_ANSWER, None), outputs=shown, api_visibility="private", queue=False)


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
