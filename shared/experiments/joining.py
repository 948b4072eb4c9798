"""Exposures and events brought together: each exposed unit with what it did from its first exposure on.

A join needs one of its tables in memory. Where both are large, :func:`joined_within` cuts the units into parts by a
hash of their id and joins one part after another onto the disk, so that memory stays bounded whatever the size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.errors import DataError, UnknownNameError
from shared.experiments.definition import in_utc
from shared.experiments.sources import columns_of, dated, need, open_table, polars, run

DAYS = "days_since_exposure"
"""The column that is added: whole days since the unit's first exposure."""
OBSERVED = "days_observed"
"""The column that is added: the last day since the first exposure that is over, -1 where not even the first is."""
EXPERIMENT = "experiment"
"""The column of an exposure log that says whose rows these are."""
MEMORY = 2 << 30
"""Bytes that the join of one part may take, by estimate."""


def joined(
    exposures: Any,
    events: Any,
    *,
    unit: str,
    arm: str,
    exposed_at: str,
    at: str,
    experiment: str | None = None,
    until: datetime | None = None,
) -> Any:
    """Every exposed unit with its events from the first exposure on; a unit without any has one row of empty values.

    Args:
        exposures: table with one or more rows a unit: the unit, its arm, the time, segments, covariates. What is taken
            of a unit is its first exposure, and one of each other arm that it was exposed to, so that the reader of the
            moments finds it.
        events: table of the unit, the time, and values. Events of units that were not exposed, and those before the
            exposure, are left out; so is a column of arms.
        unit: column of both.
        arm: the exposures' column of arms.
        exposed_at: the exposures' column of times.
        at: the events' column of times.
        experiment: of an exposure log of several experiments, whose rows are meant.
        until: up to when all events are in, earlier than now where some come late; the last time of either table when
            not given. Units exposed later wait.

    Returns:
        A lazy query, with the whole days since the first exposure in the column ``days_since_exposure``, and in
        ``days_observed`` the last such day that is over: a window of days that ends there is whole.

    Raises:
        DataError: a column is missing, or stands in both tables; a time is no date; an id or a time is missing; the log
            holds several experiments and none is named.

    Example:
        >>> import datetime as dt, polars as pl
        >>> day = [dt.datetime(2026, 1, n) for n in (1, 2, 3)]
        >>> shown = pl.DataFrame({"user": ["u", "v"], "arm": ["a", "b"], "seen": [day[1], day[0]]})
        >>> bought = pl.DataFrame({"user": ["u", "u"], "when": [day[0], day[2]], "spent": [5.0, 7.0]})
        >>> both = joined(shown, bought, unit="user", arm="arm", exposed_at="seen", at="when").collect().sort("user")
        >>> both["spent"].to_list(), both["days_since_exposure"].to_list(), both["days_observed"].to_list()
        ([7.0, None], [1, None], [0, 1])
    """
    names = _Names(unit, arm, exposed_at, at)
    return _join(*_tables(exposures, events, names, experiment, until))


@contextmanager
def joined_within(
    exposures: Any,
    events: Any,
    *,
    unit: str,
    arm: str,
    exposed_at: str,
    at: str,
    experiment: str | None = None,
    until: datetime | None = None,
    memory: int = MEMORY,
) -> Iterator[Any]:
    """The same as :func:`joined` within bounded memory: a query, or a folder of Parquet that is removed afterwards.

    Above ``memory`` by estimate, units are cut into parts by a hash of their id; each part is one pass over both tables
    and one file in the system's temporary folder, which needs room for the events of exposed units.

    Args:
        exposures: as :func:`joined` has it.
        events: as :func:`joined` has it.
        unit: as :func:`joined` has it.
        arm: as :func:`joined` has it.
        exposed_at: as :func:`joined` has it.
        at: as :func:`joined` has it.
        experiment: as :func:`joined` has it.
        until: as :func:`joined` has it.
        memory: bytes that the join of one part may take, by estimate.

    Raises:
        DataError: as :func:`joined` has it, or the temporary folder has no room.
    """
    pl = polars()
    names = _Names(unit, arm, exposed_at, at)
    shown, done, names, last = _tables(exposures, events, names, experiment, until)
    wanted = sum(run(table.select(pl.len())).item() * (64 + 24 * len(columns_of(table))) for table in (shown, done))
    parts = max(1, -(-wanted // memory))
    if parts == 1:
        yield _join(shown, done, names, last)
        return
    with tempfile.TemporaryDirectory(prefix="triptych-join-") as folder:
        for part in range(parts):
            one, other = (table.filter(pl.col(unit).hash(11) % parts == part) for table in (shown, done))
            try:
                _join(one, other, names, last).sink_parquet(Path(folder) / f"{part:05}.parquet", compression="lz4")
            except (pl.exceptions.PolarsError, OSError) as error:
                raise DataError(f"exposures and events must be readable, and {folder} have room. {error}") from error
        yield Path(folder)


@dataclass(frozen=True)
class _Names:
    unit: str
    arm: str
    exposed_at: str
    at: str


def _tables(
    exposures: Any, events: Any, names: _Names, experiment: str | None, until: datetime | None
) -> tuple[Any, Any, _Names, datetime]:
    """Both tables, checked, with ids of one type and times as times; and the moment up to which events are in."""
    pl = polars()
    unit, arm, exposed_at, at = names.unit, names.arm, names.exposed_at, names.at
    shown, done = open_table(exposures, text=(unit, arm)), open_table(events, text=(unit,))
    kinds, others = columns_of(shown), columns_of(done)
    need(kinds, [unit, arm, exposed_at])
    need(others, [unit, at])
    if arm in others and arm not in (unit, at):
        done = done.drop(arm)
    both = (set(kinds) - {unit, exposed_at, arm}) & (set(others) - {unit, at})
    if both:
        raise DataError(f"exposures and events must share no column but the unit. Both have {', '.join(sorted(both))}")
    if kinds[unit] != others[unit] or not (kinds[unit].is_integer() or kinds[unit] == pl.String):
        shown, done = (frame.with_columns(pl.col(unit).cast(pl.String)) for frame in (shown, done))
    if EXPERIMENT in kinds:
        shown = _only(shown, experiment)
    shown, done = dated(shown, exposed_at, kinds), dated(done, at, others)
    last = []
    for what, frame, time in (("exposures", shown, exposed_at), ("events", done, at)):
        counts = {
            "unit": pl.col(unit).is_null().sum(),
            "time": pl.col(time).is_null().sum(),
            "last": pl.col(time).max(),
        }
        no_unit, no_time, latest = run(frame.select(**counts)).row(0)
        if no_unit + no_time:
            raise DataError(f"every row of the {what} must have a unit and a time. {no_unit + no_time} have none")
        last += [] if latest is None else [latest]
    if until is not None:
        return shown, done, names, in_utc(until).replace(tzinfo=None)
    return shown, done, names, max(last, default=datetime.min)


def _join(shown: Any, done: Any, names: _Names, last: datetime) -> Any:
    pl = polars()
    unit, arm, exposed_at, at = names.unit, names.arm, names.exposed_at, names.at
    when = shown.group_by(unit).agg(_first=pl.col(exposed_at).min(), _arms=pl.col(arm).n_unique())
    first = shown.join(when, on=unit).filter((pl.col(exposed_at) == pl.col("_first")) | (pl.col("_arms") > 1))
    over = (pl.lit(last) - pl.col("_first")).dt.total_days() - 1
    first = first.with_columns(over.clip(-1).alias(OBSERVED))
    # One row a unit and arm: two exposures at one moment must not count its events twice.
    first = first.drop(exposed_at, "_first", "_arms").group_by(unit, arm).agg(pl.all().min())
    later = done.rename({at: "_at"}).join(when.select(unit, "_first"), on=unit)
    later = later.filter(pl.col("_at") >= pl.col("_first"))
    later = later.with_columns((pl.col("_at") - pl.col("_first")).dt.total_days().alias(DAYS)).drop("_at", "_first")
    return first.join(later, on=unit, how="left")


def _only(shown: Any, experiment: str | None) -> Any:
    """The rows of one experiment."""
    pl = polars()
    names = run(shown.select(pl.col(EXPERIMENT).cast(pl.String).unique())).to_series().drop_nulls().sort().to_list()
    if experiment is None and len(names) > 1:
        raise DataError(
            f"the exposures are of several experiments: {', '.join(names)}. Say which: experiment=, --experiment"
        )
    if experiment is not None and experiment not in names:
        raise UnknownNameError("experiment of the exposures", experiment, names)
    return shown if experiment is None else shown.filter(pl.col(EXPERIMENT).cast(pl.String) == experiment)
