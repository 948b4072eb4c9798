"""What past events say of experiments of one, two, three weeks: units, spread, and what the past explains."""

from __future__ import annotations

import math
from typing import Any

from shared.errors import DataError, UsageError
from shared.experiments.metrics import Metric, estimate, gradient
from shared.experiments.moments import moments_of
from shared.experiments.power import Baseline, Weeks
from shared.experiments.rows import number
from shared.experiments.sources import columns_of, dated, need, open_table, polars, run

_DAYS = 7


def weeks_of(source: Any, metric: Metric, *, unit: str, time: str, weeks: int, before: int = 0) -> Weeks:
    """Read a history as if an experiment had begun in it.

    The experiment begins ``before`` weeks after the first row. A unit takes part from the week of its first row after
    that on; its value is what it did until the end of the experiment, its covariate what it did before it began.

    Args:
        source: table of events: unit, time, values.
        metric: mean, proportion or ratio; rows without a value count as 0.
        unit: column of the unit of assignment.
        time: column of times or dates.
        weeks: longest duration, at least 1.
        before: weeks whose values are CUPED's covariate; 0 for none.

    Raises:
        DataError: a column is missing or of a wrong type, or the history is shorter than all these weeks, or a week has
            fewer than two units or no spread.
        UsageError: an argument is out of its range, or the metric is of another kind.

    Example:
        >>> import datetime as dt, polars as pl
        >>> days = [dt.date(2026, 1, 1 + d) for d in (0, 0, 3, 8, 9, 13)]
        >>> frame = pl.DataFrame({"user": ["a", "b", "a", "c", "a", "b"], "day": days, "spent": [1, 2, 3, 4, 5, 6]})
        >>> found = weeks_of(frame, Metric("spent", "mean", "spent"), unit="user", time="day", weeks=2)
        >>> found.units, [round(base.mean, 2) for base in found.baselines]
        ((2, 3), [3.0, 7.0])
    """
    if weeks < 1 or before < 0:
        raise UsageError(f"weeks must be at least 1 and before at least 0. Got {weeks} and {before}")
    if metric.kind not in ("mean", "proportion", "ratio"):
        raise UsageError(f"a duration is planned for a mean, a proportion or a ratio. Got {metric.kind}")
    pl = polars()
    table = open_table(source, text=(unit,))
    schema = columns_of(table)
    columns = [metric.column, *([metric.denominator] if metric.denominator else [])]
    need(schema, [unit, time, *columns])
    table = dated(table, time, schema)
    first, last = run(table.select(low=pl.col(time).min(), high=pl.col(time).max())).row(0)
    days = 0 if first is None else (last - first).days + 1
    if days < _DAYS * (before + weeks):
        raise DataError(
            f"the history must cover {before + weeks} weeks ({before} before and {weeks} of the experiment). It covers "
            f"{days} days: ask for fewer"
        )
    table = table.with_columns(_week=(pl.col(time) - pl.lit(first)).dt.total_days() // _DAYS)
    units, baselines = [], []
    for count in range(1, weeks + 1):
        inside = pl.col("_week").is_between(before, before + count - 1)
        computed = {"in": inside.any()}
        for place, column in enumerate(columns):
            value = number(column).fill_null(0.0)
            computed[f"y{place}"] = getattr(value.filter(inside), metric.aggregate)()
        computed["x"] = number(metric.column).fill_null(0.0).filter(pl.col("_week") < before).sum()
        seen = run(table.filter(pl.col("_week") < before + count).group_by(unit).agg(**computed)).filter(pl.col("in"))
        names = [f"y{place}" for place in range(len(columns))]
        units.append(len(seen))
        baselines.append(_baseline(metric, seen.select(*names, "x").to_numpy(), count))
    return Weeks(tuple(units), tuple(baselines))


def _baseline(metric: Metric, values: Any, count: int) -> Baseline:
    moments = moments_of(values)
    found = estimate(metric, moments)
    k = metric.outcomes
    variance = found.variance * moments.n
    if not variance > 0:
        raise DataError(f"metric {metric.name!r}: values must vary. In the first {count} weeks every unit has the same")
    _, slope = gradient(metric, moments.mean[:k])
    covariance, spread = float(slope @ moments.covariance[:k, k]), float(moments.covariance[k, k])
    correlation = covariance / math.sqrt(variance * spread) if spread > 0 else 0.0
    return Baseline(found.value, variance, max(-0.999, min(0.999, correlation)))
