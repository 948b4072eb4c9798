"""From a file's bytes to text: which encoding, and what is no text at all.

In order: the encoding that the caller names; a byte-order mark; what an HTML page declares; UTF-8; UTF-16 without a
mark, told by where its zero bytes stand; UTF-8 with some bytes of Windows-1252 in it, as files have that were pasted
together; Windows-1252, which is how most of the web's other Western text is written (WHATWG Encoding Standard).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from shared.errors import InputError, UsageError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)|^\s*<\?xml[^>]{0,100}encoding=[\"']([\w.:-]+)", re.I
)
_HEAD = 4096
_CONTROLS = frozenset(range(32)) - {7, 8, 9, 10, 11, 12, 13, 27}
MOST_CONTROLS = 0.01
"""Share of control characters from which bytes are no text."""
_ODD = "cp1252-byte"


@dataclass(frozen=True)
class Decoded:
    """A file's text.

    Attributes:
        text: all of it, without a byte-order mark.
        encoding: what it was read as.
    """

    text: str
    encoding: str


def decode_text(data: bytes, *, encoding: str | None = None, markup: bool = False) -> Decoded:
    r"""Read bytes as text.

    Args:
        data: the whole file.
        encoding: what it is in; ``None`` looks.
        markup: whether it is HTML, which may declare its encoding.

    Raises:
        UsageError: there is no such encoding.
        InputError: the bytes are not in the encoding that was named (``"corrupt"``), or are no text (``"binary"``).

    Example:
        >>> decode_text(b"caf\xe9").text, decode_text(b"caf\xc3\xa9").encoding
        ('café', 'utf-8')
    """
    if encoding is not None:
        return _named(data, encoding)
    found = _marked(data) or (_declared(data) if markup else None) or _guessed(data)
    controls = sum(found.text.count(chr(code)) for code in _CONTROLS)
    if controls > MOST_CONTROLS * len(found.text):
        raise InputError(
            "binary",
            f"a text file must hold text. {controls} of its {len(found.text)} characters are control characters: "
            "convert it, or name its encoding",
        )
    return found


def _named(data: bytes, encoding: str) -> Decoded:
    try:
        known = codecs.lookup(encoding).name
        text = data.decode("utf-8-sig" if known == "utf-8" else known)
    except LookupError as error:
        raise UsageError(f"encoding must be one that Python knows, utf-8 or latin-1 say. Got {encoding!r}") from error
    except UnicodeError as error:
        raise InputError("corrupt", f"the file must be {encoding}. {error}") from error
    return Decoded(text, known)


def _marked(data: bytes) -> Decoded | None:
    for mark, name in _MARKS:
        if data.startswith(mark):
            try:
                return Decoded(data.decode(name), name)
            except UnicodeError as error:
                raise InputError("corrupt", f"the file begins as {name} and must be that. {error}") from error
    return None


def _declared(data: bytes) -> Decoded | None:
    found = _DECLARED.search(data[:_HEAD])
    name = (found[1] or found[2]).decode("ascii", "replace") if found else ""
    try:
        # a page that says latin-1 means Windows-1252: so every browser reads it
        known = {"iso8859-1": "cp1252", "ascii": "cp1252"}.get(codecs.lookup(name).name, codecs.lookup(name).name)
        return Decoded(data.decode(known), known)
    except (LookupError, UnicodeError, ValueError):
        return None


def _guessed(data: bytes) -> Decoded:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _not_utf8(data)
    zeros = data[:_HEAD].count(0)
    return _wide(data) or Decoded(text, "utf-8") if zeros else Decoded(text, "utf-8")


def _wide(data: bytes) -> Decoded | None:
    """UTF-16 without a mark: of ASCII text every other byte is zero."""
    head = data[:_HEAD]
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if (
            len(data) % 2 == 0
            and head[start::2].count(0) > 0.4 * len(head[start::2])
            and not head[1 - start :: 2].count(0)
        ):
            try:
                return Decoded(data.decode(name), name)
            except UnicodeError:
                continue
    return None


def _not_utf8(data: bytes) -> Decoded:
    wide = _wide(data)
    if wide:
        return wide
    outside = sum(data.count(byte) for byte in range(128, 256))
    strays = sum(map(_is_stray, data.decode("utf-8", "surrogateescape")))
    # where most bytes outside ASCII form UTF-8, the rest are strays; else all of them are letters by themselves
    if 2 * strays < outside:
        return Decoded(data.decode("utf-8", _ODD), f"utf-8 with {strays} bytes of cp1252")
    return Decoded(data.decode("cp1252", _ODD), "cp1252")


def _is_stray(letter: str) -> bool:
    return "\udc80" <= letter <= "\udcff"


def _odd_byte(error: UnicodeError) -> tuple[str, int]:
    """A byte that does not belong as Windows-1252 has it; the five that it leaves open as Latin-1 has them."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    taken = error.object[error.start : error.start + 1]
    try:
        return taken.decode("cp1252"), error.start + 1
    except UnicodeDecodeError:
        return taken.decode("latin-1"), error.start + 1


codecs.register_error(_ODD, _odd_byte)
