"""Quantiles of rows in every level of a segment, as sure as the units of that level are.

The same two steps as for all rows (A. Deng, U. Knoblich and J. Lu, KDD 2018, section 4): the quantile of each arm and
level, then from the units' shares of rows below it the two probabilities whose quantiles enclose it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared.errors import DataError
from shared.experiments.metrics import Estimate, Metric, quantile_estimate, quantile_reach
from shared.experiments.moments import Moments
from shared.experiments.rows import Layout, level_of, measured
from shared.experiments.sources import polars, run


def with_level_points(table: Any, layout: Layout, metrics: Sequence[Metric]) -> Any:
    """The table with, for metric ``at`` of kind quantile and segment ``k``, the quantile of the row's arm and level.

    Args:
        table: with the arm's code in ``_code``.
        layout: where it holds what.
        metrics: what is measured; the columns that are added are called ``_m{at}_{k}``.
    """
    for at, metric in enumerate(metrics):
        if metric.kind != "quantile":
            continue
        value = measured(metric, metric.column)
        for k, column in enumerate(layout.segments):
            point = value.quantile(float(metric.quantile or 0.5), interpolation="linear").alias(f"_m{at}_{k}")
            small = run(table.group_by("_code", level_of(column).alias(f"_level{k}")).agg(point))
            table = table.with_columns(level_of(column).alias(f"_level{k}"))
            table = table.join(small.lazy(), on=["_code", f"_level{k}"], how="left")
    return table


def level_quantiles(
    table: Any,
    layout: Layout,
    metric: Metric,
    column: str,
    moments: Mapping[str, Mapping[str, Moments]],
    *,
    confidence: float,
) -> tuple[dict[str, dict[str, Estimate]], dict[str, str]]:
    """The quantile of each arm in each level; and of levels without one the reason.

    One arm's values and levels are in memory at a time.

    Args:
        table: with the arm's code in ``_code``.
        layout: where it holds what.
        metric: of kind quantile.
        column: the segment.
        moments: by level and arm, of units' rows at or below that level's own quantile, and of all their rows.
        confidence: of the intervals from which standard errors are read.
    """
    pl = polars()
    found: dict[str, dict[str, Estimate]] = {level: {} for level in moments}
    without: dict[str, str] = {}
    value = measured(metric, metric.column)
    for code, arm in enumerate(layout.arms):
        rows = run(table.filter(pl.col("_code") == code).select(_level=level_of(column), _value=value).drop_nulls())
        held = {str(name[0]): part["_value"].to_numpy() for name, part in rows.group_by("_level")}
        for level, arms in moments.items():
            try:
                reach = quantile_reach(metric, arms[arm], confidence=confidence)
            except DataError as error:
                without.setdefault(level, str(error))
                continue
            probabilities = [float(metric.quantile or 0.5), *reach]
            point, low, high = np.quantile(held[level], probabilities).tolist()
            found[level][arm] = quantile_estimate(arms[arm].n, point, low, high, confidence=confidence)
    return {level: arms for level, arms in found.items() if level not in without}, without
