"""The part of the recommendation page that works by words: books as what is written of them, and a book that is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
import numpy as np

import recsys
from demos.library import Book, books
from demos.opening import Model
from demos.pages import plain_errors
from demos.recommend.own_ratings import Shelf
from demos.recommend.reasons import linked
from demos.tables import Cell, table
from recsys.content.tfidf import TfidfContent
from recsys.interactions import Interactions
from shared.catalogue import ModelCard
from shared.errors import UsageError
from shared.types import Float32, Id

NEW = "your-new-book"
MOST_LETTERS = 500
_STOP = (
    "a an and are as at be but by for from has he her him his in into is it its of on one or other others she so that "
    "the their them they this to too until was what when which who whom whose will with without"
)
"""Words that say nothing of what a book is about."""


@dataclass(frozen=True)
class Likeness:
    """One book that a description is like.

    Attributes:
        item: the book's id.
        score: the cosine of their words, in 0..1.
        words: that they share, the most telling first.
    """

    item: Id
    score: float
    words: tuple[str, ...]


def describing() -> Model[TfidfContent]:
    """The model of books by their words, fitted at first use."""
    card = ModelCard("tfidf-books", "recsys.content", "content_tfidf", "numpy", "Apache-2.0", "books by their words")
    return Model("Recommend", card, _fit, built="fitted over the books' own descriptions at first use")


def _fit() -> TfidfContent:
    nobody: Interactions = recsys.from_records([("nobody", books()[0].id)])
    return recsys.fit_content(nobody, items={book.id: text_of(book) for book in books()})


def text_of(book: Book) -> str:
    """What is written of a book, without the words that say nothing.

    Example:
        >>> from demos.library import by_id
        >>> text_of(by_id("emma"))
        'Emma Jane Austen romance society comedy clever matchmaker wrong about everybody herself most all'
    """
    return _telling(f"{book.title} {book.author} {' '.join(book.genres)} {book.line}")


def _telling(text: str) -> str:
    words = ("".join(letter for letter in word if letter.isalnum() or letter in "'-") for word in text.split())
    return " ".join(word for word in words if word and word.lower() not in _STOP.split())


def books_like(words: str, content: TfidfContent, k: int = 5) -> list[Likeness]:
    """The books whose words are most like a description, best first; fewer where fewer share a word.

    Args:
        words: of a book that is in no list, at most :data:`MOST_LETTERS` letters.
        content: the model of :func:`describing`.
        k: how many at most.

    Raises:
        UsageError: the description is too long.
    """
    wider = _with_new(words, content)
    found = wider.similar_items([NEW], k)[0]
    mine = wider.vectors([NEW])[0]
    return [
        Likeness(item, score, _shared(mine, wider.vectors([item])[0], wider))
        for item, score in zip(found.items, found.scores.tolist())
        if score > 0
    ]


def place_for(picked: Sequence[str], words: str, content: TfidfContent) -> int | None:
    """Where a described book stands among all for a reader of some books, from 1; ``None`` where no words are shared.

    Raises:
        UsageError: the description is too long.
    """
    wider = _with_new(words, content)
    found = wider.fold_in(list(picked), len(wider.item_ids))
    if found.kind == "popular" or NEW not in found.items:
        return None
    at = found.items.index(NEW)
    return at + 1 if found.scores[at] > 0 else None


def _with_new(words: str, content: TfidfContent) -> TfidfContent:
    if len(words) > MOST_LETTERS:
        raise UsageError(f"a description must have at most {MOST_LETTERS} letters. Got {len(words)}")
    return content.add_items({NEW: _telling(words)})


def _shared(first: Float32, second: Float32, content: TfidfContent) -> tuple[str, ...]:
    product = first * second
    order = np.argsort(-product, kind="stable")[:4]
    return tuple(str(content.terms.ids[at]) for at in order if product[at] > 0)


def described_input(
    content: Model[TfidfContent], picks: gr.Dropdown, own: gr.State, library: Shelf, on_load: str
) -> gr.HTML:
    """Lay out where a visitor describes a new book, and what comes of it.

    Args:
        content: books by their words.
        picks: what the visitor likes.
        own: says whether the picks are of the visitor's own ratings.
        library: the books.
        on_load: what makes titles lead somewhere.

    Returns:
        The table that it fills.
    """
    with gr.Accordion("A new book, in your words", open=False):
        words = gr.Textbox(
            label="What the book is about",
            info="Nobody has read it, so its words alone say which books are like it.",
            placeholder="A ghost in a castle, and a family with a secret",
            max_length=MOST_LETTERS,
        )
        found = gr.HTML(label="Books like it", js_on_load=on_load, apply_default_css=False)

    def describe(words: str, picked: list[str], own: str = "") -> str:
        """Books whose words are most like those of a book that nobody has read yet, as a table in HTML.

        With ``picked`` it says too where the new book would stand for a reader of those.
        """
        if not words.strip():
            return ""
        with plain_errors():
            return _described(words, [] if own else picked, content.get(str), library)

    words.change(
        describe,
        [words, picks, own],
        found,
        api_name="describe",
        show_progress="hidden",
        trigger_mode="always_last",
    )
    return found


def _described(words: str, picked: Sequence[str], content: TfidfContent, shelf: Shelf) -> str:
    rows = [
        [linked(one.item, shelf), Cell(", ".join(one.words)), Cell(f"{one.score:.3f}", tag="number")]
        for one in books_like(words, content)
    ]
    if not rows:
        return table("Books like it", ["Book", "Found"], [["None", Cell("no book is described by any of these words")]])
    place = place_for(picked, words, content) if picked else None
    more = f"; for a reader of your picks it would stand {place} of {len(books()) + 1 - len(picked)}" if place else ""
    return table(f"Books like it{more}", ["Book", "Words they share", "Likeness"], rows)
