"""What is asked of a table's rows: the checks that may not fail, and what is computed of each unit's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import DataError
from shared.experiments.metrics import Metric
from shared.experiments.sources import need, polars, run

_EMPTY = "(missing)"
CROSSED = ("raise", "drop")


@dataclass(frozen=True)
class Layout:
    """Where a table holds what.

    Attributes:
        unit: column of the unit of assignment.
        arm: column of the arm's name.
        arms: names of all arms, the control first.
        segments: columns whose levels are looked at one by one; the same in all rows of a unit.
        crossed: what units with rows in several arms are: ``"raise"`` an error, ``"drop"`` left out and counted.
    """

    unit: str
    arm: str
    arms: tuple[str, ...]
    segments: tuple[str, ...] = ()
    crossed: str = "raise"


def check_columns(schema: dict[str, Any], layout: Layout, metrics: Sequence[Metric]) -> None:
    """Check that every column that is named exists, and that values are numbers.

    Raises:
        DataError: one is missing or holds something else.
    """
    numbers = [c for m in metrics for c in (m.column, m.denominator, m.day, m.observed, *m.covariates) if c is not None]
    need(schema, [layout.unit, layout.arm, *layout.segments, *numbers])
    for name in numbers:
        if not (schema[name].is_numeric() or str(schema[name]) == "Boolean"):
            raise DataError(f"column {name!r} must hold numbers. It holds {schema[name]}")


def number(name: str) -> Any:
    """A column as float64, NaN as a missing value."""
    pl = polars()
    return pl.col(name).cast(pl.Float64).fill_nan(None)


def level_of(column: str) -> Any:
    """A segment's column as text; a missing level has a name too."""
    pl = polars()
    return pl.col(column).cast(pl.String).fill_null(_EMPTY)


def measured(metric: Metric, name: str) -> Any:
    """A column of a metric as its rule for missing values has it, and empty in rows outside its window."""
    pl = polars()
    value = number(name)
    value = value.fill_null(0.0) if metric.missing == "zero" else value
    if metric.day is None or metric.window is None:
        return value
    inside = number(metric.day).is_between(*metric.window)
    if metric.observed is not None:
        inside &= number(metric.observed) >= metric.window[1]
    return pl.when(inside).then(value)


def looked_up(column: Any, values: Mapping[Any, Any], *, other: Any) -> Any:
    """A column's values by a small table. Polars' own ``replace_strict`` would hold the whole column in memory."""
    pl = polars()
    found = pl.lit(other)
    for key, value in values.items():
        found = pl.when(column == key).then(pl.lit(value)).otherwise(found)
    return found


def check_rows(table: Any, layout: Layout, metrics: Sequence[Metric]) -> int:
    """One pass that counts what may not be.

    Returns:
        The number of rows.

    Raises:
        DataError: there are none, or an id, an arm or a value is not what it must be.
    """
    pl = polars()
    counts = {"rows": pl.len(), "unit": pl.col(layout.unit).is_null().sum(), "arm": pl.col(layout.arm).is_null().sum()}
    counts |= {"unknown": (pl.col("_code") == -1).sum() - pl.col(layout.arm).is_null().sum()}
    for at, metric in enumerate(metrics):
        for column in (metric.column, *([metric.denominator] if metric.denominator else []), *metric.covariates):
            counts[f"infinite {at} {column}"] = number(column).is_infinite().sum()
        for column in (metric.column, *([metric.denominator] if metric.denominator else [])):
            if metric.missing == "raise" and metric.kind != "retention":
                counts[f"missing {at} {column}"] = number(column).is_null().sum()
        if metric.kind == "proportion":
            counts[f"binary {at} {metric.column}"] = (~number(metric.column).is_in([0.0, 1.0])).sum()
    seen = run(table.select(**counts)).row(0, named=True)
    if seen["unknown"]:
        # A query of its own: within the one above it would hold the whole table in memory.
        strange = table.filter((pl.col("_code") == -1) & pl.col(layout.arm).is_not_null()).select(layout.arm).head(1)
        seen["other"] = run(strange).item()
    _check_ids(seen, layout)
    for key, count in seen.items():
        what, _, rest = key.partition(" ")
        at, _, column = rest.partition(" ")
        if not count or not at:
            continue
        name = metrics[int(at)].name
        if what == "infinite":
            raise DataError(f"metric {name!r}: column {column!r} must hold finite numbers. {count} rows are infinite")
        if what == "missing":
            raise DataError(
                f"metric {name!r}: column {column!r} must have a value in every row. {count} have none or NaN: say "
                'missing = "zero" where no value is a 0, or "drop" where such units are to be left out'
            )
        raise DataError(
            f"metric {name!r}: column {column!r} of a proportion must hold 0 and 1. {count} rows hold others"
        )
    return int(seen["rows"])


def _check_ids(seen: Mapping[str, Any], layout: Layout) -> None:
    if not seen["rows"]:
        raise DataError("the table must have rows. It has none")
    for what, column in (("unit", layout.unit), ("arm", layout.arm)):
        if seen[what]:
            raise DataError(
                f"every row must have a value in column {column!r}. {seen[what]} of {seen['rows']} have none"
            )
    if seen["unknown"]:
        raise DataError(
            f"column {layout.arm!r} must hold one of the arms {', '.join(layout.arms)}. {seen['unknown']} rows hold "
            f"others, {seen['other']!r} first: name that arm, or leave its rows out"
        )


def aggregates(layout: Layout, metrics: Sequence[Metric], points: Mapping[str, Any]) -> dict[str, Any]:
    """What is computed of each unit's rows."""
    pl = polars()
    found = {"_arm": pl.col("_code").min(), "_last": pl.col("_code").max()}
    for at, column in enumerate(layout.segments):
        text = level_of(column)
        found |= {f"s{at}": text.min(), f"t{at}": text.max()}
    for at, metric in enumerate(metrics):
        found |= {f"m{at}_{name}": value for name, value in _outcomes(metric, points).items()}
        if metric.kind == "quantile":
            of_level = enumerate(layout.segments)
            value = measured(metric, metric.column)
            found |= {f"m{at}_level{k}": (value <= pl.col(f"_m{at}_{k}")).sum().cast(pl.Float64) for k, _ in of_level}
        for place, column in enumerate(metric.covariates):
            value = number(column)
            found |= {f"m{at}_x{place}": value.min(), f"m{at}_z{place}": value.max()}
    return found


def _outcomes(metric: Metric, points: Mapping[str, Any]) -> dict[str, Any]:
    """The outcomes ``0`` and ``1``; ``has``, whether the unit has any; ``waits``, whether its window is not over."""
    pl = polars()
    value = measured(metric, metric.column)
    first, last = metric.window or (0, 0)
    waits = pl.len() < 0 if metric.observed is None else number(metric.observed).max().fill_null(-1.0) < last
    if metric.kind == "retention":
        active = number(metric.column).is_between(first, last).fill_null(False).any().cast(pl.Float64)
        return {"0": active, "has": ~waits & (pl.len() > 0), "waits": waits}
    if metric.kind == "quantile":
        low = looked_up(pl.col("_code"), {at: pair[0] for at, pair in enumerate(points[metric.name])}, other=None)
        count = value.count()
        found = {"0": (value <= low).sum().cast(pl.Float64), "1": count.cast(pl.Float64), "has": count > 0}
        return found | {"waits": waits}
    if metric.kind == "ratio":
        other = measured(metric, str(metric.denominator))
        both = value.is_not_null() & other.is_not_null()
        found = {
            "0": getattr(value.filter(both), metric.aggregate)(),
            "1": getattr(other.filter(both), metric.aggregate)(),
            "has": both.any(),
        }
    else:
        found = {"0": getattr(value, metric.aggregate)(), "has": value.is_not_null().any()}
    if metric.missing == "zero":
        # A unit without rows in its window has nothing to aggregate, and did nothing.
        found = {name: part.fill_null(0.0) for name, part in found.items()} | {"has": ~waits}
    return found | {"waits": waits}
