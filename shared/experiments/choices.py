"""What a bandit chose, with the chances that it chose by, and how a choice becomes a row of a log.

The columns of :func:`log_columns` are those that off-policy evaluation reads: ``actions``, ``rewards``,
``propensities`` and ``policy``, so that ``recsys.logged.Log(**log_columns(choices, rewards))`` is such a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Float64, Int64, Result, array_field


@dataclass(frozen=True, eq=False)
class Choices(Result):
    """One arm for each row.

    Attributes:
        arms: shape (n,), int64, from 0.
        propensities: shape (n,), float64, in [0, 1], the chance with which each arm was chosen. It is exact: arms are
            drawn from ``policy`` itself.
        policy: shape (n, arms), float64, in [0, 1], the chances of all arms; each row sums to 1.
    """

    arms: Int64 = array_field("int64", ("n",), 0)
    propensities: Float64 = array_field("float64", ("n",), 0, 1)
    policy: Float64 = array_field("float64", ("n", "arms"), 0, 1)

    def check(self, axes: Mapping[str, int]) -> None:
        if axes["n"] and (self.arms.max() >= axes["arms"] or (self.propensities <= 0).any()):
            raise UsageError("Choices must name arms of the policy, each with a chance above 0")

    def __len__(self) -> int:
        return len(self.arms)


def draw(policy: Float64, rng: np.random.Generator) -> Choices:
    """Draw an arm for each row of a policy.

    Args:
        policy: shape (n, arms), chances that sum to 1 in each row.
        rng: source of randomness.

    Example:
        >>> draw(np.array([[0.0, 1.0]]), np.random.default_rng(0)).arms
        array([1])
    """
    # Dividing by the sum keeps every row's last step at 1 exactly, and arms of chance 0 are never landed on.
    steps = np.cumsum(policy, axis=1)
    shares = policy / steps[:, -1:]
    arms = (np.cumsum(shares, axis=1) <= rng.random((len(policy), 1))).sum(axis=1)
    last = policy.shape[1] - 1 - (policy[:, ::-1] > 0).argmax(axis=1)
    arms = np.minimum(arms, last).astype(np.int64)
    return Choices(arms, np.take_along_axis(shares, arms[:, None], axis=1)[:, 0], np.clip(shares, 0, 1))


def log_columns(choices: Choices, rewards: AnyArray) -> dict[str, AnyArray]:
    """The columns of a log for off-policy evaluation.

    Args:
        choices: what was shown.
        rewards: shape (n,), what came back.

    Raises:
        UsageError: the lengths differ, or a reward is not finite.
    """
    came = rewards_of(rewards, len(choices))
    return {
        "actions": choices.arms,
        "rewards": came,
        "propensities": choices.propensities,
        "policy": choices.policy,
    }


def best_of(scores: Float64) -> Float64:
    """The policy that takes the best score of each row, and shares ties alike; shape (n, arms)."""
    best = scores == scores.max(axis=1, keepdims=True)
    shares: Float64 = best / best.sum(axis=1, keepdims=True)
    return shares


def explored(policy: Float64, share: float) -> Float64:
    """A policy that takes any arm alike in ``share`` of the cases."""
    mixed: Float64 = (1 - share) * policy + share / policy.shape[1]
    return mixed


def rewards_of(rewards: AnyArray, n: int, *, low: float = -np.inf, high: float = np.inf) -> Float64:
    """Rewards as float64 of shape (n,), checked.

    Raises:
        UsageError: the shape is another, or a reward is not finite or out of range.
    """
    came = np.asarray(rewards, np.float64)
    if came.shape != (n,):
        raise UsageError(f"rewards must have shape ({n},). Got {came.shape} instead")
    bad = ~np.isfinite(came) | (came < low) | (came > high)
    if bad.any():
        raise UsageError(
            f"rewards must be finite, in [{low:g}, {high:g}]. Got {came[bad][0]:g} at {bad.argmax()} instead"
        )
    return came


def arms_of(arms: AnyArray, count: int) -> Int64:
    """Codes of arms as int64, checked.

    Raises:
        UsageError: they are not whole numbers in [0, count).
    """
    codes = np.asarray(arms)
    if codes.ndim != 1 or (codes.size and codes.dtype.kind not in "iu"):
        raise UsageError(f"arms must be whole numbers of shape (n,). Got {codes.dtype} of shape {codes.shape} instead")
    if codes.size and not 0 <= codes.min() <= codes.max() < count:
        raise UsageError(f"arms must lie in [0, {count}). Got {codes.min()} to {codes.max()} instead")
    return codes.astype(np.int64)
