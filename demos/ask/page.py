"""The ask page: answers out of a visitor's own documents, each shown where it stands."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demos.ask.elsewhere import FEW_WORDS, PASTED, SENTENCES, elsewhere
from demos.ask.shown import answers_html, beneath
from demos.choosing import picker, titled
from demos.models import Models
from demos.pages import KEPT_SECONDS, NO_ANSWER, Page, head, plain_errors, refusal, says
from demos.pictures import sent, uploads_only
from demos.sharing import Elsewhere, result_viewer, strip
from nlp.qa.ask import NO_READER, asker
from nlp.retrieval.documents import SUFFIXES, read_document
from nlp.retrieval.index import Index, open_index
from nlp.retrieval.types import CitedAnswer, CitedAnswers
from shared.errors import InputError
from shared.types import Failure

PAGE = Page("Ask", "ask", "What do your documents say? Text, Markdown, HTML and PDF, and the place of each answer.")

MOST_FILES = 10
MOST_CHARACTERS = 1_000_000
"""Of all documents of a visitor: a book, or about a minute's work."""
MOST_QUESTION = 500
_WRAPPED = """# Office handbook

## Bicycles

The bicycle room is in the basement and opens with the blue card. Bicycles without a tag are taken away on the last
Friday of each month.

## Coffee machine

The machine on the second floor is descaled every Monday at 7:30 and cannot be used for forty minutes. Beans are in the
cupboard beneath it; when fewer than three bags are left, write to the kitchen list.

## Meeting rooms

Rooms are booked for two hours at most. A room in which nobody has appeared within fifteen minutes is free for others.
The large room on the fourth floor seats eighteen and has the only projector that takes an old VGA cable.
"""
_HANDBOOK = re.sub(r"(?<!\n)\n(?!\n)", " ", _WRAPPED).strip()
"""Each paragraph in one line, so that the page wraps it where it ends."""
MANUAL = Path(__file__).parents[1] / "data" / "bread-machine.pdf"
"""Three pages of our own words, written by ``bench/demo_manual.py``."""
_EXAMPLES = {
    "When can I not have coffee?": [None, _HANDBOOK, "When is the coffee machine descaled?"],
    "How long may a room be booked?": [None, _HANDBOOK, "How long can I book a meeting room for?"],
    "Something that it does not say": [None, _HANDBOOK, "Who won the cup final of 1966?"],
    "A manual of three pages (PDF)": [[str(MANUAL)], "", "How long does a rye loaf take?"],
}


@dataclass(eq=False)
class Shelf:
    """A visitor's documents while they are here.

    Attributes:
        key: what tells these documents from others.
        index: over them.
        folder: where the documents and the index lie; goes with the shelf.
        answers: those that are shown.
    """

    key: str
    index: Index
    folder: tempfile.TemporaryDirectory[str]
    answers: tuple[CitedAnswer, ...] = ()

    def clear(self) -> None:
        """Delete all of it."""
        self.index.close()
        self.folder.cleanup()


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(PAGE, "Documents are read on this machine, and all of it is deleted within a quarter of an hour.")
    with gr.Row():
        with gr.Column(min_width=300):
            files = gr.File(label="Documents", file_count="multiple", file_types=sorted(SUFFIXES), type="filepath")
            uploads_only(files, "a document")
            pasted = gr.Textbox(
                label="Or a text of yours",
                lines=6,
                max_lines=14,
                max_length=MOST_CHARACTERS,
                placeholder="Any text; Markdown headings are understood.",
            )
            question = gr.Textbox(
                label="Question", max_length=MOST_QUESTION, placeholder="What would you like to know?"
            )
            form = gr.Radio(
                [FEW_WORDS, SENTENCES],
                value=FEW_WORDS,
                label="Answer with",
                info="Words are those that a reader chose; it says so where there is no answer.",
            )
            model = picker(models.readers.cards)
            gr.Markdown(f"Passages are ranked by {titled(models.reranker.card)}.", elem_classes="note")
            button = gr.Button("Ask", variant="primary")
            examples = gr.Examples(
                list(_EXAMPLES.values()),
                [files, pasted, question],
                example_labels=list(_EXAMPLES),
                cache_examples=False,
                api_visibility="private",
            )
        with gr.Column(min_width=300):
            answer = says("Give a document and ask, or click an example.")
            shown = gr.HTML(label="Answers", js_on_load=None, apply_default_css=False)
    result = result_viewer("CitedAnswers")
    kept = gr.State(None, time_to_live=KEPT_SECONDS, delete_callback=_forget)

    def tell(  # noqa: PLR0917 - the inputs of the page, in their order
        files: list[str] | None,
        pasted: str,
        question: str,
        form: str,
        model: str | None,
        kept: Shelf | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        """Answers out of documents, best first, each with its file, page, heading and characters."""
        if not question.strip() or len(question) > MOST_QUESTION:
            raise refusal(f"write a question of at most {MOST_QUESTION} characters")
        sources = _sources(files or [], pasted)
        key = hashlib.sha256(repr(sorted((name, hashlib.sha256(data).hexdigest()) for name, data in sources)).encode())
        with plain_errors():
            reranker = models.reranker.get(gr.Info)
            reader = models.readers.named(model).get(gr.Info) if form == FEW_WORDS else NO_READER
            begun = time.perf_counter()
            known = kept is not None and kept.key == key.hexdigest()
            shelf = kept if kept is not None and known else _shelf(key.hexdigest(), sources, say=progress)
            read = time.perf_counter()
            found = asker(shelf.index, reranker=reranker, reader=reader).predict([question], on_error="keep")[0]
            asked = time.perf_counter()
        if kept is not None and shelf is not kept:
            kept.clear()
        if isinstance(found, Failure):
            raise refusal(found.message)
        line = "**I don't know**: nothing in these documents supports an answer"
        if found.answers:
            line = f"**{len(found.answers)} answer{'s' * (len(found.answers) > 1)}** from {len(shelf.index)} passages"
        shelf.answers = found.answers
        reading = "" if shelf is kept else f", after {read - begun:.1f} s of reading"
        return (
            _without_folders(found),
            f"{line} · {(asked - read) * 1000:.0f} ms{reading}",
            answers_html(found.answers),
            shelf,
        )

    given, outputs = [files, pasted, question, form, model, kept], [result, answer, shown, kept]
    asked = gr.on([button.click, question.submit], tell, given, outputs, api_name=PAGE.path, concurrency_limit=1)
    clicked = examples.load_input_event.then(tell, given, outputs, api_visibility="private")
    for event in (asked, clicked):
        event.success(
            lambda kept: _with_pages(kept, shown), kept, shown, api_visibility="private", show_progress="hidden"
        )
        event.failure(lambda: (None, NO_ANSWER, ""), outputs=outputs[:3], api_visibility="private", queue=False)

    def written(*values: Any) -> Elsewhere:
        files, pasted, question, form, name = values
        return elsewhere(files, pasted, question, form, models.readers.told(name))

    strip([asked, clicked], given=given[:5], result=result, write=written)


def _sources(files: Sequence[str], pasted: str) -> list[tuple[str, bytes]]:
    """Name and content of each document."""
    if len(files) > MOST_FILES:
        raise refusal(f"give at most {MOST_FILES} documents. Got {len(files)}")
    found = [(Path(file).name, Path(file).read_bytes()) for file in files]
    if pasted.strip():
        found.append((PASTED, pasted.encode("utf-8", "replace")))
    if not found:
        raise refusal("give a document, or write a text into the box")
    return found


def _shelf(key: str, sources: Sequence[tuple[str, bytes]], *, say: Callable[..., object]) -> Shelf:
    """An index over a visitor's documents; ``say`` is told how many of them are read, of how many, and in words.

    Raises:
        gradio.Error: one of them cannot be used, or all together are too long.
    """
    total = 0
    for name, data in sources:
        try:
            total += sum(len(page.text) for page in read_document(name, data=data).pages)
        except InputError as error:
            raise refusal(str(error) if name in str(error) else f"{name}: {error}") from error
    if total > MOST_CHARACTERS:
        raise refusal(f"all documents together must have at most {MOST_CHARACTERS:,} characters here. Got {total:,}")
    folder = tempfile.TemporaryDirectory(prefix="triptych-ask-")
    try:
        documents = Path(folder.name) / "documents"
        for at, (name, data) in enumerate(sources):
            place = documents / str(at) / name
            place.parent.mkdir(parents=True)
            place.write_bytes(data)
        index = open_index(Path(folder.name) / "index", create=True)
        say((0, len(sources)), desc="Reading", unit="documents")
        for done, row in enumerate(index.add(sorted(documents.glob("*/*"))), 1):
            say((done, len(sources)), desc="Reading", unit="documents")
            if row.failure is not None:
                raise refusal(f"{Path(row.path).name}: {row.failure.message}")
    except BaseException:
        folder.cleanup()
        raise
    return Shelf(key, index, folder)


def _with_pages(kept: Shelf | None, shown: gr.HTML) -> Any:
    """The answers that are shown, each with its page drawn beneath it, or with what stands around it.

    It comes after them, so that nobody waits for pictures to read them.
    """
    if kept is None or not kept.answers:
        return gr.skip()
    answers = kept.answers
    drawn = beneath(answers, lambda picture: str(shown.move_resource_to_block_cache(sent(picture))))
    return answers_html(answers, drawn) if kept.answers is answers else gr.skip()  # another was answered meanwhile


def _forget(shelf: Shelf | None) -> None:
    if shelf is not None:
        shelf.clear()


def _without_folders(found: CitedAnswers) -> dict[str, Any]:
    """The result with ``file``, a name, for ``path``, which would say where it lies on this machine."""
    told = found.to_json()
    for passage in [*told["passages"], *(answer["passage"] for answer in told["answers"])]:
        passage["file"] = Path(passage.pop("path")).name
    return told
