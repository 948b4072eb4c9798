"""What every predictor of ratings is: a recommender whose scores are ratings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from recsys.data import Csr, Interactions, csr
from recsys.histories import Parts, Weighting, fold, training_parts
from recsys.model import Recommender
from recsys.packing import read_array
from recsys.types import Recommendations
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float32, Float64, Id, Int32, Int64

_BLOCK = 4_000_000
"""Predictions held at once (16 MB) where pairs are looked up in rows of all items."""


@dataclass(frozen=True, kw_only=True)
class RatingConfig:
    """What the options of all predictors of ratings share: values are taken as they are."""

    weighting: ClassVar[Weighting] = "value"


@dataclass(frozen=True, eq=False, repr=False)
class RatingModel(Recommender):
    """A recommender whose scores are predicted ratings; the highest is recommended first.

    Scores are not clipped, so that items above the top of the scale still have an order; :meth:`predict_ratings` clips.

    Attributes:
        scale: shape (3,), float32: mean, lowest and highest rating of training.
        user_biases: shape (users,), float32, how much each user gives above the mean; 0 where a family knows no biases.
        item_biases: shape (items,), float32, the same of the items.
    """

    scale: Float32
    user_biases: Float32
    item_biases: Float32

    @abstractmethod
    def score_users(self, codes: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.score_users`: ratings, not clipped."""

    def fold_biases(self, histories: Csr) -> Float32:
        """How much people described by histories give above the mean, shape (n,), float32; 0 without biases."""
        return np.zeros(histories.shape[0], dtype=np.float32)

    def predict_ratings(
        self, users: Sequence[Id], items: Sequence[Id], *, times: Sequence[int] | Int64 | None = None
    ) -> Float32:
        """What users would give to items, pair by pair.

        Where one of the two is not known the prediction is the mean rating and the bias of the one that is known; of
        families without biases (NMF, slope one) the mean alone. This is Surprise's rule.

        Args:
            users: n ids, as they were in training.
            items: n ids.
            times: n moments of the ratings in seconds, for the families that look at them; ``None`` where unknown.

        Returns:
            Shape (n,), float32, within the lowest and highest rating of training.

        Raises:
            UsageError: the lengths differ, or an argument is no list.

        Example:
            >>> from recsys.data import from_records
            >>> from recsys.ratings.baseline import fit_baseline
            >>> model = fit_baseline(from_records([("ann", "tea", 5), ("bob", "tea", 4), ("bob", "rice", 1)]))
            >>> [round(float(one), 2) for one in model.predict_ratings(["ann", "ann"], ["rice", "soup"])]
            [3.22, 3.43]
        """
        if isinstance(users, str | bytes) or isinstance(items, str | bytes) or len(users) != len(items):
            raise UsageError(
                "users and items must be two lists of one length, a pair at each place. "
                f"Got {_count(users)} and {_count(items)}"
            )
        if times is not None and len(times) != len(users):
            raise UsageError(f"times must be as many as users. Got {len(times)} for {len(users)}")
        moments = None if times is None else np.asarray(times, dtype=np.int64)
        return self.clip(self.predict_codes(self.user_ids.encode(users), self.item_ids.encode(items), times=moments))

    def predict_folded(self, history: Mapping[Id, float], items: Sequence[Id]) -> Float32:
        """What somebody who was not in training would give to items, from a handful of ratings. Nothing is refitted.

        Args:
            history: a rating for each of some items; ids that are not known are passed over. Of somebody who rated
                nothing known the prediction is the mean and the item's bias.
            items: n ids; one that is not known gets the mean and what the person gives above it.

        Returns:
            Shape (n,), float32, clipped as by :meth:`predict_ratings`.

        Raises:
            UsageError: the history is no mapping, or a rating is not finite.
        """
        if not isinstance(history, Mapping):
            raise UsageError(f"a history must give a rating for each item, like {{'tea': 4}}. Got {history!r} instead")
        known = fold(self.item_ids, history, self.config.weighting)
        codes = self.item_ids.encode(items)
        if not len(known.items):
            return self.clip(self._apart(np.full(len(codes), -1, dtype=np.int32), codes))
        rows = np.zeros(len(known.items), dtype=np.int32)
        person = csr(rows, known.items, known.weights, (1, len(self.item_ids)))
        found = np.full(len(codes), self.scale[0] + self.fold_biases(person)[0], dtype=np.float64)
        found[codes >= 0] = self.score_histories(person)[0, codes[codes >= 0]]
        return self.clip(found)

    def predict_codes(self, users: Int32, items: Int32, *, times: Int64 | None = None) -> Float64:
        """Ratings of pairs of codes, shape (n,), float64, not clipped; -1 stands for what is not known."""
        found = self._apart(users, items)
        known = (users >= 0) & (items >= 0)
        if known.any():
            moments = None if times is None else times[known]
            found[known] = self.predict_pairs(users[known], items[known], times=moments)
        return found

    def predict_pairs(self, users: Int32, items: Int32, *, times: Int64 | None = None) -> Float64:
        """Ratings of pairs of known codes; a family that can tell one pair without the whole row does so here."""
        people, place = np.unique(users, return_inverse=True)
        found = np.empty(len(users))
        step = max(1, _BLOCK // len(self.item_ids))
        order = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[order], np.arange(0, len(people) + step, step))
        for start, low, high in zip(range(0, len(people), step), bounds, bounds[1:]):
            rows = order[low:high]
            scores = self.score_users(people[start : start + step].astype(np.int32))
            found[rows] = scores[place[rows] - start, items[rows]]
        return found

    def clip(self, ratings: Float64) -> Float32:
        """Ratings kept within the scale of training."""
        return np.clip(ratings, float(self.scale[1]), float(self.scale[2])).astype(np.float32)

    def fold_in_many(
        self, histories: Sequence[Sequence[Id] | Mapping[Id, float]], k: int = 10, **options: Any
    ) -> list[Recommendations]:
        """See :meth:`recsys.model.Recommender.fold_in_many`; items without ratings count as rated highest."""
        top = float(self.scale[2])
        if isinstance(histories, list | tuple):
            histories = [dict.fromkeys(h, top) if isinstance(h, list | tuple) else h for h in histories]
        return super().fold_in_many(histories, k, **options)

    def item_similarities(self, items: Int32) -> Float32:
        """Refused by families that know no similarity of items.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"a {self.family} model knows no similar items. Fit an svd or item_knn model for them")

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {"scale": self.scale, "user_biases": self.user_biases, "item_biases": self.item_biases}

    def _apart(self, users: Int32, items: Int32) -> Float64:
        """The mean and the biases of what is known."""
        found = np.full(len(users), self.scale[0], dtype=np.float64)
        found[users >= 0] += self.user_biases[users[users >= 0]]
        found[items >= 0] += self.item_biases[items[items >= 0]]
        return found


@dataclass(frozen=True)
class Ratings:
    """What a fit starts from.

    Attributes:
        parts: users, items and the ratings as CSR.
        rows: shape (n,), int64, the user of each rating, in the order of ``parts[2].data``.
        columns: shape (n,), int64, its item.
        values: shape (n,), float64.
        scale: shape (3,), float32: mean, lowest and highest.
        times: shape (n,), int64, seconds; ``None`` where no times are known.
    """

    parts: Parts
    rows: Int64
    columns: Int64
    values: Float64
    scale: Float32
    times: Int64 | None

    @property
    def mean(self) -> float:
        """The mean of all ratings, unrounded."""
        return float(self.values.mean())


def rating_parts(interactions: Interactions) -> Ratings:
    """The ratings to fit on, in the order of users and then items whatever the order of rows.

    Raises:
        DataError: there are no interactions.
    """
    parts = training_parts(interactions, "value")
    histories = parts[2]
    values = histories.data.astype(np.float64)
    rows = np.repeat(np.arange(histories.shape[0], dtype=np.int64), np.diff(histories.indptr))
    scale = np.array([values.mean(), values.min(), values.max()], dtype=np.float32)
    times = None
    if interactions.times is not None:
        users = parts[0].encode(interactions.user_ids.ids)[interactions.users]
        items = parts[1].encode(interactions.item_ids.ids)[interactions.items]
        times = interactions.times[np.lexsort((items, users))]
    return Ratings(parts, rows, histories.indices.astype(np.int64), values, scale, times)


def read_biases(parts: Parts, arrays: Mapping[str, AnyArray]) -> tuple[Float32, Float32, Float32]:
    """Scale and biases of a saved model, checked.

    Raises:
        DataError: an array is missing, or another one.
    """
    scale = read_array("scale", arrays, (3,))
    if not scale[1] <= scale[0] <= scale[2]:
        raise DataError(f"scale must be mean, lowest and highest rating. Got {scale.tolist()} instead")
    users = read_array("user_biases", arrays, (len(parts[0]),))
    return scale, users, read_array("item_biases", arrays, (len(parts[1]),))


def _count(values: Any) -> str:
    return f"one {type(values).__name__}" if isinstance(values, str | bytes) else str(len(values))
