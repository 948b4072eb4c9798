"""The translation page: a text beside its translation, sentence by sentence, with terms of the visitor's own."""

from __future__ import annotations

import shlex
from typing import Any

import gradio as gr

import nlp
from demos.choosing import of_kind, offered, picker
from demos.models import Models
from demos.pages import NO_ANSWER, Page, ask, head, refusal, says
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
    "en to de": {"A message": ["The file could not be opened.\n\n- Select a folder and try again.", ""]},
    "en to fr": {"A message": ["The file could not be opened.\n\n- Select a folder and try again.", ""]},
    "de to en": {"A street": ["Zwei Männer stehen auf der Straße.\n\n- Ein Hund läuft durch das Gras.", ""]},
    "fr to en": {"A street": ["Deux hommes se tiennent dans la rue.\n\n- Un chien court dans l'herbe.", ""]},
}
_LANGUAGES = {"de": "German", "en": "English", "fr": "French", "zh": "Chinese"}
"""What languages are called; one that is not here by its code."""
_CODE = """import json

import nlp

translate = nlp.translator({model}source={source!r}, target={target!r}, glossary={terms!r})
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
            model = picker(*(choice.cards for choice in models.translators.values()))
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

    def tell(way: str, text: str, terms: str = "", model: str | None = None) -> tuple[Any, ...]:
        """The translation of a text with its sentences beside their own; by the first model of its way by default."""
        if len(text) > MOST_CHARACTERS:
            raise refusal(f"a text must have at most {MOST_CHARACTERS:,} characters. Got {len(text):,}")
        source, _, target = way.partition(" to ")
        glossary = own_terms(terms)
        chosen = of_kind(models.translators, way, model)
        name = models.translators[way].told(chosen.card.name)

        def with_terms(_: Predictor[str, Translation]) -> Predictor[str, Translation]:
            return nlp.translator(name, source=source, target=target, glossary=glossary)

        found, milliseconds = ask(chosen, text, through=with_terms if glossary else None)
        line = f"**{_called(f'{found.source} to {found.target}')}** · {_counted(found)} · {milliseconds:.0f} ms"
        if found.warnings:
            line += "\n\n" + "\n".join(f"- {warning}" for warning in found.warnings)
        return found.to_json(), line, found.text, beside(text, found)

    way.change(
        lambda way: gr.Dropdown(**offered(models.translators[way].cards)),
        way,
        model,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )

    given, shown = [way, text, terms, model], [result, answer, plain, listed]
    asked = button.click(tell, given, shown, api_name=PAGE.path)
    clicked = shown_examples.load_input_event.then(tell, given, shown, api_visibility="private")
    for event in (asked, clicked):
        event.failure(lambda: (None, NO_ANSWER, "", ""), outputs=shown, api_visibility="private", queue=False)

    def written(way: str, text: str, terms: str, model: str | None) -> Elsewhere:
        used = of_kind(models.translators, way, model).card.name
        return elsewhere(way, text, terms, models.translators[way].told(used))

    strip([asked, clicked], given=given, result=result, write=written)


def elsewhere(way: str, text: str, terms: str, model: str | None = None) -> Elsewhere:
    """The same request outside the page; ``model`` where it is not the task's own."""
    task, (source, _, target) = "nlp.translation", way.partition(" to ")
    glossary, file, before = own_terms(terms), None, ""
    if glossary:
        file = "terms.tsv"
        before = f"printf '%s\\t%s\\n' {shlex.join(part for pair in glossary.items() for part in pair)} > {file}\n"
    named = "" if model is None else f"{model!r}, "
    return Elsewhere(
        _CODE.format(model=named, source=source, target=target, terms=glossary or None, text=text),
        before + predict_command(task, text, model=model, source=source, target=target, glossary=file),
        PAGE.path,
        [way, text, terms, model],
        task,
        text,
        model,
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


def _called(way: str) -> str:
    return " to ".join(_LANGUAGES.get(code, code) for code in way.split(" to "))


def _counted(found: Translation) -> str:
    count = len(found.sentences)
    return {0: "nothing to translate", 1: "1 sentence"}.get(count, f"{count} sentences")
