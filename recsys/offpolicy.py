"""Off-policy evaluation: what a new policy would have earned, from the log of an old one.

IPS: D. Horvitz and D. Thompson, JASA 47 (1952). SNIPS: A. Swaminathan and T. Joachims, "The self-normalized estimator
for counterfactual learning", NeurIPS 2015. DR: M. Dudík, J. Langford and L. Li, "Doubly robust policy evaluation and
learning", ICML 2011. SWITCH: Y.-X. Wang, A. Agarwal and M. Dudík, "Optimal and adaptive off-policy evaluation in
contextual bandits", ICML 2017.

For each of n logged people: x_i is known, the old policy showed a_i with chance p_i, and reward r_i came back. The new
policy would show action a with chance pi(a|x_i); w_i = pi(a_i|x_i) / p_i; q(x, a) is a model of the reward.

========= =======================================================================================================
mean      mean of r: what the old policy earned, the naive answer
ips       mean of w r
snips     sum of w r / sum of w
dm        mean over i of sum over a of pi(a|x_i) q(x_i, a): as good as the model is
dr        dm + mean of w (r - q(x, a)): right if either the chances or the model are
switch    ips where w <= threshold, plus mean over i of sum of pi q over the actions whose weight lies above it
switch_dr dm + mean of w (r - q(x, a)) where w <= threshold
========= =======================================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np

from recsys.logged import Log
from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval
from shared.evaluation.report import Metric
from shared.types import AnyArray, Float64

ESTIMATORS = ("mean", "ips", "snips", "dm", "dr", "switch", "switch_dr")
Interval: TypeAlias = Literal["analytic", "bootstrap"]
SMALL_SHARE = 0.01
SMALL_COUNT = 50
"""Below this share of n, or this number, the effective sample is too small for its interval to be believed."""
_MODELLED = ("dm", "dr", "switch", "switch_dr")


@dataclass(frozen=True)
class Estimate:
    """The value of the new policy by one estimator.

    Attributes:
        estimator: one of :data:`ESTIMATORS`.
        value: the mean reward that it expects, with its interval.
        n: rows of the log.
        effective_n: how many rows drawn by the new policy itself would say as much, (sum w)^2 / sum w^2 (A. Kong,
            1992).
        largest_weight: the greatest weight, before clipping.
        clipped: share of the rows whose weight was clipped.
        warning: why the interval should not be believed, or empty.
    """

    estimator: str
    value: Metric
    n: int
    effective_n: float
    largest_weight: float
    clipped: float
    warning: str


def evaluate_policy(
    log: Log,
    target: AnyArray,
    *,
    estimators: Sequence[str] = ("ips", "snips"),
    model: AnyArray | None = None,
    clip: float | None = None,
    threshold: float = 10.0,
    interval: Interval = "analytic",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    rng: np.random.Generator | None = None,
) -> dict[str, Estimate]:
    """What a new policy would have earned.

    Args:
        log: what the old policy did.
        target: shape (n, actions), the new policy's chance of each action for each logged person; rows sum to 1.
        estimators: some of :data:`ESTIMATORS`.
        model: shape (n, actions), the reward that a model expects; needed by ``dm``, ``dr``, ``switch`` and
            ``switch_dr``. It must not have been fitted on the same rows: :func:`recsys.logged.cross_fitted` makes one
            that was not.
        clip: the greatest weight; greater ones are cut to it, which trades bias for variance. ``None`` clips nothing.
        threshold: weights above it are left to the model by ``switch`` and ``switch_dr``, above 0.
        interval: ``"analytic"``, by the normal law and the variance of the rows' influence; or ``"bootstrap"``,
            percentiles over rows. The one of ``dm`` says nothing of the model's bias.
        confidence: coverage of the interval, in (0, 1).
        resamples: of the bootstrap.
        rng: source of randomness, needed by the bootstrap.

    Returns:
        An :class:`Estimate` by name.

    Raises:
        UnknownNameError: there is no such estimator.
        UsageError: an argument is malformed or missing.

    Example:
        >>> log = Log(np.array([0, 1, 0, 1]), np.array([1.0, 0.0, 1.0, 0.0]), np.full(4, 0.5))
        >>> always_first = np.tile([1.0, 0.0], (4, 1))
        >>> evaluate_policy(log, always_first)["ips"].value.value  # the log's own mean is 0.5
        1.0
    """
    for name in estimators:
        if name not in ESTIMATORS:
            raise UnknownNameError("estimator", name, ESTIMATORS)
    new = _policy(log, target)
    expected = _model(log, new, model, [name for name in estimators if name in _MODELLED])
    _check_options(clip, threshold, interval, confidence)
    if interval == "bootstrap" and rng is None:
        raise UsageError("the bootstrap needs rng=, a numpy.random.Generator")
    raw = new[np.arange(len(log)), log.actions] / log.propensities
    weights = raw if clip is None else np.minimum(raw, clip)
    effective = float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0
    found = {}
    for name in estimators:
        top, bottom = _terms(name, log, new, expected, weights=weights, raw=raw, threshold=threshold)
        if rng is None or interval == "analytic":
            value = _analytic(top, bottom, confidence)
        else:
            value = _bootstrapped(top, bottom, confidence, resamples, rng)
        share = 0.0 if clip is None or name in ("mean", "dm") else float((raw > clip).mean())
        warning = "" if name in ("mean", "dm") else _warning(effective, len(log))
        found[name] = Estimate(name, value, len(log), effective, float(raw.max()), share, warning)
    return found


def _terms(
    name: str, log: Log, new: Float64, expected: Float64, *, weights: Float64, raw: Float64, threshold: float
) -> tuple[Float64, Float64 | None]:
    """One number a row whose mean is the estimate; with a second, the estimate is the ratio of their means."""
    if name == "snips":
        return weights * log.rewards, weights
    small = raw <= threshold
    if name == "switch":
        if log.policy is None or log.policy.shape != new.shape:
            raise UsageError(
                f"switch needs Log.policy of shape {new.shape}, the chances of all actions; or take switch_dr"
            )
        rare = new > threshold * log.policy
        return weights * log.rewards * small + (new * expected * rare).sum(axis=1), None
    direct = (new * expected).sum(axis=1)
    surprise = weights * (log.rewards - expected[np.arange(len(log)), log.actions])
    rows = {
        "mean": log.rewards,
        "ips": weights * log.rewards,
        "dm": direct,
        "dr": direct + surprise,
        "switch_dr": direct + surprise * small,
    }
    return rows[name], None


def _analytic(top: Float64, bottom: Float64 | None, confidence: float) -> Metric:
    n = len(top)
    if bottom is None:
        value, influence = float(top.mean()), top
    else:
        scale = float(bottom.mean())
        if scale == 0:
            return _unknown()
        value = float(top.mean()) / scale
        influence = (top - value * bottom) / scale  # the delta method for a ratio of means
    if n < 2:
        return Metric(value, -np.inf, np.inf)
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * float(influence.std(ddof=1)) / math.sqrt(n)
    return Metric(value, value - half, value + half)


def _bootstrapped(
    top: Float64, bottom: Float64 | None, confidence: float, resamples: int, rng: np.random.Generator
) -> Metric:
    n = len(top)
    ones = np.ones(n) if bottom is None else bottom
    if not ones.any():
        return _unknown()
    draws = np.empty(resamples)
    for at in range(resamples):
        drawn = rng.integers(0, n, n)
        scale = ones[drawn].sum()
        draws[at] = top[drawn].sum() / scale if scale else np.nan
    return percentile_interval(float(top.sum() / ones.sum()), draws, confidence=confidence)


def _unknown() -> Metric:
    """Nothing is known: the log never shows what the new policy would."""
    return Metric(float("nan"), -np.inf, np.inf)


def _warning(effective: float, n: int) -> str:
    least = max(SMALL_COUNT, SMALL_SHARE * n)
    if effective >= least:
        return ""
    return (
        f"the weights leave an effective sample of {effective:.1f} of {n} rows, below {least:.0f}: the old policy "
        "hardly ever did what the new one would, so the interval reads narrow. "
        "Log more exploration, clip weights, or use switch_dr"
    )


def _policy(log: Log, target: AnyArray) -> Float64:
    new = np.asarray(target, np.float64)
    if new.ndim != 2 or len(new) != len(log) or new.shape[1] <= int(log.actions.max()):
        least = int(log.actions.max()) + 1
        raise UsageError(f"target must have shape ({len(log)}, actions), actions >= {least}. Got {new.shape} instead")
    if not np.isfinite(new).all() or (new < 0).any() or not np.allclose(new.sum(axis=1), 1, atol=1e-6):
        raise UsageError("target must hold chances whose rows sum to 1. Got others: divide each row by its sum")
    return new


def _model(log: Log, new: Float64, model: AnyArray | None, wanted: list[str]) -> Float64:
    if model is None:
        if wanted:
            raise UsageError(
                f"{', '.join(wanted)} needs model=, expected rewards of shape {new.shape}: see cross_fitted"
            )
        return np.zeros_like(new)
    expected = np.asarray(model, np.float64)
    if expected.shape != new.shape or not np.isfinite(expected).all():
        raise UsageError(f"model must be a finite array of shape {new.shape}. Got shape {expected.shape} instead")
    return expected


def _check_options(clip: float | None, threshold: float, interval: str, confidence: float) -> None:
    if clip is not None and not clip > 0:
        raise UsageError(f"clip must be above 0. Got {clip} instead")
    if not threshold > 0:
        raise UsageError(f"threshold must be above 0. Got {threshold} instead")
    if interval not in ("analytic", "bootstrap"):
        raise UsageError(f"interval must be 'analytic' or 'bootstrap'. Got {interval!r} instead")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1. Got {confidence} instead")
