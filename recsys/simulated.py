"""Logs whose truth is known: to test estimators against, and to try them on before one's own data.

People come with features, an old policy shows one of the actions with a known chance, and a reward of 0 or 1 comes
back. Rewards are drawn from chances that are known for every person and action, so the true value of any policy is an
average of known numbers, and so is its value over all people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.logged import Log
from shared.errors import UsageError
from shared.types import Float64


@dataclass(frozen=True, eq=False)
class SimulatedLog:
    """A log and what is true of it.

    Attributes:
        log: what an old policy showed and what came back.
        target: shape (n, actions), the new policy's chance of each action for each logged person.
        rewards: shape (n, actions), the true mean reward of each action for each logged person.
        contexts: shape (n, features), what is known of each logged person.
        truth: the new policy's true value over all people, not only over the logged ones.
        naive: what the mean of all logged rewards tends to: the old policy's true value.
    """

    log: Log
    target: Float64
    rewards: Float64
    contexts: Float64
    truth: float
    naive: float


@dataclass(frozen=True, eq=False)
class World:
    """People, chances of reward and two policies. Use :func:`bandit_world` to make one, then :meth:`draw` logs from it.

    Attributes:
        actions: shape (features, actions), what each action's reward leans on.
        old: how strongly the old policy prefers what it prefers; below 0 it prefers what is bad.
        new: the same for the new policy.
        explore: the share of people to whom the old policy shows any action alike.
        truth: the new policy's value over all people, by :data:`PEOPLE` of them.
        naive: the old policy's.
    """

    actions: Float64
    old: float
    new: float
    explore: float
    truth: float
    naive: float

    def draw(self, n: int, *, rng: np.random.Generator) -> SimulatedLog:
        """A log of ``n`` people.

        Args:
            n: how many, at least 1.
            rng: source of randomness.

        Raises:
            UsageError: ``n`` is below 1.
        """
        if n < 1:
            raise UsageError(f"n must be at least 1. Got {n} instead")
        contexts = rng.normal(size=(n, len(self.actions)))
        rewards, old, new = self._known(contexts)
        chosen = (np.cumsum(old, axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=old.shape[1] - 1)
        rows = np.arange(n)
        came = (rng.random(n) < rewards[rows, chosen]).astype(np.float64)
        log = Log(chosen.astype(np.int64), came, old[rows, chosen], old)
        return SimulatedLog(log, new, rewards, contexts, self.truth, self.naive)

    def _known(self, contexts: Float64) -> tuple[Float64, Float64, Float64]:
        """Mean rewards, the old policy and the new one, each of shape (n, actions)."""
        leaning = contexts @ self.actions
        rewards = 1 / (1 + np.exp(-(leaning - 1)))
        count = leaning.shape[1]
        old = (1 - self.explore) * _softmax(self.old * leaning) + self.explore / count
        return rewards, old, _softmax(self.new * leaning)


PEOPLE = 200_000
"""People over whom true values are averaged; their standard error is below 0.001."""


def bandit_world(
    *,
    actions: int = 5,
    features: int = 4,
    old: float = -0.5,
    new: float = 1.0,
    explore: float = 0.2,
    rng: np.random.Generator,
) -> World:
    """A world in which the old policy shows what people like least, so that its log's mean says little of the new one.

    Args:
        actions: how many, at least 2.
        features: of each person, at least 1.
        old: how strongly the old policy prefers better actions; below 0 it prefers worse ones.
        new: the same for the new policy.
        explore: share of people to whom the old policy shows any action alike, in (0, 1]; with it every action has a
            chance of at least ``explore / actions``.
        rng: source of randomness.

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> world = bandit_world(rng=np.random.default_rng(0))
        >>> abs(world.naive - world.truth) / world.truth > 0.2
        True
    """
    if actions < 2 or features < 1 or not 0 < explore <= 1:
        raise UsageError(
            "a world needs at least 2 actions, 1 feature and explore in (0, 1]. "
            f"Got {actions}, {features} and {explore} instead"
        )
    made = World(rng.normal(size=(features, actions)) / np.sqrt(features), old, new, explore, 0.0, 0.0)
    rewards, before, after = made._known(rng.normal(size=(PEOPLE, features)))
    truth, naive = ((policy * rewards).sum(axis=1).mean() for policy in (after, before))
    return World(made.actions, old, new, explore, float(truth), float(naive))


def _softmax(scores: Float64) -> Float64:
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Float64 = grown / grown.sum(axis=1, keepdims=True)
    return shares
