"""Answers while a long context is still being read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nlp.qa.decode import Scores
from nlp.qa.prepare import Asked, Item
from nlp.types import Answers
from shared.predictor import Pipeline

WINDOWS_AT_ONCE = 4
"""Windows that are read before the answers so far are said again."""


def parts(reader: Pipeline[Item, Asked, list[Scores], Answers], item: Item) -> Iterator[Answers]:
    """What is known after each stretch of the context; the last is the answer to the whole.

    Args:
        reader: see :func:`nlp.question_answerer`.
        item: as the reader takes it.

    Raises:
        InputError: the item cannot be used.
    """
    asked = reader.prepare(item)
    found: list[Scores] = []
    for first in range(0, max(1, len(asked.windows)), WINDOWS_AT_ONCE):
        last = first + WINDOWS_AT_ONCE
        found += reader.run([replace(asked, windows=asked.windows[first:last])])[0]
        yield reader.decode(found, replace(asked, windows=asked.windows[:last]))
