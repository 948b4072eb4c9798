"""Data frames and Arrow tables as chunks of columns."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from recsys.gathering import Chunk
from shared.errors import DataError, UsageError
from shared.lazy import require

ROWS = 1 << 20
"""Rows of a chunk."""


def frame_chunks(frame: Any, *, user: str, item: str, value: str | None, time: str | None) -> Iterator[Chunk]:
    """The chunks of a pandas or Polars frame, a pyarrow table, or anything whose columns have ``to_numpy()``.

    Raises:
        DataError: a column is missing or stands twice, or a date is missing.
        UsageError: it is no frame.
    """
    names = [name for name in (user, item, value, time) if name is not None]
    columns = frame_columns(frame)
    missing = [name for name in names if name not in columns]
    if missing:
        raise DataError(f"the frame must have columns {names}. Missing: {missing}. It has: {columns}")
    twice = [name for name in names if columns.count(name) > 1]
    if twice:
        raise DataError(f"the frame must have one column of each name. Twice or more: {twice}. Rename them")
    if time is not None and _is_date(frame[time]) and _missing(frame[time]):
        raise DataError(f"column {time!r} must hold a date in every row. Got NaT in some")
    total = frame_rows(frame)
    for start in range(0, total, ROWS):
        parts = {name: column_slice(frame, name, start, min(total, start + ROWS)) for name in names}
        held = [None if name is None else parts[name] for name in (value, time)]
        yield Chunk(parts[user], parts[item], held[0], held[1], start)


def frame_columns(frame: Any) -> list[Any]:
    """The names of a frame's columns.

    Raises:
        UsageError: it is no frame, or a lazy one.
    """
    if _is_table(frame):
        return list(frame.column_names)
    if not hasattr(frame, "__len__") or not hasattr(frame, "columns"):
        lazy = " A lazy frame must be collected first: frame.collect()" if hasattr(frame, "collect") else ""
        raise UsageError(f"expected a data frame or a table. Got {type(frame).__name__} instead.{lazy}")
    return list(frame.columns)


def column_slice(frame: Any, name: Any, start: int, stop: int) -> Any:
    """Rows ``start`` to ``stop`` of a column, as a pyarrow array or, where Arrow has no type for it, as objects."""
    pa = require("pyarrow", extra="all")
    column = frame[name]
    if _is_table(frame):
        return _whole(pa, column.slice(start, stop - start))
    kind = getattr(column, "dtype", None)
    home = type(column).__module__.partition(".")[0]
    if home == "polars":
        part = column.slice(start, stop - start)
        return part.to_list() if str(kind) in ("Object", "Null") else _whole(pa, part.to_arrow())
    if home == "pandas":
        part = column.iloc[start:stop]
        if getattr(kind, "kind", "") == "O" and type(kind).__module__.startswith("numpy"):
            return part.tolist()  # never by inference: Arrow would make one type of several
        numeric = getattr(kind, "kind", "") in "iuf" and type(kind).__module__.startswith("numpy")
        try:
            # Through NumPy NaN stays NaN, so that a message says so; else it would become a null.
            return _whole(pa, pa.array(part.to_numpy() if numeric else part))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            return part.tolist()
    part = column[start:stop].to_numpy()
    return part.tolist() if part.dtype.kind not in "iufM" else pa.array(part)


def _is_table(frame: object) -> bool:
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(frame, arrow.Table | arrow.RecordBatch)


def _whole(pa: Any, column: Any) -> Any:
    """One array of a chunked one."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    joined = column.unify_dictionaries().combine_chunks()
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)


def _is_date(column: Any) -> bool:
    return "date" in str(getattr(column, "dtype", "")).lower() and hasattr(column, "isnull")


def _missing(column: Any) -> bool:
    return bool(column.isnull().any())


def frame_rows(frame: Any) -> int:
    """How many rows a frame has."""
    return int(frame.num_rows) if _is_table(frame) else len(frame)
