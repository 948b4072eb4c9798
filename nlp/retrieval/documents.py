"""Files to documents: text, Markdown, HTML and PDF, with their headings and pages.

A document's text is what offsets count in. Of a text or Markdown file it is the file itself, decoded; of HTML what a
reader sees (:mod:`nlp.retrieval.html`); of a PDF each page's text by itself (:mod:`nlp.retrieval.pdf`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import InputError

MOST_BYTES = 256 << 20
"""A larger file is refused."""
MOST_CHARACTERS = 64_000_000
"""A document with more text is refused."""
SUFFIXES = {
    ".txt": "text",
    ".text": "text",
    ".log": "text",
    ".rst": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
}
"""Which kind of document a file is, by the end of its name."""
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")


@dataclass(frozen=True)
class Heading:
    """A heading of a page.

    Attributes:
        start: its first character in the page's text.
        level: 1 for the outermost.
        title: its words.
    """

    start: int
    level: int
    title: str


@dataclass(frozen=True)
class Page:
    """A page, or a whole document without pages.

    Attributes:
        number: from 1; ``None`` where the document has no pages.
        text: what stands on it.
        headings: those on it, in order; one of a page before counts on until another of its level or above comes.
    """

    number: int | None
    text: str
    headings: tuple[Heading, ...] = ()


@dataclass(frozen=True)
class Document:
    """A file's text.

    Attributes:
        kind: ``"text"``, ``"markdown"``, ``"html"`` or ``"pdf"``.
        pages: at least one.
        title: what the document says it is called, or empty.
        encoding: what its bytes were read as; empty for a PDF.
    """

    kind: str
    pages: tuple[Page, ...]
    title: str = field(default="")
    encoding: str = field(default="")


def read_document(path: str | Path, *, data: bytes | None = None, encoding: str | None = None) -> Document:
    """Read a file as its name's ending says; a PDF or HTML page under another name is known by its first bytes.

    Args:
        path: the file.
        data: its bytes, where the caller has them.
        encoding: of text; ``None`` looks, see :mod:`nlp.retrieval.encodings`.

    Raises:
        InputError: there is no such file (``"not-found"``), or it is too large (``"too-large"``), of no known kind
            (``"unsupported"``), no text (``"binary"``), damaged (``"corrupt"``), locked by a password
            (``"encrypted"``), or without any text (``"empty"``).
        UsageError: there is no such encoding.
    """
    place = Path(path)
    content = read_bytes(place) if data is None else data
    kind = _kind(place, content)
    if kind == "pdf":
        from nlp.retrieval.pdf import read_pdf  # noqa: PLC0415 - loads the library that reads them

        document = read_pdf(content)
    else:
        document = _of_text(content, kind, encoding)
    if sum(len(page.text) for page in document.pages) > MOST_CHARACTERS:
        raise InputError("too-large", f"a document must have at most {MOST_CHARACTERS:,} characters: split it")
    if not any(page.text.strip() for page in document.pages):
        hint = ". Its pages are pictures perhaps: run it through text recognition first" if kind == "pdf" else ""
        raise InputError("empty", f"a document must hold text. {place.name} holds none{hint}")
    return document


def read_bytes(path: Path) -> bytes:
    """A file's bytes, if it is one and not too large.

    Raises:
        InputError: it is none (``"not-found"``) or too large (``"too-large"``).
    """
    try:
        if not path.is_file():
            raise InputError("not-found", f"a document must be a file. Nothing of that kind stands at {path}")
        if path.stat().st_size > MOST_BYTES:
            raise InputError("too-large", f"a file must have at most {MOST_BYTES:,} bytes: split it")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError("not-found", f"{path} cannot be read: {error}") from error


def _kind(path: Path, data: bytes) -> str:
    if b"%PDF-" in data[:1024]:
        return "pdf"
    known = SUFFIXES.get(path.suffix.lower())
    if known == "pdf":
        raise InputError("corrupt", f"{path.name} must be a PDF. It does not begin as one")
    if known is None and data[:256].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "html"
    if known is None:
        raise InputError(
            "unsupported", f"a document's name must end in one of {', '.join(SUFFIXES)}. Got {path.name!r} instead"
        )
    return known


def _of_text(data: bytes, kind: str, encoding: str | None) -> Document:
    from nlp.retrieval.encodings import decode_text  # noqa: PLC0415 - registers an error handler of codecs

    decoded = decode_text(data, encoding=encoding, markup=kind == "html")
    if kind == "html":
        from nlp.retrieval.html import read_html  # noqa: PLC0415

        return read_html(decoded.text, encoding=decoded.encoding)
    headings = tuple(markdown_headings(decoded.text)) if kind == "markdown" else ()
    title = headings[0].title if headings and headings[0].level == 1 else ""
    return Document(kind, (Page(None, decoded.text, headings),), title, decoded.encoding)


def markdown_headings(text: str) -> Iterator[Heading]:
    r"""The headings of Markdown, but for what stands in fenced code (CommonMark 0.31, sections 4.2, 4.3 and 4.5).

    Example:
        >>> [(h.level, h.title) for h in markdown_headings("Alps\n====\n\n## Eiger ##\n")]
        [(1, 'Alps'), (2, 'Eiger')]
    """
    at, fence, before = 0, "", ("", 0)
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        mark = _FENCE.match(bare)
        if fence:
            if mark and mark[1].startswith(fence) and not bare.strip(" `~"):
                fence = ""
            before = ("", at)
        elif mark:
            fence, before = mark[1], ("", at)
        elif found := _ATX.match(bare):
            if found[2]:
                yield Heading(at, len(found[1]), found[2].strip())
            before = ("", at)
        elif before[0] and (under := _UNDERLINE.match(bare)):
            yield Heading(before[1], 1 if under[1][0] == "=" else 2, before[0])
            before = ("", at)
        else:
            before = (bare.strip() if not bare.startswith(("    ", "\t", "- ", "* ", ">")) else "", at)
        at += len(line)
