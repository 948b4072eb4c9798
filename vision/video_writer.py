"""Videos out: an MP4, frame by frame at true times, written by FFmpeg through PyAV (the extra ``video``)."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from shared.lazy import require
from shared.types import UInt8
from vision.video import EXTRA

_CLOCK = 90_000
"""Ticks a second."""


class VideoWriter:
    """An MP4 in H.264, frame by frame at true times. Frames of another size than the first are scaled to it.

    Args:
        path: the file; it is written beside it and renamed when it is whole.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._av = require("av", extra=EXTRA)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container: Any = self._av.open(os.fspath(self._part), "w", format="mp4")
        self._stream: Any = None
        self._last = -1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        whole = kind is None and self._stream is not None
        try:
            if whole:
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
        finally:
            self._container.close()
            if whole:
                os.replace(self._part, self._path)
            else:
                self._part.unlink(missing_ok=True)

    def add(self, time: float, pixels: UInt8) -> None:
        """Add a frame that is shown from ``time`` seconds on; shape (height, width, 3), uint8, RGB."""
        if self._stream is None:
            self._stream = self._opened(pixels.shape[0] // 2 * 2 or 2, pixels.shape[1] // 2 * 2 or 2)
        size = (self._stream.width, self._stream.height)
        if pixels.shape[1::-1] != size:
            pixels = np.asarray(Image.fromarray(pixels).resize(size))
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        self._last = max(self._last + 1, round(time * _CLOCK))
        frame.pts, frame.time_base = self._last, Fraction(1, _CLOCK)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def _opened(self, height: int, width: int) -> Any:
        # Not every build of FFmpeg has x264; its own MPEG-4 encoder is always there.
        codec = "libx264" if "libx264" in self._av.codecs_available else "mpeg4"
        stream = self._container.add_stream(codec, rate=30)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        if codec == "libx264":
            stream.options = {"preset": "veryfast", "crf": "23"}
        return stream
