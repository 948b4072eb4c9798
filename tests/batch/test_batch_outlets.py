"""CSV shards, tables of a database and drawings: every row once, whatever ends the job in between."""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_toy import COLOURS, SHOUTS
from PIL import Image

from shared.batch import Items, Report, read, run
from shared.batch.flat import NAMES, flat
from shared.batch.folder import JobFolder
from shared.batch.records import Record, record
from shared.batch.rows import Row
from shared.errors import DataError, PlanMismatchError, UsageError
from shared.types import Failure

pytest.importorskip("sqlalchemy", reason="needs the extra sql")


def texts(path: Path, count: int = 50) -> Path:
    path.write_text("key,text\n" + "".join(f"k{i},{'bad' if i % 10 == 3 else f't{i}'}\n" for i in range(count)))
    return path


def go(source: Any, out: Path, **options: Any) -> Report:
    return run(options.pop("task", SHOUTS), source, out, **({"progress": False} | options))


def table(path: Path, statement: str = 'SELECT "index", input, id, ok, text FROM found ORDER BY "index"') -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


# CSV


def test_csv_shards_are_rfc_4180(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_bytes('text\n"a, ""b"""\n"two\nlines"\n=1+1\nbad\nä\n'.encode())
    assert go(source, tmp_path / "out", sink="csv").failed == 1
    data = (tmp_path / "out" / "part-00000.csv").read_bytes()
    lines = data.split(b"\r\n")
    assert lines[0].decode() == "index,input,id,ok,label,score,count,text,result,error_kind,error_message"
    wanted = '0,"a, ""b""",,true,,,,"A, ""B""!","{""type"": ""Shout"", ""text"": ""A, \\""B\\""!""}",,'
    assert lines[1].decode() == wanted
    assert lines[4].decode() == "3,bad,,false,,,,,,empty,a text must not be bad"
    assert lines[-1] == b""
    rows = list(csv.DictReader(data.decode().splitlines(keepends=True)))
    assert [row["text"] for row in rows] == ['A, "B"!', "TWO\nLINES!", "=1+1!", "", "Ä!"]
    assert [o.input for o in read(tmp_path / "out")] == ['a, "b"', "two\nlines", "=1+1", "bad", "ä"]
    assert [o.result for o in read(tmp_path / "out")][3] == Failure(3, "empty", "a text must not be bad")


RESULTS: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    ({"type": "Classification", "labels": ["cat", "dog"], "scores": [0.9, 0.1]}, ("cat", 0.9, None, None)),
    ({"type": "Detections", "labels": ["car"], "xyxy": [[0, 0, 1, 1]], "scores": [0.5]}, ("car", 0.5, 1, None)),
    ({"type": "Detections", "labels": [], "xyxy": [], "scores": []}, (None, None, 0, None)),
    ({"type": "Faces", "xyxy": [[0, 0, 1, 1]] * 2, "scores": [0.8, 0.7]}, (None, 0.8, 2, None)),
    (
        {"type": "Entities", "entities": [{"text": "Ada", "label": "PER", "score": 0.9}]},
        ("PER", 0.9, 1, "Ada"),
    ),
    ({"type": "Translation", "text": "Hallo", "score": -0.1, "sentences": []}, (None, -0.1, None, "Hallo")),
    ({"type": "Answers", "answers": [{"text": "42", "score": 0.7}], "no_answer": 0.3}, (None, 0.7, 1, "42")),
    ({"type": "Answers", "answers": [], "no_answer": 0.9}, (None, None, 0, None)),
    ({"type": "Recommendations", "items": [7, 8], "scores": [2.5, 1]}, ("7", 2.5, 2, None)),
    ({"type": "Shout", "text": "lone \udce9"}, (None, None, None, "lone \\udce9")),
    ({"type": "Colour", "rgb": [1, 2, 3]}, (None, None, None, None)),
]


@pytest.mark.parametrize(("result", "expected"), RESULTS, ids=lambda value: str(value)[:40])
def test_flat_columns(result: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = flat(Record(0, "a", None, json.dumps(result)))
    assert tuple(found[name] for name in ("label", "score", "count", "text")) == expected
    assert tuple(found) == NAMES


# A table


def where(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {"sink": "sql", "sink_url": f"sqlite:///{tmp_path}/found.db", "table": "found"} | more


def test_rows_go_to_a_table_and_receipts_to_the_folder(tmp_path: Path) -> None:
    report = go(texts(tmp_path / "t.csv"), tmp_path / "out", id_column="key", **where(tmp_path))
    assert (report.rows, report.failed, report.shards, report.complete) == (50, 5, 7, True)
    assert table(tmp_path / "found.db") == [
        (i, "bad", f"k{i}", 0, None) if i % 10 == 3 else (i, f"t{i}", f"k{i}", 1, f"T{i}!") for i in range(50)
    ]
    job = table(tmp_path / "found.db", "SELECT DISTINCT job FROM found")[0][0]
    receipt = json.loads((tmp_path / "out" / "part-00001.receipt.json").read_text())
    assert receipt == {
        "job": job,
        "database": f"sqlite {tmp_path}/found.db",
        "table": "found",
        "start": 8,
        "rows": 8,
    }
    with pytest.raises(UsageError, match="the rows of this job stand in the table found of sqlite .*: read them there"):
        list(read(tmp_path / "out"))
    assert go(tmp_path / "t.csv", tmp_path / "out", id_column="key", **where(tmp_path)).resumed == 50


def test_two_jobs_share_a_table(tmp_path: Path) -> None:
    for name in ("one", "two"):
        go(texts(tmp_path / "t.csv", 10), tmp_path / name, **where(tmp_path))
    assert len(table(tmp_path / "found.db")) == 20
    assert table(tmp_path / "found.db", "SELECT count(DISTINCT job) FROM found") == [(2,)]


def test_a_kill_between_commit_and_marker_repeats_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, genuine = texts(tmp_path / "t.csv"), JobFolder.adopt

    def stop_at_the_third(self: JobFolder, shard: Any, *rest: Any) -> Any:
        if shard.number == 2:
            raise KeyboardInterrupt
        return genuine(self, shard, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(JobFolder, "adopt", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            go(source, tmp_path / "out", **where(tmp_path))
    committed = len(table(tmp_path / "found.db"))
    assert committed >= 24
    assert len(list((tmp_path / "out").glob("part-*"))) == 2
    report = go(source, tmp_path / "out", **where(tmp_path))
    assert (report.resumed, report.predicted, report.failed) == (committed, 50 - committed, 5)
    assert [row[0] for row in table(tmp_path / "found.db")] == list(range(50))


def test_what_the_database_lost_is_done_again(tmp_path: Path) -> None:
    source = texts(tmp_path / "t.csv")
    go(source, tmp_path / "out", **where(tmp_path))
    with sqlite3.connect(tmp_path / "found.db") as connection:
        connection.execute('DELETE FROM found WHERE "index" BETWEEN 16 AND 23')
        connection.execute("DELETE FROM found_shards WHERE start = 16")
    connection.close()
    report = go(source, tmp_path / "out", **where(tmp_path))
    assert (report.resumed, report.predicted) == (42, 8)
    assert [row[0] for row in table(tmp_path / "found.db")] == list(range(50))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sink": "sql"}, "sink sql needs a place for its rows"),
        ({"sink": "sql", "sink_url": "sqlite:///x.db"}, "sink sql needs a place for its rows"),
        ({"sink": "sql", "table": "t"}, "sink sql needs a place for its rows"),
        ({"sink_url": "sqlite:///x.db", "table": "t"}, "sink sql needs a place for its rows"),
        ({"table": "t"}, "sink sql needs a place for its rows"),
        ({"sink": "sql", "sink_url": "sqlite:///x.db", "table": "t; DROP"}, "table must be a name of letters"),
        ({"sink": "sql", "sink_url": "sqlite://", "table": "t"}, "must be a database that outlives the job"),
        ({"sink": "sql", "sink_url": "no url s3cret", "table": "t"}, "url must be a SQLAlchemy URL"),
        ({"annotated": "drawn"}, "annotated must be left out: test.shouts has nothing to draw"),
        ({"annotated": "out/drawn", "task": COLOURS}, "annotated must lie outside of the job's folder"),
        ({"annotated": "in/drawn", "task": COLOURS}, "annotated must lie outside of the input folder"),
    ],
)
def test_outlets_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    with pytest.raises(UsageError, match=message) as caught:
        go("in", Path("out"), **options)
    assert "s3cret" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "other"}, r"option table \(was 'found', now 'other'\)"),
        ({"sink_url": "sqlite:///other.db"}, "option sink_url"),
        ({"sink": "csv", "sink_url": None, "table": None}, r"sink \(was 'sql', now 'csv'\)"),
    ],
)
def test_another_table_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    source = texts(tmp_path / "t.csv", 10)
    go(source, tmp_path / "out", **where(tmp_path))
    with pytest.raises(PlanMismatchError, match=message):
        go(source, tmp_path / "out", **where(tmp_path, **change))


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "found.db") as connection:
        connection.execute("CREATE TABLE found (job TEXT, text TEXT)")
    connection.close()
    with pytest.raises(DataError, match="the table found must have the columns of a batch job. It lacks index, input"):
        go(texts(tmp_path / "t.csv", 10), tmp_path / "out", **where(tmp_path))


def test_a_lost_note_is_said(tmp_path: Path) -> None:
    source = texts(tmp_path / "t.csv", 10)
    go(source, tmp_path / "out", **where(tmp_path))
    (tmp_path / "out" / "_job" / "table.json").unlink()
    with pytest.raises(DataError, match="table.json must be there to continue this job. It is gone"):
        go(source, tmp_path / "out", **where(tmp_path))


def test_postgresql_takes_what_it_is_given(postgres: str, tmp_path: Path) -> None:
    alchemy = pytest.importorskip("sqlalchemy")
    url = alchemy.make_url(postgres).set(password="s3cr&t").render_as_string(hide_password=False)
    lines = [json.dumps({"text": text}) for text in ("plain", "zero \0 byte", "ä 日本", "lone \udce9", "bad")]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    report = go(tmp_path / "t.jsonl", tmp_path / "out", sink="sql", sink_url=url, table="found")
    assert (report.rows, report.failed) == (5, 1)
    engine = alchemy.create_engine(postgres)
    with engine.connect() as connection:
        found = connection.execute(alchemy.text('SELECT text FROM found ORDER BY "index"')).scalars().all()
        connection.execute(alchemy.text("DROP TABLE found, found_shards"))
        connection.commit()
    engine.dispose()
    assert found == ["PLAIN!", "ZERO \\x00 BYTE!", "Ä 日本!", "LONE \\udce9!", None]
    written = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json"))
    assert "s3cr" not in written
    assert "postgresql://me@/postgres" in written


def test_a_database_that_does_not_answer_keeps_the_password_to_itself(tmp_path: Path) -> None:
    url = "postgresql://me:s3cr%26t@127.0.0.1:1/x"
    with pytest.raises(DataError, match="postgresql 127.0.0.1/x must take the rows of the job. It refuses") as caught:
        go(texts(tmp_path / "t.csv", 10), tmp_path / "out", sink="sql", sink_url=url, table="found")
    assert not [form for form in ("s3cr&t", "s3cr%26t") if form in str(caught.value)]


# Drawings


def pictures(folder: Path, count: int = 20) -> Path:
    folder.mkdir()
    for n in range(count):
        Image.new("RGB", (8, 8), (n, 0, 0)).save(folder / f"p{n:02d}.png")
    (folder / "p05.png").write_bytes(b"no picture")
    return folder


def drawn(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_each_result_is_drawn_once(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in")
    report = go(source, tmp_path / "out", task=COLOURS, annotated=tmp_path / "drawn")
    assert (report.rows, report.failed) == (20, 1)
    names = [f"{n:08d}-p{n:02d}.png" for n in range(20) if n != 5]
    assert drawn(tmp_path / "drawn") == names
    assert np.asarray(Image.open(tmp_path / "drawn" / names[7])).mean(axis=(0, 1)).tolist() == [8, 0, 0]
    (tmp_path / "out" / "part-00001.parquet").unlink()
    go(source, tmp_path / "out", task=COLOURS, annotated=tmp_path / "drawn")
    assert drawn(tmp_path / "drawn") == names
    with pytest.raises(PlanMismatchError, match="option annotated"):
        go(source, tmp_path / "out", task=COLOURS)


def test_names_of_drawings_are_unique_and_safe(tmp_path: Path) -> None:
    names = ["a/x.png", "b/x.png", "b/x (1) ä!.png", "b/...png", f"b/{'n' * 200}.png"]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(tmp_path / "in" / name, "PNG")
    listing = tmp_path / "list.csv"
    listing.write_text("path\n" + "".join(f"in/{name}\n" for name in names), "utf-8")
    go(listing, tmp_path / "out", task=COLOURS, annotated=tmp_path / "drawn")
    assert drawn(tmp_path / "drawn") == [
        "00000000-x.png",
        "00000001-x.png",
        "00000002-x_1_ä.png",
        "00000003-png.png",
        f"00000004-{'n' * 80}.png",
    ]


def test_a_picture_that_cannot_be_drawn_is_a_failure(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", 6)
    (source / "p02.png").rename(source / "undrawable.png")
    report = go(source, tmp_path / "out", task=COLOURS, annotated=tmp_path / "drawn")
    assert report.failed == 2
    (outcome,) = (o for o in read(tmp_path / "out") if "undrawable" in o.input)
    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind == "not-found"
    assert outcome.result.message.startswith("its result could not be drawn: a picture must be there")
    assert len(drawn(tmp_path / "drawn")) == 4


# Kills


def all_once(tmp_path: Path, n: int) -> None:
    counted = Counter(row[0] for row in table(tmp_path / "found.db"))
    assert counted == Counter(range(n))


def killed(job: type, tmp_path: Path, kills: int, n: int, seed: int) -> int:
    """A job into a table and drawings, killed at random moments; returns the rows predicted in all runs."""
    source = tmp_path / "in"
    source.mkdir()
    for number in range(n):
        Image.new("RGB", (8, 8), (number % 250, 0, 0)).save(source / f"{number:04d}.png")
    options = [f"--{k.replace('_', '-')}={v}" for k, v in where(tmp_path, annotated=tmp_path / "drawn").items()]
    task = job("test.colours", source, tmp_path / "out", *options, "--pause-ms", "3", "--no-progress")
    for moment in sorted(np.random.default_rng(seed).uniform(0.05, 0.9, kills)):
        task.killed_at(max(int(moment * n), task.predicted() + 3))
    last = task.to_end()
    assert last.returncode == 0, last.stderr
    assert f"{n:,} of {n:,} items done, 0 failed" in last.stdout
    all_once(tmp_path, n)
    assert drawn(tmp_path / "drawn") == [f"{number:08d}-{number:04d}.png" for number in range(n)]
    return int(task.predicted())


def test_kills_repeat_no_row_of_a_table_and_no_drawing(job: type, tmp_path: Path) -> None:
    assert killed(job, tmp_path, kills=2, n=96, seed=3) <= 96 + 2 * 32


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_kills_repeat_no_row_of_a_table_and_no_drawing(job: type, tmp_path: Path, seed: int) -> None:
    assert killed(job, tmp_path, kills=8, n=1000, seed=seed) <= 1000 + 8 * 40


# A disk that is full

LIMITED = """
import resource, sys
from batch_toy import COLOURS, SHOUTS
from shared.batch import run
limit, task, source, out, *more = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
run({"colours": COLOURS, "shouts": SHOUTS}[task], source, out, progress=False, **dict(o.split("=", 1) for o in more))
"""


def limited(limit: int, *arguments: object) -> str:
    """A job that may write no file above so many bytes; what it says on standard error."""
    command = [sys.executable, "-c", LIMITED, str(limit), *map(str, arguments)]
    process = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    return process.stderr


@pytest.mark.parametrize("sink", ["csv", "sql"])
def test_rows_that_find_no_room_are_written_once_there_is_some(tmp_path: Path, sink: str) -> None:
    source, out = tmp_path / "t.txt", tmp_path / "out"
    source.write_text("".join("x" * (200_000 if i == 20 else 10) + "\n" for i in range(40)))
    options = where(tmp_path) if sink == "sql" else {"sink": sink}
    said = limited(100_000, "shouts", source, out, *(f"{k}={v}" for k, v in options.items()))
    assert "DataError: " in said
    assert "What was committed stays: mend this, then run the same command again" in said
    report = go(source, out, **options)
    assert (report.resumed, report.complete) == (16, True)
    if sink == "sql":
        all_once(tmp_path, 40)
    else:
        assert [o.index for o in read(out)] == list(range(40))


def test_drawings_that_find_no_room_are_drawn_once_there_is_some(tmp_path: Path) -> None:
    """A file system of 40 KiB in memory, where one can be mounted."""
    source, room = pictures(tmp_path / "in"), tmp_path / "room"
    room.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "none", room], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(DataError, match="No space left on device. What was committed stays"):
            go(source, tmp_path / "out", task=COLOURS, annotated=room)
        done = len(list((tmp_path / "out").glob("part-*")))
        assert 0 < done < 3
        subprocess.run(["mount", "-o", "remount,size=4m", room], check=True)
        report = go(source, tmp_path / "out", task=COLOURS, annotated=room)
        assert (report.resumed, report.complete) == (8 * done, True)
        assert len(drawn(room)) == 19
    finally:
        subprocess.run(["umount", room], check=True)


# Python values


def test_items_of_a_script(tmp_path: Path) -> None:
    items = Items(["a", "bad", "c"], ids=[1, "two", 3])
    report = go(items, tmp_path / "out")
    assert (report.rows, report.failed) == (3, 1)
    assert [(o.id, o.input) for o in read(tmp_path / "out")] == [("1", "a"), ("two", "bad"), ("3", "c")]
    assert go(Items(("a", "bad", "c"), ids=("1", "two", "3")), tmp_path / "out").resumed == 3
    for other in (Items(["a", "bad", "d"], ids=[1, "two", 3]), Items(["a", "bad", "c"], ids=[1, 2, 3])):
        with pytest.raises(PlanMismatchError, match="inputs: content"):
            go(other, tmp_path / "out")


def test_pictures_of_a_script(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", 2)
    data = (source / "p01.png").read_bytes()
    items = Items([source / "p00.png", str(source / "p01.png"), _Lazy(data)], ids=["a", "b", "c"])
    with pytest.raises(UsageError, match=r"an item must be a string, bytes, .* Got _Lazy instead"):
        go(items, tmp_path / "out", task=COLOURS)
    report = go(Items(items.values[:2], ids=["a", "b"]), tmp_path / "out", task=COLOURS)
    assert report.failed == 0
    (source / "p01.png").write_bytes(data + b"\0")
    with pytest.raises(PlanMismatchError, match="inputs: content"):
        go(Items(items.values[:2], ids=["a", "b"]), tmp_path / "out", task=COLOURS)


class _Lazy:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def read_bytes(self) -> bytes:
        return self.data


@pytest.mark.parametrize(
    ("values", "ids", "message"),
    [
        (iter("ab"), ["1", "2"], "values must be a sequence, as a list is: .* Got str_(ascii_)?iterator"),
        ("ab", ["1", "2"], "values must be a sequence"),
        (["a"], {"1"}, "ids must be a sequence.* Got set"),
        (["a", "b"], ["1"], "each item must have an id. Got 2 items and 1 ids"),
        (["a", "b"], ["1", 1], "each id must stand for one item. 1 comes twice"),
    ],
)
def test_items_that_cannot_be(values: Any, ids: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Items(values, ids=ids)


def test_a_record_of_a_row_without_answer_has_no_flat_values() -> None:
    found = flat(record(Row(3, "x", None), Failure(0, "corrupt", "it must be whole")))
    assert (found["index"], found["ok"], found["error_kind"], found["label"]) == (3, False, "corrupt", None)
