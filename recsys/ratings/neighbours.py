"""Neighbours above a baseline: what near users gave the item, or the user near items, beyond what was to be expected.

Y. Koren, "Factor in the neighbors: scalable and accurate collaborative filtering", ACM TKDD 4 (2010), section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from recsys.data import Csr, Interactions
from recsys.histories import Parts
from recsys.packing import read_array
from recsys.ratings.baseline import USER_L2, biases_of, fold_user_biases
from recsys.ratings.model import RatingConfig, RatingModel, rating_parts, read_biases
from shared.errors import UsageError
from shared.types import AnyArray, Bool, Float32, Float64, Int32, Int64

Similarity: TypeAlias = Literal["pearson_baseline", "msd"]
SIMILARITIES: tuple[Similarity, ...] = ("pearson_baseline", "msd")
Side: TypeAlias = Literal["item", "user"]
SIDES: tuple[Side, ...] = ("item", "user")


@dataclass(frozen=True, kw_only=True)
class KnnBaselineConfig(RatingConfig):
    """Options of :func:`fit_knn_baseline`.

    Attributes:
        near: ``"item"``: the item's neighbours among what the user rated; ``"user"``: the user's among those who rated
            the item.
        similarity: ``"pearson_baseline"``, the correlation of what goes beyond the baseline, shrunk; or ``"msd"``,
            1 / (1 + mean squared difference). Surprise's default is ``"msd"`` of users.
        neighbours: how many count at most, at least 1.
        shrink: of ``"pearson_baseline"``: a correlation of n common ratings is multiplied by
            (n - 1) / (n - 1 + shrink); at least 0.
    """

    near: Side = field(default="item", metadata={"help": f"whose neighbours count: one of {', '.join(SIDES)}"})
    similarity: Similarity = field(
        default="pearson_baseline", metadata={"help": f"of neighbours: one of {', '.join(SIMILARITIES)}"}
    )
    neighbours: int = field(default=40, metadata={"help": "neighbours that count, at least 1"})
    shrink: float = field(default=100.0, metadata={"help": "how much few common users are distrusted, at least 0"})

    def __post_init__(self) -> None:
        if self.near not in SIDES:
            raise UsageError(f"near must be one of {', '.join(SIDES)}. Got {self.near!r} instead")
        if self.similarity not in SIMILARITIES:
            raise UsageError(f"similarity must be one of {', '.join(SIMILARITIES)}. Got {self.similarity!r} instead")
        if self.neighbours < 1:
            raise UsageError(f"neighbours must be at least 1. Got {self.neighbours} instead")
        if not 0 <= self.shrink < np.inf:
            raise UsageError(f"shrink must be at least 0 and finite. Got {self.shrink} instead")


@dataclass(frozen=True, eq=False, repr=False)
class KnnBaseline(RatingModel):
    """Predicts the baseline, and what neighbours go beyond theirs, the mean weighted by similarity.

    Only the nearest ``config.neighbours`` that have the rating count, and of those only similarities above 0. Among
    equal similarities the one of the smaller code is nearer.

    Attributes:
        similarities: shape (items, items) or (users, users), float32, in -1..1, symmetric; the diagonal is 1.
    """

    family: ClassVar[str] = "knn_baseline"
    similarities: Float32

    def score_users(self, codes: Int32) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.score_users`."""
        if self.config.near == "item":
            return self._by_items(self.histories[codes], self.user_biases[codes])
        return self._by_users(self.similarities[codes], self.user_biases[codes])

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`.

        A person gets the bias of a last pass of the baseline, and, where users are neighbours, similarities by the
        formula of the fit; nobody is their own neighbour then.
        """
        biases = self.fold_biases(histories)
        if self.config.near == "item":
            return self._by_items(histories, biases)
        if self.config.similarity == "msd":
            return self._by_users(_msd(histories, self.histories).astype(np.float32), biases)
        above = _above(histories, self.scale, biases, self.item_biases)
        return self._by_users(_pearson(above, self._above, self.config.shrink).astype(np.float32), biases)

    def fold_biases(self, histories: Csr) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.fold_biases`."""
        return fold_user_biases(histories, self.scale, self.item_biases, USER_L2)

    def predict_pairs(self, users: Int32, items: Int32, *, times: Int64 | None = None) -> Float64:
        """See :meth:`recsys.ratings.model.RatingModel.predict_pairs`: the pairs of one user, or one item, at once."""
        found = self._apart(users, items)
        by_item = self.config.near == "item"
        targets, groups = (items, users) if by_item else (users, items)
        table = self._above if by_item else self._columns
        for group, rows in grouped(groups):
            have, beyond = _row(table, group)
            found[rows] += mean_of_nearest(
                self.similarities[np.ix_(targets[rows], have)], beyond, self.config.neighbours
            )
        return found

    def _by_items(self, histories: Csr, biases: Float32) -> Float32:
        scores: Float32 = self.scale[0] + self.item_biases[None, :] + biases[:, None]
        above = _above(histories, self.scale, biases, self.item_biases)
        for row in range(histories.shape[0]):
            have, beyond = _row(above, row)
            scores[row] += mean_of_nearest(self.similarities[:, have], beyond, self.config.neighbours)
        return scores

    def _by_users(self, similarities: Float32, biases: Float32) -> Float32:
        """Scores of people of that similarity to the users of training, shape (n, users)."""
        scores: Float32 = self.scale[0] + self.item_biases[None, :] + biases[:, None]
        for item in range(len(self.item_ids)):
            have, beyond = _row(self._columns, item)
            scores[:, item] += mean_of_nearest(similarities[:, have], beyond, self.config.neighbours)
        return scores

    @cached_property
    def _above(self) -> Csr:
        return _above(self.histories, self.scale, self.user_biases, self.item_biases)

    @cached_property
    def _columns(self) -> Csr:
        columns = self._above.T.tocsr()
        columns.sort_indices()
        return columns

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`; of users' neighbours no similarity of items is known.

        Raises:
            UsageError: the neighbours are users.
        """
        if self.config.near == "user":
            raise UsageError("a knn_baseline model of near users knows no similar items. Fit it with near='item'")
        return self.similarities[items].copy()

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), "similarities": self.similarities}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> KnnBaseline:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = KnnBaselineConfig(**config)
        width = len(parts[1] if options.near == "item" else parts[0])
        similarities = read_array("similarities", arrays, (width, width))
        return cls(options, *parts, *read_biases(parts, arrays), similarities)


def fit_knn_baseline(
    interactions: Interactions, config: KnnBaselineConfig | None = None, *, rng: np.random.Generator | None = None
) -> KnnBaseline:
    """Biases and similarities, the formulas and the answers of Surprise's ``KNNBaseline``.

    The similarities of all pairs come from products of sparse matrices; they are held whole, as in Surprise.

    Args:
        interactions: who rated what how.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions.
    """
    config = config or KnnBaselineConfig()
    ratings = rating_parts(interactions)
    users, items = biases_of(ratings)
    exact = _above(ratings.parts[2], ratings.scale, users, items)
    table = ratings.parts[2].astype(np.float64) if config.similarity == "msd" else exact
    if config.near == "item":
        table = table.T.tocsr()
    found = _msd(table, table) if config.similarity == "msd" else _pearson(table, table, config.shrink)
    np.fill_diagonal(found, 1.0)
    biases = users.astype(np.float32), items.astype(np.float32)
    return KnnBaseline(config, *ratings.parts, ratings.scale, *biases, found.astype(np.float32))


def grouped(groups: Int32) -> Iterator[tuple[int, Int64]]:
    """Each value that occurs, and the positions where it does."""
    order = np.argsort(groups, kind="stable")
    values, starts = np.unique(groups[order], return_index=True)
    yield from zip(values.tolist(), np.split(order, starts[1:]))


def mean_of_nearest(similarities: Float32, beyond: Float64, most: int) -> Float64:
    """Means of ``beyond`` (m,) weighted by the ``most`` greatest similarities of each row, of shape (n, m), above 0."""
    weights = similarities.astype(np.float64)
    if weights.shape[1] > most:
        weights[~_greatest(weights, most)] = 0
    np.maximum(weights, 0, out=weights)
    total = weights.sum(axis=1)
    means: Float64 = np.divide(weights @ beyond, total, out=np.zeros(len(weights)), where=total > 0)
    return means


def _greatest(values: Float64, most: int) -> Bool:
    """Which are the greatest of each row; among equals the first."""
    least = np.partition(values, -most, axis=1)[:, -most, None]
    above, equal = values > least, values == least
    kept: Bool = above | (equal & (equal.cumsum(axis=1) <= most - above.sum(axis=1, keepdims=True)))
    return kept


def _row(table: Csr, row: int) -> tuple[Int32, Float64]:
    stored = slice(table.indptr[row], table.indptr[row + 1])
    return table.indices[stored], table.data[stored]


def _above(histories: Csr, scale: Float32, users: Float32 | Float64, items: Float32 | Float64) -> Csr:
    """Ratings beyond their baseline, CSR of the same pattern, float64."""
    above = histories.astype(np.float64)
    above.data = above.data - float(scale[0]) - np.repeat(users, np.diff(histories.indptr)) - items[histories.indices]
    return above


def _msd(left: Csr, right: Csr) -> Float64:
    """1 / (1 + mean squared difference over common columns), shape (rows of left, rows of right); 0 without any."""
    one, other, both = _common(left, right)
    squared = _squared(left) @ other.T + one @ _squared(right).T - 2 * (left.astype(np.float64) @ right.T)
    squared = np.maximum(squared.toarray(), 0)
    near: Float64 = np.divide(both, squared + both, out=np.zeros_like(both), where=both > 0)
    return near


def _pearson(left: Csr, right: Csr, shrink: float) -> Float64:
    """Shrunk correlation about 0 over common columns, shape (rows of left, rows of right); 0 with fewer than two."""
    one, other, both = _common(left, right)
    spread = (_squared(left) @ other.T).toarray() * (one @ _squared(right).T).toarray()
    alike = (left @ right.T).toarray() * np.maximum(both - 1, 0)
    scale = np.sqrt(np.maximum(spread, 0)) * (both - 1 + shrink)
    near: Float64 = np.divide(alike, scale, out=np.zeros_like(alike), where=(both > 1) & (scale > 0))
    return near


def _common(left: Csr, right: Csr) -> tuple[Csr, Csr, Float64]:
    """Both as ones where something is stored, and how many columns rows have in common."""
    one, other = left.astype(np.float64), right.astype(np.float64)
    one.data, other.data = np.ones_like(one.data), np.ones_like(other.data)
    return one, other, (one @ other.T).toarray()


def _squared(table: Csr) -> Csr:
    squares = table.astype(np.float64)
    squares.data = squares.data**2
    return squares
