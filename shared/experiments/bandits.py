"""Bandits: what to show next, from what came back, with the chance of every choice logged.

=================== ============================================== ===================================================
name                chooses                                        chances
=================== ============================================== ===================================================
``EpsilonGreedy``   the best mean, or any arm                      exact
``Ucb1``            the greatest mean + sqrt(2 ln n / n_arm)       exact; 0 or 1 unless ``explore``
``ThompsonBeta``    an arm as often as it is likely the best       an integral or a simulation, see below
``ThompsonNormal``  the same, for rewards of any size              the same
``LinUcb``          the greatest bound of a linear model           exact; 0 or 1 unless ``explore``
=================== ============================================== ===================================================

The first two stand here, the others in :mod:`shared.experiments.thompson` and :mod:`shared.experiments.linear_bandit`.
P. Auer, N. Cesa-Bianchi and P. Fischer, "Finite-time analysis of the multiarmed bandit problem", Machine Learning 47
(2002).

A bandit is frozen: ``choose`` tells the arms for some rows, ``updated`` returns another bandit that knows more. All
rows of one ``choose`` are answered from the same state. Arms are always drawn from the chances that are logged, so a
propensity is exact for the policy that was really followed; where those chances approximate Thompson's (by
``simulations`` draws of the posterior, or to 1e-6 by the integral, 3e-5 with priors below 1), it is the policy that is
approximate, never its log. A policy with chances of 0 and 1 tells nothing of others: give ``explore`` where its log
shall be evaluated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from shared.errors import UsageError
from shared.experiments.choices import Choices, arms_of, best_of, draw, explored, rewards_of
from shared.types import AnyArray, Float64

B = TypeVar("B", bound="Bandit")


class Bandit(Protocol):
    """What every bandit can do."""

    @property
    def arms(self) -> int:
        """How many arms there are."""

    def policy(self, contexts: AnyArray, *, rng: np.random.Generator) -> Float64:
        """The chances of all arms for each row, shape (n, arms)."""

    def choose(self, contexts: AnyArray, *, rng: np.random.Generator) -> Choices:
        """An arm for each row of contexts."""

    def updated(self: B, arms: AnyArray, rewards: AnyArray, contexts: AnyArray | None = None) -> B:
        """The bandit that also knows what came of these choices."""


C = TypeVar("C", bound="Counting")


@dataclass(frozen=True, eq=False)
class Counting:
    """What bandits without features know of each arm; the base of those.

    Attributes:
        counts: shape (arms,), float64, how often each arm was tried.
        sums: shape (arms,), float64, the rewards of each arm together.
    """

    low: ClassVar[float] = -np.inf
    high: ClassVar[float] = np.inf
    counts: Float64
    sums: Float64

    def __post_init__(self) -> None:
        for name in ("counts", "sums"):
            array = np.array(getattr(self, name), np.float64)
            if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
                raise UsageError(f"{name} must be finite, of shape (arms,) with 2 arms at least. Got {array} instead")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.counts.shape != self.sums.shape or self.counts.min() < 0:
            raise UsageError(
                f"counts must be 0 or more, one an arm like sums. Got {self.counts} and {self.sums} instead"
            )
        self.check()

    def check(self) -> None:
        """Check the options."""

    @classmethod
    def new(cls: type[C], arms: int, **options: Any) -> C:
        """A bandit that knows nothing yet.

        Args:
            arms: how many, at least 2.
            options: the class's own.

        Raises:
            UsageError: an option is out of its range.
        """
        return cls(np.zeros(arms), np.zeros(arms), **options)

    @property
    def arms(self) -> int:
        return len(self.counts)

    @property
    def means(self) -> Float64:
        """Shape (arms,), the mean reward of each arm; 0 of one that was never tried."""
        return self.sums / np.maximum(self.counts, 1)

    def shares(self, rng: np.random.Generator) -> Float64:
        """The chance of each arm, shape (arms,)."""
        raise NotImplementedError

    def policy(self, contexts: AnyArray, *, rng: np.random.Generator) -> Float64:
        """The chances of all arms for each row of ``contexts``, which count and are not looked at; (n, arms)."""
        return np.tile(self.shares(rng), (len(contexts), 1))

    def choose(self, contexts: AnyArray, *, rng: np.random.Generator) -> Choices:
        """An arm for each row.

        Args:
            contexts: shape (n, ...); only n matters.
            rng: source of randomness.
        """
        return draw(self.policy(contexts, rng=rng), rng)

    def updated(self: C, arms: AnyArray, rewards: AnyArray, contexts: AnyArray | None = None) -> C:
        """The bandit that also knows what came of these choices.

        Args:
            arms: shape (n,), codes from 0.
            rewards: shape (n,), what came back.
            contexts: not looked at.

        Raises:
            UsageError: an arm is unknown, or a reward is not finite or out of the range that the bandit is made for.
        """
        codes = arms_of(arms, self.arms)
        came = rewards_of(rewards, len(codes), low=self.low, high=self.high)
        added, tried = (np.bincount(codes, weights, self.arms) for weights in (came, None))
        return replace(self, counts=self.counts + tried, sums=self.sums + added)


@dataclass(frozen=True, eq=False)
class EpsilonGreedy(Counting):
    """The arm with the best mean, and in a share of the cases any arm alike. Arms never tried come first.

    Attributes:
        epsilon: that share, in [0, 1].

    Example:
        >>> bandit = EpsilonGreedy.new(2, epsilon=0.2).updated([0, 1], [0.0, 1.0])
        >>> bandit.shares(np.random.default_rng(0))
        array([0.1, 0.9])
    """

    epsilon: float = 0.1

    def check(self) -> None:
        check_option("epsilon", self.epsilon, 0, 1)

    def shares(self, rng: np.random.Generator) -> Float64:
        scores = np.where(self.counts > 0, self.means, np.inf)
        found: Float64 = explored(best_of(scores[None]), self.epsilon)[0]
        return found


@dataclass(frozen=True, eq=False)
class Ucb1(Counting):
    """The arm whose mean reward could be the greatest: UCB1 of Auer et al. (2002). Rewards lie in [0, 1].

    Attributes:
        explore: share of the cases in which any arm is taken alike, in [0, 1]; 0 is the paper's policy.

    Example:
        >>> Ucb1.new(2).updated([0, 1, 1], [1.0, 0.0, 1.0]).bounds.round(3)
        array([2.482, 1.548])
    """

    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0
    explore: float = 0.0

    def check(self) -> None:
        check_option("explore", self.explore, 0, 1)

    @property
    def bounds(self) -> Float64:
        """Shape (arms,), mean + sqrt(2 ln n / n_arm); infinite for an arm that was never tried."""
        with np.errstate(divide="ignore", invalid="ignore"):
            wide = np.sqrt(2 * np.log(max(self.counts.sum(), 1)) / self.counts)
        bounds: Float64 = np.where(self.counts > 0, self.means + wide, np.inf)
        return bounds

    def shares(self, rng: np.random.Generator) -> Float64:
        found: Float64 = explored(best_of(self.bounds[None]), self.explore)[0]
        return found


def check_option(name: str, value: object, low: float, high: float) -> None:
    """Raise where an option is no finite number in [low, high]."""
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or not low <= value <= high
    ):
        raise UsageError(f"{name} must be a finite number in [{low:g}, {high:g}]. Got {value!r} instead")
