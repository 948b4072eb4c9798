"""Nearest paths: who did much the same lately says what comes next (V-SkNN).

D. Jannach and M. Ludewig, "When recurrent neural networks meet the neighborhood for session-based recommendation",
RecSys 2017; the variant with weights is that of M. Ludewig and D. Jannach, "Evaluation of session-based recommendation
algorithms", User Modeling and User-Adapted Interaction 28 (2018), section 3.2. All people are candidates here, where
the papers look at a sample of the latest sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from recsys.data import Csr, Interactions
from recsys.histories import Parts, Weighting
from recsys.ranking import top_k
from recsys.sequential.model import Sequential
from recsys.sequential.paths import Paths, order, read_paths
from shared.errors import UsageError
from shared.types import AnyArray, Float32, Int32

_BLOCK = 4_000_000
"""Similarities of people held at once (16 MB)."""


@dataclass(frozen=True, kw_only=True)
class SessionKnnConfig:
    """Options of :func:`fit_session_knn`.

    Attributes:
        neighbours: how many of the nearest people speak, at least 1.
        recent: how many of the newest items of a path are compared, at least 1; the newest weighs 1, and the weights
            fall evenly towards 0.
        activity_power: a person's likeness is divided by this power of the number of their items, in [0, 1]; 0 is the
            papers' dot product.
    """

    weighting: ClassVar[Weighting] = "binary"
    neighbours: int = field(default=200, metadata={"help": "people or items that speak, at least 1"})
    recent: int = field(default=5, metadata={"help": "newest items of a path that are compared, at least 1"})
    activity_power: float = field(default=0.5, metadata={"help": "how much busy people are discounted, 0 to 1"})

    def __post_init__(self) -> None:
        for name in ("neighbours", "recent"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1. Got {getattr(self, name)} instead")
        if not 0 <= self.activity_power <= 1:
            raise UsageError(f"activity_power must lie in 0..1. Got {self.activity_power} instead")


@dataclass(frozen=True, eq=False, repr=False)
class SessionKnn(Sequential):
    """Scores an item by the likeness of those of the nearest people who had it.

    An item that none of them had scores 0, and such items rank by popularity.
    """

    family: ClassVar[str] = "session_knn"
    config: SessionKnnConfig

    def score_paths(self, paths: Paths) -> Float32:
        """See :meth:`recsys.sequential.model.Sequential.score_paths`."""
        newest = paths.newest(self.config.recent)
        said = newest.matrix(len(self.item_ids))
        said.data /= np.repeat(newest.lengths, np.diff(said.indptr)).astype(np.float32)
        people, nearest = len(self.user_ids), []
        step = max(1, _BLOCK // people)
        for start in range(0, len(paths), step):
            alike = (said[start : start + step] @ self._towards).toarray()
            found, best = top_k(np.where(alike > 0, alike, -np.inf), self.config.neighbours)
            kept = found >= 0
            indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
            rows = csr_matrix((best[kept], found[kept], indptr), shape=(len(found), people))
            nearest.append((rows @ self._had).toarray())
        scores: Float32 = np.concatenate(nearest)
        return scores

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: the cosine of who had them."""
        common = (self._had.T.tocsr()[items] @ self._had).toarray()
        scores: Float32 = common / np.sqrt(self.popularity[items][:, None] * self.popularity[None]).astype(np.float32)
        scores[scores == 0] = -np.inf
        return scores

    @cached_property
    def _had(self) -> Csr:
        found = self.histories
        return csr_matrix((np.ones(found.nnz, dtype=np.float32), found.indices, found.indptr), shape=found.shape)

    @cached_property
    def _towards(self) -> Csr:
        discounts = np.maximum(self._had.getnnz(axis=1), 1) ** -self.config.activity_power
        return self._had.multiply(discounts[:, None]).astype(np.float32).T.tocsr()

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> SessionKnn:
        """See :meth:`recsys.model.Recommender.restore`."""
        return cls(SessionKnnConfig(**config), *parts, read_paths(arrays, len(parts[0]), len(parts[1])))


def fit_session_knn(
    interactions: Interactions, config: SessionKnnConfig | None = None, *, rng: np.random.Generator | None = None
) -> SessionKnn:
    """Keep everybody's path; all the work is done when the model is asked.

    With weights w of the newest items (1 for the newest, falling evenly towards 0), a person n is alike by
    sum over common items of w / (number of n's items)^activity_power, and an item scores the sum of that over those of
    the nearest who had it.

    Args:
        interactions: what happened; see :func:`recsys.sequential.paths.order` for the rule of order.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions.
    """
    users, items, paths = order(interactions)
    return SessionKnn(config or SessionKnnConfig(), users, items, paths.matrix(len(items)), paths)
