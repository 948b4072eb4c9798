"""Whatever a picture comes as, to an upright (height, width, 3) uint8 RGB array; the one place that meets Pillow.

A source is a path, an ``http(s)`` address (refused unless asked for), the bytes of an image file or something that
reads them when they are wanted, a PIL image or a (height, width, 3) uint8 RGB array. What is done with each kind of
picture:

- *EXIF orientation* is honoured, all eight values; unreadable EXIF counts as upright. Colour profiles are not applied.
- *Greyscale*, *palette* and *bilevel* become RGB. *CMYK* is converted plainly; in a JPEG it counts as stored inverted,
  as Adobe's programs store it.
- *16 bits a channel*: greyscale is scaled from 0..65535 to 0..255, colour keeps the high byte. Floating-point pixels
  and integers outside 0..65535 have no stated range: ``unsupported``.
- *Transparency* of every sort is laid over white.
- *Animated* or of several pages: the first frame. A PIL image counts at the frame where it stands.
- The content decides what a file is, never its name.

What cannot be used is an :class:`~shared.errors.InputError` of kind ``not-found``, ``unreadable`` (no permission),
``wrong-type`` (a folder, a float array), ``empty``, ``too-large`` (seen in the header, before pixels are decoded),
``corrupt`` (begins as an image and does not go on as one), ``unsupported`` (no image, or of a kind that is not read),
``refused`` (an address that was not allowed) or ``unreachable`` (an address that did not answer with an image).
"""

from __future__ import annotations

import io
import math
import os
import re
import stat
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.errors import InputError
from shared.types import AnyArray, UInt8
from vision.pixels import orientation, to_rgb, upright


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
Resampling: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos"]
T = TypeVar("T")

MAX_PIXELS = 89_478_485
"""Width times height that is decoded unless a caller asks for more: Pillow's own bound of a safe picture."""
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")

"""What is read. MPO is a JPEG that holds further pictures behind the first."""
_DRAFTED = ("JPEG", "MPO")
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


@dataclass(frozen=True)
class View:
    """A part of a picture, and the size to which it is resampled.

    Attributes:
        box: left, top, right, bottom in pixels of the upright picture.
        size: height and width of the result in pixels.
        resampling: the filter; all but ``"nearest"`` are antialiased.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    resampling: Resampling = "bilinear"


def load(source: ImageSource, *, allow_urls: bool = False, max_pixels: int = MAX_PIXELS) -> UInt8:
    """The whole picture at its own size.

    Args:
        source: a path, an address, the bytes of an image file, a PIL image or a (height, width, 3) uint8 RGB array.
        allow_urls: whether ``http(s)`` addresses are fetched, within the bounds of :mod:`vision.remote`. Leave it off
            where strangers name the addresses: the request is made from this machine's own network.
        max_pixels: the largest width times height.

    Returns:
        Shape (height, width, 3), uint8, RGB, upright, the caller's own copy.

    Raises:
        InputError: the source cannot be used; the kinds stand at the top of this module.

    Example:
        >>> load(Image.new("L", (4, 2), 128)).shape
        (2, 4, 3)
    """
    with _opened(source, allow_urls, max_pixels) as image:
        return cast(UInt8, np.array(_whole(image, _turn(image))))


def load_view(
    source: ImageSource, view: Callable[[int, int], View], *, allow_urls: bool = False, max_pixels: int = MAX_PIXELS
) -> tuple[UInt8, tuple[int, int]]:
    """A part of the picture, resampled by the filter that the view names.

    A large JPEG is decoded at a half, a quarter or an eighth of its size where that is still no smaller than what is
    wanted: the decoder then skips the detail that resampling would throw away, and most of the work.

    Args:
        source: as in :func:`load`.
        view: from height and width of the upright picture to the wanted part.
        allow_urls: as in :func:`load`.
        max_pixels: as in :func:`load`.

    Returns:
        The pixels, shape ``(*view.size, 3)``, uint8, RGB; and height and width of the whole upright picture.

    Raises:
        InputError: as in :func:`load`.

    Example:
        >>> half = lambda height, width: View((0, 0, width, height), (height // 2, width // 2))
        >>> pixels, size = load_view(Image.new("RGB", (40, 20)), half)
        >>> pixels.shape, size
        ((10, 20, 3), (20, 40))
    """
    with _opened(source, allow_urls, max_pixels) as image:
        turn = _turn(image)
        width, height = image.size if turn < 5 else image.size[::-1]
        wanted = view(height, width)
        left, top, right, bottom = wanted.box
        rows, columns = wanted.size
        fraction = _draft(image, columns / (right - left), rows / (bottom - top), turn)
        reduced = _whole(image, turn)
        across, down = fraction if turn < 5 else fraction[::-1]
        # The last column and row of a reduced JPEG stand for a part of one; turning may have brought them to the front.
        x = reduced.width - width * across if turn in (2, 3, 6, 7) else 0.0
        y = reduced.height - height * down if turn in (3, 4, 7, 8) else 0.0
        far = (min(x + right * across, reduced.width), min(y + bottom * down, reduced.height))
        box = (x + left * across, y + top * down, *far)
        if box != (0, 0, columns, rows) or reduced.size != (columns, rows):
            reduced = reduced.resize((columns, rows), Image.Resampling[wanted.resampling.upper()], box)
        return np.asarray(reduced), (height, width)


def glance(
    source: ImageSource, side: int, *, allow_urls: bool = False, max_pixels: int = MAX_PIXELS
) -> tuple[Image.Image, tuple[int, int]]:
    """The whole picture as its decoder gives it cheapest with at least ``side`` pixels on the longer side.

    A JPEG is decoded at an eighth, a quarter or a half of its size where that is enough; anything else, and any smaller
    picture, comes whole. Nothing is resampled, so that its longer side may have up to twice ``side`` pixels or more.

    Args:
        source: as in :func:`load`.
        side: pixels, at least 1.
        allow_urls: as in :func:`load`.
        max_pixels: as in :func:`load`.

    Returns:
        The upright RGB picture; and height and width of the whole upright picture.

    Raises:
        InputError: as in :func:`load`.

    Example:
        >>> glance(Image.new("L", (40, 20)), 256)[0].mode
        'RGB'
    """
    with _opened(source, allow_urls, max_pixels) as image:
        turn = _turn(image)
        width, height = image.size if turn < 5 else image.size[::-1]
        share = min(1.0, side / max(height, width))
        _draft(image, share, share, turn)
        return _whole(image, turn), (height, width)


def size_of(source: ImageSource, *, allow_urls: bool = False, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of the upright picture, from its header alone.

    Args:
        source: as in :func:`load`.
        allow_urls: as in :func:`load`.
        max_pixels: as in :func:`load`.

    Raises:
        InputError: as in :func:`load`, as far as the header shows it.

    Example:
        >>> size_of(Image.new("RGB", (40, 20)))
        (20, 40)
    """
    with _opened(source, allow_urls, max_pixels) as image:
        width, height = image.size
        return (height, width) if _guarded(lambda: orientation(image)) < 5 else (width, height)


def _turn(image: Image.Image) -> int:
    if image.format not in _DRAFTED:
        _guarded(image.load)  # TIFF turns itself upright while it loads, so it is asked for its orientation afterwards
    return _guarded(lambda: orientation(image))


def _draft(image: Image.Image, across: float, down: float, turn: int) -> tuple[float, float]:
    """Have a JPEG decode itself smaller, down to ``across`` and ``down`` of its upright size; what it will be of it."""
    if image.format not in _DRAFTED:
        return 1.0, 1.0
    if turn >= 5:
        across, down = down, across
    width, height = image.size
    drafted = image.draft(None, (math.ceil(width * across), math.ceil(height * down)))
    return (drafted[1][2] / width, drafted[1][3] / height) if drafted else (1.0, 1.0)


def _whole(image: Image.Image, turn: int) -> Image.Image:
    _guarded(image.load)
    return _guarded(lambda: to_rgb(upright(image, turn)))


def _opened(source: ImageSource, allow_urls: bool, max_pixels: int) -> Image.Image:
    """The image with its header read and its size checked; of files and bytes no pixel is decoded."""
    if isinstance(source, Image.Image):
        with _ONE_LOADER:  # the caller may give one lazy image several times, and threads would share its file
            _guarded(source.load)
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
        return _guarded(lambda: _OPEN(file, formats=_readable()), name)
    except UnidentifiedImageError:
        image_like = start.startswith(_SIGNATURES) or start[4:8] == b"ftyp" or start[8:12] == b"WEBP"
    if image_like:
        raise InputError("corrupt", f"{name} begins as an image and does not go on as one: save or fetch it again")
    raise InputError("unsupported", f"a picture must be one of {', '.join(FORMATS)}. {name} begins with {start!r}")


def _guarded(step: Callable[[], T], name: str = "a picture") -> T:
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
