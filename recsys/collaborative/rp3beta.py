"""RP3beta: where a random walk from the items of a history to people and back to items ends, popular ends held back.

B. Paudel, F. Christoffel, C. Newell and A. Bernstein, "Updatable, accurate, diverse, and scalable recommendations for
interactive applications", ACM TiiS 7 (2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix, diags

from recsys.collaborative.item_knn import ItemKnn
from recsys.data import Csr, Interactions
from recsys.histories import WEIGHTING_HELP, Weighting, check_weighting, training_parts
from recsys.ranking import top_k
from shared.errors import UsageError
from shared.types import Float32, Int32

_BLOCK = 8_000_000
"""Chances held at once (64 MB)."""


@dataclass(frozen=True, kw_only=True)
class Rp3BetaConfig:
    """Options of :func:`fit_rp3beta`.

    Attributes:
        alpha: each step's chance is raised to this power, above 0.
        beta: chances are divided by the popularity of the item they lead to, to this power, in 0..1.
        neighbours: how many items each item leads to, at least 1.
        weighting: ``"binary"``, ``"value"`` or ``"log"`` (of 1 + value).
    """

    alpha: float = field(default=0.8, metadata={"help": "power of each step's chance, above 0"})
    beta: float = field(default=0.5, metadata={"help": "how much popular items are held back, in 0..1"})
    neighbours: int = field(default=200, metadata={"help": "neighbours that each item keeps, at least 1"})
    weighting: Weighting = field(default="binary", metadata={"help": WEIGHTING_HELP})

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        if not 0 < self.alpha < np.inf:
            raise UsageError(f"alpha must be above 0 and finite. Got {self.alpha} instead")
        if not 0 <= self.beta <= 1:
            raise UsageError(f"beta must lie in 0..1. Got {self.beta} instead")
        if self.neighbours < 1:
            raise UsageError(f"neighbours must be at least 1. Got {self.neighbours} instead")


class Rp3Beta(ItemKnn):
    """Scores an item by how likely the walk from the items of a history ends there.

    Row i of ``neighbours`` holds the items from which the walk reaches item i, and their weights.
    """

    family: ClassVar[str] = "rp3beta"
    options: ClassVar[Callable[..., Any]] = Rp3BetaConfig

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: where the walk from each item ends."""
        scores: Float32 = self._towards[items].toarray()
        scores[scores == 0] = -np.inf
        return scores


def fit_rp3beta(
    interactions: Interactions, config: Rp3BetaConfig | None = None, *, rng: np.random.Generator | None = None
) -> Rp3Beta:
    """Weigh the walks of length three, w_ij = sum over u of (x_ui / |x_i|)^alpha (x_uj / |x_u|)^alpha / pop_j^beta.

    |x_i| and |x_u| are sums of weights, pop_j is |x_j|. Works through the items in blocks.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, or the weighting cannot take their values.

    Example:
        >>> from recsys.data import from_records
        >>> rows = [("ann", "tea"), ("ann", "mate"), ("bob", "tea"), ("bob", "rice"), ("cat", "mate")]
        >>> fit_rp3beta(from_records(rows)).fold_in(["mate"], k=1).items
        ('tea',)
    """
    config = config or Rp3BetaConfig()
    users, items, histories = training_parts(interactions, config.weighting)
    n = len(items)
    exact = abs(histories.astype(np.float64))
    popularity = np.asarray(exact.sum(axis=0)).ravel()
    activity = np.asarray(exact.sum(axis=1)).ravel()
    to_items = (diags(1 / np.maximum(activity, 1e-30)) @ exact).tocsr()
    to_users = (diags(1 / np.maximum(popularity, 1e-30)) @ exact.T).tocsr()
    to_items.data **= config.alpha
    to_users.data **= config.alpha
    step = max(1, _BLOCK // n)
    data, indices, counts = [], [], []
    for start in range(0, n, step):
        stop = min(n, start + step)
        reached = (to_users[start:stop] @ to_items).toarray() / np.maximum(popularity, 1e-30) ** config.beta
        reached[np.arange(stop - start), np.arange(start, stop)] = 0
        weights = reached.astype(np.float32)
        weights[weights <= 0] = -np.inf
        ends, best = top_k(weights, min(config.neighbours, n))
        kept = ends >= 0
        data.append(best[kept])
        indices.append(ends[kept])
        counts.append(kept.sum(axis=1))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    forth: Csr = csr_matrix((np.concatenate(data), np.concatenate(indices), indptr), shape=(n, n), dtype=np.float32)
    back = forth.T.tocsr()
    back.sort_indices()
    return Rp3Beta(config, users, items, histories, back)
