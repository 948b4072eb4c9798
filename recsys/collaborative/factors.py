"""Models of factors: a vector for each user and each item, whose inner product is the score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.data import Csr
from recsys.histories import Parts
from recsys.model import Recommender
from recsys.packing import read_array
from recsys.threads import count_threads, limit_threads
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.types import AnyArray, Bool, Float32, Int32, Int64


@dataclass(frozen=True, eq=False, repr=False)
class Factors(Recommender):
    """Scores an item for a user by the inner product of their vectors.

    A bias is a column too: the biases of the items stand against a column of ones in the users' vectors, and the other
    way round. So the product is the whole score, and whatever searches for the greatest product finds the best items.

    Attributes:
        user_factors: shape (users, d), float32.
        item_factors: shape (items, d), float32; the first ``config.factors`` columns say what an item is like.
    """

    user_factors: Float32
    item_factors: Float32

    @abstractmethod
    def fold_users(self, histories: Csr) -> Float32:
        """Vectors of people described by histories of shape (n, items): shape (n, d); nothing is refitted."""

    def score_users(self, codes: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.score_users`: by the vectors that were learnt."""
        return self._score(self.user_factors[codes])

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`: by :meth:`fold_users`."""
        return self._score(self.fold_users(histories))

    def _score(self, users: Float32) -> Float32:
        scores: Float32 = users @ self.item_factors.T
        return scores

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: the cosine of their factors, biases left out."""
        taste = self.item_factors[:, : self.config.factors]
        lengths = np.maximum(np.linalg.norm(taste, axis=1), np.finfo(np.float32).tiny)
        cosine: Float32 = (taste[items] / lengths[items, None]) @ taste.T
        cosine /= lengths
        return cosine

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {"user_factors": self.user_factors, "item_factors": self.item_factors}


def read_factors(parts: Parts, arrays: Mapping[str, AnyArray], width: int) -> tuple[Float32, Float32]:
    """The factors of users and items, of that many columns, checked.

    Raises:
        DataError: an array is missing, or another one.
    """
    users = read_array("user_factors", arrays, (len(parts[0]), width))
    return users, read_array("item_factors", arrays, (len(parts[1]), width))


def check_factors(config: Any) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless the options that all families of factors share are right."""
    for name in ("factors", "iterations"):
        if getattr(config, name) < 1:
            raise UsageError(f"{name} must be at least 1. Got {getattr(config, name)} instead")
    if not 0 <= config.l2 < np.inf:
        raise UsageError(f"l2 must be at least 0 and finite. Got {config.l2} instead")


def check_positive(histories: Csr, algorithm: str) -> None:
    """Raise a :class:`~shared.errors.DataError` where a weight is negative: these algorithms know only liking."""
    if histories.nnz and float(histories.data.min()) < 0:
        raise DataError(
            f"{algorithm} counts every interaction in favour, so values must not be negative. "
            f"Got {float(histories.data.min())}: keep the positive ones with at_least(...)"
        )


def fit_implicit(module: str, name: str, matrix: Csr, *, threads: int | None = None, **options: Any) -> Any:
    """A model of the library *implicit* (MIT), fitted on the processor; its BLAS calls keep to one thread.

    Args:
        module: where it stands, like ``"implicit.cpu.als"``.
        name: its class.
        matrix: CSR, shape (users, items), float32.
        threads: its threads; ``None`` takes as many as the linear algebra may use now.
        options: its arguments.

    Raises:
        MissingDependencyError: implicit is not installed.
        UsageError: the fit ran away to factors that are not finite.
    """
    made = getattr(require(module, extra="recsys"), name)
    base = require("implicit.recommender_base", extra="recsys")
    threads = threads or count_threads()
    with limit_threads(1):
        model = made(num_threads=threads, **options)
        try:
            model.fit(matrix, show_progress=False)
        except base.ModelFitError as error:
            raise UsageError(
                "the factors are not finite: the steps were too long. Lower learning_rate, or raise l2"
            ) from error
    return model


@dataclass(frozen=True, eq=False, repr=False)
class MappedFactors(Factors):
    """Factors whose fit gives no closed form for somebody new: a linear map from the history stands in its place.

    The map is the ridge regression, over all users of training, of the vectors that were learnt on what the histories
    say: sum_i w_i y_i / (sum_i w_i^2)^1/2 of the items' factors y_i, and 1. It costs one pass over the histories, and
    gives vectors of the length that learnt ones have, which a bias of the items needs.

    Attributes:
        history_map: shape (config.factors + 1, free columns), float32.
    """

    history_map: Float32

    def fold_users(self, histories: Csr) -> Float32:
        """See :meth:`Factors.fold_users`."""
        free = free_columns(self.item_factors.shape[1], self.config.factors)
        vectors = np.ones((histories.shape[0], len(free)), dtype=np.float32)
        vectors[:, free] = _summaries(histories, self.item_factors[:, : self.config.factors]) @ self.history_map
        return vectors

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), "history_map": self.history_map}


def free_columns(width: int, factors: int) -> Bool:
    """Which columns of users' vectors were learnt, shape (width,): all but the ones right after the factors."""
    free: Bool = np.arange(width) != factors
    return free


def map_histories(histories: Csr, users: Float32, items: Float32, factors: int) -> Float32:
    """The map of :class:`MappedFactors`."""
    said = _summaries(histories, items[:, :factors]).astype(np.float64)
    gram = said.T @ said
    gram[np.diag_indices_from(gram)] += 1e-3 * max(float(np.trace(gram)) / len(gram), 1e-12)
    learnt = users[:, free_columns(users.shape[1], factors)].astype(np.float64)
    return np.linalg.solve(gram, said.T @ learnt).astype(np.float32)


def _summaries(histories: Csr, taste: Float32) -> Float32:
    """What histories say, shape (n, factors + 1), float32; see :class:`MappedFactors`."""
    rows: Int64 = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    squares = np.bincount(rows, weights=np.square(histories.data, dtype=np.float64), minlength=histories.shape[0])
    lengths = np.sqrt(np.where(squares > 0, squares, 1)).astype(np.float32)
    said = np.ones((histories.shape[0], taste.shape[1] + 1), dtype=np.float32)
    said[:, :-1] = (histories @ taste) / lengths[:, None]
    return said
