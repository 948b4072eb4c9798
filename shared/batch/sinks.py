"""What a job writes: a file a shard, of rows with a result or with an error; a receipt, where they go elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.batch.flat import from_csv, to_csv
from shared.batch.records import Record, record
from shared.errors import DataError, UnknownNameError, UsageError
from shared.lazy import require

__all__ = ["SINKS", "SINK_NAMES", "SQL", "Record", "Sink", "find_sink", "record"]


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
    if name not in SINK_NAMES:
        raise UnknownNameError("sink", name, SINK_NAMES)
    return SINKS.get(name, _RECEIPT)


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


def _no_table(records: Sequence[Record]) -> bytes:
    raise UsageError("rows for a table must be given with the place of the table: sink_url and table")


def _from_receipt(data: bytes) -> list[Record]:
    receipt = json.loads(data)
    raise UsageError(
        f"the rows of this job stand in the table {receipt['table']} of {receipt['database']}, where job is "
        f"{receipt['job']!r}: read them there"
    )


SINKS = {
    "parquet": Sink(".parquet", _to_parquet, _from_parquet),
    "jsonl": Sink(".jsonl", _to_jsonl, _from_jsonl),
    "csv": Sink(".csv", to_csv, from_csv),
}
"""The file formats of shards."""

SQL = "sql"
"""The sink that is a table of a database; what it leaves in the job's folder are receipts."""

_RECEIPT = Sink(".receipt.json", _no_table, _from_receipt)

SINK_NAMES = (*SINKS, SQL)
"""All sinks by name."""
