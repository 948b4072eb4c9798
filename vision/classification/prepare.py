"""From a picture to the array that an image classifier reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.types import UInt8
from vision.images import ImageSource, Resampling, View, load_view


@dataclass(frozen=True)
class ClassifierInput:
    """What part of a picture a classifier sees; the names are those of a card's ``options``.

    Attributes:
        size: side of the square that it reads, in pixels.
        resize: length in pixels to which the picture's shorter side is brought before that square is cut from its
            centre; ``size`` of ``resize`` is so the share of the shorter side that it sees.
        fit: ``"crop"`` as above; with ``"stretch"`` both sides are brought to ``resize``, whatever their ratio.
        resampling: the filter.
    """

    size: int
    resize: int
    fit: Literal["crop", "stretch"] = "crop"
    resampling: Resampling = "bilinear"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ClassifierInput:
        """The specification that a card's options hold."""
        named = {key: options[key] for key in ("fit", "resampling") if key in options}
        return cls(options["size"], options["resize"], **named)

    def view(self, height: int, width: int) -> View:
        """The centred part of a picture of that height and width.

        Example:
            >>> ClassifierInput(size=224, resize=256).view(512, 1024).box
            (288.0, 32.0, 736.0, 480.0)
            >>> ClassifierInput(size=224, resize=256, fit="stretch").view(512, 1024).box
            (64.0, 32.0, 960.0, 480.0)
        """
        down, across = (
            self.resize / (side if self.fit == "stretch" else min(height, width)) for side in (height, width)
        )
        left = max(round((width * across - self.size) / 2) / across, 0.0)
        top = max(round((height * down - self.size) / 2) / down, 0.0)
        right, bottom = min(left + self.size / across, width), min(top + self.size / down, height)
        return View((left, top, right, bottom), (self.size, self.size), self.resampling)

    def prepare(self, item: ImageSource, *, allow_urls: bool = False) -> UInt8:
        """One picture's part, shape (1, size, size, 3), uint8, RGB.

        Raises:
            InputError: the picture cannot be used.
        """
        pixels, _ = load_view(item, self.view, allow_urls=allow_urls)
        return pixels[None]
