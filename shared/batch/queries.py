"""The rows of a database's query as the input of a job.

The query is asked in pages: each takes up behind the last id of the one before, in a short transaction of its own, so a
job of hours holds no cursor open and keeps no writer waiting. That needs an id that is unique and never null; an index
on it (a primary key has one) keeps a page as quick as the first.

At the beginning all rows are read once: each page's digest is kept, and all of them together are the input's
fingerprint. When a page is read for the predictor its digest must be the same, so a table that changes meanwhile is
refused before a changed row is predicted. Pages that are done are not read a second time.
"""

from __future__ import annotations

import datetime
import decimal
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shared.batch.rows import Row, Skip, Source, choose_column, none_skipped
from shared.batch.tables import as_text
from shared.databases import discreet, open_engine, place, without_secrets
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.tasks import InputKind
from shared.types import Failure

PAGE = 5_000
"""Rows that are held at once."""


@dataclass(frozen=True)
class _Page:
    """What is kept of a page: the last id of the one before, the number of its rows, and their digest."""

    after: Any
    rows: int
    digest: bytes


class _Query:
    """A query on an engine, asked in pages ordered by its id."""

    def __init__(self, engine: Any, sql: str, column: str | None, id_column: str, kind: InputKind) -> None:
        self._engine, self._alchemy = engine, require("sqlalchemy", extra="sql")
        plain = sql.strip().rstrip(";").replace(":", "\\:")  # a colon in it is a colon, never a parameter of ours
        self._text = self._alchemy.text(plain)
        names = self._names()
        self.column = choose_column(column, kind, names, "the query")
        for name in (self.column, id_column):
            if names.count(name) != 1:
                how = "twice" if name in names else "not at all"
                raise UsageError(f"the query must give the column {name!r} once. It gives it {how}. Columns: {names}")
        fields = [self._alchemy.column(name) for name in dict.fromkeys((id_column, self.column))]
        self._asked = self._text.columns(*fields).subquery("asked")
        self._id, self._item = self._asked.c[id_column], self._asked.c[self.column]

    def _names(self) -> list[str]:
        asked = self._text.columns().subquery("asked")
        everything = self._alchemy.select(self._alchemy.text("*")).select_from(asked).limit(0)
        with self._connected() as connection:
            return list(connection.execute(everything).keys())

    def total(self) -> int:
        """Number of its rows, once it is sure that their ids tell them apart in the database's own eyes.

        Raises:
            DataError: an id is null or comes twice.
        """
        count = self._alchemy.func.count
        asked = self._alchemy.select(count(), count(self._id), count(self._id.distinct())).select_from(self._asked)
        with self._connected() as connection:
            rows, with_id, different = (int(number) for number in connection.execute(asked).one())
        if not rows == with_id == different:
            raise DataError(
                f"the id column {self._id.name!r} must tell every row from every other. The query gives {rows:,} rows, "
                f"{rows - with_id:,} without an id and {different:,} different ids: name a unique column"
            )
        return rows

    def page(self, after: Any) -> list[tuple[Any, Any]]:
        """Id and item of the rows behind an id, at most :data:`PAGE`; ``None`` begins."""
        wanted = self._alchemy.select(self._id, self._item).order_by(self._id).limit(PAGE)
        if after is not None:
            wanted = wanted.where(self._id > self._alchemy.literal(after))
        with self._connected() as connection:
            return [(key, item) for key, item in connection.execute(wanted)]

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except self._alchemy.exc.SQLAlchemyError as error:
            words = discreet(str(error), self._engine.url)
            raise DataError(f"{place(self._engine.url)} must answer the query. It refuses: {words}") from None


def query_source(url: Any, sql: str, kind: InputKind, *, column: str | None, id_column: str | None) -> Source:
    """Ask, count and fingerprint a query.

    Args:
        url: a SQLAlchemy URL. Its password is kept nowhere.
        sql: a ``SELECT``.
        kind: what the task takes.
        column: the column with the items; ``None`` takes the first of :data:`~shared.batch.rows.COLUMNS`.
        id_column: the column that orders the rows, unique and never null.

    Raises:
        UsageError: the URL is none, there is no id column, or a column is not given by the query.
        DataError: the database refuses, or an id is null or comes twice.
        MissingDependencyError: SQLAlchemy or the database's driver is not installed.
    """
    if id_column is None:
        raise UsageError(
            "a query needs a column that orders its rows, so that a continued job finds them again: name one that is "
            "unique by --id-column"
        )
    engine, _ = open_engine(url)
    file = engine.url.database
    if engine.dialect.name == "sqlite" and not (file and os.path.isfile(file)):  # opening it would make an empty one
        raise UsageError(f"the database must be an existing file. Nothing stands at {file or 'no name'}")
    try:
        query = _Query(engine, sql, column, id_column, kind)
        total = query.total()
        pages = list(_pages(query))
    finally:
        engine.dispose()
    found = sum(page.rows for page in pages)
    if found != total:
        raise DataError(
            f"what a query gives must not change while a job reads it. It gave {total:,} rows, then {found:,}: run it "
            "again when nobody writes there"
        )
    digest = hashlib.sha256(b"".join(page.digest for page in pages)).hexdigest()
    facts = {
        "input": without_secrets(engine.url),
        "rows": total,
        "digest": digest,
        "column": query.column,
        "id_column": id_column,
    }

    def rows(skip: Skip = none_skipped) -> Iterator[Row]:
        index = 0
        try:
            for page in pages:
                if all(skip(number) for number in range(index, index + page.rows)):
                    yield from (Row(number, "", None) for number in range(index, index + page.rows))
                else:
                    found = query.page(page.after)
                    if (len(found), _digest(found)) != (page.rows, page.digest):
                        raise DataError(
                            f"what a query gives must not change while a job reads it. The rows behind {page.after!r} "
                            "did: run again with another OUT"
                        )
                    yield from (_row(number, key, item) for number, (key, item) in enumerate(found, index))
                index += page.rows
        finally:
            engine.dispose()

    return Source(total, facts, (), rows)


def _pages(query: _Query) -> Iterator[_Page]:
    after: Any = None
    while found := query.page(after):
        yield _Page(after, len(found), _digest(found))
        after = found[-1][0]


def _digest(rows: list[tuple[Any, Any]]) -> bytes:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return digest.digest()


def _row(index: int, key: Any, item: Any) -> Row:
    text = _text(key)
    if item is None:
        return Row(index, "", None, text, Failure(0, "empty", f"the row {text} must have a value. It has none"))
    if isinstance(item, memoryview | bytearray):
        item = bytes(item)
    return Row(index, _text(item), item, text)


def _text(value: Any) -> str:
    if isinstance(value, uuid.UUID | decimal.Decimal | datetime.date | datetime.time):
        return str(value)
    return as_text(bytes(value) if isinstance(value, memoryview | bytearray) else value)
