"""The vectorised reader of text gives what the row reader gives, or doubts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys import blocks, reading
from recsys.blocks import Doubt, block_chunks
from recsys.gathering import gather
from recsys.interactions import Interactions
from recsys.layout import Layout
from shared.errors import DataError

FOUR = Layout(0, 1, 2, 3, 4, False)


def plain(found: Interactions) -> tuple[Any, ...]:
    times = None if found.times is None else found.times.tolist()
    codes = found.users.tolist(), found.items.tolist()
    return found.user_ids.ids, found.item_ids.ids, *codes, found.values.tolist(), times


def fast(path: Path, layout: Layout = FOUR, delimiter: str = ",") -> Interactions:
    return gather(block_chunks(path, layout, delimiter), duplicates="last", source="", whole="")


FIELDS = st.sampled_from(
    [
        "1",
        "7",
        "07",
        " 7",
        "ann",
        "ä",
        "a b",
        '"x"',
        '"x,y"',
        '"a""b"',
        'a"b',
        '"a"b',
        "",
        " ",
        "5.",
        ".5",
        "1e2",
        "+3",
        "-2",
        "nan",
        "inf",
        "1_0",
        "0x10",
        "NA",
        "null",
        "2020-01-01",
        "60.0",
        "881250949",
        "9223372036854775808",
        "1e39",
        "\x1f",
    ]
)
ROWS = st.lists(
    st.tuples(FIELDS, FIELDS, st.sampled_from(["1", "4.5", "3"]) | FIELDS, st.just("5") | FIELDS), max_size=6
)


@pytest.mark.parametrize("delimiter", [",", "::", "\t", " ", ";"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, end=st.sampled_from(["\n", "\r\n", "\r"]), last=st.sampled_from(["", "\n", "\n\n"]))
def test_both_readers_agree(
    delimiter: str, rows: list[tuple[str, ...]], end: str, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.txt"
    path.write_bytes((end.join(delimiter.join(row) for row in rows) + last).encode())
    monkeypatch.setattr(reading, "_FAST_FROM", 1 << 40)
    name = next(name for name, text in reading.FORMATS.items() if text == delimiter)
    columns = ("user", "item", "rating", "time")
    try:
        slow = plain(reading.load_interactions(path, format=name, columns=columns))
    except DataError:
        slow = None
    try:
        quick = plain(fast(path, FOUR, delimiter))
    except Doubt:
        return
    assert quick == slow


@pytest.mark.parametrize("around", [" ", "\x0b", "\x1c", "\x85", "\u00a0", "\u2003"])
def test_whatever_python_strips_is_no_part_of_an_id(tmp_path: Path, around: str) -> None:
    path = tmp_path / "r.txt"
    path.write_text(f"{around}ann{around},7{around},1,5\nann,7,1,6\n", "utf-8")
    found = fast(path)
    assert (found.user_ids.ids, found.item_ids.ids, len(found)) == (("ann",), ("7",), 1)


def rated(count: int) -> list[str]:
    drawn = random.Random(0)
    return [
        f"u{drawn.randrange(50)},{drawn.randrange(80)},{drawn.randrange(1, 11) / 2},{10**9 + at}" for at in range(count)
    ]


@pytest.mark.parametrize("bytes_at_once", [64, 1000, 1 << 24])
@pytest.mark.parametrize(
    ("delimiter", "prefix"), [(",", ""), ("::", ""), ("\t", "\ufeff"), (";", "\ufeff\n \n"), ("|", ""), (" ", "")]
)
def test_plain_files_need_no_second_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delimiter: str, prefix: str, bytes_at_once: int
) -> None:
    monkeypatch.setattr(blocks, "_BYTES", bytes_at_once)
    path = tmp_path / "r.txt"
    lines = ["user,item,rating,time", *rated(200)]
    path.write_text(prefix + "\n".join(lines).replace(",", delimiter))
    quick = fast(path, Layout(0, 1, 2, 3, 4, True), delimiter)
    assert plain(quick) == plain(reading.load_interactions(path))


def test_quoted_fields_are_plain_when_they_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text('"u1","Doe, J.",4,2020-01-01T00:00:01\n"u2","",3,5\n')
    with pytest.raises(Doubt):
        fast(path)
    path.write_text('"u1","Doe, J.",4,1970-01-01T00:00:01\n"u2","y",3,5\n')
    assert plain(fast(path)) == (("u1", "u2"), ("Doe, J.", "y"), [0, 1], [0, 1], [4.0, 3.0], [1, 5])


@pytest.mark.parametrize(
    "text",
    [
        'a,"x\ny",1,2\n',
        'a,"x""y",1,2\n',
        'a,x"y",1,2\n',
        'a,"x" ,1,2\n',
        "a,x,1,2\rb,y,1,2\n",
        "a,x,1\n",
        "a,,1,2\n",
        "\n",
        "a,x,1,0x10\n",
        "a,x,nan,2\n",
        "a,x,1e39,2\n",
        "a,x,1,1e30\n",
        "a,x\x00,1,2\n",
        "a,x,1,2\n , , , \n",
        "",
    ],
)
def test_doubtful_files_are_left_to_the_row_reader(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(text.encode())
    with pytest.raises(Doubt):
        fast(path)


def test_a_fault_in_a_large_file_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_FAST_FROM", 0)
    path = tmp_path / "r.csv"
    path.write_text("user,item,rating,time\n" + "\n".join(rated(30)) + "\nann,x,five,7\n")
    with pytest.raises(DataError, match="line 32: a rating must be a finite number. Got 'five' instead"):
        reading.load_interactions(path)
    path.write_bytes(b"user,item,note\nann,x,\xff\n")
    with pytest.raises(DataError, match="must be UTF-8 text"):
        reading.load_interactions(path)
    path.write_text("user,item\n007,1\n7,2\n")
    assert reading.load_interactions(path).user_ids.ids == ("007", "7")
    with pytest.raises(DataError, match="two user ids are the same number"):
        reading.load_interactions(path, id_type="int")


@pytest.mark.data
@pytest.mark.parametrize("file", ["ml-100k/ml-100k/u.data", "ml-latest-small/ml-latest-small/ratings.csv"])
def test_both_readers_agree_on_real_files(data_root: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = reading.load_interactions(data_root / "recsys" / file)
    monkeypatch.setattr(reading, "_FAST_FROM", 1 << 40)
    assert plain(quick) == plain(reading.load_interactions(data_root / "recsys" / file))
