"""The translation page: a text beside its translation, sentence by sentence, with terms of the visitor's own."""

from __future__ import annotations

import shlex
from typing import Any

import gradio as gr

import nlp
from demos.models import Model, Models
from demos.pages import NO_ANSWER, Page, ask, head, model_line, plain_errors, refusal, says, which
from demos.sharing import Elsewhere, predict_command, result_viewer, strip
from demos.tables import Cell, table
from nlp.types import Translation
from shared.predictor import Predictor

PAGE = Page(
    "Translate", "translate", "A text in another language: each sentence beside its own, and nothing between them lost."
)

MOST_CHARACTERS = 5_000
MOST_TERMS = 20
SURE = 0.5
"""Score from which a sentence is not marked as doubtful."""
EXAMPLES = {
    "zh to en": {
        "A letter": [
            "您好，\n\n感谢您的来信。图书馆的读书会改到下午3点，请在{date}之前回复。\n\n"
            "- 地点：图书馆\n- 网址：https://example.org/room",
            "图书馆 = City Library\n读书会 = Readers’ Circle",
        ],
        "A report": ["北京是中国的首都。它有两千多万人口，是世界上最大的城市之一。", ""],
    },
    "en to de": {"A street": ["Two men are standing on the street.\n\n- A dog is running through the grass.", ""]},
    "en to fr": {"A street": ["Two men are standing on the street.\n\n- A dog is running through the grass.", ""]},
}
_LANGUAGES = {"de": "German", "en": "English", "fr": "French", "zh": "Chinese"}
"""What languages are called; one that is not here by its code."""
_CODE = """import json

import nlp

translate = nlp.translator(source={source!r}, target={target!r}, glossary={terms!r})
found = translate.predict([{text!r}])[0]
print(json.dumps(found.to_json()))
"""


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE, "Line breaks, lists, mark-up, addresses, {placeholders} and numbers stay as they are.")
    ways = list(models.translators)
    examples = {
        f"{_called(way)}: {name}" if len(ways) > 1 else name: [way, *row]
        for way in ways
        for name, row in EXAMPLES.get(way, {}).items()
    }
    with gr.Row():
        with gr.Column(min_width=300):
            way = gr.Radio([(_called(way), way) for way in ways], value=ways[0], label="Direction")
            model = which(models.translators[ways[0]].card)
            text = gr.Textbox(label="Text", lines=8, max_lines=20, max_length=MOST_CHARACTERS, placeholder="Any text.")
            terms = gr.Textbox(
                label="Your terms",
                info=f"A line each, at most {MOST_TERMS}: term = how it shall be called.",
                lines=2,
                max_length=2000,
            )
            button = gr.Button("Translate", variant="primary")
            shown_examples = gr.Examples(
                list(examples.values()),
                [way, text, terms],
                example_labels=list(examples),
                cache_examples=False,
                api_visibility="private",
            )
        with gr.Column(min_width=300):
            answer = says("Write a text, or click an example.")
            plain = gr.Textbox(label="Translation", lines=8, max_lines=20, interactive=False)
            listed = gr.HTML(label="Sentences", js_on_load=None, apply_default_css=False)
    result = result_viewer("Translation")

    def tell(way: str, text: str, terms: str = "") -> tuple[Any, ...]:
        """The translation of a text with its sentences beside their own."""
        if len(text) > MOST_CHARACTERS:
            raise refusal(f"a text must have at most {MOST_CHARACTERS:,} characters. Got {len(text):,}")
        source, _, target = way.partition(" to ")
        glossary = own_terms(terms)
        opened = models.translators[way]
        found, milliseconds = ask(_with_terms(opened, source, target, glossary) if glossary else opened, text)
        line = f"**{_called(f'{found.source} to {found.target}')}** · {_counted(found)} · {milliseconds:.0f} ms"
        if found.warnings:
            line += "\n\n" + "\n".join(f"- {warning}" for warning in found.warnings)
        return found.to_json(), line, found.text, beside(text, found)

    way.change(
        lambda way: model_line(models.translators[way].card),
        way,
        model,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )

    given, shown = [way, text, terms], [result, answer, plain, listed]
    asked = button.click(tell, given, shown, api_name=PAGE.path)
    clicked = shown_examples.load_input_event.then(tell, given, shown, api_visibility="private")
    for event in (asked, clicked):
        event.failure(lambda: (None, NO_ANSWER, "", ""), outputs=shown, api_visibility="private", queue=False)
    strip([asked, clicked], given=given, result=result, write=elsewhere)


def elsewhere(way: str, text: str, terms: str) -> Elsewhere:
    """The same request outside the page."""
    task, (source, _, target) = "nlp.translation", way.partition(" to ")
    glossary, file, before = own_terms(terms), None, ""
    if glossary:
        file = "terms.tsv"
        before = f"printf '%s\\t%s\\n' {shlex.join(part for pair in glossary.items() for part in pair)} > {file}\n"
    return Elsewhere(
        _CODE.format(source=source, target=target, terms=glossary or None, text=text),
        before + predict_command(task, text, source=source, target=target, glossary=file),
        PAGE.path,
        [way, text, terms],
        task,
        text,
        options={"source": source, "target": target},
        remark="There a glossary is chosen when the model is served." if glossary else "",
    )


def own_terms(written: str) -> dict[str, str]:
    """Terms as a visitor writes them: a line each, an equals sign between a term and its translation.

    Raises:
        gradio.Error: a line has no equals sign or an empty side, or there are too many.

    Example:
        >>> own_terms("log file = Protokoll")
        {'log file': 'Protokoll'}
    """
    lines = [line for line in written.splitlines() if line.strip()]
    pairs = [[part.strip() for part in line.split("=", 1)] for line in lines]
    if len(pairs) > MOST_TERMS or not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise refusal(f"write at most {MOST_TERMS} terms, a line each: term = how it shall be called. Got {len(pairs)}")
    return {pair[0]: pair[1] for pair in pairs}


def beside(text: str, found: Translation) -> str:
    """A table of the sentences and their translations; those with a low score say so."""
    rows: list[list[Cell | str]] = [
        [
            text[one.start : one.end],
            found.text[one.target_start : one.target_end],
            Cell(f"{one.score:.0%}{'' if one.score >= SURE else ' ?'}", tag="number"),
        ]
        for one in found.sentences
    ]
    return table("Sentences", ["Text", "Translation", "Score"], rows) if rows else ""


def _with_terms(
    model: Model[Predictor[str, Translation]], source: str, target: str, terms: dict[str, str]
) -> Model[Predictor[str, Translation]]:
    """A translator of the same model with terms of its own; the loaded weights are shared."""
    with plain_errors():
        return Model(model.job, model.card, lambda: nlp.translator(source=source, target=target, glossary=terms))


def _called(way: str) -> str:
    return " to ".join(_LANGUAGES.get(code, code) for code in way.split(" to "))


def _counted(found: Translation) -> str:
    count = len(found.sentences)
    return {0: "nothing to translate", 1: "1 sentence"}.get(count, f"{count} sentences")
