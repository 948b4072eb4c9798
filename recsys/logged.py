"""Logs of what a policy showed, with what chance, and what came of it; and models of the reward fitted on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float64, Int64


@dataclass(frozen=True, eq=False)
class Log:
    """What an old policy did and what came of it. Checked at birth.

    Attributes:
        actions: shape (n,), int64, the action that was shown, from 0.
        rewards: shape (n,), float64, finite.
        propensities: shape (n,), float64, in (0, 1], the chance with which that action was shown.
        policy: shape (n, actions), float64, the old policy's chances of all actions, where they were logged; only
            ``switch`` needs them.

    Raises:
        DataError: the log is empty or malformed; the message says how many rows are wrong, and why.
    """

    actions: Int64
    rewards: Float64
    propensities: Float64
    policy: Float64 | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("actions", np.int64), ("rewards", np.float64), ("propensities", np.float64)):
            array = np.asarray(getattr(self, name))
            if array.ndim != 1 or (name == "actions" and array.dtype.kind not in "iu"):
                raise DataError(f"Log.{name} must be an (n,) array. Got {array.dtype} of shape {array.shape} instead")
            array = array.astype(dtype)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not len(self.actions) or not self.actions.shape == self.rewards.shape == self.propensities.shape:
            shapes = f"{self.actions.shape}, {self.rewards.shape} and {self.propensities.shape}"
            raise DataError(f"a log needs at least one row and columns of one length. Got {shapes} instead")
        p = self.propensities
        faults = {
            "NaN: leave rows without a known propensity out, or estimate it": np.isnan(p),
            "0 or less: what the old policy could not show cannot have been shown": p <= 0,
            "above 1: a propensity is a probability, not a weight": p > 1,
        }
        for fault, rows in faults.items():
            if rows.any():
                raise DataError(f"propensities must lie in (0, 1]. {int(rows.sum())} of {p.size} are {fault}")
        if not np.isfinite(self.rewards).all():
            raise DataError(f"rewards must be finite. {int((~np.isfinite(self.rewards)).sum())} of {p.size} are not")
        if self.actions.min() < 0:
            raise DataError(f"actions must be codes from 0. Got {int(self.actions.min())}")
        if self.policy is not None:
            object.__setattr__(self, "policy", np.array(self.policy, np.float64))
            self._check_policy(np.asarray(self.policy))

    def _check_policy(self, policy: Float64) -> None:
        if policy.ndim != 2 or len(policy) != len(self) or policy.shape[1] <= int(self.actions.max()):
            raise DataError(f"Log.policy must have shape ({len(self)}, actions). Got {policy.shape} instead")
        shown = policy[np.arange(len(self)), self.actions]
        if not np.allclose(shown, self.propensities, atol=1e-6):
            raise DataError("Log.policy must give each shown action its propensity. Got another for some")

    def __len__(self) -> int:
        return len(self.actions)


def cross_fitted(
    contexts: AnyArray,
    log: Log,
    *,
    actions: int,
    fit: Callable[[AnyArray, Int64, Float64], Callable[[AnyArray], AnyArray]] | None = None,
    folds: int = 3,
    rng: np.random.Generator,
) -> Float64:
    """Expected rewards for ``model=`` of rows that the reward model has not seen: each fold's come from the other
    folds.

    V. Chernozhukov et al., "Double/debiased machine learning", Econometrics Journal 21 (2018).

    Args:
        contexts: shape (n, features), what is known of each person.
        log: what was shown and what came back.
        actions: how many there are.
        fit: from contexts, actions and rewards of some rows to a function from contexts (m, features) to expected
            rewards (m, actions). ``None`` takes a ridge regression for each action on its own.
        folds: at least 2.
        rng: source of randomness.

    Returns:
        Shape (n, actions).

    Raises:
        UsageError: an argument is out of its range, or the shapes differ.
    """
    known = np.asarray(contexts, np.float64)
    if known.ndim != 2 or len(known) != len(log):
        raise UsageError(f"contexts must have shape ({len(log)}, features). Got {known.shape} instead")
    if not 2 <= folds <= len(log) or actions <= int(log.actions.max()):
        raise UsageError(f"folds must be 2 to {len(log)}, and actions above every action. Got {folds} and {actions}")
    fit = fit or (lambda x, a, r: _ridges(x, a, r, actions))
    fold = np.empty(len(log), np.int64)
    fold[rng.permutation(len(log))] = np.arange(len(log)) % folds
    expected = np.empty((len(log), actions))
    for one in range(folds):
        rest = fold != one
        expected[~rest] = fit(known[rest], log.actions[rest], log.rewards[rest])(known[~rest])
    return expected


def _ridges(contexts: Float64, shown: Int64, rewards: Float64, actions: int) -> Callable[[AnyArray], AnyArray]:
    """One ridge regression an action, with a free intercept and a penalty of 1; an action never shown gets the mean."""
    mean = float(rewards.mean())
    weights = np.zeros((contexts.shape[1] + 1, actions))
    weights[0] = mean
    for action in range(actions):
        rows = shown == action
        if rows.any():
            x = np.column_stack([np.ones(int(rows.sum())), contexts[rows]])
            penalty = np.eye(x.shape[1])
            penalty[0, 0] = 1e-9
            weights[:, action] = np.linalg.solve(x.T @ x + penalty, x.T @ rewards[rows])
    return lambda new: np.column_stack([np.ones(len(new)), new]) @ weights
