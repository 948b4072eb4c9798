"""Item k-nearest neighbours: an item is liked when items are liked that had the same people.

M. Deshpande and G. Karypis, "Item-based top-N recommendation algorithms", ACM TOIS 22 (2004).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix

from recsys.data import Csr, Interactions, read_csr
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts
from recsys.model import Recommender
from recsys.ranking import top_k
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float32, Float64, Int32

_BLOCK = 8_000_000
"""Similarities held at once (64 MB)."""


@dataclass(frozen=True, kw_only=True)
class ItemKnnConfig:
    """Options of :func:`fit_item_knn`.

    Attributes:
        neighbours: how many neighbours each item keeps, at least 1.
        shrink: added to the denominator of the cosine, at least 0: the more, the less a few common users count.
        weighting: ``"binary"``, ``"value"`` or ``"log"`` (of 1 + value).
    """

    neighbours: int = field(default=200, metadata={"help": "neighbours that each item keeps, at least 1"})
    shrink: float = field(default=50.0, metadata={"help": "how much few common users are distrusted, at least 0"})
    weighting: Weighting = field(default="log", metadata={"help": WEIGHTING_HELP})

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        if self.neighbours < 1:
            raise UsageError(f"neighbours must be at least 1. Got {self.neighbours} instead")
        if not 0 <= self.shrink < np.inf:
            raise UsageError(f"shrink must be at least 0 and finite. Got {self.shrink} instead")


@dataclass(frozen=True, eq=False, repr=False)
class ItemKnn(Recommender):
    """Scores an item by its similarity to those of the history that are among its neighbours, times their weights.

    An item that no neighbour speaks for scores 0, and such items rank by popularity.

    Attributes:
        options: makes ``config`` of what a card holds; a family has its own.
        neighbours: CSR, shape (items, items), float32: row i holds the positive similarities of item i's neighbours.
    """

    family: ClassVar[str] = "item_knn"
    options: ClassVar[Callable[..., Any]] = ItemKnnConfig
    neighbours: Csr

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`."""
        scores: Float32 = (histories @ self._towards).toarray()
        return scores

    @cached_property
    def _towards(self) -> Csr:
        return self.neighbours.T.tocsr()

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`; only neighbours are known."""
        scores: Float32 = self.neighbours[items].toarray()
        scores[scores == 0] = -np.inf
        return scores

    def contributions(self, history: Csr, item: int) -> Float64:
        """See :meth:`recsys.model.Recommender.contributions`: each weight times its similarity."""
        similarities = self.neighbours[item].toarray().ravel()
        parts: Float64 = history.data.astype(np.float64) * similarities[history.indices]
        return parts

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        found = self.neighbours
        return {"neighbours.data": found.data, "neighbours.indices": found.indices, "neighbours.indptr": found.indptr}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Self:
        """See :meth:`recsys.model.Recommender.restore`."""
        neighbours = read_csr("neighbours", arrays, (len(parts[1]), len(parts[1])))
        if neighbours.nnz and not neighbours.data.min() > 0:
            raise DataError("neighbours.data must be positive similarities. Got one that is not")
        return cls(cls.options(**config), *parts, neighbours)


def fit_item_knn(
    interactions: Interactions, config: ItemKnnConfig | None = None, *, rng: np.random.Generator | None = None
) -> ItemKnn:
    """Find each item's neighbours by shrunk cosine, s_ij = x_i . x_j / (|x_i| |x_j| + shrink) over the users' weights.

    Works through the items in blocks, so memory stays near (items x neighbours) beside one block. Among equal
    similarities the more popular item is the nearer.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, or the weighting cannot take their values.
    """
    config = config or ItemKnnConfig()
    users, items, histories = training_parts(interactions, config.weighting)
    return ItemKnn(config, users, items, histories, nearest_items(histories, config.neighbours, config.shrink))


def nearest_items(histories: Csr, neighbours: int, shrink: float) -> Csr:
    """Each item's nearest by shrunk cosine; see :func:`fit_item_knn`. CSR, shape (items, items), float32, above 0."""
    n = histories.shape[1]
    exact = histories.astype(np.float64)
    columns = exact.T.tocsr()
    norms = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=1)).ravel())
    step = max(1, _BLOCK // n)
    data, indices, counts = [], [], []
    for start in range(0, n, step):
        stop = min(n, start + step)
        common = (columns[start:stop] @ exact).toarray()
        scale = norms[start:stop, None] * norms[None, :] + shrink
        similarity = np.divide(common, scale, out=np.zeros_like(common), where=scale > 0).astype(np.float32)
        similarity[np.arange(stop - start), np.arange(start, stop)] = 0
        similarity[similarity <= 0] = -np.inf
        near, best = top_k(similarity, min(neighbours, n))
        kept = near >= 0
        data.append(best[kept])
        indices.append(near[kept])
        counts.append(kept.sum(axis=1))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    found = csr_matrix((np.concatenate(data), np.concatenate(indices), indptr), shape=(n, n), dtype=np.float32)
    found.sort_indices()
    return found
