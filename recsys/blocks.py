"""Ratings files in blocks: the vectorised reader of what is plainly well-formed.

It gives exactly what :mod:`recsys.rows` gives, or :class:`Doubt`: at anything that could be read in two ways, or is
malformed, the caller turns to that reader, which knows every form and names the line of a fault. To be equal by
construction rather than by luck, ids, ratings and dates are parsed by the same functions, each distinct text once;
only the splitting into fields is Arrow's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from recsys.gathering import Chunk, Coded, plain_list
from recsys.layout import Layout
from recsys.values import FLOAT32_MAX, read_number, read_seconds
from shared.lazy import require
from shared.types import AnyArray, Int64

_BYTES = 1 << 24
_LONGEST = 1 << 17
"""A line longer than this many bytes is not what a ratings file has."""
_NOT_ASCII = 0x80
_DIGITS = 18
"""So many digits always fit into 64 bits."""
_PART = b"\x1f"
"""What stands for a delimiter of two characters while Arrow reads, which takes one alone."""
_BOM = b"\xef\xbb\xbf"


class Doubt(Exception):  # noqa: N818 - no error: the other reader decides
    """The file is not plainly well-formed."""


def block_chunks(path: Path, layout: Layout, delimiter: str) -> Iterator[Chunk]:
    """The chunks of a file of text.

    Args:
        path: the file.
        layout: as its first row told.
        delimiter: one of :data:`recsys.rows.DELIMITERS`.

    Raises:
        Doubt: the file must be read row by row.
    """
    before = 0
    header = layout.header
    with path.open("rb") as file:
        for block in _blocks(file):
            part = block
            if header:
                part = part.lstrip()  # blank lines before the header; a space before its name is nothing either
                head, _, part = part.partition(b"\n")
                if head.count(b'"') % 2:
                    raise Doubt("the header goes on in the next line")
                header = False
            if not part.strip():
                continue
            chunk = _chunk(_plain(part, delimiter), layout, delimiter, before)
            before += len(chunk.users)
            yield chunk
    if not before:
        raise Doubt("no rows")


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Whole lines, about :data:`_BYTES` of them at once."""
    rest = file.read(len(_BOM))
    rest = b"" if rest == _BOM else rest
    while data := file.read(_BYTES):
        cut = data.rfind(b"\n") + 1
        if not cut or len(data) - cut > _LONGEST:
            if len(data) == _BYTES:
                raise Doubt("a very long line")
            cut = cut or len(data)
        yield rest + data[:cut]
        rest = data[cut:]
    if rest:
        yield rest


def _plain(block: bytes, delimiter: str) -> bytes:
    """The block, if nothing in it needs more than splitting at delimiters and line ends."""
    if b"\0" in block or block.count(b"\r") != block.count(b"\r\n"):
        raise Doubt("other line ends")
    try:
        if not block.isascii():
            block.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Doubt("not UTF-8") from error
    if delimiter in ",;" and b'"' in block:
        _check_quotes(np.frombuffer(block, dtype=np.uint8), ord(delimiter))
    if delimiter == " " and (
        b"  " in block or b"\n " in block or b" \n" in block or b" \r" in block or block[:1] == b" "
    ):
        raise Doubt("several spaces in a row")
    if len(delimiter) > 1:
        if _PART in block:
            raise Doubt("the stand-in is in use")
        return block.replace(delimiter.encode(), _PART)
    return block


def _check_quotes(block: AnyArray, delimiter: int) -> None:
    """Quotes must enclose whole fields of one line, with no quote inside."""
    marks = np.flatnonzero(block == ord('"'))
    framed = np.concatenate([[ord("\n")], block, [ord("\n")]])
    edges = (delimiter, ord("\n"), ord("\r"))
    if (
        len(marks) % 2
        or not np.isin(framed[marks[::2]], edges).all()
        or not np.isin(framed[marks[1::2] + 2], edges).all()
    ):
        raise Doubt("quotes inside fields")
    ends = np.flatnonzero(block == ord("\n"))
    if (np.searchsorted(ends, marks[::2]) != np.searchsorted(ends, marks[1::2])).any():
        raise Doubt("a field of several lines")


def _chunk(block: bytes, layout: Layout, delimiter: str, before: int) -> Chunk:
    pa, csv = require("pyarrow", extra="all"), require("pyarrow.csv", extra="all")
    used = {role: place for role in ("user", "item", "rating", "time") if (place := getattr(layout, role)) is not None}
    names = {role: str(place) for role, place in used.items()}
    coded = pa.dictionary(pa.int32(), pa.string())
    try:
        table = csv.read_csv(
            pa.BufferReader(block),
            # In this thread alone: Arrow's own threads can abort the process if it ends soon after they began.
            read_options=csv.ReadOptions(
                use_threads=False, block_size=len(block) + 1, column_names=[str(at) for at in range(layout.width)]
            ),
            parse_options=csv.ParseOptions(
                delimiter=_PART.decode() if len(delimiter) > 1 else delimiter,
                quote_char='"' if delimiter in ",;" else False,
            ),
            convert_options=csv.ConvertOptions(
                include_columns=list(names.values()),
                column_types={name: pa.string() if role == "time" else coded for role, name in names.items()},
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise Doubt("Arrow takes it for malformed") from error
    columns = {role: table.column(name).combine_chunks() for role, name in names.items()}
    return Chunk(
        _texts(columns["user"]),
        _texts(columns["item"]),
        _numbers(columns["rating"]) if "rating" in columns else None,
        _seconds(columns["time"]) if "time" in columns else None,
        before,
    )


def _texts(column: Any) -> Coded:
    names = plain_list(column.dictionary)
    text, _ = _text(column.dictionary)
    if ((text <= ord(" ")) | (text >= _NOT_ASCII)).any():  # else nothing in it could be stripped
        names = [name.strip() for name in names]
    if "" in names:
        raise Doubt("an empty id")
    return Coded(names, column.indices.to_numpy())


def _numbers(column: Any) -> Coded:
    found = [read_number(text.strip()) for text in plain_list(column.dictionary)]
    if any(value is None or abs(value) > FLOAT32_MAX for value in found):
        raise Doubt("a rating that is none")
    return Coded(found, column.indices.to_numpy())


def _seconds(column: Any) -> Int64:
    pa, pc = require("pyarrow", extra="all"), require("pyarrow.compute", extra="all")
    text, lengths = _text(column)
    if lengths.min() > 0 and lengths.max() <= _DIGITS and bool(((text >= ord("0")) & (text <= ord("9"))).all()):
        return pc.cast(column, pa.int64()).to_numpy()  # type: ignore[no-any-return]
    coded = column.dictionary_encode()
    found = [read_seconds(one.strip()) for one in plain_list(coded.dictionary)]
    if None in found:
        raise Doubt("a time that is none")
    seconds: Int64 = np.array(found, dtype=np.int64)[coded.indices.to_numpy()]
    return seconds


def _text(column: Any) -> tuple[AnyArray, AnyArray]:
    """All bytes of a pyarrow array of text, shape (bytes,), uint8, and how many each value has, shape (n,)."""
    ends = np.frombuffer(column.buffers()[1], dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(column.buffers()[2] or b"", dtype=np.uint8)[ends[0] : ends[-1]], np.diff(ends)
