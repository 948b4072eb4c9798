"""Chunks of columns out of a table or the folder of a batch job, never the whole in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from shared.batch.folder import Layout
from shared.batch.sinks import find_sink
from shared.errors import DataError
from shared.lazy import require
from shared.types import AnyArray

Values: TypeAlias = Sequence[Any] | AnyArray
ROWS = 65_536
"""Rows of a chunk."""
JOB_COLUMNS = ("index", "input", "id", "ok", "result", "error")


@dataclass(frozen=True)
class Chunk:
    """Some rows of a table.

    Attributes:
        first: the number of the first row, from 0.
        n: how many rows.
        columns: lists or arrays of ``n`` values by name; what is missing is ``None``.
    """

    first: int
    n: int
    columns: Mapping[str, Values]


@dataclass(frozen=True)
class Source:
    """A table that is read in chunks.

    Attributes:
        name: what errors call it.
        columns: the names of its columns.
        chunks: from the names of wanted columns to the chunks.
    """

    name: str
    columns: tuple[str, ...]
    chunks: Callable[[Sequence[str]], Iterator[Chunk]]


def open_table(path: Path) -> Source:
    """A Parquet, CSV, TSV or JSONL file, or the folder of a batch job.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    if path.is_dir():
        return _job(path)
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None or not path.is_file():
        raise DataError(
            f"{path} must be a file that ends in {', '.join(_OPENERS)}, or the folder of a batch job. "
            f"It is {'a file of another kind' if path.exists() else 'not there'}"
        )
    return opener(path)


def split_path(path: str, columns: Sequence[str], where: str) -> tuple[str, tuple[str, ...]]:
    """The column of a dotted path, and the steps within its values.

    Raises:
        DataError: there is no such column.

    Example:
        >>> split_path("result.labels.0.label", ["id", "result"], "out")
        ('result', ('labels', '0', 'label'))
    """
    parts = path.split(".")
    for at in range(len(parts), 0, -1):
        name = ".".join(parts[:at])
        if name in columns:
            return name, tuple(parts[at:])
    raise DataError(f"{where} must have the column {parts[0]!r}. It has {', '.join(columns)}")


def step_into(values: Values, steps: tuple[str, ...]) -> Values:
    """What stands at a path within each value: keys of objects, positions in lists; ``None`` where it leads nowhere.

    A text on the way is read as JSON, as results stand in Parquet.

    Example:
        >>> step_into(['{"labels": [{"label": "a"}]}', None, "{}"], ("labels", "0", "label"))
        ['a', None, None]
    """
    if not steps:
        return values
    return [_within(value, steps) for value in values]


def _within(value: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                return None
        if isinstance(value, list):
            place = int(step) if step.lstrip("-").isdigit() else len(value)
            value = value[place] if -len(value) <= place < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _numbered(blocks: Iterator[tuple[int, Mapping[str, Values]]]) -> Iterator[Chunk]:
    first = 0
    for n, columns in blocks:
        yield Chunk(first, n, columns)
        first += n


def _arrow(batch: Any) -> tuple[int, dict[str, Values]]:
    """Numbers without gaps as arrays, all else as lists."""
    types = require("pyarrow", extra="all").types
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns):
        plain = types.is_integer(column.type) or types.is_floating(column.type)
        columns[name] = column.to_numpy(zero_copy_only=False) if plain and not column.null_count else column.to_pylist()
    return batch.num_rows, columns


def _parquet(path: Path) -> Source:
    pa, pq = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")

    def chunks(names: Sequence[str]) -> Iterator[Chunk]:
        def blocks() -> Iterator[tuple[int, dict[str, Values]]]:
            # Read ahead, Arrow would hold every column chunk that was read until the file is closed.
            with pq.ParquetFile(path, pre_buffer=False) as file:
                try:
                    for batch in file.iter_batches(ROWS, columns=list(names), use_threads=False):
                        yield _arrow(batch)
                except (pa.ArrowException, OSError) as error:
                    raise DataError(f"{path} must be a whole Parquet file. {error}") from error

        return _numbered(blocks())

    try:
        with pq.ParquetFile(path) as file:
            return Source(str(path), tuple(file.schema_arrow.names), chunks)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} must be a Parquet file. {error}") from error


def _csv(path: Path, delimiter: str) -> Source:
    pa, csv = require("pyarrow", extra="all"), require("pyarrow.csv", extra="all")
    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)

    def opened(names: Sequence[str] | None) -> Any:
        types = None if names is None else {name: pa.string() for name in names}
        convert = csv.ConvertOptions(
            column_types=types, include_columns=names, strings_can_be_null=True, null_values=[""]
        )
        read = csv.ReadOptions(use_threads=False, block_size=1 << 23)
        try:
            return csv.open_csv(path, read_options=read, parse_options=parse, convert_options=convert)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} must be UTF-8 text: a header, and rows with as many cells. {error}") from error

    def chunks(names: Sequence[str]) -> Iterator[Chunk]:
        def blocks() -> Iterator[tuple[int, dict[str, Values]]]:
            with opened(names) as reader:
                try:
                    for batch in reader:
                        for at in range(0, batch.num_rows, ROWS):
                            yield _arrow(batch.slice(at, ROWS))
                except (pa.ArrowException, OSError) as error:
                    raise DataError(
                        f"{path} must be UTF-8 text: a header, and rows with as many cells. {error}"
                    ) from error

        return _numbered(blocks())

    with opened(None) as reader:
        return Source(str(path), tuple(reader.schema.names), chunks)


def _jsonl(path: Path) -> Source:
    def objects() -> Iterator[dict[str, Any]]:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise DataError(f"line {number} of {path} must be one JSON object in UTF-8. {error}") from error
                if not isinstance(row, dict):
                    raise DataError(f"line {number} of {path} must be one JSON object. Got a {type(row).__name__}")
                yield row

    names: dict[str, None] = {}
    for row, _ in zip(objects(), range(100)):
        names |= dict.fromkeys(row)
    return Source(str(path), tuple(names), lambda wanted: _of_rows(objects(), wanted))


def _of_rows(rows: Iterator[Mapping[str, Any]], wanted: Sequence[str]) -> Iterator[Chunk]:
    def blocks() -> Iterator[tuple[int, dict[str, Values]]]:
        held: dict[str, list[Any]] = {name: [] for name in wanted}
        n = 0
        for row in rows:
            for name, column in held.items():
                column.append(row.get(name))
            n += 1
            if n == ROWS:
                yield n, dict[str, Values](held)
                held, n = {name: [] for name in wanted}, 0
        if n:
            yield n, dict[str, Values](held)

    return _numbered(blocks())


def _job(out: Path) -> Source:
    layout = Layout(out)
    found = layout.read_plan()
    if found is None:
        raise DataError(f"{out} must be the folder of a batch job. It holds none")
    plan, markers = found[0], layout.read_markers(found[0])
    if len(markers) < plan.shard_count:
        raise DataError(
            f"the job in {out} must be finished. {len(markers)} of its {plan.shard_count} shards are done: "
            "run it again to continue it"
        )
    decode = find_sink(plan.sink).decode

    def rows() -> Iterator[Mapping[str, Any]]:
        for number in sorted(markers):
            path = out / markers[number].file
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != markers[number].sha256:
                raise DataError(f"{path} must hold the bytes that its marker names. It was changed: run the job again")
            for item in decode(data):
                yield _row(item)

    return Source(str(out), JOB_COLUMNS, lambda wanted: _of_rows(rows(), wanted))


def _row(item: Any) -> dict[str, Any]:
    return {
        "index": item.index,
        "input": item.input,
        "id": item.id,
        "ok": item.ok,
        "result": item.result,
        "error": item.error_kind,
    }


_OPENERS: Mapping[str, Callable[[Path], Source]] = {
    ".parquet": _parquet,
    ".csv": lambda path: _csv(path, ","),
    ".tsv": lambda path: _csv(path, "\t"),
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
}
