"""SVD and SVD++ of ratings: fitted by Surprise, answered without it.

Y. Koren, R. Bell and C. Volinsky, "Matrix factorization techniques for recommender systems", Computer 42 (2009);
Y. Koren, "Factorization meets the neighborhood", KDD 2008 (SVD++).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from recsys.data import Csr, Interactions
from recsys.histories import Parts
from recsys.packing import read_array
from recsys.ratings.model import RatingConfig, RatingModel, rating_parts, read_biases
from recsys.ratings.peer import finite, fit_surprise
from shared.errors import UsageError
from shared.types import AnyArray, Float32, Float64, Int32, Int64


@dataclass(frozen=True, kw_only=True)
class RatingFactorsConfig(RatingConfig):
    """Options of :func:`fit_svd`.

    Attributes:
        factors: length of the vectors, at least 1.
        iterations: passes over the ratings, at least 1.
        learning_rate: length of a step, above 0.
        l2: strength of the penalty on squared weights at each step, at least 0.
    """

    factors: int = field(default=100, metadata={"help": "length of the vectors, at least 1"})
    iterations: int = field(default=20, metadata={"help": "passes over the data, at least 1"})
    learning_rate: float = field(default=0.005, metadata={"help": "length of a step, above 0"})
    l2: float = field(default=0.02, metadata={"help": "penalty on squared weights, above 0"})

    def __post_init__(self) -> None:
        for name in ("factors", "iterations"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1. Got {getattr(self, name)} instead")
        if not 0 < self.learning_rate < np.inf:
            raise UsageError(f"learning_rate must be above 0 and finite. Got {self.learning_rate} instead")
        if not 0 <= self.l2 < np.inf:
            raise UsageError(f"l2 must be at least 0 and finite. Got {self.l2} instead")


@dataclass(frozen=True, kw_only=True)
class SvdppConfig(RatingFactorsConfig):
    """Options of :func:`fit_svdpp`: those of :class:`RatingFactorsConfig` with Surprise's other defaults."""

    factors: int = field(default=20, metadata={"help": "length of the vectors, at least 1"})
    learning_rate: float = field(default=0.007, metadata={"help": "length of a step, above 0"})


@dataclass(frozen=True, eq=False, repr=False)
class RatingFactors(RatingModel):
    """Predicts mean + b_u + b_i + p_u . q_i.

    Attributes:
        user_factors: shape (users, config.factors), float32; of SVD++ with what the user's items add.
        item_factors: shape (items, config.factors), float32.
    """

    user_factors: Float32
    item_factors: Float32

    def score_users(self, codes: Int32) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.score_users`."""
        return self._scores(self.user_biases[codes], self.user_factors[codes])

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`: by :meth:`fold_users`."""
        return self._scores(*self.fold_users(histories))

    def fold_biases(self, histories: Csr) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.fold_biases`."""
        return self.fold_users(histories)[0]

    def fold_users(self, histories: Csr) -> tuple[Float32, Float32]:
        """Biases, shape (n,), and vectors, shape (n, config.factors), of people described by histories.

        The ridge regression of their ratings on the items' vectors. Its penalty is l2 for each rating, and
        1 / (learning_rate iterations), which so many small steps from 0 amount to (A. Ali, J. Kolter and R. Tibshirani,
        "A continuous-time view of early stopping for least squares regression", AISTATS 2019).
        """
        found = self._implied(histories)
        biases = np.zeros(histories.shape[0], dtype=np.float32)
        start = 1 / (self.config.learning_rate * self.config.iterations)
        for row, (items, ratings) in enumerate(people_of(histories)):
            if not len(items):
                continue
            factors = self.item_factors[items].astype(np.float64)
            left = ratings - self.scale[0] - self.item_biases[items] - factors @ found[row]
            inputs = np.column_stack([np.ones(len(items)), factors])
            solved = ridge(inputs, left, start + self.config.l2 * len(items))
            biases[row] = solved[0]
            found[row] += solved[1:]
        return biases, found

    def _implied(self, histories: Csr) -> Float32:
        """What the items alone say of people, whatever their ratings, shape (n, config.factors)."""
        return np.zeros((histories.shape[0], self.config.factors), dtype=np.float32)

    def predict_pairs(self, users: Int32, items: Int32, *, times: Int64 | None = None) -> Float64:
        """See :meth:`recsys.ratings.model.RatingModel.predict_pairs`."""
        found = self._apart(users, items)
        found += np.einsum("nf,nf->n", self.user_factors[users], self.item_factors[items], dtype=np.float64)
        return found

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: the cosine of their factors."""
        cosine: Float32 = self._directions[items] @ self._directions.T
        return cosine

    @cached_property
    def _directions(self) -> Float32:
        lengths = np.maximum(np.linalg.norm(self.item_factors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        directions: Float32 = self.item_factors / lengths
        return directions

    def _scores(self, biases: Float32, factors: Float32) -> Float32:
        scores: Float32 = factors @ self.item_factors.T
        scores += self.scale[0] + self.item_biases
        scores += biases[:, None]
        return scores

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), "user_factors": self.user_factors, "item_factors": self.item_factors}


class Svd(RatingFactors):
    """The SVD of ratings that the Netflix prize made known."""

    family: ClassVar[str] = "svd"

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Svd:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = RatingFactorsConfig(**config)
        return cls(options, *parts, *read_learnt(parts, arrays, options.factors))


@dataclass(frozen=True, eq=False, repr=False)
class Svdpp(RatingFactors):
    """SVD++: which items somebody rated tells of taste beside how they rated them.

    Attributes:
        implicit_factors: shape (items, config.factors), float32: what having rated an item adds to a user's vector,
            before it is divided by the root of the number of items.
    """

    family: ClassVar[str] = "svdpp"
    implicit_factors: Float32

    def _implied(self, histories: Csr) -> Float32:
        return _implied(histories, self.implicit_factors)

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), "implicit_factors": self.implicit_factors}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Svdpp:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = SvdppConfig(**config)
        implicit = read_array("implicit_factors", arrays, (len(parts[1]), options.factors))
        return cls(options, *parts, *read_learnt(parts, arrays, options.factors), implicit)


def fit_svd(
    interactions: Interactions, config: RatingFactorsConfig | None = None, *, rng: np.random.Generator | None = None
) -> Svd:
    """Surprise's ``SVD``: steps down sum (r - mean - b_u - b_i - p_u . q_i)^2 + l2 (b_u^2 + b_i^2 + |p_u|^2 + |q_i|^2).

    Args:
        interactions: who rated what how.
        config: options; ``None`` takes Surprise's defaults.
        rng: draws the first factors; ``None`` stands for ``default_rng(0)``. The same generator gives the same model.

    Raises:
        DataError: there are no interactions.
        MissingDependencyError: Surprise is not installed.
        UsageError: the fit ran away to factors that are not finite.
    """
    config = config or RatingFactorsConfig()
    ratings = rating_parts(interactions)
    fitted = fit_surprise(ratings, "SVD", rng, **_steps(config))
    return Svd(config, *ratings.parts, ratings.scale, *_learnt(fitted))


def fit_svdpp(
    interactions: Interactions, config: SvdppConfig | None = None, *, rng: np.random.Generator | None = None
) -> Svdpp:
    """Surprise's ``SVDpp``: p_u becomes p_u + |I_u|^(-1/2) sum of y_j over the items I_u that u rated.

    Args:
        interactions: who rated what how.
        config: options; ``None`` takes Surprise's defaults.
        rng: draws the first factors; ``None`` stands for ``default_rng(0)``.

    Raises:
        DataError: there are no interactions.
        MissingDependencyError: Surprise is not installed.
        UsageError: the fit ran away to factors that are not finite.
    """
    config = config or SvdppConfig()
    ratings = rating_parts(interactions)
    fitted = fit_surprise(ratings, "SVDpp", rng, **_steps(config), cache_ratings=True)
    users, items, vectors, factors = _learnt(fitted)
    implicit = finite(fitted.yj)
    vectors = vectors + _implied(ratings.parts[2], implicit)
    return Svdpp(config, *ratings.parts, ratings.scale, users, items, vectors, factors, implicit)


def ridge(inputs: Float64, targets: Float64, l2: float) -> Float64:
    """Weights of shape (d,) that minimise |targets - inputs w|^2 + l2 |w|^2, solved on the shorter side."""
    n, d = inputs.shape
    l2 = max(l2, 1e-9)
    if n < d:
        dual: Float64 = inputs.T @ np.linalg.solve(inputs @ inputs.T + l2 * np.eye(n), targets)
        return dual
    gram = inputs.T @ inputs + l2 * np.eye(d)
    return np.asarray(np.linalg.solve(gram, inputs.T @ targets), dtype=np.float64)


def people_of(histories: Csr) -> list[tuple[Int32, Float64]]:
    """The items and the ratings of each row."""
    bounds = zip(histories.indptr, histories.indptr[1:])
    return [(histories.indices[a:b], histories.data[a:b].astype(np.float64)) for a, b in bounds]


def _implied(histories: Csr, implicit: Float32) -> Float32:
    seen = histories.copy()
    seen.data = np.ones_like(seen.data)
    counts = np.maximum(np.diff(histories.indptr), 1)
    return np.asarray(seen @ implicit / np.sqrt(counts)[:, None], dtype=np.float32)


def _steps(config: RatingFactorsConfig) -> dict[str, Any]:
    return {
        "n_factors": config.factors,
        "n_epochs": config.iterations,
        "lr_all": config.learning_rate,
        "reg_all": config.l2,
    }


def _learnt(fitted: Any) -> tuple[Float32, Float32, Float32, Float32]:
    return finite(fitted.bu), finite(fitted.bi), finite(fitted.pu), finite(fitted.qi)


def read_learnt(
    parts: Parts, arrays: Mapping[str, AnyArray], width: int
) -> tuple[Float32, Float32, Float32, Float32, Float32]:
    biases = read_biases(parts, arrays)
    users = read_array("user_factors", arrays, (len(parts[0]), width))
    return *biases, users, read_array("item_factors", arrays, (len(parts[1]), width))
