"""What every recommender is: fitted once, frozen, asked by the user's own ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from recsys.data import Csr, Interactions, csr
from recsys.ids import Vocabulary, as_id
from recsys.ranking import check_k, exclude, top_k
from recsys.types import Recommendations, SimilarItems
from shared.catalogue import ModelCard
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float32, Id, Int32, Int64

Weighting: TypeAlias = Literal["binary", "value", "log"]
WEIGHTINGS: tuple[Weighting, ...] = ("binary", "value", "log")
Parts: TypeAlias = tuple[Vocabulary, Vocabulary, Csr]
"""Users, items and histories, as :class:`Recommender` holds them."""
WEIGHTING_HELP = "what an interaction weighs: binary (1), value, or log (of 1 + value)"
_BLOCK = 16_000_000
"""Scores held at once (64 MB), so that ranking many users never materialises users x items."""


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
        config: the options that it was fitted with, a frozen dataclass with ``weighting`` among its fields.
        user_ids: the users of the training interactions.
        item_ids: their items, most popular first and then by id. Equal scores rank in this order.
        histories: CSR, shape (users, items), float32, the weighted training interactions.
    """

    family: ClassVar[str]
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
    def popularity(self) -> Int64:
        """How many users each item has, shape (items,), never rising."""
        counts: Int64 = self.histories.getnnz(axis=0).astype(np.int64)
        return counts

    def score(self, users: Sequence[Id]) -> Float32:
        """Scores of all items, shape (len(users), items), float32, columns in the order of ``item_ids``.

        The row of an unknown user is NaN. For many users prefer :meth:`rank`, which never holds all scores at once.
        """
        codes = self.user_ids.encode(_listed(users))
        scores = np.full((len(codes), len(self.item_ids)), np.nan, dtype=np.float32)
        if (codes >= 0).any():
            scores[codes >= 0] = self.score_histories(self.histories[codes[codes >= 0]])
        return scores

    def rank(self, users: Sequence[Id], k: int = 10, *, exclude_seen: bool = True) -> Ranking:
        """Rankings as codes, for bulk work; an unknown user gets the popular items. See :meth:`recommend`."""
        return self._rank(self.user_ids.encode(_listed(users)), k, exclude_seen)

    def recommend(self, users: Sequence[Id], k: int = 10, *, exclude_seen: bool = True) -> list[Recommendations]:
        """The best items for each user, same length, same order.

        Args:
            users: ids as they were in training. One that is not known gets the popular items, and the reason says so;
                it never costs the others.
            k: how many, at least 1. Fewer come back when the catalogue has no more to offer.
            exclude_seen: leave out what the user interacted with in training.

        Raises:
            UsageError: ``users`` is not a list, or ``k`` is below 1.
        """
        codes = self.user_ids.encode(_listed(users))
        ranking = self._rank(codes, k, exclude_seen)
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
        self, history: Sequence[Id] | Mapping[Id, float], k: int = 10, *, exclude_seen: bool = True
    ) -> Recommendations:
        """The best items for somebody who was not in training, from what they interacted with. Nothing is refitted.

        Args:
            history: item ids, each counted as 1, or a value for each. Unknown ids are passed over and named in the
                reason; when none is known the answer is the popular items.
            k: how many, at least 1.
            exclude_seen: leave out the items of the history.

        Raises:
            UsageError: an argument is wrong, or a value is not finite.
        """
        return self.fold_in_many([history], k, exclude_seen=exclude_seen)[0]

    def fold_in_many(
        self, histories: Sequence[Sequence[Id] | Mapping[Id, float]], k: int = 10, *, exclude_seen: bool = True
    ) -> list[Recommendations]:
        """:meth:`fold_in` for many at once."""
        folded = [_fold(self.item_ids, history, self.config.weighting) for history in _listed(histories)]
        rows = np.repeat(np.arange(len(folded), dtype=np.int32), [len(f.items) for f in folded])
        items = np.concatenate([f.items for f in folded]) if folded else np.zeros(0, dtype=np.int32)
        weights = np.concatenate([f.weights for f in folded]) if folded else np.zeros(0, dtype=np.float32)
        matrix = csr(rows, items, weights, (len(folded), len(self.item_ids)))
        ranking = self._rank_histories(matrix, k, exclude_seen)
        answers = []
        for at, one in enumerate(folded):
            if len(one.items):
                answers.append(self._answer(None, ranking.items[at], ranking.scores[at], one.reason("fold-in")))
            else:
                answers.append(self._answer(None, *self._popular(k), one.reason("popular")))
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

    def _rank(self, codes: Int32, k: int, exclude_seen: bool) -> Ranking:
        known = np.flatnonzero(codes >= 0)
        if len(known) == len(codes):
            return self._rank_histories(self.histories[codes], k, exclude_seen)
        popular, counts = self._popular(k)
        items, scores = np.tile(popular, (len(codes), 1)), np.tile(counts, (len(codes), 1))
        ranking = self._rank_histories(self.histories[codes[known]], k, exclude_seen)
        items[known], scores[known] = ranking.items, ranking.scores
        return Ranking(items, scores)

    def _rank_histories(self, histories: Csr, k: int, exclude_seen: bool) -> Ranking:
        check_k(k)
        n, width = histories.shape
        items = np.empty((n, min(k, width)), dtype=np.int32)
        best = np.empty((n, min(k, width)), dtype=np.float32)
        for block in _blocks(n, width):
            scores = self.score_histories(histories[block])
            if exclude_seen:
                exclude(scores, histories[block])
            items[block], best[block] = top_k(scores, k)
        return Ranking(items, best)

    def _popular(self, k: int) -> tuple[Int32, Float32]:
        check_k(k)
        count = min(k, len(self.item_ids))
        return np.arange(count, dtype=np.int32), self.popularity[:count].astype(np.float32)

    def _answer(self, user: Id | None, items: Int32, scores: Float32, reason: str) -> Recommendations:
        kept = items >= 0
        if not kept.any():
            reason += ("; " if ":" in reason else ": ") + "no item is left that was not seen"
        return Recommendations(user, self.item_ids.decode(items[kept]), reason, scores[kept])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.config} of {len(self.user_ids)} users and {len(self.item_ids)} items>"


def training_parts(interactions: Interactions, weighting: Weighting) -> Parts:
    """What each family is fitted on: the users and items that interact at all, and the weighted histories.

    Items come most popular first and then by id, so that ties rank by popularity whatever the order of rows.

    Raises:
        DataError: there are no interactions, or the weighting cannot take their values.
    """
    if not len(interactions):
        raise DataError("a model needs at least one interaction. Got none: was the data filtered or split too far?")
    counts = np.bincount(interactions.items, minlength=len(interactions.item_ids))
    popular = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    active = np.unique(interactions.users)
    users = np.searchsorted(active, interactions.users).astype(np.int32)
    place = np.full(len(counts), -1, dtype=np.int32)
    place[popular] = np.arange(len(popular))
    weights = weigh(interactions.values, weighting)
    if not weights.any():
        raise DataError(f"weighting {weighting!r} gives every interaction the weight 0. Use weighting 'binary'")
    histories = csr(users, place[interactions.items], weights, (len(active), len(popular)))
    known_users = Vocabulary("user", interactions.user_ids.decode(active))
    return known_users, Vocabulary("item", interactions.item_ids.decode(popular)), histories


def weigh(values: Float32, weighting: Weighting) -> Float32:
    """Weights of interactions: 1 each, the values themselves, or log(1 + value).

    Raises:
        DataError: ``"binary"`` or ``"log"`` and a value is negative, which neither can tell from liking.
    """
    if weighting == "value":
        return values
    if values.size and float(values.min()) < 0:
        raise DataError(
            f"weighting {weighting!r} counts every interaction in favour, so values must not be negative. "
            f"Got {float(values.min())}: keep the positive ones with at_least(...), or use weighting 'value'"
        )
    return np.ones_like(values) if weighting == "binary" else np.log1p(values)


def check_weighting(weighting: str) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless it is one of :data:`WEIGHTINGS`."""
    if weighting not in WEIGHTINGS:
        raise UsageError(f"weighting must be one of {', '.join(WEIGHTINGS)}. Got {weighting!r} instead")


@dataclass(frozen=True)
class _Folded:
    items: Int32
    weights: Float32
    unknown: tuple[str, ...]

    def reason(self, kind: str) -> str:
        if kind == "popular" and not self.unknown:
            return "popular: the history is empty"
        if not self.unknown:
            return kind
        shown = ", ".join(self.unknown[:5]) + (f" and {len(self.unknown) - 5} more" if len(self.unknown) > 5 else "")
        fact = "no item of the history is known" if kind == "popular" else "unknown items passed over"
        return f"{kind}: {fact}: {shown}"


def _fold(known: Vocabulary, history: Sequence[Id] | Mapping[Id, float], weighting: Weighting) -> _Folded:
    if isinstance(history, str | bytes):
        raise UsageError(f"a history must be a list of item ids, or a value for each. Got {history!r} instead")
    pairs = history.items() if isinstance(history, Mapping) else ((item, 1.0) for item in history)
    found: dict[int, float] = {}
    unknown: dict[str, None] = {}
    for item, value in pairs:
        code = known.find(item)
        if code is None:
            unknown[repr(item)] = None
        else:
            found[code] = value
    values = np.array(list(found.values()), dtype=np.float32)
    if not np.isfinite(values).all():
        raise UsageError(f"values of a history must be finite numbers. Got {history!r} instead")
    return _Folded(np.array(list(found), dtype=np.int32), weigh(values, weighting), tuple(unknown))


def _listed(values: Sequence[Any]) -> Sequence[Any]:
    if isinstance(values, str | bytes | int):
        raise UsageError(f"expected a list of ids. Got one {type(values).__name__}: wrap it, [{values!r}]")
    return values


def _blocks(n: int, width: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, width))
    return (slice(start, min(n, start + step)) for start in range(0, n, step))
