"""The input of a job: numbered rows, and the facts that tell one input from another."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.batch.sources import expand, files_below, files_matching, is_url
from shared.batch.tables import FORMATS, Cell, Format, as_text, check_columns, format_of
from shared.errors import DataError, UsageError
from shared.tasks import InputKind
from shared.types import Failure

COLUMNS: dict[InputKind, tuple[str, ...]] = {
    "image": ("path", "image", "file"),
    "text": ("text",),
    "id": ("user", "id"),
}
"""The columns that hold the items when none is named, for each kind of input, the first that is there."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a job.

    Attributes:
        index: its number in the whole input, from 0.
        input: how it stands in the results: the path, the text or the id.
        item: what the predictor is given.
        id: the value of the id column, where one was named.
        fault: why there is no item, where the row could not be read.
    """

    index: int
    input: str
    item: Any
    id: str | None = None
    fault: Failure | None = None


@dataclass(frozen=True)
class Part:
    """One table or list of an input.

    Attributes:
        path: as it was named.
        size: bytes.
        modified: time of the last change, in nanoseconds.
        rows: number of rows.
        sha256: of its bytes.
    """

    path: str
    size: int
    modified: int
    rows: int
    sha256: str

    def unchanged(self) -> bool:
        """Whether the file still has this size and time of change."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.modified)


@dataclass(frozen=True)
class Source:
    """An opened input.

    Attributes:
        total: number of rows.
        facts: what tells this input from another, JSON-ready: the name, the columns and a digest.
        parts: the tables and lists it is made of; empty for image files.
        rows: the rows from the first on, streamed; may be called again.
    """

    total: int
    facts: dict[str, Any]
    parts: tuple[Part, ...]
    rows: Callable[[], Iterator[Row]]


def open_source(
    text: str, kind: InputKind, *, column: str | None = None, id_column: str | None = None, known: Sequence[Part] = ()
) -> Source:
    """Find, count and fingerprint an input.

    Args:
        text: a CSV, TSV, JSONL, Parquet or ``.txt`` file, a folder or a glob. For ``kind="image"`` a folder means
            the image files in and below it, and a glob or another file images too unless they are tables; for
            other kinds a folder or glob means the tables that it leads to, one after the other. A path in a table
            or list is taken relative to the folder of that file. A ``.txt`` holds one item a line.
        kind: what the task takes.
        column: the column with the items; ``None`` takes the first of :data:`COLUMNS` that the table has.
        id_column: a column to carry into the results.
        known: parts that were fingerprinted before; those with the same size and time of change are not read again.

    Raises:
        UsageError: nothing stands there, it is of no known kind, or a column is asked for that cannot be.
        DataError: a table cannot be read or lacks the column.
    """
    tables = _tables(text, kind)
    if tables:
        return _table_source(text, tables, kind, known, column=column, id_column=id_column)
    for option, value in (("column", column), ("id_column", id_column)):
        if value is not None:
            raise UsageError(f"{option} must be left out unless the input is a table with columns. Got {value!r}")
    return _image_source(text)


def _tables(text: str, kind: InputKind) -> list[str]:
    """The tables that the input leads to; none when it is made of images."""
    if os.path.isdir(text):
        return [] if kind == "image" else list(files_below(text, frozenset(FORMATS)))
    files = [text]
    if not os.path.isfile(text):
        if is_url(text) or not glob.has_magic(text):
            raise UsageError(f"the input must be an existing file, folder or glob. Nothing stands at {text}")
        files = files_matching(text)
    tables = [path for path in files if format_of(path) is not None]
    if len(tables) == len(files) or (kind == "image" and not tables):
        return tables
    stray = next(path for path in files if path not in tables)
    what = "either tables or images" if kind == "image" else f"files ending in {', '.join(FORMATS)}"
    raise UsageError(f"the input must be {what}. Got {stray} among {len(files)}")


def _image_source(text: str) -> Source:
    files = list(expand(text))
    digest = hashlib.sha256()
    for path in files:
        try:
            status = os.stat(path)
            digest.update(os.fsencode(path) + f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        except OSError:  # a dangling link, a loop of links, a folder that is closed: it fails when it is predicted
            digest.update(os.fsencode(path) + b"\0\n")
    facts = {"input": text, "rows": len(files), "digest": digest.hexdigest()}
    return Source(len(files), facts, (), lambda: (Row(i, path, path) for i, path in enumerate(files)))


def _table_source(
    text: str, tables: list[str], kind: InputKind, known: Sequence[Part], *, column: str | None, id_column: str | None
) -> Source:
    formats = [(path, _known_format(path)) for path in tables]
    column = _check(formats, kind, column, id_column)
    before = {part.path: part for part in known}
    parts = tuple(_part(path, form, before.get(path)) for path, form in formats)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(os.fsencode(part.path) + f"\0{part.size}\0{part.rows}\0{part.sha256}\n".encode())
    total = sum(part.rows for part in parts)
    facts = {"input": text, "rows": total, "digest": digest.hexdigest(), "column": column, "id_column": id_column}

    def rows() -> Iterator[Row]:
        index = 0
        for part, (path, form) in zip(parts, formats):
            folder, end = os.path.dirname(path), index + part.rows
            for cell in form.read(path, column, id_column):
                yield _row(index, cell, kind, folder)
                index += 1
                if index == end:
                    break
            if index != end or not part.unchanged():
                raise DataError(f"{path} must not change while a job reads it. It did: run again with another OUT")

    return Source(total, facts, parts, rows)


def _known_format(path: str) -> Format:
    form = format_of(path)
    if form is None:
        raise UsageError(f"a table must end in one of {', '.join(FORMATS)}. Got {path} instead")
    return form


def _check(formats: list[tuple[str, Format]], kind: InputKind, column: str | None, id_column: str | None) -> str | None:
    """Check the columns of every table and choose the one with the items; ``None`` for plain lists."""
    with_columns = [(path, names) for path, form in formats if (names := form.columns(path)) is not None]
    if not with_columns:
        for option, value in (("column", column), ("id_column", id_column)):
            if value is not None:
                raise UsageError(f"{option} must be left out for a plain list, which has no columns. Got {value!r}")
        return None
    path, names = with_columns[0]
    if column is None:
        column = next((name for name in COLUMNS[kind] if name in names), None)
    if column is None:
        wanted, has = " or ".join(COLUMNS[kind]), ", ".join(names) or "none"
        raise UsageError(f"{path} must have a column {wanted}, or name one with --column. Its columns: {has}")
    for path, names in with_columns:
        check_columns(path, [column] if id_column is None else [column, id_column], names)
    return column


def _part(path: str, form: Format, before: Part | None) -> Part:
    """Count and hash one file, or believe what was found before if it has not changed since."""
    if before is not None and before.unchanged():
        return before
    status = os.stat(path)
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(path, status.st_size, status.st_mtime_ns, form.count(path), sha256)


def _row(index: int, cell: Cell, kind: InputKind, folder: str) -> Row:
    row = Row(index, as_text(cell.value), cell.value, cell.id, cell.fault)
    if cell.fault is not None:
        return row
    if kind == "image" and isinstance(cell.value, str):
        if not cell.value.strip():
            return replace(row, fault=Failure(0, "empty", "the path of an image must not be empty. Got a blank one"))
        return row if is_url(cell.value) else replace(row, item=os.path.join(folder, cell.value))
    if kind == "id" and isinstance(cell.value, int) and not isinstance(cell.value, bool):
        return replace(row, item=str(cell.value))  # as CSV has it: every format gives the same ids
    return row
