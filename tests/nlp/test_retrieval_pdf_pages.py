"""Pages of PDFs as pictures: a box for each line of a stretch of text, held against the ink itself.

Each word is written in a colour of its own that lacks red, so that no mixture with white is taken for another's: the
boxes of words must hold all pixels of their colours, and none of another's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pytest

from nlp.retrieval import pdf_pages
from nlp.retrieval.documents import read_document
from nlp.retrieval.pdf_pages import LONGEST, PagePicture, page_picture
from shared.errors import InputError, UsageError
from shared.types import UInt8

fpdf = pytest.importorskip("fpdf", reason="makes the PDFs: pip install fpdf2")


def colour(word: int) -> tuple[int, int, int]:
    return 0, 40 * (word % 5), 30 * (word // 5)


@dataclass
class Drawn:
    """A page under the pen, and the words on it in the order in which they were written."""

    to: Any
    words: list[str]

    def write(self, x: float, y: float, *pieces: str, step: float = 9) -> None:
        """A word, in pieces on lines under each other; a hyphen at the end of a piece is none of its ink."""
        at = len(self.words)
        for row, piece in enumerate(pieces):
            self.to.set_text_color(*colour(at))
            bare = piece.rstrip("-")
            self.to.text(x, y + row * step, bare)
            if bare != piece:
                self.to.set_text_color(255, 0, 0)
                self.to.text(x + self.to.get_string_width(bare), y + row * step, "-")
        self.words.append("".join(piece.rstrip("-") for piece in pieces))

    def line(self, x: float, y: float, text: str) -> None:
        for word in text.split():
            self.write(x, y, word)
            x += self.to.get_string_width(word + " ")


def straight(page: Drawn) -> None:
    page.line(20, 30, "The Eiger is 3967")
    page.line(20, 40, "metres high,  and")
    page.line(20, 60, "Gipfel Äöü 50%.")


def columns(page: Drawn) -> None:
    for row, text in enumerate(("left one", "left two", "left three")):
        page.line(20, 40 + 11 * row, text)
    for row, text in enumerate(("right one", "right two", "right three")):
        page.line(120, 40 + 11 * row, text)


def parted(page: Drawn) -> None:
    page.line(20, 30, "Where the")
    page.write(80, 30, "moun-", "")
    page.words.pop()
    page.to.set_text_color(*colour(len(page.words)))
    page.to.text(20, 39, "tains")
    page.words.append("mountains")
    page.line(45, 39, "are high")
    page.line(20, 48, "and well")


def slanted(page: Drawn) -> None:
    with page.to.rotation(30, 60, 60):
        page.line(40, 60, "Slanted words")
    with page.to.rotation(90, 150, 150):
        page.line(120, 150, "Upward words")
    page.line(20, 250, "flat again")


def made(draw: Callable[[Drawn], None], *, turn: int = 0, crop: tuple[float, ...] = ()) -> tuple[bytes, list[str]]:
    """A PDF of one page, cropped and turned, and its words."""
    page = Drawn(fpdf.FPDF(), [])
    page.to.add_page()
    page.to.set_font("Helvetica", size=24)
    draw(page)
    document = pdfium.PdfDocument(bytes(page.to.output()))
    sheet = document[0]
    sheet.set_rotation(turn)
    if crop:
        sheet.set_cropbox(*crop)
    held = io.BytesIO()
    document.save(held)
    document.close()
    return held.getvalue(), page.words


def covered(picture: PagePicture, span: int) -> np.ndarray:
    mask = np.zeros(picture.pixels.shape[:2], bool)
    for left, top, right, bottom in picture.of(span):
        mask[int(np.floor(top)) : int(np.ceil(bottom)), int(np.floor(left)) : int(np.ceil(right))] = True
    return mask


def ink(pixels: UInt8, word: int) -> np.ndarray:
    found: np.ndarray = (pixels == np.array(colour(word), np.uint8)).all(axis=2)
    return found


def check(data: bytes, words: Sequence[str], *, sides: tuple[int, int] | None = None) -> None:
    """Every run of words has boxes over its own ink and over no other."""
    text = read_document("a.pdf", data=data).pages[0].text
    places = [match.span() for match in re.finditer(r"\S+", text)]
    assert [text[start:end] for start, end in places] == list(words)
    runs = [(first, last) for first in range(len(words)) for last in range(first, len(words))]
    picture = page_picture(data, 1, [(places[first][0], places[last][1]) for first, last in runs], width=1100)
    if sides is not None:
        assert picture.pixels.shape[:2] == sides
    inks = [ink(picture.pixels, word) for word in range(len(words))]
    assert min(map(np.count_nonzero, inks)) > 20
    for at, (first, last) in enumerate(runs):
        mask = covered(picture, at)
        for word, own in enumerate(inks):
            share = np.count_nonzero(mask & own) / np.count_nonzero(own)
            assert share == (1 if first <= word <= last else 0), (words[first : last + 1], words[word])


@pytest.mark.parametrize("draw", [straight, columns, parted])
@pytest.mark.parametrize("turn", [0, 90])
def test_boxes_hold_the_ink_of_their_words(draw: Callable[[Drawn], None], turn: int) -> None:
    data, words = made(draw, turn=turn)
    check(data, words, sides=(778, 1100) if turn else (1556, 1100))


def test_slanted_and_upward_lines() -> None:
    data, words = made(slanted)
    text = read_document("a.pdf", data=data).pages[0].text
    places = [match.span() for match in re.finditer(r"\S+", text)]
    assert [text[start:end] for start, end in places] == words
    picture = page_picture(data, 1, places, width=1100)
    for word in range(len(words)):
        assert np.all(covered(picture, word)[ink(picture.pixels, word)])
    assert [len(picture.of(word)) for word in range(2, len(words))] == [1, 1, 1, 1]


def test_cells_far_apart_are_marked_apart_and_words_of_a_line_together() -> None:
    def row(page: Drawn) -> None:
        page.line(20, 40, "left cell")
        page.line(150, 40, "right")

    data, _ = made(row)
    assert read_document("a.pdf", data=data).pages[0].text == "left cell right"
    picture = page_picture(data, 1, [(0, 15)])
    assert len(picture.of(0)) == 2
    assert picture.of(0)[0, 2] < 450 < picture.of(0)[1, 0]


@pytest.mark.parametrize("turn", [0, 180, 270])
def test_a_cropped_page_counts_only_what_is_seen(turn: int) -> None:
    """The first line lies outside, so PDFium's own numbers are shifted; upside down it lists lines from below."""
    data, words = made(straight, turn=turn, crop=(40, 600, 400, 745))
    text = read_document("a.pdf", data=data).pages[0].text
    assert sorted(text.split()) == sorted(words[4:])
    places = [(text.index(word), text.index(word) + len(word)) for word in words[4:]]
    picture = page_picture(data, 1, places, width=1000)
    assert picture.pixels.shape[:2] == ((1600, 644) if turn == 270 else (403, 1000))
    for at, word in enumerate(range(4, len(words))):
        assert np.all(covered(picture, at)[ink(picture.pixels, word)])
        assert np.count_nonzero(ink(picture.pixels, word)) > 20


MAP = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /M def
1 begincodespacerange <00> <FF> endcodespacerange
5 beginbfchar <61> <00660069> <62> <D83DDE00> <63> <0436> <64> <05D0> <65> <D800> endbfchar
endcmap end end"""
"""Of a font's letters: a is a ligature of two, b is beyond UTF-16's units, c Cyrillic, d Hebrew, e half a character."""


def mapped(words: Sequence[str]) -> bytes:
    """A page whose letters stand for others, each word in its colour."""
    rows = []
    for at, word in enumerate(words):
        red, green, blue = (part / 255 for part in colour(at))
        rows.append(f"{red} {green:.4f} {blue:.4f} rg BT /F 30 Tf {30 + 100 * at} 60 Td ({word}) Tj ET")
    stream = "\n".join(rows).encode()
    return b"".join(
        [
            b"%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n",
            b"2 0 obj << /Type /Pages /Kids [3 0 R 7 0 R] /Count 2 >> endobj\n",
            b"3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 640 120] /Contents 4 0 R ",
            b"/Resources << /Font << /F 5 0 R >> >> >> endobj\n",
            b"4 0 obj << /Length %d >> stream\n%b\nendstream endobj\n" % (len(stream), stream),
            b"5 0 obj << /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >> endobj\n",
            b"6 0 obj << /Length %d >> stream\n%b\nendstream endobj\n" % (len(MAP), MAP),
            b"trailer << /Root 1 0 R >>",
        ]
    )


def test_letters_that_are_several_units_or_none() -> None:
    check(mapped(["xax", "bx", "cc", "xb", "xex", "x"]), ["xfix", "😀x", "жж", "x😀", "xx", "x"])


def test_a_part_of_a_ligature_is_the_whole_of_it() -> None:
    picture = page_picture(mapped(["xax"]), 1, [(1, 2), (2, 3), (1, 3), (2, 2)])
    assert picture.of(0).tolist() == picture.of(1).tolist() == picture.of(2).tolist()
    assert len(picture.of(3)) == 0


@pytest.mark.parametrize("size", [(14_400, 14_400), (14_400, 20), (20, 14_400)])
def test_pictures_are_bounded_whatever_the_page(size: tuple[int, int]) -> None:
    large = fpdf.FPDF(unit="pt", format=size)
    large.add_page()
    large.set_font("Helvetica", size=12)
    large.text(2, 14, "Ox")
    picture = page_picture(bytes(large.output()), 1, [(0, 2)], width=LONGEST)
    assert max(picture.pixels.shape) <= LONGEST
    assert min(picture.pixels.shape[:2]) >= 1


def test_a_page_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    data = mapped(["x"] * 400)
    assert page_picture(data, 1).boxes.shape == (0, 4)
    monkeypatch.setattr(pdf_pages, "SECONDS", -1.0)
    with pytest.raises(InputError, match="must take at most") as caught:
        page_picture(data, 1)
    assert caught.value.kind == "too-large"


def test_nothing_is_marked_where_the_characters_do_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    data = mapped(["xax"])
    assert len(page_picture(data, 1, [(0, 4)]).boxes) == 1
    for other in ([("y", 0)] * 4, [("x", 0)]):
        monkeypatch.setattr(pdf_pages, "_listed", lambda *_, other=other: iter(other))
        assert page_picture(data, 1, [(0, 4)]).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (lambda data: page_picture(data, 0), UsageError, r"page must lie in 1\.\.2. Got 0"),
        (lambda data: page_picture(data, 3), UsageError, r"page must lie in 1\.\.2. Got 3"),
        (lambda data: page_picture(data, 2), InputError, "page 2 of the PDF cannot be read"),
        (lambda data: page_picture(data, 1, width=0), UsageError, r"width must lie in 1\.\.1600. Got 0"),
        (lambda data: page_picture(data, 1, width=1601), UsageError, "Got 1601"),
        (lambda data: page_picture(data, 1, [(0, 5)]), UsageError, "in the page's 4 characters. Got 0 to 5"),
        (lambda data: page_picture(data, 1, [(3, 2)]), UsageError, "Got 3 to 2"),
        (lambda data: page_picture(data[:9], 1), InputError, "the PDF cannot be read"),
    ],
)
def test_what_cannot_be_drawn_is_said(asked: Callable[[bytes], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        asked(mapped(["xax"]))


def outcome(data: bytes) -> str:
    """What became of a page: "drawn", or the kind of its fault."""
    try:
        page_picture(data, 1, width=60)
    except InputError as error:
        return error.kind
    return "drawn"


def test_bits_turned_in_a_pdf_never_bring_the_process_down() -> None:
    whole, _ = made(straight)
    data = bytearray(whole)
    found = set()
    for at in range(0, len(data), 61):
        data[at] ^= 0x55
        found.add(outcome(bytes(data)))
        data[at] ^= 0x55
    assert found <= {"drawn", "corrupt", "encrypted", "too-large"}
    assert "drawn" in found
