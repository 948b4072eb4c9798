"""Orientation and colour modes of PIL images: what :mod:`vision.images` does to pixels once they are decoded."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from shared.errors import InputError

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FULL = 65535


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8 (Exif 2.32, section 4.6.4); 1 where there is none that can be read."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
        return 1
    return value if value in _TURNS else 1


def upright(image: Image.Image, turn: int) -> Image.Image:
    """The image turned as its EXIF orientation says; itself for 1.

    Example:
        >>> upright(Image.new("L", (4, 2)), 6).size
        (2, 4)
    """
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in mode RGB, 8 bits a channel, transparency laid over white.

    Raises:
        InputError: its pixels have no stated range (``unsupported``).

    Example:
        >>> to_rgb(Image.new("LA", (1, 1), (0, 0))).getpixel((0, 0))
        (255, 255, 255)
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _from_integers(image).convert("RGB")
    if image.mode == "F":
        raise InputError(
            "unsupported",
            "a picture must have 8 or 16 bits a channel. Got floating-point pixels, whose range is not stated: "
            "scale them and save as 8 or 16 bits",
        )
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(coloured, mask=coloured.getchannel("A"))
        return white
    return image.convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > _FULL):
        raise InputError(
            "unsupported",
            f"a picture of integers must hold values in 0..{_FULL}. Got {values.min()} to {values.max()} instead: "
            "scale them and save as 8 or 16 bits",
        )
    scaled = (values.astype(np.uint32) * 255 + _FULL // 2) // _FULL
    return Image.fromarray(scaled.astype(np.uint8))
