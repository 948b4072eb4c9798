"""How many units, how long, and what could be seen: before an experiment begins.

Sample sizes of the two-sided z-test: J. Cohen, *Statistical Power Analysis* (1988), section 2.4. An always-valid plan
asks that the sequence's interval at the planned end excludes 0; it may well do so earlier.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE
from shared.experiments.sequential import mixing_variance, sequence_radius
from shared.types import Result

POWER = 0.8


@dataclass(frozen=True)
class Baseline:
    """What is known of a metric before.

    Attributes:
        mean: of one unit.
        variance: of one unit, above 0; of a proportion p this is p (1 - p), of a ratio the variance of the linearised
            ratio (:func:`shared.experiments.metrics.estimate` times n).
        correlation: with the covariate of before, in (-1, 1); CUPED lets the variance fall by its square.
        treated: variance of one treated unit where it differs, as a proportion's does; the same when not given.

    Raises:
        UsageError: a number is out of its range.
    """

    mean: float
    variance: float
    correlation: float = 0.0
    treated: float | None = None

    def __post_init__(self) -> None:
        if not min(self.variance, self.treated or self.variance) > 0 or not -1 < self.correlation < 1:
            raise UsageError(
                f"variance must be above 0 and correlation in (-1, 1). Got {self.variance} and {self.correlation}"
            )

    def spread(self, control: float, treated: float) -> float:
        """The variance of the difference between so many units of both arms, after CUPED."""
        other = self.variance if self.treated is None else self.treated
        return (1 - self.correlation**2) * (self.variance / control + other / treated)


def rate_baseline(rate: float, effect: float = 0.0, *, correlation: float = 0.0) -> Baseline:
    """What is known of a proportion.

    Args:
        rate: its value now, in (0, 1).
        effect: change as a share of it that is to be seen, from which the treated units' variance follows.
        correlation: with the covariate of before.

    Raises:
        UsageError: the rate, now or with the effect, is not in (0, 1).

    Example:
        >>> sample_size(rate_baseline(0.05, 0.1), 0.005).units
        (31231, 31231)
    """
    after = rate * (1 + effect)
    if not 0 < rate < 1 or not 0 < after < 1:
        raise UsageError(f"a rate must lie in (0, 1), now and with the effect. Got {rate} and {after}")
    return Baseline(rate, rate * (1 - rate), correlation, after * (1 - after))


@dataclass(frozen=True, eq=False)
class SizePlan(Result):
    """A planned experiment.

    Attributes:
        units: of each arm, the control first.
        effect: absolute difference that is to be seen.
        relative: the same as a share of the mean; ``None`` where the mean is 0.
        power: chance to see it.
        alpha: two-sided error of each comparison, after division by the number of comparisons.
        sequential: whether an always-valid interval is meant.
    """

    units: tuple[int, ...]
    effect: float
    relative: float | None
    power: float
    alpha: float
    sequential: bool


def power_at(
    baseline: Baseline,
    effect: float,
    units: float,
    *,
    share: float = 0.5,
    alpha: float = 0.05,
    sequential: bool = False,
) -> float:
    """The chance to see an effect with so many units in both arms together.

    Args:
        baseline: of the metric.
        effect: absolute difference, not 0.
        units: of control and treatment together.
        share: of them in the treatment, in (0, 1).
        alpha: two-sided error.
        sequential: by the always-valid interval tuned to this size, looked at once at this size.

    Example:
        >>> round(power_at(Baseline(0.0, 1.0), 0.2, 2 * 394), 3)
        0.802
    """
    variance = baseline.spread(units * (1 - share), units * share)
    unit, error = NormalDist(), math.sqrt(variance)
    if sequential:
        mixing = mixing_variance(variance, confidence=1 - alpha)
        reach = float(sequence_radius(variance, mixing, confidence=1 - alpha)) / error
    else:
        reach = unit.inv_cdf(1 - alpha / 2)
    at = abs(effect) / error
    return unit.cdf(at - reach) + unit.cdf(-at - reach)


def sample_size(
    baseline: Baseline,
    effect: float,
    *,
    power: float = POWER,
    confidence: float = CONFIDENCE,
    shares: Sequence[float] = (0.5, 0.5),
    sequential: bool = False,
) -> SizePlan:
    """How many units each arm needs.

    With several treatments each is compared with the control at the error divided by their number (Bonferroni).

    Args:
        baseline: of the metric.
        effect: absolute difference to be seen, not 0.
        power: chance to see it, in (0, 1).
        confidence: 1 - error in all.
        shares: of the units by arm, the control first.
        sequential: plan for an always-valid interval.

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> sample_size(Baseline(0.0, 1.0), 0.2).units
        (393, 393)
    """
    parts = _parts(shares)
    if not effect or not math.isfinite(effect):
        raise UsageError(f"the effect to be seen must be a number other than 0. Got {effect} instead")
    _inside(power, "power")
    alpha = _level(confidence, len(parts))
    reach, gain = _reach(alpha, sequential), NormalDist().inv_cdf(power)
    if reach + gain <= 0:
        raise UsageError(f"power must be above what the error alone gives. Got power {power} at error {alpha:g}")
    # The arm with the least share is the hardest to tell from the control.
    least = min(parts[1:])
    total = (reach + gain) ** 2 * baseline.spread(parts[0], least) / effect**2
    units = tuple(math.ceil(total * part - 1e-9) for part in parts)
    return SizePlan(units, abs(effect), _share(effect, baseline), power, alpha, sequential)


def detectable(
    baseline: Baseline,
    units: float,
    *,
    power: float = POWER,
    confidence: float = CONFIDENCE,
    shares: Sequence[float] = (0.5, 0.5),
    sequential: bool = False,
) -> SizePlan:
    """The least effect that so many units in all arms together show with the given power.

    Example:
        >>> round(detectable(Baseline(0.0, 1.0), 786).effect, 3)
        0.2
    """
    parts = _parts(shares)
    _inside(power, "power")
    if not units >= 2 * len(parts):
        raise UsageError(f"each arm must have at least 2 units. Got {units} for {len(parts)} arms")
    alpha = _level(confidence, len(parts))
    reach = _reach(alpha, sequential) + NormalDist().inv_cdf(power)
    effect = reach * math.sqrt(baseline.spread(parts[0], min(parts[1:])) / units)
    counts = tuple(int(units * part) for part in parts)
    return SizePlan(counts, effect, _share(effect, baseline), power, alpha, sequential)


@dataclass(frozen=True)
class Weeks:
    """What a history says of an experiment of 1, 2, ... weeks.

    Attributes:
        units: distinct units that came within so many weeks.
        baselines: of the metric, a unit's value being that of so many weeks.

    Raises:
        UsageError: the lengths differ, or the units do not rise.
    """

    units: tuple[int, ...]
    baselines: tuple[Baseline, ...]

    def __post_init__(self) -> None:
        if not self.units or len(self.units) != len(self.baselines):
            raise UsageError(f"each week must have units and a baseline. Got {len(self.units)}, {len(self.baselines)}")
        if any(b < a for a, b in zip(self.units, self.units[1:])) or self.units[0] < 1:
            raise UsageError(f"units must not fall from week to week. Got {self.units} instead")


def duration(
    history: Weeks,
    relative: float,
    *,
    power: float = POWER,
    confidence: float = CONFIDENCE,
    shares: Sequence[float] = (0.5, 0.5),
    traffic: float = 1.0,
    sequential: bool = False,
) -> tuple[int | None, tuple[SizePlan, ...]]:
    """How many whole weeks show a relative effect, and what each number of weeks could show.

    Whole weeks, because weekdays differ. Units come back, so their number grows slower than the weeks, and a sum over
    more weeks has another variance: both are read from the history rather than assumed.

    Args:
        history: of the weeks before.
        relative: effect as a share of the mean, not 0.
        power: chance to see it.
        confidence: 1 - error in all.
        shares: by arm.
        traffic: share of all units that take part, in (0, 1].
        sequential: plan for an always-valid interval.

    Returns:
        The least number of weeks (``None`` where the history is too short for it) and the plan of each.

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> weeks = Weeks((1000, 1800, 2400), tuple(Baseline(1.0, 1.0) for _ in range(3)))
        >>> duration(weeks, 0.15)[0], duration(weeks, 0.05)[0]
        (2, None)
    """
    if not 0 < traffic <= 1 or not relative:
        raise UsageError(f"traffic must lie in (0, 1] and the effect not be 0. Got {traffic} and {relative}")
    plans = tuple(
        detectable(base, n * traffic, power=power, confidence=confidence, shares=shares, sequential=sequential)
        for n, base in zip(history.units, history.baselines)
    )
    enough = (n for n, plan in enumerate(plans, 1) if plan.relative is not None and plan.relative <= abs(relative))
    return next(enough, None), plans


def _reach(alpha: float, sequential: bool) -> float:
    if not sequential:
        return NormalDist().inv_cdf(1 - alpha / 2)
    return float(sequence_radius(1.0, mixing_variance(1.0, confidence=1 - alpha), confidence=1 - alpha))


def _share(effect: float, baseline: Baseline) -> float | None:
    return abs(effect / baseline.mean) if baseline.mean else None


def _parts(shares: Sequence[float]) -> list[float]:
    if len(shares) < 2 or not all(share > 0 for share in shares):
        raise UsageError(f"at least two arms must have shares above 0. Got {list(shares)} instead")
    return [share / sum(shares) for share in shares]


def _level(confidence: float, arms: int) -> float:
    _inside(confidence, "confidence")
    return (1 - confidence) / (arms - 1)


def _inside(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise UsageError(f"{name} must lie between 0 and 1. Got {value} instead")
