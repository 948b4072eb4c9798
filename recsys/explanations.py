"""Why an item: what each interaction, or each of the people nearest, adds to its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from recsys.collaborative.user_knn import UserKnn
from recsys.data import Csr, csr
from recsys.histories import fold
from recsys.model import Recommender
from shared.errors import UsageError
from shared.types import Float32, Float64, Id, Int32, Result, array_field

Source: TypeAlias = Literal["items", "users"]


@dataclass(frozen=True, eq=False)
class Explanation(Result):
    """What a score is made of.

    Attributes:
        user: the user's id; ``None`` for somebody who was described by a history alone.
        item: the item whose score it is.
        score: the score that the history gives, by :meth:`recsys.model.Recommender.score_histories`. The vector that a
            model of factors learnt for a user differs from that of the history by what its last iteration moved, and so
            does the score.
        source: ``"items"`` of the history, or ``"users"`` who are near.
        because: ids of all that add something other than 0, the greatest contribution first.
        contributions: shape (n,), float32, never rising: what each adds; they sum to ``score``. Below 0 speaks against.
    """

    user: Id | None
    item: Id
    score: float
    source: Source
    because: tuple[Id, ...]
    contributions: Float32 = array_field("float32", ("n",))

    def check(self, axes: Mapping[str, int]) -> None:
        if len(self.because) != len(self.contributions):
            count = len(self.contributions)
            raise UsageError(f"Explanation must have an id for each of {count} contributions. Got {len(self.because)}")
        if not np.isfinite(self.contributions).all() or (np.diff(self.contributions) > 0).any():
            raise UsageError("Explanation.contributions must be finite and never rise")

    def say(self, most: int = 3, *, titles: Mapping[str, str] | None = None) -> str:
        """The reasons as a sentence.

        Args:
            most: how many reasons are named, at least 1; those that speak against are not.
            titles: what items are called, by the text of their id.

        Example:
            >>> found = Explanation("ann", "tea", 0.5, "items", ("rice",), np.array([0.5], dtype=np.float32))
            >>> found.say()
            'because you liked rice'
        """
        named = [one for one, part in zip(self.because, self.contributions) if part > 0][: max(1, most)]
        if not named:
            return "for no reason in your history" if self.source == "items" else "nobody near took it"
        if self.source == "users":
            return f"because people like you took it: {', '.join(map(str, named))}"
        return f"because you liked {', '.join((titles or {}).get(str(one), str(one)) for one in named)}"


def explain(model: Recommender, user: Id, item: Id) -> Explanation:
    """Why a model scores an item as it does for a user of training.

    Exact for the linear models (ease, slim, item_knn: each weight times its coefficient), for als (section 5 of Hu,
    Koren and Volinsky, ICDM 2008) and for user_knn, where the reasons are the nearest people.

    Raises:
        UnknownNameError: the user or the item is not known; the message lists near ids.
        UsageError: scores of this family are no such sum.

    Example:
        >>> import recsys
        >>> rows = [("ann", "tea"), ("bob", "tea"), ("bob", "rice"), ("cid", "rice"), ("cid", "tea"), ("dan", "wine")]
        >>> explain(recsys.fit_item_knn(recsys.from_records(rows)), "ann", "rice").say()
        'because you liked tea'
    """
    code = model.user_ids.code(user)
    return _explain(model, user, model.histories[[code]], model.item_ids.code(item))


def explain_history(model: Recommender, history: Sequence[Id] | Mapping[Id, float], item: Id) -> Explanation:
    """:func:`explain` for somebody who was not in training; unknown items of the history are passed over.

    Raises:
        UnknownNameError: the item is not known.
        UsageError: nothing of the history is known, or scores of this family are no such sum.
    """
    folded = fold(model.item_ids, history, model.config.weighting)
    if not len(folded.items):
        raise UsageError(f"an explanation needs a history. Got {folded.reason('popular').removeprefix('popular: ')}")
    rows = np.zeros(len(folded.items), dtype=np.int32)
    matrix = csr(rows, folded.items, folded.weights, (1, len(model.item_ids)))
    return _explain(model, None, matrix, model.item_ids.code(item))


def _explain(model: Recommender, user: Id | None, history: Csr, item: int) -> Explanation:
    source: Source = "users" if isinstance(model, UserKnn) else "items"
    if isinstance(model, UserKnn):
        ids, (codes, parts) = model.user_ids, _people(model, history, item)
    else:
        ids, codes, parts = model.item_ids, history.indices, model.contributions(history, item)
    named = np.flatnonzero(parts)
    named = named[np.argsort(-parts[named].astype(np.float32), kind="stable")]
    because = ids.decode(codes[named])
    total = float(np.float32(parts.sum()))
    return Explanation(user, model.item_ids.ids[item], total, source, because, parts[named].astype(np.float32))


def _people(model: UserKnn, history: Csr, item: int) -> tuple[Int32, Float64]:
    """The nearest people, and what each adds to the item."""
    _, near = next(model.near_users(history))
    given = model.histories[near.indices, item]
    weights = np.asarray(given.todense() if hasattr(given, "todense") else given, dtype=np.float64).ravel()
    return near.indices, near.data.astype(np.float64) * weights
