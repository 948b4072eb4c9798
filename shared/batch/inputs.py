"""The input of a job: from a name, a query or Python values to numbered rows."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from shared.batch.addresses import check_address, is_stored, without_secrets
from shared.batch.given import Items, given_source
from shared.batch.queries import query_source
from shared.batch.rows import COLUMNS, Part, Row, Skip, Source, choose_column, digest_of, none_skipped
from shared.batch.sources import IMAGE_SUFFIXES, expand, files_below, files_matching, is_url
from shared.batch.stores import Entry, Stored, listing, open_binary, reading, stat
from shared.batch.tables import FORMATS, Cell, Format, as_text, check_columns, format_of
from shared.batch.tars import tar_source, tars
from shared.databases import is_database
from shared.errors import DataError, UsageError
from shared.tasks import InputKind
from shared.types import Failure

__all__ = ["COLUMNS", "Part", "Row", "Source", "open_source"]


def open_source(
    given: str | Items,
    kind: InputKind,
    *,
    column: str | None = None,
    id_column: str | None = None,
    sql: str | None = None,
    known: Sequence[Part] = (),
    memo: Path | None = None,
) -> Source:
    """Find, count and fingerprint an input.

    Args:
        given: a CSV, TSV, JSONL, Parquet or ``.txt`` file, a folder or a glob, here or in an object store. For
            ``kind="image"`` a folder means the image files in and below it, and a glob or another file images too
            unless they are tables; for other kinds a folder or glob means the tables that it leads to, one after the
            other. A path in a table or list is taken relative to the folder of that file. A ``.txt`` holds one item a
            line. Or tar archives of samples (:mod:`shared.batch.tars`), the URL of a database together with ``sql``
            (:mod:`shared.batch.queries`), or :class:`~shared.batch.given.Items`.
        kind: what the task takes.
        column: the column with the items; ``None`` takes the first of :data:`COLUMNS` that the table has.
        id_column: a column to carry into the results.
        sql: the query, where ``given`` is a database.
        known: parts that were fingerprinted before; those with the same size and time of change are not read again.
        memo: a folder where what was found in archives may be kept for the next time, once its parent is there.

    Raises:
        UsageError: nothing stands there, it is of no known kind, or a column is asked for that cannot be.
        DataError: a table cannot be read or lacks the column.
        MissingDependencyError: the store or the database needs an extra that is not installed.
    """
    if isinstance(given, Items):
        _refuse("unless the input is a table with columns", column=column, id_column=id_column, sql=sql)
        return given_source(given, kind)
    if is_stored(given):
        check_address(given)
    if sql is not None:
        return query_source(given, sql, kind, column=column, id_column=id_column)
    if is_database(given):
        raise UsageError('a database needs a query: --sql "SELECT id, text FROM ...", and --id-column for its key')
    archives = tars(given)
    if archives:
        return tar_source(given, archives, kind, known, column=column, id_column=id_column, memo=memo)
    if is_stored(given):
        entries = listing(given, IMAGE_SUFFIXES if kind == "image" else frozenset(FORMATS))
        tables = _only_tables([entry.path for entry in entries], kind)
    else:
        entries, tables = [], _tables(given, kind)
    if tables:
        return _table_source(given, tables, kind, known, column=column, id_column=id_column)
    _refuse("unless the input is a table with columns", column=column, id_column=id_column)
    return _stored_images(given, entries) if is_stored(given) else _image_source(given)


def _refuse(when: str, **options: str | None) -> None:
    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{option} must be left out {when}. Got {value!r}")


def _tables(text: str, kind: InputKind) -> list[str]:
    """The tables that the input leads to; none when it is made of images."""
    if os.path.isdir(text):
        return [] if kind == "image" else list(files_below(text, frozenset(FORMATS)))
    files = [text]
    if not os.path.isfile(text):
        if is_url(text) or not glob.has_magic(text):
            where = without_secrets(text) if is_url(text) else text
            raise UsageError(f"the input must be an existing file, folder or glob. Nothing stands at {where}")
        files = files_matching(text)
    return _only_tables(files, kind)


def _only_tables(files: list[str], kind: InputKind) -> list[str]:
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

    def rows(skip: Skip = none_skipped) -> Iterator[Row]:
        return (Row(i, path, path) for i, path in enumerate(files))

    return Source(len(files), facts, (), rows)


def _stored_images(text: str, entries: list[Entry]) -> Source:
    digest = hashlib.sha256()
    for path, found in entries:
        digest.update(f"{path}\0{found.size}\0{found.tag}\n".encode("utf-8", "surrogateescape"))
    facts = {"input": text, "rows": len(entries), "digest": digest.hexdigest()}

    def rows(skip: Skip = none_skipped) -> Iterator[Row]:
        return (Row(i, path, Stored(path, path, 0, found.size)) for i, (path, found) in enumerate(entries))

    return Source(len(entries), facts, (), rows)


def _table_source(
    text: str, tables: list[str], kind: InputKind, known: Sequence[Part], *, column: str | None, id_column: str | None
) -> Source:
    formats = [(path, _known_format(path)) for path in tables]
    column = _check(formats, kind, column, id_column)
    before = {part.path: part for part in known}
    parts = tuple(_part(path, form, before.get(path)) for path, form in formats)
    total = sum(part.rows for part in parts)
    facts = {"input": text, "rows": total, "digest": digest_of(parts), "column": column, "id_column": id_column}

    def rows(skip: Skip = none_skipped) -> Iterator[Row]:
        index = 0
        for part, (path, form) in zip(parts, formats):
            folder, end = os.path.dirname(path), index + part.rows
            with reading(path):
                for cell in form.read(path, column, id_column):
                    yield _row(index, cell, kind, folder)
                    index += 1
                    if index == end:
                        break
            part.check_unchanged()
            if index != end:
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
        _refuse("for a plain list, which has no columns", column=column, id_column=id_column)
        return None
    path, names = with_columns[0]
    column = choose_column(column, kind, names, path)
    for path, names in with_columns:
        check_columns(path, [column] if id_column is None else [column, id_column], names)
    return column


def _part(path: str, form: Format, before: Part | None) -> Part:
    """Count and hash one file, or believe what was found before if it has not changed since."""
    if before is not None and before.unchanged():
        return before
    found = stat(path)
    if is_stored(path):  # its tag is believed: hashing it would fetch it once more
        with reading(path):
            rows, sha256 = form.count(path), hashlib.sha256(f"{found.size} {found.tag}".encode()).hexdigest()
    else:
        with open_binary(path) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        rows = form.count(path)
    return Part(path, found.size, found.modified, rows, sha256)


def _row(index: int, cell: Cell, kind: InputKind, folder: str) -> Row:
    row = Row(index, as_text(cell.value), cell.value, cell.id, cell.fault)
    if cell.fault is not None:
        return row
    if kind == "image" and isinstance(cell.value, str):
        if not cell.value.strip():
            return replace(row, fault=Failure(0, "empty", "the path of an image must not be empty. Got a blank one"))
        return _picture(row, cell.value, folder)
    if kind == "id" and isinstance(cell.value, int) and not isinstance(cell.value, bool):
        return replace(row, item=str(cell.value))  # as CSV has it: every format gives the same ids
    return row


def _picture(row: Row, named: str, folder: str) -> Row:
    """The row of a picture that a table names: by a path from its folder on, or by a URL."""
    if is_url(named) and not is_stored(named):
        return row
    path = named if is_url(named) else f"{folder}/{named}" if is_stored(folder) else os.path.join(folder, named)
    if not is_stored(path):
        return replace(row, item=path)
    try:
        check_address(path)
    except UsageError as error:
        return replace(row, fault=Failure(0, "refused", str(error)))
    return replace(row, item=Stored(path, path))
