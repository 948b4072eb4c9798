"""Queries: on SQLite, and on PostgreSQL where one runs or can be run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import recsys
from recsys import sql
from recsys.interactions import Interactions
from shared.databases import discreet
from shared.errors import DataError, MissingDependencyError, UsageError

alchemy = pytest.importorskip("sqlalchemy", reason="needs the extra sql")


def rows(found: Interactions) -> list[tuple[Any, ...]]:
    users, items = found.user_ids.decode(found.users), found.item_ids.decode(found.items)
    times = [] if found.times is None else [found.times.tolist()]
    return list(zip(users, items, found.values.tolist(), *times))


def fill(url: str, records: str) -> None:
    engine = alchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(alchemy.text("CREATE TABLE ratings (who TEXT, item_id INTEGER, stars FLOAT, at TIMESTAMP)"))
        connection.execute(alchemy.text(f"INSERT INTO ratings VALUES {records}"))  # our own constants
    engine.dispose()


RECORDS = "('b', 7, 2.5, '1970-01-01 00:00:30'), ('a', 3, 1, '1970-01-01 00:00:10'), ('b', 7, 4, '1970-01-01 00:00:20')"
KEPT = [("b", 7, 2.5, 30), ("a", 3, 1.0, 10)]
NAMES = {"user": "who", "rating": "stars", "time": "at"}


@pytest.fixture
def shop(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    fill(url, RECORDS)
    return url


def test_a_query_becomes_interactions(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "ROWS", 2)
    assert rows(recsys.from_sql(shop, "SELECT * FROM ratings", **NAMES)) == KEPT
    assert rows(recsys.load_interactions(shop, query="SELECT * FROM ratings", **NAMES)) == KEPT
    query = "SELECT who AS user, item_id AS item FROM ratings WHERE stars > :low"
    found = recsys.from_sql(shop, query, parameters={"low": 2})
    assert rows(found) == [("b", 7, 1.0)]
    assert found.source.startswith("sqlite ")
    engine = alchemy.create_engine(shop)
    assert rows(recsys.from_sql(engine, query, parameters={"low": 0})) == [("a", 3, 1.0), ("b", 7, 1.0)]
    engine.dispose()


def test_options_of_files_are_refused(shop: str) -> None:
    with pytest.raises(UsageError, match=r"describe files. Name and cast columns in the query"):
        recsys.load_interactions(shop, query="SELECT 1", id_type="int")
    with pytest.raises(UsageError, match="a database needs both"):
        recsys.load_interactions(shop)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT who AS user FROM ratings", "the query must have columns of users and items. Missing: item"),
        ("SELECT who AS user, item_id AS item, stars / 0 AS rating FROM ratings", "row 1: a value must be .* Got None"),
        ("SELECT NULL AS user, 1 AS item UNION ALL SELECT 'a', 1", "row 1: a user id must be .* Got NoneType None"),
        ("SELECT 1 AS user, 1 AS item UNION ALL SELECT 'a', 1", "user ids must be all str or all int"),
        ("SELECT 1.5 AS user, 1 AS item", "Got float 1.5"),
        ("SELECT who AS user, item_id AS item FROM ratings WHERE 0", "at least one interaction in sqlite .* Got none"),
        ("SELECT who AS user, item_id AS item FROM nowhere", "sqlite .* refused after row 0: .*no such table"),
        ("SELECT who AS user, who AS user, item_id AS item FROM ratings", "a name of its own"),
        ("DELETE FROM ratings", "the query must give rows"),
    ],
)
def test_malformed_queries_say_so(shop: str, query: str, message: str) -> None:
    engine = alchemy.create_engine(shop)
    with pytest.raises(DataError, match=message):
        recsys.from_sql(engine, query)
    assert engine.pool.checkedout() == 0  # the connection came back
    engine.dispose()
    assert len(recsys.from_sql(shop, "SELECT who AS user, item_id AS item FROM ratings")) == 2  # nothing was committed


@pytest.mark.parametrize("url", ["not a url s3cr&t", "postgresql://me:s3cr&t@host:port/x", "nosuch://me:s3cr&t@h/x", 5])
def test_what_is_no_url_is_not_repeated(url: Any) -> None:
    with pytest.raises((UsageError, MissingDependencyError)) as caught:
        recsys.from_sql(url, "SELECT 1")
    assert "s3cr" not in str(caught.value)
    assert caught.value.__suppress_context__ or "s3cr" not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "url", ["postgresql://me:s3cr%26t@127.0.0.1:1/x", "postgresql://me@127.0.0.1:1/x?password=s3cr%26t"]
)
def test_a_password_stands_in_no_message(url: str) -> None:
    pytest.importorskip("psycopg", reason="needs the extra sql")
    with pytest.raises(DataError, match=r"postgresql .*refused after row 0") as caught:
        recsys.from_sql(url, "SELECT 1 AS user, 2 AS item")
    assert "s3cr" not in str(caught.value)
    assert "s3cr" not in discreet("s3cr&t and s3cr%26t", alchemy.make_url(url))


def test_a_missing_driver_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("psycopg2", "psycopg"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"needs 'psycopg2'.* Run: pip install 'psycopg2-binary'"):
        recsys.from_sql("postgresql+psycopg2://host/x", "SELECT 1")
    with pytest.raises(MissingDependencyError, match=r"needs 'psycopg'.* Run: pip install 'triptych\[sql\]'"):
        recsys.from_sql("postgresql://host/x", "SELECT 1")


def test_postgresql(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "ROWS", 2)
    values = f"(VALUES {RECORDS}) AS t(who, item_id, stars, at)"
    typed = f"SELECT who, item_id, CAST(stars AS FLOAT) AS stars, CAST(at AS TIMESTAMPTZ) AS at FROM {values}"
    utc = alchemy.make_url(postgres).update_query_dict({"options": "-c timezone=UTC"})
    assert rows(recsys.from_sql(utc, typed, **NAMES)) == KEPT
    many = "SELECT i % 7 AS user, i AS item, i::numeric / 2 AS rating FROM generate_series(1, 1001) AS i"
    found = recsys.from_sql(postgres, many)
    assert (len(found), found.values[-1], found.user_ids.ids) == (1001, 500.5, tuple(range(7)))
    kinds = "SELECT '00000000-0000-0000-0000-000000000001'::uuid AS user, '\\x01'::bytea AS item"
    found = recsys.from_sql(postgres, kinds)
    assert (found.user_ids.ids, found.item_ids.ids) == ((UUID(int=1),), (b"\x01",))
    with pytest.raises(DataError, match="row 1: a user id must be .* Got Decimal"):
        recsys.from_sql(postgres, "SELECT 1::numeric AS user, 1 AS item")
    with pytest.raises(DataError, match=r"refused after row 0: .*does not exist"):
        recsys.from_sql(postgres, "SELECT * FROM nowhere")
