"""Files of features: tables with a header, Parquet, and the files of MovieLens and goodbooks by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys.columns import Kind
from recsys.features import Features, make_features
from recsys.ids import IdType
from recsys.layout import ROLES, find_column
from recsys.parquet import is_parquet, open_parquet
from recsys.rows import find_delimiter, read_rows
from shared.errors import DataError, UnknownNameError, UsageError

Table = dict[str, list[Any]]
GENRES = (
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
        "Fantasy",
    ),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""The genres of MovieLens 100k, in the order of the last columns of ``u.item``."""
_YEAR = re.compile(r"\((\d{4})\)\s*$")
_DELIMITERS = {"csv": ",", "tsv": "\t", "dat": "::", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True)
class Form:
    """A file that is known by name.

    Attributes:
        what: whose features it holds.
        delimiter: what parts its fields.
        id: the column of ids.
        columns: the names of its columns, where it has no header.
        encoding: of its text.
        kinds: kinds of its columns, and of those that ``mend`` adds.
        mend: from the columns as read to the columns that are wanted.
    gather: from rows of which several have one id to one row an id.
    """

    what: str
    delimiter: str
    id: str
    columns: tuple[str, ...] = ()
    encoding: str = "utf-8-sig"
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    mend: Callable[[Table], Table] = dict
    gather: Callable[[Table], Table] | None = None


def _with_year(table: Table) -> Table:
    years = (_YEAR.search(title) for title in table["title"])
    return {**table, "year": [found.group(1) if found else None for found in years]}


def _u_item(table: Table) -> Table:
    flags = [table.pop(genre) for genre in GENRES]
    genres = [[genre for genre, flag in zip(GENRES, row) if flag == "1"] for row in zip(*flags)]
    dates = table.pop("release date")
    return {**table, "year": [date[-4:] or None for date in dates], "genres": genres}


def _books(table: Table) -> Table:
    return {**table, "authors": [[name.strip() for name in names.split(",")] for names in table["authors"]]}


def _tags(table: Table) -> Table:
    """One row a tag that somebody gave to one row a film, tags without case."""
    tags: dict[Any, list[str]] = {}
    for film, tag in zip(table["movieId"], table["tag"]):
        tags.setdefault(film, []).append(tag.lower())
    return {"movieId": list(tags), "tag": list(tags.values())}


_MOVIE: Mapping[str, Kind] = {"title": "text", "genres": "tags", "year": "number"}
_PERSON: Mapping[str, Kind] = {"gender": "category", "occupation": "category", "zip": "text"}
_BOOK: dict[str, Kind] = dict.fromkeys(
    ("goodreads_book_id", "best_book_id", "work_id", "isbn", "isbn13", "image_url", "small_image_url"), "skip"
)
FORMS = {
    "u.item": Form(
        "item",
        "|",
        "id",
        ("id", "title", "release date", "video date", "url", *GENRES),
        "latin-1",
        {**_MOVIE, "video date": "skip", "url": "skip"},
        _u_item,
    ),
    "u.user": Form(
        "user", "|", "id", ("id", "age", "gender", "occupation", "zip"), "latin-1", {**_PERSON, "age": "number"}
    ),
    "movies.dat": Form("item", "::", "id", ("id", "title", "genres"), "latin-1", _MOVIE, _with_year),
    "users.dat": Form(
        "user", "::", "id", ("id", "gender", "age", "occupation", "zip"), "latin-1", {**_PERSON, "age": "category"}
    ),
    "movies.csv": Form("item", ",", "movieId", kinds=_MOVIE, mend=_with_year),
    "tags.csv": Form("item", ",", "movieId", kinds={"tag": "tags"}, gather=_tags),
    "books.csv": Form(
        "item",
        ",",
        "book_id",
        kinds={**_BOOK, "authors": "tags", "title": "text", "original_title": "text", "language_code": "category"},
        mend=_books,
    ),
}
"""Files that are known by name: MovieLens 100k, 1M and later ones, and goodbooks-10k."""
_MARKS = {
    "movies.csv": {"movieId", "title", "genres"},
    "tags.csv": {"movieId", "tag"},
    "books.csv": {"book_id", "authors", "title"},
}
"""What the header of a file of that name must hold to be taken for the known one."""


def read_features(
    path: Path,
    *,
    format: str | None = None,
    what: str | None = None,
    id: str | None = None,
    kinds: Mapping[str, Kind] | None = None,
    id_type: IdType = "str",
) -> Features:
    """Features of items or users from a file, one id a row.

    A file that is called like one of :data:`FORMS` is read as that one: its title, year, genres as tags, and so on; the
    ages of ``users.dat`` are groups, so they are a category. Other text has a header, and its delimiter is found as in
    :func:`recsys.load_interactions`; Parquet is known by its name or first bytes.

    Args:
        path: the file.
        format: a key of :data:`FORMS`, ``"parquet"``, ``"csv"``, ``"tsv"``, ``"dat"``, ``"semicolon"`` or ``"pipe"``;
            ``None`` detects.
        what: ``"item"`` or ``"user"``; ``None`` tells by the file or by the header.
        id: the header's name of the column of ids; ``None`` finds it.
        kinds: kinds of columns, as in :func:`recsys.features.make_features`.
        id_type: ``"str"`` keeps the ids of text as they are written, ``"int"`` reads numbers; Parquet has its own.

    Raises:
        DataError: the file is malformed; the message names the line.
        UsageError: an argument is wrong, or there is no such file.
    """
    if not path.is_file():
        raise UsageError(f"the features must be an existing file. Nothing stands at {path}")
    if format is not None and format not in (*FORMS, *_DELIMITERS, "parquet"):
        raise UnknownNameError("format of features", format, [*FORMS, *_DELIMITERS, "parquet"])
    if what not in (None, "item", "user") or id_type not in ("str", "int"):
        raise UsageError(f"what must be 'item' or 'user', and id_type 'str' or 'int'. Got {what!r} and {id_type!r}")
    if format == "parquet" or (format is None and is_parquet(path)):
        with open_parquet(path) as file:
            # In this thread alone: Arrow's own threads can abort the process if it ends soon after they began.
            table: Table = file.read(use_threads=False).to_pydict()
        lines = list(range(1, 1 + max(map(len, table.values()), default=0)))
        form = None
    else:
        form = FORMS.get(format or "") or (_known(path) if format is None else None)
        table, lines = _read(path, form, format)
    column, who = _ids(path, table, form, id, what)
    if not lines:
        raise DataError(f"{path} must hold one {who} a row. It has none")
    ids = table[column]
    if id_type == "int":
        table[column] = [_whole(one, path, line, who) for one, line in zip(ids, lines)]
    elif form is not None or isinstance(ids[0], str):
        empty = next((line for one, line in zip(ids, lines) if one == ""), None)
        if empty is not None:
            raise DataError(f"{path}, line {empty}: {who} id must not be empty")
    told = dict(kinds or {})
    if form is not None and form.gather is not None:
        table = form.gather(table)
    ids = table.pop(column)
    if form is not None:
        table = form.mend(table)
        told = {**{name: kind for name, kind in form.kinds.items() if name in table}, **told}
    return make_features(who, ids, table, kinds=told, source=path.name)


def _known(path: Path) -> Form | None:
    form = FORMS.get(path.name)
    if form is None or path.name not in _MARKS:
        return form
    with path.open(encoding=form.encoding, newline="") as file:
        _, first = next(read_rows(file, form.delimiter, path), (1, []))
    return form if set(first) >= _MARKS[path.name] else None


def _read(path: Path, form: Form | None, format: str | None) -> tuple[Table, list[int]]:
    """The columns by name, and the line of each row."""
    try:
        with path.open(encoding=form.encoding if form else "utf-8-sig", newline="") as file:
            told = form.delimiter if form else _DELIMITERS.get(format or "")
            rows = read_rows(file, told or find_delimiter(file, path), path)
            names = list(form.columns) if form and form.columns else next(rows, (1, []))[1]
            if not names or len(set(names)) < len(names):
                raise DataError(f"{path} must begin with a header of different names. Got {names}")
            lines, held = [], []
            for line, row in rows:
                if len(row) != len(names):
                    raise DataError(f"{path}, line {line}: expected {len(names)} fields. Got {len(row)}: {row}")
                lines.append(line)
                held.append(row)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be UTF-8 text. {error}. Convert it with iconv, say") from error
    columns = [list(column) for column in zip(*held)] if held else [[] for _ in names]
    return dict(zip(names, columns)), lines


def _ids(path: Path, table: Table, form: Form | None, id: str | None, what: str | None) -> tuple[str, str]:
    """The column of ids, and whose they are."""
    names = list(table)
    told = id or (form.id if form else None)
    if told is not None and told not in names:
        raise DataError(f"{path} must have a column {told!r} of ids. It has: {names}")
    found = {role: find_column(names, ROLES[role]) for role in ("item", "user")}
    who = what or (form.what if form else None)
    if told is None:
        roles = [role for role in ("item", "user") if found[role] is not None and what in (None, role)]
        plain = find_column(names, "id")
        if len(roles) == 1:
            return names[found[roles[0]] or 0], roles[0]
        if not roles and plain is not None and who is not None:
            return names[plain], who
        raise DataError(f"{path}: say which column holds ids, by id=, and whose they are, by what=. It has: {names}")
    who = who or next((role for role, place in found.items() if place is not None and names[place] == told), None)
    if who is None:
        raise DataError(f"{path}: say whose ids {told!r} holds, by what='item' or what='user'")
    return told, who


def _whole(value: Any, path: Path, line: int, what: str) -> Any:
    if isinstance(value, str):
        if not re.fullmatch(r"[+-]?\d+", value):
            raise DataError(f"{path}, line {line}: with id_type 'int' {what} ids are whole numbers. Got {value!r}")
        return int(value)
    return value
