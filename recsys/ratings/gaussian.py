"""A Gaussian over items: each person's ratings are one draw, seen where they rated, with noise.

K. Yu, S. Zhu, J. Lafferty and Y. Gong, "Fast nonparametric matrix factorization for large-scale collaborative
filtering", SIGIR 2009 (the covariance of items by EM over people); the part of the moment is a second kernel beside it,
C. Rasmussen and C. Williams, *Gaussian Processes for Machine Learning* (2006), chapters 2 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.linalg import lapack
from scipy.sparse import csr_matrix

from recsys.data import Csr, Interactions
from recsys.histories import Parts
from recsys.packing import read_array
from recsys.ratings.baseline import biases_of, fold_user_biases
from recsys.ratings.model import RatingConfig, RatingModel, Ratings, rating_parts, read_biases
from recsys.ratings.neighbours import grouped
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float32, Float64, Int32, Int64

_USER_L2, _ITEM_L2 = 10.0, 5.0
"""How much the means are held back; see :func:`recsys.ratings.baseline.fit_baseline`."""
_DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class GaussianConfig(RatingConfig):
    """Options of :func:`fit_gaussian`.

    Attributes:
        noise: variance of a rating about what the person thinks of the item, above 0.
        spread: variance by which opinions of one item differ before anything is learned, above 0.
        common: variance of how much people give above the mean altogether, at least 0.
        prior: how many people that beginning counts as, at least 0.
        iterations: turns of EM, at least 1.
        session: variance of what ratings of one person have in common that were given ``session_seconds`` apart or
            less, by exp(-seconds / session_seconds); 0, or interactions without times, leave it out.
        session_seconds: see ``session``, above 0.
        day: the same for a day.
    """

    noise: float = field(default=0.6, metadata={"help": "variance of a rating about the person's opinion, above 0"})
    spread: float = field(default=0.3, metadata={"help": "variance of opinions of an item at first, above 0"})
    common: float = field(default=0.2, metadata={"help": "variance of how much people give altogether, at least 0"})
    prior: float = field(default=10.0, metadata={"help": "how many people the first covariance counts as, at least 0"})
    iterations: int = field(default=20, metadata={"help": "passes over the data, at least 1"})
    session: float = field(default=0.2, metadata={"help": "variance that ratings of one session share; 0 for none"})
    session_seconds: float = field(default=300.0, metadata={"help": "how long a session is, above 0"})
    day: float = field(default=0.1, metadata={"help": "variance that ratings of one day share; 0 for none"})

    def __post_init__(self) -> None:
        for name in ("noise", "spread", "session_seconds"):
            if not 0 < getattr(self, name) < np.inf:
                raise UsageError(f"{name} must be above 0 and finite. Got {getattr(self, name)} instead")
        for name in ("common", "prior", "session", "day"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UsageError(f"{name} must be at least 0 and finite. Got {getattr(self, name)} instead")
        if self.iterations < 1:
            raise UsageError(f"iterations must be at least 1. Got {self.iterations} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Gaussian(RatingModel):
    """Predicts mean + b_i + K[i, seen] w_u, where w_u = (K[seen, seen] + noise)^-1 (ratings - mean - b) of the person.

    Where the moment of a rating is known, what the person's ratings near that moment went beyond is added, which a
    score of all items for no moment leaves out.

    Attributes:
        covariance: shape (items, items), float32, symmetric: K.
        weights: shape (histories.nnz,), float32: w of each user, in the order of ``histories.data``.
        moments: shape (histories.nnz,), int64, seconds, or (0,) where no times were known.
    """

    family: ClassVar[str] = "gaussian"
    covariance: Float32
    weights: Float32
    moments: Int64

    def score_users(self, codes: Int32) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.score_users`: of no moment."""
        return self._scores(self._weighted[codes])

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`: the same equations, of no moment."""
        weighted = histories.astype(np.float32)
        for row in range(histories.shape[0]):
            stored = slice(histories.indptr[row], histories.indptr[row + 1])
            items = histories.indices[stored]
            if len(items):
                beyond = histories.data[stored] - self.scale[0] - self.item_biases[items]
                weighted.data[stored] = _solve(self.covariance, items, beyond, None, self.config.noise)[1]
        return self._scores(weighted)

    def fold_biases(self, histories: Csr) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.fold_biases`."""
        return fold_user_biases(histories, self.scale, self.item_biases, _USER_L2)

    def predict_pairs(self, users: Int32, items: Int32, *, times: Int64 | None = None) -> Float64:
        """See :meth:`recsys.ratings.model.RatingModel.predict_pairs`: the pairs of one user at once."""
        found = float(self.scale[0]) + self.item_biases[items].astype(np.float64)
        timed = times is not None and len(self.moments) > 0
        for user, rows in grouped(users):
            stored = slice(self.histories.indptr[user], self.histories.indptr[user + 1])
            near = self.covariance[np.ix_(items[rows], self.histories.indices[stored])].astype(np.float64)
            if timed:
                near += _together(times[rows], self.moments[stored], self.config)  # type: ignore[index]  # not None
            found[rows] += near @ self.weights[stored]
        return found

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: correlations of opinions."""
        deviations = np.sqrt(np.maximum(np.diagonal(self.covariance), np.finfo(np.float32).tiny))
        alike: Float32 = self.covariance[items] / deviations[items, None] / deviations
        return alike

    @cached_property
    def _weighted(self) -> Csr:
        shape = self.histories.shape
        return csr_matrix((self.weights, self.histories.indices, self.histories.indptr), shape=shape)

    def _scores(self, weighted: Csr) -> Float32:
        scores: Float32 = weighted @ self.covariance
        scores += self.scale[0] + self.item_biases
        return scores

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        learnt = {"covariance": self.covariance, "weights": self.weights, "moments": self.moments}
        return {**super().arrays(), **learnt}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Gaussian:
        """See :meth:`recsys.model.Recommender.restore`."""
        covariance = read_array("covariance", arrays, (len(parts[1]), len(parts[1])))
        weights = read_array("weights", arrays, (parts[2].nnz,))
        moments = arrays.get("moments", np.zeros(0))
        if moments.dtype != np.int64 or moments.shape not in ((0,), (parts[2].nnz,)):
            raise DataError(f"moments must be whole seconds, one a rating or none. Got {moments.dtype} {moments.shape}")
        return cls(GaussianConfig(**config), *parts, *read_biases(parts, arrays), covariance, weights, moments)


def fit_gaussian(
    interactions: Interactions, config: GaussianConfig | None = None, *, rng: np.random.Generator | None = None
) -> Gaussian:
    """Find the covariance of items by EM over people, begun at ``spread`` I + ``common``, which stays as a prior.

    With A_u = K[u, u] + noise (+ the kernel of the moments) and w_u = A_u^-1 (r_u - mean - b), a turn is
    K <- (n K + K S K + prior K_0) / (n + prior), S = sum over people of w_u w_u' - A_u^-1, scattered to their items.
    It costs the cube of each person's ratings and of the items; the covariance is held whole.

    Args:
        interactions: who rated what how, and when.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions.
    """
    config = config or GaussianConfig()
    ratings = rating_parts(interactions)
    users, items = biases_of(ratings, _USER_L2, _ITEM_L2)
    beyond = (ratings.values - ratings.mean - items[ratings.columns]).astype(np.float32)
    first = config.spread * np.eye(len(items), dtype=np.float32) + np.float32(config.common)
    covariance, people = first.copy(), ratings.parts[2].shape[0]
    for _ in range(config.iterations):
        scattered = _pass(ratings, covariance, beyond, config, learn=True)[1]
        grown = people * covariance + covariance @ scattered @ covariance + np.float32(config.prior) * first
        covariance = (grown + grown.T) / np.float32(2 * (people + config.prior))
    weights = _pass(ratings, covariance, beyond, config, learn=False)[0]
    biases = users.astype(np.float32), items.astype(np.float32)
    moments = np.zeros(0, dtype=np.int64) if ratings.times is None else ratings.times
    return Gaussian(config, *ratings.parts, ratings.scale, *biases, covariance, weights, moments)


def _pass(
    ratings: Ratings, covariance: Float32, beyond: Float32, config: GaussianConfig, *, learn: bool
) -> tuple[Float32, Float32]:
    """Every person's weights, and, to learn from, S of :func:`fit_gaussian`."""
    histories = ratings.parts[2]
    weights = np.empty(len(beyond), dtype=np.float32)
    scattered = np.zeros(covariance.shape if learn else (0, 0), dtype=np.float32)
    for start, stop in zip(histories.indptr, histories.indptr[1:]):
        items = histories.indices[start:stop]
        when = None if ratings.times is None else ratings.times[start:stop]
        timed = None if when is None else _together(when, when, config)
        inverse, weights[start:stop] = _solve(covariance, items, beyond[start:stop], timed, config.noise)
        if learn:
            scattered[np.ix_(items, items)] -= inverse
    if learn:
        table = csr_matrix((weights, histories.indices, histories.indptr), shape=histories.shape)
        scattered += (table.T @ table).toarray()
    return weights, scattered


def _solve(
    covariance: Float32, items: Int32, beyond: Float32, timed: Float64 | None, noise: float
) -> tuple[Float32, Float32]:
    """The inverse of one person's A, shape (n, n), and w, shape (n,)."""
    seen = covariance[np.ix_(items, items)]
    if timed is not None:
        seen = seen + timed.astype(np.float32)
    seen[np.diag_indices_from(seen)] += np.float32(noise)
    factor, wrong = lapack.spotrf(seen, lower=1)
    if wrong:
        raise UsageError(f"a person's ratings must have a positive covariance. With noise {noise:g} they have not: raise it")
    half = lapack.spotri(factor, lower=1)[0]
    inverse = np.tril(half) + np.tril(half, -1).T
    return inverse, inverse @ beyond.astype(np.float32)


def _together(left: Int64, right: Int64, config: GaussianConfig) -> Float64:
    """What ratings at two moments have in common, shape (len(left), len(right)), float64, at least 0."""
    apart = np.abs(left[:, None] - right[None, :]).astype(np.float64)
    found: Float64 = config.session * np.exp(-apart / config.session_seconds) + config.day * np.exp(-apart / _DAY)
    return found
