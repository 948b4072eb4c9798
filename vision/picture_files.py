"""A picture's file, bytes or array opened as an image with its header checked; no pixel is decoded yet.

What is read and refused stands in :mod:`vision.images`, which everybody else asks.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.errors import InputError
from shared.types import AnyArray, UInt8


@runtime_checkable
class Readable(Protocol):
    """Something that reads an image file's bytes when they are wanted, as an object of a store or a zip's member does.

    Its text, ``str(...)``, is what messages call it.
    """

    def read_bytes(self) -> bytes:
        """The bytes.

        Raises:
            InputError: they cannot be had.
        """


ImageSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | Image.Image | UInt8
T = TypeVar("T")

MAX_PIXELS = 89_478_485
"""Width times height that is decoded unless a caller asks for more: Pillow's own bound of a safe picture."""
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""What is read. MPO is a JPEG that holds further pictures behind the first."""
_OPEN = getattr(sys.modules.get("ultralytics.utils.patches"), "_image_open", Image.open)
"""Pillow's own: ultralytics puts another in its place, which installs packages when a file is no image."""
_SIGNATURES = (
    b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51",
    *(b"P%d" % kind for kind in range(1, 7)),
)  # fmt: skip
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_FAULTS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, RuntimeError, AttributeError,
    struct.error, zlib.error,
)  # fmt: skip
"""What Pillow's decoders raise on bytes that are not what they claim to be."""
_ONE_LOADER, _ONE_RETRY = threading.Lock(), threading.Lock()


def opened(source: ImageSource, allow_urls: bool, max_pixels: int) -> Image.Image:
    """The image with its header read and its size checked; of files and bytes no pixel is decoded."""
    if isinstance(source, Image.Image):
        with _ONE_LOADER:  # the caller may give one lazy image several times, and threads would share its file
            guarded(source.load)
        image = source.copy()
    elif isinstance(source, np.ndarray):
        image = Image.fromarray(_checked_array(source))
    elif isinstance(source, bytes | bytearray | memoryview):
        image = _from_bytes(bytes(source), "the content given")
    elif isinstance(source, str | os.PathLike):
        image = _from_name(source, allow_urls)
    elif isinstance(source, Readable):
        image = _from_bytes(source.read_bytes(), str(source))
    else:
        raise InputError(
            "wrong-type",
            "a picture must be a path, bytes, a PIL image or a (height, width, 3) uint8 array. "
            f"Got {type(source).__name__} instead",
        )
    width, height = image.size
    if 0 < width * height <= max_pixels:
        return image
    image.close()
    if not width * height:
        raise InputError("empty", f"a picture must have at least one pixel. Got {width} x {height} instead")
    raise InputError("too-large", f"a picture must have at most {max_pixels:,} pixels. Got {width} x {height} instead")


def _checked_array(array: AnyArray) -> UInt8:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise InputError(
            "wrong-type",
            "an image array must be uint8 RGB of shape (height, width, 3). "
            f"Got {array.dtype} of shape {array.shape} instead",
        )
    if not array.size:
        raise InputError(
            "empty", f"a picture must have at least one pixel. Got an array of shape {array.shape} instead"
        )
    return np.ascontiguousarray(array)


def _from_name(name: str | os.PathLike[str], allow_urls: bool) -> Image.Image:
    if isinstance(name, str) and _ADDRESS.match(name):
        if not allow_urls:
            raise InputError(
                "refused",
                f"a picture must be a file here. Got the address {name}: allow_urls=True (--allow-urls) would fetch it",
            )
        from vision.remote import fetch  # noqa: PLC0415 - the HTTP client is loaded only where addresses are allowed

        return _from_bytes(fetch(name), name)
    path = os.fspath(name)
    try:
        found = os.stat(path)
    except PermissionError:
        raise InputError("unreadable", f"a picture must be readable. This process may not look at {path}") from None
    except (OSError, ValueError):
        raise InputError("not-found", f"a picture must be an existing file. Nothing stands at {path!r}") from None
    if stat.S_ISDIR(found.st_mode):
        raise InputError("wrong-type", f"a picture must be a file. {path} is a folder: give the files in it")
    if not stat.S_ISREG(found.st_mode):
        raise InputError("wrong-type", f"a picture must be a plain file. {path} is a device, a pipe or a socket")
    if not found.st_size:
        raise InputError("empty", f"a picture must have content. {path} has 0 bytes")
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except PermissionError:
        raise InputError("unreadable", f"a picture must be readable. This process may not read {path}") from None
    return _identified(path, path, start)


def _from_bytes(content: bytes, name: str) -> Image.Image:
    if not content:
        raise InputError("empty", "a picture must have content. Got 0 bytes")
    return _identified(io.BytesIO(content), name, content[:16])


@lru_cache(maxsize=1)
def _readable() -> tuple[str, ...]:
    """Those of :data:`FORMATS` that this build of Pillow can open."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _identified(file: str | io.BytesIO, name: str, start: bytes) -> Image.Image:
    try:
        return guarded(lambda: _OPEN(file, formats=_readable()), name)
    except UnidentifiedImageError:
        image_like = start.startswith(_SIGNATURES) or start[4:8] == b"ftyp" or start[8:12] == b"WEBP"
    if image_like:
        raise InputError("corrupt", f"{name} begins as an image and does not go on as one: save or fetch it again")
    raise InputError("unsupported", f"a picture must be one of {', '.join(FORMATS)}. {name} begins with {start!r}")


def guarded(step: Callable[[], T], name: str = "a picture") -> T:
    """Take one step of Pillow's, with its faults as ours.

    Where a process has warnings raised as errors, a step that warns is taken again in silence: an odd tag is no
    reason to refuse a picture.
    """
    try:
        try:
            return step()
        except Warning:
            with _ONE_RETRY, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return step()
    except (InputError, UnidentifiedImageError):
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise InputError("too-large", f"{name} is larger than what is safe to decode: {error}") from error
    except _FAULTS as error:
        raise InputError("corrupt", f"{name} cannot be decoded: {error}. Save or fetch it again") from error
