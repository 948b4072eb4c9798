"""Effects by segment, and whether they differ more than chance lets them.

W. Cochran, "The combination of estimates from different experiments", Biometrics 10 (1954) for the test of one effect
in all segments. Among many segments some look good by chance: read the corrected p-values, and only where the test of
differing effects speaks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.errors import DataError, UsageError
from shared.experiments.collecting import Collected
from shared.experiments.comparing import ArmEffect, compare
from shared.experiments.many import corrected
from shared.experiments.metrics import Metric
from shared.experiments.settings import Settings
from shared.types import Result


@dataclass(frozen=True, eq=False)
class SegmentEffects(Result):
    """One metric of one arm in every level of a segment.

    Attributes:
        segment: the column.
        metric: the metric's name.
        arm: the treatment.
        levels: those that have an effect.
        effects: of each level; corrected p-values over all levels, metrics and arms of the report.
        left_out: levels without one, each with the reason.
        q: Cochran's statistic.
        p_value: of one effect in all levels, by one look; ``None`` where fewer than two have an effect.
        corrected_p_value: the same corrected over all segments, metrics and arms of the report.
    """

    segment: str
    metric: str
    arm: str
    levels: tuple[str, ...]
    effects: tuple[ArmEffect, ...]
    left_out: Mapping[str, str]
    q: float
    p_value: float | None
    corrected_p_value: float | None = None


def heterogeneity(values: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Cochran's Q of independent estimates and the p-value of one common value: chi-square with k - 1 degrees.

    Args:
        values: at least 2.
        errors: their standard errors, above 0.

    Raises:
        UsageError: there are fewer than two, or an error is not above 0.

    Example:
        >>> q, p = heterogeneity([0.0, 2.0], [1.0, 1.0])
        >>> round(q, 6), round(p, 4)
        (2.0, 0.1573)
    """
    from scipy.stats import chi2  # noqa: PLC0415

    if len(values) < 2 or len(values) != len(errors) or min(errors) <= 0:
        raise UsageError(f"at least two estimates must have errors above 0. Got {list(values)} and {list(errors)}")
    weights = [error**-2 for error in errors]
    common = sum(w * v for w, v in zip(weights, values)) / sum(weights)
    q = sum(w * (v - common) ** 2 for w, v in zip(weights, values))
    return q, float(chi2.sf(q, len(values) - 1))


def segment_effects(
    found: Collected,
    metrics: Sequence[Metric],
    settings: Settings,
    *,
    progress: Mapping[str, float | None],
) -> tuple[SegmentEffects, ...]:
    """The effects of all metrics in all levels of all segments.

    A level in which an arm has fewer than two units, or nothing varies, is left out and named with the reason.

    Args:
        found: what was read of the table.
        metrics: what is measured.
        settings: how it is judged; the bootstrap gives way to Welch here.
        progress: by metric the units so far over those planned.
    """
    if settings.method == "bootstrap":
        settings = dataclasses.replace(settings, method="fixed")
    rows = []
    for column in found.segments:
        for metric in metrics:
            rows += _of_one(column, found, metric, settings, progress[metric.name])
    return _all_corrected(rows, settings.correction)


def _of_one(
    column: str,
    found: Collected,
    metric: Metric,
    settings: Settings,
    progress: float | None,
) -> list[SegmentEffects]:
    kept: dict[str, dict[str, ArmEffect]] = {arm: {} for arm in settings.treatments}
    left_out: dict[str, str] = {}
    levels, quantiles = found.segments[column], found.level_quantiles.get(column, {})
    without = {level: why[metric.name] for level, why in found.without.get(column, {}).items() if metric.name in why}
    for level in sorted(levels):
        if level in without:
            left_out[level] = without[level]
            continue
        held = quantiles[level][metric.name] if metric.kind == "quantile" else None
        moments = levels[level][metric.name]
        try:
            for effect in compare(metric, settings, moments=moments, progress=progress, quantiles=held):
                kept[effect.arm][level] = effect
        except DataError as error:
            left_out[level] = str(error)
    rows = []
    for arm, effects in kept.items():
        q, p_value = 0.0, None
        if len(effects) > 1:
            q, p_value = heterogeneity(
                [e.difference for e in effects.values()], [e.standard_error for e in effects.values()]
            )
        rows.append(
            SegmentEffects(column, metric.name, arm, tuple(effects), tuple(effects.values()), left_out, q, p_value)
        )
    return rows


def _all_corrected(rows: Sequence[SegmentEffects], correction: str) -> tuple[SegmentEffects, ...]:
    tests = {str(at): row.p_value for at, row in enumerate(rows) if row.p_value is not None}
    effects = {f"{at} {place}": e.p_value for at, row in enumerate(rows) for place, e in enumerate(row.effects)}
    tests, effects = corrected(tests, correction=correction), corrected(effects, correction=correction)
    return tuple(
        dataclasses.replace(
            row,
            corrected_p_value=tests.get(str(at)),
            effects=tuple(
                dataclasses.replace(effect, corrected_p_value=effects[f"{at} {place}"])
                for place, effect in enumerate(row.effects)
            ),
        )
        for at, row in enumerate(rows)
    )
