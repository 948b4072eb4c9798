"""PDF to the text of each page, by PDFium; the outline's entries are the headings of the pages that they lead to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nlp.retrieval.documents import MOST_CHARACTERS, Document, Heading, Page
from shared.errors import InputError
from shared.lazy import require

MOST_PAGES = 20_000
MOST_HEADINGS = 20_000
_DEPTH = 6
_ONE_AT_A_TIME = threading.Lock()
"""PDFium serves one thread at a time."""
_PASSWORD = "Incorrect password"  # noqa: S105 - the words of PDFium's own message


def read_pdf(data: bytes) -> Document:
    """The text of each page.

    Line ends are line feeds; a word that is parted at the end of a line is joined again. What PDFium cannot map to a
    character is left out.

    Raises:
        InputError: it cannot be read (``"corrupt"``), is locked (``"encrypted"``), or has too many pages or too much
            text (``"too-large"``).
    """
    with opened(data) as (document, library):
        return _read(document, library)


@contextmanager
def opened(data: bytes) -> Iterator[tuple[Any, Any]]:
    """PDFium's document and the library itself, while nobody else uses either.

    Raises:
        InputError: it cannot be read (``"corrupt"``) or is locked (``"encrypted"``).
    """
    library = require("pypdfium2", extra="all")
    with _ONE_AT_A_TIME:
        try:
            document = library.PdfDocument(data)
        except library.PdfiumError as error:
            if _PASSWORD in str(error):
                raise InputError("encrypted", "the PDF is locked by a password: save it without one") from error
            raise InputError("corrupt", f"the PDF cannot be read: {str(error).rstrip('.')}. Is it whole?") from error
        try:
            yield document, library
        finally:
            document.close()


def _read(document: Any, library: Any) -> Document:
    count = len(document)
    if count > MOST_PAGES:
        raise InputError("too-large", f"a PDF must have at most {MOST_PAGES:,} pages. Got {count:,}: split it")
    if not count:
        raise InputError("corrupt", "the PDF cannot be read: it has no pages. Is it whole?")
    headings = _headings(document, library)
    pages: list[Page] = []
    total = 0
    for at in range(count):
        text = _text(document, at, library)
        total += len(text)
        if total > MOST_CHARACTERS:
            raise InputError("too-large", f"a document must have at most {MOST_CHARACTERS:,} characters: split it")
        pages.append(Page(at + 1, text, tuple(Heading(0, level, title) for level, title in headings.get(at, ()))))
    title = str(document.get_metadata_dict().get("Title") or "").strip()
    return Document("pdf", tuple(pages), title)


def _text(document: Any, at: int, library: Any) -> str:
    """What stands on a page; nothing where the page itself is damaged."""
    try:
        page = document[at]
    except library.PdfiumError:
        return ""
    try:
        held = page.get_textpage()
        try:
            return plain(str(held.get_text_bounded()))
        finally:
            held.close()
    except library.PdfiumError:
        return ""
    finally:
        page.close()


def plain(text: str) -> str:
    r"""PDFium's text as ours: line ends as ``\n``, its mark for a parted word gone, half characters left out.

    Example:
        >>> plain("moun\ufffetains\r\nand\x02 lakes")
        'mountains\nand lakes'
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "").replace("\x02", "").replace("\0", "")
    return text.encode("utf-8", "ignore").decode("utf-8")


def _headings(document: Any, library: Any) -> dict[int, list[tuple[int, str]]]:
    """Level and title of the outline's entries by the page that they lead to, from 0."""
    found: dict[int, list[tuple[int, str]]] = {}
    try:
        for number, entry in enumerate(document.get_toc(max_depth=_DEPTH)):
            if number >= MOST_HEADINGS:
                break
            target = entry.get_dest()
            page = None if target is None else target.get_index()
            title = plain(str(entry.get_title() or "")).strip()
            if page is not None and title:
                found.setdefault(page, []).append((entry.level + 1, title))
    except library.PdfiumError:
        pass  # an outline that cannot be read costs the headings, not the text
    return found
