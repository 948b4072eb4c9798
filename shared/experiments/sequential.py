"""Answers that stay right however often one looks: always-valid intervals and p-values, and planned interim looks.

The mixture sequential probability ratio test with a normal mixture: R. Johari, P. Koomen, L. Pekelis and D. Walsh,
"Always valid inference: continuous monitoring of A/B tests", Operations Research 70 (2022; KDD 2017). The same boundary
as a confidence sequence: S. Howard, A. Ramdas, J. McAuliffe and J. Sekhon, "Time-uniform, nonparametric, nonasymptotic
confidence sequences", Annals of Statistics 49 (2021); with estimated variances it is valid asymptotically: I.
Waudby-Smith, D. Arbour, R. Sinha, E. Kennedy and A. Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences", Annals of Statistics 52 (2024). Group sequential: K. Lan and D. DeMets, "Discrete sequential
boundaries for clinical trials", Biometrika 70 (1983); P. Armitage, C. McPherson and B. Rowe, JRSS A 132 (1969) for the
recursion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE
from shared.experiments.fixed import Difference, spread
from shared.experiments.metrics import Estimate
from shared.types import Float64

SPENDING = ("obrien-fleming", "pocock")
_STEP = 0.02
"""Grid of the recursion, in standard errors of the last look; bounds come out right to four digits."""


def mixing_variance(variance: float, *, confidence: float = CONFIDENCE) -> float:
    """The variance of the mixture that makes the interval narrowest when the difference's variance is ``variance``.

    Howard et al. 2021, equation (30): tau^2 / V = -W(-alpha^2 / e) - 1 with the lower branch of Lambert's W. Choose it
    from the plan, before any data of the experiment are seen: a mixture that follows the data is no mixture.

    Args:
        variance: squared standard error of the difference at the size where the experiment is meant to be decided.
        confidence: coverage of the sequence.

    Example:
        >>> round(mixing_variance(1.0), 3)
        8.212
    """
    from scipy.special import lambertw  # noqa: PLC0415

    _check(variance, confidence)
    return variance * (-float(lambertw(-((1 - confidence) ** 2) / math.e, -1).real) - 1)


def sequence_radius(variance: ArrayLike, mixing: ArrayLike, *, confidence: float = CONFIDENCE) -> Float64:
    """Half the width of the always-valid interval.

    sqrt(V (1 + V / tau^2) (log(1 + tau^2 / V) + 2 log(1 / alpha))) for a difference of variance V and a mixture of
    variance tau^2: Johari et al. 2022, section 5; Waudby-Smith et al. 2024, theorem 2.2, with rho^2 t = tau^2 / V.

    Args:
        variance: squared standard errors of the difference, above 0, any shape.
        mixing: tau^2, above 0, the same at all looks.
        confidence: coverage at all looks together.

    Returns:
        Float64 of the shape of both.

    Example:
        >>> radius = sequence_radius([1.0, 0.01], 8.0)
        >>> radius.round(3).tolist()
        [3.035, 0.356]
    """
    v, tau = np.asarray(variance, np.float64), np.asarray(mixing, np.float64)
    return np.asarray(np.sqrt(v * (1 + v / tau) * (np.log1p(tau / v) + 2 * math.log(1 / (1 - confidence)))))


def always_valid_p(difference: ArrayLike, variance: ArrayLike, mixing: ArrayLike) -> Float64:
    """The p-value of the mixture test at each look; over several looks the least so far is the p-value.

    1 / Lambda, at most 1, with Lambda = sqrt(V / (V + tau^2)) exp(tau^2 d^2 / (2 V (V + tau^2))).

    Args:
        difference: treatment minus control at each look.
        variance: its squared standard error.
        mixing: tau^2.

    Example:
        >>> always_valid_p([0.0, 5.0], [1.0, 1.0], 8.0).round(5).tolist()
        [1.0, 4e-05]
    """
    d, v, tau = (np.asarray(x, np.float64) for x in (difference, variance, mixing))
    log_ratio = 0.5 * (np.log(v) - np.log(v + tau)) + tau * d * d / (2 * v * (v + tau))
    return np.asarray(np.exp(-np.maximum(log_ratio, 0.0)))


def always_valid(
    control: Estimate, treatment: Estimate, *, mixing: float, confidence: float = CONFIDENCE
) -> Difference:
    """One look of an experiment that may be looked at at any time.

    Args:
        control: the control's figure now.
        treatment: the treatment's.
        mixing: tau^2, chosen before (:func:`mixing_variance`).
        confidence: coverage at all looks together.

    Raises:
        UsageError: an argument is out of its range.
        DataError: neither arm varies.

    Example:
        >>> found = always_valid(Estimate(500, 1.0, 0.001), Estimate(500, 1.2, 0.001), mixing=0.01)
        >>> found.low > 0, found.p_value < 0.01
        (True, True)
    """
    _check(mixing, confidence)
    variance, value = spread(control, treatment), treatment.value - control.value
    half = float(sequence_radius(variance, mixing, confidence=confidence))
    p_value = float(always_valid_p(value, variance, mixing))
    return Difference(value, value - half, value + half, math.sqrt(variance), p_value)


def spent(fraction: float, *, alpha: float, spending: str = "obrien-fleming") -> float:
    """The error that may have been spent when a fraction of the information is in: Lan and DeMets 1983.

    Each side spends a half, as is usual: O'Brien and Fleming 4 - 4 Phi(z / sqrt(t)) with z the 1 - alpha / 4 quantile,
    Pocock alpha log(1 + (e - 1) t).

    Args:
        fraction: t, of the planned information, in (0, 1]; more counts as 1.
        alpha: two-sided error in all.
        spending: which function.

    Raises:
        UnknownNameError: no function has that name.

    Example:
        >>> round(spent(0.5, alpha=0.05), 5), round(spent(1.0, alpha=0.05, spending="pocock"), 5)
        (0.00305, 0.05)
    """
    if spending not in SPENDING:
        raise UnknownNameError("spending function", spending, SPENDING)
    if not fraction > 0:
        raise UsageError(f"a fraction of the information must be above 0. Got {fraction} instead")
    t = min(1.0, fraction)
    if spending == "pocock":
        return alpha * math.log(1 + (math.e - 1) * t)
    unit = NormalDist()
    return 4 - 4 * unit.cdf(unit.inv_cdf(1 - alpha / 4) / math.sqrt(t))


def group_bounds(fractions: Sequence[float], *, alpha: float = 0.05, spending: str = "obrien-fleming") -> Float64:
    """Two-sided bounds on the z-value at each planned look.

    Args:
        fractions: of the planned information at each look, rising, in (0, 1].
        alpha: two-sided error over all looks.
        spending: ``"obrien-fleming"`` or ``"pocock"``.

    Returns:
        Float64 (looks,). Stop at the first look whose abs(z) is at least its bound.

    Raises:
        UnknownNameError: no spending function has that name.
        UsageError: the fractions do not rise within (0, 1].

    Example:
        >>> group_bounds([0.5, 1.0]).round(3).tolist()
        [2.963, 1.969]
    """
    from scipy.optimize import brentq  # noqa: PLC0415

    times = _times(fractions)
    goal = [spent(t, alpha=alpha, spending=spending) for t in times]
    bounds: list[float] = []
    walk = _Walk(0.0)
    for place, (t, so_far) in enumerate(zip(times, goal)):
        share = so_far - (goal[place - 1] if place else 0.0)
        walk.to(t)
        ceiling = 12.0
        if walk.outside(ceiling) >= share:
            bounds.append(ceiling)
        else:
            bounds.append(float(brentq(lambda c, share=share: walk.outside(c) - share, 0.0, ceiling, xtol=1e-7)))
        walk.stop(bounds[-1])
    return np.array(bounds)


def crossing(fractions: Sequence[float], bounds: Sequence[float] | Float64, *, drift: float = 0.0) -> Float64:
    """The chance to have stopped by each look.

    Args:
        fractions: of the information at each look.
        bounds: on abs(z) at each.
        drift: expected z-value when all information is in; 0 is no effect.

    Returns:
        Float64 (looks,), rising.

    Example:
        >>> crossing([0.5, 1.0], [1.96, 1.96]).round(3).tolist()
        [0.05, 0.083]
    """
    times, walk, gone, found = _times(fractions), _Walk(drift), 0.0, []
    for t, bound in zip(times, bounds, strict=True):
        walk.to(t)
        gone += walk.outside(float(bound))
        found.append(gone)
        walk.stop(float(bound))
    return np.array(found)


class _Walk:
    """The density of a Brownian motion with drift that has not crossed a bound yet, on a grid."""

    def __init__(self, drift: float) -> None:
        self._drift, self._time = drift, 0.0
        self._grid, self._mass = np.zeros(1), np.ones(1)
        self._sd, self._mean = 1.0, np.zeros(1)

    def to(self, time: float) -> None:
        """Let it run until ``time``."""
        self._sd = math.sqrt(time - self._time)
        self._mean = self._grid + self._drift * (time - self._time)
        self._time = time

    def outside(self, z: float) -> float:
        """The mass that lies beyond +-z standard errors now."""
        from scipy.special import ndtr  # noqa: PLC0415

        edge = z * math.sqrt(self._time)
        beyond = ndtr((-edge - self._mean) / self._sd) + ndtr((self._mean - edge) / self._sd)
        return float(self._mass @ beyond)

    def stop(self, z: float) -> None:
        """Take away what lies beyond, and put the rest on a new grid with Simpson's weights."""
        edge = min(z, 8.0 + abs(self._drift)) * math.sqrt(self._time)
        half = max(50, math.ceil(edge / (_STEP * math.sqrt(self._time))))
        grid = np.linspace(-edge, edge, 2 * half + 1)
        weights = np.full(grid.size, 2.0)
        weights[1::2] = 4.0
        weights[[0, -1]] = 1.0
        density = np.exp(-0.5 * ((grid[:, None] - self._mean) / self._sd) ** 2) @ self._mass
        density /= self._sd * math.sqrt(2 * math.pi)
        self._grid, self._mass = grid, density * weights * (grid[1] - grid[0]) / 3


def group_sequential(
    control: Estimate,
    treatment: Estimate,
    *,
    fractions: Sequence[float],
    spending: str = "obrien-fleming",
    confidence: float = CONFIDENCE,
) -> Difference:
    """The latest of several planned looks, with the repeated confidence interval of Jennison and Turnbull (1989).

    The p-value is the least error in all at which this look would have stopped, by the same spending function.

    Args:
        control: the control's figure now.
        treatment: the treatment's.
        fractions: of the planned information at each look so far, this one last.
        spending: ``"obrien-fleming"`` or ``"pocock"``.
        confidence: coverage at all looks together.

    Example:
        >>> found = group_sequential(Estimate(9, 0.0, 0.5), Estimate(9, 2.5, 0.5), fractions=[0.5])
        >>> found.low < 0 < found.high, round(found.p_value, 3)
        (True, 0.106)
    """
    from scipy.optimize import brentq  # noqa: PLC0415

    variance, value = spread(control, treatment), treatment.value - control.value
    error = math.sqrt(variance)
    half = float(group_bounds(fractions, alpha=1 - confidence, spending=spending)[-1]) * error
    z = abs(value) / error

    def room(alpha: float) -> float:
        return float(group_bounds(fractions, alpha=alpha, spending=spending)[-1]) - z

    least, most = 1e-6, 0.999
    p_value = 1.0 if room(most) > 0 else least if room(least) <= 0 else float(brentq(room, least, most, xtol=1e-6))
    return Difference(value, value - half, value + half, error, p_value)


def _times(fractions: Sequence[float]) -> list[float]:
    times = [float(t) for t in fractions]
    if not times or times[0] <= 0 or times[-1] > 1 + 1e-9 or any(b <= a for a, b in pairwise(times)):
        raise UsageError(f"fractions of the information must rise within (0, 1]. Got {times} instead")
    return times


def _check(variance: float, confidence: float) -> None:
    if not variance > 0 or not math.isfinite(variance):
        raise UsageError(f"a variance must be above 0 and finite. Got {variance} instead")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1. Got {confidence} instead")
