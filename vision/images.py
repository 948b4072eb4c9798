"""Whatever a picture comes as, to an upright (height, width, 3) uint8 RGB array; the one place that meets Pillow.

A source is a path, an ``http(s)`` address (refused unless asked for), the bytes of an image file or something that
reads them when they are wanted, a PIL image or a (height, width, 3) uint8 RGB array. What is done with each kind of
picture:

- *EXIF orientation* is honoured, all eight values; unreadable EXIF counts as upright. Colour profiles are not applied.
- *Greyscale*, *palette* and *bilevel* become RGB. *CMYK* is converted plainly; in a JPEG it counts as stored inverted,
  as Adobe's programs store it.
- *16 bits a channel*: greyscale is scaled from 0..65535 to 0..255, colour keeps the high byte. Floating-point pixels
  and integers outside 0..65535 have no stated range: ``unsupported``.
- *Transparency* of every sort is laid over white.
- *Animated* or of several pages: the first frame. A PIL image counts at the frame where it stands.
- The content decides what a file is, never its name.

What cannot be used is an :class:`~shared.errors.InputError` of kind ``not-found``, ``unreadable`` (no permission),
``wrong-type`` (a folder, a float array), ``empty``, ``too-large`` (seen in the header, before pixels are decoded),
``corrupt`` (begins as an image and does not go on as one), ``unsupported`` (no image, or of a kind that is not read),
``refused`` (an address that was not allowed) or ``unreachable`` (an address that did not answer with an image).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import numpy as np
from PIL import Image

from shared.types import UInt8
from vision.picture_files import MAX_PIXELS, ImageSource, guarded, opened
from vision.pixels import orientation, to_rgb, upright

__all__ = [
    "MAX_PIXELS",
    "ImageSource",
    "Resampling",
    "View",
    "glance",
    "load",
    "load_view",
    "size_of",
]

Resampling: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos"]
_DRAFTED = ("JPEG", "MPO")


@dataclass(frozen=True)
class View:
    """A part of a picture, and the size to which it is resampled.

    Attributes:
        box: left, top, right, bottom in pixels of the upright picture.
        size: height and width of the result in pixels.
        resampling: the filter; all but ``"nearest"`` are antialiased.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    resampling: Resampling = "bilinear"


def load(source: ImageSource, *, allow_urls: bool = False, max_pixels: int = MAX_PIXELS) -> UInt8:
    """The whole picture at its own size.

    Args:
        source: a path, an address, the bytes of an image file, a PIL image or a (height, width, 3) uint8 RGB array.
        allow_urls: whether ``http(s)`` addresses are fetched, within the bounds of :mod:`vision.remote`. Leave it off
            where strangers name the addresses: the request is made from this machine's own network.
        max_pixels: the largest width times height.

    Returns:
        Shape (height, width, 3), uint8, RGB, upright, the caller's own copy.

    Raises:
        InputError: the source cannot be used; the kinds stand at the top of this module.

    Example:
        >>> load(Image.new("L", (4, 2), 128)).shape
        (2, 4, 3)
    """
    with opened(source, allow_urls, max_pixels) as image:
        return cast(UInt8, np.array(_whole(image, _turn(image))))


def load_view(
    source: ImageSource, view: Callable[[int, int], View], *, allow_urls: bool = False, max_pixels: int = MAX_PIXELS
) -> tuple[UInt8, tuple[int, int]]:
    """A part of the picture, resampled by the filter that the view names.

    A large JPEG is decoded at a half, a quarter or an eighth of its size where that is still no smaller than what is
    wanted: the decoder then skips the detail that resampling would throw away, and most of the work.

    Args:
        source: as in :func:`load`.
        view: from height and width of the upright picture to the wanted part.
        allow_urls: as in :func:`load`.
        max_pixels: as in :func:`load`.

    Returns:
        The pixels, shape ``(*view.size, 3)``, uint8, RGB; and height and width of the whole upright picture.

    Raises:
        InputError: as in :func:`load`.

    Example:
        >>> half = lambda height, width: View((0, 0, width, height), (height // 2, width // 2))
        >>> pixels, size = load_view(Image.new("RGB", (40, 20)), half)
        >>> pixels.shape, size
        ((10, 20, 3), (20, 40))
    """
    with opened(source, allow_urls, max_pixels) as image:
        turn = _turn(image)
        width, height = image.size if turn < 5 else image.size[::-1]
        wanted = view(height, width)
        left, top, right, bottom = wanted.box
        rows, columns = wanted.size
        fraction = _draft(image, columns / (right - left), rows / (bottom - top), turn)
        reduced = _whole(image, turn)
        across, down = fraction if turn < 5 else fraction[::-1]
        # The last column and row of a reduced JPEG stand for a part of one; turning may have brought them to the front.
        x = reduced.width - width * across if turn in (2, 3, 6, 7) else 0.0
        y = reduced.height - height * down if turn in (3, 4, 7, 8) else 0.0
        far = (min(x + right * across, reduced.width), min(y + bottom * down, reduced.height))
        box = (x + left * across, y + top * down, *far)
        if box != (0, 0, columns, rows) or reduced.size != (columns, rows):
            reduced = reduced.resize((columns, rows), Image.Resampling[wanted.resampling.upper()], box)
        return np.asarray(reduced), (height, width)


def glance(
    source: ImageSource, side: int, *, allow_urls: bool = False, max_pixels: int = MAX_PIXELS
) -> tuple[Image.Image, tuple[int, int]]:
    """The whole picture as its decoder gives it cheapest with at least ``side`` pixels on the longer side.

    A JPEG is decoded at an eighth, a quarter or a half of its size where that is enough; anything else, and any smaller
    picture, comes whole. Nothing is resampled, so that its longer side may have up to twice ``side`` pixels or more.

    Args:
        source: as in :func:`load`.
        side: pixels, at least 1.
        allow_urls: as in :func:`load`.
        max_pixels: as in :func:`load`.

    Returns:
        The upright RGB picture; and height and width of the whole upright picture.

    Raises:
        InputError: as in :func:`load`.

    Example:
        >>> glance(Image.new("L", (40, 20)), 256)[0].mode
        'RGB'
    """
    with opened(source, allow_urls, max_pixels) as image:
        turn = _turn(image)
        width, height = image.size if turn < 5 else image.size[::-1]
        share = min(1.0, side / max(height, width))
        _draft(image, share, share, turn)
        return _whole(image, turn), (height, width)


def size_of(source: ImageSource, *, allow_urls: bool = False, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of the upright picture, from its header alone.

    Args:
        source: as in :func:`load`.
        allow_urls: as in :func:`load`.
        max_pixels: as in :func:`load`.

    Raises:
        InputError: as in :func:`load`, as far as the header shows it.

    Example:
        >>> size_of(Image.new("RGB", (40, 20)))
        (20, 40)
    """
    with opened(source, allow_urls, max_pixels) as image:
        width, height = image.size
        return (height, width) if guarded(lambda: orientation(image)) < 5 else (width, height)


def _turn(image: Image.Image) -> int:
    if image.format not in _DRAFTED:
        guarded(image.load)  # TIFF turns itself upright while it loads, so it is asked for its orientation afterwards
    return guarded(lambda: orientation(image))


def _draft(image: Image.Image, across: float, down: float, turn: int) -> tuple[float, float]:
    """Have a JPEG decode itself smaller, down to ``across`` and ``down`` of its upright size; what it will be of it."""
    if image.format not in _DRAFTED:
        return 1.0, 1.0
    if turn >= 5:
        across, down = down, across
    width, height = image.size
    drafted = image.draft(None, (math.ceil(width * across), math.ceil(height * down)))
    return (drafted[1][2] / width, drafted[1][3] / height) if drafted else (1.0, 1.0)


def _whole(image: Image.Image, turn: int) -> Image.Image:
    guarded(image.load)
    return guarded(lambda: to_rgb(upright(image, turn)))
