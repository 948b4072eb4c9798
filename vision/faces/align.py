"""From five landmarks to the upright square picture of a face that embedding networks read."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from shared.types import AnyArray, Float64, UInt8

ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Where the eyes, the tip of the nose and the corners of the mouth lie in a square of 112 pixels: the template of
J. Deng et al., "ArcFace", CVPR 2019, as its authors published it. Left comes first, as one looks at the picture."""
ARCFACE_SIDE = 112
"""Side of that square in pixels."""
_MARGIN = 2.0
"""Pixels around the part of a picture that is reduced, so that its edge touches no pixel of the crop."""


def similarity_transform(source: AnyArray, target: AnyArray) -> Float64:
    """The rotation, even scaling and shift that bring points nearest to others, by least squares.

    S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE TPAMI 13
    (1991). In the plane, points are complex numbers and the transform is w = a z + b, whose least-squares solution
    has no need of his singular values and is never a reflection.

    Args:
        source: shape (..., n, 2), n at least 2: x and y.
        target: shape (n, 2), or as ``source``.

    Returns:
        Shape (..., 2, 3): a matrix whose product with (x, y, 1) is the transformed point. Where all source points are
        one, that point goes to the middle of the target, and everything with it.

    Example:
        >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        >>> similarity_transform(square, square[:, ::-1] * [-2, 2] + [5, 0]).round(6) + 0.0
        array([[ 0., -2.,  5.],
               [ 2.,  0.,  0.]])
    """
    z, w = (np.asarray(points, np.float64) @ np.array([1, 1j]) for points in (source, target))
    z_mean, w_mean = z.mean(axis=-1, keepdims=True), w.mean(axis=-1, keepdims=True)
    spread = (np.abs(z - z_mean) ** 2).sum(axis=-1)
    a = ((z - z_mean).conj() * (w - w_mean)).sum(axis=-1) / np.where(spread > 0, spread, 1.0)
    b = w_mean[..., 0] - a * z_mean[..., 0]
    rows = [np.stack([a.real, -a.imag, b.real], axis=-1), np.stack([a.imag, a.real, b.imag], axis=-1)]
    return np.stack(rows, axis=-2)


def aligned_crop(picture: Image.Image, transform: Float64, size: int) -> UInt8:
    """The square that a similarity transform makes of a picture, black where it leaves the picture.

    Sampling is bilinear. A face larger than the square is first reduced by an antialiased filter, for sampling it
    as it is would skip pixels.

    Args:
        picture: mode RGB.
        transform: shape (2, 3), from pixels of the picture to pixels of the square; a pixel's centre has whole
            coordinates on both sides, as landmarks have.
        size: side of the square in pixels.

    Returns:
        Shape (size, size, 3), uint8, RGB.

    Example:
        >>> grey = Image.new("RGB", (9, 9), (7, 7, 7))
        >>> aligned_crop(grey, np.array([[1.0, 0, 0], [0, 1.0, 0]]), 4)[..., 0].tolist()
        [[7, 7, 7, 7], [7, 7, 7, 7], [7, 7, 7, 7], [7, 7, 7, 7]]
    """
    (p, q, x), (r, s, y) = transform.tolist()
    scale = math.hypot(p, r)
    if not scale:
        return np.zeros((size, size, 3), np.uint8)
    # Inverted, and moved by half a pixel: Pillow counts from the corner of a pixel.
    a, b, d, e = (value / scale**2 for value in (p, r, q, s))
    c = -(a * x + b * y) + 0.5 - (a + b) / 2
    f = -(d * x + e * y) + 0.5 - (d + e) / 2
    if scale < 1:
        picture, (a, b, c, d, e, f) = _reduced(picture, (a, b, c, d, e, f), size, scale)
    square = picture.transform((size, size), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)
    return np.asarray(square)


def _reduced(
    picture: Image.Image, back: tuple[float, ...], size: int, scale: float
) -> tuple[Image.Image, tuple[float, ...]]:
    """The part of a picture under the square at the square's own scale, and the way back from the square to it."""
    a, b, c, d, e, f = back
    xs = [a * u + b * v + c for u in (0, size) for v in (0, size)]
    ys = [d * u + e * v + f for u in (0, size) for v in (0, size)]
    margin = _MARGIN / scale
    left, right = max(0.0, min(xs) - margin), min(float(picture.width), max(xs) + margin)
    top, bottom = max(0.0, min(ys) - margin), min(float(picture.height), max(ys) + margin)
    if right - left < 1 or bottom - top < 1:
        return picture, back
    wide, high = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    across, down = wide / (right - left), high / (bottom - top)
    part = picture.resize((wide, high), Image.Resampling.BILINEAR, (left, top, right, bottom))
    return part, (a * across, b * across, (c - left) * across, d * down, e * down, (f - top) * down)
