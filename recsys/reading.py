"""Interactions from files, folders and queries: which reader takes which."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from recsys.blocks import Doubt, block_chunks
from recsys.duplicates import Duplicates, check_duplicates
from recsys.gathering import gather
from recsys.ids import IdTable, IdType
from recsys.interactions import Interactions
from recsys.layout import ROLES, find_column, find_layout
from recsys.parquet import is_parquet, parquet_chunks, parquet_files
from recsys.rows import chain, find_delimiter, read_rows, row_chunks
from recsys.sql import from_sql
from shared.errors import DataError, UsageError
from shared.types import Id

FORMATS = {"csv": ",", "tsv": "\t", "dat": "::", "semicolon": ";", "pipe": "|", "space": " ", "parquet": ""}
"""Formats by name; of text, each with its delimiter."""
_IN_FOLDERS = ("ratings.csv", "u.data", "ratings.dat", "ratings.tsv")
_FAST_FROM = 1 << 16
"""Bytes from which on a file of text is worth its vectorised reader."""


def load_interactions(
    path: str | Path,
    *,
    format: str | None = None,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    id_type: IdType = "str",
    duplicates: Duplicates = "last",
    query: str | None = None,
) -> Interactions:
    """Read interactions from a file of text, from Parquet, or from a database.

    Text, UTF-8, one interaction a line. Delimiter: the first of ``::``, tab, comma, semicolon, ``|`` and space that
    the first line holds, unless ``format`` names it. Header: the first line is one when two of its names are known for
    a user and an item (see :data:`recsys.layout.ROLES`), or are named here; other columns are passed over. Without a
    header the columns are user, item, rating, time, as far as they go, unless ``columns`` says otherwise. Spaces around
    a field and blank lines are passed over. A rating that has no column is 1. Times are as in :mod:`recsys.values`.

    Parquet: a file, or a folder whose files are read in order of their paths; the columns are found by name as in a
    header, ids keep the type that they have there. It is read where ``format`` says so, or the name ends with
    ``.parquet`` or ``.pq``, or the first bytes say it, or a folder holds such files.

    Database: ``path`` is a SQLAlchemy URL and ``query`` says what to read; see :func:`recsys.from_sql`.

    Large files are read in blocks, and nothing of a row is kept but codes, value and time.

    Args:
        path: the file, or a folder that holds one of the usual ratings files (``ratings.csv``, ``u.data``, ...) or
            Parquet files, or a database's URL.
        format: a key of :data:`FORMATS`; ``None`` detects.
        columns: what the columns of a file without a header are, for example ``("user", "item", "time")``; ``"-"``
            passes one over.
        header: whether the first line is a header; ``None`` detects.
        user: the header's name of the column of users; likewise ``item``, ``rating``, ``time``.
        item: see ``user``.
        rating: see ``user``.
        time: see ``user``.
        id_type: ``"str"`` keeps ids as they are written; ``"int"`` reads the whole numbers that text writes. Columns of
            Parquet and databases that hold numbers give numbers with either.
        duplicates: as in :func:`recsys.data.from_records`.
        query: what to read from the database.

    Raises:
        DataError: the data is empty or malformed; the message names the line or row.
        UsageError: an argument is wrong, or there is no such file.
        MissingDependencyError: a database's driver is not installed.
    """
    if id_type not in ("str", "int"):
        raise UsageError(f"id_type must be 'str' or 'int'. Got {id_type!r} instead")
    if format is not None and format not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}. Got {format!r} instead")
    if columns is not None and header:
        raise UsageError("columns describes a file without a header. Name a header's columns by user=, item=, ...")
    is_url = isinstance(path, str) and "://" in path
    if is_url or query is not None:
        if not is_url or query is None:
            raise UsageError("a database needs both: its URL as path, and query=, what to read from it")
        if id_type != "str" or (format, columns, header) != (None, None, None):
            raise UsageError(
                "format=, columns=, header= and id_type= describe files. Name and cast columns in the query"
            )
        return from_sql(str(path), query, user=user, item=item, rating=rating, time=time, duplicates=duplicates)
    path = _file(Path(path))
    named = {role: name for role, name in zip(ROLES, (user, item, rating, time)) if name is not None}
    ids = partial(_ids, id_type=id_type, path=path)
    if format == "parquet" or (format is None and is_parquet(path)):
        if columns is not None or header is not None:
            raise UsageError("columns= and header= describe text. Name a Parquet file's columns by user=, item=, ...")
        chunks = parquet_chunks(path, named)
        return gather(chunks, duplicates=duplicates, source=path.name, whole=str(path), ids=ids)
    if path.is_dir():
        raise UsageError(f"a folder is read as Parquet alone. {path} holds no file that format {format!r} would take")
    return _read_text(path, format, columns, header, named=named, duplicates=duplicates, ids=ids)


def _read_text(
    path: Path,
    format: str | None,
    columns: Sequence[str] | None,
    header: bool | None,
    *,
    named: dict[str, str],
    duplicates: Duplicates,
    ids: Callable[[IdTable], list[Id]],
) -> Interactions:
    check_duplicates(duplicates)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = FORMATS[format] if format is not None else find_delimiter(file, path)
            rows = read_rows(file, delimiter, path)
            first = next(rows, None)
            if first is None:
                raise DataError(f"{path} must hold one interaction a line. It is empty")
            layout = find_layout(first[1], path, columns, False if columns else header, named)
            if path.stat().st_size >= _FAST_FROM:
                try:
                    blocks = block_chunks(path, layout, delimiter)
                    return gather(blocks, duplicates=duplicates, source=path.name, whole=str(path), ids=ids)
                except Doubt:
                    pass  # row by row, slower: it takes more, and names the line of what it does not take
            rest = rows if layout.header else chain(first, rows)
            second = next(rest, None)
            if second is None:
                raise DataError(f"{path} must hold one interaction a line. It has a header and nothing else")
            chunks = row_chunks(chain(second, rest), layout, path)
            return gather(chunks, duplicates=duplicates, source=path.name, whole=str(path), ids=ids)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be UTF-8 text. {error}. Convert it with iconv, say") from error


def read_titles(path: str | Path) -> dict[str, str]:
    """Titles of items by the text of their id, from a file with a column of each.

    The delimiter is found as in :func:`load_interactions`; the columns by the header, else they are the first two.
    Bytes that are not UTF-8 are shown as a replacement mark, for titles are only looked at.

    Raises:
        DataError: the file is malformed.
        UsageError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"the titles must be an existing file. Nothing stands at {path}")
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = read_rows(file, find_delimiter(file, path), path)
        first = next(rows, (1, []))
        item, title = find_column(first[1], ROLES["item"] + " id"), find_column(first[1], "title name itemname")
        if item is None or title is None:
            item, title, rows = 0, 1, chain(first, rows)
        titles = {}
        for line, row in rows:
            if len(row) <= max(item, title):
                raise DataError(f"{path}, line {line}: expected an item id and a title. Got {row}")
            titles[row[item]] = row[title]
    return titles


def _ids(table: IdTable, *, id_type: IdType, path: Path) -> list[Id]:
    """The ids of a table in the type that was asked for."""
    ids, what, kinds = table.take(), table.what, table.kinds
    if id_type == "str" or kinds != {str}:
        return ids
    bad = next((text for text in ids if not re.fullmatch(r"[+-]?\d+", str(text))), None)
    if bad is not None:
        raise DataError(f"{path}: with id_type 'int' every {what} id must be a whole number. Got {bad!r} instead")
    numbers: list[Id] = [int(text) for text in ids]
    if len(set(numbers)) < len(numbers):
        raise DataError(f"{path}: two {what} ids are the same number ('7' and '07', say). Keep id_type 'str'")
    return numbers


def _file(path: Path) -> Path:
    if path.is_dir():
        held = [name for name in _IN_FOLDERS if (path / name).is_file()]
        if not held and parquet_files(path):
            return path
        if len(held) != 1:
            raise DataError(
                f"{path} must hold one of {', '.join(_IN_FOLDERS)}. It holds {held or 'none'}: name the file "
                "(Parquet files are taken too)"
            )
        return path / held[0]
    if not path.is_file():
        raise UsageError(f"the ratings must be an existing file or folder. Nothing stands at {path}")
    return path
