"""Queries as inputs: pages in the order of an id, a fingerprint of every row, and no password anywhere."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from batch_toy import COLOURS, NAMES, SHOUTS, Shout

from shared.batch import queries, read, run
from shared.batch.inputs import open_source
from shared.batch.rows import Row
from shared.databases import is_database
from shared.errors import DataError, PlanMismatchError, UsageError
from shared.tasks import Task

alchemy = pytest.importorskip("sqlalchemy", reason="needs the extra sql")
ASK = "SELECT id, text FROM reviews"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "PAGE", 8)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE reviews (id INTEGER PRIMARY KEY, text, stars REAL, code)")
        values = [(3 * n, "bad" if n == 4 else f"t{n}", n / 2, f"c{n:02d}") for n in range(40)]
        connection.executemany("INSERT INTO reviews VALUES (?, ?, ?, ?)", reversed(values))
    connection.close()
    return path


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def rows(path: object, sql: str = ASK, kind: str = "text", **options: Any) -> list[Row]:
    source = open_source(f"sqlite:///{path}", kind, sql=sql, **({"id_column": "id"} | options))
    found = list(source.rows())
    assert [row.index for row in found] == list(range(source.total))
    return found


@pytest.mark.parametrize(
    ("sql", "options", "first", "count"),
    [
        (ASK, {}, ("t0", "0"), 40),
        ("SELECT * FROM reviews;", {}, ("t0", "0"), 40),
        (f"{ASK} WHERE id >= 100", {}, ("t34", "102"), 6),
        (f"{ASK} WHERE text <> ':x' AND text <> '12:30' AND text NOT LIKE '%::%'", {}, ("t0", "0"), 40),
        ("SELECT code AS k, text AS \"a b\" FROM reviews", {"column": "a b", "id_column": "k"}, ("t0", "c00"), 40),
        ("SELECT stars, text FROM reviews", {"id_column": "stars"}, ("t0", "0.0"), 40),
        ("SELECT stars AS id, max(text) AS text FROM reviews GROUP BY stars", {}, ("t0", "0.0"), 40),
        (f"{ASK} WHERE id < 0", {}, None, 0),
    ],
)  # fmt: skip
def test_rows_come_in_the_order_of_their_id(
    shop: Path, sql: str, options: dict[str, str], first: tuple[str, str] | None, count: int
) -> None:
    found = rows(shop, sql, **options)
    assert len(found) == count
    assert first is None or (found[0].item, found[0].id) == first
    assert len({row.id for row in found}) == count


@pytest.mark.parametrize(
    ("sql", "options", "error", "message"),
    [
        (ASK, {"id_column": None}, UsageError, "must.*|a query needs a column that orders its rows"),
        (ASK, {"column": "txt"}, UsageError, "must give the column 'txt' once. It gives it not at all. Columns: ..id"),
        ("SELECT id, stars FROM reviews", {}, UsageError, "the query must have a column text, or name one"),
        ("SELECT id % 7 AS id, text FROM reviews", {}, DataError, "gives 40 rows, 0 without an id and 7 different ids"),
        (
            "SELECT NULLIF(id, 9) AS id, text FROM reviews",
            {},
            DataError,
            "40 rows, 1 without an id and 39 different ids",
        ),
        ("SELECT id, text FROM nowhere", {}, DataError, "shop.db must answer the query. It refuses: .*no such table"),
        ("DELETE FROM reviews RETURNING id, text", {}, DataError, "It refuses"),
    ],
)
def test_queries_that_cannot_be(
    shop: Path, sql: str, options: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"(?s){message}"):
        rows(shop, sql, **options)
    assert len(rows(shop)) == 40


def test_ids_that_the_database_takes_for_one_are_not_lost(shop: Path) -> None:
    change(shop, "CREATE TABLE words (id TEXT COLLATE NOCASE, text)")
    change(shop, "INSERT INTO words VALUES " + ", ".join(f"('{c}', 'x')" for c in "abcdefgGGGhH"))
    with pytest.raises(DataError, match="gives 12 rows, 0 without an id and 8 different ids: name a unique column"):
        rows(shop, "SELECT id, text FROM words")


def test_values_of_every_kind(shop: Path) -> None:
    change(shop, "INSERT INTO reviews VALUES (1, NULL, 0, 0), (2, 5, 0, 0), (4, x'00ff', 0, 0)")
    found = rows(shop, f"{ASK} WHERE id < 5")
    assert [(row.id, row.item, row.fault and row.fault.kind) for row in found] == [
        ("0", "t0", None),
        ("1", None, "empty"),
        ("2", 5, None),
        ("3", "t1", None),
        ("4", b"\x00\xff", None),
    ]
    assert found[4].input == "2 bytes"


def go(shop: Path, out: Path, task: Task = SHOUTS, **options: Any) -> Any:
    return run(task, f"sqlite:///{shop}", out, **({"sql": ASK, "id_column": "id", "progress": False} | options))


def test_a_job_over_a_query_goes_on_without_asking_for_what_is_done(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = go(shop, tmp_path / "out")
    assert (report.rows, report.failed, report.shards) == (40, 1, 5)
    expected = [(str(3 * n), Shout(f"T{n}!") if n != 4 else None) for n in range(40)]
    assert [(o.id, o.result if o.ok else None) for o in read(tmp_path / "out")] == expected
    (tmp_path / "out" / "part-00003.parquet").unlink()
    asked: list[Any] = []
    page = queries._Query.page
    monkeypatch.setattr(queries._Query, "page", lambda self, after: asked.append(after) or page(self, after))
    again = go(shop, tmp_path / "out")
    assert (again.predicted, again.resumed) == (8, 32)
    assert asked == [None, 21, 45, 69, 93, 117, 69]  # all of them once for the fingerprint, then the fourth alone
    assert [(o.id, o.result if o.ok else None) for o in read(tmp_path / "out")] == expected


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE reviews SET text = 'x' WHERE id = 60", "inputs: content"),
        ("DELETE FROM reviews WHERE id = 60", r"inputs: rows \(was 40, now 39\)"),
        ("INSERT INTO reviews VALUES (61, 'x', 0, 0)", r"inputs: rows \(was 40, now 41\)"),
    ],
)
def test_a_changed_table_is_refused(shop: Path, tmp_path: Path, statement: str, message: str) -> None:
    go(shop, tmp_path / "out")
    change(shop, statement)
    with pytest.raises(PlanMismatchError, match=message):
        go(shop, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sql": f"{ASK} WHERE 1"}, "option sql"),
        ({"column": "code", "sql": "SELECT id, code FROM reviews"}, "option sql"),
        ({"id_column": "code", "sql": "SELECT code, text FROM reviews"}, "inputs: id_column"),
    ],
)
def test_another_query_is_refused(shop: Path, tmp_path: Path, options: dict[str, str], message: str) -> None:
    go(shop, tmp_path / "out")
    with pytest.raises(PlanMismatchError, match=message):
        go(shop, tmp_path / "out", **options)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE reviews SET text = 'x' WHERE id = 60",
        "DELETE FROM reviews WHERE id = 60",
        "INSERT INTO reviews VALUES (61, 'x', 0, 0)",
    ],
)  # fmt: skip
def test_a_table_that_changes_meanwhile_is_refused_before_a_changed_row_is_given(shop: Path, statement: str) -> None:
    source = open_source(f"sqlite:///{shop}", "text", sql=ASK, id_column="id")
    change(shop, statement)
    given: list[str | None] = []
    with pytest.raises(DataError, match="The rows behind 45 did: run again with another OUT"):
        given.extend(row.id for row in source.rows())
    assert given == [str(3 * n) for n in range(16)]


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("sqlite:///shop.db", {}, "a database needs a query: --sql"),
        ("postgresql://me:s3cret@host/x", {}, "a database needs a query"),
        ("reviews.csv", {"sql": ASK, "id_column": "id"}, "url must be a SQLAlchemy URL"),
    ],
)
def test_a_database_and_a_query_belong_together(given: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        open_source(given, "text", **options)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.db", ""])
def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="must be an existing file. Nothing stands at no"):
        rows(name)
    assert not list(tmp_path.iterdir())


def test_what_is_the_url_of_a_database() -> None:
    assert all(map(is_database, ("sqlite:///a.db", "postgresql+psycopg://h/x", "mysql+pymysql://h/x")))
    assert not any(map(is_database, ("s3://a/b", "a.db", "https://example.org/postgresql://")))


@pytest.mark.parametrize("place", ["me:s3cr%26t@127.0.0.1:1/x", "me@127.0.0.1:1/x?password=s3cr%26t"])
def test_no_password_comes_into_a_message(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="postgresql 127.0.0.1/x must answer the query. It refuses") as caught:
        open_source(f"postgresql://{place}", "text", sql=ASK, id_column="id")
    words = f"{caught.value} {caught.value.__cause__} {capsys.readouterr()}"
    assert not [form for form in ("s3cr&t", "s3cr%26t", "s3cr") if form in words]


def test_ids_and_pictures_from_a_query(shop: Path, tmp_path: Path) -> None:
    go(shop, tmp_path / "ids", NAMES, sql="SELECT id, code AS user FROM reviews")
    assert next(read(tmp_path / "ids")).result == Shout("C00!")
    report = go(shop, tmp_path / "pictures", COLOURS, sql="SELECT id, 'nowhere.jpg' AS path FROM reviews")
    assert report.failed == 40


def test_postgresql(postgres: str, tmp_path: Path) -> None:
    url = alchemy.make_url(postgres)
    engine = alchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(alchemy.text("DROP TABLE IF EXISTS reviews"))
        connection.execute(alchemy.text("CREATE TABLE reviews (id uuid PRIMARY KEY, text text)"))
        connection.execute(
            alchemy.text("INSERT INTO reviews SELECT md5(i::text)::uuid, 't' || i FROM generate_series(1, 40) AS i")
        )
    engine.dispose()
    secret = url.set(password="s3cr&t").render_as_string(hide_password=False)
    sql = "SELECT id, text::varchar AS text FROM reviews WHERE text <> '12:30' AND text LIKE 't%'"
    out = tmp_path / "out"
    report = run(SHOUTS, secret, out, sql=sql, id_column="id", progress=False)
    assert (report.rows, report.failed) == (40, 0)
    keys = [o.id for o in read(out)]
    assert keys == sorted(set(keys), key=str)
    assert len(keys[0] or "") == 36
    written = (out / "_job" / "job.json").read_text()
    assert "s3cr" not in written
    assert json.loads(written)["plan"]["inputs"]["input"].startswith("postgresql://me@/postgres")
    (out / "part-00001.parquet").unlink()
    assert run(SHOUTS, postgres, out, sql=sql, id_column="id", progress=False).predicted == 8
