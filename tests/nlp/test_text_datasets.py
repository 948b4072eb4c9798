"""Labelled texts from every layout, and what malformed files are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlp.datasets import read_labelled_texts
from shared.errors import DataError, UnknownNameError, UsageError

LONG = "word " * 60_000


@pytest.mark.parametrize(
    ("name", "content", "texts", "labels", "lines"),
    [
        ("a.csv", 'text,label\n"one, two",x\nthree,y\n', ("one, two", "three"), ("x", "y"), (2, 3)),
        ("a.csv", '\ufefflabel,text\n1,"a\nb"\n2,c\n', ("a\nb", "c"), ("1", "2"), (2, 4)),
        ("a.csv", "id,text,label\r\n7,one,x\r\n\r\n8,,y\r\n", ("one", ""), ("x", "y"), (2, 4)),
        ("a.tsv", 'text\tlabel\n"say ""hi"""\tx\n', ('say "hi"',), ("x",), (2,)),
        ("a.csv", f"text,label\n{LONG},x\n", (LONG,), ("x",), (2,)),
        ("a.jsonl", '{"text": "one", "label": 3}\n\n{"label": "y", "text": ""}\n', ("one", ""), ("3", "y"), (1, 3)),
        ("a.ndjson", '{"text": "one", "label": "x", "id": null}', ("one",), ("x",), (1,)),
        ("a.train", "0 one two \n1 three\n", ("one two ", "three"), ("0", "1"), (1, 2)),
        ("a.all", "DESC How far ?\r\n", ("How far ?",), ("DESC",), (1,)),
        ("a.data", '{"text": "one", "label": "x"}', ("one",), ("x",), (1,)),
        ("a.txt", "1 a\x85b\u2028c\n", ("a\x85b\u2028c",), ("1",), (1,)),
    ],
)
def test_layouts(
    tmp_path: Path, name: str, content: str, texts: tuple[str, ...], labels: tuple[str, ...], lines: tuple[int, ...]
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode())
    data = read_labelled_texts(path)
    assert data.texts == texts
    assert data.labels == labels
    assert data.lines == lines


def test_columns_format_and_encoding_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes("content\tstars\ncaf\u00e9\t5\n".encode("latin-1"))
    data = read_labelled_texts(path, format="tsv", text_column="content", label_column="stars", encoding="latin-1")
    assert (data.texts, data.labels) == (("caf\u00e9",), ("5",))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"line 1 must have a column 'text'. Got \[\]"),
        ("a.csv", b"text,label\n", "must hold labelled texts. It holds none"),
        ("a.csv", b"content,label\na,b\n", r"column 'text'. Got \['content', 'label'\].*--text-column"),
        ("a.csv", b"text,label\na,b\nc\n", "line 3 must have 2 fields, as the header has. Got 1"),
        ("a.csv", b'text,label\na,b\n"c" d,e\n', "line 3: .*expected after"),
        ("a.csv", b"text,label\na,\n", "line 2: a label must be a string or a whole number. Got ''"),
        ("a.csv", b"text,label\na,b\nc\xe9,d\n", "line 3: byte 0xe9 is not utf-8. Name .*--encoding latin-1"),
        ("a.jsonl", b'{"text": "a", "label": "x"}\n{"text": \n', "line 2 must be a JSON object. Expecting value"),
        ("a.jsonl", b"[1]\n", r"line 1 must be a JSON object. Got '\[1\]'"),
        ("a.jsonl", b"[" * 100_000, "line 1 must be a JSON object"),
        ("a.jsonl", b'{"text": "a"}\n', r"line 1 must have a column 'label'. Got \['text'\]"),
        ("a.jsonl", b'{"text": 5, "label": "x"}\n', "line 1: a text must be a string. Got 5"),
        ("a.jsonl", b'{"text": "a", "label": true}\n', "line 1: a label must be .* Got True"),
        ("a.jsonl", b'{"text": "a", "label": 1.5}\n', "line 1: a label must be .* Got 1.5"),
        ("a.txt", b"0 one\nlonely\n", "line 2 must be 'label text'. Got 'lonely'"),
    ],
)
def test_malformed_files_name_the_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_labelled_texts(path)


def test_wrong_arguments_say_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,b\n")
    with pytest.raises(UnknownNameError, match="no text data format is called 'cvs'. Nearest: csv"):
        read_labelled_texts(path, format="cvs")
    with pytest.raises(UsageError, match="encoding must be one that Python knows.*Got 'utf-9'"):
        read_labelled_texts(path, encoding="utf-9")
    with pytest.raises(DataError, match="must be a file of labelled texts"):
        read_labelled_texts(tmp_path)
