"""A Gaussian over items: each person's ratings are one draw, seen where they rated, with noise.

K. Yu, S. Zhu, J. Lafferty and Y. Gong, "Fast nonparametric matrix factorization for large-scale collaborative
filtering", SIGIR 2009 (the covariance of items by EM over people); the part of the moment is a second kernel beside it,
C. Rasmussen and C. Williams, *Gaussian Processes for Machine Learning* (2006), chapters 2 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
        session: variance of what ratings of one person have in common that were given at one time; it falls off by
            exp(-seconds apart / session_seconds). 0, or interactions without times, leave it out.
        session_seconds: see ``session``, above 0.
        day: the same for times that are days apart, by exp(-days apart).
    """

    noise: float = field(default=0.6, metadata={"help": "variance of a rating about the person's opinion, above 0"})
    spread: float = field(default=0.3, metadata={"help": "variance of opinions of an item at first, above 0"})
    common: float = field(default=0.2, metadata={"help": "variance of how much people give altogether, at least 0"})
    prior: float = field(default=10.0, metadata={"help": "how many people the first covariance counts as, at least 0"})
    iterations: int = field(default=16, metadata={"help": "passes over the data, at least 1"})
    session: float = field(default=0.3, metadata={"help": "variance that ratings of one session share; 0 for none"})
    session_seconds: float = field(default=300.0, metadata={"help": "how long a session is, above 0"})
    day: float = field(default=0.2, metadata={"help": "variance that ratings of one day share; 0 for none"})

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

    Where the moment of the rating is known, K + T stands in the place of K, and T is what ratings near in time have in
    common: the mood of the hour, or the list that somebody went through.

    Attributes:
        covariance: shape (items, items), float32, symmetric: K.
        weights: shape (histories.nnz,), float32: w of each user, in the order of ``histories.data``.
        timed_weights: the same with T, or shape (0,) where no times were known.
        moments: shape (histories.nnz,), int64, seconds, or (0,) where no times were known.
    """

    family: ClassVar[str] = "gaussian"
    covariance: Float32
    weights: Float32
    timed_weights: Float32
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
        weights = self.timed_weights if timed else self.weights
        for user, rows in grouped(users):
            stored = slice(self.histories.indptr[user], self.histories.indptr[user + 1])
            near = self.covariance[np.ix_(items[rows], self.histories.indices[stored])].astype(np.float64)
            if timed:
                near += _together(times[rows], self.moments[stored], self.config)  # type: ignore[index]  # not None
            found[rows] += near @ weights[stored]
        return found

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: correlations of opinions."""
        variances = np.maximum(np.diagonal(self.covariance), np.finfo(np.float32).tiny)
        deviations: Float32 = np.sqrt(variances).astype(np.float32)
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
        learnt = {"covariance": self.covariance, "weights": self.weights}
        return {**super().arrays(), **learnt, "timed_weights": self.timed_weights, "moments": self.moments}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Gaussian:
        """See :meth:`recsys.model.Recommender.restore`."""
        covariance = read_array("covariance", arrays, (len(parts[1]), len(parts[1])))
        weights = read_array("weights", arrays, (parts[2].nnz,))
        moments = arrays.get("moments", np.zeros(0))
        if moments.dtype != np.int64 or moments.shape not in ((0,), (parts[2].nnz,)):
            raise DataError(f"moments must be whole seconds, one a rating or none. Got {moments.dtype} {moments.shape}")
        timed = read_array("timed_weights", arrays, moments.shape)
        return cls(GaussianConfig(**config), *parts, *read_biases(parts, arrays), covariance, weights, timed, moments)


def fit_gaussian(
    interactions: Interactions, config: GaussianConfig | None = None, *, rng: np.random.Generator | None = None
) -> Gaussian:
    """Find the covariance of items by EM over people, begun at ``spread`` I + ``common``, which stays as a prior.

    With A_u = K[u, u] + noise and w_u = A_u^-1 (r_u - mean - b), a turn of n people is
    K <- (n K + K S K + prior K_0) / (n + prior), S = sum of w_u w_u' - A_u^-1, scattered to each person's items. It
    costs the cube of each person's ratings and of the items, and the covariance is held whole: for thousands of items,
    not for millions. Times do not matter to it.

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
        scattered = _learn(ratings, covariance, beyond, config.noise)
        grown = people * covariance + covariance @ scattered @ covariance + np.float32(config.prior) * first
        covariance = (grown + grown.T) / np.float32(2 * (people + config.prior))
    weights, timed = np.empty_like(beyond), np.zeros(0, dtype=np.float32)
    moments = np.zeros(0, dtype=np.int64)
    if ratings.times is not None:
        moments, timed = ratings.times, np.empty_like(beyond)
    for items_of, stored in _people(ratings):
        weights[stored] = _solve(covariance, items_of, beyond[stored], None, config.noise)[1]
        if len(moments):
            together = _together(moments[stored], moments[stored], config)
            timed[stored] = _solve(covariance, items_of, beyond[stored], together, config.noise)[1]
    biases = users.astype(np.float32), items.astype(np.float32)
    return Gaussian(config, *ratings.parts, ratings.scale, *biases, covariance, weights, timed, moments)


def _people(ratings: Ratings) -> Iterator[tuple[Int32, slice]]:
    """Each person's items, and where their ratings stand."""
    histories = ratings.parts[2]
    for start, stop in zip(histories.indptr, histories.indptr[1:]):
        yield histories.indices[start:stop], slice(start, stop)


def _learn(ratings: Ratings, covariance: Float32, beyond: Float32, noise: float) -> Float32:
    """S of :func:`fit_gaussian`, shape (items, items)."""
    histories = ratings.parts[2]
    weights, scattered = np.empty_like(beyond), np.zeros_like(covariance)
    for items, stored in _people(ratings):
        inverse, weights[stored] = _solve(covariance, items, beyond[stored], None, noise)
        scattered[np.ix_(items, items)] -= inverse
    table = csr_matrix((weights, histories.indices, histories.indptr), shape=histories.shape)
    scattered += (table.T @ table).toarray()
    return scattered


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
        raise UsageError(
            f"noise {noise:g} is too small beside what was learned: the equations have no solution. Raise it"
        )
    half = lapack.spotri(factor, lower=1)[0]
    inverse = np.tril(half) + np.tril(half, -1).T
    return inverse, inverse @ beyond.astype(np.float32)


def _together(left: Int64, right: Int64, config: GaussianConfig) -> Float64:
    """What ratings at two moments have in common, shape (len(left), len(right)), float64, at least 0."""
    apart = np.abs(left[:, None] - right[None, :]).astype(np.float64)
    found: Float64 = config.session * np.exp(-apart / config.session_seconds) + config.day * np.exp(-apart / _DAY)
    return found
