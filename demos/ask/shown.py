"""Answers out of documents as they are shown: the passage with its answer marked, and beneath it the page itself."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from nlp.retrieval.documents import read_document
from nlp.retrieval.pdf_pages import PagePicture, page_picture
from nlp.retrieval.types import CitedAnswer
from shared.errors import InputError
from shared.types import Bool, Float32, UInt8

WIDTH = 1000
"""Pixels of a page's picture: twice those of the column, for screens that have two for one, and to be enlarged."""
AROUND = 8_000
"""Characters before and after a passage that are shown of a text without pages."""
_FULL = 0.7
"""Share of the longest line from which a line is taken for a full one."""
_MOST_TOLD = 200
"""Characters of an answer that stand in for its picture."""
_PASSAGE, _ANSWER, _EDGE = (255, 245, 190), (255, 211, 77), (180, 83, 9)
"""Washes that leave black ink black, and the line around an answer, for pages that are dark themselves."""
_OUTWARD = np.array([-1, -1, 1, 1], np.float32)
_BENEATH = "padding: 0 0.9rem 0.8rem; color: var(--body-text-color); font-size: var(--text-sm)"
_SUMMARY = '<summary style="cursor: pointer; width: max-content; max-width: 100%; padding: 0.2rem 0">{}</summary>'
_SCROLLED = (
    "if (this.open) { const box = this.lastElementChild, mark = box.querySelector('mark'); "
    "box.scrollTop = mark.offsetTop - box.offsetTop - box.clientHeight / 3 }"
)


def answers_html(answers: Sequence[CitedAnswer], more: Sequence[str] = ()) -> str:
    """Each answer's place, and its passage with the answer marked; everything is escaped.

    Args:
        answers: best first.
        more: HTML that stands under each; nothing where it is not given.

    Example:
        >>> from nlp.retrieval.types import Passage
        >>> passage = Passage("/tmp/a.pdf", 3, "Alps", "The <Eiger> is high.", 10, 30)
        >>> print(answers_html([CitedAnswer("<Eiger>", 14, 21, 0.9, passage)]))
        <div class="facts cited"><h3>a.pdf, page 3, Alps, characters 14 to 21 <span class="tag">90%</span></h3>
        <p>The <mark>&lt;Eiger&gt;</mark> is high.</p></div>
    """
    parts = []
    for at, found in enumerate(answers):
        passage = found.passage
        page = "" if passage.page is None else f", page {passage.page}"
        heading = f", {passage.heading}" if passage.heading else ""
        where = f"{Path(passage.path).name}{page}{heading}, characters {found.start} to {found.end}"
        lines = passage.text if passage.page is None else flowed(passage.text)
        text = _marked(lines, found.start - passage.start, found.end - passage.start)
        parts.append(
            f'<div class="facts cited"><h3>{html.escape(where)} <span class="tag">{found.score:.0%}</span></h3>\n'
            f"<p>{text}</p>{more[at] if more else ''}</div>"
        )
    return "\n".join(parts)


def flowed(text: str) -> str:
    r"""A page's text with spaces for the ends of full lines, so that it takes the width that there is.

    No character is added or lost, so that places in it stay.

    Example:
        >>> flowed("Rye\nA rye loaf takes four\nhours.\nDough\n")
        'Rye\nA rye loaf takes four hours.\nDough\n'
    """
    lines = text.splitlines(keepends=True)
    full = _FULL * max(map(len, lines), default=0)
    return "".join(f"{line[:-1]} " if line.endswith("\n") and len(line) > full else line for line in lines)


def beneath(answers: Sequence[CitedAnswer], keep: Callable[[Image.Image], str]) -> list[str]:
    """What stands under each answer: its page drawn where it has one, else what stands around its passage.

    The first one's page is open, the others' a click away. A document that has gone meanwhile has nothing beneath it.

    Args:
        answers: best first; their documents lie where their passages say.
        keep: puts a picture where the browser finds it, and says where that is on this machine.
    """
    return [_beneath(answer, keep, first=at == 0) for at, answer in enumerate(answers)]


def _beneath(answer: CitedAnswer, keep: Callable[[Image.Image], str], *, first: bool) -> str:
    passage, path = answer.passage, Path(answer.passage.path)
    try:
        if passage.page is None:
            return around_html(read_document(path).pages[0].text, answer)
        spans = [(passage.start, passage.end), (answer.start, answer.end)]
        picture = page_picture(path.read_bytes(), passage.page, spans, width=WIDTH)
    except InputError as error:
        return "" if error.kind == "not-found" else _said(f"The page itself cannot be shown: {error}")
    except OSError:  # another question of the visitor's has replaced these documents
        return ""
    return page_html(answer, keep(highlighted(picture)), picture.pixels.shape[:2], unfolded=first)


def highlighted(picture: PagePicture) -> Image.Image:
    """A page with its first span washed lightly, and its second strongly and within a line."""
    pixels = picture.pixels.copy()
    passage, answer = (_covered(picture.of(span), pixels) for span in (0, 1))
    for held, wash in ((passage & ~answer, _PASSAGE), (answer, _ANSWER)):
        pixels[held] = pixels[held].astype(np.uint16) * np.array(wash, np.uint16) // 255
    wide = max(1, round(pixels.shape[1] / 500))
    pixels[_covered(picture.of(1) + wide * _OUTWARD, pixels) & ~answer] = _EDGE
    return Image.fromarray(pixels)


def _covered(boxes: Float32, pixels: UInt8) -> Bool:
    """Which pixels lie in one of the boxes: (height, width), bool."""
    held = np.zeros(pixels.shape[:2], bool)
    for left, top, right, bottom in boxes.round().astype(int).clip(0).tolist():
        held[top:bottom, left:right] = True
    return held


def page_html(answer: CitedAnswer, path: str, size: Sequence[int], *, unfolded: bool) -> str:
    """A page's picture, as wide as there is room; a click on it opens it in its full size.

    Args:
        answer: that is marked in it.
        path: where the picture lies on this machine.
        size: its height and width.
        unfolded: whether it is seen at once.
    """
    passage = answer.passage
    height, width = size
    words = textwrap.shorten(answer.text, _MOST_TOLD, placeholder=" \u2026")
    told = html.escape(f"Page {passage.page} of {Path(passage.path).name} with the answer marked: {words}")
    where = html.escape(f"gradio_api/file={quote(path)}")  # from wherever the page itself is served
    return (
        f'<details style="{_BENEATH}"{" open" * unfolded}>{_SUMMARY.format(f"Page {passage.page}")}'
        f'<a href="{where}" target="_blank" rel="noopener" title="Open in full size" style="display: block">'
        f'<img src="{where}" alt="{told}" width="{width}" height="{height}" style="display: block; max-width: 100%; '
        'height: auto; border: 1px solid var(--border-color-primary); border-radius: 4px"></a></details>'
    )


def around_html(text: str, answer: CitedAnswer) -> str:
    """What stands before and after a passage of a text without pages, folded; nothing where there is no more.

    Args:
        text: the whole document's.
        answer: that is marked in it.
    """
    passage = answer.passage
    begin, stop = max(0, passage.start - AROUND), min(len(text), passage.end + AROUND)
    if not (text[begin : passage.start].strip() or text[passage.end : stop].strip()):
        return ""
    name = html.escape(Path(passage.path).name)
    marked = _marked(text[begin:stop], answer.start - begin, answer.end - begin)
    before, after = "\u2026" * (begin > 0), "\u2026" * (stop < len(text))
    return (
        f'<details style="{_BENEATH}" ontoggle="{_SCROLLED}">{_SUMMARY.format("In the document")}'
        f'<div tabindex="0" role="region" aria-label="{name} around the answer" style="max-height: 20rem; '
        "overflow: auto; padding: 0.6rem 0.8rem; border: 1px solid var(--border-color-primary); border-radius: 4px; "
        f'white-space: pre-line; overflow-wrap: anywhere">{before}{marked}{after}</div></details>'
    )


def _said(words: str) -> str:
    return f'<div style="{_BENEATH}">{html.escape(words)}</div>'


def _marked(text: str, begin: int, stop: int) -> str:
    before, marked, after = (html.escape(part) for part in (text[:begin], text[begin:stop], text[stop:]))
    return f"{before}<mark>{marked}</mark>{after}"
