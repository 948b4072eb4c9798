"""The page that compares two text classifiers: on one text side by side, and on a labelled table with a verdict."""

from __future__ import annotations

import csv
import os
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

import nlp
from demos.models import Model, Models
from demos.pages import Page, ask, head, plain_errors, refusal, says
from demos.tables import Cell, table
from nlp.datasets import read_labelled_texts
from nlp.evaluate import evaluate_classification
from shared.catalogue import find
from shared.evaluation.compared_words import compared_json, figure_rows, slice_rows, verdict
from shared.evaluation.comparing import Compared, compare_evaluations
from shared.evaluation.plots import forest
from shared.evaluation.report import Forest

PAGE = Page(
    "Compare", "compare", "Two text classifiers on the same text, and on the same labelled texts: which is better?"
)

MOST_TEXTS = 500
MOST_CHARACTERS = 20_000
KINDS = {
    "Sentiment": ("sst2-minilm", "sst2-bge-lora"),
    "Topic": ("agnews-minilm", "agnews-minilm-lora"),
    "Question type": ("trec-minilm", "trec-minilm-lora"),
}
"""The one that is there, and the one that is to take its place."""
_TEXTS = {
    "A warm film": ["A warm, funny film that earns every one of its tears.", "Sentiment"],
    "A double no": ["Not a film that I would not see again.", "Sentiment"],
    "A central bank": ["The central bank held its rate as inflation slowed for a third month.", "Topic"],
}
_SAMPLE = {
    "positive": (
        "A joy from the first scene to the last.", "I laughed until it hurt.", "Quiet, wise and beautifully played.",
        "The best thing that I have seen this year.", "It could have been dull, and it never is.",
        "Hardly a false note in two hours.", "You will not regret the ticket.", "Moving without ever being sweet.",
        "Nothing about it is lazy.", "A small film with a large heart.", "Who knew that chess could be this thrilling?",
        "I went in tired and came out glad.",
    ),
    "negative": (
        "Two hours that I will never get back.", "Loud, long and empty.", "The jokes were old when it was written.",
        "Not even the actors seem to believe it.", "A waste of a good idea.", "I have seen livelier furniture.",
        "It wants to be clever and is merely confused.", "Beautiful pictures cannot save a script this thin.",
        "I left before the end, and not early enough.", "Everything that the first one was not: dull.",
        "Hardly a scene that works.", "If this is fun, give me boredom.",
    ),
}  # fmt: skip
"""Short reviews written for this page; far too few to judge a model by, which the verdict says."""


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE, "A file that you upload stays on this machine and is deleted.")
    opened = {
        name: models.heads[kind] for kind in KINDS for name in KINDS[kind] if models.heads[kind].card.name == name
    }
    for name in {name for names in KINDS.values() for name in names} - set(opened):
        opened[name] = _model(name)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            kind = gr.Radio(list(KINDS), value="Sentiment", label="What to tell")
            text = gr.Textbox(label="Text", lines=3, max_length=MOST_CHARACTERS, placeholder="Any text.")
            both = gr.Button("Ask both", variant="primary")
            examples = gr.Examples(
                list(_TEXTS.values()), [text, kind], example_labels=list(_TEXTS), cache_examples=False,
                api_visibility="private",
            )  # fmt: skip
            file = gr.File(label="Labelled texts: CSV of text, label", file_types=[".csv"], type="filepath", height=150)
            judge = gr.Button("Compare on the file", variant="primary")
            made = gr.Button("Compare on 24 short reviews", size="sm", elem_classes="small")
        with gr.Column(scale=3, min_width=300):
            answer = says("Write a text, upload a file, or click an example.")
            shown = gr.HTML(label="Comparison", js_on_load=None, apply_default_css=False)
            with gr.Accordion("The result as JSON", open=False):
                result = gr.JSON(label="Comparison")

    def side_by_side(text: str, kind: str) -> tuple[Any, ...]:
        """What both classifiers say of one text."""
        if len(text) > MOST_CHARACTERS:
            raise refusal(f"a text must have at most {MOST_CHARACTERS:,} characters. Got {len(text):,}")
        answers = {name: ask(opened[name], text)[0] for name in KINDS[kind]}
        best = {found.labels[0] for found in answers.values()}
        rows = [[Cell(n), Cell(f.labels[0]), Cell(f"{f.scores[0]:.1%}", tag="number")] for n, f in answers.items()]
        line = f"**Both say {best.pop()}.**" if len(best) == 1 else "**They disagree.**"
        told = {name: found.to_json() for name, found in answers.items()}
        return told, line, table("Side by side", ["Model", "Label", "Sure"], rows)

    def compare(file: str | None, kind: str, progress: gr.Progress = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        """Which of both classifiers is better on labelled texts, by how much and how surely."""
        if file is None:
            raise refusal("upload a CSV file with the columns text and label, or use the short reviews")
        path = Path(file)
        with plain_errors(lambda message: message.replace(file, path.name)):
            data = read_labelled_texts(path)
            if len(data.texts) > MOST_TEXTS:
                raise refusal(f"{path.name} must have at most {MOST_TEXTS} texts. Got {len(data.texts):,}")
            evaluations = []
            for number, name in enumerate(KINDS[kind]):
                progress((number, 3), desc=f"Evaluating {name}")
                evaluations.append(evaluate_classification(path, model=name))
            progress((2, 3), desc="Comparing")
            found = compare_evaluations(*evaluations, rng=np.random.default_rng(0))
        first, second = (one.items().right() for one in evaluations if one.items is not None)
        differ = [
            [Cell(data.texts[at]), Cell(data.labels[at]), Cell(found.first if first[at] > second[at] else found.second)]
            for at in np.flatnonzero(first != second).tolist()[:20]
        ]
        told = verdict(found).replace("<", "&lt;").replace(path.parent.as_posix() + "/", "")
        return compared_json(found) | {"dataset": path.name}, f"**{told}**", _drawn(found, differ)

    outputs = [result, answer, shown]
    events = [
        both.click(side_by_side, [text, kind], outputs, api_name="compare_text"),
        examples.load_input_event.then(side_by_side, [text, kind], outputs, api_visibility="private"),
        judge.click(compare, [file, kind], outputs, api_name="compare_table"),
        made.click(lambda: (_sample(), "Sentiment"), outputs=[file, kind], api_visibility="private").then(
            compare, [file, kind], outputs, api_visibility="private"
        ),
    ]
    for event in events:
        event.failure(
            lambda: (None, "No answer to this: the message says why.", ""), outputs=outputs, api_visibility="private"
        )


def _model(name: str) -> Model[Any]:
    return Model("Compare", find(name), lambda: nlp.text_classifier(name))


def _drawn(found: Compared, differ: list[list[Cell]]) -> str:
    """The forest plot, the figures, the slices that changed, and the texts on which one alone is right."""
    columns, *rows = figure_rows(found)
    plot = forest(Forest(tuple((f.name, f.difference) for f in found.figures), reference=0.0))
    parts = [f'<div class="facts">{plot}</div>', table("Figures", columns[:6], [row[:6] for row in rows])]
    if found.changed:
        columns, *rows = slice_rows(found, found.changed[:10])
        parts.append(table("Slices that changed", columns, rows))
    if differ:
        parts.append(table("Where one alone is right", ["Text", "True", "Right"], differ))
    return "<br>".join(parts)


def _sample() -> str:
    # The server's own folder for uploads, which goes when it stops.
    path = Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR"))) / "short-reviews.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["text", "label"])
        rows.writerows([text, label] for label, texts in _SAMPLE.items() for text in texts)
    return str(path)
