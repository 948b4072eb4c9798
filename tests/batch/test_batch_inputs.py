"""Inputs of a job: what files a name stands for, and what rows a table holds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.batch.inputs import Row, open_source
from shared.batch.sources import expand
from shared.errors import DataError, UsageError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.PNG", "notes.md", ".hidden.jpg", "sub/c.webp", "sub/.git/d.jpg", "a[1].jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("photos", ["photos/a.PNG", "photos/a[1].jpg", "photos/b.jpg", "photos/sub/c.webp"]),
        ("photos/*.jpg", ["photos/a[1].jpg", "photos/b.jpg"]),
        ("photos/**/*.webp", ["photos/sub/c.webp"]),
        ("photos/a[1].jpg", ["photos/a[1].jpg"]),
        ("photos/notes.md", ["photos/notes.md"]),
        ("missing.jpg", ["missing.jpg"]),
        ("https://example.org/a.jpg?size=2", ["https://example.org/a.jpg?size=2"]),
    ],
)
def test_expand(here: Path, text: str, expected: list[str]) -> None:
    assert list(expand(text)) == expected


def test_expand_of_nothing_is_refused(here: Path) -> None:
    (here / "empty").mkdir()
    with pytest.raises(UsageError, match=r"the folder empty must have files ending in \.avif, .* It has none"):
        list(expand("empty"))
    with pytest.raises(UsageError, match=r"Nothing matches \*\.gif"):
        list(expand("*.gif"))


def rows(path: Path | str, kind: str = "text", **columns: str) -> list[Row]:
    source = open_source(str(path), kind, **columns)
    found = list(source.rows())
    assert source.total == len(found)
    assert [row.index for row in found] == list(range(len(found)))
    return found


TABLES = {
    "t.csv": 'id,text\n1,"a, b"\n\n2,"two\nlines"\n3,\n',
    "bom.csv": '\ufeffid,text\n1,"a, b"\n2,"two\nlines"\n3,""\n',
    "t.tsv": 'id\ttext\n1\ta, b\n2\t"two\nlines"\n3\t\n',
    "t.jsonl": '{"id": 1, "text": "a, b"}\n\n{"id": 2, "text": "two\\nlines"}\n{"id": 3, "text": ""}\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(TABLES[name], "utf-8")
    found = rows(path, id_column="id")
    assert [(r.item, r.id, r.fault) for r in found] == [("a, b", "1", None), ("two\nlines", "2", None), ("", "3", None)]


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    texts = ["a, b", "two\nlines", "", None] * 200
    pq.write_table(pa.table({"id": list(range(800)), "text": texts, "more": [0.5] * 800}), path, row_group_size=300)
    found = rows(path, id_column="id")
    assert [(r.item if r.fault is None else None, r.id) for r in found] == [(t, str(i)) for i, t in enumerate(texts)]
    assert found[3].fault is not None
    assert found[3].fault.kind == "empty"
    assert "row 3 of" in found[3].fault.message


def test_a_plain_list_is_one_item_a_line(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes("\ufefffirst\r\n\n  second  \n".encode() + b"caf\xe9\nlast")
    found = rows(path)
    assert [r.item for r in found if r.fault is None] == ["first", "  second  ", "last"]
    assert [(r.index, r.input, r.fault.kind) for r in found if r.fault] == [(2, "caf\\xe9", "corrupt")]


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("t.jsonl", b'{"text": "a"}\n{"text": \n{"text": "b"}', "corrupt", "line 2 of .* must be one JSON object"),
        ("t.jsonl", b'{"text": "a"}\n[1, 2]\n{"text": "b"}', "corrupt", "Got a list instead"),
        ("t.jsonl", b'{"text": "a"}\n{"t": "a"}\n{"text": "b"}', "empty", "must have a value in column 'text'"),
        ("t.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n{"text": "b"}', "corrupt", "utf-8"),
        ("t.jsonl", b'{"text": "a"}\n' + b"[" * 100_000 + b'\n{"text": "b"}', "corrupt", "recursion"),
        ("t.csv", b"n,text\n1,a\n2,b,c\n3,b\n", "corrupt", "must have at most 2 cells, like the header. Got 3"),
        ("t.csv", b"n,text\n1,a\n2\n3,b\n", "empty", "the row that ends on line 3 .* must have a value"),
        ("t.csv", b"n,text\n1,a\n2,caf\xe9\n3,b\n", "corrupt", "must be UTF-8 text"),
    ],
)
def test_a_bad_row_is_a_fault_between_good_ones(
    tmp_path: Path, name: str, text: bytes, kind: str, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text)
    found = rows(path)
    assert [r.item for r in found if r.fault is None] == ["a", "b"]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        raise ValueError(found[1].fault.message if found[1].fault else "")
    assert found[1].fault is not None
    assert found[1].fault.kind == kind


def test_a_cell_of_ten_megabytes_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"text\n{'x' * 10_000_000}\n")
    assert len(rows(path)[0].item) == 10_000_000


def test_paths_in_a_table_are_relative_to_it(here: Path) -> None:
    table = here / "photos" / "list.csv"
    table.write_text(f'file,label\nb.jpg,x\n{here}/c.jpg,y\nhttps://example.org/d.jpg,z\n" ",w\n')
    found = rows("photos/list.csv", "image")
    assert [r.item for r in found[:3]] == ["photos/b.jpg", f"{here}/c.jpg", "https://example.org/d.jpg"]
    assert [r.input for r in found[:3]] == ["b.jpg", f"{here}/c.jpg", "https://example.org/d.jpg"]
    assert found[3].fault is not None
    assert found[3].fault.kind == "empty"


def test_ids_are_text_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user\n7\n")
    (tmp_path / "b.jsonl").write_text('{"user": 7}\n{"user": ["x", "y"]}\n')
    assert [r.item for r in rows(tmp_path, "id")] == ["7", "7", ["x", "y"]]
    assert [r.input for r in rows(tmp_path, "id")] == ["7", "7", '["x", "y"]']


def test_a_folder_of_tables_is_read_one_after_the_other(tmp_path: Path) -> None:
    for name in ("b.csv", "a.jsonl", "sub/c.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        stem = path.stem
        text = {"csv": f"text\n{stem}1\n{stem}2\n", "jsonl": json.dumps({"text": stem}), "txt": f"{stem}\n"}
        path.write_text(text[path.suffix[1:]])
    assert [r.item for r in rows(tmp_path)] == ["a", "b1", "b2", "c"]
    assert [r.item for r in rows(f"{tmp_path}/*.csv")] == ["b1", "b2"]


@pytest.mark.parametrize(
    ("name", "kind", "columns", "message"),
    [
        ("nowhere.csv", "text", {}, "must be an existing file, folder or glob. Nothing stands at nowhere.csv"),
        ("https://example.org/a.csv", "text", {}, "Nothing stands at https"),
        ("photos", "text", {}, r"must have files ending in \.csv, \.jsonl"),
        ("photos/notes.md", "text", {}, r"must be files ending in \.csv, .* Got photos/notes.md among 1"),
        ("photos/*", "image", {}, None),
        ("*.*", "image", {}, "either tables or images. Got x.jpg among 2"),
        ("photos", "image", {"column": "file"}, "column must be left out unless the input is a table"),
        ("t.csv", "image", {}, r"t.csv must have a column path or image or file, or name one with --column.*: a, b, a"),
        ("t.csv", "text", {"column": "text"}, "must have the column 'text' once. It has it not at all. Columns: a, b"),
        ("t.csv", "text", {"column": "a"}, "must have the column 'a' once. It has it twice"),
        ("t.csv", "text", {"column": "b", "id_column": "key"}, "must have the column 'key' once"),
        ("l.txt", "text", {"id_column": "key"}, "id_column must be left out for a plain list"),
    ],
)
def test_inputs_that_cannot_be(here: Path, name: str, kind: str, columns: dict[str, str], message: str | None) -> None:
    (here / "t.csv").write_text("a,b,a\n1,2,3\n")
    (here / "x.jpg").write_bytes(b"x")
    os.makedirs("lists")
    Path("lists/l.txt").write_text("a\n")
    name = f"lists/{name}" if name == "l.txt" else name
    if message is None:
        assert open_source(name, kind, **columns).total == 4
        return
    with pytest.raises((UsageError, DataError), match=f"(?s){message}"):
        open_source(name, kind, **columns)


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="must be a Parquet file"):
        open_source(str(path), "text")


def test_an_unclosed_quote_names_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import csv

    monkeypatch.setattr("shared.batch.tables._CSV_FIELD", 1000)
    limit = csv.field_size_limit(1000)
    path = tmp_path / "t.csv"
    path.write_text('text\n"' + "x" * 2000 + "\n")
    with pytest.raises(DataError, match=r"line \d+ must be a row of a table. field larger than field limit"):
        open_source(str(path), "text")
    csv.field_size_limit(limit)


def test_the_same_files_are_not_hashed_again_and_changed_ones_are(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("a\nb\n")
    first = open_source(str(path), "text")
    assert open_source(str(path), "text", known=first.parts).parts[0] is first.parts[0]
    os.utime(path, ns=(1, 1))
    touched = open_source(str(path), "text", known=first.parts)
    assert touched.parts[0] is not first.parts[0]
    assert touched.facts == first.facts
    path.write_text("a\nc\n")
    assert open_source(str(path), "text", known=touched.parts).facts["digest"] != first.facts["digest"]


def test_an_input_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("a\n" * 10)
    reading: Iterator[Row] = open_source(str(path), "text").rows()
    next(reading)
    path.write_text("b\n" * 9)
    with pytest.raises(DataError, match="must not change while a job reads it"):
        list(reading)


@pytest.mark.parametrize("change", ["add", "remove", "rename", "touch", "grow"])
def test_a_changed_folder_of_images_has_another_digest(here: Path, change: str) -> None:
    before = open_source("photos", "image").facts["digest"]
    assert open_source("photos", "image").facts["digest"] == before
    target = Path("photos/b.jpg")
    {
        "add": lambda: Path("photos/z.jpg").write_bytes(b"z"),
        "remove": target.unlink,
        "rename": lambda: target.rename("photos/bb.jpg"),
        "touch": lambda: os.utime(target, ns=(1, 1)),
        "grow": lambda: target.write_bytes(b"xx"),
    }[change]()
    assert open_source("photos", "image").facts["digest"] != before


def test_a_file_name_of_other_bytes_is_a_row(here: Path) -> None:
    name = os.fsdecode(b"photos/caf\xe9.jpg")
    Path(name).write_bytes(b"x")
    assert name in [r.item for r in rows("photos", "image")]
