"""What a written answer claims, held against the passages that it cites: by words, numbers and quotations.

A claim is a sentence of the answer. It is supported where at least :data:`SUPPORT` of its own telling words, and all
of its numbers, stand in the passage, and whatever it quotes stands there word for word. That catches what was made up;
it does not prove that a sentence follows from the passage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nlp.retrieval.sentences import sentence_spans
from nlp.retrieval.types import Citation, Passage
from nlp.retrieval.words import telling_words

SUPPORT = 0.6
_MARK = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»]{3,400})[\"”“»]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SPACE = re.compile(r"\s+")


def claims(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """The sentences of an answer, each with the numbers that it cites; a mark after the full stop belongs before it.

    Example:
        >>> claims("It rained [1]. It snowed. [2, 3]")
        [('It rained [1].', (1,)), ('It snowed. [2, 3]', (2, 3))]
    """
    pieces = [text[start:stop] for start, stop in sentence_spans(text)]
    joined: list[str] = []
    for piece in pieces:
        lead = re.match(r"(?:\[[\d\s,;]+\]\s*)+", piece)
        if lead and joined:
            joined[-1] += " " + lead[0].strip()
            piece = piece[lead.end() :]  # noqa: PLW2901 - what is left of it
        if piece.strip():
            joined.append(piece)
    return [(piece, _numbers(piece)) for piece in joined]


def check_claim(claim: str, number: int, passage: Passage) -> Citation:
    """Hold a claim against a passage.

    Args:
        claim: a sentence of the answer.
        number: of the passage in the answer.
        passage: the passage.

    Example:
        >>> from nlp.retrieval.types import Passage
        >>> eiger = Passage("a.md", None, "", "The Eiger is 3,967 metres high.", 0, 31)
        >>> check_claim("The Eiger is 3,967 metres high [1].", 1, eiger).supported
        True
        >>> check_claim("The Eiger is 4,000 metres high [1].", 1, eiger).supported
        False
    """
    plain = _MARK.sub(" ", claim)
    held = f"{passage.heading}\n{passage.text}"
    there = set(telling_words(held))
    words = telling_words(plain)
    support = sum(word in there for word in words) / len(words) if words else 0.0
    numbers = set(_NUMBER.findall(plain)) <= set(_NUMBER.findall(held))
    quoted = all(_plain(quote) in _plain(held) for quote in _QUOTED.findall(plain))
    return Citation(number, claim, support, quoted, support >= SUPPORT and numbers and quoted, passage)


def checked(text: str, passages: Sequence[Passage]) -> tuple[list[str], list[Citation]]:
    """The sentences of an answer that a passage supports, and every citation.

    A number that no passage has is no citation.
    """
    kept: list[str] = []
    found: list[Citation] = []
    for claim, numbers in claims(text):
        cited = [check_claim(claim, n, passages[n - 1]) for n in numbers if 1 <= n <= len(passages)]
        found += cited
        if any(citation.supported for citation in cited):
            kept.append(claim)
    return kept, found


def _numbers(claim: str) -> tuple[int, ...]:
    marks = ",".join(_MARK.findall(claim))
    return tuple(dict.fromkeys(int(number) for number in re.findall(r"\d+", marks)))


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text).strip().casefold()
