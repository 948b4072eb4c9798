"""A user's own terms: each is taken out of the sentence before the model sees it, and its translation is put in.

A term stands in the translation as the glossary has it, letter for letter; the model chooses its place and inflects
nothing of it. Terms without a capital letter are found in either case, and one found at its sentence's capital gets
one too. A term is found as whole words; where a script sets no spaces between its words (Chinese, Japanese, Thai) or
joins endings to them (Korean) nothing says where one ends, and a term is found wherever its letters stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from shared.errors import DataError, UsageError

Terms: TypeAlias = Mapping[str, str] | str | Path
"""Translations by term; or a file with a term and its translation a line, a tab between, ``#`` before a remark."""
MOST_TERMS = 10_000
_JOINED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai and Lao, Burmese, Khmer
    r"\u2e80-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"  # Chinese and Japanese
    r"\uac00-\ud7af"  # Korean
)
"""Letters beside which no space tells where a word ends, as a part of a character class."""
_OF_WORDS = rf"[^\W{_JOINED}]"


@dataclass(frozen=True)
class Glossary:
    """Terms, ready to be found.

    Attributes:
        terms: translations by term.
        pattern: matches any of the terms, the longest first; ``None`` where there are none.
    """

    terms: Mapping[str, str] = field(default_factory=dict)
    pattern: re.Pattern[str] | None = None

    def spans(self, text: str) -> list[tuple[int, int, str]]:
        """Where terms stand in a text, and what shall stand in the translation: ``(start, end, translation)``.

        Example:
            >>> read_glossary({"log file": "Protokoll"}).spans("Log file or log")
            [(0, 8, 'Protokoll')]
        """
        if self.pattern is None:
            return []
        return [(*found.span(), self._translation(found.group())) for found in self.pattern.finditer(text)]

    def _translation(self, found: str) -> str:
        if found in self.terms:
            return self.terms[found]
        translation = self.terms[found.lower()]
        return translation[:1].upper() + translation[1:] if found[0].isupper() else translation


def read_glossary(terms: Terms | None) -> Glossary:
    """Make a glossary of terms, or of a file of them.

    Raises:
        UsageError: a term or a translation is empty or no text, or there are more than :data:`MOST_TERMS`.
        DataError: the file cannot be read, or a line has not two fields.
    """
    if terms is None:
        return Glossary()
    table = dict(terms) if isinstance(terms, Mapping) else _read(Path(terms))
    for term, translation in table.items():
        if not all(isinstance(part, str) and part.strip() for part in (term, translation)):
            raise UsageError(
                f"a glossary must hold terms and their translations. Got {term!r}: {translation!r} instead"
            )
    if len(table) > MOST_TERMS:
        raise UsageError(f"a glossary must hold at most {MOST_TERMS} terms. Got {len(table)}")
    if not table:
        return Glossary()
    longest_first = sorted(table, key=len, reverse=True)
    return Glossary(table, re.compile("|".join(map(_whole, longest_first))))


def _whole(term: str) -> str:
    """A pattern of the term that matches no part of a word."""
    written = rf"(?i:{re.escape(term)})" if term == term.lower() else re.escape(term)
    joined = [re.match(f"[{_JOINED}]", edge) is not None for edge in (term[0], term[-1])]
    before, after = "" if joined[0] else f"(?<!{_OF_WORDS})", "" if joined[1] else f"(?!{_OF_WORDS})"
    return f"{before}{written}{after}"


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"a glossary must be a UTF-8 text file. {path}: {error}") from error
    table: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) != 2:
            raise DataError(
                f"{path}, line {number} must hold a term, a tab and its translation. Got {len(fields)} fields instead"
            )
        table[fields[0].strip()] = fields[1].strip()
    return table
