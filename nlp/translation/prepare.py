"""A text to what the model sees: its language, its sentences, and in each what must be carried over taken out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from nlp.tokenize import check_text
from nlp.translation.engine import LONGEST_PIECES, Engine
from nlp.translation.glossary import Glossary
from nlp.translation.masking import MARKS, Masked, mask
from nlp.translation.sentences import Span, bounded, sentence_spans
from shared.errors import InputError

MOST_CHARACTERS = 100_000
"""Of one text; split what is longer, so that one item cannot hold up all others for hours."""
SENTENCE_CHARACTERS = 600
_OF_WORDS = re.compile(r"[^\W\d_\u2e80-\u9fff\uac00-\ud7af]")
"""A letter of a script that puts spaces between its words."""


@dataclass(frozen=True)
class Prepared:
    """A text that can be translated.

    Attributes:
        text: as it was given.
        source: its language.
        spans: where its sentences are.
        masked: each sentence without what must be carried over.
    """

    text: str
    source: str
    spans: tuple[Span, ...]
    masked: tuple[Masked, ...]


def prepare(
    item: object,
    *,
    source: Callable[[str], str],
    engine: Callable[[str], Engine | None],
    glossary: Glossary,
    wrapped: bool,
) -> Prepared:
    """Find the sentences of a text.

    Args:
        item: the text.
        source: from a text to its language.
        engine: from a language to the model that reads it; ``None`` where nothing needs to be translated.
        glossary: terms of the user's own.
        wrapped: see :func:`nlp.translation.sentences.sentence_spans`.

    Raises:
        InputError: it is no text (``"wrong-type"``), is empty (``"empty"``), has a lone surrogate (``"corrupt"``) or
            more than :data:`MOST_CHARACTERS` characters (``"too-large"``), or is in a language that no model reads
            (``"unsupported"``).
    """
    text = check_text(item)
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            "too-large",
            f"a text must have at most {MOST_CHARACTERS:,} characters. Got {len(text):,}: cut it at its paragraphs",
        )
    if not any(map(str.isalpha, text)):
        return Prepared(text, "", (), ())
    language = source(text)
    reader = engine(language)
    if reader is None:
        return Prepared(text, language, (), ())
    rough = bounded(text, sentence_spans(text, language=language, wrapped=wrapped), most=SENTENCE_CHARACTERS)
    spans: list[Span] = []
    masked: list[Masked] = []
    for span in rough:
        for start, end in _fitting(text, span, reader):
            found = _masked(text[start:end], reader, glossary)
            if any(map(str.isalpha, _bare(found.text))) or any(
                piece in glossary.terms.values() for piece in found.pieces
            ):
                spans.append((start, end))
                masked.append(found)
    return Prepared(text, language, tuple(spans), tuple(masked))


def _masked(sentence: str, reader: Engine, glossary: Glossary) -> Masked:
    found = mask(sentence, extra=glossary.spans(sentence), last=_unknown(sentence, reader), limit=MARKS)
    return Masked(" ".join(found.text.split()), found.pieces)


def _unknown(sentence: str, reader: Engine) -> list[Span]:
    """Words with a sign that the model does not know, and such signs by themselves; apart from each other."""
    found: list[Span] = []
    for start, end in reader.pieces.unknown(sentence):
        first, last = start, end
        while first and _OF_WORDS.match(sentence[first - 1]):
            first -= 1
        while last < len(sentence) and _OF_WORDS.match(sentence[last]):
            last += 1
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def _fitting(text: str, span: Span, reader: Engine) -> list[Span]:
    """The span, in halves of halves until each is of few enough pieces."""
    if len(reader.pieces.encode(text[span[0] : span[1]])) <= LONGEST_PIECES or span[1] - span[0] < 8:
        return [span]
    halves = bounded(text, [span], most=(span[1] - span[0] + 1) // 2)
    return [part for half in halves for part in _fitting(text, half, reader)]


def _bare(masked: str) -> str:
    for number in range(1, MARKS + 1):
        masked = masked.replace(f"<m{number}>", "")
    return masked
