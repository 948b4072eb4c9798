"""What a blend and a re-ranker learn from: what members say of interactions that they were not shown.

D. Wolpert, "Stacked generalization", Neural Networks 5 (1992): members are fitted on all folds but one and asked for
that one; whatever is learned over their answers is then used with members that were fitted on everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from recsys.data import Csr, Interactions
from recsys.hybrid.members import Fit, Members, assemble, seen_mask
from recsys.ids import Vocabulary
from shared.errors import UsageError
from shared.types import Bool, Float32, Float64, Int32, Int64


@dataclass(frozen=True)
class Lesson:
    """People of one fold, the items that are worth a look for each, and which of them were held out.

    Attributes:
        values: CSR, shape (n, items): their histories without the fold.
        candidates: shape (n, c), int32, codes of items that they have not had; best first by the mean of the members.
        scores: shape (members, n, c), standardised.
        held: shape (n, c), whether the candidate was held out.
        relevant: shape (n,), how many items were held out, candidates or not.
        histories: CSR, shape (users, items): what all people have without the fold.
        user_ids: whose histories those are.
        users: shape (n,), int32, which of them the lesson is about.
    """

    values: Csr
    candidates: Int32
    scores: Float32
    held: Bool
    relevant: Int64
    histories: Csr
    user_ids: Vocabulary
    users: Int32


def lessons(
    interactions: Interactions,
    fits: Mapping[str, Fit],
    *,
    folds: int,
    candidates: int,
    people: int,
    rng: np.random.Generator,
) -> Iterator[Lesson]:
    """One lesson a fold. Folds share out each person's interactions evenly; data too small for folds give none.

    Args:
        interactions: what the whole hybrid is fitted on.
        fits: how each member is made.
        folds: how many, at least 2.
        candidates: how many items are looked at for each person.
        people: how many people a lesson has at most, drawn at random.
        rng: draws folds and people. The order of rows does not matter.
    """
    order = np.lexsort((interactions.items, interactions.users))
    number = np.empty(len(interactions), dtype=np.int64)
    number[order] = _shares(interactions.users[order], folds, rng)
    for fold in range(folds):
        train, test = interactions.take(number != fold), interactions.take(number == fold)
        if not len(train) or not len(test):
            continue
        parts, members = assemble(train, {name: fit(train) for name, fit in fits.items()})
        known = members.user_ids.encode(test.user_ids.ids)
        users = np.unique(known[test.users])
        users = users[users >= 0]
        if len(users) > people:
            users = np.sort(rng.choice(users, people, replace=False))
        if len(users):
            yield _lesson(members, parts[2], users, test, candidates)


def _lesson(members: Members, histories: Csr, users: Int32, test: Interactions, candidates: int) -> Lesson:
    values = histories[users]
    scores = members.standard(values, users)
    chosen = best_candidates(scores.mean(axis=0), seen_mask(values), candidates)
    rows = np.full(len(members.user_ids), -1, dtype=np.int64)
    rows[users] = np.arange(len(users))
    at = rows[members.user_ids.encode(test.user_ids.ids)[test.users]]
    item = members.item_ids.encode(test.item_ids.ids)[test.items]
    asked = (members.user_ids.encode(test.user_ids.ids)[test.users] >= 0) & (at >= 0)
    held = np.zeros(values.shape, dtype=np.bool_)
    held[at[asked & (item >= 0)], item[asked & (item >= 0)]] = True
    return Lesson(
        values=values,
        candidates=chosen,
        scores=np.stack([np.take_along_axis(one, chosen, axis=1) for one in scores]),
        held=np.take_along_axis(held, chosen, axis=1),
        relevant=np.bincount(at[asked], minlength=len(users)),
        histories=histories,
        user_ids=members.user_ids,
        users=users,
    )


def best_candidates(scores: Float32, seen: Bool, count: int) -> Int32:
    """The codes of the ``count`` best items of each row among those not seen, best first, shape (n, min(count, items)).

    A row with fewer is filled with seen items at its end.
    """
    order = np.argsort(np.where(seen, np.inf, -scores), axis=1, kind="stable")
    return order[:, :count].astype(np.int32)


def learn_ndcg(found: list[Lesson], *, k: int, steps: int = 24) -> Float64:
    """Weights of members by forward selection with replacement: in each step the member is added whose share lifts the
    mean NDCG@k most, until none does.

    R. Caruana et al., "Ensemble selection from libraries of models", ICML 2004.

    Returns:
        Shape (members,), float64, at least 0, their sum 1.
    """
    count = len(found[0].scores)
    weights: Float64 = np.zeros(count)
    sums = [np.zeros(one.held.shape) for one in found]
    best = -1.0
    for _ in range(steps):
        trials = [
            (mean_ndcg([s + share * one.scores[at] for s, one in zip(sums, found)], found, k), share, -at)
            for at in range(count)
            for share in (1.0, 0.3)
        ]
        value, share, at = max(trials)
        if value <= best + 1e-5:
            break
        best = value
        weights[-at] += share
        sums = [s + share * one.scores[-at] for s, one in zip(sums, found)]
    shares: Float64 = weights / weights.sum()
    return shares


def learn_logistic(found: list[Lesson]) -> tuple[Float64, float]:
    """Weights and intercept of a logistic regression of "was held out" on the members' scores of the candidates, so
    that a blend's score is a log-odds.

    Raises:
        UsageError: no candidate was held out, or all were.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - heavy, and asked for by few

    inputs = np.concatenate([one.scores.reshape(len(one.scores), -1).T for one in found])
    held = np.concatenate([one.held.ravel() for one in found])
    if held.all() or not held.any():
        raise UsageError("a logistic blend needs candidates of both kinds, held out and not. Raise candidates")
    fitted = LogisticRegression(C=1.0, max_iter=200).fit(inputs.astype(np.float64), held)
    return fitted.coef_[0], float(fitted.intercept_[0])


def mean_ndcg(scores: list[Float64], found: list[Lesson], k: int) -> float:
    """Mean NDCG@k over the people of all lessons when candidates are ranked by ``scores``, each shape (n, c)."""
    totals = [ndcg(one, lesson, k) for one, lesson in zip(scores, found)]
    return float(np.concatenate(totals).mean())


def ndcg(scores: Float64, lesson: Lesson, k: int) -> Float64:
    """NDCG@k of each person of a lesson, shape (n,); see :func:`shared.evaluation.ranking.ndcg_score`."""
    k = min(k, scores.shape[1])
    near = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1, kind="stable")
    hits = np.take_along_axis(np.take_along_axis(lesson.held, near, axis=1), order, axis=1)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.clip(lesson.relevant, 1, k) - 1]
    gained: Float64 = (hits * discount).sum(axis=1) / ideal
    return gained


def _shares(users: Int32, folds: int, rng: np.random.Generator) -> Int64:
    """A fold for each row of users that stand together: a person's rows are dealt out evenly from a random start."""
    drawn = rng.random(len(users))
    order = np.lexsort((drawn, users))
    sizes = np.bincount(users)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank = np.empty(len(users), dtype=np.int64)
    rank[order] = np.arange(len(users)) - starts[users[order]]
    return (rank + rng.integers(folds, size=len(sizes))[users]) % folds
