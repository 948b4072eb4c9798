"""What a job writes: one file a shard, of rows with a result or with an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.batch.inputs import Row
from shared.errors import DataError, UnknownNameError
from shared.lazy import require
from shared.types import Failure, Result


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the output; exactly one of ``result`` and ``error_kind`` is there.

    Attributes:
        index: number of the row in the whole input, from 0.
        input: the path, the text or the id.
        id: the value of the id column, where one was named.
        result: the result as JSON text.
        error_kind: a short stable name of the fault.
        error_message: what was expected, what came, what to do.
    """

    index: int
    input: str
    id: str | None
    result: str | None
    error_kind: str | None = None
    error_message: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error_kind is None


def record(row: Row, answer: Result | Failure) -> Record:
    """A row and its answer as a record: plain text that any process can take over."""
    name, key = _plain(row.input), None if row.id is None else _plain(row.id)
    if isinstance(answer, Failure):
        return Record(row.index, name, key, None, answer.kind, _plain(answer.message))
    return Record(row.index, name, key, _plain(json.dumps(answer.to_json(), ensure_ascii=False)))


def _plain(text: str) -> str:
    r"""Text that UTF-8 can hold: a lone surrogate, as in a file name of other bytes, becomes ``\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True)
class Sink:
    """A file format of shards.

    Attributes:
        suffix: what its files end in.
        encode: the records of one shard to the bytes of its file.
        decode: and back.
    """

    suffix: str
    encode: Callable[[Sequence[Record]], bytes]
    decode: Callable[[bytes], list[Record]]


def find_sink(name: str) -> Sink:
    """The sink of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in SINKS:
        raise UnknownNameError("sink", name, SINKS)
    return SINKS[name]


def _to_parquet(records: Sequence[Record]) -> bytes:
    pa, pq = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")
    text = pa.string()
    schema = pa.schema(
        [
            pa.field("index", pa.int64(), nullable=False),
            pa.field("input", text, nullable=False),
            pa.field("id", text),
            pa.field("ok", pa.bool_(), nullable=False),
            pa.field("result", text),
            pa.field("error_kind", text),
            pa.field("error_message", text),
        ]
    )
    columns = {name: [getattr(r, name) for r in records] for name in schema.names}
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=schema), buffer, compression="zstd")
    return bytes(buffer.getvalue())


def _from_parquet(data: bytes) -> list[Record]:
    pa, pq = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")
    # In this thread alone: Arrow's own threads can abort the process if it ends soon after they began (pyarrow 26).
    rows = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False).to_pylist()
    return [Record(**{k: v for k, v in row.items() if k != "ok"}) for row in rows]


def _to_jsonl(records: Sequence[Record]) -> bytes:
    return "".join(map(_line, records)).encode("utf-8")


def _line(item: Record) -> str:
    head: dict[str, Any] = {"index": item.index, "input": item.input}
    if item.id is not None:
        head["id"] = item.id
    head["ok"] = item.ok
    if not item.ok:
        head["error"] = {"kind": item.error_kind, "message": item.error_message}
    line = json.dumps(head, ensure_ascii=False)
    return f"{line}\n" if item.result is None else f'{line[:-1]}, "result": {item.result}}}\n'


def _from_jsonl(data: bytes) -> list[Record]:
    records = []
    for line in data.splitlines():
        row = json.loads(line)
        error = row.get("error")
        if row["ok"] == (error is not None):
            raise DataError(f"row {row['index']} must have either a result or an error")
        result = None if error else json.dumps(row["result"], ensure_ascii=False)
        kind, message = (error["kind"], error["message"]) if error else (None, None)
        records.append(Record(row["index"], row["input"], row.get("id"), result, kind, message))
    return records


SINKS = {"parquet": Sink(".parquet", _to_parquet, _from_parquet), "jsonl": Sink(".jsonl", _to_jsonl, _from_jsonl)}
