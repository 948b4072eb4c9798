"""HTML to what a reader sees, with its headings, in one pass and in flat memory however deep it is nested.

Scripts, styles, navigation, footers and forms are left out. Blocks are parted by empty lines, rows of a table or list
by line ends, cells by tabs; items of a list begin with "- ". Runs of white space are one space but within ``pre``.
"""

from __future__ import annotations

import re

from nlp.retrieval.documents import Document, Heading, Page
from nlp.retrieval.markup import tokens
from shared.errors import InputError

_UNSHOWN = "script style noscript template svg math canvas iframe object nav footer form select button head"
_LEFT_OUT = frozenset(_UNSHOWN.split())
_OWN_LINE = (
    "address article aside blockquote body br caption center dd details div dl dt fieldset figcaption figure h1 h2 h3 "
    "h4 h5 h6 header hr html legend li main ol p pre section summary table tbody tfoot thead tr ul"
)
_BLOCKS = frozenset(_OWN_LINE.split())
_CLOSE = "br caption dd dt legend li summary tr"
_ROWS = frozenset(_CLOSE.split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SPACE = re.compile(r"\s+")
MOST_MARKUP = 64_000_000
"""Characters of a page's source at most."""


class _Reader:
    """Collects text as tags go by; of open tags it keeps counts alone."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.length = 0
        self.headings: list[Heading] = []
        self.title: list[str] = []
        self._out: dict[str, int] = {}
        self._in_title = self._in_pre = False
        self._heading: tuple[int, int, int] | None = None
        self._gap = 0

    def opened(self, tag: str) -> None:
        if tag in _LEFT_OUT:
            self._out[tag] = self._out.get(tag, 0) + 1
        elif tag == "title":
            self._in_title = True
        elif tag == "body":
            self._out.pop("head", None)  # a head that was never closed ends here
        if self._out:
            return
        self._edge(tag)
        if tag == "li":
            self._put("- ")
        elif tag in ("td", "th") and self.parts and not self._gap:
            self._put("\t")
        elif tag == "pre":
            self._in_pre = True
        elif tag in _HEADINGS:
            self._put("")
            self._heading = (self.length, _HEADINGS[tag], len(self.parts))

    def closed(self, tag: str) -> None:
        if tag in self._out:
            self._out[tag] -= 1
            if not self._out[tag]:
                del self._out[tag]
        elif tag == "title":
            self._in_title = False
        if self._out:
            return
        if tag in _HEADINGS and self._heading is not None:
            start, level, part = self._heading
            title = _SPACE.sub(" ", "".join(self.parts[part:])).strip()
            if title:
                self.headings.append(Heading(start, level, title))
            self._heading = None
        self._edge(tag)
        if tag == "pre":
            self._in_pre = False

    def said(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif self._in_pre and not self._out:
            self._put(data)
        elif not self._out:
            text = _SPACE.sub(" ", data)
            fresh = self._gap or not self.parts or self.parts[-1].endswith((" ", "\t", "\n"))
            text = text.lstrip(" ") if fresh else text
            if text:
                self._put(text)

    def _edge(self, tag: str) -> None:
        """What follows a block's edge stands on a new line; but for the rows of a list or table, after an empty one."""
        if tag in _BLOCKS:
            self._gap = max(self._gap, 1 if tag in _ROWS else 2)

    def _put(self, text: str) -> None:
        whole = "\n" * self._gap + text if self.parts else text
        self._gap = 0
        if whole:
            self.parts.append(whole)
            self.length += len(whole)


def read_html(source: str, *, encoding: str = "") -> Document:
    r"""The text of a page.

    Args:
        source: the page, decoded.
        encoding: what it was decoded from, for the record.

    Raises:
        InputError: it is too large (``"too-large"``).

    Example:
        >>> page = read_html("<h1>Alps</h1><p>The <b>Eiger</b> is high.").pages[0]
        >>> page.text, page.headings[0].title
        ('Alps\n\nThe Eiger is high.', 'Alps')
    """
    if len(source) > MOST_MARKUP:
        raise InputError("too-large", f"an HTML page must have at most {MOST_MARKUP:,} characters: split it")
    reader = _Reader()
    for token in tokens(source):
        {"open": reader.opened, "close": reader.closed, "text": reader.said}[token.kind](token.value)
    title = _SPACE.sub(" ", "".join(reader.title)).strip()
    return Document("html", (Page(None, "".join(reader.parts), tuple(reader.headings)),), title, encoding)
