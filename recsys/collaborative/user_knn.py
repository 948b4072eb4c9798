"""User k-nearest neighbours: people get what people like them took.

P. Resnick et al., "GroupLens", CSCW 1994, and J. Herlocker et al., "An algorithmic framework for collaborative
filtering", SIGIR 1999, in the form for interactions: a sum of weights, with the shrinkage of item neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from recsys.data import Csr, Interactions
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts
from recsys.model import Recommender
from recsys.ranking import top_k
from shared.errors import UsageError
from shared.types import AnyArray, Float32, Float64, Int32

_BLOCK = 8_000_000
"""Similarities held at once (64 MB)."""


@dataclass(frozen=True, kw_only=True)
class UserKnnConfig:
    """Options of :func:`fit_user_knn`.

    Attributes:
        neighbours: how many people are asked, at least 1.
        shrink: added to the denominator of the cosine, at least 0: the more, the less a few common items count.
        weighting: ``"binary"``, ``"value"`` or ``"log"`` (of 1 + value).
    """

    neighbours: int = field(default=100, metadata={"help": "neighbours that each item keeps, at least 1"})
    shrink: float = field(default=10.0, metadata={"help": "how much few common users are distrusted, at least 0"})
    weighting: Weighting = field(default="log", metadata={"help": WEIGHTING_HELP})

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        if self.neighbours < 1:
            raise UsageError(f"neighbours must be at least 1. Got {self.neighbours} instead")
        if not 0 <= self.shrink < np.inf:
            raise UsageError(f"shrink must be at least 0 and finite. Got {self.shrink} instead")


class UserKnn(Recommender):
    """Scores an item by the weights that the nearest people give it, times how near they are.

    Neighbours are looked for when somebody asks, so fitting costs nothing, and somebody new is answered like everybody
    else. A user's own row of training is among the neighbours; it speaks for nothing but what the user has seen.
    """

    family: ClassVar[str] = "user_knn"
    config: UserKnnConfig

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`."""
        scores = np.empty(histories.shape, dtype=np.float32)
        for block, near in self.near_users(histories):
            scores[block] = (near @ self.histories).toarray()
        return scores

    def near_users(self, histories: Csr) -> Iterator[tuple[slice, Csr]]:
        """The nearest people by blocks of histories: rows, and a CSR of shape (rows, users), float32, above 0.

        s_uv = x_u . x_v / (|x_u| |x_v| + shrink). Among equals the one who comes first in ``user_ids`` is the nearer.
        """
        n, step = histories.shape[0], max(1, _BLOCK // len(self.user_ids))
        lengths = _lengths(histories)
        for start in range(0, n, step):
            block = slice(start, min(n, start + step))
            common = (histories[block] @ self._columns).toarray()
            similarity: Float32 = common / np.maximum(
                lengths[block, None] * self._norms + np.float32(self.config.shrink), np.finfo(np.float32).tiny
            )
            similarity[similarity <= 0] = -np.inf
            near, best = top_k(similarity, self.config.neighbours)
            kept = near >= 0
            indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
            shape = (block.stop - start, len(self.user_ids))
            yield block, csr_matrix((best[kept], near[kept], indptr), shape=shape, dtype=np.float32)

    @cached_property
    def _columns(self) -> Csr:
        return self.histories.T.tocsr()

    @cached_property
    def _norms(self) -> Float32:
        return _lengths(self.histories)

    def contributions(self, history: Csr, item: int) -> Float64:
        """Refused: the score is a sum over people; see :func:`recsys.explanations.explain`.

        Raises:
            UsageError: always.
        """
        raise UsageError("a user_knn score is a sum over people, not over a history. Ask recsys.explain for it")

    def item_similarities(self, items: Int32) -> Float32:
        """Refused: only people are compared.

        Raises:
            UsageError: always.
        """
        raise UsageError("a user_knn model knows no similar items. Fit an ease or item_knn model for them")

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> UserKnn:
        """See :meth:`recsys.model.Recommender.restore`."""
        return cls(UserKnnConfig(**config), *parts)


def fit_user_knn(
    interactions: Interactions, config: UserKnnConfig | None = None, *, rng: np.random.Generator | None = None
) -> UserKnn:
    """Keep everybody's history.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, or the weighting cannot take their values.

    Example:
        >>> from recsys.data import from_records
        >>> rows = [("ann", "tea"), ("bob", "tea"), ("bob", "rice"), ("cid", "wine"), ("dan", "wine")]
        >>> fit_user_knn(from_records(rows)).recommend(["ann"], k=1)[0].items
        ('rice',)
    """
    config = config or UserKnnConfig()
    return UserKnn(config, *training_parts(interactions, config.weighting))


def _lengths(histories: Csr) -> Float32:
    squares = np.asarray(histories.multiply(histories).sum(axis=1, dtype=np.float64)).ravel()
    lengths: Float32 = np.sqrt(squares).astype(np.float32)
    return lengths
