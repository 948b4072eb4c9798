"""Pictures spoilt on purpose, in the ways that pictures go wrong: for learning how a model's accuracy falls with them.

Strengths are those of everyday faults up to what no model bears. A pixel is that of a picture 500 pixels wide.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from vision.images import ImageSource, load

Picture: TypeAlias = Image.Image
Spoil: TypeAlias = Callable[[Picture, float, np.random.Generator], Picture]


def darker(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """``level`` of its light."""
    return ImageEnhance.Brightness(image).enhance(level)


def blurred(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """Out of focus: Gauss's blur of ``level`` pixels."""
    return image.filter(ImageFilter.GaussianBlur(level * image.width / 500))


def noisy(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """Noise of ``level`` of 255 on each channel."""
    pixels = np.asarray(image, np.float32) + rng.normal(0, level, (image.height, image.width, 3)).astype(np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def smaller(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """Made ``level`` times smaller and brought back to its size."""
    size = (max(8, round(image.width / level)), max(8, round(image.height / level)))
    return image.resize(size, Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)


def compressed(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """A JPEG of quality ``level``."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(level))
    return Image.open(file).convert("RGB")


def fogged(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """``level`` of it is light grey fog."""
    return Image.blend(image, Image.new("RGB", image.size, (220, 220, 225)), level)


def moved(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """The blur of a camera that moves along by ``level`` pixels."""
    pixels, k = np.asarray(image, np.float32), int(level)
    padded = np.pad(pixels, ((0, 0), (k // 2, k - 1 - k // 2), (0, 0)), mode="edge")
    total = padded.cumsum(axis=1)
    total = np.concatenate([np.zeros_like(total[:, :1]), total], axis=1)
    return Image.fromarray(((total[:, k:] - total[:, :-k]) / k).clip(0, 255).astype(np.uint8))


def speckled(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """``level`` of the pixels black or white."""
    pixels = np.array(image)
    spots = rng.random(pixels.shape[:2])
    pixels[spots < level / 2] = 0
    pixels[spots > 1 - level / 2] = 255
    return Image.fromarray(pixels)


def turned(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """Turned by ``level`` degrees."""
    return image.rotate(level, Image.Resampling.BILINEAR)


def greyed(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """Without colour, with ``level`` of its contrast."""
    return ImageEnhance.Contrast(ImageEnhance.Color(image).enhance(0)).enhance(level)


SPOILT: Mapping[str, tuple[Spoil, tuple[float, ...]]] = MappingProxyType(
    {
        "dark": (darker, (0.7, 0.35, 0.15)),
        "blur": (blurred, (1.0, 2.2, 4.0)),
        "noise": (noisy, (12.0, 30.0, 60.0)),
        "small": (smaller, (2.0, 4.0, 6.5)),
        "jpeg": (compressed, (12.0, 5.0)),
        "fog": (fogged, (0.5, 0.8)),
        "moved": (moved, (9.0, 21.0)),
        "speckle": (speckled, (0.05, 0.2)),
        "turned": (turned, (25.0, 70.0)),
        "grey": (greyed, (0.6, 0.2)),
    }
)
"""Kinds, and the strengths of each."""


def spoilings() -> dict[str, list[Callable[[ImageSource, np.random.Generator], Picture]]]:
    """By kind, for each strength a function from a picture to the spoilt one.

    Example:
        >>> dark = spoilings()["dark"][0]
        >>> dark(Image.new("RGB", (8, 8), "white"), np.random.default_rng(0)).getpixel((0, 0))
        (178, 178, 178)
    """
    return {kind: [partial(_spoilt, spoil, level) for level in levels] for kind, (spoil, levels) in SPOILT.items()}


def _spoilt(spoil: Spoil, level: float, item: ImageSource, rng: np.random.Generator) -> Picture:
    return spoil(Image.fromarray(load(item)), level, rng)
