"""What hybrids share: models side by side over one vocabulary, their scores on one scale, their arrays in one file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import csr_matrix

from recsys.data import Csr, Interactions, csr, read_csr
from recsys.histories import Parts, training_parts, weigh
from recsys.ids import Vocabulary
from recsys.model import Recommender
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Bool, Float32, Float64, Int32

Fit: TypeAlias = Callable[[Interactions], Recommender]
"""How a member is made from interactions."""


@dataclass(frozen=True)
class Members:
    """Fitted models, seen through the users and items of the hybrid that holds them.

    Attributes:
        names: what each is called, for people.
        models: the models.
        user_ids: the hybrid's users.
        item_ids: the hybrid's items: all that any member knows.
    """

    names: tuple[str, ...]
    models: tuple[Recommender, ...]
    user_ids: Vocabulary
    item_ids: Vocabulary

    def standard(self, values: Csr, users: Int32 | None = None) -> Float32:
        """Each member's scores on one scale.

        A person's scores by a member are moved and scaled to mean 0 and deviation 1 over the items that the person has
        not had and the member knows; an item that the member does not know is at 0, which is no opinion.

        Args:
            values: histories, shape (n, items), of raw values; each member weighs them in its own way.
            users: shape (n,), the hybrid's codes of the people, so that members can use what they learned of each;
                ``None`` for people who come with a history alone.

        Returns:
            Shape (members, n, items), finite.
        """
        found = np.zeros((len(self.models), *values.shape), dtype=np.float32)
        open_ = ~seen_mask(values)
        for at, (model, columns) in enumerate(zip(self.models, self._columns)):
            scores = self._scores(model, columns, values, users, at)
            found[at][:, columns] = _standardised(scores, open_[:, columns])
        return found

    def _scores(self, model: Recommender, columns: Int32, values: Csr, users: Int32 | None, at: int) -> Float32:
        width = len(model.item_ids)
        back = np.full(len(self.item_ids), -1, dtype=np.int32)
        back[columns] = np.arange(width)
        rows, kept = _rows(values), back[values.indices] >= 0
        weights = weigh(values.data[kept], model.config.weighting)
        own = csr(rows[kept], back[values.indices[kept]], weights, (values.shape[0], width))
        if users is None:
            return model.score_histories(own)
        codes = self._users[at][users]
        if (codes >= 0).all():
            return model.score_users(codes)
        scores = model.score_histories(own)
        scores[codes >= 0] = model.score_users(codes[codes >= 0])
        return scores

    @cached_property
    def _columns(self) -> tuple[Int32, ...]:
        return tuple(self.item_ids.encode(model.item_ids.ids) for model in self.models)

    @cached_property
    def _users(self) -> tuple[Int32, ...]:
        return tuple(model.user_ids.encode(self.user_ids.ids) for model in self.models)

    def arrays(self) -> dict[str, AnyArray]:
        """All members' arrays, each under its number."""
        found: dict[str, AnyArray] = {}
        for at, model in enumerate(self.models):
            own = {**model.user_ids.to_arrays(), **model.item_ids.to_arrays(), **model.arrays()}
            own |= {f"histories.{part}": getattr(model.histories, part) for part in ("data", "indices", "indptr")}
            found |= {f"member{at}.{key}": array for key, array in own.items()}
        return found

    def describe(self) -> list[dict[str, Any]]:
        """Name, family and options of each, JSON-ready, for the card."""
        pairs = zip(self.names, self.models)
        return [{"name": n, "family": m.family, "config": dataclasses.asdict(m.config)} for n, m in pairs]


def assemble(interactions: Interactions, models: Mapping[str, Recommender]) -> tuple[Parts, Members]:
    """The parts of a hybrid of models that were fitted on these interactions, and the models as its members.

    Items that only some member knows (new ones, by their content) come after the others.

    Raises:
        UsageError: there is no model.
        DataError: the members' ids are of different types.
    """
    if not models:
        raise UsageError("a hybrid needs at least one member. Got none")
    users, items, histories = training_parts(interactions, "value")
    new = {item: None for model in models.values() for item in model.item_ids.ids if items.find(item) is None}
    whole = Vocabulary("item", (*items.ids, *sorted(new, key=lambda item: (str(type(item)), item))))
    wider = csr_matrix((histories.data, histories.indices, histories.indptr), shape=(len(users), len(whole)))
    return (users, whole, wider), Members(tuple(models), tuple(models.values()), users, whole)


def restore_members(described: Sequence[Mapping[str, Any]], parts: Parts, arrays: Mapping[str, AnyArray]) -> Members:
    """The members that :meth:`Members.arrays` and :meth:`Members.describe` wrote.

    Raises:
        DataError: they do not fit.
    """
    from recsys.families import find_family  # noqa: PLC0415 - the table of families names the hybrids too

    models = []
    for at, row in enumerate(described):
        start = f"member{at}."
        own = {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}
        users, items = Vocabulary.from_arrays("user", own), Vocabulary.from_arrays("item", own)
        histories = read_csr("histories", own, (len(users), len(items)))
        models.append(find_family(row["family"]).restore(row["config"], (users, items, histories), own))
    if not models or any((parts[1].encode(model.item_ids.ids) < 0).any() for model in models):
        raise DataError("a hybrid must hold members whose items it knows")
    return Members(tuple(str(row["name"]) for row in described), tuple(models), parts[0], parts[1])


def seen_mask(values: Csr) -> Bool:
    """Where histories have an entry, shape (n, items)."""
    seen = np.zeros(values.shape, dtype=np.bool_)
    seen[_rows(values), values.indices] = True
    return seen


def ranks(scores: Float32, seen: Bool) -> Float32:
    """The place from 1 of each item among those that a person has not had; what was had comes after.

    Args:
        scores: shape (n, items); equal ones rank by column.
        seen: shape (n, items).
    """
    order = np.argsort(np.where(seen, np.inf, -scores), axis=1, kind="stable")
    places = np.empty(scores.shape, dtype=np.float32)
    np.put_along_axis(
        places, order, np.broadcast_to(np.arange(1, scores.shape[1] + 1, dtype=np.float32), order.shape), 1
    )
    return places


def _standardised(scores: Float32, open_: Bool) -> Float32:
    exact = scores.astype(np.float64)
    count = np.maximum(open_.sum(axis=1, keepdims=True), 1)
    mean = (exact * open_).sum(axis=1, keepdims=True) / count
    centred: Float64 = exact - mean
    deviation = np.sqrt((centred**2 * open_).sum(axis=1, keepdims=True) / count)
    flat = deviation <= 1e-9 * np.maximum(np.abs(mean), 1e-30)
    found: Float32 = np.divide(centred, deviation, out=np.zeros_like(centred), where=~flat).astype(np.float32)
    return found


def _rows(values: Csr) -> Int32:
    return np.repeat(np.arange(values.shape[0], dtype=np.int32), np.diff(values.indptr))
