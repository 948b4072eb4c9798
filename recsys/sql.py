"""Interactions from a database: any SQLAlchemy URL and a query, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recsys.duplicates import Duplicates
from recsys.gathering import Chunk, gather
from recsys.interactions import Interactions
from recsys.layout import ROLES, named_columns
from shared.databases import discreet, open_engine, place
from shared.errors import DataError
from shared.lazy import require

ROWS = 50_000
"""Rows that are fetched at once."""


def from_sql(
    url: Any,
    query: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    duplicates: Duplicates = "last",
) -> Interactions:
    """Interactions from the rows that a query gives.

    The rows are streamed from the server, :data:`ROWS` at a time, and the connection is given back without a commit.
    Columns are found by name as in a file's header. Ids keep the type that the driver gives them: numbers, text, UUIDs,
    bytes, dates; a ``NUMERIC`` is no id, so cast it in the query. Rows have the order of the query: where ties among
    equal times matter, write ``ORDER BY``.

    Args:
        url: a SQLAlchemy URL (``"sqlite:///shop.db"``, ``"postgresql://me:secret@host/shop"``), as text or as
            SQLAlchemy's own object, or an ``Engine``. ``postgresql://`` is spoken by
            psycopg 3. Its password stands in no message.
        query: a ``SELECT``; values from outside belong into ``parameters``, as ``:name`` in the query.
        parameters: values of the query's ``:name``.
        user: the column of users; ``None`` finds it by :data:`recsys.layout.ROLES`. Likewise ``item``, ``rating`` and
            ``time``.
        item: see ``user``.
        rating: see ``user``; without one each row counts as 1.
        time: see ``user``; as in :mod:`recsys.values`.
        duplicates: as in :func:`recsys.from_records`.

    Raises:
        DataError: the database refuses, the query gives no rows, or a row is malformed; the message names it from 1.
        UsageError: the URL is none.
        MissingDependencyError: SQLAlchemy or the database's driver is not installed.
    """
    require("sqlalchemy", extra="sql")
    engine, own = open_engine(url)
    named = {role: name for role, name in zip(ROLES, (user, item, rating, time)) if name is not None}
    source = place(engine.url)
    try:
        chunks = _chunks(engine, query, parameters or {}, named, source)
        return gather(chunks, duplicates=duplicates, source=source, whole=source)
    finally:
        if own:
            engine.dispose()


def _chunks(
    engine: Any, query: str, parameters: Mapping[str, Any], named: Mapping[str, str], source: str
) -> Iterator[Chunk]:
    alchemy = require("sqlalchemy", extra="sql")
    before = 0
    try:
        with engine.connect().execution_options(stream_results=True, yield_per=ROWS) as connection:
            result = connection.execute(alchemy.text(query), dict(parameters))
            if not result.returns_rows:
                raise DataError(f"the query must give rows (SELECT ...). On {source} it gave none at all")
            names = list(result.keys())
            if len(set(names)) < len(names):
                raise DataError(f"the query must give each column a name of its own. Got {names}: rename them by AS")
            columns = named_columns(names, named, "the query")
            places = {role: names.index(name) for role, name in columns.items()}
            for rows in result.partitions():
                yield _chunk(list(zip(*rows)), places, before)
                before += len(rows)
    except alchemy.exc.SQLAlchemyError as error:
        # Neither the chained error nor its own words may show a password: drivers quote what they were given.
        raise DataError(f"{source} refused after row {before}: {discreet(str(error), engine.url)}") from None


def _chunk(columns: Sequence[Sequence[Any]], places: Mapping[str, int], before: int) -> Chunk:
    held = {role: columns[place] for role, place in places.items()}
    return Chunk(held["user"], held["item"], held.get("rating"), held.get("time"), before, "row")
