"""LinUCB: the arm whose expected reward, a linear function of the features, could be the greatest.

L. Li, W. Chu, J. Langford and R. Schapire, "A contextual-bandit approach to personalized news article recommendation",
WWW 2010, algorithm 1 (disjoint models).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from shared.errors import UsageError
from shared.experiments.bandits import check_option
from shared.experiments.choices import Choices, arms_of, best_of, draw, explored, rewards_of
from shared.types import AnyArray, Float64


@dataclass(frozen=True, eq=False)
class LinUcb:
    """A ridge regression for each arm and the width of its confidence.

    Attributes:
        gram: shape (arms, features, features), float64: the identity times ``l2``, plus the sum of x x' of the rows
            that each arm was shown to.
        moments: shape (arms, features), float64: the sum of reward times x.
        alpha: how many widths are added to the expected reward, 0 or more.
        explore: share of the cases in which any arm is taken alike, in [0, 1]; 0 is the paper's policy.

    Example:
        >>> bandit = LinUcb.new(2, features=1, alpha=1.0).updated([0], [1.0], [[1.0]])
        >>> bandit.bounds(np.array([[1.0]])).round(3)  # 1/2 + sqrt(1/2), and 0 + 1
        array([[1.207, 1.   ]])
    """

    gram: Float64
    moments: Float64
    alpha: float = 1.0
    explore: float = 0.0

    def __post_init__(self) -> None:
        gram, moments = np.array(self.gram, np.float64), np.array(self.moments, np.float64)
        if moments.ndim != 2 or moments.shape[0] < 2 or gram.shape != (*moments.shape, moments.shape[1]):
            raise UsageError(
                "gram must have shape (arms, features, features) and moments (arms, features), with 2 arms at least. "
                f"Got {gram.shape} and {moments.shape} instead"
            )
        if not np.isfinite(gram).all() or not np.isfinite(moments).all():
            raise UsageError("gram and moments must be finite")
        gram.flags.writeable = moments.flags.writeable = False
        object.__setattr__(self, "gram", gram)
        object.__setattr__(self, "moments", moments)
        check_option("alpha", self.alpha, 0, np.inf)
        check_option("explore", self.explore, 0, 1)

    @classmethod
    def new(cls, arms: int, *, features: int, l2: float = 1.0, alpha: float = 1.0, explore: float = 0.0) -> LinUcb:
        """A bandit that knows nothing yet.

        Args:
            arms: how many, at least 2.
            features: of each row, at least 1; an intercept is a feature that is always 1.
            l2: penalty of the regressions, above 0; the paper's is 1.
            alpha: how many widths are added.
            explore: share of the cases in which any arm is taken alike.

        Raises:
            UsageError: an option is out of its range.
        """
        check_option("arms", arms, 2, np.inf)
        check_option("features", features, 1, np.inf)
        check_option("l2", l2, 1e-12, np.inf)
        return cls(np.tile(l2 * np.eye(features), (arms, 1, 1)), np.zeros((arms, features)), alpha, explore)

    @property
    def arms(self) -> int:
        return len(self.moments)

    @cached_property
    def _inverse(self) -> Float64:
        return np.linalg.inv(self.gram).astype(np.float64)

    @property
    def weights(self) -> Float64:
        """What each feature is worth for each arm, shape (arms, features)."""
        found: Float64 = np.einsum("afg,ag->af", self._inverse, self.moments)
        return found

    def bounds(self, contexts: AnyArray) -> Float64:
        """Upper bounds of the expected rewards, shape (n, arms).

        Args:
            contexts: shape (n, features).
        """
        x = self._contexts(contexts)
        wide = np.sqrt(np.maximum(np.einsum("nf,afg,ng->na", x, self._inverse, x, optimize=True), 0))
        bounds: Float64 = x @ self.weights.T + self.alpha * wide
        return bounds

    def policy(self, contexts: AnyArray, *, rng: np.random.Generator) -> Float64:
        """The chances of all arms for each row of contexts, shape (n, arms)."""
        return explored(best_of(self.bounds(contexts)), self.explore)

    def choose(self, contexts: AnyArray, *, rng: np.random.Generator) -> Choices:
        """An arm for each row.

        Args:
            contexts: shape (n, features).
            rng: source of randomness.

        Raises:
            UsageError: the contexts have another shape or are not finite.
        """
        return draw(self.policy(contexts, rng=rng), rng)

    def updated(self, arms: AnyArray, rewards: AnyArray, contexts: AnyArray | None = None) -> LinUcb:
        """The bandit that also knows what came of these choices.

        Args:
            arms: shape (n,), codes from 0.
            rewards: shape (n,), what came back.
            contexts: shape (n, features), to whom the arms were shown.

        Raises:
            UsageError: an arm is unknown, a reward is not finite, or the contexts are missing or of another shape.
        """
        codes = arms_of(arms, self.arms)
        came = rewards_of(rewards, len(codes))
        x = self._contexts(contexts)
        if len(x) != len(codes):
            raise UsageError(f"contexts must have {len(codes)} rows, one a choice. Got {len(x)} instead")
        gram, moments = self.gram.copy(), self.moments.copy()
        for arm in np.unique(codes):
            rows = codes == arm
            gram[arm] += x[rows].T @ x[rows]
            moments[arm] += came[rows] @ x[rows]
        return replace(self, gram=gram, moments=moments)

    def _contexts(self, contexts: AnyArray | None) -> Float64:
        features = self.moments.shape[1]
        x = np.asarray(contexts if contexts is not None else [], np.float64)
        if x.ndim != 2 or x.shape[1] != features or not np.isfinite(x).all():
            raise UsageError(f"contexts must be finite, of shape (n, {features}). Got shape {x.shape} instead")
        return x
