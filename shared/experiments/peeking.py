"""What looking every day does: simulated experiments on a rate, read by a test for one look and by one for any number.

The test for one look is the z-test of two rates with their own variances, to which Welch's comes with many units. The
other is the mixture test of :mod:`shared.experiments.sequential`, tuned to the planned end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE
from shared.experiments.decide import SMALL
from shared.experiments.power import rate_baseline
from shared.experiments.sequential import always_valid_p, mixing_variance, sequence_radius
from shared.types import Float64

MOST_DRAWS = 1_000_000
"""Runs times days that are simulated at most: several arrays of so many numbers are held at once."""


@dataclass(frozen=True, eq=False)
class Peeks:
    """Simulated experiments, each looked at at the end of every day. All arrays have shape (runs, days), float64.

    Attributes:
        difference: treatment minus control of all units so far, in [-1, 1].
        radius: half the width of the always-valid interval, above 0.
        naive_p: p-value of the test for one look, in [0, 1].
        always_p: always-valid p-value, the least so far, in [0, 1].
        alpha: the error that both are judged at.
    """

    difference: Float64
    radius: Float64
    naive_p: Float64
    always_p: Float64
    alpha: float

    @property
    def called(self) -> dict[str, float]:
        """The share of the runs in which a difference was called, by way of looking."""
        naive, always = self.naive_p < self.alpha, self.always_p < self.alpha
        return {
            "naive, every day": float(naive.any(axis=1).mean()),
            "naive, once at the end": float(naive[:, -1].mean()),
            "always valid, every day": float(always.any(axis=1).mean()),
        }


def peek(
    rate: float,
    lift: float,
    *,
    units: int,
    days: int,
    runs: int,
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
) -> Peeks:
    """Simulate experiments on a rate.

    Args:
        rate: of the control, in (0, 1).
        lift: of the treatment, as a share of it; 0 is an A/A test.
        units: a day and arm, at least 50, so that the first day's variance is more than a guess.
        days: that it runs, at least 1.
        runs: how many experiments, at least 1.
        rng: source of randomness.
        confidence: 1 - the error that is allowed.

    Raises:
        UsageError: an argument is out of its range, or there are too many runs and days.

    Example:
        >>> found = peek(0.1, 0.0, units=1000, days=14, runs=500, rng=np.random.default_rng(0))
        >>> found.called["naive, every day"] > 0.1, found.called["always valid, every day"] <= 0.05
        (True, True)
    """
    from scipy.special import ndtr  # noqa: PLC0415 - SciPy takes long to import

    base = rate_baseline(rate, lift)
    for name, value, least in (("units", units, SMALL), ("days", days, 1), ("runs", runs, 1)):
        if value < least:
            raise UsageError(f"{name} must be at least {least}. Got {value} instead")
    if runs * days > MOST_DRAWS:
        raise UsageError(f"runs times days must be at most {MOST_DRAWS}. Got {runs} x {days} instead")
    seen = units * np.arange(1, days + 1)
    shares = [np.cumsum(rng.binomial(units, p, (runs, days)), axis=1) / seen for p in (rate, rate * (1 + lift))]
    # A rate of 0 or 1 so far has no variance of its own: half a success or failure more than was seen gives it one.
    kept = [share.clip(0.5 / seen, 1 - 0.5 / seen) for share in shares]
    variance = sum(share * (1 - share) for share in kept) / (seen - 1)
    difference = shares[1] - shares[0]
    mixing = mixing_variance(base.spread(int(seen[-1]), int(seen[-1])), confidence=confidence)
    always_p = np.minimum.accumulate(always_valid_p(difference, variance, mixing), axis=1)
    naive_p = 2 * ndtr(-np.abs(difference) / np.sqrt(variance))
    radius = sequence_radius(variance, mixing, confidence=confidence)
    return Peeks(difference, radius, naive_p, always_p, 1 - confidence)
