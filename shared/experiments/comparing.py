"""Each arm beside the control by the method that was chosen: one function for all units and for each segment."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from shared.errors import UsageError
from shared.experiments.adjust import adjust, contrast_variance, moved_quantile
from shared.experiments.bayes import Posterior, beta_posterior, normal_posterior
from shared.experiments.fixed import Difference, bootstrap, proportions, relative, spread, steadied, welch
from shared.experiments.many import dunnett_critical, dunnett_p
from shared.experiments.metrics import Estimate, Metric, estimate
from shared.experiments.moments import Moments
from shared.experiments.sequential import always_valid, group_sequential, mixing_variance
from shared.experiments.settings import Settings
from shared.types import Float64, Result

SEQUENTIAL = ("always-valid", "group-sequential")
"""Methods that may be looked at more than once."""
BOOTSTRAP_UNITS = 2_000_000
"""Above so many units of an arm the bootstrap of a mean is Welch's interval, at a thousand times the cost."""


@dataclass(frozen=True, eq=False)
class ArmEffect(Result):
    """One metric of one arm beside the control.

    Attributes:
        metric: its name.
        role: primary, secondary or guardrail.
        arm: the treatment.
        n_control: units of the control with a value.
        n: units of the arm with a value.
        control_value: the control's figure, adjusted where the metric has covariates.
        value: the arm's figure.
        difference: value - control_value.
        low: lower end of its interval, which holds for all arms together.
        high: upper end.
        standard_error: of the difference.
        p_value: two-sided; with several arms corrected for their number.
        corrected_p_value: the same after correction over the metrics of its role; ``None`` for guardrails.
        relative: difference as a share of the control's figure, ``None`` where that is near 0.
        relative_low: lower end of its interval.
        relative_high: upper end.
        method: what the interval and the p-value come from.
        variance_cut: share of the control's variance that the covariates took away.
        chance: that the arm is better in the metric's direction, for bayesian.
        loss: what choosing the arm costs on average if it is the worse one, for bayesian.
        slack_low: with a margin, lower end of the interval of how far the arm stays within it; above 0 it does.
        slack_high: upper end; below 0 it does not.
    """

    metric: str
    role: str
    arm: str
    n_control: int
    n: int
    control_value: float
    value: float
    difference: float
    low: float
    high: float
    standard_error: float
    p_value: float
    corrected_p_value: float | None
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    method: str
    variance_cut: float = 0.0
    chance: float | None = None
    loss: float | None = None
    slack_low: float | None = None
    slack_high: float | None = None


@dataclass(frozen=True)
class _Figures:
    """The estimates of the control and of each treatment beside it."""

    control: Estimate
    arms: Mapping[str, Estimate]
    variance_cut: float = 0.0
    adjusted: bool = False


def compare(
    metric: Metric,
    settings: Settings,
    *,
    moments: Mapping[str, Moments],
    progress: float | None,
    quantiles: Mapping[str, Estimate] | None = None,
    values: Mapping[str, Float64] | None = None,
    rng: np.random.Generator | None = None,
) -> list[ArmEffect]:
    """All arms beside the control.

    Args:
        metric: what is measured.
        settings: how it is judged.
        moments: by arm.
        progress: units with a value so far, of all arms, over those planned, where a plan exists.
        quantiles: estimates by arm, for a quantile.
        values: units' values by arm, for the bootstrap.
        rng: source of randomness, for the bootstrap.

    Raises:
        DataError: an arm has fewer than two units, or nothing varies.
        UsageError: an arm is too large for the bootstrap.
    """
    figures = _figures(metric, settings, moments, quantiles)
    found = []
    for arm, own in figures.arms.items():
        posterior: Posterior | None = None
        control, treated = figures.control, own
        if settings.method in SEQUENTIAL:
            control, treated = steadied(control, own)
        if not (settings.method == "bayesian" and _counted(metric, figures)):
            spread(control, treated, what=f"metric {metric.name!r}")
        name = settings.method
        if settings.method == "bayesian":
            difference, posterior = _bayesian(metric, settings, figures, arm, moments)
        elif settings.method == "bootstrap":
            difference = _bootstrapped(settings, values or {}, arm, rng)
        elif settings.method == "fixed":
            difference, name = _fixed(metric, settings, figures, arm, moments)
        else:
            difference = _sequential(settings, control, treated, progress)
        if posterior is not None and settings.prior_sd is not None and not _counted(metric, figures):
            # A prior narrows the interval around another middle: shares and margins must follow it.
            treated = dataclasses.replace(own, value=control.value + posterior.value)
        effect = _effect(metric, control, treated, arm, difference, posterior=posterior, method=name)
        found.append(dataclasses.replace(effect, value=own.value, variance_cut=figures.variance_cut))
    return found


def _figures(
    metric: Metric, settings: Settings, moments: Mapping[str, Moments], quantiles: Mapping[str, Estimate] | None
) -> _Figures:
    control, names = settings.control, settings.treatments
    plain = {arm: estimate(metric, moments[arm]) for arm in (control, *names)}
    if not metric.covariates or settings.adjustment == "none":
        held = plain if quantiles is None else quantiles
        return _Figures(held[control], {arm: held[arm] for arm in names})
    moments = {arm: moments[arm] for arm in (control, *names)}
    adjusted = adjust(metric, moments, method=settings.adjustment)
    found = {control: adjusted.arms[control]}
    for arm in names:
        one, more = adjusted.arms[arm], contrast_variance(adjusted, moments, metric, control, arm)
        found[arm] = Estimate(one.n, one.value, one.variance + more)
    if quantiles is not None:
        found = {arm: moved_quantile(quantiles[arm], plain[arm], found[arm]) for arm in found}
    return _Figures(found[control], {arm: found[arm] for arm in names}, adjusted.variance_cut, True)


def _each(settings: Settings) -> float:
    """The confidence of one arm's interval when all arms' must hold: Bonferroni."""
    return 1 - (1 - settings.confidence) / len(settings.treatments)


def _fixed(
    metric: Metric, settings: Settings, figures: _Figures, arm: str, moments: Mapping[str, Moments]
) -> tuple[Difference, str]:
    control, treated = figures.control, figures.arms[arm]
    if len(figures.arms) > 1:
        variances = [one.variance for one in figures.arms.values()]
        if min(variances) <= 0:
            return welch(control, treated, confidence=_each(settings)), "Welch"
        error, value = math.sqrt(spread(control, treated)), treated.value - control.value
        reach = dunnett_critical(control.variance, variances, confidence=settings.confidence) * error
        p_value = dunnett_p(abs(value) / error, control.variance, variances)
        return Difference(value, value - reach, value + reach, error, p_value), "Dunnett"
    if _counted(metric, figures):
        successes, units = _counts(settings.control, arm, moments)
        return proportions(successes, units, confidence=settings.confidence), "two proportions"
    return welch(control, treated, confidence=settings.confidence), "Welch"


def _counted(metric: Metric, figures: _Figures) -> bool:
    """Whether the figure is a count of units over a count of units."""
    return metric.kind in ("proportion", "retention") and not figures.adjusted


def _counts(control: str, arm: str, moments: Mapping[str, Moments]) -> tuple[tuple[int, int], tuple[int, int]]:
    pair = (moments[control], moments[arm])
    one, other = (round(m.n * float(m.mean[0])) for m in pair)
    return (one, other), (pair[0].n, pair[1].n)


def _sequential(settings: Settings, control: Estimate, treated: Estimate, progress: float | None) -> Difference:
    each = _each(settings)
    if settings.method == "group-sequential":
        found = group_sequential(
            control,
            treated,
            fractions=(*settings.looks, min(1.0, float(progress or 1.0))),
            spending=settings.spending,
            confidence=each,
        )
    else:
        # rho of the asymptotic confidence sequence is set by the plan alone; only the spread is estimated.
        mixing = mixing_variance(spread(control, treated), confidence=each) * float(progress or 1.0)
        found = always_valid(control, treated, mixing=mixing, confidence=each)
    return _times_arms(found, settings)


def _times_arms(found: Difference, settings: Settings) -> Difference:
    p_value = min(1.0, found.p_value * len(settings.treatments))
    return Difference(found.value, found.low, found.high, found.standard_error, p_value)


def _bootstrapped(
    settings: Settings, values: Mapping[str, Float64], arm: str, rng: np.random.Generator | None
) -> Difference:
    pair = (values[settings.control], values[arm])
    if max(len(one) for one in pair) > BOOTSTRAP_UNITS:
        raise UsageError(
            f"the bootstrap takes arms of at most {BOOTSTRAP_UNITS} units. Got {max(map(len, pair))}: choose "
            'method = "fixed", whose interval is the same at that size'
        )
    rng = np.random.default_rng(settings.seed) if rng is None else rng
    found = bootstrap(*pair, rng=rng, resamples=settings.resamples, confidence=_each(settings))
    return _times_arms(found, settings)


def _bayesian(
    metric: Metric, settings: Settings, figures: _Figures, arm: str, moments: Mapping[str, Moments]
) -> tuple[Difference, Posterior]:
    control, treated = figures.control, figures.arms[arm]
    if _counted(metric, figures):
        posterior = beta_posterior(*_counts(settings.control, arm, moments), confidence=settings.confidence)
        error = math.sqrt(control.variance + treated.variance)
    else:
        prior = None if settings.prior_sd is None else settings.prior_sd * abs(control.value)
        posterior = normal_posterior(control, treated, prior_sd=prior, confidence=settings.confidence)
        error = math.sqrt(spread(control, treated))
    p_value = 2 * min(posterior.chance, 1 - posterior.chance)
    return Difference(posterior.value, posterior.low, posterior.high, error, max(0.0, p_value)), posterior


def _effect(
    metric: Metric,
    control: Estimate,
    treated: Estimate,
    arm: str,
    difference: Difference,
    *,
    posterior: Posterior | None,
    method: str,
) -> ArmEffect:
    error = difference.standard_error
    reach = (difference.high - difference.low) / 2 / error if error else NormalDist().inv_cdf(0.975)
    share = relative(control, treated, reach=reach)
    slack: tuple[float | None, float | None] = (None, None)
    if metric.margin is not None:
        slack = _slack(metric, control, treated, reach)
    chance = loss = None
    if posterior is not None:
        better = metric.sign > 0
        chance = posterior.chance if better else 1 - posterior.chance
        loss = posterior.loss_if_chosen if better else posterior.loss_if_kept
    return ArmEffect(
        metric=metric.name,
        role=metric.role,
        arm=arm,
        n_control=control.n,
        n=treated.n,
        control_value=control.value,
        value=treated.value,
        difference=difference.value,
        low=difference.low,
        high=difference.high,
        standard_error=error,
        p_value=difference.p_value,
        corrected_p_value=None,
        relative=share and share[0],
        relative_low=share and share[1],
        relative_high=share and share[2],
        method=method,
        chance=chance,
        loss=loss,
        slack_low=slack[0],
        slack_high=slack[1],
    )


def _slack(metric: Metric, control: Estimate, treated: Estimate, reach: float) -> tuple[float, float]:
    """How far the arm stays within the margin: s (T - C) + m abs(C), with the error of C in the margin counted too."""
    margin = float(metric.margin or 0.0)
    value = metric.sign * (treated.value - control.value) + margin * abs(control.value)
    weight = -metric.sign + margin * math.copysign(1.0, control.value)
    half = reach * math.sqrt(treated.variance + weight**2 * control.variance)
    return value - half, value + half
