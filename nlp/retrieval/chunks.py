"""Documents cut into passages: of bounded length, at headings and the ends of paragraphs and sentences, overlapping."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nlp.retrieval.documents import Document, Heading, Page
from nlp.tokenize import TextTokenizer
from shared.errors import InputError, UsageError
from shared.types import Int64

SEPARATOR = " > "
_LONGEST_HEADING = 200
_SMALL = 8
"""A section of fewer tokens, a heading by itself say, goes with the next."""
_LOOK_BACK = 4
"""A chunk may end this part of its size early, for the sake of a better place."""
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_ENDS = frozenset(".!?…。！？")
_CLOSING = "\"')]}”’»"


@dataclass(frozen=True)
class Chunk:
    """A passage of a document.

    Attributes:
        page: the page's number, from 1; ``None`` where the document has no pages.
        heading: the headings above it, outermost first, joined by :data:`SEPARATOR`.
        start: its first character in the page's text.
        end: one past its last character.
        text: what stands there.
    """

    page: int | None
    heading: str
    start: int
    end: int
    text: str

    @property
    def shown(self) -> str:
        """What a model reads of it: its heading, and itself."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


def check_sizes(size: int, overlap: int) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless chunks of these lengths can be cut."""
    if size < 2 * _SMALL or not 0 <= overlap <= size // 2:
        raise UsageError(
            f"chunk_tokens must be at least {2 * _SMALL} and chunk_overlap in 0..chunk_tokens/2. "
            f"Got {size} and {overlap} instead"
        )


def chunks(document: Document, tokenizer: TextTokenizer, *, size: int, overlap: int) -> Iterator[Chunk]:
    """Cut a document into chunks that cover all of it and never leave their page.

    Args:
        document: what to cut.
        tokenizer: whose tokens are counted.
        size: tokens of a chunk at most, at least 16.
        overlap: tokens that neighbours of one section share at most, in 0..size/2; fewer where a sentence begins later.

    Raises:
        UsageError: a length is out of its range.
        InputError: the document holds a lone surrogate.
    """
    check_sizes(size, overlap)
    above: list[Heading] = []
    for page in document.pages:
        for begin, stop, heading in _sections(page, above):
            try:
                _, spans = tokenizer.offsets(page.text[begin:stop])
            except InputError as error:
                if error.kind != "empty":
                    raise
                continue  # white space, or characters that the tokeniser drops
            spans = spans[spans[:, 1] > spans[:, 0]] + begin
            for first, last in _cuts(page.text, spans, size, overlap):
                start, end = int(spans[first, 0]), int(spans[last - 1, 1])
                yield Chunk(page.number, heading, start, end, page.text[start:end])


def _sections(page: Page, above: list[Heading]) -> list[tuple[int, int, str]]:
    """Where the page's sections lie, and what stands above each. ``above`` goes on to the next page."""
    places = sorted({0, len(page.text), *(heading.start for heading in page.headings)})
    found: list[tuple[int, int, str]] = []
    held: int | None = None
    for begin, stop in pairwise(places):
        for heading in page.headings:
            if heading.start == begin:
                above[:] = [*(other for other in above if other.level < heading.level), heading]
        small = len(page.text[begin:stop].split(None, _SMALL)) < _SMALL and stop < len(page.text)
        if small:
            held = begin if held is None else held
            continue
        found.append((begin if held is None else held, stop, _path(above)))
        held = None
    return found


def _path(above: list[Heading]) -> str:
    path = SEPARATOR.join(" ".join(heading.title.split()) for heading in above)
    return path if len(path) <= _LONGEST_HEADING else path[: _LONGEST_HEADING - 1] + "…"


def _cuts(text: str, spans: Int64, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """First token and one past the last of each chunk."""
    count, first = len(spans), 0
    while first < count:
        last = first + size
        if last >= count:
            yield first, count
            return
        last = _best(text, spans, last - size // _LOOK_BACK, last)
        yield first, last
        # the first sentence that begins in what may be shared, if one does, else any word
        shared = range(max(first + 1, last - overlap), last)
        first = next((at for at in shared if _rank(text, spans, at) >= 2), None) or next(
            (at for at in shared if _rank(text, spans, at) >= 1), last
        )


def _best(text: str, spans: Int64, least: int, most: int) -> int:
    """The place among tokens ``least + 1`` to ``most`` where a chunk best ends: the last of the best rank."""
    ranks = np.array([_rank(text, spans, at) for at in range(most, least, -1)])
    return most - int(np.argmax(ranks))


def _rank(text: str, spans: Int64, at: int) -> int:
    """How good it is to cut before a token: 3 a paragraph begins there, 2 a sentence or line, 1 a word, 0 nothing."""
    before, after = int(spans[at - 1, 1]), int(spans[at, 0])
    gap = text[before:after]
    if not gap or not any(map(str.isspace, gap)):
        return 0
    if _PARAGRAPH.search(gap):
        return 3
    ending = text[max(0, before - 4) : before].rstrip(_CLOSING)
    return 2 if ("\n" in gap and not text[after].islower()) or ending[-1:] in _ENDS else 1
