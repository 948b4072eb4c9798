"""Where the sentences of a text are, so that everything between them can stay as it was given.

Line breaks, empty lines, indents, bullets, numbers of lists, quote marks of mails, headings' signs and fenced code are
between sentences. Rules and lists of abbreviations, for the languages that our own models know; other languages
written with spaces are read by the rules alone, Chinese and Japanese by their own full stops.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)")
_LEAD = re.compile(
    r"""[ \t\u3000]*(?:(?:[-*+•‣◦–—·]|\#{1,6}|>|\d{1,3}[.)]|\(?[A-Za-z]\)|\[[ xX]\])[ \t]+)*""", re.VERBOSE
)
_CODE = re.compile(r"(?: {4}|\t).*(?:[{};=]|\w\()")
_STOP = re.compile(r"""[.!?…]+["'”’»)\]]*(?=\s)|[。！？｡]+[」』”’）]*""")
_OPENS = re.compile(r"""["'“‘„«‚‹(\[¿¡<{%]*[^\W_a-zß-öø-ÿ]""")
_WORD = re.compile(r"""[\w.'’-]*\w\.$""")
_ABBREVIATIONS = {
    "en": """mr mrs ms dr prof st sr jr vs etc e.g i.e fig figs vol pp p ed eds rev gen col capt lt sgt hon gov
        sen rep inc ltd co corp dept est approx jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri
        sat sun al""",
    "de": """z.b d.h u.a usw bzw ca evtl ggf inkl exkl nr abs abb art aufl bd bspw d.i dgl dipl ehem einschl entspr
        fr frl geb ges gez hr hrsg ing jh jhd kap max min mio mrd o.ä o.a s.o s.u sog str tel u.u usf vgl v.a v.chr
        n.chr zit zz zzgl z.t z.zt dr prof st""",
    "fr": """m mm mme mlle me mgr env ex cf c.-à-d p.ex av bd boul chap coll dép éd ill réf suiv tél t dr prof st
        p vol etc""",
}
_KNOWN = {language: frozenset(words.split()) for language, words in _ABBREVIATIONS.items()}
_NUMBERED = ("no", "nos")
_DAYS = re.compile(r"(?<!\S)\d{1,2}\.$")


def sentence_spans(text: str, *, language: str, wrapped: bool = False) -> list[Span]:
    """The sentences of a text, in order, as spans without white space at their ends.

    Args:
        text: any text.
        language: code of its language; in German a figure with a full stop before a word is an ordinal.
        wrapped: whether lines that follow one another are one paragraph; else every line stands by itself.

    Example:
        >>> text = "- Dr. Lee left.  Why?" + chr(10) * 2 + "1. He said: no"
        >>> [text[start:end] for start, end in sentence_spans(text, language="en")]
        ['Dr. Lee left.', 'Why?', 'He said: no']
    """
    found: list[Span] = []
    for start, end in _blocks(text, wrapped=wrapped):
        found += _sentences(text, start, end, language)
    return found


def _blocks(text: str, *, wrapped: bool) -> Iterator[Span]:
    """Lines, or with ``wrapped`` paragraphs, that hold a letter and are no code; without what leads a line in."""
    fenced, begun, last = False, -1, -1
    at = 0
    for line in text.splitlines(keepends=True):
        body = line.rstrip()
        lead = _LEAD.match(body)
        start, end = at + (lead.end() if lead else 0), at + len(body)
        at += len(line)
        is_fence = bool(_FENCE.match(body))
        skipped = is_fence or fenced or bool(_CODE.match(body)) or not any(map(str.isalpha, body))
        fenced ^= is_fence
        continues = wrapped and begun >= 0 and not skipped and not (lead and lead.group().strip())
        if begun >= 0 and not continues:
            yield begun, last
            begun = -1
        if not skipped:
            begun, last = (begun if continues else start), end
    if begun >= 0:
        yield begun, last


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[Span]:
    at = start
    for stop in _STOP.finditer(text, start, end):
        after = stop.end()
        while after < end and text[after].isspace():
            after += 1
        if after < end and not _is_end(text, at, stop, after, language):
            continue
        if any(map(str.isalnum, text[at : stop.end()])):
            yield at, stop.end()
            at = after
    if any(map(str.isalnum, text[at:end])):
        yield at, end


def _is_end(text: str, at: int, stop: re.Match[str], after: int, language: str) -> bool:
    if stop.group()[0] in "。！？｡":
        return True
    if not _OPENS.match(text, after):
        return False
    if stop.group() != ".":
        return True
    before = text[max(at, stop.end() - 40) : stop.end()]
    word = _WORD.search(before)
    if word is None:
        return True
    stem = word.group()[:-1].lower().lstrip("('’")
    if stem in _KNOWN.get(language, ()) or (len(stem) == 1 and stem.isalpha() and word.group() != "I."):
        return False
    is_number = stem in _NUMBERED and text[after].isdigit()
    return not (is_number or (language == "de" and _DAYS.search(before)))


def bounded(text: str, spans: list[Span], *, most: int) -> list[Span]:
    """The spans, those of more than ``most`` characters cut: after a comma or colon where there is one, or a space.

    Example:
        >>> bounded("one two, three four", [(0, 19)], most=12)
        [(0, 8), (9, 19)]
    """
    found: list[Span] = []
    for start, end in spans:
        at = start
        while end - at > most:
            window = text[at : at + most]
            cut = max(window.rfind(sign) + len(sign) for sign in (", ", "; ", ": ", "，", "、", "；"))
            if cut < most // 3:
                cut = max(window.rfind(" ") + 1, most // 3)
            stop = at + cut
            found += _trimmed(text, at, stop)
            at = stop
        found += _trimmed(text, at, end)
    return found


def _trimmed(text: str, start: int, end: int) -> list[Span]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return [(start, end)] if start < end else []
