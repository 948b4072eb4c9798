"""Shard files: what is written comes back, and other programs can read it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from batch_toy import Shout
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.batch.inputs import Row
from shared.batch.progress import line
from shared.batch.sinks import SINKS, find_sink, record
from shared.errors import UnknownNameError
from shared.types import Failure

ROWS = [
    record(Row(0, "plain", "plain"), Shout("PLAIN")),
    record(Row(1, 'a "quoted", line\u2028 and\nanother', ""), Shout("ÄÖ 日本 \u2028 }")),
    record(Row(2, "with id", "x", id="k-2"), Shout("")),
    record(Row(3, "broken", None), Failure(0, "corrupt", "it must be whole.\nIt is not")),
    record(Row(4, os.fsdecode(b"caf\xe9.jpg"), "x"), Shout("lone \udce9")),
]


@pytest.mark.parametrize("name", SINKS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_round_trip(name: str, count: int) -> None:
    sink = find_sink(name)
    back = sink.decode(sink.encode(ROWS[:count]))
    assert [(r.index, r.input, r.id, r.error_kind, r.error_message) for r in back] == [
        (r.index, r.input, r.id, r.error_kind, r.error_message) for r in ROWS[:count]
    ]
    assert [r.result and json.loads(r.result) for r in back] == [
        r.result and json.loads(r.result) for r in ROWS[:count]
    ]


TEXTS = st.text("ab,;=\"'\r\n\t\0 \u2028\ufeffä日")  # what quoting could go wrong with


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), max_size=4))
def test_any_text_comes_back_from_csv(values: list[tuple[str, str, bool]]) -> None:
    rows = [
        record(Row(n, name, name, id=text or None), Shout(text) if good else Failure(0, "corrupt", text))
        for n, (name, text, good) in enumerate(values)
    ]
    assert find_sink("csv").decode(find_sink("csv").encode(rows)) == rows


def test_a_jsonl_row_is_what_predict_prints() -> None:
    lines = [json.loads(text) for text in SINKS["jsonl"].encode(ROWS).decode().split("\n")[:-1]]
    assert lines[0] == {"index": 0, "input": "plain", "ok": True, "result": {"type": "Shout", "text": "PLAIN"}}
    error = {"kind": "corrupt", "message": "it must be whole.\nIt is not"}
    assert lines[3] == {"index": 3, "input": "broken", "ok": False, "error": error}
    assert lines[2]["id"] == "k-2"
    assert lines[4]["input"] == "caf\\udce9.jpg"


def test_parquet_shards_are_one_table_to_others(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    (tmp_path / "_job").mkdir()
    (tmp_path / "_job" / "job.json").write_text("{}")
    for number, rows in enumerate((ROWS[:2], ROWS[2:])):
        (tmp_path / f"part-{number:05d}.parquet").write_bytes(SINKS["parquet"].encode(rows))
    frame = pandas.read_parquet(tmp_path)
    assert list(frame.columns) == ["index", "input", "id", "ok", "result", "error_kind", "error_message"]
    assert frame["ok"].tolist() == [True, True, True, False, True]
    assert frame["error_kind"].dropna().tolist() == ["corrupt"]


def test_an_unknown_sink() -> None:
    with pytest.raises(UnknownNameError, match="no sink is called 'parquets'. Nearest: parquet"):
        find_sink("parquets")


def test_a_line_of_the_log() -> None:
    assert line(0, 0, 0, 0.0, 0.0) == "0 of 0 (100.0 %), 0 failed, 0.0 items/s, 0:00:00 left"
