"""A translation sentence by sentence, for whoever reads on while it is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from nlp.translation.decode import UNSPACED
from nlp.translation.prepare import Prepared
from nlp.types import TranslatedSentence, Translation
from shared.predictor import Pipeline


def parts(translator: Pipeline[str, Prepared, Any, Translation], text: str) -> Iterator[Translation]:
    """Each sentence's translation as it is made, with what stands before it.

    Args:
        translator: see :func:`nlp.translator`.
        text: as the translator takes it.

    Returns:
        One translation a sentence; their texts laid end to end are the translation of the whole. Sentences are placed
        in the whole text (``start``, ``end``) and in their own part's translation.

    Raises:
        InputError: the text cannot be translated.
    """
    whole = translator.prepare(text)
    if not whole.masked:
        yield translator.decode(translator.run([whole])[0], whole)
        return
    at = 0
    for number, ((start, end), masked) in enumerate(zip(whole.spans, whole.masked), 1):
        stop = len(whole.text) if number == len(whole.masked) else end
        piece = Prepared(whole.text[at:stop], whole.source, ((start - at, end - at),), (masked,))
        found = translator.decode(translator.run([piece])[0], piece)
        space = " " if start == at and number > 1 and found.target not in UNSPACED else ""
        yield _moved(found, at, space)
        at = stop


def _moved(found: Translation, at: int, space: str) -> Translation:
    """A part with its sentences where they stand in the whole text, and ``space`` before its own."""
    more = len(space)
    sentences = tuple(
        TranslatedSentence(one.start + at, one.end + at, one.target_start + more, one.target_end + more, one.score)
        for one in found.sentences
    )
    return replace(found, text=space + found.text, sentences=sentences)
