"""NMF of ratings, all factors at least 0: fitted by Surprise, answered without it.

X. Luo et al., "An efficient non-negative matrix-factorization-based approach to collaborative filtering for recommender
systems", IEEE Transactions on Industrial Informatics 10 (2014).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.data import Csr, Interactions
from recsys.histories import Parts
from recsys.ratings.factors import RatingFactors, people_of, read_learnt
from recsys.ratings.model import RatingConfig, rating_parts
from recsys.ratings.peer import finite, fit_surprise
from shared.errors import UsageError
from shared.types import AnyArray, Float32, Float64, Int32, Int64

_TURNS = 200
"""Multiplicative steps that a new person's factors take."""
_START = 0.5
"""Where they start: the middle of what Surprise draws from."""


@dataclass(frozen=True, kw_only=True)
class NmfConfig(RatingConfig):
    """Options of :func:`fit_nmf`.

    Attributes:
        factors: length of the vectors, at least 1.
        iterations: passes over the ratings, at least 1.
        l2: strength of the penalty on squared factors, at least 0.
    """

    factors: int = field(default=15, metadata={"help": "length of the vectors, at least 1"})
    iterations: int = field(default=50, metadata={"help": "passes over the data, at least 1"})
    l2: float = field(default=0.06, metadata={"help": "penalty on squared weights, above 0"})

    def __post_init__(self) -> None:
        for name in ("factors", "iterations"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1. Got {getattr(self, name)} instead")
        if not 0 <= self.l2 < np.inf:
            raise UsageError(f"l2 must be at least 0 and finite. Got {self.l2} instead")


class Nmf(RatingFactors):
    """Factors that are never below 0, without biases."""

    family: ClassVar[str] = "nmf"

    def predict_pairs(self, users: Int32, items: Int32, *, times: Int64 | None = None) -> Float64:
        """See :meth:`recsys.ratings.model.RatingModel.predict_pairs`: p_u . q_i alone."""
        return super().predict_pairs(users, items, times=times) - float(self.scale[0])

    def fold_users(self, histories: Csr) -> tuple[Float32, Float32]:
        """See :meth:`RatingFactors.fold_users`: the fit's multiplicative steps, the items' factors held."""
        vectors = np.zeros((histories.shape[0], self.config.factors), dtype=np.float32)
        for row, (items, ratings) in enumerate(people_of(histories)):
            if not len(items):
                continue
            factors = self.item_factors[items].astype(np.float64)
            person = np.full(self.config.factors, _START)
            towards = factors.T @ ratings
            for _ in range(_TURNS):
                back = factors.T @ (factors @ person) + self.config.l2 * len(items) * person
                person *= np.divide(towards, back, out=np.zeros_like(person), where=back > 0)
            vectors[row] = person
        return np.zeros(len(vectors), dtype=np.float32), vectors

    def _scores(self, biases: Float32, factors: Float32) -> Float32:
        scores: Float32 = factors @ self.item_factors.T
        return scores

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Nmf:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = NmfConfig(**config)
        return cls(options, *parts, *read_learnt(parts, arrays, options.factors))


def fit_nmf(
    interactions: Interactions, config: NmfConfig | None = None, *, rng: np.random.Generator | None = None
) -> Nmf:
    """Surprise's ``NMF``: multiplicative steps down sum (r - p_u . q_i)^2 + l2 (|p_u|^2 + |q_i|^2), all at least 0.

    Args:
        interactions: who rated what how; at least one rating above 0, none below.
        config: options; ``None`` takes Surprise's defaults.
        rng: draws the first factors; ``None`` stands for ``default_rng(0)``.

    Raises:
        DataError: there are no interactions.
        MissingDependencyError: Surprise is not installed.
        UsageError: a rating is negative, or the fit ran away to factors that are not finite.
    """
    config = config or NmfConfig()
    ratings = rating_parts(interactions)
    if ratings.values.min() < 0:
        raise UsageError(f"nmf needs ratings of at least 0. Got {ratings.values.min():g}: shift the scale, or fit svd")
    options = {"n_factors": config.factors, "n_epochs": config.iterations, "reg_pu": config.l2, "reg_qi": config.l2}
    fitted = fit_surprise(ratings, "NMF", rng, **options)
    n, m = ratings.parts[2].shape
    biases = np.zeros(n, dtype=np.float32), np.zeros(m, dtype=np.float32)
    return Nmf(config, *ratings.parts, ratings.scale, *biases, finite(fitted.pu), finite(fitted.qi))
