"""HTML's tags and text in one pass, in time that grows with the page's length and no faster, whatever it holds.

The tokeniser of the WHATWG HTML standard (section 13.2.5) as far as text needs it: comments, quoted attributes, and
elements whose content is no markup. What is never closed reaches to the end of the page, as in a browser.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_RAW = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
_NAME = re.compile(r"[A-Za-z][^\s/>]{0,63}")
_BEGIN = re.compile(r"<(?=[A-Za-z/!?])")
_STOP = re.compile(r"[>\"']")
_HUGE_NUMBER = re.compile(r"&#(?:\d{8,}|[xX][0-9a-fA-F]{8,});?")


@dataclass(frozen=True)
class Token:
    """A piece of a page.

    Attributes:
        kind: ``"text"``, ``"open"`` or ``"close"``.
        value: the text with its character references resolved, or the tag's name in lower case.
    """

    kind: Literal["text", "open", "close"]
    value: str


def tokens(source: str) -> Iterator[Token]:
    """The tags and texts of a page, in order; comments and declarations are left out.

    Example:
        >>> [token.value for token in tokens('<p title="a>b">1 &lt; 2<!-- no --></P>')]
        ['p', '1 < 2', 'p']
    """
    at = shown = 0
    while begin := _BEGIN.search(source, at):
        at = begin.start()
        end, found = _tag(source, at)
        if end == at:  # a sign and no tag
            at += 1
            continue
        yield from _text(source[shown:at])
        if end < 0:
            return
        if found is not None:
            yield found
            if found.kind == "open" and found.value in _RAW:
                closing = re.compile(rf"</{found.value}(?=[\s/>])", re.IGNORECASE).search(source, end)
                stop = len(source) if closing is None else closing.start()
                yield from _text(source[end:stop])
                end = stop
        at = shown = end
    yield from _text(source[shown:])


def _tag(source: str, at: int) -> tuple[int, Token | None]:
    """One past a tag's end, and the tag; the same place for what is none, -1 for one that is never closed."""
    if source.startswith("<!--", at):
        return _past(source.find("-->", at + 2), 3), None
    if source.startswith(("<!", "<?"), at):
        return _past(source.find(">", at), 1), None
    closes = source.startswith("</", at)
    name = _NAME.match(source, at + 1 + closes)
    if name is None:
        return (_past(source.find(">", at), 1), None) if closes else (at, None)
    place = name.end()
    while stop := _STOP.search(source, place):
        if stop[0] == ">":
            return stop.end(), Token("close" if closes else "open", name[0].lower())
        place = stop.end()
        if _quotes(source, stop.start()):
            place = _past(source.find(stop[0], place), 1)
            if place < 0:
                break
    return -1, None


def _quotes(source: str, at: int) -> bool:
    """Whether a quotation mark begins an attribute's value: the last character before it but white space is "="."""
    while at > 0 and source[at - 1].isspace():
        at -= 1
    return source[at - 1] == "="


def _past(place: int, length: int) -> int:
    return place if place < 0 else place + length


def _text(piece: str) -> Iterator[Token]:
    if piece:
        yield Token("text", html.unescape(_HUGE_NUMBER.sub("\ufffd", piece)))
