"""A page of a PDF as a picture, and where stretches of its text stand on it.

Characters of a page are counted as :func:`nlp.retrieval.pdf.read_pdf` gives its text, PDFium's own list counts others:
UTF-16 units, those outside the page, the hyphen of a parted word. Both are laid beside each other without their white
space, and where they differ nothing is marked rather than the wrong place.
"""

from __future__ import annotations

import ctypes
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlp.retrieval.pdf import opened, plain
from shared.errors import InputError, UsageError
from shared.types import Float32, Int64, Result, UInt8, array_field

LONGEST = 1600
"""Pixels of a picture's longer side at most, whatever the page's size."""
SECONDS = 5.0
"""A page that takes longer to draw is given up."""
_FINER = 16
"""PDFium places points on whole pixels, so it is asked on a grid this much finer."""
_LOOSE = 2.0
"""Boxes of a line are joined while the joined one is at most this many times their areas together."""
_UPWARD = 0.7
"""Sine of the angle from which a line runs up or down the page."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class PagePicture(Result):
    """A page, drawn as a viewer shows it: cropped and turned as the PDF says.

    Attributes:
        page: its number in the document, from 1.
        pixels: (height, width, 3), uint8, RGB, rows from the top.
        boxes: (n, 4), float32: left, top, right and bottom of each line of a span, in pixels from the picture's top
            left corner; the spans in order, the lines of each in the order of its text.
        spans: (n,), int64: which of the spans each box belongs to, from 0.

    Example:
        >>> blank = np.full((40, 30, 3), 255, np.uint8)
        >>> found = PagePicture(1, blank, np.array([[2, 4, 20, 9]], np.float32), np.array([0]))
        >>> found.of(0).tolist(), found.of(1).tolist()
        ([[2.0, 4.0, 20.0, 9.0]], [])
    """

    page: int
    pixels: UInt8 = array_field("uint8", ("height", "width", 3))
    boxes: Float32 = array_field("float32", ("n", 4), 0, LONGEST)
    spans: Int64 = array_field("int64", ("n",), 0)

    def of(self, span: int) -> Float32:
        """The boxes of one span, (n, 4); none where nothing of it can be seen."""
        found: Float32 = self.boxes[self.spans == span]
        return found


def page_picture(data: bytes, page: int, spans: Sequence[tuple[int, int]] = (), *, width: int = 900) -> PagePicture:
    r"""Draw a page of a PDF, and find where stretches of its text stand.

    Args:
        data: the PDF.
        page: number of the page, from 1, as :attr:`nlp.retrieval.types.Passage.page` has it.
        spans: first character and one past the last of each stretch, in the text of that page as
            :func:`nlp.retrieval.documents.read_document` gives it: a passage's or an answer's ``start`` and ``end``.
        width: of the picture in pixels, in 1..1600; less where the height would be more than 1600.

    Returns:
        The picture with a box for each line of each span.

    Raises:
        UsageError: there is no such page, a span does not lie in its text, or the width is out of its range.
        InputError: the PDF or the page cannot be read (``"corrupt"``), is locked (``"encrypted"``), or the page takes
            more than five seconds to draw (``"too-large"``).

    Example:
        >>> pdf = (
        ...     b"%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n"
        ...     b"2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj\n"
        ...     b"3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 300 100] /Contents 4 0 R "
        ...     b"/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >> endobj\n"
        ...     b"4 0 obj << /Length 41 >> stream\nBT /F 20 Tf 20 50 Td (The Eiger) Tj ET     \nendstream endobj\n"
        ...     b"trailer << /Root 1 0 R >>"
        ... )
        >>> found = page_picture(pdf, 1, [(4, 9)], width=600)
        >>> found.pixels.shape, found.of(0).round(-1).tolist()
        ((200, 600, 3), [[120.0, 60.0, 210.0, 110.0]])
    """
    if not 1 <= width <= LONGEST:
        raise UsageError(f"width must lie in 1..{LONGEST}. Got {width} instead")
    with opened(data) as (document, library):
        if not 1 <= page <= len(document):
            raise UsageError(f"page must lie in 1..{len(document)}. Got {page} instead")
        try:
            drawn = document[page - 1]
        except library.PdfiumError as error:
            raise _damaged(page) from error
        try:
            held = drawn.get_textpage()
            try:
                pixels = _pixels(drawn, library, width)
                characters = _characters(held, library.raw, spans)
                found = [_boxes(held, library.raw, indices, pixels.shape[:2]) for indices in characters]
            finally:
                held.close()
        except library.PdfiumError as error:
            raise _damaged(page) from error
        finally:
            drawn.close()
    boxes = np.array([box for one in found for box in one], np.float32).reshape(-1, 4)
    owners = np.array([at for at, one in enumerate(found) for _ in one], np.int64)
    return PagePicture(page, pixels, boxes, owners)


def _damaged(page: int) -> InputError:
    return InputError("corrupt", f"page {page} of the PDF cannot be read. Is it whole?")


def _pixels(page: Any, library: Any, width: int) -> UInt8:
    """The page drawn on white, (height, width, 3), RGB.

    Raises:
        InputError: it takes too long.
        pypdfium2.PdfiumError: it has no size, or cannot be drawn.
    """
    raw = library.raw
    across, down = page.get_size()
    if not (across > 0 and down > 0 and math.isfinite(across + down)):
        raise library.PdfiumError("the page has no size")
    scale = min(width / across, LONGEST / down)
    size = max(1, round(across * scale)), max(1, round(down * scale))
    bitmap = library.PdfBitmap.new_native(*size, raw.FPDFBitmap_BGR, rev_byteorder=True)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, *size)
    end = time.monotonic() + SECONDS
    pause = raw.IFSDK_PAUSE(version=1)
    pause.NeedToPauseNow = type(pause.NeedToPauseNow)(lambda _: time.monotonic() > end)
    flags = raw.FPDF_ANNOT | raw.FPDF_REVERSE_BYTE_ORDER
    status = raw.FPDF_RenderPageBitmap_Start(bitmap, page, 0, 0, *size, 0, flags, pause)
    raw.FPDF_RenderPage_Close(page)
    if status == raw.FPDF_RENDER_TOBECONTINUED:
        raise InputError("too-large", f"a page must take at most {SECONDS:g} seconds to draw: simplify it")
    if status != raw.FPDF_RENDER_DONE:
        raise library.PdfiumError("the page cannot be drawn")
    return np.array(bitmap.to_numpy()[:, :, :3])


def _characters(textpage: Any, raw: Any, spans: Sequence[tuple[int, int]]) -> list[list[int]]:
    """PDFium's indices of each span's characters, white space apart; none where the two do not agree.

    Raises:
        UsageError: a span does not lie in the page's text.
    """
    if not spans:
        return []
    text = plain(str(textpage.get_text_bounded()))
    for start, end in spans:
        if not 0 <= start <= end <= len(text):
            raise UsageError(f"a span must lie in the page's {len(text)} characters. Got {start} to {end} instead")
    last = max(end for _, end in spans)
    wanted = [at for at in range(last) if not text[at].isspace()]
    listed = list(zip(wanted, _listed(textpage, raw)))
    if len(listed) < len(wanted) or any(text[at] != letter for at, (letter, _) in listed):
        return [[] for _ in spans]
    return [[index for at, (_, index) in listed if start <= at < end] for start, end in spans]


def _listed(textpage: Any, raw: Any) -> Iterator[tuple[str, int]]:
    """The characters that PDFium's text of a page is made of, in its order, and the index of each in its own list.

    As ``GetTextByPredicate`` of PDFium's ``core/fpdftext/cpdf_textpage.cpp`` has it: those whose box meets the page;
    and as :func:`~nlp.retrieval.pdf.plain` leaves them, without the white space, which it adds as it sees fit.
    """
    left, bottom, right, top = textpage.page.get_bbox()
    half = (0, 0)
    for index in range(textpage.count_chars()):
        code = raw.FPDFText_GetUnicode(textpage, index)
        if code > sys.maxunicode or (not plain(chr(code)).strip() and not _is_half(code)):
            continue
        begin, low, stop, high = textpage.get_charbox(index)
        if max(begin, left) >= min(stop, right) or max(low, bottom) >= min(high, top):
            continue
        if 0xDC00 <= code <= 0xDFFF and half[0]:
            yield chr(0x10000 + ((half[0] - 0xD800) << 10) + code - 0xDC00), half[1]
        half = (code, index) if 0xD800 <= code <= 0xDBFF else (0, 0)
        if not _is_half(code):
            yield chr(code), index


def _is_half(code: int) -> bool:
    """Whether it is one of the two UTF-16 units of a character."""
    return 0xD800 <= code <= 0xDFFF


def _boxes(textpage: Any, raw: Any, indices: Sequence[int], size: tuple[int, int]) -> list[Box]:
    """Left, top, right and bottom of each line of these characters, in pixels of a picture of that height and width."""
    height, width = size
    found: list[Box] = []
    for begin, low, stop, high in _lines(textpage, raw, indices):
        corners = [_placed(textpage.page, raw, x, y, (width, height)) for x, y in ((begin, low), (stop, high))]
        (x0, x1), (y0, y1) = (sorted(axis) for axis in zip(*corners))
        box = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
        if box[0] < box[2] and box[1] < box[3]:
            found.append(box)
    return found


def _lines(textpage: Any, raw: Any, indices: Sequence[int]) -> Iterator[Box]:
    """Left, bottom, right and top of each line, in the page's own units, from its lower left corner."""
    line: Box | None = None
    area = 0.0
    for index in indices:
        tight, loose = textpage.get_charbox(index), textpage.get_charbox(index, loose=True)
        box = _joined(tight, loose) if loose[0] < loose[2] and loose[1] < loose[3] else tight
        upward = abs(math.sin(raw.FPDFText_GetCharAngle(textpage, index))) > _UPWARD
        if line is not None and _on(line, box, upward) and _area(_joined(line, box)) <= _LOOSE * (area + _area(box)):
            line, area = _joined(line, box), area + _area(box)
            continue
        if line is not None:
            yield line
        line, area = box, _area(box)
    if line is not None:
        yield line


def _on(line: Box, box: Box, upward: bool) -> bool:
    """Whether a character stands on the line: more than half of its height, or width, beside it."""
    low, high = (0, 2) if upward else (1, 3)
    shared = min(line[high], box[high]) - max(line[low], box[low])
    return shared > min(line[high] - line[low], box[high] - box[low]) / 2


def _joined(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _placed(page: Any, raw: Any, x: float, y: float, size: tuple[int, int]) -> tuple[float, float]:
    """A point of the page in pixels of its picture, which is cropped and turned."""
    across, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page, 0, 0, size[0] * _FINER, size[1] * _FINER, 0, x, y, across, down)
    return across.value / _FINER, down.value / _FINER
