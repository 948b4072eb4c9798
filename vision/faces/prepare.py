"""From a picture to what the face detector reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from shared.types import AnyArray, Float32, UInt8
from vision.images import ImageSource, View, load_view

GRID = 32
"""The detector reads sides that are multiples of this: the cells of its coarsest grid."""
_KEPT = 2
"""How much larger than the detector's input the picture is kept for looking at faces closely."""


@dataclass(frozen=True)
class FacePicture:
    """A picture beside the detector's view of it.

    Attributes:
        picture: mode RGB, upright; the whole picture, reduced where it is much larger than the detector's input.
        outer: height and width of the upright picture as it came, in pixels.
        view: shape (1, 3, rows, columns), float32, 0..255, BGR, padded with black at the right and bottom.
        inner: height and width of the part of the view that the picture fills, in pixels.
    """

    picture: Image.Image
    outer: tuple[int, int]
    view: Float32
    inner: tuple[int, int]


def prepare(item: ImageSource, *, size: int, allow_urls: bool = False) -> FacePicture:
    """A picture for the detector.

    Args:
        item: the picture.
        size: longer side of what the detector looks at, in pixels; a smaller picture is not enlarged.
        allow_urls: whether an ``http(s)`` address is fetched.

    Raises:
        InputError: the picture cannot be used.

    Example:
        >>> given = prepare(np.zeros((100, 150, 3), np.uint8), size=640)
        >>> given.view.shape, given.inner
        ((1, 3, 128, 160), (100, 150))
    """

    def whole(height: int, width: int) -> View:
        return View((0, 0, width, height), fitted(height, width, _KEPT * size))

    pixels, outer = load_view(item, whole, allow_urls=allow_urls)
    picture = Image.fromarray(pixels)
    rows, columns = fitted(*outer, size)
    seen = picture if picture.size == (columns, rows) else picture.resize((columns, rows), Image.Resampling.BILINEAR)
    return FacePicture(picture, outer, detector_input(np.asarray(seen)), (rows, columns))


def fitted(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width scaled so that the longer is at most ``size``, and neither below 1.

    Example:
        >>> fitted(480, 1280, 640)
        (240, 640)
    """
    scale = min(1.0, size / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def detector_input(pixels: UInt8 | AnyArray) -> Float32:
    """Pixels as the detector reads them.

    Args:
        pixels: shape (height, width, 3), uint8, RGB.

    Returns:
        Shape (1, 3, rows, columns), float32, 0..255, BGR, rows and columns the next multiples of :data:`GRID`.
    """
    height, width = pixels.shape[:2]
    view = np.zeros((1, 3, -(-height // GRID) * GRID, -(-width // GRID) * GRID), np.float32)
    for plane in range(3):
        view[0, plane, :height, :width] = pixels[..., 2 - plane]
    return view
