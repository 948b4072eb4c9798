"""What every recommender is: fitted once, frozen, asked by the user's own ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from recsys.data import Csr, csr
from recsys.histories import Parts, fold
from recsys.ids import Vocabulary, as_id
from recsys.ranking import check_k, exclude, top_k
from recsys.types import Recommendations, SimilarItems
from shared.catalogue import ModelCard
from shared.errors import UsageError
from shared.types import AnyArray, Bool, Float32, Float64, Id, Int32, Int64

NOTHING_LEFT = "no item is left that was not seen"
_BLOCK = 4_000_000
"""Scores held at once (16 MB): ranking many users never materialises users x items, and a block stays near the cache.
"""


@dataclass(frozen=True)
class Ranking:
    """Rankings of many users as codes.

    Attributes:
        items: shape (n, k), int32, codes into the model's ``item_ids``, best first; -1 where there is no more to offer.
        scores: shape (n, k), float32; ``-inf`` where ``items`` is -1.
    """

    items: Int32
    scores: Float32


@dataclass(frozen=True, eq=False, repr=False)
class Recommender(ABC):
    """A fitted model. A family gives its arrays, its scores and its similarities; the rest stands here.

    Attributes:
        family: the name of the family, by which a saved model is opened again.
        task: the task whose commands fit the family; the card of a saved model names it.
        config: the options that it was fitted with, a frozen dataclass with ``weighting`` among its fields.
        user_ids: the users of the training interactions.
        item_ids: their items, most popular first and then by id. Equal scores rank in this order.
        histories: CSR, shape (users, items), float32, the weighted training interactions.
    """

    family: ClassVar[str]
    task: ClassVar[str] = "recsys.collaborative"
    config: Any
    user_ids: Vocabulary
    item_ids: Vocabulary
    histories: Csr

    @abstractmethod
    def score_histories(self, histories: Csr) -> Float32:
        """Scores of all items for histories of shape (n, items): shape (n, items), finite, the caller's own."""

    @abstractmethod
    def item_similarities(self, items: Int32) -> Float32:
        """How alike all items are to some: shape (n, items), float32; ``-inf`` where nothing is known."""

    def contributions(self, history: Csr, item: int) -> Float64:
        """What each interaction of one history (CSR, shape (1, items)) adds to the score of an item.

        Shape (nnz,), float64, in the order of ``history.indices``; their sum is the score by :meth:`score_histories`.

        Raises:
            UsageError: scores of this family are no such sum.
        """
        raise UsageError(
            f"scores of {self.family} are no sum over a history, so there is nothing to name as its reason. "
            "Fit ease, slim, item_knn, rp3beta, user_knn, als or content for explanations"
        )

    def arrays(self) -> Mapping[str, AnyArray]:
        """What the family has learned beside the histories; see :mod:`recsys.store`."""
        return {}

    @classmethod
    @abstractmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Recommender:
        """The model that :meth:`arrays` came from.

        Raises:
            DataError: the arrays do not fit.
        """

    @cached_property
    def popularity(self) -> Int64 | Float64:
        """How many users each item has, shape (items,), never rising: what somebody unknown is answered by."""
        return count_users(self.histories)

    def score(self, users: Sequence[Id]) -> Float32:
        """Scores of all items, shape (len(users), items), float32, columns in the order of ``item_ids``.

        The row of an unknown user is NaN. For many users prefer :meth:`rank`, which never holds all scores at once.
        """
        codes = self.user_ids.encode(_listed(users))
        scores = np.full((len(codes), len(self.item_ids)), np.nan, dtype=np.float32)
        if (codes >= 0).any():
            scores[codes >= 0] = self.score_users(codes[codes >= 0])
        return scores

    def score_users(self, codes: Int32) -> Float32:
        """Scores of all items for users of training: shape (len(codes), items), finite, the caller's own.

        Families that learn something of each user beside the history say more here than by :meth:`score_histories`.
        """
        return self.score_histories(self.histories[codes])

    def rank(
        self,
        users: Sequence[Id],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        among: Iterable[Id] | None = None,
        without: Iterable[Id] = (),
    ) -> Ranking:
        """Rankings as codes, for bulk work; an unknown user gets the popular items. See :meth:`recommend`."""
        return self._rank(self.user_ids.encode(_listed(users)), k, exclude_seen, self._allowed(among, without))

    def recommend(
        self,
        users: Sequence[Id],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        among: Iterable[Id] | None = None,
        without: Iterable[Id] = (),
    ) -> list[Recommendations]:
        """The best items for each user, same length, same order.

        Args:
            users: ids as they were in training. One that is not known gets the popular items, and the reason says so;
                it never costs the others.
            k: how many, at least 1. Fewer come back when the catalogue has no more to offer.
            exclude_seen: leave out what the user interacted with in training.
            among: the only items that may be named (what is in stock, say); ``None`` for all. Ids that the model does
                not know are passed over.
            without: items that may not be named.

        Raises:
            UsageError: ``users`` is not a list, or ``k`` is below 1.
        """
        codes = self.user_ids.encode(_listed(users))
        ranking = self._rank(codes, k, exclude_seen, self._allowed(among, without))
        return [
            self._answer(
                as_id(user),
                items,
                scores,
                "personal" if code >= 0 else f"popular: {self.user_ids.explain(user)}",
            )
            for user, code, items, scores in zip(users, codes, ranking.items, ranking.scores)
        ]

    def fold_in(
        self,
        history: Sequence[Id] | Mapping[Id, float],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        among: Iterable[Id] | None = None,
        without: Iterable[Id] = (),
    ) -> Recommendations:
        """The best items for somebody who was not in training, from what they interacted with. Nothing is refitted.

        Args:
            history: item ids, each counted as 1, or a value for each. Unknown ids are passed over and named in the
                reason; when none is known the answer is the popular items.
            k: how many, at least 1.
            exclude_seen: leave out the items of the history.
            among: as in :meth:`recommend`.
            without: as in :meth:`recommend`.

        Raises:
            UsageError: an argument is wrong, or a value is not finite.
        """
        return self.fold_in_many([history], k, exclude_seen=exclude_seen, among=among, without=without)[0]

    def fold_in_many(
        self,
        histories: Sequence[Sequence[Id] | Mapping[Id, float]],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        among: Iterable[Id] | None = None,
        without: Iterable[Id] = (),
    ) -> list[Recommendations]:
        """:meth:`fold_in` for many at once."""
        folded = [fold(self.item_ids, history, self.config.weighting) for history in _listed(histories)]
        rows = np.repeat(np.arange(len(folded), dtype=np.int32), [len(f.items) for f in folded])
        items = np.concatenate([f.items for f in folded]) if folded else np.zeros(0, dtype=np.int32)
        weights = np.concatenate([f.weights for f in folded]) if folded else np.zeros(0, dtype=np.float32)
        matrix = csr(rows, items, weights, (len(folded), len(self.item_ids)))
        allowed = self._allowed(among, without)
        ranking = self._top(matrix, lambda block: self.score_histories(matrix[block]), k, exclude_seen, allowed)
        answers = []
        for at, one in enumerate(folded):
            if len(one.items):
                answers.append(self._answer(None, ranking.items[at], ranking.scores[at], one.reason("fold-in")))
            else:
                answers.append(self._answer(None, *self._popular(k, allowed), one.reason("popular")))
        return answers

    def similar_items(self, items: Sequence[Id], k: int = 10) -> list[SimilarItems]:
        """The items most like each of some, without itself.

        Raises:
            UnknownNameError: an item is not known; the message lists near ids.
            UsageError: an argument is wrong, or this family knows no similarity.
        """
        check_k(k)
        codes = np.array([self.item_ids.code(item) for item in _listed(items)], dtype=np.int32)
        answers = []
        for block in _blocks(len(codes), len(self.item_ids)):
            scores = self.item_similarities(codes[block])
            scores[np.arange(len(scores)), codes[block]] = -np.inf
            for code, near, best in zip(codes[block], *top_k(scores, k)):
                kept = near >= 0
                answers.append(SimilarItems(self.item_ids.ids[code], self.item_ids.decode(near[kept]), best[kept]))
        return answers

    def save(self, folder: str | Path, *, name: str | None = None, licence: str = "LicenseRef-own-data") -> ModelCard:
        """Write a model folder that :func:`recsys.load` and every command open; see :func:`recsys.store.save`."""
        from recsys.store import save  # noqa: PLC0415 - it knows the families, which are built on this file

        return save(self, Path(folder), name=name, licence=licence)

    def _rank(self, codes: Int32, k: int, exclude_seen: bool, allowed: Bool | None) -> Ranking:
        known = np.flatnonzero(codes >= 0)
        seen = self.histories[codes[known]]
        ranking = self._top(seen, lambda block: self.score_users(codes[known][block]), k, exclude_seen, allowed)
        if len(known) == len(codes):
            return ranking
        popular, counts = self._popular(k, allowed)
        items, scores = np.tile(popular, (len(codes), 1)), np.tile(counts, (len(codes), 1))
        items[known], scores[known] = ranking.items, ranking.scores
        return Ranking(items, scores)

    def _top(
        self, seen: Csr, score: Callable[[slice], Float32], k: int, exclude_seen: bool, allowed: Bool | None
    ) -> Ranking:
        check_k(k)
        n, width = seen.shape
        items = np.empty((n, min(k, width)), dtype=np.int32)
        best = np.empty((n, min(k, width)), dtype=np.float32)
        for block in _blocks(n, width):
            scores = score(block)
            if exclude_seen:
                exclude(scores, seen[block])
            if allowed is not None:
                scores[:, ~allowed] = -np.inf
            items[block], best[block] = top_k(scores, k)
        return Ranking(items, best)

    def _allowed(self, among: Iterable[Id] | None, without: Iterable[Id]) -> Bool | None:
        """Which items may be named, shape (items,); ``None`` for all."""
        banned = self.item_ids.encode(_listed(without))
        if among is None and not len(banned):
            return None
        allowed = np.full(len(self.item_ids), among is None, dtype=np.bool_)
        if among is not None:
            wanted = self.item_ids.encode(_listed(among))
            allowed[wanted[wanted >= 0]] = True
        allowed[banned[banned >= 0]] = False
        return allowed

    def _popular(self, k: int, allowed: Bool | None) -> tuple[Int32, Float32]:
        """The first ``min(k, items)`` items that may be named; the end is filled with -1 and ``-inf``."""
        check_k(k)
        count = min(k, len(self.item_ids))
        found = np.arange(len(self.item_ids)) if allowed is None else np.flatnonzero(allowed)
        items, scores = np.full(count, -1, dtype=np.int32), np.full(count, -np.inf, dtype=np.float32)
        found = found[:count]
        items[: len(found)], scores[: len(found)] = found, self.popularity[found]
        return items, scores

    def _answer(self, user: Id | None, items: Int32, scores: Float32, reason: str) -> Recommendations:
        kept = items >= 0
        if not kept.any():
            reason += ("; " if ":" in reason else ": ") + NOTHING_LEFT
        return Recommendations(user, self.item_ids.decode(items[kept]), reason, scores[kept])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.config} of {len(self.user_ids)} users and {len(self.item_ids)} items>"


def count_users(histories: Csr) -> Int64:
    """How many users each item of histories has, shape (items,)."""
    counts: Int64 = histories.getnnz(axis=0).astype(np.int64)
    return counts


def _listed(values: Any) -> Any:
    if isinstance(values, str | bytes | int):
        raise UsageError(f"expected a list of ids. Got one {type(values).__name__}: wrap it, [{values!r}]")
    return values


def _blocks(n: int, width: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, width))
    return (slice(start, min(n, start + step)) for start in range(0, n, step))
