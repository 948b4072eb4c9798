"""Thompson sampling: an arm is chosen as often as it is likely the best.

W. Thompson, "On the likelihood that one unknown probability exceeds another in view of the evidence of two samples",
Biometrika 25 (1933).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from shared.errors import UsageError
from shared.experiments.bandits import Counting, check_option
from shared.experiments.chances import best_chances
from shared.lazy import require
from shared.types import Float64

_INSIDE = (np.finfo(np.float64).tiny, 1 - 2.0**-53)  # where a beta density is finite


@dataclass(frozen=True, eq=False)
class Thompson(Counting):
    """The base of both.

    Attributes:
        simulations: draws of the posterior whose shares are the chances; ``None`` takes the integral.
    """

    simulations: int | None = None

    def check(self) -> None:
        if self.simulations is not None:
            check_option("simulations", self.simulations, 1, np.inf)

    def sample(self, rng: np.random.Generator, n: int) -> Float64:
        """Draws of the posterior means, shape (n, arms)."""
        raise NotImplementedError

    def density(self, x: Float64) -> Float64:
        raise NotImplementedError

    def below(self, x: Float64) -> Float64:
        raise NotImplementedError

    def quantile(self, p: Float64) -> Float64:
        raise NotImplementedError

    @cached_property
    def _chances(self) -> Float64:
        return best_chances(self)

    def shares(self, rng: np.random.Generator) -> Float64:
        if self.simulations is None:
            return self._chances
        best = self.sample(rng, self.simulations).argmax(axis=1)
        return np.bincount(best, minlength=self.arms) / self.simulations


@dataclass(frozen=True, eq=False)
class ThompsonBeta(Thompson):
    """Thompson sampling of rewards in [0, 1] with beta posteriors; a reward between is as much success as it is large.

    Attributes:
        simulations: draws of the posterior whose shares are the chances; ``None`` takes the integral.
        successes: of the prior, at least 0.5 (Jeffreys); 1 is uniform.
        failures: of the prior, likewise.

    Example:
        >>> ThompsonBeta.new(2).updated([0], [1.0]).shares(np.random.default_rng(0)).round(6)
        array([0.666667, 0.333333])
    """

    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0
    successes: float = 1.0
    failures: float = 1.0

    def check(self) -> None:
        super().check()
        check_option("successes", self.successes, 0.5, np.inf)
        check_option("failures", self.failures, 0.5, np.inf)
        if (self.sums < 0).any() or (self.sums > self.counts).any():
            raise UsageError(f"sums must lie between 0 and counts. Got {self.sums} of {self.counts} instead")

    @property
    def _shape(self) -> tuple[Float64, Float64]:
        return self.successes + self.sums, self.failures + self.counts - self.sums

    def sample(self, rng: np.random.Generator, n: int) -> Float64:
        drawn: Float64 = rng.beta(*self._shape, size=(n, self.arms))
        return drawn

    def density(self, x: Float64) -> Float64:
        special = require("scipy.special", extra="all")
        a, b = self._shape
        x = np.clip(x, *_INSIDE)
        found: Float64 = np.exp(special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b))
        return found

    def below(self, x: Float64) -> Float64:
        found: Float64 = require("scipy.special", extra="all").betainc(*self._shape, x)
        return found

    def quantile(self, p: Float64) -> Float64:
        found: Float64 = require("scipy.special", extra="all").betaincinv(*self._shape, p)
        return found


@dataclass(frozen=True, eq=False)
class ThompsonNormal(Thompson):
    """Thompson sampling of rewards of any size with normal posteriors of their means.

    The prior of each mean is normal, and so are rewards about it with a known spread; the posterior has the precision
    ``1 / prior_sd^2 + n / noise_sd^2``.

    Attributes:
        simulations: draws of the posterior whose shares are the chances; ``None`` takes the integral.
        noise_sd: standard deviation of rewards about their arm's mean, above 0.
        prior_mean: of each mean.
        prior_sd: above 0.
    """

    noise_sd: float = 1.0
    prior_mean: float = 0.0
    prior_sd: float = 1.0

    def check(self) -> None:
        super().check()
        check_option("noise_sd", self.noise_sd, 1e-12, np.inf)
        check_option("prior_sd", self.prior_sd, 1e-12, np.inf)
        check_option("prior_mean", self.prior_mean, -np.inf, np.inf)

    @property
    def posterior(self) -> tuple[Float64, Float64]:
        """Means and standard deviations, each of shape (arms,)."""
        precision = 1 / self.prior_sd**2 + self.counts / self.noise_sd**2
        mean = (self.prior_mean / self.prior_sd**2 + self.sums / self.noise_sd**2) / precision
        return mean, 1 / np.sqrt(precision)

    def sample(self, rng: np.random.Generator, n: int) -> Float64:
        drawn: Float64 = rng.normal(*self.posterior, size=(n, self.arms))
        return drawn

    def density(self, x: Float64) -> Float64:
        mean, sd = self.posterior
        found: Float64 = np.exp(-(((x - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi))
        return found

    def below(self, x: Float64) -> Float64:
        mean, sd = self.posterior
        found: Float64 = require("scipy.special", extra="all").ndtr((x - mean) / sd)
        return found

    def quantile(self, p: Float64) -> Float64:
        mean, sd = self.posterior
        found: Float64 = mean + sd * require("scipy.special", extra="all").ndtri(p)
        return found
