"""A challenger on a share of the traffic: whether it may have all of it, must go, or is to go on.

The share is an experiment of :mod:`shared.experiments`: units are assigned by a salted hash, figures are read by
always-valid intervals, so that it may be looked at after every outcome, and what decides is
:func:`shared.experiments.decide.decide`. Over all looks together, a challenger that is worse than a margin is promoted
with a chance of at most ``error``, and one that is no worse than the margin is rolled back for harm with a chance of at
most ``error``. Arms that do not get the units that were planned are rolled back too: nothing that is read of them
holds. What is still open at the planned number of units is not promoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal, TypeAlias

import numpy as np

from shared.errors import UsageError
from shared.evaluation.items import Items
from shared.experiments.analysis import judge
from shared.experiments.assignment import assign
from shared.experiments.collecting import Collected
from shared.experiments.decide import SMALL, Action
from shared.experiments.definition import Arm, Experiment
from shared.experiments.metrics import Metric
from shared.experiments.moments import Moments, empty, moments_of
from shared.experiments.settings import Settings
from shared.types import Float64

CHAMPION, CHALLENGER = "champion", "challenger"
LOOKS = 20
"""How often a stream is looked at until the planned number of units, unless said otherwise."""
Verdict: TypeAlias = Literal["promote", "roll back", "go on"]
_TOLD = ("metric", "control_value", "value", "difference", "low", "high", "p_value")
_MEANT: Mapping[Action, Verdict] = {
    "ship": "promote",
    "do not ship": "roll back",
    "invalid": "roll back",
    "keep running": "go on",
}


@dataclass(frozen=True)
class CanaryRules:
    """How a canary is judged.

    Attributes:
        metrics: what is measured of each unit; at least one primary. With a margin a primary metric must stay within
            it, without one it must be better; a guardrail must stay within its margin, or not be worse.
        share: of the units that get the challenger, in (0, 1).
        planned: units of both arms together at which it is decided at the latest.
        error: of each of the two wrong decisions over all looks, in (0, 0.5).
        experiment: its name, by which units are drawn and exposures are found.

    Raises:
        UsageError: a number is out of its range.
    """

    metrics: tuple[Metric, ...]
    share: float = 0.1
    planned: int = 10_000
    error: float = 0.05
    experiment: str = "canary"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or not 0 < self.error < 0.5 or self.planned * min(self.share, 1 - self.share) < SMALL:
            raise UsageError(
                "a canary's share must lie in (0, 1), its error in (0, 0.5), and the smaller arm have "
                f"{SMALL} of the planned units at least. Got share={self.share}, error={self.error}, "
                f"planned={self.planned} instead"
            )
        self.settings  # noqa: B018 - its own checks, now rather than after the traffic

    @property
    def settings(self) -> Settings:
        """How :mod:`shared.experiments` judges it."""
        arms = {CHAMPION: 1 - self.share, CHALLENGER: self.share}
        return Settings(arms, self.metrics, planned=self.planned, confidence=1 - self.error)

    @property
    def drawn(self) -> Experiment:
        """How units are assigned; a server's split of this name and these weights draws alike."""
        arms = (Arm(CHAMPION, 1 - self.share), Arm(CHALLENGER, self.share))
        return Experiment(self.experiment, arms)


@dataclass(frozen=True)
class Outcome:
    """What came of one unit.

    Attributes:
        unit: its id.
        arm: whose answer it saw.
        values: of each metric's column.
    """

    unit: str
    arm: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class CanaryVerdict:
    """What a canary says now.

    Attributes:
        action: ``"promote"``, ``"roll back"`` or ``"go on"``.
        reasons: sentences, the weightiest first.
        units: by arm.
        error: of each wrong decision over all looks.
        effects: what was measured, JSON-ready.
    """

    action: Verdict
    reasons: tuple[str, ...]
    units: Mapping[str, int]
    error: float
    effects: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        return {
            "action": self.action,
            "reasons": list(self.reasons),
            "units": dict(self.units),
            "error": self.error,
            "effects": [dict(effect) for effect in self.effects],
        }


def canary(outcomes: Iterable[Outcome], rules: CanaryRules, *, every: int | None = None) -> CanaryVerdict:
    """Follow a stream until it decides, in bounded memory.

    Args:
        outcomes: one of each unit, as they come; it is read no further than the decision.
        rules: how it is judged; metrics of one number a unit, without covariates.
        every: units between two looks; a twentieth of the planned when not given. Any number is valid.

    Returns:
        The first decision, or ``"go on"`` where the stream ends before.

    Raises:
        UsageError: an arm or a value is not known, or a metric needs more than one number a unit.

    Example:
        >>> rules = CanaryRules((Metric("right", "proportion", "right", margin=0.1),), share=0.5, planned=2000)
        >>> arms = ["champion", "challenger"] * 1000
        >>> found = canary((Outcome(str(n), arm, {"right": 1.0}) for n, arm in enumerate(arms)), rules)
        >>> found.action, found.units["challenger"] < 1000
        ('promote', True)
    """
    step = every or max(1, rules.planned // LOOKS)
    wrong = [m.name for m in rules.metrics if m.outcomes > 1 or m.covariates or m.window]
    if wrong:
        raise UsageError(f"a stream is read by metrics of one number a unit. Got {', '.join(wrong)}: read its log")
    settings, stream = rules.settings, iter(outcomes)
    found = Collected(0, dict.fromkeys(settings.arms, 0))
    found.moments = {m.name: {arm: empty(1) for arm in settings.arms} for m in rules.metrics}
    found.dropped = {m.name: dict.fromkeys(settings.arms, 0) for m in rules.metrics}
    verdict = CanaryVerdict("go on", ("no unit has an outcome yet",), dict(found.units), rules.error)
    while chunk := list(islice(stream, step)):
        _add(found, chunk, rules)
        verdict = look(found, rules)
        if verdict.action != "go on":
            break
    return verdict


def replayed(champion: Items, challenger: Items, rules: CanaryRules, *, rng: np.random.Generator) -> Iterator[Outcome]:
    """Traffic without people: labelled items asked for again, each unit answered by the model of its arm.

    Args:
        champion: the items of its evaluation on the traffic.
        challenger: the other's, of the same items.
        rules: how units are assigned; as many are drawn as are planned.
        rng: source of which items are asked for, with replacement.

    Yields:
        Outcomes whose value ``right`` is the item's main figure.

    Raises:
        UsageError: the items differ or have no main figure.
    """
    if champion.ids != challenger.ids or champion.main != challenger.main:
        raise UsageError("both models must be evaluated on the same traffic by the same figure")
    right: Mapping[str, Float64] = {CHAMPION: champion.right(), CHALLENGER: challenger.right()}
    usable = np.flatnonzero(~np.isnan(right[CHAMPION] + right[CHALLENGER]))
    if not usable.size:
        raise UsageError("the traffic must have an item that both models have a figure for. It has none")
    picked = usable[rng.integers(0, usable.size, rules.planned)].tolist()
    rows = assign(rules.drawn, [f"request {number}" for number in range(rules.planned)]).rows()
    for row, item in zip(rows, picked):
        yield Outcome(row["unit"], row["arm"], {"right": float(right[row["arm"]][item])})


def _add(found: Collected, chunk: Sequence[Outcome], rules: CanaryRules) -> None:
    found.rows += len(chunk)
    for arm in found.units:
        own = [outcome for outcome in chunk if outcome.arm == arm]
        found.units[arm] += len(own)
        for metric in rules.metrics:
            values = _values(own, metric)
            found.dropped[metric.name][arm] += len(own) - len(values)
            found.moments[metric.name][arm] = found.moments[metric.name][arm].merged(_moments(values))
    known = sum(found.units.values())
    if known != found.rows:
        raise UsageError(f"the arm of an outcome must be {' or '.join(found.units)}. {found.rows - known} have another")


def _values(own: Sequence[Outcome], metric: Metric) -> list[float]:
    found = []
    for outcome in own:
        value = outcome.values.get(metric.column)
        if value is not None:
            found.append(float(value))
        elif metric.missing == "zero":
            found.append(0.0)
        elif metric.missing == "raise":
            raise UsageError(
                f"unit {outcome.unit!r} must have {metric.column!r} for metric {metric.name!r}. It has "
                f"{sorted(outcome.values)}: say what missing values are"
            )
    return found


def _moments(values: list[float]) -> Moments:
    return moments_of(np.asarray(values, np.float64)) if values else empty(1)


def look(found: Collected, rules: CanaryRules) -> CanaryVerdict:
    """What moments that were collected say now."""
    least = min(moments.n for arms in found.moments.values() for moments in arms.values())
    units = dict(found.units)
    if least < SMALL:
        return CanaryVerdict("go on", (f"an arm has {least} units with a value yet",), units, rules.error)
    still = [name for name, arms in found.moments.items() if not any(m.products.any() for m in arms.values())]
    means = [float(moments.mean[0]) for name in still for moments in found.moments[name].values()]
    if any(not 0 <= mean <= 1 for mean in means):
        return CanaryVerdict("go on", (f"every unit has one value of {', '.join(still)} yet",), units, rules.error)
    moments = found.moments | {name: _varied(found.moments[name]) for name in still}
    report = judge(replace(found, moments=moments), rules.settings)
    said = report.verdicts[0]
    effects = tuple({name: getattr(effect, name) for name in _TOLD} for effect in report.effects)
    return CanaryVerdict(_MEANT[said.action], said.reasons, units, rules.error, effects)


def _varied(arms: Mapping[str, Moments]) -> dict[str, Moments]:
    """Values in 0..1 that never differed have no interval: half a unit of the other end gives them one."""
    return {arm: held.merged(moments_of(np.array([0.5]))) for arm, held in arms.items()}
