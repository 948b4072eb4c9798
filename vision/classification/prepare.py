"""From a picture to the array that an image classifier reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.types import Float32, UInt8
from vision.images import ImageSource, View, load_view


@dataclass(frozen=True)
class ClassifierInput:
    """How a classifier wants its pixels; the names are those of a card's ``options``.

    Attributes:
        size: side of the square that it reads, in pixels.
        resize: length in pixels to which the picture's shorter side is brought before that square is cut from its
            centre; ``size`` of ``resize`` is so the share of the shorter side that it sees.
        mean: of each channel R, G, B, on the scale 0..1.
        std: of each channel, on the scale 0..1.
    """

    size: int
    resize: int
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ClassifierInput:
        """The specification that a card's options hold."""
        named = {key: options[key] for key in ("mean", "std") if key in options}
        return cls(options["size"], options["resize"], **{key: tuple(value) for key, value in named.items()})

    def view(self, height: int, width: int) -> View:
        """The centred square of a picture of that height and width.

        Example:
            >>> ClassifierInput(size=224, resize=256).view(512, 1024)
            View(box=(288.0, 32.0, 736.0, 480.0), size=(224, 224))
        """
        scale = self.resize / min(height, width)
        left, top = (round((side * scale - self.size) / 2) / scale for side in (width, height))
        side = self.size / scale
        left, top = max(left, 0.0), max(top, 0.0)
        return View((left, top, min(left + side, width), min(top + side, height)), (self.size, self.size))

    def normalise(self, pixels: UInt8) -> Float32:
        """Pixels as the graph reads them.

        Args:
            pixels: shape (size, size, 3), uint8, RGB.

        Returns:
            Shape (1, 3, size, size), float32: (value / 255 - mean) / std.
        """
        mean, std = (np.array(values, np.float64)[:, None, None] for values in (self.mean, self.std))
        scaled = np.multiply(pixels.transpose(2, 0, 1), (1 / (255 * std)).astype(np.float32), dtype=np.float32)
        scaled -= (mean / std).astype(np.float32)
        return np.ascontiguousarray(scaled)[None]

    def prepare(self, item: ImageSource, *, allow_urls: bool = False) -> Float32:
        """One picture as the graph's input, shape (1, 3, size, size), float32.

        Raises:
            InputError: the picture cannot be used.
        """
        pixels, _ = load_view(item, self.view, allow_urls=allow_urls)
        return self.normalise(pixels)
