"""Bayesian answers: the chance that the treatment is better, and what a wrong choice would cost.

C. Stucchio, "Bayesian A/B testing at VWO" (2015) for expected loss; the integrals are done by quadrature, so an answer
does not change from run to run. A posterior does not mend peeking by itself: with a flat prior, stopping when the
chance is high errs as often as stopping at a small p-value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE
from shared.experiments.fixed import spread
from shared.experiments.metrics import Estimate
from shared.types import Result

_NODES = 400
"""Of the Gauss-Legendre rule, over a range outside of which less than 1e-15 of either posterior lies."""


@dataclass(frozen=True, eq=False)
class Posterior(Result):
    """What is believed of treatment minus control.

    Attributes:
        value: posterior mean of the difference.
        low: lower end of the central credible interval.
        high: upper end.
        chance: that the treatment's figure is the greater.
        loss_if_chosen: what is lost on average by choosing the treatment: the mean of max(0, control - treatment).
        loss_if_kept: what is lost by keeping the control: the mean of max(0, treatment - control).
    """

    value: float
    low: float
    high: float
    chance: float
    loss_if_chosen: float
    loss_if_kept: float


def normal_posterior(
    control: Estimate,
    treatment: Estimate,
    *,
    prior_mean: float = 0.0,
    prior_sd: float | None = None,
    confidence: float = CONFIDENCE,
) -> Posterior:
    """A normal prior on the difference and the normal likelihood of large samples.

    Args:
        control: the control's figure.
        treatment: the treatment's.
        prior_mean: of the difference.
        prior_sd: of the difference, above 0; a flat prior when not given.
        confidence: mass of the credible interval.

    Raises:
        UsageError: ``prior_sd`` is not above 0.
        DataError: neither arm varies.

    Example:
        >>> found = normal_posterior(Estimate(100, 0.0, 0.5), Estimate(100, 1.0, 0.5))
        >>> round(found.chance, 4), round(found.loss_if_kept, 4)
        (0.8413, 1.0833)
    """
    variance, value = spread(control, treatment), treatment.value - control.value
    if prior_sd is not None:
        if not prior_sd > 0:
            raise UsageError(f"prior_sd must be above 0. Got {prior_sd} instead")
        weight = prior_sd**2 / (prior_sd**2 + variance)
        value, variance = weight * value + (1 - weight) * prior_mean, weight * variance
    sd, unit = math.sqrt(variance), NormalDist()
    at = value / sd
    gain = sd * (unit.pdf(at) + at * unit.cdf(at))
    half = unit.inv_cdf(0.5 + confidence / 2) * sd
    return Posterior(value, value - half, value + half, unit.cdf(at), gain - value, gain)


def beta_posterior(
    successes: tuple[int, int],
    units: tuple[int, int],
    *,
    prior: tuple[float, float] = (1.0, 1.0),
    confidence: float = CONFIDENCE,
) -> Posterior:
    """Two proportions with beta priors: independent beta posteriors, their difference by quadrature.

    Args:
        successes: of control and treatment.
        units: of control and treatment.
        prior: both parameters of each arm's beta prior, above 0; uniform when not given.
        confidence: mass of the credible interval.

    Raises:
        UsageError: a count or a parameter is out of its range.

    Example:
        >>> found = beta_posterior((0, 0), (0, 1))  # uniform on [0, 1], and density 2 (1 - x)
        >>> round(found.chance, 4), round(found.loss_if_kept, 4)
        (0.3333, 0.0833)
    """
    from scipy.optimize import brentq  # noqa: PLC0415
    from scipy.stats import beta  # noqa: PLC0415

    if not all(0 <= s <= n for s, n in zip(successes, units)) or not min(prior) > 0:
        raise UsageError(
            f"successes must lie in 0..units and the prior above 0. Got {successes} of {units}, prior {prior}"
        )
    one, other = (beta(prior[0] + s, prior[1] + n - s) for s, n in zip(successes, units))
    low = min(float(arm.ppf(1e-15)) for arm in (one, other))
    high = max(float(arm.isf(1e-15)) for arm in (one, other))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    # Each arm has its own pieces: the posteriors may be narrow and far apart.
    edges = np.unique(np.clip([low, *one.ppf([1e-9, 0.5]), *other.ppf([1e-9, 0.5]), *one.isf([1e-9]),
                               *other.isf([1e-9]), high], low, high))  # fmt: skip
    halves = np.diff(edges) / 2
    x = (edges[:-1, None] + halves[:, None] * (nodes + 1)).ravel()
    w = (halves[:, None] * weights).ravel()
    f_other, below_one = other.pdf(x), one.cdf(x)
    chance = float(np.clip(w @ (f_other * below_one), 0, 1))
    loss_if_kept = float(w @ (below_one * other.sf(x)))
    loss_if_chosen = float(w @ (other.cdf(x) * one.sf(x)))

    def mass_below(gap: float) -> float:
        return float(w @ (f_other * one.sf(x - gap)))

    tail = (1 - confidence) / 2
    reach = high - low
    ends = [
        float(brentq(lambda gap, p=p: mass_below(gap) - p, -reach - 1e-12, reach + 1e-12, xtol=1e-12))
        for p in (tail, 1 - tail)
    ]
    value = float(other.mean() - one.mean())
    return Posterior(value, ends[0], ends[1], chance, loss_if_chosen, loss_if_kept)
