"""Whether the arms got the shares of units that were planned. Where they did not, no other figure can be trusted.

A. Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments", KDD 2019; the test that may be
looked at at any time: M. Lindon and A. Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.types import Result

ALARM = 0.001
"""The level below which a mismatch is called one: experiments are many and mismatches are rare."""
CONCENTRATION = 1000.0
"""Of the sequential test's prior around the plan: it looks for shares that are off by one or two points."""


@dataclass(frozen=True, eq=False)
class RatioCheck(Result):
    """Counts against the plan.

    Attributes:
        counts: units by arm.
        planned: shares by arm, which sum to 1.
        p_value: of the chi-square test, for one look.
        always_p_value: of the sequential test, for any number of looks.
        mismatch: whether the p-value that is asked is below the level.
        sequential: which of the two is asked.
    """

    counts: Mapping[str, int]
    planned: Mapping[str, float]
    p_value: float
    always_p_value: float
    mismatch: bool
    sequential: bool


def check_ratio(
    counts: Mapping[str, int],
    shares: Mapping[str, float],
    *,
    sequential: bool = True,
    level: float = ALARM,
    concentration: float = CONCENTRATION,
) -> RatioCheck:
    """Test counts of units against planned shares.

    Args:
        counts: units by arm.
        shares: planned shares by the same arms, above 0; divided by their sum.
        sequential: ask the test that allows any number of looks; else chi-square.
        level: below which it is a mismatch.
        concentration: of the sequential test's Dirichlet prior.

    Raises:
        UnknownNameError: an arm of the counts has no share.
        UsageError: a number is out of its range, or there are no units or fewer than two arms.

    Example:
        >>> found = check_ratio({"a": 505_000, "b": 495_000}, {"a": 1, "b": 1})
        >>> found.mismatch, found.p_value < 1e-20
        (True, True)
    """
    from scipy.stats import chi2  # noqa: PLC0415

    for arm in counts:
        if arm not in shares:
            raise UnknownNameError("planned arm", arm, shares)
    if len(shares) < 2 or not all(share > 0 and math.isfinite(share) for share in shares.values()):
        raise UsageError(f"at least two arms must have shares above 0. Got {dict(shares)} instead")
    seen = np.array([counts.get(arm, 0) for arm in shares], np.float64)
    if seen.min() < 0 or not seen.sum():
        raise UsageError(f"counts must be at least 0, and not all 0. Got {dict(counts)} instead")
    if not concentration > 0:
        raise UsageError(f"concentration must be above 0. Got {concentration} instead")
    plan = np.array(list(shares.values()), np.float64)
    plan /= plan.sum()
    expected = plan * seen.sum()
    p_value = float(chi2.sf(((seen - expected) ** 2 / expected).sum(), len(plan) - 1))
    always = multinomial_p(seen.astype(np.int64).tolist(), plan.tolist(), concentration=concentration)
    return RatioCheck(
        {arm: int(n) for arm, n in zip(shares, seen)},
        {arm: float(p) for arm, p in zip(shares, plan)},
        p_value,
        always,
        (always if sequential else p_value) < level,
        sequential,
    )


def multinomial_p(counts: list[int], shares: list[float], *, concentration: float = CONCENTRATION) -> float:
    """Always-valid p-value of counts against shares: 1 over the Bayes factor of a Dirichlet alternative, at most 1.

    Lindon and Malek 2022, equation (4), with alpha = concentration * shares.

    Example:
        >>> multinomial_p([500, 500], [0.5, 0.5]), multinomial_p([600, 400], [0.5, 0.5]) < 0.001
        (1.0, True)
    """
    from scipy.special import gammaln  # noqa: PLC0415

    n, theta = np.asarray(counts, np.float64), np.asarray(shares, np.float64)
    alpha = concentration * theta
    log_factor = gammaln(alpha.sum()) - gammaln(alpha.sum() + n.sum())
    log_factor += (gammaln(alpha + n) - gammaln(alpha) - n * np.log(theta)).sum()
    return float(np.exp(-max(0.0, float(log_factor))))
