"""The baseline of ratings: a mean, what each user gives above it, and what each item gets above it.

Y. Koren, "Factor in the neighbors: scalable and accurate collaborative filtering", ACM TKDD 4 (2010), section 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.data import Csr, Interactions
from recsys.histories import Parts
from recsys.ratings.model import RatingConfig, RatingModel, Ratings, rating_parts, read_biases
from shared.errors import UsageError
from shared.types import AnyArray, Float32, Float64, Int32

USER_L2, ITEM_L2, PASSES = 15.0, 10.0, 10
"""Surprise's own defaults."""


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(RatingConfig):
    """Options of :func:`fit_baseline`.

    Attributes:
        user_l2: how many ratings of 0 above the mean each user's bias starts from, at least 0.
        item_l2: the same of each item.
        iterations: passes over items and users, at least 1.
    """

    user_l2: float = field(default=USER_L2, metadata={"help": "penalty on users' biases, in ratings, at least 0"})
    item_l2: float = field(default=ITEM_L2, metadata={"help": "penalty on items' biases, in ratings, at least 0"})
    iterations: int = field(default=PASSES, metadata={"help": "passes over the data, at least 1"})

    def __post_init__(self) -> None:
        for name in ("user_l2", "item_l2"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UsageError(f"{name} must be at least 0 and finite. Got {getattr(self, name)} instead")
        if self.iterations < 1:
            raise UsageError(f"iterations must be at least 1. Got {self.iterations} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Baseline(RatingModel):
    """Predicts mean + b_u + b_i."""

    family: ClassVar[str] = "baseline"

    def score_users(self, codes: Int32) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.score_users`."""
        return self._scores(self.user_biases[codes])

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`: by the bias that a last pass would give them."""
        return self._scores(self.fold_biases(histories))

    def fold_biases(self, histories: Csr) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.fold_biases`."""
        return fold_user_biases(histories, self.scale, self.item_biases, self.config.user_l2)

    def _scores(self, biases: Float32) -> Float32:
        scores: Float32 = self.scale[0] + self.item_biases[None, :] + biases[:, None]
        return scores

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Baseline:
        """See :meth:`recsys.model.Recommender.restore`."""
        return cls(BaselineConfig(**config), *parts, *read_biases(parts, arrays))


def fit_baseline(
    interactions: Interactions, config: BaselineConfig | None = None, *, rng: np.random.Generator | None = None
) -> Baseline:
    """Minimise sum (r - mean - b_u - b_i)^2 + user_l2 |b_u|^2 + item_l2 |b_i|^2 by turns, items first.

    The passes are those of Surprise's ``BaselineOnly`` by ALS, and so are the biases.

    Args:
        interactions: who rated what how.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions.
    """
    config = config or BaselineConfig()
    ratings = rating_parts(interactions)
    users, items = biases_of(ratings, config.user_l2, config.item_l2, config.iterations)
    return Baseline(config, *ratings.parts, ratings.scale, users.astype(np.float32), items.astype(np.float32))


def biases_of(
    ratings: Ratings, user_l2: float = USER_L2, item_l2: float = ITEM_L2, passes: int = PASSES
) -> tuple[Float64, Float64]:
    """Biases of users, shape (users,), and of items, shape (items,), float64; see :func:`fit_baseline`."""
    n, m = ratings.parts[2].shape
    users, items = np.zeros(n), np.zeros(m)
    above = ratings.values - ratings.mean
    heavy = item_l2 + np.bincount(ratings.columns, minlength=m)
    busy = user_l2 + np.bincount(ratings.rows, minlength=n)
    for _ in range(passes):
        items = np.bincount(ratings.columns, above - users[ratings.rows], minlength=m) / heavy
        users = np.bincount(ratings.rows, above - items[ratings.columns], minlength=n) / busy
    return users, items


def fold_user_biases(histories: Csr, scale: Float32, item_biases: Float32, l2: float) -> Float32:
    """What people described by histories give above mean and items' biases, shape (n,), float32; 0 for no history."""
    rows = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    left = histories.data.astype(np.float64) - scale[0] - item_biases[histories.indices]
    counts = np.diff(histories.indptr)
    sums = np.bincount(rows, left, minlength=histories.shape[0])
    biases: Float64 = np.divide(sums, l2 + counts, out=np.zeros(len(counts)), where=counts > 0)
    return biases.astype(np.float32)
