"""Lists of names: whole-word phrases, found however many there are in one walk over a text.

A file is TSV (``label<TAB>phrase`` a line; ``#`` begins a remark) or JSONL (``{"label": ..., "phrase": ...}`` a line,
and spaCy's ``{"label": ..., "pattern": "a phrase"}`` too). Words are those of the rule ``"unicode"`` of
:mod:`nlp.ner.words`, so white space between them does not matter, and composed and decomposed accents are the same.
Letter case is ignored unless asked for.

The phrases are a trie over words, after A. Aho and M. Corasick (1975) in what it promises: a text is walked once, and
the number of phrases does not enter the time, only how many words the longest that begins at a place goes on for.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from nlp.ner.words import split_words
from nlp.spans import Span
from shared.errors import DataError, UsageError

LONGEST = 64
"""Words of a phrase, at most; it bounds the time at every place of a text."""
_LABEL = 0
Phrases: TypeAlias = str | Path | Mapping[str, Iterable[str]]
"""A file, or phrases by label."""


@dataclass(frozen=True)
class Gazetteer:
    """Phrases that are looked for. Use :func:`read_gazetteer`.

    Attributes:
        trie: from a word to what may follow it; the label of a phrase that ends there stands under the key 0.
        case: whether letter case must agree.
        size: how many phrases there are, those that differ in nothing that matters counted once.
    """

    trie: Mapping[Any, Any] = field(repr=False)
    case: bool
    size: int

    def find(self, text: str) -> list[Span]:
        """Where phrases stand in a text, as characters: at every place the longest, overlaps and all.

        Example:
            >>> names = read_gazetteer({"LOC": ["New York", "York"]})
            >>> names.find("New  YORK, Yorkshire")
            [(0, 9, 'LOC'), (5, 9, 'LOC')]
        """
        words = split_words(text)
        spans = words.spans.tolist()
        keys = [_key(word, self.case) for word in words.words]
        found: list[Span] = []
        for at, key in enumerate(keys):
            node = self.trie.get(key)
            best, stop = None, at
            while node is not None:
                if _LABEL in node:
                    best, end = node[_LABEL], stop
                stop += 1
                node = node.get(keys[stop]) if stop < len(keys) else None
            if best is not None:
                found.append((spans[at][0], spans[end][1], best))
        return found


def read_gazetteer(source: Phrases, *, case: bool = False) -> Gazetteer:
    """Read phrases.

    Args:
        source: a file, or phrases by label. A phrase that stands twice has the label that comes first.
        case: whether letter case must agree.

    Raises:
        DataError: the file cannot be read, a line is malformed, or there is no phrase.
        UsageError: a phrase that was given by label is none.
    """
    rows = _of_mapping(source) if isinstance(source, Mapping) else _of_file(Path(source))
    trie: dict[Any, Any] = {}
    size = 0
    for where, label, phrase in rows:
        words = split_words(phrase).words
        if not 0 < len(words) <= LONGEST or not label:
            kind = UsageError if isinstance(source, Mapping) else DataError
            raise kind(
                f"{where}: a phrase must have a label and 1 to {LONGEST} words. Got {label!r}, {phrase[:60]!r} instead"
            )
        node = trie
        for word in words:
            node = node.setdefault(_key(word, case), {})
        size += _LABEL not in node
        node.setdefault(_LABEL, label)
    if not size:
        raise DataError(f"a gazetteer must hold phrases. {'It' if isinstance(source, Mapping) else source} holds none")
    return Gazetteer(trie, case, size)


def _key(word: str, case: bool) -> str:
    if word.isascii():
        return word if case else word.lower()
    return unicodedata.normalize("NFC", word if case else unicodedata.normalize("NFC", word).casefold())


def _of_mapping(source: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str, str]]:
    for label, phrases in source.items():
        if isinstance(phrases, str) or not isinstance(phrases, Iterable):
            raise UsageError(f"phrases of {label!r} must be a list. Got {phrases!r} instead")
        for phrase in phrases:
            if not isinstance(phrase, str):
                raise UsageError(f"a phrase of {label!r} must be text. Got {phrase!r} instead")
            yield f"phrase of {label!r}", label, phrase


def _of_file(path: Path) -> Iterator[tuple[str, str, str]]:
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        if line.lstrip().startswith("{"):
            row = json_row(line, where)
            phrase = row.get("phrase", row.get("pattern"))
            if not isinstance(phrase, str) or not isinstance(row.get("label"), str):
                raise DataError(f'{where} must be {{"label": "...", "phrase": "..."}}. Got {line[:80]!r} instead')
            yield where, row["label"], phrase
        else:
            label, tab, phrase = line.partition("\t")
            if not tab:
                raise DataError(f"{where} must be a label, a tab and a phrase. Got {line[:80]!r} instead")
            yield where, label.strip(), phrase


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file that are neither blank nor a remark, with their numbers.

    Raises:
        DataError: it cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} must be a file of rules. {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be UTF-8 text. {error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line.rstrip("\r")


def json_row(line: str, where: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        DataError: it is none.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} must be a JSON object. {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{where} must be a JSON object. Got {line[:80]!r} instead")
    return row


def longest_first(spans: Sequence[Span]) -> list[Span]:
    """Spans in the order in which rules win: the longest first, of those the earliest, of those the first given.

    Example:
        >>> longest_first([(4, 6, "a"), (0, 3, "b"), (0, 3, "c"), (1, 3, "d")])
        [(0, 3, 'b'), (0, 3, 'c'), (1, 3, 'd'), (4, 6, 'a')]
    """
    return sorted(spans, key=lambda span: (span[0] - span[1], span[0]))
