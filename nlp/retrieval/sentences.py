"""Where the sentences of a passage lie: a plain rule for running text, exact in its offsets."""

from __future__ import annotations

import re

_END = re.compile(r"""[.!?…]+["'”’)\]]*\s+|[。！？]|\n[^\S\n]*\n\s*|^ {0,3}\#{1,6} [^\n]*\n""", re.M)
_ABBREVIATIONS = "mr mrs ms dr prof st mt vs etc eg ie cf no vol pp fig ca approx inc ltd co jr sr gen col lt rev hon"
_SHORT = frozenset(_ABBREVIATIONS.split())
_LAST_WORD = re.compile(r"([\w.]+)\.$")
LONGEST = 1200
"""Characters of a sentence at most; what runs on is cut at white space."""


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """First character and one past the last of each sentence, in order, white space between them left out.

    A full stop after an abbreviation, an initial or before a lower-case letter ends none; an empty line or a heading of
    Markdown always does.

    Example:
        >>> text = "Dr. Ann came. She left at 5 p.m. with Bob!"
        >>> [text[a:b] for a, b in sentence_spans(text)]
        ['Dr. Ann came.', 'She left at 5 p.m. with Bob!']
    """
    found: list[tuple[int, int]] = []
    start = 0
    for end in [*(m.end() for m in _END.finditer(text) if _ends(text, m)), len(text)]:
        while end - start > LONGEST:
            cut = max(text.rfind(" ", start + 1, start + LONGEST), text.rfind("\n", start + 1, start + LONGEST))
            cut = cut + 1 if cut > start else start + LONGEST
            _keep(text, start, cut, found)
            start = cut
        _keep(text, start, end, found)
        start = end
    return found


def _keep(text: str, start: int, end: int, found: list[tuple[int, int]]) -> None:
    held = text[start:end]
    if held.strip():
        first = start + len(held) - len(held.lstrip())
        found.append((first, first + len(held.strip())))


def _ends(text: str, mark: re.Match[str]) -> bool:
    if not mark[0].startswith(".") or "\n\n" in mark[0]:
        return True
    follows = text[mark.end() : mark.end() + 1]
    word = _LAST_WORD.search(text, max(0, mark.start() - 20), mark.start() + 1)
    last = word[1].replace(".", "").lower() if word else ""
    return not (follows.islower() or last in _SHORT or (len(last) == 1 and last.isalpha()))
