"""How an experiment is judged, as frozen data, read from TOML.

::

    [analysis]
    unit = "user"                # column of the unit of assignment
    arm = "arm"                  # column of the arm
    method = "always-valid"      # or fixed, group-sequential, bayesian, bootstrap
    planned = 20000              # units of all arms at which it is meant to be decided

    [arms]                       # the control first, with the planned share of units
    control = 0.5
    treatment = 0.5

    [metrics.revenue]
    kind = "mean"
    column = "revenue"
    covariates = ["revenue_before"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES
from shared.experiments.adjust import METHODS as ADJUSTMENTS
from shared.experiments.many import CORRECTIONS
from shared.experiments.metrics import Metric, from_table, typed
from shared.experiments.ratio import ALARM
from shared.experiments.rows import CROSSED, Layout
from shared.experiments.sequential import SPENDING

METHODS = ("always-valid", "fixed", "group-sequential", "bayesian", "bootstrap")


@dataclass(frozen=True)
class Settings:
    """How an experiment is judged.

    Attributes:
        arms: planned shares by arm, the control first.
        metrics: what is measured, at least one of them primary.
        unit: column of the unit of assignment.
        arm: column of the arm.
        method: ``"always-valid"`` may be looked at at any time; ``"group-sequential"`` at planned looks; ``"fixed"``,
            ``"bootstrap"`` and ``"bayesian"`` once, at the planned end.
        adjustment: ``"cuped"``, ``"regression"`` or ``"none"``, for metrics that have covariates.
        confidence: coverage of every interval; 1 - confidence is the error over all arms and primary metrics.
        planned: units of all arms together at which the experiment is meant to be decided; units that wait for the end
            of a metric's window do not count yet.
        looks: fractions of the planned units at which it was looked at before, for group-sequential.
        spending: of the error, for group-sequential.
        correction: over primary metrics, and over secondary ones.
        segments: columns whose levels are looked at one by one.
        crossed: what units in several arms are, see :class:`shared.experiments.rows.Layout`.
        ratio_alarm: level of the sample-ratio check.
        loss: share of the control's value that a wrong choice may cost on average, for bayesian.
        prior_sd: of the difference as a share of the control's value, for bayesian; flat when not given.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        UnknownNameError: a method, correction or the like is not known.
        UsageError: a number is out of its range, or a method misses what it needs.
    """

    arms: Mapping[str, float]
    metrics: tuple[Metric, ...]
    unit: str = "unit"
    arm: str = "arm"
    method: str = "always-valid"
    adjustment: str = "cuped"
    confidence: float = CONFIDENCE
    planned: int | None = None
    looks: tuple[float, ...] = ()
    spending: str = SPENDING[0]
    correction: str = "holm"
    segments: tuple[str, ...] = ()
    crossed: str = CROSSED[0]
    ratio_alarm: float = ALARM
    loss: float = 0.001
    prior_sd: float | None = None
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        for what, value, known in (
            ("method", self.method, METHODS),
            ("adjustment", self.adjustment, (*ADJUSTMENTS, "none")),
            ("spending function", self.spending, SPENDING),
            ("correction", self.correction, CORRECTIONS),
            ("rule for units in several arms", self.crossed, CROSSED),
        ):
            if value not in known:
                raise UnknownNameError(what, value, known)
        if len(self.arms) < 2 or not all(share > 0 for share in self.arms.values()):
            raise UsageError(f"an experiment must have at least two arms with shares above 0. Got {dict(self.arms)}")
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names) or not any(metric.role == "primary" for metric in self.metrics):
            raise UsageError(f"metrics must have different names and at least one must be primary. Got {names}")
        if not 0 < self.confidence < 1:
            raise UsageError(f"confidence must lie between 0 and 1. Got {self.confidence} instead")
        self._check_method()

    def _check_method(self) -> None:
        if self.planned is not None and self.planned < 2 * len(self.arms):
            raise UsageError(f"planned must be units of all arms together, at least 2 an arm. Got {self.planned}")
        if self.method in ("always-valid", "group-sequential") and self.planned is None:
            raise UsageError(
                f"{self.method} must know 'planned', the units of all arms at which it is meant to be decided: "
                "'triptych experiment power' says how many. An always-valid interval is narrowest there, valid anywhere"
            )
        if self.looks and self.method != "group-sequential":
            raise UsageError(f"'looks' belong to group-sequential. The method is {self.method}: leave them out")
        if self.method == "bootstrap" and any(m.outcomes > 1 or m.covariates for m in self.metrics):
            raise UsageError(
                "the bootstrap takes metrics of one number a unit without covariates: choose another method"
            )

    @property
    def control(self) -> str:
        """The first arm."""
        return next(iter(self.arms))

    @property
    def treatments(self) -> tuple[str, ...]:
        """All other arms."""
        return tuple(self.arms)[1:]

    @property
    def layout(self) -> Layout:
        """Where the table holds what."""
        return Layout(self.unit, self.arm, tuple(self.arms), self.segments, self.crossed)


def read_settings(path: str | Path) -> Settings:
    """Settings from a TOML file.

    Raises:
        DataError: the file is not there or no TOML.
        UnknownNameError: a table or key is not known.
        UsageError: a value is wrong.
    """
    try:
        data = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path} must be a TOML file with [analysis], [arms] and [metrics.NAME]. {error}") from error
    return settings_of(data)


def settings_of(data: Mapping[str, Any]) -> Settings:
    """Settings from the tables of a TOML file.

    Example:
        >>> data = {"analysis": {"planned": 100}, "arms": {"a": 0.5, "b": 0.5}}
        >>> settings_of(data | {"metrics": {"spend": {"kind": "mean", "column": "spend"}}}).control
        'a'
    """
    for name in data:
        if name not in ("analysis", "arms", "metrics"):
            raise UnknownNameError("table of an experiment's settings", name, ("analysis", "arms", "metrics"))
    tables = {name: data.get(name, {}) for name in ("analysis", "arms", "metrics")}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise UsageError(f"[{name}] must be a table. Got {table!r} instead")
    for name, share in tables["arms"].items():
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise UsageError(f"arm {name!r} must have its planned share, a number. Got {share!r} instead")
    values = typed(Settings, tables["analysis"], what="[analysis]", without=("arms", "metrics"))
    for name, row in tables["metrics"].items():
        if not isinstance(row, Mapping):
            raise UsageError(f"[metrics.{name}] must be a table. Got {row!r} instead")
    metrics = tuple(from_table(name, row) for name, row in tables["metrics"].items())
    return Settings(dict(tables["arms"]), metrics, **values)
