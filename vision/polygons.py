"""Outlines of masks, and masks of outlines.

Corners are in pixels, x right and y down, and a pixel covers one unit: a whole picture's outline is (0, 0), (width, 0),
(width, height), (0, height). Masks of outlines are drawn exactly as COCO's reference code draws them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.errors import UsageError
from shared.lazy import require
from shared.types import AnyArray, Float64, Int64
from vision.masks import Rle, decode_mask, pack_runs, rle_union

_FINE = 5
"""COCO's reference code draws outlines on a grid this many times finer than the pixels."""


def mask_polygons(rle: Rle, *, tolerance: float = 0.0, holes: bool = False) -> list[Float64]:
    """The outlines of a mask, largest first.

    Each outline runs half-way between present and absent pixels. COCO's polygons know no holes, so that these are left
    out unless asked for; the run lengths keep them.

    Args:
        rle: the mask.
        tolerance: corners are left out where the outline moves by no more than so many pixels (D. H. Douglas and
            T. K. Peucker, 1973); at 0 only those on straight lines.
        holes: whether the outlines of holes are given too, as polygons that run the other way round.

    Returns:
        Arrays of shape (corners, 2), float64, x and y in pixels, at least 3 corners each; outer outlines run clockwise
        on the screen. None for an empty mask.

    Raises:
        UsageError: ``tolerance`` is below 0.

    Example:
        >>> from vision.masks import encode_mask
        >>> outline, = mask_polygons(encode_mask(np.ones((3, 5))), tolerance=1.0)
        >>> outline.min(axis=0), outline.max(axis=0)
        (array([0., 0.]), array([5., 3.]))
    """
    if not tolerance >= 0:
        raise UsageError(f"tolerance must be at least 0 pixels. Got {tolerance} instead")
    contours = require("contourpy", extra="all")
    framed = np.pad(decode_mask(rle).astype(np.float64), 1)
    generator = contours.contour_generator(z=framed, fill_type=contours.FillType.OuterOffset)
    found = []
    for corners, offsets in zip(*generator.filled(0.5, 2.0)):
        last = len(offsets) - 1 if holes else 1
        rings = [corners[offsets[at] : offsets[at + 1] - 1] - 0.5 for at in range(last)]
        found += [ring for ring in (_simplified(ring, tolerance) for ring in rings) if len(ring) >= 3]
    return sorted(found, key=lambda ring: -abs(polygon_area(ring)))


def polygon_area(corners: AnyArray) -> float:
    """Area in square pixels; above 0 where the corners run clockwise on the screen, below 0 where the other way.

    Args:
        corners: shape (n, 2), x and y.

    Example:
        >>> polygon_area(np.array([[0, 0], [2, 0], [2, 3], [0, 3]]))
        6.0
    """
    x, y = np.asarray(corners, np.float64).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def polygons_mask(polygons: Sequence[AnyArray], height: int, width: int) -> Rle:
    """The mask of what any of some polygons covers, as COCO's reference code draws it.

    Args:
        polygons: each of shape (corners, 2) or (2 * corners,), x and y in pixels, at least 3 corners.
        height: of the picture, in pixels.
        width: of the picture, in pixels.

    Raises:
        UsageError: a polygon has fewer than 3 corners or one that is no finite number, or there is no polygon.

    Example:
        >>> polygons_mask([[1, 0, 3, 0, 3, 2, 1, 2]], 2, 4).counts
        '242'
    """
    masks = [Rle((height, width), pack_runs(_drawn(polygon, height, width))) for polygon in polygons]
    return masks[0] if len(masks) == 1 else rle_union(masks)


def _drawn(polygon: AnyArray, height: int, width: int) -> Int64:
    """Runs of one polygon: each step of its outline to another column turns the pixels below it over."""
    corners = np.asarray(polygon, np.float64).reshape(-1)
    if corners.size < 6 or corners.size % 2 or not np.isfinite(corners).all():
        raise UsageError(
            "a polygon must have at least 3 corners x, y of finite numbers. "
            f"Got {corners.size} numbers, {int((~np.isfinite(corners)).sum())} of them not finite"
        )
    fine = np.trunc(_FINE * corners.reshape(-1, 2) + 0.5).astype(np.int64)
    u, v = _outline(fine)
    steps = np.flatnonzero(u[1:] != u[:-1])
    column = np.where(u[steps + 1] < u[steps], u[steps + 1], u[steps + 1] - 1)
    x = (column + 0.5) / _FINE - 0.5
    inside = (np.floor(x) == x) & (x >= 0) & (x <= width - 1)
    row = np.minimum(v[steps], v[steps + 1])[inside]
    y = np.ceil(np.clip((row + 0.5) / _FINE - 0.5, 0, height))
    turns = np.sort(np.append(x[inside] * height + y, height * width).astype(np.int64))
    return np.diff(turns, prepend=0)


def _outline(fine: Int64) -> tuple[Int64, Int64]:
    """Every grid point on the closed outline through the corners, in order: x and y."""
    parts = []
    for (xs, ys), (xe, ye) in zip(fine.tolist(), np.roll(fine, -1, axis=0).tolist()):
        dx, dy = abs(xe - xs), abs(ye - ys)
        flip = (dx >= dy and xs > xe) or (dx < dy and ys > ye)
        (x, y), (far_x, far_y) = ((xe, ye), (xs, ys)) if flip else ((xs, ys), (xe, ye))
        steps = np.arange(max(dx, dy) + 1)
        if dx >= dy:
            slope = (far_y - y) / dx if dx else 0.0
            part = np.stack([x + steps, np.trunc(y + slope * steps + 0.5).astype(np.int64)])
        else:
            slope = (far_x - x) / dy
            part = np.stack([np.trunc(x + slope * steps + 0.5).astype(np.int64), y + steps])
        parts.append(part[:, ::-1] if flip else part)
    u, v = np.concatenate(parts, axis=1)
    return u, v


def _simplified(ring: Float64, tolerance: float) -> Float64:
    """The corners that matter, of a closed ring that does not repeat its first."""
    straight = _turns(ring)
    ring = ring[straight] if straight.any() else ring
    if tolerance == 0 or len(ring) < 4:
        return ring
    far = int(np.argmax(((ring - ring[0]) ** 2).sum(axis=1)))  # a ring is two lines between two corners far apart
    keep = np.zeros(len(ring) + 1, np.bool_)
    closed = np.concatenate([ring, ring[:1]])
    keep[[0, far, len(ring)]] = True
    waiting = [(0, far), (far, len(ring))]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        distance = _distances(closed[first + 1 : last], closed[first], closed[last])
        worst = int(np.argmax(distance))
        if distance[worst] > tolerance:
            middle = first + 1 + worst
            keep[middle] = True
            waiting += [(first, middle), (middle, last)]
    return ring[keep[:-1]]


def _turns(ring: Float64) -> AnyArray:
    """Which corners of a ring do not lie on the straight line between their neighbours."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turned: AnyArray = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return turned


def _distances(points: Float64, start: Float64, end: Float64) -> Float64:
    """Distance of each point from the line between two, in pixels."""
    along = end - start
    length = float(np.hypot(*along))
    away = points - start
    if length == 0:
        apart: Float64 = np.hypot(away[:, 0], away[:, 1])
        return apart
    distance: Float64 = np.abs(along[0] * away[:, 1] - along[1] * away[:, 0]) / length
    return distance
