"""Slope one: an item is rated as the user's others are, moved by how much it was rated above each of them.

D. Lemire and A. Maclachlan, "Slope one predictors for online rating-based collaborative filtering", SDM 2005.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from recsys.data import Csr, Interactions
from recsys.histories import Parts
from recsys.packing import read_array
from recsys.ratings.model import RatingConfig, RatingModel, rating_parts, read_biases
from shared.errors import DataError
from shared.types import AnyArray, Float32, Int32


@dataclass(frozen=True, kw_only=True)
class SlopeOneConfig(RatingConfig):
    """Options of :func:`fit_slope_one`: there are none."""


@dataclass(frozen=True, eq=False, repr=False)
class SlopeOne(RatingModel):
    """Predicts a person's mean, and the mean of dev(i, j) over the person's items j that share a user with i.

    Attributes:
        deviations: shape (items, items), float32: at [i, j] the mean of r_ui - r_uj over users of both.
        counts: shape (items, items), float32: of how many.
    """

    family: ClassVar[str] = "slope_one"
    deviations: Float32
    counts: Float32

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`: users of training are asked by theirs too."""
        counts = np.diff(histories.indptr)
        sums = np.asarray(histories.sum(axis=1, dtype=np.float64)).ravel()
        means = np.divide(sums, counts, out=np.full(len(counts), float(self.scale[0])), where=counts > 0)
        seen = histories.copy()
        seen.data = np.ones_like(seen.data)
        moved, among = seen @ self.deviations.T, seen @ self._shared
        moved = np.divide(moved, among, out=np.zeros_like(moved), where=among > 0)
        scores: Float32 = moved + means.astype(np.float32)[:, None]
        return scores

    def score_users(self, codes: Int32) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.score_users`."""
        return self.score_histories(self.histories[codes])

    @cached_property
    def _shared(self) -> Float32:
        return (self.counts > 0).astype(np.float32)

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), "deviations": self.deviations, "counts": self.counts}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> SlopeOne:
        """See :meth:`recsys.model.Recommender.restore`."""
        shape = len(parts[1]), len(parts[1])
        counts = read_array("counts", arrays, shape)
        if counts.size and counts.min() < 0:
            raise DataError(f"counts must be at least 0. Got {counts.min():g}")
        learnt = read_array("deviations", arrays, shape), counts
        return cls(SlopeOneConfig(**config), *parts, *read_biases(parts, arrays), *learnt)


def fit_slope_one(
    interactions: Interactions, config: SlopeOneConfig | None = None, *, rng: np.random.Generator | None = None
) -> SlopeOne:
    """Mean differences of all pairs of items, by two products of sparse matrices.

    Of whole ratings the answers are those of Surprise's ``SlopeOne``; of others not, because it cuts the fraction off.

    Args:
        interactions: who rated what how.
        config: taken so that all fits look alike; there are no options.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions.
    """
    ratings = rating_parts(interactions)
    users, items, histories = ratings.parts
    values = histories.astype(np.float64)
    seen = values.copy()
    seen.data = np.ones_like(seen.data)
    counts = (seen.T @ seen).toarray()
    sums = (values.T @ seen).toarray()
    deviations = np.divide(sums - sums.T, counts, out=np.zeros_like(counts), where=counts > 0).astype(np.float32)
    biases = np.zeros(len(users), dtype=np.float32), np.zeros(len(items), dtype=np.float32)
    return SlopeOne(
        config or SlopeOneConfig(), *ratings.parts, ratings.scale, *biases, deviations, counts.astype(np.float32)
    )
