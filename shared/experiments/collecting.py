"""From rows to moments by arm and segment: one streamed pass for each part of the units, so memory stays bounded.

Rows are aggregated by unit before anything is averaged. A hundred million units do not fit into a table of groups, so
the units are cut into parts by a hash of their id, and each part is one pass over the columns that are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.errors import DataError, UsageError
from shared.experiments.levels import level_quantiles, with_level_points
from shared.experiments.metrics import Estimate, Metric, quantile_estimate, quantile_reach
from shared.experiments.moments import Moments, empty, grouped
from shared.experiments.rows import Layout, aggregates, check_columns, check_rows, looked_up, measured
from shared.experiments.sources import columns_of, open_table, polars, run
from shared.types import Float64, Int64

MEMORY = 2 << 30
"""Bytes that the table of one part's units may take, by estimate."""
_LEVELS = 200


@dataclass
class Collected:
    """What one reading leaves of a table.

    Attributes:
        rows: of the table.
        units: by arm.
        crossed: units in several arms, which were left out.
        moments: by metric and arm; outcomes, then for each covariate its value and whether it is missing.
        segments: by segment column, level, metric and arm.
        dropped: by metric and arm the units that have no value.
        waiting: by metric and arm the units whose window is not over.
        quantiles: by metric of that kind and arm.
        level_quantiles: by segment column, level, metric of that kind and arm.
        without: by segment column, level and metric of that kind why there is no quantile.
        values: by metric and arm each unit's value in rising order, where it was asked to be kept.
    """

    rows: int
    units: dict[str, int]
    crossed: int = 0
    moments: dict[str, dict[str, Moments]] = field(default_factory=dict)
    segments: dict[str, dict[str, dict[str, dict[str, Moments]]]] = field(default_factory=dict)
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    waiting: dict[str, dict[str, int]] = field(default_factory=dict)
    quantiles: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    level_quantiles: dict[str, dict[str, dict[str, dict[str, Estimate]]]] = field(default_factory=dict)
    without: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    values: dict[str, dict[str, Float64]] = field(default_factory=dict)


def collect(
    source: Any,
    layout: Layout,
    metrics: Sequence[Metric],
    *,
    keep: Sequence[str] = (),
    confidence: float = 0.95,
    memory: int = MEMORY,
) -> Collected:
    """Read a table once for each part of its units.

    Args:
        source: what :func:`shared.experiments.sources.open_table` takes.
        layout: where it holds what.
        metrics: what is measured.
        keep: names of metrics with one outcome whose units' values are kept, 8 bytes each.
        confidence: of the intervals from which standard errors of quantiles are read.
        memory: bytes that one part's units may take, by estimate.

    Raises:
        DataError: a column is missing or of a wrong type; an id, an arm or a value is missing; an arm is not known or
            has no units; units lie in several arms; a segment or a covariate changes within a unit.
        UsageError: crossed units are to be dropped beside a metric that counts rows.
    """
    if layout.crossed == "drop" and any(metric.kind == "quantile" for metric in metrics):
        raise UsageError("crossed='drop' cannot be had with a quantile, which is of rows: mend the log first")
    table = open_table(source, text=(layout.unit, layout.arm, *layout.segments))
    check_columns(columns_of(table), layout, metrics)
    pl = polars()
    codes = {name: at for at, name in enumerate(layout.arms)}
    table = table.with_columns(_code=looked_up(pl.col(layout.arm).cast(pl.String), codes, other=-1).cast(pl.Int8))
    rows = check_rows(table, layout, metrics)
    found = Collected(rows, dict.fromkeys(layout.arms, 0))
    points = {m.name: _points(table, layout, m, [float(m.quantile or 0)] * 2) for m in metrics if m.kind == "quantile"}
    table = with_level_points(table, layout, metrics)
    computed = aggregates(layout, metrics, points)
    parts = max(1, -(-rows * (64 + 24 * len(computed)) // memory))
    for part in range(parts):
        chosen = table if parts == 1 else table.filter(pl.col(layout.unit).hash(7) % parts == part)
        units = run(chosen.group_by(layout.unit).agg(**computed))
        _add(found, _checked(units, layout, metrics, found), layout, metrics, keep)
    for arms in found.values.values():
        for kept in arms.values():
            kept.sort()  # groups come in any order, and a seed must give the same draws again
    for name, count in found.units.items():
        if not count:
            raise DataError(f"arm {name!r} must have units. The table has none: look at column {layout.arm!r}")
    for metric in metrics:
        if metric.kind == "quantile":
            found.quantiles[metric.name] = _quantiles(
                table, layout, metric, points[metric.name], moments=found.moments[metric.name], confidence=confidence
            )
            for column, levels in found.segments.items():
                here, gone = level_quantiles(
                    table, layout, metric, column, {level: held[metric.name] for level, held in levels.items()},
                    confidence=confidence,
                )  # fmt: skip
                for level, quantiles in here.items():
                    found.level_quantiles.setdefault(column, {}).setdefault(level, {})[metric.name] = quantiles
                for level, reason in gone.items():
                    found.without.setdefault(column, {}).setdefault(level, {})[metric.name] = reason
    return found


def _checked(units: Any, layout: Layout, metrics: Sequence[Metric], found: Collected) -> Any:
    """The units of one part without crossed ones, after the checks that need a unit's rows together."""
    pl = polars()
    crossed = units.filter(pl.col("_arm") != pl.col("_last"))
    if len(crossed) and layout.crossed == "raise":
        raise DataError(
            f"every unit must be in one arm. {len(crossed)} units are in several, {crossed[layout.unit][0]!r} first: "
            'find out why, since figures of such units mean nothing; crossed="drop" leaves them out'
        )
    found.crossed += len(crossed)
    units = units.filter(pl.col("_arm") == pl.col("_last"))
    pairs = [(f"s{at}", f"t{at}", f"segment {column!r}") for at, column in enumerate(layout.segments)]
    pairs += [
        (f"m{at}_x{place}", f"m{at}_z{place}", f"covariate {column!r}")
        for at, metric in enumerate(metrics)
        for place, column in enumerate(metric.covariates)
    ]
    for low, high, what in pairs:
        moved = units.filter(pl.col(low) != pl.col(high))
        if len(moved):
            raise DataError(
                f"{what} must be the same in all rows of a unit. It changes in {len(moved)}, "
                f"{moved[layout.unit][0]!r} first: take its value from before the experiment"
            )
    return units


def _add(found: Collected, units: Any, layout: Layout, metrics: Sequence[Metric], keep: Sequence[str]) -> None:
    """Add one part's units to what is collected."""
    arms = units["_arm"].to_numpy().astype(np.int64)
    count = len(layout.arms)
    for arm, seen in zip(layout.arms, np.bincount(arms, minlength=count).tolist()):
        found.units[arm] += seen
    cuts = [
        _levels(units[f"s{at}"], column, found.segments.setdefault(column, {}))
        for at, column in enumerate(layout.segments)
    ]
    for at, metric in enumerate(metrics):
        has = units[f"m{at}_has"].to_numpy().astype(bool)
        values = _vectors(units, at, metric)[has]
        here = arms[has]
        waits = units[f"m{at}_waits"].to_numpy().astype(bool)
        for into, which in ((found.dropped, ~has & ~waits), (found.waiting, waits)):
            lost = into.setdefault(metric.name, dict.fromkeys(layout.arms, 0))
            for arm, without in zip(layout.arms, np.bincount(arms[which], minlength=count).tolist()):
                lost[arm] += without
        _merge(found.moments.setdefault(metric.name, {}), layout.arms, grouped(values, here, count))
        if metric.name in keep:
            held = found.values.setdefault(metric.name, {})
            for code, arm in enumerate(layout.arms):
                held[arm] = np.concatenate([held.get(arm, np.zeros(0)), values[here == code, 0]])
        for k, (column, (names, level)) in enumerate(zip(layout.segments, cuts)):
            if metric.kind == "quantile":
                values[:, 0] = units[f"m{at}_level{k}"].to_numpy()[has]
            parts = grouped(values, level[has] * count + here, count * len(names))
            for place, name in enumerate(names):
                by_metric = found.segments[column].setdefault(name, {})
                _merge(by_metric.setdefault(metric.name, {}), layout.arms, parts[place * count : (place + 1) * count])


def _vectors(units: Any, at: int, metric: Metric) -> Float64:
    """Float64 (units, k): outcomes, then for each covariate its value (0 where missing) and whether it is missing.

    With both in a regression, a missing value costs nothing and the rest count as they are.
    """
    held = [units[f"m{at}_{place}"].to_numpy() for place in range(metric.outcomes)]
    for place in range(len(metric.covariates)):
        value = units[f"m{at}_x{place}"]
        held += [value.fill_null(0.0).to_numpy(), value.is_null().to_numpy().astype(np.float64)]
    return np.column_stack(held).astype(np.float64)


def _levels(column: Any, name: str, known: dict[str, Any]) -> tuple[list[str], Int64]:
    """The levels of a segment column in this part, and each unit's place among them."""
    names, places = np.unique(column.to_numpy().astype(str), return_inverse=True)
    if len(set(known) | set(names.tolist())) > _LEVELS:
        raise DataError(f"segment {name!r} must have at most {_LEVELS} levels. It has more: cut it into few groups")
    return names.tolist(), places.astype(np.int64)


def _merge(into: dict[str, Moments], arms: Sequence[str], parts: Sequence[Moments]) -> None:
    for arm, part in zip(arms, parts):
        into[arm] = into.get(arm, empty(part.mean.size)).merged(part)


def _points(table: Any, layout: Layout, metric: Metric, probabilities: Any) -> list[tuple[float, float]]:
    """Two quantiles of the rows of each arm; ``probabilities`` is one pair, or one pair an arm."""
    pl = polars()
    value = measured(metric, metric.column)
    found = []
    for code, arm in enumerate(layout.arms):
        pair = probabilities[code] if isinstance(probabilities[0], tuple) else probabilities
        wanted = {f"q{at}": value.quantile(p, interpolation="linear") for at, p in enumerate(pair)}
        low, high = run(table.filter(pl.col("_code") == code).select(**wanted)).row(0)
        if low is None:
            raise DataError(f"metric {metric.name!r}: arm {arm!r} must have rows with a value. It has none")
        found.append((float(low), float(high)))
    return found


def _quantiles(
    table: Any, layout: Layout, metric: Metric, points: Any, *, moments: Mapping[str, Moments], confidence: float
) -> dict[str, Estimate]:
    reach = [quantile_reach(metric, moments[arm], confidence=confidence) for arm in layout.arms]
    ends = _points(table, layout, metric, reach)
    return {
        arm: quantile_estimate(moments[arm].n, points[code][0], *ends[code], confidence=confidence)
        for code, arm in enumerate(layout.arms)
    }
