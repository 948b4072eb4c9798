"""SLIM: a sparse linear model of items by items, each column an elastic net that never goes below 0.

X. Ning and G. Karypis, "SLIM: sparse linear methods for top-N recommender systems", ICDM 2011. As in their fsSLIM, a
column is learnt over the item's nearest neighbours alone, so the work grows with the items and not with their square.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from recsys.collaborative.item_knn import nearest_items
from recsys.data import Csr, Interactions, read_csr
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts
from recsys.model import Recommender
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Bool, Float32, Float64, Int32, Int64

_GRAM = 8_000_000
"""Products of candidates held at once (64 MB)."""
_SWEEPS = 200
_TOLERANCE = 1e-5
"""A column is done when a whole sweep moves no coefficient further than this."""


@dataclass(frozen=True, kw_only=True)
class SlimConfig:
    """Options of :func:`fit_slim`.

    Attributes:
        neighbours: how many of the nearest items may explain an item, at least 1.
        l1: strength of the penalty on coefficients, at least 0: the more, the sparser.
        l2: strength of the penalty on squared coefficients, above 0.
        weighting: ``"binary"``, ``"value"`` or ``"log"`` (of 1 + value).
    """

    neighbours: int = field(default=100, metadata={"help": "neighbours that each item keeps, at least 1"})
    l1: float = field(default=1.0, metadata={"help": "penalty on weights: the more, the sparser; at least 0"})
    l2: float = field(default=100.0, metadata={"help": "penalty on squared weights, above 0"})
    weighting: Weighting = field(default="binary", metadata={"help": WEIGHTING_HELP})

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        if self.neighbours < 1:
            raise UsageError(f"neighbours must be at least 1. Got {self.neighbours} instead")
        if not 0 <= self.l1 < np.inf:
            raise UsageError(f"l1 must be at least 0 and finite. Got {self.l1} instead")
        if not 0 < self.l2 < np.inf:
            raise UsageError(f"l2 must be above 0 and finite. Got {self.l2} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Slim(Recommender):
    """Scores the items of histories X as X W.

    Attributes:
        weights: W transposed, CSR, shape (items, items), float32, above 0: row j says which items explain item j, and
            how much; the diagonal is empty.
    """

    family: ClassVar[str] = "slim"
    weights: Csr

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`."""
        scores: Float32 = (histories @ self.weights.T).toarray()
        return scores

    def contributions(self, history: Csr, item: int) -> Float64:
        """See :meth:`recsys.model.Recommender.contributions`: each weight times its coefficient."""
        coefficients = self.weights[item].toarray().ravel()
        parts: Float64 = history.data.astype(np.float64) * coefficients[history.indices]
        return parts

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: what explains an item; only neighbours are known."""
        scores: Float32 = self.weights[items].toarray()
        scores[scores == 0] = -np.inf
        return scores

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        found = self.weights
        return {"weights.data": found.data, "weights.indices": found.indices, "weights.indptr": found.indptr}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Slim:
        """See :meth:`recsys.model.Recommender.restore`."""
        weights = read_csr("weights", arrays, (len(parts[1]), len(parts[1])))
        if weights.nnz and not weights.data.min() > 0:
            raise DataError("weights.data must be positive coefficients. Got one that is not")
        return cls(SlimConfig(**config), *parts, weights)


def fit_slim(
    interactions: Interactions, config: SlimConfig | None = None, *, rng: np.random.Generator | None = None
) -> Slim:
    """Minimise |x_j - X w_j|^2 / 2 + l2 |w_j|^2 / 2 + l1 |w_j| for each item j, with w_j >= 0 and w_jj = 0.

    w_j is free only at the nearest items by cosine. Coordinate descent works on many items at once, on the products of
    their candidates alone, so memory stays at one block of items beside the model whatever the size of the catalogue.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, or the weighting cannot take their values.
    """
    config = config or SlimConfig()
    users, items, histories = training_parts(interactions, config.weighting)
    near = nearest_items(histories, config.neighbours, 0.0)
    columns = histories.astype(np.float64).tocsc()
    most = max(1, int(np.diff(near.indptr).max()))
    step = max(1, _GRAM // most**2)
    data, indices, counts = [], [], []
    for start in range(0, len(items), step):
        wanted = np.arange(start, min(len(items), start + step))
        candidates, real, gram, target = _products(columns, near, wanted, most)
        found = _descend(gram, target, config.l1, config.l2)
        kept = real & (found > 0)
        data.append(found[kept])
        indices.append(candidates[kept])
        counts.append(kept.sum(axis=1))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    flat = np.concatenate(data).astype(np.float32), np.concatenate(indices), indptr
    weights = csr_matrix(flat, shape=(len(items), len(items)), dtype=np.float32)
    weights.eliminate_zeros()
    return Slim(config, users, items, histories, weights)


def _products(columns: Csr, near: Csr, wanted: Int64, most: int) -> tuple[Int64, Bool, Float64, Float64]:
    """Candidates of some items (n, most), which of them are real, their products (n, most, most), and with the item."""
    candidates = np.zeros((len(wanted), most), dtype=np.int64)
    real = np.zeros((len(wanted), most), dtype=np.bool_)
    gram = np.zeros((len(wanted), most, most))
    target = np.zeros((len(wanted), most))
    for at, item in enumerate(wanted):
        found = near.indices[near.indptr[item] : near.indptr[item + 1]]
        count = len(found)
        candidates[at, :count], real[at, :count] = found, True
        block = columns[:, np.append(found, item)]
        products = (block.T @ block).toarray()
        gram[at, :count, :count] = products[:count, :count]
        target[at, :count] = products[:count, count]
    return candidates, real, gram, target


def _descend(gram: Float64, target: Float64, l1: float, l2: float) -> Float64:
    """Coefficients (n, m) of n elastic nets of m candidates each, by cyclic coordinate descent on all n at once.

    A candidate that is none has products of 0 and so keeps the coefficient 0.
    """
    n, m = target.shape
    result = np.zeros((n, m))
    active = np.arange(n)
    scale = np.einsum("nii->ni", gram) + l2
    found, left = result.copy(), target.copy()  # left = target - gram found
    for _ in range(_SWEEPS):
        furthest = np.zeros(len(active))
        for at in range(m):
            old = found[:, at]
            new = np.maximum(0.0, (left[:, at] + (scale[:, at] - l2) * old - l1) / scale[:, at])
            moved = new - old
            if moved.any():
                left -= gram[:, at] * moved[:, None]
                found[:, at] = new
                np.maximum(furthest, np.abs(moved), out=furthest)
        result[active] = found
        going = furthest > _TOLERANCE
        if not going.any():
            break
        if going.mean() < 0.75:  # what is done leaves, so that the last columns do not cost as much as all
            active, gram, scale = active[going], gram[going], scale[going]
            found, left = found[going], left[going]
    return result
