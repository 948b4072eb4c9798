"""Exposures and events brought together: each exposed unit with what it did from its first exposure on."""

from __future__ import annotations

from typing import Any

from shared.errors import DataError, UnknownNameError
from shared.experiments.sources import columns_of, dated, need, open_table, polars, run

DAYS = "days_since_exposure"
"""The column that is added."""
EXPERIMENT = "experiment"
"""The column of an exposure log that says whose rows these are."""


def joined(
    exposures: Any, events: Any, *, unit: str, arm: str, exposed_at: str, at: str, experiment: str | None = None
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

    Returns:
        A lazy query, with the whole days since the first exposure in the column ``days_since_exposure``.

    Raises:
        DataError: a column is missing, or stands in both tables; a time is no date; an id or a time is missing; the log
            holds several experiments and none is named.

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
    if arm in others and arm not in (unit, at):
        done = done.drop(arm)
    both = (set(kinds) - {unit, exposed_at, arm}) & (set(others) - {unit, at})
    if both:
        raise DataError(f"exposures and events must share no column but the unit. Both have {', '.join(sorted(both))}")
    if kinds[unit] != others[unit]:
        shown, done = (frame.with_columns(pl.col(unit).cast(pl.String)) for frame in (shown, done))
    if EXPERIMENT in kinds:
        shown = _only(shown, experiment)
    shown, done = dated(shown, exposed_at, kinds), dated(done, at, others)
    for what, frame, time in (("exposures", shown, exposed_at), ("events", done, at)):
        empty = run(
            frame.select(pl.col(unit).is_null().sum().alias("unit"), pl.col(time).is_null().sum().alias("time"))
        )
        if sum(empty.row(0)):
            raise DataError(f"every row of the {what} must have a unit and a time. {sum(empty.row(0))} have none")
    when = shown.group_by(unit).agg(_first=pl.col(exposed_at).min(), _arms=pl.col(arm).n_unique())
    first = shown.join(when, on=unit).filter((pl.col(exposed_at) == pl.col("_first")) | (pl.col("_arms") > 1))
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
