r"""Patterns beside a model: regular expressions, and token patterns as spaCy's EntityRuler reads them.

A file is JSONL, one pattern a line; ``#`` begins a remark::

    {"label": "TICKET", "regex": "\\b[A-Z]{2,5}-[0-9]+\\b"}
    {"label": "ORG", "pattern": "Acme Corp"}
    {"label": "GPE", "pattern": [{"LOWER": "san"}, {"LOWER": "francisco"}]}

- ``regex`` is in RE2's syntax (R. Cox, "Regular expression matching in the wild", 2010): the time is linear in the text
  whatever the expression, so none can stall a service. There are no back references and no look-around; ``\d``, ``\w``
  and ``\b`` mean ASCII, and ``\p{L}`` any letter. ``(?i)`` at the beginning ignores letter case.
- a ``pattern`` of text is a phrase, case and all; see :mod:`nlp.ner.gazetteer`.
- a ``pattern`` that is a list goes to spaCy's matcher over a blank pipeline, so it may ask for what a word's spelling
  says (``LOWER``, ``SHAPE``, ``IS_DIGIT``, ``LIKE_EMAIL``, ``REGEX``, ``OP``), and not for what a model says. It needs
  the extra ``spacy``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from nlp.ner.gazetteer import Gazetteer, json_row, numbered_lines, read_gazetteer
from nlp.spans import Span
from shared.errors import DataError
from shared.lazy import require

Rows: TypeAlias = str | Path | Iterable[Mapping[str, Any]]
"""A file, or its rows."""
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
"""Two code points that Unicode reserves for use inside a program; where a text holds them they are masked."""
_MASK = str.maketrans({_OPEN: "\ufffd", _CLOSE: "\ufffd"})
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")
_MATCHED = 10_000
"""Characters of one match of a regular expression, at most: longer ones are left out."""


@dataclass(frozen=True)
class Patterns:
    """Patterns that are looked for. Use :func:`read_patterns`.

    Attributes:
        regexes: label and expression of each.
        phrases: the phrases, or ``None``.
        matcher: spaCy's matcher and the blank pipeline that makes its words, or ``None``.
    """

    regexes: tuple[tuple[str, str], ...]
    phrases: Gazetteer | None
    matcher: tuple[Any, Any] | None = field(repr=False)

    @property
    def size(self) -> int:
        """How many patterns there are."""
        return (
            len(self.regexes)
            + (self.phrases.size if self.phrases else 0)
            + (len(self.matcher[0]) if self.matcher else 0)
        )

    def find(self, text: str) -> list[Span]:
        r"""Where patterns match, as characters, overlaps and all; empty matches are left out.

        Example:
            >>> rules = read_patterns([{"label": "TICKET", "regex": r"\b[A-Z]+-[0-9]+\b"}])
            >>> rules.find("see AB-12, CD-3")
            [(4, 9, 'TICKET'), (11, 15, 'TICKET')]
        """
        found = [span for label, regex in self.regexes for span in _matches(text, label, regex)]
        if self.phrases:
            found += self.phrases.find(text)
        if self.matcher:
            matcher, blank = self.matcher
            doc = blank.make_doc(text)
            found += [(span.start_char, span.end_char, span.label_) for span in matcher(doc, as_spans=True)]
        return found


def read_patterns(source: Rows, *, language: str = "en") -> Patterns:
    """Read patterns.

    Args:
        source: a file, or its rows.
        language: whose words the token patterns are about, as spaCy names it.

    Raises:
        DataError: the file cannot be read, a row is malformed, or there is none.
        MissingDependencyError: there are token patterns and no spaCy.
    """
    regexes: list[tuple[str, str]] = []
    phrases: dict[str, list[str]] = {}
    tokens: list[tuple[str, str, list[Any]]] = []
    for where, row in _rows(source):
        label, regex, pattern = row.get("label"), row.get("regex"), row.get("pattern")
        if not isinstance(label, str) or not label or (regex is None) == (pattern is None):
            raise DataError(f'{where} must have a "label", and a "regex" or a "pattern". Got {dict(row)!r} instead')
        if isinstance(regex, str):
            _check_regex(regex, where)
            regexes.append((label, regex))
        elif isinstance(pattern, str) and pattern.strip():
            phrases.setdefault(label, []).append(pattern)
        elif isinstance(pattern, list) and pattern:
            tokens.append((where, label, pattern))
        else:
            raise DataError(f"{where}: a regex must be text, and a pattern text or a list. Got {dict(row)!r} instead")
    if not (regexes or phrases or tokens):
        raise DataError(f"patterns must be one at least. Got none from {source!r}")
    matcher = _matcher(tokens, language) if tokens else None
    return Patterns(tuple(regexes), read_gazetteer(phrases, case=True) if phrases else None, matcher)


def _rows(source: Rows) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(source, str | Path):
        for number, line in numbered_lines(Path(source)):
            where = f"{source}, line {number}"
            yield where, json_row(line, where)
        return
    for number, row in enumerate(source, 1):
        if not isinstance(row, Mapping):
            raise DataError(f"pattern {number} must be a mapping. Got {row!r} instead")
        yield f"pattern {number}", row


def _matches(text: str, label: str, regex: str) -> Iterator[Span]:
    """Every match, leftmost first, none overlapping: RE2 marks them all in one pass, and the marks are read off."""
    compute = require("pyarrow.compute", extra="all")
    arrow = require("pyarrow", extra="all")
    whole = arrow.array([text.translate(_MASK)], type=arrow.large_string())
    marked = compute.replace_substring_regex(whole, pattern=f"({regex})", replacement=rf"{_OPEN}\1{_CLOSE}")[0].as_py()
    for seen, (opened, closed) in enumerate(_pairs(marked)):
        start, stop = opened - 2 * seen, closed - 2 * seen - 1
        if 0 < stop - start <= _MATCHED:
            yield start, stop, label


def _pairs(marked: str) -> Iterator[tuple[int, int]]:
    places = (match.start() for match in _MARKS.finditer(marked))
    return zip(places, places)


def _check_regex(regex: str, where: str) -> None:
    compute = require("pyarrow.compute", extra="all")
    arrow = require("pyarrow", extra="all")
    try:
        compute.match_substring_regex(arrow.array([""]), pattern=regex)
    except arrow.ArrowInvalid as error:
        raise DataError(f"{where}: {regex[:80]!r} must be a regular expression of RE2. {error}") from error


def _matcher(tokens: list[tuple[str, str, list[Any]]], language: str) -> tuple[Any, Any]:
    spacy = require("spacy", extra="spacy")
    blank = spacy.blank(language)
    matcher = require("spacy.matcher", extra="spacy").Matcher(blank.vocab, validate=True)
    probe = blank.make_doc("a")
    for where, label, pattern in tokens:
        try:
            matcher.add(label, [pattern])
            matcher(probe)
        except (ValueError, TypeError, re.error, spacy.errors.MatchPatternError) as error:
            raise DataError(f"{where} must be a pattern that spaCy's matcher reads without a model. {error}") from error
    return matcher, blank
