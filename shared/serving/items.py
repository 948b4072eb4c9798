"""From what a client sends to what a predictor takes, and the bounds that an item must keep.

A picture comes as bytes, in a form or as ``{"base64": ...}``; never as a name: a path would read this machine's files,
and an address would be fetched from its network. A model whose options say ``allow_urls`` takes ``{"url": ...}`` too.
"""

from __future__ import annotations

import base64
import binascii
import io
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from shared.errors import InputError
from shared.lazy import require
from shared.serving.config import Limits
from shared.tasks import Task

Form: TypeAlias = Literal["image", "text", "id", "question"]
_QUESTIONS = ("nlp.qa",)
_PICTURES = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Formats whose header is read here; what else comes is left to the predictor, which names what it takes."""


def form_of(task: Task) -> Form:
    """What an item of a task looks like in JSON."""
    return "question" if task.name in _QUESTIONS else task.inputs


def read_item(form: Form, value: Any, limits: Limits, *, allow_urls: bool = False) -> Any:
    """A client's item as the predictor takes it.

    Args:
        form: what is expected.
        value: what came, out of JSON; ``bytes`` out of a form.
        limits: bounds of texts and histories.
        allow_urls: whether a picture may be an address.

    Raises:
        InputError: it is of another form (``"wrong-type"``), names a place (``"refused"``), or is too long
            (``"too-large"``).

    Example:
        >>> read_item("image", {"base64": "iVBORw=="}, Limits())[1:4]
        b'PNG'
    """
    if form == "image":
        return _picture(value, allow_urls)
    if form == "id":
        return _person(value, limits)
    if form == "question":
        return _question(value, limits)
    if not isinstance(value, str):
        raise InputError("wrong-type", f"an item must be a text. Got {_named(value)} instead")
    _check_length(len(value), limits)
    return value


def _picture(value: Any, allow_urls: bool) -> bytes | str:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        raise InputError(
            "refused",
            'a picture must be sent, not named: as a file of a form (curl -F file=@x.jpg) or as {"base64": ...}. '
            "A path or an address is never opened here",
        )
    if isinstance(value, dict) and set(value) == {"base64"} and isinstance(value["base64"], str):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError("corrupt", f"base64 must be of RFC 4648 with padding: {error}") from error
    if isinstance(value, dict) and set(value) == {"url"} and isinstance(value["url"], str):
        url: str = value["url"]
        if not allow_urls:
            raise InputError("refused", "addresses are not fetched here: this model was not opened with allow_urls")
        if not url.startswith(("http://", "https://")):
            raise InputError("refused", "an address must begin with http:// or https://")
        return url
    raise InputError("wrong-type", f'a picture must be {{"base64": "..."}}. Got {_named(value)} instead')


def _person(value: Any, limits: Limits) -> Any:
    if isinstance(value, dict) and set(value) == {"user"}:
        value = value["user"]
    elif isinstance(value, dict):
        return _history(value, limits)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise InputError(
            "wrong-type", f'an item must be a user id or {{"history": [...]}}. Got {_named(value)} instead'
        )
    if isinstance(value, str):
        _check_length(len(value), limits)
    return value


def _history(value: Mapping[str, Any], limits: Limits) -> Any:
    history = value.get("history")
    if set(value) != {"history"} or not isinstance(history, list | dict):
        raise InputError("wrong-type", 'a person without an id must be {"history": [...]} of items, or items to values')
    if len(history) > limits.max_history:
        raise InputError(
            "too-large", f"a history must have at most {limits.max_history:,} items. Got {len(history):,} instead"
        )
    if not all(isinstance(one, str | int) and not isinstance(one, bool) for one in history):
        raise InputError("wrong-type", "each item of a history must be an id, a text or a whole number")
    if isinstance(history, dict) and not all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in history.values()
    ):
        raise InputError("wrong-type", "each value of a history must be a number")
    return history


def _question(value: Any, limits: Limits) -> dict[str, str]:
    if not isinstance(value, dict) or set(value) != {"question", "context"}:
        raise InputError(
            "wrong-type", f'an item must be {{"question": ..., "context": ...}}. Got {_named(value)} instead'
        )
    if not all(isinstance(one, str) for one in value.values()):
        raise InputError("wrong-type", "question and context must be texts")
    _check_length(sum(map(len, value.values())), limits)
    return value


def characters(item: Any) -> int:
    """How many characters the texts of an item have, as :func:`read_item` gives it; 0 of one that is no text.

    Example:
        >>> characters("four"), characters({"question": "a?", "context": "b"}), characters(b"a picture")
        (4, 3, 0)
    """
    if isinstance(item, str):
        return len(item)
    return sum(len(part) for part in item.values() if isinstance(part, str)) if isinstance(item, dict) else 0


def check_picture(content: bytes | str, limits: Limits) -> None:
    """Refuse a picture whose header says that it is too large. Called in a thread; no pixel is decoded.

    Raises:
        InputError: ``"too-large"``.
    """
    if isinstance(content, str):
        return
    image = require("PIL.Image", extra="all")
    try:
        with image.open(io.BytesIO(content), formats=_readable()) as opened:
            width, height = opened.size
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, RuntimeError):
        return  # the predictor says better what is wrong with it
    except (image.DecompressionBombError, image.DecompressionBombWarning, struct.error, zlib.error):
        return
    if width * height > limits.max_pixels:
        raise InputError(
            "too-large", f"a picture must have at most {limits.max_pixels:,} pixels. Got {width} x {height} instead"
        )


@lru_cache(maxsize=1)
def _readable() -> tuple[str, ...]:
    """Those of :data:`_PICTURES` that this build of Pillow can open."""
    image = require("PIL.Image", extra="all")
    image.init()
    return tuple(name for name in _PICTURES if name in image.OPEN)


def example_item(form: Form) -> Any:
    """A small item in JSON, for the document and for warming up."""
    if form == "image":
        return {"base64": base64.b64encode(_grey_png(64)).decode("ascii")}
    if form == "id":
        return {"history": []}
    if form == "question":
        return {"question": "Who wrote the notes?", "context": "Ada Lovelace wrote the notes in 1843."}
    return "A delight from start to end."


def _grey_png(side: int) -> bytes:
    """A grey square as a PNG, by the specification alone (ISO/IEC 15948)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = (b"\x00" + b"\x80" * side) * side
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _check_length(characters: int, limits: Limits) -> None:
    if characters > limits.max_text:
        raise InputError(
            "too-large", f"an item must have at most {limits.max_text:,} characters. Got {characters:,} instead"
        )


def _named(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:5])) or 'nothing'}"
    kinds = {list: "a list", bool: "a truth value", type(None): "nothing", int: "a number", float: "a number"}
    return kinds.get(type(value), f"a {type(value).__name__}")
