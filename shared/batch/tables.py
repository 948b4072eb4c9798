"""Tables and lists as rows: CSV, TSV, JSONL, Parquet and plain text, streamed, never whole in memory.

A row that cannot be read (malformed JSON, bytes that are not UTF-8, a missing value) is a :class:`Cell` with a fault,
so it becomes a failure row of the job and its neighbours go on. A file that cannot be read at all is a
:class:`~shared.errors.DataError`.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from shared.batch.addresses import is_stored
from shared.batch.stores import open_binary
from shared.errors import DataError
from shared.lazy import require
from shared.types import Failure

_PARQUET_ROWS = 256
_CSV_FIELD = 1 << 28  # the module's own limit of 128 KiB is shorter than a long document
_JSON_HEAD = 100  # rows that are looked at to learn the columns


@dataclass(frozen=True)
class Cell:
    """What a table holds for one row: the item, the id where an id column was asked for, or why there is no item."""

    value: Any
    id: str | None = None
    fault: Failure | None = None


@dataclass(frozen=True)
class Format:
    """How one kind of file is read.

    Attributes:
        columns: the column names of a file; ``None`` for a plain list, which has none.
        count: the number of rows of a file.
        read: ``read(path, column, id_column)`` gives the rows in order.
    """

    columns: Callable[[str], list[str] | None]
    count: Callable[[str], int]
    read: Callable[[str, str | None, str | None], Iterator[Cell]]


def format_of(path: str) -> Format | None:
    """How the file is read, by its suffix; ``None`` when it is no table or list."""
    return FORMATS.get(os.path.splitext(path)[1].lower())


def as_text(value: Any) -> str:
    """How a value stands in the results: strings as they are, bytes by their length, the rest as JSON.

    Example:
        >>> as_text("a"), as_text(7), as_text(b"1234")
        ('a', '7', '4 bytes')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _fault(value: str, kind: str, message: str, id: str | None = None) -> Cell:
    return Cell(value, id, Failure(0, kind, message))


def _picked(row: dict[str, Any], column: str, id_column: str | None, where: str) -> Cell:
    key = None if id_column is None else as_text(row.get(id_column))
    if row.get(column) is None:
        return _fault("", "empty", f"{where} must have a value in column {column!r}. It has none", key)
    return Cell(row[column], key)


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    """Line numbers from 1 and lines that are not blank."""
    with open_binary(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line.rstrip(b"\r\n")


def _count_lines(path: str) -> int:
    return sum(1 for _ in _lines(path))


def _shown(line: bytes) -> str:
    return line[:200].decode("utf-8", "backslashreplace")


# Plain text: one item a line; blank lines are no rows.


def _read_text(path: str, column: str | None, id_column: str | None) -> Iterator[Cell]:
    for number, line in _lines(path):
        try:
            yield Cell((line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).decode("utf-8"))
        except UnicodeDecodeError as error:
            yield _fault(_shown(line), "corrupt", f"line {number} of {path} must be UTF-8 text. {error}")


# JSONL: one object a line; blank lines are no rows.


def _json_columns(path: str) -> list[str]:
    names: dict[str, None] = {}
    for (_, line), _ in zip(_lines(path), range(_JSON_HEAD)):
        row = _json(line)
        names |= dict.fromkeys(row) if isinstance(row, dict) else {}
    return list(names)


def _json(line: bytes) -> Any:
    """The value of a line, or the error that stands for it."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, a number of thousands of digits, too deep
        return error


def _read_json(path: str, column: str | None, id_column: str | None) -> Iterator[Cell]:
    for number, line in _lines(path):
        row, where = _json(line), f"line {number} of {path}"
        if isinstance(row, dict):
            yield _picked(row, str(column), id_column, where)
        else:
            came = f"{row}" if isinstance(row, Exception) else f"Got a {type(row).__name__} instead"
            yield _fault(_shown(line), "corrupt", f"{where} must be one JSON object in UTF-8. {came}")


# CSV and TSV: a header, then rows; blank lines are no rows.


def _csv_rows(path: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(max(csv.field_size_limit(), _CSV_FIELD))
    with io.TextIOWrapper(open_binary(path), "utf-8-sig", "surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for row in reader:
                if row:
                    yield reader.line_num, row
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num} must be a row of a table. {error}") from error


def _csv(delimiter: str) -> Format:
    def columns(path: str) -> list[str]:
        return next((row for _, row in _csv_rows(path, delimiter)), [])

    def count(path: str) -> int:
        return max(0, sum(1 for _ in _csv_rows(path, delimiter)) - 1)

    def read(path: str, column: str | None, id_column: str | None) -> Iterator[Cell]:
        rows = _csv_rows(path, delimiter)
        header = next(rows, (0, []))[1]
        for number, row in rows:
            where = f"the row that ends on line {number} of {path}"
            if len(row) > len(header):
                wrong = f"{where} must have at most {len(header)} cells, like the header. Got {len(row)}: quote them"
                yield _fault(delimiter.join(row), "corrupt", wrong)
                continue
            cell = _picked(dict(zip(header, row)), str(column), id_column, where)
            yield (
                cell
                if cell.fault or _is_text(cell)
                else _fault(cell.value, "corrupt", f"{where} must be UTF-8 text. It holds other bytes")
            )

    return Format(columns, count, read)


def _is_text(cell: Cell) -> bool:
    """Whether no undecodable byte was carried along in the cell."""
    try:
        f"{cell.value}{cell.id}".encode()
    except UnicodeEncodeError:
        return False
    return True


# Parquet: read by column, in slices.


@contextmanager
def _parquet(path: str) -> Iterator[Any]:
    pa, pq = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")
    with open_binary(path) if is_stored(path) else nullcontext(path) as file:
        try:
            opened = pq.ParquetFile(file, pre_buffer=False)  # what is fetched ahead would be held until the end
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} must be a Parquet file. {error}") from error
        with opened:
            yield opened


def _parquet_columns(path: str) -> list[str]:
    with _parquet(path) as file:
        return list(file.schema_arrow.names)


def _parquet_count(path: str) -> int:
    with _parquet(path) as file:
        return int(file.metadata.num_rows)


def _read_parquet(path: str, column: str | None, id_column: str | None) -> Iterator[Cell]:
    pa = require("pyarrow", extra="all")
    names = [name for name in (column, id_column) if name is not None]
    number = 0
    with _parquet(path) as file:
        try:
            for batch in file.iter_batches(_PARQUET_ROWS, columns=list(dict.fromkeys(names)), use_threads=False):
                for row in batch.to_pylist():
                    yield _picked(row, str(column), id_column, f"row {number} of {path}")
                    number += 1
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} must be a whole Parquet file. After row {number}: {error}") from error


FORMATS = {
    ".csv": _csv(","),
    ".tsv": _csv("\t"),
    ".jsonl": Format(_json_columns, _count_lines, _read_json),
    ".ndjson": Format(_json_columns, _count_lines, _read_json),
    ".parquet": Format(_parquet_columns, _parquet_count, _read_parquet),
    ".txt": Format(lambda path: None, _count_lines, _read_text),
}


def check_columns(path: str, wanted: Sequence[str], has: Sequence[str]) -> None:
    """Check that each wanted column stands in the file exactly once.

    Raises:
        DataError: one is missing or stands there twice.
    """
    for name in wanted:
        if list(has).count(name) != 1:
            how = "twice" if name in has else "not at all"
            raise DataError(f"{path} must have the column {name!r} once. It has it {how}. Columns: {', '.join(has)}")
