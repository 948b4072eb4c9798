"""Tables of an experiment as Polars queries: Parquet, CSV, TSV, JSONL, folders of Parquet, and frames.

A table has one row a unit, or several rows a unit (events), with the arm in each. Where assignment and events lie
apart, :func:`shared.experiments.joining.joined` brings them together.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.errors import DataError, UsageError
from shared.lazy import require

EXTRA = "experiments"
SUFFIXES = (".parquet", ".pq", ".csv", ".tsv", ".jsonl", ".ndjson")


def polars() -> Any:
    """The library, or the command that installs it."""
    return require("polars", extra=EXTRA)


def open_table(source: Any, *, text: Sequence[str] = ()) -> Any:
    """A lazy query over a file, a folder of Parquet, or a frame.

    Args:
        source: a path; a Polars frame or lazy frame; a pandas frame; an Arrow table.
        text: columns that are ids or names, read as text whatever they look like in a CSV.

    Raises:
        DataError: the file is not there, or is no table.
        UsageError: it is neither path nor frame.
    """
    pl = polars()
    if isinstance(source, str | Path):
        return _scan(pl, Path(source), text)
    if isinstance(source, pl.LazyFrame):
        return source
    if isinstance(source, pl.DataFrame):
        return source.lazy()
    home = type(source).__module__.partition(".")[0]
    if home == "pandas":
        return pl.from_pandas(source).lazy()
    if home == "pyarrow":
        return pl.from_arrow(source).lazy()
    raise UsageError(f"a table must be a path or a frame of Polars, pandas or Arrow. Got {type(source).__name__}")


def _scan(pl: Any, path: Path, text: Sequence[str]) -> Any:
    if not path.exists():
        raise DataError(f"the table {path} must exist. It does not")
    if path.is_dir():
        return _folder(pl, path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path} must end in one of {', '.join(SUFFIXES)}, or be a folder of Parquet files")
    try:
        if suffix in (".parquet", ".pq"):
            found = pl.scan_parquet(path)
            found.collect_schema()
            return found
        if suffix in (".jsonl", ".ndjson"):
            return pl.scan_ndjson(path, infer_schema_length=10_000)
        options = {"separator": "\t" if suffix == ".tsv" else ",", "infer_schema_length": 10_000}
        schema = pl.scan_csv(path, **options).collect_schema()
        # A column of whole numbers may hold a fraction further down.
        types = {name: pl.Float64 for name, kind in schema.items() if kind.is_numeric()}
        types |= {name: pl.String for name in text if name in schema}
        return pl.scan_csv(path, schema_overrides=types, **options)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} must be a table. {error}") from error


def _folder(pl: Any, path: Path) -> Any:
    """Parquet files, and lines whose Parquet form does not stand beside them, as an exposure log has them."""
    found = [one for one in sorted(path.rglob("*")) if one.is_file() and one.name[0] not in "._"]
    sealed = [one for one in found if one.suffix in (".parquet", ".pq")]
    lines = [one for one in found if one.suffix in (".jsonl", ".ndjson") and one.with_suffix(".parquet") not in sealed]
    others = [one.name for one in found if one.suffix in (".csv", ".tsv")]
    if others or not sealed + lines:
        raise DataError(f"{path} must hold Parquet files or JSON lines. It holds {others[0] if others else 'none'}")
    try:
        tables = [pl.scan_parquet(sealed)] if sealed else []
        for one in lines:
            data = one.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]  # a line without its end is still being written
            if whole:
                tables.append(pl.read_ndjson(io.BytesIO(whole)).lazy())
        if not tables:
            raise DataError(f"{path} must hold rows. Its files are empty")
        first = tables[0].collect_schema()
        alike = [_alike(pl, table, first) for table in tables]
        return pl.concat(alike, how="vertical") if len(alike) > 1 else alike[0]
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} must hold tables. {error}") from error


def _alike(pl: Any, table: Any, schema: Mapping[str, Any]) -> Any:
    """A table with the columns and types of another; times may be text."""
    held = table.collect_schema()
    for name, kind in schema.items():
        if name in held and held[name] == pl.String and kind.is_temporal():
            table = table.with_columns(pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC"))
    return table.select(pl.col(name).cast(kind) for name, kind in schema.items())


def run(query: Any) -> Any:
    """The rows of a query, computed in pieces.

    Raises:
        DataError: a row cannot be read or a column has another type.
    """
    pl = polars()
    try:
        return query.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"the table must be readable to its end. {error}") from error


def columns_of(query: Any) -> dict[str, Any]:
    """The types of a query's columns by name.

    Raises:
        DataError: the table cannot be read, or has no such column that the query names.
    """
    pl = polars()
    try:
        return dict(query.collect_schema())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"the table must be readable. {error}") from error


def need(schema: dict[str, Any], names: Sequence[str]) -> None:
    """Check that columns exist.

    Raises:
        DataError: one is missing.
    """
    missing = sorted(set(names) - set(schema))
    if missing:
        raise DataError(f"the table must have the columns {', '.join(missing)}. It has {', '.join(schema)}")


def dated(frame: Any, name: str, kinds: Mapping[str, Any]) -> Any:
    """The query with a column of dates, times or their text as times in UTC; what has no zone is taken to be UTC.

    Raises:
        DataError: the column holds something else.
    """
    pl = polars()
    kind = kinds[name]
    if kind == pl.String:
        return frame.with_columns(pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC").cast(pl.Datetime("us")))
    if not kind.is_temporal():
        raise DataError(f"column {name!r} must hold dates or times. It holds {kind}")
    return frame.with_columns(pl.col(name).cast(pl.Datetime("us")))
