"""A canary on live traffic: the exposure log of a server's split, joined with what came of its units."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.errors import UsageError
from shared.experiments.collecting import collect
from shared.experiments.decide import SMALL
from shared.experiments.exposures import first_exposures, read_exposures
from shared.experiments.joining import joined_within
from shared.lifecycle.canary import CHALLENGER, CHAMPION, CanaryRules, CanaryVerdict, look


def canary_of_log(
    exposures: Path,
    outcomes: Any,
    rules: CanaryRules,
    *,
    unit: str = "unit",
    at: str = "time",
    since: datetime | None = None,
) -> CanaryVerdict:
    """Look at a canary in the exposure log that ``triptych serve`` writes of a split, with what came of its units.

    Args:
        exposures: the log's folder; rows of other experiments are left out.
        outcomes: a table of units, times and values; what came before a unit's exposure does not count.
        rules: how it is judged. A metric's ``missing`` says what a unit without a row is.
        unit: the outcomes' column of units.
        at: their column of times.
        since: when the challenger began to answer; what the log has of units before was of another one, and does not
            count.

    Raises:
        DataError: no log stands there, or a table is malformed.
        MissingDependencyError: the extra experiments is not installed.
    """
    rows = read_exposures(exposures, experiment=rules.experiment)
    counted = (row for row in rows if since is None or row.time >= since)
    seen = first_exposures(counted, experiment=rules.experiment)
    units = {CHAMPION: 0, CHALLENGER: 0}
    for row in seen.rows:
        if row.arm not in units:
            raise UsageError(f"the arms of {rules.experiment!r} must be {CHAMPION} and {CHALLENGER}. Got {row.arm!r}")
        units[row.arm] += 1
    if min(units.values()) < SMALL:
        return CanaryVerdict("go on", (f"an arm has fewer than {SMALL} units yet",), units, rules.error)
    renamed = _with_unit(outcomes, unit)
    shown = exposures if since is None else _later(exposures, since)
    with joined_within(
        shown, renamed, unit="unit", arm="arm", exposed_at="time", at=at, experiment=rules.experiment
    ) as table:
        settings = rules.settings
        found = collect(table, settings.layout, settings.metrics, confidence=settings.confidence)
    return look(found, rules)


def _later(exposures: Path, since: datetime) -> Any:
    from shared.experiments.sources import columns_of, dated, open_table, polars  # noqa: PLC0415 - the same

    table = open_table(exposures, text=("unit", "arm"))
    moment = since.astimezone(UTC).replace(tzinfo=None)
    return dated(table, "time", columns_of(table)).filter(polars().col("time") >= moment)


def _with_unit(outcomes: Any, unit: str) -> Any:
    from shared.experiments.sources import open_table  # noqa: PLC0415 - needs the extra experiments

    table = open_table(outcomes, text=(unit,))
    return table if unit == "unit" else table.rename({unit: "unit"})
