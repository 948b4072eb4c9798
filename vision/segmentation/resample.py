"""From the coarse maps of a network to masks at the picture's own size."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from PIL import Image

from shared.types import AnyArray, Bool, Float32
from vision.detection.prepare import Letterbox
from vision.masks import Rle, encode_region

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom."""
_LEAST = 1e-3
"""Cells of a map that are looked at, at least: rounding may leave a part of none."""


def part_of_map(given: Letterbox, shape: tuple[int, int]) -> Box:
    """Where the picture lies in a network's map, in cells of the map.

    Args:
        given: what the network was given.
        shape: height and width of the map, which covers all of what was given.

    Example:
        >>> given = Letterbox(np.zeros((1, 8, 8, 3), np.uint8), (4, 8), (40, 80), (2, 0))
        >>> part_of_map(given, (16, 16))
        (0.0, 4.0, 16.0, 12.0)
    """
    rows, columns = given.pixels.shape[1:3]
    down, across = shape[0] / rows, shape[1] / columns
    (top, left), (height, width) = given.offset, given.inner
    return left * across, top * down, (left + width) * across, (top + height) * down


def resample(values: AnyArray, box: Box, size: tuple[int, int]) -> Float32:
    """A part of a map at another size, bilinear, and antialiased where it becomes smaller.

    Args:
        values: shape (height, width), any real dtype.
        box: the part, in cells of the map.
        size: height and width of the result.

    Returns:
        Shape ``size``, float32.

    Example:
        >>> resample(np.float32([[0, 1]]), (0, 0, 2, 1), (1, 4))
        array([[0.  , 0.25, 0.75, 1.  ]], dtype=float32)
    """
    height, width = values.shape
    left, top = min(max(box[0], 0.0), width - _LEAST), min(max(box[1], 0.0), height - _LEAST)
    inside = (left, top, min(max(box[2], left + _LEAST), width), min(max(box[3], top + _LEAST), height))
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR, inside))


def best_of_maps(maps: Float32, box: Box, size: tuple[int, int]) -> AnyArray:
    """Which of some maps is highest at each pixel; of equal ones the first.

    Args:
        maps: shape (n, height, width), float32, n at least 1.
        box: the part of each that is wanted, in cells.
        size: height and width of the result.

    Returns:
        Shape ``size``, positions in 0..n - 1, of the smallest unsigned integers that hold them.

    Example:
        >>> best_of_maps(np.float32([[[0, 2]], [[1, 1]]]), (0, 0, 2, 1), (1, 4))
        array([[1, 1, 0, 0]], dtype=uint8)
    """
    best = np.zeros(size, np.min_scalar_type(len(maps) - 1))
    highest = resample(maps[0], box, size).copy() if len(maps) > 1 else np.zeros((0, 0), np.float32)
    for at in range(1, len(maps)):
        values = resample(maps[at], box, size)
        better = values > highest
        best[better] = at
        np.maximum(highest, values, out=highest)
    return best


def mask_in_box(values: AnyArray, part: Box, xyxy: AnyArray, size: tuple[int, int], *, above: float) -> Rle:
    """The pixels inside a box of the picture where a map is above a value.

    Only the pixels of the box are computed.

    Args:
        values: shape (height, width): the map.
        part: where ``size`` lies in the map, in cells; see :func:`part_of_map`.
        xyxy: shape (4,), corners of the box in pixels of the picture, within it.
        size: height and width of the picture.
        above: pixels with a value above this are present.
    """
    x1, y1, x2, y2 = _whole_pixels(xyxy, size)
    left, top, right, bottom = part
    across, down = (right - left) / size[1], (bottom - top) / size[0]
    wanted = (left + x1 * across, top + y1 * down, left + x2 * across, top + y2 * down)
    found: Bool = resample(values, wanted, (y2 - y1, x2 - x1)) > above
    return encode_region(found, y1, x1, size)


def pasted_in_box(values: AnyArray, xyxy: AnyArray, size: tuple[int, int], *, above: float) -> Rle:
    """The pixels of a box where a map that covers just this box is above a value.

    Args:
        values: shape (height, width): the map.
        xyxy: shape (4,), corners of the box in pixels of the picture, within it, x1 < x2 and y1 < y2.
        size: height and width of the picture.
        above: pixels with a value above this are present.
    """
    x1, y1, x2, y2 = (float(edge) for edge in xyxy)
    across, down = values.shape[1] / (x2 - x1), values.shape[0] / (y2 - y1)
    part = (-x1 * across, -y1 * down, (size[1] - x1) * across, (size[0] - y1) * down)
    inner = np.array([math.ceil(x1 - 0.5), math.ceil(y1 - 0.5), math.floor(x2 + 0.5), math.floor(y2 + 0.5)])
    return mask_in_box(values, part, inner, size, above=above)


def _whole_pixels(xyxy: AnyArray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The whole pixels that a box touches, at least one."""
    x1, y1, x2, y2 = (float(edge) for edge in xyxy)
    left, top = min(max(math.floor(x1), 0), size[1] - 1), min(max(math.floor(y1), 0), size[0] - 1)
    return left, top, max(min(math.ceil(x2), size[1]), left + 1), max(min(math.ceil(y2), size[0]), top + 1)
