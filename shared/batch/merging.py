"""A finished job as one file, in the order of its input, in memory that does not grow with the job.

The file depends on the rows alone: not on how the job was cut into shards, which engine ran it, how often it was
killed, or the format of its shards.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

from shared.batch.reader import open_job, read_records
from shared.batch.sinks import SINKS, Record
from shared.errors import DataError, UsageError
from shared.lazy import require

_GROUP_ROWS = 5000
_GROUP_CHARACTERS = 8 << 20
"""A row group of Parquet ends at whichever comes first, so that results as long as masks do not pile up."""


def merge(out: str | Path, file: str | Path, *, partial: bool = False) -> int:
    """Write the rows of a job into one file, whole or not at all, and return how many there are.

    Args:
        out: the job's folder.
        file: what to write; ``.parquet``, ``.jsonl`` or ``.csv`` says the format. One that is there is replaced. In
            CSV a field that is not there is empty, and ``ok`` is ``true`` or ``false``.
        partial: whether a job that is not finished may be merged, as far as its shards are done.

    Raises:
        UsageError: the file has another suffix, or lies in the job's folder, whose files are read as one table.
        DataError: no job stands there, it is not finished, a shard is damaged, or the file cannot be written.

    Example:
        >>> merge("results", "results.parquet")  # doctest: +SKIP
        20000
    """
    path = Path(file)
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(f"the file must end in one of {', '.join(_WRITERS)}. Got {path.name} instead")
    if path.resolve().is_relative_to(Path(out).resolve()):
        raise UsageError(f"the file must lie outside of the job's folder {out}. Got {path} instead")
    layout, plan, markers = open_job(Path(out), partial=partial)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    counted = _Counted(read_records(layout, plan.sink, markers))
    try:
        try:
            with open(temporary, "wb") as target:
                _WRITERS[path.suffix.lower()](counted, target)
                target.flush()
                os.fsync(target.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path} could not be written: {error.strerror}. What stood there before still does") from error
    return counted.rows


class _Counted:
    """Records, counted on their way."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records, self.rows = records, 0

    def __iter__(self) -> Iterator[Record]:
        for record in self._records:
            self.rows += 1
            yield record


def _groups(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Lists of records, bounded in number and in length; one at least, which is empty when nothing is there."""
    group: list[Record] = []
    characters, given = 0, False
    for record in records:
        group.append(record)
        characters += len(record.input) + len(record.result or "") + len(record.error_message or "")
        if len(group) == _GROUP_ROWS or characters >= _GROUP_CHARACTERS:
            yield group
            group, characters, given = [], 0, True
    if group or not given:
        yield group


def _to_parquet(records: Iterable[Record], target: BinaryIO) -> None:
    pa, pq = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")
    writer: Any = None
    for group in _groups(records):
        shard = pa.BufferReader(SINKS["parquet"].encode(group))  # so that the columns are those of a shard
        table = pq.ParquetFile(shard).read(use_threads=False)
        writer = writer or pq.ParquetWriter(target, table.schema, compression="zstd")
        if table.num_rows:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
    writer.close()


def _to_jsonl(records: Iterable[Record], target: BinaryIO) -> None:
    for group in _groups(records):
        target.write(SINKS["jsonl"].encode(group))


def _to_csv(records: Iterable[Record], target: BinaryIO) -> None:
    names = [field.name for field in fields(Record)]
    names.insert(names.index("result"), "ok")
    text = io.TextIOWrapper(target, "utf-8", newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(names)
    for record in records:
        rows.writerow(str(record.ok).lower() if name == "ok" else getattr(record, name) for name in names)
    text.detach()


_WRITERS = {".parquet": _to_parquet, ".jsonl": _to_jsonl, ".csv": _to_csv}
