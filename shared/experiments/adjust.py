"""Less noise from what was known before: CUPED and regression adjustment, both from moments.

CUPED: A. Deng, Y. Xu, R. Kohavi and T. Walker, "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", WSDM 2013: one slope for all arms; the variance falls by the factor 1 - rho^2. Regression: W. Lin,
"Agnostic notes on regression adjustments to experimental data: reexamining Freedman's critique", Annals of Applied
Statistics 7 (2013): a slope for each arm, which is never worse in large samples, with a variance of each arm's own that
stays right when the regression is wrong. Both need covariates that the experiment cannot have touched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shared.errors import DataError, UnknownNameError
from shared.experiments.metrics import Estimate, Metric, gradient
from shared.experiments.moments import Moments, merge
from shared.types import Float64

METHODS = ("cuped", "regression")


@dataclass(frozen=True)
class Adjusted:
    """An adjusted figure of each arm.

    Attributes:
        arms: by arm.
        slopes: by arm, float64 (covariates that vary,).
        variance_cut: the share of the variance of the first arm's figure that is gone, 1 - after / before.
    """

    arms: Mapping[str, Estimate]
    slopes: Mapping[str, Float64]
    variance_cut: float


def adjust(metric: Metric, moments: Mapping[str, Moments], *, method: str = "cuped") -> Adjusted:
    """Adjust a metric by its covariates.

    Each arm's figure is linearised at its own mean, so that ratios are adjusted like means.

    Args:
        metric: of any kind; of a quantile the share of rows below it is adjusted, see :func:`moved_quantile`.
        moments: by arm, the control first; outcomes, then covariates.
        method: ``"cuped"`` or ``"regression"``.

    Raises:
        UnknownNameError: no method has that name.
        DataError: there are no covariates, or none varies, or an arm has no more units than covariates.

    Example:
        >>> from shared.experiments.moments import moments_of
        >>> rng = np.random.default_rng(0)
        >>> before = rng.normal(size=(2, 5000))
        >>> after = 0.8 * before + 0.6 * rng.normal(size=(2, 5000))
        >>> arms = {name: moments_of(np.stack([a, b], 1)) for name, a, b in zip("ab", after, before)}
        >>> round(adjust(Metric("spend", "mean", "spend", covariates=("before",)), arms).variance_cut, 2)
        0.63
    """
    if method not in METHODS:
        raise UnknownNameError("adjustment", method, METHODS)
    k = metric.outcomes
    total = merge(list(moments.values()))
    used = _varying(total, k)
    if not used:
        raise DataError(f"metric {metric.name!r}: at least one covariate must vary. None of {metric.covariates} does")
    at = [*range(k), *used]
    slopes = _pooled(metric, moments, used) if method == "cuped" else _own(metric, moments, used)
    arms: dict[str, Estimate] = {}
    before = after = 0.0
    for name, one in moments.items():
        if one.n <= len(used) + 1:
            raise DataError(
                f"metric {metric.name!r}: arm {name!r} must have more units than covariates. It has {one.n}"
            )
        value, slope = gradient(metric, one.mean[:k])
        line = np.concatenate([slope, -slopes[name]])
        spent = len(used) if method == "regression" else 0
        variance = float(line @ one.products[np.ix_(at, at)] @ line) / (one.n - 1 - spent) / one.n
        moved = float(slopes[name] @ (one.mean[used] - total.mean[used]))
        arms[name] = Estimate(one.n, value - moved, max(0.0, variance))
        if not before:
            before, after = float(slope @ one.covariance[:k, :k] @ slope) / one.n, variance
    return Adjusted(arms, slopes, 1 - after / before if before else 0.0)


def contrast_variance(
    adjusted: Adjusted, moments: Mapping[str, Moments], metric: Metric, control: str, arm: str
) -> float:
    """What the estimated common mean adds to the variance of a difference: (b1 - b0)' S (b1 - b0) / n; 0 for CUPED.

    Lin's own variance takes the units as fixed and leaves it out; units that stand for others to come need it.
    """
    apart = adjusted.slopes[arm] - adjusted.slopes[control]
    if not apart.any():
        return 0.0
    total = merge(list(moments.values()))
    used = _varying(total, metric.outcomes)
    return float(apart @ total.covariance[np.ix_(used, used)] @ apart) / total.n


def moved_quantile(quantile: Estimate, plain: Estimate, adjusted: Estimate) -> Estimate:
    """A quantile moved by what the covariates say of the share of rows below it.

    q + (F - F adjusted) / f: the linear form of the quantile, as J. Jiang, P. Phillips, T. Tao and Y. Zhang,
    "Regression-adjusted estimation of quantile treatment effects under covariate-adaptive randomizations", Journal of
    Econometrics 234 (2023) adjust it. 1 / f, the inverse density at the quantile, is the ratio of the standard errors
    of the quantile and of the share.
    """
    per_share = math.sqrt(quantile.variance / plain.variance) if plain.variance else 0.0
    value = quantile.value + per_share * (plain.value - adjusted.value)
    return Estimate(quantile.n, value, adjusted.variance * per_share**2)


def _varying(total: Moments, k: int) -> list[int]:
    """Positions of covariates that vary beyond rounding; a constant one can explain nothing."""
    scale = np.abs(total.mean) + 1e-300
    spread = np.sqrt(np.diag(total.products) / max(1, total.n))
    return [i for i in range(k, total.mean.size) if spread[i] > 1e-12 * scale[i]]


def _pooled(metric: Metric, moments: Mapping[str, Moments], used: Sequence[int]) -> dict[str, Float64]:
    k = metric.outcomes
    with_x = np.zeros(len(used))
    of_x = np.zeros((len(used), len(used)))
    for one in moments.values():
        _, slope = gradient(metric, one.mean[:k])
        with_x += slope @ one.products[:k][:, used]
        of_x += one.products[np.ix_(used, used)]
    common = _solve(of_x, with_x)
    return dict.fromkeys(moments, common)


def _own(metric: Metric, moments: Mapping[str, Moments], used: Sequence[int]) -> dict[str, Float64]:
    k, found = metric.outcomes, {}
    for name, one in moments.items():
        _, slope = gradient(metric, one.mean[:k])
        found[name] = _solve(one.products[np.ix_(used, used)], slope @ one.products[:k][:, used])
    return found


def _solve(of_x: Float64, with_x: Float64) -> Float64:
    """Least squares in units of each covariate's own spread, so that collinear ones share a slope."""
    scale = np.sqrt(np.diag(of_x))
    scale = np.where(scale > 0, scale, 1.0)
    return np.asarray(np.linalg.pinv(of_x / np.outer(scale, scale), rcond=1e-10) @ (with_x / scale) / scale)
