"""Tables of an experiment as Polars queries: Parquet, CSV, TSV, JSONL, folders of Parquet, and frames.

A table has one row a unit, or several rows a unit (events), with the arm in each. Where assignment and events lie
apart, :func:`joined` brings them together: each exposed unit with what it did from its first exposure on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.errors import DataError, UsageError
from shared.lazy import require

EXTRA = "experiments"
SUFFIXES = (".parquet", ".pq", ".csv", ".tsv", ".jsonl", ".ndjson")
DAYS = "days_since_exposure"
"""The column that :func:`joined` adds."""


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
        files = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES[:2] and one.is_file())
        if not files:
            raise DataError(f"{path} must hold Parquet files. It holds none")
        return pl.scan_parquet(files)
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


def joined(exposures: Any, events: Any, *, unit: str, arm: str, exposed_at: str, at: str) -> Any:
    """Every exposed unit with its events from the first exposure on; a unit without any has one row of empty values.

    Args:
        exposures: table with one or more rows a unit: the unit, its arm, the time, segments, covariates. What is taken
            of a unit is its first exposure, and one of each other arm that it was exposed to, so that the reader of the
            moments finds it.
        events: table of the unit, the time, and values.
        unit: column of both.
        arm: the exposures' column of arms.
        exposed_at: the exposures' column of times.
        at: the events' column of times, of the same type.

    Returns:
        A lazy query, with the whole days since the first exposure in the column ``days_since_exposure``.

    Raises:
        DataError: a column is missing, or the times are no dates.

    Example:
        >>> import datetime as dt, polars as pl
        >>> day = [dt.datetime(2026, 1, n) for n in (1, 2, 3)]
        >>> shown = pl.DataFrame({"user": ["u", "v"], "arm": ["a", "b"], "seen": [day[1], day[0]]})
        >>> bought = pl.DataFrame({"user": ["u", "u"], "when": [day[0], day[2]], "spent": [5.0, 7.0]})
        >>> both = joined(shown, bought, unit="user", arm="arm", exposed_at="seen", at="when").collect().sort("user")
        >>> both["spent"].to_list(), both["days_since_exposure"].to_list()
        ([7.0, None], [1, None])
    """
    pl = polars()
    shown, done = open_table(exposures, text=(unit, arm)), open_table(events, text=(unit,))
    kinds, others = columns_of(shown), columns_of(done)
    need(kinds, [unit, arm, exposed_at])
    need(others, [unit, at])
    shown, done = (dated(frame, name, held) for frame, name, held in ((shown, exposed_at, kinds), (done, at, others)))
    when = shown.group_by(unit).agg(_first=pl.col(exposed_at).min(), _arms=pl.col(arm).n_unique())
    first = shown.join(when, on=unit).filter((pl.col(exposed_at) == pl.col("_first")) | (pl.col("_arms") > 1))
    # One row a unit and arm: two exposures at one moment must not count its events twice.
    first = first.drop(exposed_at, "_first", "_arms").group_by(unit, arm).agg(pl.all().min())
    later = done.rename({at: "_at"}).join(when.select(unit, "_first"), on=unit)
    later = later.filter(pl.col("_at") >= pl.col("_first"))
    later = later.with_columns((pl.col("_at") - pl.col("_first")).dt.total_days().alias(DAYS)).drop("_at", "_first")
    return first.join(later, on=unit, how="left")


def dated(frame: Any, name: str, kinds: dict[str, Any]) -> Any:
    pl = polars()
    kind = kinds[name]
    if kind == pl.String:
        return frame.with_columns(pl.col(name).str.to_datetime(time_unit="us"))
    if not kind.is_temporal():
        raise DataError(f"column {name!r} must hold dates or times. It holds {kind}")
    return frame.with_columns(pl.col(name).cast(pl.Datetime("us")))
