"""From a question and its context to the windows that a reader sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from nlp.opening import TextGraph
from nlp.windows import Window, windows
from shared.errors import InputError
from shared.types import Int64

Item: TypeAlias = tuple[str, str] | Mapping[str, Any] | str
"""A question with its context: a pair, a mapping with ``question`` and ``context``, or that mapping as JSON text."""
MOST_OF_WINDOW = 2
"""The question may fill one window's share of this many."""


@dataclass(frozen=True)
class Asked:
    """A question over a context, tokenised.

    Attributes:
        question: its tokens, shape (m,), int64.
        context: tokens of the context, shape (n,), int64.
        spans: characters of each of them in ``text``, shape (n, 2), int64.
        windows: which of them each window holds.
        text: the context as it was given.
    """

    question: Int64
    context: Int64
    spans: Int64
    windows: tuple[Window, ...]
    text: str


def question_and_context(item: Item) -> tuple[str, str]:
    """The two texts of an item.

    Raises:
        InputError: it is none of the forms of :data:`Item` (``"wrong-type"``).

    Example:
        >>> question_and_context('{"question": "Who?", "context": "Ann came."}')
        ('Who?', 'Ann came.')
    """
    given: Any = item
    if isinstance(item, str):
        try:
            given = json.loads(item)
        except (ValueError, RecursionError):
            given = item
    if isinstance(given, Mapping) and {"question", "context"} <= set(given):
        given = (given["question"], given["context"])
    if isinstance(given, tuple | list) and len(given) == 2:
        return given[0], given[1]
    raise InputError(
        "wrong-type",
        "an item must be a question and its context: a pair, or an object with 'question' and 'context'. "
        f"Got {str(item)[:60]!r} instead",
    )


def prepare(item: Item, graph: TextGraph) -> Asked:
    """Tokenise a question and its context, and lay windows over the context.

    Raises:
        InputError: the item is malformed, a text cannot be read (see :mod:`nlp.tokenize`), or the question alone would
            fill half of a window (``"too-large"``).
    """
    question, context = question_and_context(item)
    asked = graph.tokenizer.ids(question)
    tokens, spans = graph.tokenizer.offsets(context)
    room = graph.room - graph.pairs().special
    most = room // MOST_OF_WINDOW
    if len(asked) > most:
        raise InputError(
            "too-large", f"a question must have at most {most} tokens for this model. Got {len(asked)}: shorten it"
        )
    size = room - len(asked)
    places = windows(len(tokens), size=size, overlap=min(graph.overlap, size // 2))
    return Asked(asked, tokens, spans, tuple(places), context)
