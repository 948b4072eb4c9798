"""What every page is made of: its place in the navigation, its head, and answers that fail in plain words."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from demos.opening import Model
from shared.catalogue import ModelCard
from shared.errors import DataError, TriptychError
from shared.predictor import Predictor
from shared.types import Failure
from shared.weights.words import human

Out = TypeVar("Out")

KEPT_SECONDS = 900
"""How long an upload and what was drawn on it stay on disk; all of it goes when the server stops."""
NO_ANSWER = "No answer to this one: the message says why."


@dataclass(frozen=True)
class Page:
    """A page's place in the application.

    Attributes:
        name: in the navigation bar.
        path: the last part of its address.
        summary: one line for people.
    """

    name: str
    path: str
    summary: str


def head(page: Page, *more: str) -> None:
    """The page's title and what there is to say of it."""
    gr.Markdown("\n\n".join([f"# {page.name}", page.summary, *more]), elem_classes="page-head")


def says(text: str) -> gr.Markdown:
    """The line that says what came out and how long it took."""
    return gr.Markdown(text, elem_classes="says", label="Answer")


def model_line(*cards: ModelCard) -> str:
    """Which models answer, under which licence and how large, for people.

    Example:
        >>> from shared.testing import fake_card
        >>> model_line(fake_card(name="hello"))
        'Model: **hello** · Apache-2.0'
    """
    sizes = [[human(card.size).replace(" ", "\N{NO-BREAK SPACE}")] if card.files else [] for card in cards]
    told = [" · ".join([f"**{card.name}**", card.licence, *size]) for card, size in zip(cards, sizes)]
    return f"Model{'s' * (len(told) > 1)}: {'; '.join(told)}"


def which(*cards: ModelCard) -> gr.Markdown:
    """The line of :func:`model_line` on the page."""
    return gr.Markdown(model_line(*cards), elem_classes="note", label="Model")


def ask(
    model: Model[Predictor[Any, Out]],
    item: Any,
    *,
    plain: Callable[[str], str] = str,
    through: Callable[[Predictor[Any, Out]], Predictor[Any, Out]] | None = None,
) -> tuple[Out, float]:
    """Open the model if it is not, and answer one item.

    Args:
        model: what answers.
        item: what is asked.
        plain: turns a message about the item into one in the visitor's words.
        through: makes of the opened model what is asked in its place.

    Returns:
        The result, and the milliseconds from the item to it, decoding included but not the opening of the model.

    Raises:
        gradio.Error: the model cannot be had, or the item cannot be used; the message says which and why.
    """
    with plain_errors():
        predictor = model.get(gr.Info)
        predictor = predictor if through is None else through(predictor)
        begun = time.perf_counter()
        result = predictor.predict([item], on_error="keep")[0]
        taken = (time.perf_counter() - begun) * 1000
    if isinstance(result, Failure):
        raise refusal(plain(result.message))
    return result, taken


@contextmanager
def plain_errors(plain: Callable[[str], str] = str) -> Iterator[None]:
    """Turn an error of ours into a message on the page, in the words that ``plain`` makes of it."""
    try:
        yield
    except TriptychError as error:
        raise refusal(plain(str(error))) from error


def must_be_text(path: Path) -> None:
    """Refuse a file that is no table as text, before a reader makes columns of its bytes.

    Raises:
        DataError: it is not UTF-8, or holds what no text does.
    """
    try:
        readable = "\0" not in path.read_text("utf-8")
    except UnicodeDecodeError:
        readable = False
    if not readable:
        raise DataError(f"{path} must be a CSV table in UTF-8. It is in another encoding, or no text at all")


def for_visitors(message: str) -> str:
    """A message without what it says of options of the command line, which a page has not.

    Example:
        >>> for_visitors("a.csv must have a column 'text'. Got ['a'] instead: say which it is (--text-column)")
        "a.csv must have a column 'text'. Got ['a'] instead"
    """
    parts = re.split(r"(?<=[.:;]) ", message)
    return " ".join(part for part in parts if not re.search(r"(^|[\s(])--\w", part)).rstrip(".:; ")


def refusal(message: str) -> gr.Error:
    """A message on the page, with no traceback behind it. The page reads messages as HTML, so they are escaped."""
    return gr.Error(html.escape(message, quote=False), print_exception=False)
