"""From a picture to the array that a detector reads, and its boxes back to the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from shared.types import AnyArray, Float64, UInt8
from vision.images import ImageSource, Resampling, View, load_view

Fit: TypeAlias = Literal["corner", "centre", "rectangle", "stretch", "shortest"]
"""How a picture is brought to a detector's size: its aspect kept and padded at the right and bottom, or evenly on all
sides, or evenly up to the multiples of :data:`STRIDE` that leave half a stride or more of padding, as ultralytics pads
when it validates (YOLO11n gains 2.6 points of mAP on coco128 by that); stretched to the size; or its aspect kept and
without padding, the shorter side and the longer side at most the two lengths."""
STRIDE = 32
"""Sides of a graph of any size are multiples of this many pixels."""


@dataclass(frozen=True)
class Letterbox:
    """A picture inside the rectangle that a detector reads.

    Attributes:
        pixels: shape (1, rows, columns, 3), uint8, RGB.
        inner: height and width of the part of the rectangle that the picture fills, in pixels.
        outer: height and width of the upright picture as it came, in pixels.
        offset: rows above the picture and columns at its left, in pixels of the rectangle.
    """

    pixels: UInt8
    inner: tuple[int, int]
    outer: tuple[int, int]
    offset: tuple[int, int] = (0, 0)

    def to_picture(self, boxes: AnyArray) -> Float64:
        """Corners x1, y1, x2, y2 in pixels of the rectangle, shape (n, 4), as pixels of the picture, not clipped.

        Example:
            >>> given = Letterbox(np.zeros((1, 8, 8, 3), np.uint8), (4, 8), (40, 80), (2, 0))
            >>> given.to_picture(np.array([[0.0, 2.0, 8.0, 6.0]]))
            array([[ 0.,  0., 80., 40.]])
        """
        top, left = self.offset
        down, across = (whole / part for whole, part in zip(self.outer, self.inner))
        moved: Float64 = (boxes - np.array([left, top, left, top])) * np.array([across, down, across, down])
        return moved


def letterbox(
    item: ImageSource,
    *,
    size: int | tuple[int, int],
    pad: int = 0,
    fit: Fit = "corner",
    resampling: Resampling = "bilinear",
    allow_urls: bool = False,
) -> Letterbox:
    """A picture as a detector's rectangle.

    Args:
        item: the picture.
        size: height and width of the rectangle in pixels, or the side of a square; the most that they may be for
            ``"rectangle"``; for ``"shortest"`` the length of the shorter side and the most that the longer may have.
        pad: value of the padding, 0..255.
        fit: how the picture is brought to that size; see :data:`Fit`.
        resampling: the filter.
        allow_urls: whether an ``http(s)`` address is fetched.

    Raises:
        InputError: the picture cannot be used.

    Example:
        >>> letterbox(np.zeros((100, 200, 3), np.uint8), size=320, pad=127).inner
        (160, 320)
        >>> letterbox(np.zeros((100, 200, 3), np.uint8), size=(80, 120), fit="shortest").inner
        (60, 120)
        >>> letterbox(np.zeros((90, 200, 3), np.uint8), size=640, fit="rectangle").pixels.shape
        (1, 320, 672, 3)
    """
    rows, columns = (size, size) if isinstance(size, int) else size

    def whole(height: int, width: int) -> View:
        return View((0, 0, width, height), _inner(height, width, rows, columns, fit), resampling)

    pixels, outer = load_view(item, whole, allow_urls=allow_urls)
    height, width = pixels.shape[:2]
    if fit == "rectangle":
        rows, columns = (math.ceil(side / STRIDE + 0.5) * STRIDE for side in (height, width))
    if fit in ("stretch", "shortest") or (height, width) == (rows, columns):
        return Letterbox(pixels[None], (height, width), outer)
    top, left = (0, 0) if fit == "corner" else ((rows - height) // 2, (columns - width) // 2)
    rectangle = np.full((1, rows, columns, 3), pad, np.uint8)
    rectangle[0, top : top + height, left : left + width] = pixels
    return Letterbox(rectangle, (height, width), outer, (top, left))


def _inner(height: int, width: int, rows: int, columns: int, fit: Fit) -> tuple[int, int]:
    if fit == "stretch":
        return rows, columns
    if fit == "shortest":
        scale = min(rows / min(height, width), columns / max(height, width))
    else:
        scale = min(rows / height, columns / width)
    return max(1, round(height * scale)), max(1, round(width * scale))
