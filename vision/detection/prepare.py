"""From a picture to the padded square that EfficientDet reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.types import UInt8
from vision.images import ImageSource, View, load_view


@dataclass(frozen=True)
class Letterbox:
    """A picture brought into a square, its aspect kept, the rest at the right and bottom padded.

    Attributes:
        pixels: shape (1, size, size, 3), uint8, RGB.
        inner: height and width of the part of the square that the picture fills, in pixels.
        outer: height and width of the upright picture as it came, in pixels.
    """

    pixels: UInt8
    inner: tuple[int, int]
    outer: tuple[int, int]


def letterbox(item: ImageSource, *, size: int, pad: int, allow_urls: bool = False) -> Letterbox:
    """A picture as a padded square.

    Args:
        item: the picture.
        size: side of the square in pixels.
        pad: value of the padding, 0..255.
        allow_urls: whether an ``http(s)`` address is fetched.

    Raises:
        InputError: the picture cannot be used.

    Example:
        >>> letterbox(np.zeros((100, 200, 3), np.uint8), size=320, pad=127).inner
        (160, 320)
    """

    def whole(height: int, width: int) -> View:
        scale = size / max(height, width)
        return View((0, 0, width, height), (max(1, round(height * scale)), max(1, round(width * scale))))

    pixels, outer = load_view(item, whole, allow_urls=allow_urls)
    height, width = pixels.shape[:2]
    square = np.full((1, size, size, 3), pad, np.uint8)
    square[0, :height, :width] = pixels
    return Letterbox(square, (height, width), outer)
