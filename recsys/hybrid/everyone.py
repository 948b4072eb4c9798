"""An answer for everybody: people of the training data, people with a few events, and perfect strangers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.ids import as_id
from recsys.model import Recommender
from recsys.ranking import check_k
from recsys.types import Recommendations, extend_reason
from shared.errors import UsageError
from shared.types import Bool, Id, Int64

LEAST_SEGMENT = 20
"""A segment of fewer people of the training data says too little: everybody's popularity stands in its place."""


@dataclass(frozen=True, eq=False)
class Everyone:
    """Answers by the best that is known of a person; the reason names it. Use :func:`everyone`.

    In this order: the model for people of its training data (``personal``); the model for the items of a history
    (``fold-in``); the content model, where the model knows no item of the history, or for the places that are kept for
    new items (``content``); what is popular in the person's segment (``segment``); what is popular with all
    (``popular``).

    Attributes:
        model: the recommender.
        content: knows items that the model does not; ``None`` where there is none.
        segments: the segment of each person: an age group, a country, a shop.
        new_places: how many of an answer's last places go to items that the model does not know, best first by
            content. They have the score of the last item before them.
    """

    model: Recommender
    content: Recommender | None
    segments: Mapping[Id, str]
    new_places: int = 0

    def recommend(
        self,
        users: Sequence[Id],
        k: int = 10,
        *,
        segments: Sequence[str | None] | None = None,
        exclude_seen: bool = True,
        among: Iterable[Id] | None = None,
        without: Iterable[Id] = (),
    ) -> list[Recommendations]:
        """The best items for each person, same length, same order.

        Args:
            users: ids of people, known or not.
            k: how many, at least 1.
            segments: the segment of each, for people that :attr:`segments` lacks; ``None`` where it is not known.
            exclude_seen: as in :meth:`recsys.model.Recommender.recommend`.
            among: as there.
            without: as there.

        Raises:
            UsageError: an argument is wrong.
        """
        if segments is not None and len(segments) != len(users):
            raise UsageError(f"segments must be one for each of the {len(users)} users. Got {len(segments)} instead")
        among = None if among is None else list(among)
        without = list(without)
        found = self.model.recommend(users, k, exclude_seen=exclude_seen, among=among, without=without)
        answers = []
        for at, (user, one) in enumerate(zip(users, found)):
            if one.kind == "personal":
                code = self.model.user_ids.code(user)
                answers.append(
                    self._with_new(one, self._liked(code), k, exclude_seen=exclude_seen, among=among, without=without)
                )
                continue
            known = as_id(user)
            given = None if segments is None else segments[at]
            segment = given if given is not None or known is None else self.segments.get(known)
            answers.append(self._by_segment(one, segment, k, among, without))
        return answers

    def fold_in(
        self,
        history: Sequence[Id] | Mapping[Id, float],
        k: int = 10,
        *,
        segment: str | None = None,
        exclude_seen: bool = True,
        among: Iterable[Id] | None = None,
        without: Iterable[Id] = (),
    ) -> Recommendations:
        """The best items for somebody who comes with a history of any length, none included.

        Args:
            history: as in :meth:`recsys.model.Recommender.fold_in`.
            k: how many, at least 1.
            segment: the person's, for when the history says nothing.
            exclude_seen: leave out the items of the history.
            among: as in :meth:`recommend`.
            without: as in :meth:`recommend`.

        Raises:
            UsageError: an argument is wrong.
        """
        among = None if among is None else list(among)
        without = list(without)
        found = self.model.fold_in(history, k, exclude_seen=exclude_seen, among=among, without=without)
        if found.kind == "fold-in":
            return self._with_new(found, history, k, exclude_seen=exclude_seen, among=among, without=without)
        if self.content is not None and len(history):
            about = self.content.fold_in(history, k, exclude_seen=exclude_seen, among=among, without=without)
            if about.kind == "fold-in" and (about.scores > 0).any():
                fact = "the history is known by its content alone"
                _, colon, rest = about.reason.partition(":")
                return dataclasses.replace(about, reason=f"content: {fact}" + (f";{rest}" if colon else ""))
        return self._by_segment(found, segment, k, among, without)

    def _with_new(
        self,
        found: Recommendations,
        history: Sequence[Id] | Mapping[Id, float],
        k: int,
        *,
        exclude_seen: bool,
        among: Sequence[Id] | None,
        without: Sequence[Id],
    ) -> Recommendations:
        """The answer with new items, by content, in its last places."""
        new = self._new_items if among is None else [item for item in among if item in self._new_set]
        places = min(self.new_places, k)
        if self.content is None or not places or not new:
            return found
        about = self.content.fold_in(history, places, exclude_seen=exclude_seen, among=new, without=without)
        fresh = [item for item, score in zip(about.items, about.scores) if score > 0] if about.kind == "fold-in" else []
        if not fresh:
            return found
        kept = found.items[: k - len(fresh)]
        scores = found.scores[: len(kept)]
        last = scores[-1] if len(scores) else np.float32(0)
        return dataclasses.replace(
            found,
            items=(*kept, *fresh),
            scores=np.r_[scores, np.full(len(fresh), last, dtype=np.float32)],
            reason=extend_reason(found.reason, f"new items by content: {', '.join(map(str, fresh))}"),
        )

    def _liked(self, code: int) -> dict[Id, float]:
        row = self.model.histories[code]
        return {self.model.item_ids.ids[item]: 1.0 for item in row.indices}

    def _by_segment(
        self,
        popular: Recommendations,
        segment: str | None,
        k: int,
        among: Sequence[Id] | None,
        without: Sequence[Id],
    ) -> Recommendations:
        """What is popular in a segment; ``popular``, with a word on why, where the segment says too little."""
        check_k(k)
        if segment is None:
            return popular
        people, counts = self._segments.get(segment, (0, np.zeros(0, dtype=np.int64)))
        if people < LEAST_SEGMENT:
            fact = f"segment {segment!r} has {people} people, fewer than {LEAST_SEGMENT}"
            return dataclasses.replace(popular, reason=extend_reason(popular.reason, fact))
        wanted = None if among is None else set(among)
        allowed: Bool = np.array([wanted is None or item in wanted for item in self.model.item_ids.ids])
        banned = self.model.item_ids.encode(without)
        allowed[banned[banned >= 0]] = False
        order = np.argsort(-counts, kind="stable")
        best = order[allowed[order] & (counts[order] > 0)][:k]
        rest = popular.reason.partition(":")[2]
        return Recommendations(
            popular.user,
            self.model.item_ids.decode(best),
            f"segment: popular with {people} people of {segment!r};{rest}" if rest else f"segment: {segment!r}",
            counts[best].astype(np.float32),
        )

    @cached_property
    def _segments(self) -> dict[str, tuple[int, Int64]]:
        """For each segment its people of the training data, and how many of them have each item."""
        groups: dict[str, list[int]] = {}
        for code, user in enumerate(self.model.user_ids.ids):
            if user in self.segments:
                groups.setdefault(self.segments[user], []).append(code)
        return {
            name: (len(codes), self.model.histories[codes].getnnz(axis=0).astype(np.int64))
            for name, codes in groups.items()
        }

    @cached_property
    def _new_set(self) -> frozenset[Id]:
        known = () if self.content is None else self.content.item_ids.ids
        return frozenset(item for item in known if self.model.item_ids.find(item) is None)

    @cached_property
    def _new_items(self) -> list[Id]:
        return [] if self.content is None else [item for item in self.content.item_ids.ids if item in self._new_set]


def everyone(
    model: Recommender,
    *,
    content: Recommender | None = None,
    segments: Mapping[Id, str] | None = None,
    new_places: int = 0,
) -> Everyone:
    """A model with something to say to everybody.

    Args:
        model: any recommender.
        content: a content model whose catalogue holds new items; see :func:`recsys.fit_content`.
        segments: the segment of each person, those of the training data included, for that is where its popularity
            comes from.
        new_places: how many of an answer's last places are kept for new items, at least 0.

    Raises:
        UsageError: ``new_places`` is negative, or asks for new items without a content model.

    Example:
        >>> from recsys import fit_popularity, from_records
        >>> model = fit_popularity(from_records([(f"p{n}", "tea" if n % 2 else "rice") for n in range(41)]))
        >>> shop = everyone(model, segments={f"p{n}": "odd" if n % 2 else "even" for n in range(41)})
        >>> shop.recommend(["stranger"], k=1, segments=["odd"])[0].items
        ('tea',)
    """
    if new_places < 0 or (new_places and content is None):
        raise UsageError(f"new_places must be at least 0, and 0 without a content model. Got {new_places} instead")
    return Everyone(model, content, dict(segments or {}), new_places)
