"""A whole experiment in one call: read, check, compare, decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.experiments.collecting import MEMORY, Collected, collect
from shared.experiments.comparing import SEQUENTIAL, ArmEffect, compare
from shared.experiments.decide import SMALL, Verdict, decide, invalid_reasons
from shared.experiments.many import corrected
from shared.experiments.ratio import RatioCheck, check_ratio, multinomial_p
from shared.experiments.segments import SegmentEffects, segment_effects
from shared.experiments.settings import Settings
from shared.types import Result

MISSING = 100.0
"""Concentration of the sequential test of missing values: what leaves one arm alone leaves it by more than a point."""


@dataclass(frozen=True, eq=False)
class ExperimentReport(Result):
    """What an experiment says.

    Attributes:
        rows: of the table.
        units: by arm.
        crossed: units in several arms, left out.
        dropped: by metric and arm the units without a value, left out of that metric.
        waiting: by metric and arm the units whose window is not over, left out of that metric for now.
        ratio: the sample-ratio check.
        effects: every metric of every arm; a metric is left out while the window of most of its units is not over.
        segments: effects by segment.
        verdicts: one an arm.
        best: of the arms to ship the one whose first primary metric gained most, or ``None``.
        method: that was asked for.
        confidence: of every interval.
    """

    rows: int
    units: Mapping[str, int]
    crossed: int
    dropped: Mapping[str, Mapping[str, int]]
    waiting: Mapping[str, Mapping[str, int]]
    ratio: RatioCheck
    effects: tuple[ArmEffect, ...]
    segments: tuple[SegmentEffects, ...]
    verdicts: tuple[Verdict, ...]
    best: str | None
    method: str
    confidence: float


def analyse(source: Any, settings: Settings, *, memory: int = MEMORY) -> ExperimentReport:
    """Analyse an experiment.

    Args:
        source: a path or a frame with one or more rows a unit; see :func:`shared.experiments.sources.open_table`, and
            :func:`shared.experiments.joining.joined` where assignment and events lie apart.
        settings: how it is judged.
        memory: bytes that the table of a part of the units may take, by estimate.

    Raises:
        DataError: the table is malformed, an arm is missing, units lie in several arms, a value is missing, or a metric
            does not vary.
        UsageError: the settings do not fit the data.

    Example:
        >>> import polars as pl
        >>> from shared.experiments.settings import settings_of
        >>> rng = np.random.default_rng(0)
        >>> frame = pl.DataFrame({"unit": range(4000), "arm": ["a", "b"] * 2000, "spend": rng.normal(10, 2, 4000)})
        >>> settings = settings_of({"analysis": {"planned": 4000}, "arms": {"a": 0.5, "b": 0.5},
        ...                         "metrics": {"spend": {"kind": "mean", "column": "spend"}}})
        >>> analyse(frame, settings).verdicts[0].action
        'do not ship'
    """
    keep = [m.name for m in settings.metrics] if settings.method == "bootstrap" else []
    found = collect(source, settings.layout, settings.metrics, keep=keep, confidence=settings.confidence, memory=memory)
    return judge(found, settings)


def judge(found: Collected, settings: Settings) -> ExperimentReport:
    """Check, compare and decide, from what was read of a table or was put together otherwise.

    Args:
        found: moments by metric and arm, and what else :func:`shared.experiments.collecting.collect` gives.
        settings: how it is judged.

    Raises:
        DataError: an arm has fewer than two units, or a metric does not vary.
        UsageError: the settings do not fit the data.
    """
    total = sum(found.units.values())
    waiting = {m.name: sum(found.waiting.get(m.name, {}).values()) for m in settings.metrics}
    progress = {
        name: None if settings.planned is None else (total - waits) / settings.planned
        for name, waits in waiting.items()
    }
    rng = np.random.default_rng(settings.seed)
    few = {m.name for m in settings.metrics if min(one.n for one in found.moments[m.name].values()) < SMALL}
    unread = {name for name in few if waiting[name]}
    effects = [
        effect
        for metric in settings.metrics
        if metric.name not in unread
        for effect in compare(
            metric,
            settings,
            moments=found.moments[metric.name],
            progress=progress[metric.name],
            quantiles=found.quantiles.get(metric.name),
            values=found.values.get(metric.name),
            rng=rng,
        )
    ]
    effects = _corrected(effects, settings)
    ratio = check_ratio(
        found.units, settings.arms, sequential=settings.method in SEQUENTIAL, level=settings.ratio_alarm
    )
    missing = _missing_p(found, settings)
    invalid = invalid_reasons(ratio, found.crossed, missing, units=total, level=settings.ratio_alarm)
    verdicts = tuple(
        decide(
            arm,
            {e.metric: e for e in effects if e.arm == arm},
            settings.metrics,
            settings,
            units=total - max(waiting.values()),
            invalid=invalid,
        )
        for arm in settings.treatments
    )
    return ExperimentReport(
        rows=found.rows,
        units=found.units,
        crossed=found.crossed,
        dropped={name: arms for name, arms in found.dropped.items() if any(arms.values())},
        waiting={name: arms for name, arms in found.waiting.items() if any(arms.values())},
        ratio=ratio,
        effects=tuple(effects),
        segments=segment_effects(found, settings.metrics, settings, progress=progress),
        verdicts=verdicts,
        best=_best(verdicts, effects, settings),
        method=settings.method,
        confidence=settings.confidence,
    )


def _corrected(effects: Sequence[ArmEffect], settings: Settings) -> list[ArmEffect]:
    """Primary metrics are corrected among each other, and secondary ones; arms are corrected within each metric."""
    fixed: dict[tuple[str, str], float] = {}
    for role in ("primary", "secondary"):
        for arm in settings.treatments:
            p_values = {e.metric: e.p_value for e in effects if e.role == role and e.arm == arm}
            found = corrected(p_values, correction=settings.correction)
            fixed |= {(metric, arm): p for metric, p in found.items()}
    return [dataclasses.replace(e, corrected_p_value=fixed.get((e.metric, e.arm))) for e in effects]


def _missing_p(found: Collected, settings: Settings) -> dict[str, float]:
    """By metric the p-value of one share of missing values in all arms, where some are missing.

    Where the experiment is looked at often, units without a value must be shared as planned at all looks together;
    chi-square at each look would raise a false alarm in the end.
    """
    from scipy.stats import chi2_contingency  # noqa: PLC0415

    p_values = {}
    for name, gone in found.dropped.items():
        if settings.method in SEQUENTIAL and any(gone.values()):
            shares = [settings.arms[arm] / sum(settings.arms.values()) for arm in gone]
            p_values[name] = multinomial_p(list(gone.values()), shares, concentration=MISSING)
            continue
        table = np.array([[gone[arm], found.moments[name][arm].n] for arm in gone])
        if table.sum(axis=0).all():
            p_values[name] = float(chi2_contingency(table, correction=False).pvalue)
    return p_values


def _best(verdicts: Sequence[Verdict], effects: Sequence[ArmEffect], settings: Settings) -> str | None:
    first = next(metric for metric in settings.metrics if metric.role == "primary")
    gains = {e.arm: first.sign * e.difference for e in effects if e.metric == first.name}
    return max((v.arm for v in verdicts if v.action == "ship"), key=lambda arm: gains[arm], default=None)
