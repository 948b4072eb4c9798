"""Figures of a fitted model user by user: for people it knows, for people folded in, and, on request, by sampling."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from recsys.data import Csr, Interactions
from recsys.model import Recommender
from recsys.ranking import exclude, top_k
from recsys.split import UserSplit
from shared.errors import DataError, UsageError
from shared.evaluation.ranking import auc_score, ranking_scores
from shared.types import Float64, Id, Int32, Int64

_BLOCK = 4_000_000
"""Scores or ranked items held at once where whole rankings are needed."""
SAMPLED = (
    "figures among {} sampled items are not comparable with figures among all items, and can order models otherwise "
    "(Krichene and Rendle, KDD 2020): use them only beside published ones of the same protocol"
)


@dataclasses.dataclass(frozen=True)
class UserScores:
    """Figures of each test user.

    Attributes:
        users: the users' ids, n of them.
        scores: by figure (``"ndcg@10"``), shape (n,).
        strangers: how many of the users the model did not know, so that they got the popular items.
        unreachable: how many test interactions are with items that the model does not know; they stay in the truth.
    """

    users: tuple[Id, ...]
    scores: Mapping[str, Float64]
    strangers: int
    unreachable: int


def score_users(
    model: Recommender,
    test: Interactions,
    *,
    k: int = 10,
    ks: Sequence[int] | None = None,
    exclude_seen: bool = True,
    limit: int | None = None,
    auc: bool = False,
) -> UserScores:
    """Rank the whole catalogue for each user of ``test`` and compare with what the user did there.

    Args:
        model: what is evaluated. Items of its training histories are not ranked for their user again.
        test: held-out interactions; every one counts as relevant.
        k: how many places count, at least 1.
        ks: several such numbers in the place of ``k``; each user is ranked once.
        exclude_seen: ``False`` lets the model name what it saw the user do.
        limit: only the first users, in the order of their ids.
        auc: the area under the ROC curve over whole rankings too, NaN where nothing but the relevant is left to rank.

    Raises:
        DataError: ``test`` is empty.
    """
    codes, truth = _truth(test, limit)
    cuts = (k,) if ks is None else tuple(ks)
    users = test.user_ids.decode(codes)
    ranked = _as_tested(model, test, model.rank(users, max(cuts, default=k), exclude_seen=exclude_seen).items)
    scores = ranking_scores(truth, ranked, ks=cuts)
    if auc:
        scores["auc"] = _auc(model, test, truth, users, exclude_seen)
    return _with_counts(model, test, truth, users, scores)


def score_held_out(model: Recommender, split: UserSplit, *, k: int = 10, ks: Sequence[int] | None = None) -> UserScores:
    """The same for people who were not in training: what is ``given`` of each is folded in, and ``asked`` is looked
    for.

    Args:
        model: fitted on ``split.train``.
        split: as :func:`recsys.split.hold_out_users` or :func:`recsys.split.user_folds` made it.
        k: how many places count, at least 1.
        ks: several such numbers in the place of ``k``.

    Returns:
        Figures of the people in ``asked``. ``strangers`` counts those of whose given items the model knows none.

    Raises:
        DataError: nobody is asked about.
    """
    codes, truth = _truth(split.asked, None)
    cuts = (k,) if ks is None else tuple(ks)
    given = split.given.matrix
    items = split.given.item_ids.ids
    histories = []
    for code in codes:
        row = slice(given.indptr[code], given.indptr[code + 1])
        histories.append({items[item]: value for item, value in zip(given.indices[row], given.data[row].tolist())})
    answers = model.fold_in_many(histories, max(cuts, default=k))
    ranked = [split.asked.item_ids.encode(answer.items) for answer in answers]
    width = max(map(len, ranked), default=0)
    padded = np.full((len(ranked), max(1, width)), -1, dtype=np.int32)
    for line, one in zip(padded, ranked):
        line[: len(one)] = one
    scores = ranking_scores(truth, padded, ks=cuts)
    found = _with_counts(model, split.asked, truth, split.asked.user_ids.decode(codes), scores)
    return dataclasses.replace(found, strangers=sum(answer.kind == "popular" for answer in answers))


def sampled_scores(
    model: Recommender, test: Interactions, *, candidates: int = 100, k: int = 10, rng: np.random.Generator
) -> UserScores:
    """Rank each user's test items among a few sampled others alone. For comparison with published figures only.

    Args:
        model: what is evaluated.
        test: held-out interactions; every one counts as relevant.
        candidates: how many items that are neither relevant nor seen are drawn for each user, alike, at least 1.
        k: how many places count, at least 1.
        rng: source of randomness.

    Returns:
        Figures named like ``"ndcg@10 of 100 sampled"``, so that they are not taken for the whole ranking's.

    Raises:
        DataError: ``test`` is empty.
        UsageError: ``candidates`` is below 1.
    """
    if candidates < 1:
        raise UsageError(f"candidates must be at least 1. Got {candidates} instead")
    warnings.warn(SAMPLED.format(candidates), UserWarning, stacklevel=2)
    codes, truth = _truth(test, None)
    users = test.user_ids.decode(codes)
    to_model = model.item_ids.encode(test.item_ids.ids)
    parts = []
    for block in _blocks(len(users), len(model.item_ids)):
        scores = model.score(users[block])
        scores[np.isnan(scores).any(axis=1)] = model.popularity
        known = model.user_ids.encode(users[block])
        drawn = rng.random(scores.shape).astype(np.float32)
        seen = np.flatnonzero(known >= 0)
        taken = drawn[seen]
        exclude(taken, model.histories[known[seen]])
        drawn[seen] = taken
        rows = np.repeat(np.arange(len(known)), np.diff(truth[block].indptr))
        relevant = to_model[truth[block].indices]
        rows, relevant = rows[relevant >= 0], relevant[relevant >= 0]
        drawn[rows, relevant] = -np.inf
        allowed = np.zeros(scores.shape, dtype=np.bool_)
        chosen, _ = top_k(drawn, candidates)
        allowed[np.nonzero(chosen >= 0)[0], chosen[chosen >= 0]] = True
        allowed[rows, relevant] = True
        scores[~allowed] = -np.inf
        parts.append(top_k(scores, k)[0])
    ranked = _as_tested(model, test, np.concatenate(parts))
    found = ranking_scores(truth, ranked, k=k)
    named = {f"{name} of {candidates} sampled": values for name, values in found.items()}
    return _with_counts(model, test, truth, users, named)


def _truth(test: Interactions, limit: int | None) -> tuple[Int32, Csr]:
    if not len(test):
        raise DataError("expected at least one test interaction. Got none: hold out a larger share")
    codes = np.unique(test.users)[:limit]
    return codes, test.matrix[codes]


def _as_tested(model: Recommender, test: Interactions, items: Int32) -> Int64:
    """Codes of the model as codes of the test data; items that those never heard of get codes beyond them."""
    to_test = test.item_ids.encode(model.item_ids.ids).astype(np.int64)
    to_test = np.where(to_test >= 0, to_test, len(test.item_ids) + np.arange(len(to_test)))
    return np.where(items >= 0, to_test[items], -1)


def _auc(model: Recommender, test: Interactions, truth: Csr, users: tuple[Id, ...], exclude_seen: bool) -> Float64:
    width = len(model.item_ids)
    parts = []
    for block in _blocks(len(users), width):
        ranked = _as_tested(model, test, model.rank(users[block], width, exclude_seen=exclude_seen).items)
        parts.append(auc_score(truth[block], ranked))
    return np.concatenate(parts)


def _with_counts(
    model: Recommender, test: Interactions, truth: Csr, users: tuple[Id, ...], scores: Mapping[str, Float64]
) -> UserScores:
    known = model.item_ids.encode(test.item_ids.ids) >= 0
    strangers = int((model.user_ids.encode(users) < 0).sum())
    return UserScores(users, scores, strangers, int((~known[truth.indices]).sum()))


def _blocks(n: int, width: int) -> list[slice]:
    step = max(1, _BLOCK // max(1, width))
    return [slice(start, min(n, start + step)) for start in range(0, n, step)]
