"""A recommender behind the contract that every task keeps: lists and streams of people, failures as values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from recsys.explanations import Explanation, explain, explain_history
from recsys.ids import as_id
from recsys.model import Recommender
from recsys.ranking import check_k
from recsys.reading import read_titles
from recsys.serving.bulk import BulkReport, recommend_all
from recsys.store import describe, load, model_folder
from recsys.types import Recommendations, SimilarItems
from shared.catalogue import ModelCard
from shared.errors import InputError
from shared.predictor import OnError, Pipeline
from shared.types import Failure, Id
from shared.weights import read_model_folder

Person: TypeAlias = Id | Sequence[Id] | Mapping[Id, float]
"""A user's id, or the history of somebody: item ids, or a value for each."""
T = TypeVar("T", Recommendations, SimilarItems)


@dataclass(frozen=True)
class RecommenderPredictor:
    """A :class:`~shared.predictor.Predictor` of :class:`~recsys.types.Recommendations`. Use :func:`recommender`.

    Attributes:
        card: what model this is.
        model: the recommender behind it.
        k: how many items each person gets, at most.
        exclude_seen: leave out what a person has interacted with.
        text_ids: whether ids come through text and are read in the type of the model's own ids.
        titles: what items are called, by the text of their id; may be empty.
    """

    card: ModelCard
    model: Recommender
    k: int = 10
    exclude_seen: bool = True
    text_ids: bool = False
    titles: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def predict(self, items: Sequence[Person], /, *, on_error: OnError = "raise") -> list[Recommendations | Failure]:
        """See :meth:`shared.predictor.Predictor.predict`. Somebody unknown is no failure: the reason says so."""
        return self._pipeline.predict(items, on_error=on_error)

    def stream(
        self, items: Iterable[Person], /, *, batch_size: int | None = None, on_error: OnError = "keep"
    ) -> Iterator[Recommendations | Failure]:
        """See :meth:`shared.predictor.Predictor.stream`."""
        return self._pipeline.stream(items, batch_size=batch_size, on_error=on_error)

    def similar_items(self, items: Sequence[Id], k: int | None = None) -> list[SimilarItems]:
        """See :meth:`recsys.model.Recommender.similar_items`; ``k=None`` takes this predictor's own."""
        found = self.model.similar_items([self._item(item) for item in items], self.k if k is None else k)
        return [self._titled(one) for one in found]

    def explain(self, person: Person, item: Id) -> Explanation:
        """Why an item for a person: :func:`recsys.explain` for an id, :func:`recsys.explain_history` for a history.

        Raises:
            InputError: the person is neither.
            UnknownNameError: the user or the item is not known; the message lists near ids.
            UsageError: nothing of a history is known, or scores of this family are no sum over a history.
        """
        known = self._prepare(person)
        if isinstance(known, dict | list):
            return explain_history(self.model, known, self._item(item))
        return explain(self.model, known, self._item(item))  # type: ignore[arg-type]  # an id by now

    def recommend_all(
        self,
        out: str | Path,
        *,
        users: Sequence[Id] | None = None,
        threads: int | None = None,
        heard: Callable[[int], None] | None = None,
    ) -> BulkReport:
        """:func:`recsys.recommend_all` with this predictor's ``k`` and ``exclude_seen``; ids as it reads them."""
        wanted: list[Any] | None = None if users is None else [self._prepare(user) for user in users]
        return recommend_all(
            self.model, out, self.k, users=wanted, exclude_seen=self.exclude_seen, threads=threads, heard=heard
        )

    @cached_property
    def _pipeline(self) -> Pipeline[Person, Any, Recommendations, Recommendations]:
        return Pipeline(self.card, self._prepare, self._run, lambda raw, mid: self._titled(raw), 256, 1)

    def _prepare(self, person: Person) -> Person:
        if isinstance(person, Mapping):
            return {self._item(item): value for item, value in person.items()}
        if isinstance(person, list | tuple | np.ndarray):
            return [self._item(item) for item in person]
        user = as_id(self.model.user_ids.read(person) if self.text_ids else person)
        if user is None or (not isinstance(user, str | int) and type(user) is not self.model.user_ids.kind):
            raise InputError(
                "wrong-type",
                "a person must be a user id (str or int), a list of item ids, or a value for each item. "
                f"Got {type(person).__name__} {person!r} instead",
            )
        if user == "":
            raise InputError("empty", "a user id must not be empty. Give an id, or a history")
        return user

    def _item(self, item: object) -> Any:
        return self.model.item_ids.read(item) if self.text_ids else item

    def _run(self, people: Sequence[Person]) -> list[Recommendations]:
        users: list[Any] = [person for person in people if not isinstance(person, dict | list)]
        histories = [person for person in people if isinstance(person, dict | list)]
        known = iter(self.model.recommend(users, self.k, exclude_seen=self.exclude_seen))
        folded = iter(self.model.fold_in_many(histories, self.k, exclude_seen=self.exclude_seen))
        return [next(folded) if isinstance(person, dict | list) else next(known) for person in people]

    def _titled(self, answer: T) -> T:
        if not self.titles:
            return answer
        return dataclasses.replace(answer, titles=tuple(self.titles.get(str(item), "") for item in answer.items))


def recommender(
    model: str | Path | Recommender,
    *,
    k: int = 10,
    exclude_seen: bool = True,
    text_ids: bool = False,
    titles: str | Path | None = None,
) -> RecommenderPredictor:
    """Open a recommender.

    Args:
        model: a model folder, ``registry:NAME@ALIAS``, or a fitted model.
        k: how many items each person gets, at least 1.
        exclude_seen: leave out what a person has interacted with.
        text_ids: read ids that come through text (a command line, a table) in the type of the model's own ids.
        titles: a file with a column of item ids and one of titles; answers then carry titles.

    Raises:
        DataError: the folder holds no recommender.
        UsageError: ``k`` is below 1.
    """
    check_k(k)
    named = {} if titles is None else read_titles(titles)
    if isinstance(model, Recommender):
        return RecommenderPredictor(describe(model), model, k, exclude_seen, text_ids, named)
    folder = model_folder(model)
    return RecommenderPredictor(read_model_folder(folder), load(folder), k, exclude_seen, text_ids, named)
