"""Ratings files row by row: every form of CSV and its relatives, with the line of every fault."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

import numpy as np

from recsys.gathering import Chunk
from recsys.layout import Layout
from recsys.values import FLOAT32_MAX, read_number, read_seconds
from shared.errors import DataError

DELIMITERS = ("::", "\t", ",", ";", "|", " ")
"""What parts fields, in the order in which the first line is searched for them."""
_ROWS = 1 << 16


def find_delimiter(file: IO[str], path: Path) -> str:
    """The first of :data:`DELIMITERS` that the first line holds; the file is at its start again.

    Raises:
        DataError: it holds none.
    """
    line = next((line for line in file if line.strip()), "")
    file.seek(0)
    found = next((delimiter for delimiter in DELIMITERS if delimiter in line.strip()), None)
    if line and found is None:
        raise DataError(f"{path}, line 1: expected fields parted by one of {DELIMITERS}. Got {line.strip()[:80]!r}")
    return found or ","


def read_rows(file: IO[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the line that each ends on."""
    if len(delimiter) > 1:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield line, [field.strip() for field in text.split(delimiter)]
        return
    quoted: Literal[0, 3] = csv.QUOTE_MINIMAL if delimiter in ",;" else csv.QUOTE_NONE
    reader = csv.reader(file, delimiter=delimiter, quoting=quoted, skipinitialspace=delimiter != "\t", strict=True)
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if any(fields):
                yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def chain(first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """A row that was taken, then the rest."""
    yield first
    yield from rest


def row_chunks(rows: Iterator[tuple[int, list[str]]], layout: Layout, path: Path) -> Iterator[Chunk]:
    """The chunks of rows of text.

    Raises:
        DataError: a row is malformed; the message names its line.
    """
    held: tuple[list[str], list[str], array[float], array[int]] = [], [], array("d"), array("q")
    before = 0
    for line, row in rows:
        if len(row) != layout.width:
            raise DataError(f"{path}, line {line}: expected {layout.width} fields. Got {len(row)}: {row}")
        user, item = row[layout.user], row[layout.item]
        if not user or not item:
            raise DataError(f"{path}, line {line}: a user and an item must not be empty. Got {row}")
        held[0].append(user)
        held[1].append(item)
        if layout.rating is not None:
            held[2].append(_number(row[layout.rating], path, line))
        if layout.time is not None:
            held[3].append(_seconds(row[layout.time], path, line))
        if len(held[0]) == _ROWS:
            yield _chunk(held, layout, before)
            before += _ROWS
            held = [], [], array("d"), array("q")
    if held[0]:
        yield _chunk(held, layout, before)


def _chunk(held: tuple[list[str], list[str], array[float], array[int]], layout: Layout, before: int) -> Chunk:
    values = None if layout.rating is None else np.frombuffer(held[2], dtype=np.float64)
    times = None if layout.time is None else np.frombuffer(held[3], dtype=np.int64)
    return Chunk(held[0], held[1], values, times, before)


def _number(text: str, path: Path, line: int) -> float:
    value = read_number(text)
    if value is None:
        raise DataError(f"{path}, line {line}: a rating must be a finite number. Got {text!r} instead")
    if abs(value) > FLOAT32_MAX:
        raise DataError(f"{path}, line {line}: values must fit into float32. Got {text!r}, above 3.4e38")
    return value


def _seconds(text: str, path: Path, line: int) -> int:
    value = read_seconds(text)
    if value is None:
        raise DataError(
            f"{path}, line {line}: a time must be a whole number of seconds or an ISO 8601 date. Got {text!r} instead"
        )
    return value
