"""Figures of next-item recommendation: where in the whole catalogue the one item stands that came next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.data import Interactions
from recsys.model import Recommender
from recsys.ranking import check_k, exclude
from recsys.scoring import UserScores
from shared.errors import DataError
from shared.types import Float32, Float64, Int32

_BLOCK = 4_000_000
"""Scores held at once (16 MB)."""


def score_next(
    model: Recommender,
    test: Interactions,
    *,
    ks: Sequence[int] = (10,),
    exclude_seen: bool = True,
    limit: int | None = None,
) -> UserScores:
    """Rank the whole catalogue for each user of ``test`` and look for the one item that the user had there.

    With the item at place r: ``ndcg@k`` is 1 / log2(1 + r) and ``hit@k`` 1 where r <= k, else 0; ``mrr`` is 1 / r over
    the whole ranking (K. Järvelin and J. Kekäläinen, ACM TOIS 20 (2002), with one relevant item). Places are those
    of :meth:`recsys.model.Recommender.rank`: among equal scores the item with more users comes first.

    Args:
        model: what is evaluated; any recommender, whether it knows of order or not.
        test: one held-out interaction of each user, what came after all that the model has of the user.
        ks: how many places count, each at least 1.
        exclude_seen: leave out what the model saw the user do. An item that then cannot be ranked is not found, and
            neither is one that the model does not know: all figures are 0, and ``unreachable`` counts them.
        limit: only the first users, in the order of their ids.

    Raises:
        DataError: ``test`` is empty, or holds more than one interaction of a user.
        UsageError: a ``k`` is below 1.
    """
    for k in ks:
        check_k(k)
    if not len(test):
        raise DataError("expected at least one test interaction. Got none: do people have more than one?")
    order = np.argsort(test.users, kind="stable")
    if (np.diff(test.users[order]) == 0).any():
        raise DataError("expected one test interaction of each user, the next. Got several of some: leave one out")
    order = order[:limit]
    users = test.user_ids.decode(test.users[order])
    wanted = model.item_ids.encode(test.item_ids.ids)[test.items[order]]
    codes = model.user_ids.encode(users)
    places = next_places(model, codes, wanted, exclude_seen=exclude_seen)
    scores: dict[str, Float64] = {}
    for k in ks:
        scores[f"ndcg@{k}"] = np.where(places <= k, 1 / np.log2(1 + places), 0.0)
        scores[f"hit@{k}"] = (places <= k).astype(np.float64)
    scores["mrr"] = 1 / places
    return UserScores(users, scores, int((codes < 0).sum()), int(np.isinf(places).sum()))


def next_places(model: Recommender, users: Int32, wanted: Int32, *, exclude_seen: bool = True) -> Float64:
    """The place from 1 of one item for each user among all items; infinite where it cannot be ranked.

    Args:
        model: any recommender.
        users: shape (n,), int32, its codes; -1 for somebody unknown, who gets the popular items.
        wanted: shape (n,), int32, its codes of items; -1 for one that is unknown.
        exclude_seen: as in :func:`score_next`.
    """
    width = len(model.item_ids)
    found = np.full(len(users), np.inf)
    step = max(1, _BLOCK // width)
    for start in range(0, len(users), step):
        rows = np.arange(start, min(len(users), start + step))
        rows = rows[wanted[rows] >= 0]
        known = users[rows] >= 0
        scores = np.empty((len(rows), width), dtype=np.float32)
        scores[~known] = model.popularity
        if known.any():
            own = model.score_users(users[rows[known]])
            if exclude_seen:
                exclude(own, model.histories[users[rows[known]]])
            scores[known] = own
        found[rows] = _places(scores, wanted[rows])
    return found


def _places(scores: Float32, wanted: Int32) -> Float64:
    best = scores[np.arange(len(scores)), wanted]
    places = 1.0 + (scores > best[:, None]).sum(axis=1)
    tied = np.flatnonzero((scores == best[:, None]).sum(axis=1) > 1)
    places[tied] += [(scores[row, : wanted[row]] == best[row]).sum() for row in tied]
    return np.where(np.isneginf(best), np.inf, places)
