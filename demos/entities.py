"""The entities page: what a text names, where exactly, and the same text without it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, cast

import gradio as gr

from demos.choosing import picker
from demos.models import Models
from demos.pages import NO_ANSWER, Page, ask, head, plain_errors, refusal, says
from demos.sharing import Elsewhere, predict_command, result_viewer, strip
from demos.tables import Cell, table
from nlp.ner.identifiers import IDENTIFIERS, find_identifiers
from nlp.redaction import KINDS, STYLES, redactor
from nlp.spans import Span, without_overlaps
from nlp.types import Entities

if TYPE_CHECKING:
    from nlp.ner.task import Recogniser

PAGE = Page(
    "Entities", "entities", "Who, where and which organisation does this text name? And the same text without it."
)

MOST_CHARACTERS = 20_000
_TAKEN = ["person", *IDENTIFIERS]
_EXAMPLES = {
    "A life": [
        "Marie Curie moved from Warsaw to Paris in 1891, taught at the Sorbonne, and was honoured twice by the Royal "
        "Swedish Academy of Sciences.",
        _TAKEN,
        "label",
    ],
    "A match": [
        "The World Cup final of 1966 ended 4-2: England beat West Germany at Wembley, and Geoff Hurst scored three.",
        _TAKEN,
        "mask",
    ],
    "A support ticket": [
        "Dear team, Ada Lovelace here (ada@example.org, +44 20 7946 0958). My card 4539 5787 6362 1486 was charged "
        "twice from 192.0.2.17; please pay back to GB82 WEST 1234 5698 7654 32. Order 4539578763621487.",
        _TAKEN,
        "hash",
    ],
}
_CODE = """import json

import nlp

text = {text!r}
found = nlp.entity_recognizer({model}).predict([text])[0]
print(json.dumps(found.to_json()))
"""
_REDACT = """
redacted = nlp.redact(text, {kinds!r}, style={style!r}{model})
print(json.dumps(redacted.to_json()))
"""


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE, "Names come from the model; addresses and numbers from patterns and check digits.")
    with gr.Row():
        with gr.Column(min_width=300):
            text = gr.Textbox(label="Text", lines=6, max_lines=16, max_length=MOST_CHARACTERS, placeholder="Any text.")
            model = picker(models.recognisers.cards)
            kinds = gr.CheckboxGroup(list(KINDS), value=_TAKEN, label="What to take out")
            style = gr.Radio(list(STYLES), value="label", label="What stands for it")
            button = gr.Button("Find", variant="primary")
            examples = gr.Examples(
                list(_EXAMPLES.values()),
                [text, kinds, style],
                example_labels=list(_EXAMPLES),
                cache_examples=False,
                api_visibility="private",
            )
        with gr.Column(min_width=300):
            answer = says("Write a text, or click an example.")
            marked = gr.HighlightedText(label="Found", show_legend=True, combine_adjacent=False)
            plain = gr.Textbox(label="Without it", lines=3, interactive=False)
            listed = gr.HTML(label="Entities", js_on_load=None, apply_default_css=False)
    result = result_viewer("Entities and Redacted")

    def find(text: str, kinds: list[str] = _TAKEN, style: str = "label", model: str | None = None) -> tuple[Any, ...]:
        """Entities of a text with exact offsets, and the text without what is to be taken out; the first model by
        default.
        """
        if len(text) > MOST_CHARACTERS:
            raise refusal(f"a text must have at most {MOST_CHARACTERS:,} characters. Got {len(text):,}")
        asked = models.recognisers.named(model)
        found, milliseconds = ask(asked, text)
        told: dict[str, Any] = {"entities": found.to_json(), "redacted": None}
        clean = text
        if kinds:
            with plain_errors():
                recogniser = cast("Recogniser", asked.get(gr.Info))
                redacted = redactor(kinds, style=style, model=recogniser).predict([text])[0]
            told["redacted"], clean = redacted.to_json(), getattr(redacted, "text", "")
        shown = marks(text, found)
        line = f"**{_counted(found, len(shown) - len(found.entities))}** · {milliseconds:.0f} ms"
        return told, line, highlighted(text, shown), clean, _listed(text, found, shown)

    given, shown = [text, kinds, style, model], [result, answer, marked, plain, listed]
    asked = button.click(find, given, shown, api_name=PAGE.path)
    clicked = examples.load_input_event.then(find, given, shown, api_visibility="private")
    for event in (asked, clicked):
        event.failure(lambda: (None, NO_ANSWER, None, "", ""), outputs=shown, api_visibility="private", queue=False)

    def written(text: str, kinds: list[str], style: str, model: str | None) -> Elsewhere:
        return elsewhere(text, kinds, style, models.recognisers.told(model))

    strip([asked, clicked], given=given, result=result, write=written)


def elsewhere(text: str, kinds: list[str], style: str, model: str | None = None) -> Elsewhere:
    """The same request outside the page; ``model`` where it is not the task's own."""
    task = "nlp.ner"
    code = _CODE.format(model="" if model is None else repr(model), text=text)
    command = predict_command(task, text, model=model)
    if kinds:
        code += _REDACT.format(kinds=kinds, style=style, model="" if model is None else f", model={model!r}")
        asked = [word for kind in kinds for word in ("--kind", kind)]
        named = [] if model is None else ["--model", model]
        redact = shlex.join(["triptych", "redact", "--whole", "--json", "--style", style, *named, *asked, "-"])
        command += f"\nprintf %s {shlex.quote(text)} | {redact}"
    remark = "The service finds; it takes nothing out." if kinds else ""
    return Elsewhere(code, command, PAGE.path, [text, kinds, style, model], task, text, model, remark=remark)


def marks(text: str, found: Entities) -> list[Span]:
    """What is shown in colour: entities by label, and addresses and numbers where no entity stands.

    Example:
        >>> marks("ada@example.org", Entities(()))
        [(0, 15, 'email')]
    """
    named = [(entity.start, entity.end, entity.label) for entity in found.entities]
    return without_overlaps([*find_identifiers(text, IDENTIFIERS), *named])


def highlighted(text: str, spans: list[Span]) -> list[tuple[str, str | None]]:
    """The text in parts, each with its label or none; they join to the text.

    Example:
        >>> highlighted("in Bern.", [(3, 7, "LOC")])
        [('in ', None), ('Bern', 'LOC'), ('.', None)]
    """
    parts: list[tuple[str, str | None]] = []
    at = 0
    for start, stop, label in spans:
        parts += [(text[at:start], None), (text[start:stop], label)]
        at = stop
    return [part for part in [*parts, (text[at:], None)] if part[0]]


def _counted(found: Entities, others: int) -> str:
    count = len(found.entities)
    said = {0: "No entity found", 1: "1 entity"}.get(count, f"{count} entities")
    return f"{said}, and {others} by pattern" if others > 0 else said


def _listed(text: str, found: Entities, shown: list[Span]) -> str:
    scores = {(entity.start, entity.end, entity.label): f"{entity.score:.0%}" for entity in found.entities}
    rows: list[list[Cell | str]] = [
        [
            text[start:stop],
            label,
            Cell(f"{start}–{stop}", tag="number"),
            Cell(scores.get((start, stop, label), "pattern"), tag="number"),
        ]
        for start, stop, label in shown
    ]
    return table("Found", ["Text", "Label", "Characters", "Score"], rows) if rows else ""
