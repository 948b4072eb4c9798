"""Ratings files: CSV and its relatives, with the line of every fault."""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

import numpy as np

from recsys.data import Duplicates, Interactions, collect
from recsys.ids import IdType
from shared.errors import DataError, UsageError
from shared.types import Id

FORMATS = {"csv": ",", "tsv": "\t", "dat": "::", "semicolon": ";", "pipe": "|", "space": " "}
"""Formats by name, each with its delimiter."""
_DETECTED = ("::", "\t", ",", ";", "|", " ")
_IN_FOLDERS = ("ratings.csv", "u.data", "ratings.dat", "ratings.tsv")
ROLES = {
    "user": "user userid uid reviewerid customerid memberid visitorid username",
    "item": "item itemid iid movieid artistid bookid productid asin parentasin trackid songid businessid articleid",
    "rating": "rating ratings value score stars weight overall playcount plays count",
    "time": "time timestamp ts unixreviewtime datetime date",
}
"""What the columns of a header may be called (without case, spaces, ``_`` and ``-``), the likeliest first."""
_POSITIONS = {2: ("user", "item"), 3: ("user", "item", "rating"), 4: ("user", "item", "rating", "time")}


@dataclass(frozen=True)
class Layout:
    """Where things stand in a row: positions from 0, and how many fields each row has."""

    user: int
    item: int
    rating: int | None
    time: int | None
    width: int
    header: bool


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
) -> Interactions:
    """Read a ratings file, one interaction a line, UTF-8.

    Delimiter: the first of ``::``, tab, comma, semicolon, ``|`` and space that the first line holds, unless
    ``format`` names it. Header: the first line is one when two of its names are known for a user and an item (see
    :data:`ROLES`), or are named here; other columns are passed over. Without a header the columns are
    user, item, rating, time, as far as they go, unless ``columns`` says otherwise. Spaces around a field and blank
    lines are passed over. A rating that has no column is 1. A time is a whole number of seconds or an ISO 8601 date
    (UTC unless it says otherwise).

    Args:
        path: the file, or a folder that holds one of the usual ratings files (``ratings.csv``, ``u.data``, ...).
        format: a key of :data:`FORMATS`; ``None`` detects.
        columns: what the columns of a file without a header are, for example ``("user", "item", "time")``; ``"-"``
            passes one over.
        header: whether the first line is a header; ``None`` detects.
        user: the header's name of the column of users; likewise ``item``, ``rating``, ``time``.
        item: see ``user``.
        rating: see ``user``.
        time: see ``user``.
        id_type: ``"str"`` keeps ids as they are written; ``"int"`` reads whole numbers.
        duplicates: as in :func:`recsys.data.from_records`.

    Raises:
        DataError: the file is empty or malformed; the message names the line.
        UsageError: an argument is wrong, or there is no such file.
    """
    path = _file(Path(path))
    if format is not None and format not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}. Got {format!r} instead")
    if id_type not in ("str", "int"):
        raise UsageError(f"id_type must be 'str' or 'int'. Got {id_type!r} instead")
    if columns is not None and header:
        raise UsageError("columns describes a file without a header. Name a header's columns by user=, item=, ...")
    named = {role: name for role, name in zip(ROLES, (user, item, rating, time)) if name is not None}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = FORMATS[format] if format is not None else _delimiter(file, path)
            rows = _rows(file, delimiter, path)
            first = next(rows, None)
            if first is None:
                raise DataError(f"{path} must hold one interaction a line. It is empty")
            layout = _layout(first[1], path, columns, False if columns else header, named)
            rest = rows if layout.header else _chain(first, rows)
            return _read(rest, layout, path, id_type=id_type, duplicates=duplicates)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be UTF-8 text. {error}. Convert it with iconv, say") from error


def _read(
    rows: Iterator[tuple[int, list[str]]], layout: Layout, path: Path, *, id_type: IdType, duplicates: Duplicates
) -> Interactions:
    user_codes: dict[str, int] = {}
    item_codes: dict[str, int] = {}
    users, items, values, times = array("i"), array("i"), array("d"), array("q")
    for line, row in rows:
        if len(row) != layout.width:
            raise DataError(f"{path}, line {line}: expected {layout.width} fields. Got {len(row)}: {row}")
        user, item = row[layout.user], row[layout.item]
        if not user or not item:
            raise DataError(f"{path}, line {line}: a user and an item must not be empty. Got {row}")
        users.append(user_codes.setdefault(user, len(user_codes)))
        items.append(item_codes.setdefault(item, len(item_codes)))
        if layout.rating is not None:
            values.append(_number(row[layout.rating], path, line))
        if layout.time is not None:
            times.append(_seconds(row[layout.time], path, line))
    if not users:
        raise DataError(f"{path} must hold one interaction a line. It has a header and nothing else")
    return collect(
        np.frombuffer(users, dtype=np.int32),
        np.frombuffer(items, dtype=np.int32),
        np.frombuffer(values, dtype=np.float64) if layout.rating is not None else np.ones(len(users)),
        np.frombuffer(times, dtype=np.int64) if layout.time is not None else None,
        user_ids=_ids(user_codes, id_type, "user", path),
        item_ids=_ids(item_codes, id_type, "item", path),
        duplicates=duplicates,
        source=path.name,
    )


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
        rows = _rows(file, _delimiter(file, path), path)
        first = next(rows, (1, []))
        item, title = find_column(first[1], ROLES["item"] + " id"), find_column(first[1], "title name itemname")
        if item is None or title is None:
            item, title, rows = 0, 1, _chain(first, rows)
        titles = {}
        for line, row in rows:
            if len(row) <= max(item, title):
                raise DataError(f"{path}, line {line}: expected an item id and a title. Got {row}")
            titles[row[item]] = row[title]
    return titles


def find_column(names: Sequence[str], wanted: str) -> int | None:
    """The position of the likeliest of the space-separated ``wanted`` names among ``names``, or ``None``."""
    plain = [re.sub(r"[\s_-]", "", name).lower() for name in names]
    return next((plain.index(name) for name in wanted.split() if name in plain), None)


def _layout(
    first: list[str], path: Path, columns: Sequence[str] | None, header: bool | None, named: dict[str, str]
) -> Layout:
    found = {role: find_column(first, known) for role, known in ROLES.items()}
    for role, name in named.items():
        if name not in first:
            raise DataError(f"{path}: the header must have a column {name!r} ({role}). It has: {first}")
        found[role] = first.index(name)
    if header or (header is None and (named or (found["user"] is not None and found["item"] is not None))):
        header = True
        missing = [role for role in ("user", "item") if found[role] is None]
        if missing:
            raise DataError(
                f"{path}: the header must name columns of users and items. Missing: {', '.join(missing)}. "
                f"It has: {first}. Say which they are by {' and '.join(f'--{role}' for role in missing)}"
            )
    else:
        looks_like_names = any(place is not None for place in found.values()) or not re.search(r"\d", "".join(first))
        if header is None and looks_like_names:
            raise DataError(
                f"{path}, line 1: {first} may be a header or an interaction. "
                "Name its columns by --user and --item if it is a header, else say --columns user,item,..."
            )
        header, found = False, _positions(first, path, columns)
    places = [place for place in found.values() if place is not None]
    if len(set(places)) < len(places):
        raise DataError(f"{path}: one column cannot be two things. Got {found} in {first}")
    return Layout(found["user"] or 0, found["item"] or 0, found["rating"], found["time"], len(first), header)


def _positions(first: list[str], path: Path, columns: Sequence[str] | None) -> dict[str, int | None]:
    """The columns of a file without a header: as told, or user, item, rating, time."""
    roles = tuple(columns) if columns is not None else _POSITIONS.get(len(first))
    if roles is None or len(roles) != len(first):
        raise DataError(
            f"{path}, line 1: expected {len(columns) if columns else '2 to 4'} fields. Got {len(first)}: {first}. "
            "Say what they are, for example --columns user,item,-,time"
        )
    unknown = [role for role in roles if role not in (*ROLES, "-")]
    if unknown or "user" not in roles or "item" not in roles:
        raise UsageError(f"columns must be user, item, and perhaps rating, time or '-'. Got {', '.join(roles)} instead")
    return {role: roles.index(role) if role in roles else None for role in ROLES}


def _delimiter(file: IO[str], path: Path) -> str:
    line = next((line for line in file if line.strip()), "")
    file.seek(0)
    found = next((delimiter for delimiter in _DETECTED if delimiter in line.strip()), None)
    if line and found is None:
        raise DataError(f"{path}, line 1: expected fields parted by one of {_DETECTED}. Got {line.strip()[:80]!r}")
    return found or ","


def _rows(file: IO[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
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


def _chain(first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest


def _number(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise DataError(f"{path}, line {line}: a rating must be a finite number. Got {text!r} instead")
    return value


def _seconds(text: str, path: Path, line: int) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
        if value.is_integer():
            return int(value)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    raise DataError(
        f"{path}, line {line}: a time must be a whole number of seconds or an ISO 8601 date. Got {text!r} instead"
    )


def _ids(codes: dict[str, int], id_type: IdType, what: str, path: Path) -> list[Id]:
    if id_type == "str":
        return list(codes)
    bad = next((text for text in codes if not re.fullmatch(r"[+-]?\d+", text)), None)
    if bad is not None:
        raise DataError(f"{path}: with id_type 'int' every {what} id must be a whole number. Got {bad!r} instead")
    numbers = [int(text) for text in codes]
    if len(set(numbers)) < len(numbers):
        raise DataError(f"{path}: two {what} ids are the same number ('7' and '07', say). Keep id_type 'str'")
    return list(numbers)


def _file(path: Path) -> Path:
    if path.is_dir():
        held = [name for name in _IN_FOLDERS if (path / name).is_file()]
        if len(held) != 1:
            raise DataError(
                f"{path} must hold one of {', '.join(_IN_FOLDERS)}. It holds {held or 'none'}: name the file"
            )
        return path / held[0]
    if not path.is_file():
        raise UsageError(f"the ratings must be an existing file or folder. Nothing stands at {path}")
    return path
