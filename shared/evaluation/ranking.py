"""Figures of rankings: the items that count and the items that were ranked in, one number a user out.

Relevance is binary, but for :func:`graded_ndcg_score`. Each function takes, for n users, ``truth`` (the relevant ids of
each) and ``ranked`` (ids from best to worst), and returns a float64 array of shape (n,): a mean is the caller's to
take, and so is an interval or a paired test (:mod:`shared.evaluation.paired`). Only the first k count; a list shorter
than k counts as if wrong ids followed. A user without relevant ids has no figure: NaN. No users give an empty array.

Rank the whole catalogue: figures among sampled candidates order systems otherwise than figures among all do (W.
Krichene and S. Rendle, "On sampled metrics for item recommendation", KDD 2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from shared.errors import UsageError
from shared.evaluation.judging import Judged, Ranked, Truth, divided, judge, judge_gains
from shared.types import AnyArray, Float64, Int64

__all__ = [
    "Judged",
    "Ranked",
    "Truth",
    "auc_score",
    "average_precision_score",
    "f1_score",
    "graded_ndcg_score",
    "hit_score",
    "judge",
    "ndcg_score",
    "precision_score",
    "rank_biased_precision_score",
    "ranking_scores",
    "recall_score",
    "reciprocal_rank_score",
]


def precision_score(truth: Truth, ranked: Ranked, *, k: int) -> Float64:
    """Precision: hits among the first k, divided by k, also where a list is shorter.

    Example:
        >>> precision_score([{"a", "b"}], [["a", "x", "b", "y"]], k=4).tolist()
        [0.5]
    """
    return _precision(judge(truth, ranked, k=k))


def recall_score(truth: Truth, ranked: Ranked, *, k: int) -> Float64:
    """Recall: hits among the first k, divided by the number of relevant ids, so k of many is less than 1.

    Example:
        >>> recall_score([{"a", "b"}], [["a", "x", "y"]], k=3).tolist()
        [0.5]
    """
    return _recall(judge(truth, ranked, k=k))


def f1_score(truth: Truth, ranked: Ranked, *, k: int) -> Float64:
    """F1: the harmonic mean of the user's precision and recall at k, which is 2 hits / (k + relevant).

    The mean of it over users is not the harmonic mean of mean precision and mean recall.

    Example:
        >>> f1_score([{"a", "b"}], [["a", "x", "y", "z"]], k=4).round(4).tolist()  # 2 x 1 / (4 + 2)
        [0.3333]
    """
    return _f1(judge(truth, ranked, k=k))


def hit_score(truth: Truth, ranked: Ranked, *, k: int) -> Float64:
    """Hit rate: 1 where a relevant id is among the first k, else 0.

    Example:
        >>> hit_score([{"a"}, {"b"}], [["x", "a"], ["x", "a"]], k=2).tolist()
        [1.0, 0.0]
    """
    return _hit(judge(truth, ranked, k=k))


def reciprocal_rank_score(truth: Truth, ranked: Ranked, *, k: int) -> Float64:
    """Reciprocal rank: 1 over the place (from 1) of the first hit within k, 0 without one. Its mean is MRR@k.

    E. Voorhees, "The TREC-8 question answering track report" (1999).

    Example:
        >>> reciprocal_rank_score([{"a"}], [["x", "a"]], k=2).tolist()
        [0.5]
    """
    return _reciprocal_rank(judge(truth, ranked, k=k))


def rank_biased_precision_score(truth: Truth, ranked: Ranked, *, k: int, patience: float = 0.85) -> Float64:
    """Rank-biased precision: (1 - patience) times the sum over hits within k of patience ^ (place - 1).

    It is the share of relevant ids among what a person sees who goes on from each place to the next with that
    probability. With few relevant ids its greatest value lies well below 1, and differs from user to user.

    A. Moffat and J. Zobel, "Rank-biased precision for measurement of retrieval effectiveness", ACM TOIS 27 (2008).

    Args:
        truth: the relevant ids of each user.
        ranked: the ranked ids of each user.
        k: how many places count, at least 1.
        patience: the probability of going on, above 0 and below 1.

    Raises:
        UsageError: as :func:`judge`, or the patience lies outside.

    Example:
        >>> rank_biased_precision_score([{"a", "b"}], [["a", "x", "b"]], k=3, patience=0.5).tolist()  # (1 + 1/4) / 2
        [0.625]
    """
    if not 0 < patience < 1:
        raise UsageError(f"patience must lie above 0 and below 1. Got {patience} instead")
    judged = judge(truth, ranked, k=k)
    seen: Float64 = np.power(patience, judged.places, dtype=np.float64)
    return judged.defined((1 - patience) * judged.sum(seen))


def average_precision_score(truth: Truth, ranked: Ranked, *, k: int) -> Float64:
    """Average precision: the sum over the hits within k of the precision at their place, divided by the number of
    relevant ids. Its mean is MAP@k as trec_eval's ``map_cut`` has it; others divide by min(k, relevant).

    C. Buckley and E. Voorhees, "Evaluating evaluation measure stability", SIGIR 2000.

    Example:
        >>> average_precision_score([{"a", "b"}], [["a", "x", "b"]], k=3).tolist()  # (1/1 + 2/3) / 2
        [0.8333333333333333]
    """
    return _average_precision(judge(truth, ranked, k=k))


def ndcg_score(truth: Truth, ranked: Ranked, *, k: int) -> Float64:
    """Normalised discounted cumulative gain: the sum over hits within k of 1 / log2(place + 1), divided by what a
    ranking with min(k, relevant) hits on top would get. The base of the logarithm cancels.

    K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20 (2002).

    Example:
        >>> ndcg_score([{"a"}], [["x", "a"]], k=2).round(4).tolist()  # (1 / log2(3)) / 1
        [0.6309]
    """
    return _ndcg(judge(truth, ranked, k=k))


def graded_ndcg_score(
    gains: Sequence[Mapping[str, float] | Mapping[int, float]] | AnyArray, ranked: Ranked, *, k: int
) -> Float64:
    """:func:`ndcg_score` where some ids are worth more: the sum over the first k of gain / log2(place + 1), divided by
    what the ranking by falling gain would get.

    For the exponential form of C. Burges et al. (ICML 2005) pass 2^grade - 1 as the gain.

    Args:
        gains: for each user the gain of each id that has one, or a ``scipy.sparse.csr_matrix`` of shape (users, ids);
            finite and at least 0.
        ranked: ids from best to worst.
        k: how many places count, at least 1.

    Returns:
        Shape (n,); NaN for a user without a gain above 0.

    Raises:
        UsageError: as :func:`judge`, or a gain is negative or not finite.

    Example:
        >>> graded_ndcg_score([{"a": 3, "b": 1}], [["b", "a"]], k=2).round(4).tolist()
        [0.7967]
    """
    users, places, found, (sizes, flat) = judge_gains(gains, ranked, k=k)
    n = len(sizes)
    gained = np.bincount(users, found / np.log2(places + 2), n)
    owners = np.repeat(np.arange(n), sizes)
    order = np.lexsort((-flat, owners))
    place = np.arange(len(flat)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    best = np.where(place < k, flat[order] / np.log2(place + 2), 0.0)
    ideal = np.bincount(owners, best, n)
    return divided(gained, ideal)


def auc_score(truth: Truth, ranked: Ranked, *, items: int | Int64 | None = None) -> Float64:
    """Area under the ROC curve of each user: the share of (relevant, other) pairs of candidates in which the relevant
    one stands first.

    It is meant for whole rankings. Candidates that a list leaves out stand behind it all and tie with each other, and
    a tie counts half (J. Hanley and B. McNeil, Radiology 143, 1982). Seen items that were not ranked are no candidates.

    Args:
        truth: the relevant ids of each user; all are candidates.
        ranked: the ranked ids of each user, whole lists.
        items: how many candidates each user had, one number or shape (n,); ``None`` takes those that are ranked or
            relevant, so that relevant ones that are not ranked stand behind everything.

    Returns:
        Shape (n,); NaN for users without relevant candidates or without others.

    Raises:
        UsageError: as :func:`judge`, or there are more ranked or relevant ids than candidates.

    Example:
        >>> auc_score([{"a", "d"}], [["a", "b", "c", "d"]], items=4).tolist()  # a beats b and c, d beats none
        [0.5]
    """
    k = max(1, ranked.shape[1] if isinstance(ranked, np.ndarray) else max(map(len, ranked), default=1))
    judged = judge(truth, ranked, k=k)
    found = judged.count
    there = judged.listed + judged.relevant - found
    others = (there if items is None else np.asarray(items, np.int64)) - judged.relevant
    left = judged.relevant - found
    others_left = others - (judged.listed - found)
    if (others < 0).any() or (others_left < 0).any():
        raise UsageError("items must count every candidate of a user. Got fewer than were ranked or are relevant")
    ahead = judged.places - judged.ordinals + 1  # others that stand before each hit
    won = found * others - judged.sum(ahead.astype(np.float64)) + left * others_left / 2
    pairs = judged.relevant * others
    return divided(won, pairs)


def ranking_scores(
    truth: Truth, ranked: Ranked, *, k: int | None = None, ks: Iterable[int] | None = None
) -> dict[str, Float64]:
    """All of them with one search for hits, by name: ``ndcg@k precision@k recall@k map@k mrr@k hit@k f1@k``.

    Args:
        truth: the relevant ids of each user.
        ranked: the ranked ids of each user.
        k: how many places count, at least 1.
        ks: several such numbers instead; the figures come in their order.

    Raises:
        UsageError: as :func:`judge`, or not exactly one of ``k`` and ``ks`` is given.

    Example:
        >>> found = ranking_scores([{"a"}], [["x", "a"]], ks=(1, 2))
        >>> found["hit@1"].tolist(), found["hit@2"].tolist()
        ([0.0], [1.0])
    """
    if (k is None) == (ks is None):
        raise UsageError("give either k or ks, and not both")
    cuts = tuple(dict.fromkeys(ks)) if ks is not None else (int(k or 0),)
    if not cuts or min(cuts) < 1:
        raise UsageError(f"k must be at least 1. Got {min(cuts, default='none of them')} instead")
    judged = judge(truth, ranked, k=max(cuts))
    parts = {cut: judged.cut(cut) for cut in cuts}
    return {f"{name}@{cut}": function(part) for cut, part in parts.items() for name, function in _ALL.items()}


def _precision(judged: Judged) -> Float64:
    return judged.defined(judged.count / judged.k)


def _recall(judged: Judged) -> Float64:
    return judged.defined(judged.count / np.maximum(judged.relevant, 1))


def _f1(judged: Judged) -> Float64:
    return judged.defined(2 * judged.count / (judged.k + judged.relevant))


def _hit(judged: Judged) -> Float64:
    return judged.defined((judged.count > 0).astype(np.float64))


def _reciprocal_rank(judged: Judged) -> Float64:
    scores = np.zeros(len(judged.relevant))
    first = judged.ordinals == 1
    scores[judged.users[first]] = 1 / (judged.places[first] + 1)
    return judged.defined(scores)


def _average_precision(judged: Judged) -> Float64:
    return judged.defined(judged.sum(judged.ordinals / (judged.places + 1)) / np.maximum(judged.relevant, 1))


def _ndcg(judged: Judged) -> Float64:
    discount = 1 / np.log2(np.arange(2, judged.k + 2))
    ideal = np.cumsum(discount)[np.clip(judged.relevant, 1, judged.k) - 1]
    return judged.defined(judged.sum(discount[judged.places]) / ideal)


_ALL = {
    "ndcg": _ndcg,
    "precision": _precision,
    "recall": _recall,
    "map": _average_precision,
    "mrr": _reciprocal_rank,
    "hit": _hit,
    "f1": _f1,
}
