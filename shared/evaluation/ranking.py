"""Figures of rankings: the items that count and the items that were ranked in, one number a user out.

Relevance is binary. Each function takes, for n users, ``truth`` (the relevant ids of each) and ``ranked`` (ids from
best to worst), and returns a float64 array of shape (n,): a mean is the caller's to take, and so is an interval or a
paired test. Only the first k count; a list shorter than k counts as if wrong ids followed. A user without relevant
ids has no figure: NaN. No users give an empty array.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Bool, Float64, Int64

Truth: TypeAlias = Sequence[Collection[str] | Collection[int] | AnyArray]
"""For each user the relevant ids, each once, in any order."""
Ranked: TypeAlias = Sequence[Sequence[str] | Sequence[int] | AnyArray] | AnyArray
"""For each user ids from best to worst, each once. In an integer array of shape (n, m) negative entries fill up."""


@dataclass(frozen=True)
class Judged:
    """Which places hold a relevant id.

    Attributes:
        hits: shape (n, k).
        relevant: shape (n,), how many relevant ids each user has.
    """

    hits: Bool
    relevant: Int64

    @property
    def k(self) -> int:
        """How many places count."""
        return int(self.hits.shape[1])

    def defined(self, scores: Float64) -> Float64:
        """The scores, with NaN for users without relevant ids."""
        return np.where(self.relevant > 0, scores, np.nan)


def judge(truth: Truth, ranked: Ranked, *, k: int) -> Judged:
    """Find the hits.

    Args:
        truth: the relevant ids of each user.
        ranked: the ranked ids of each user.
        k: how many places count, at least 1.

    Raises:
        UsageError: the lengths differ, an id repeats within a user, or ``k`` is below 1.
    """
    if k < 1:
        raise UsageError(f"k must be at least 1. Got {k} instead")
    if len(truth) != len(ranked):
        raise UsageError(f"truth and ranking must have one length. Got {len(truth)} and {len(ranked)} instead")
    n = len(truth)
    relevant, true_rows, true_ids = _flatten([np.asarray(list(ids)) for ids in truth])
    padded = isinstance(ranked, np.ndarray) and ranked.ndim == 2 and np.issubdtype(ranked.dtype, np.integer)
    lists = [np.asarray(ids)[:k] for ids in ranked]
    given, rows, ids = _flatten(lists)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(given) - given, given)
    if padded:
        kept = ids >= 0
        rows, ids, places = rows[kept], ids[kept], places[kept]
    if len(ids) and len(true_ids) and ids.dtype.kind != true_ids.dtype.kind:
        raise UsageError(f"truth and ranking must hold ids of one type. Got {true_ids.dtype} and {ids.dtype} instead")
    if not len(ids) or not len(true_ids):
        return Judged(np.zeros((n, k), dtype=np.bool_), relevant)
    known, codes = np.unique(np.concatenate([true_ids, ids]), return_inverse=True)
    true_keys = true_rows * len(known) + codes[: len(true_ids)]
    keys = rows * len(known) + codes[len(true_ids) :]
    for name, found in (("truth", true_keys), ("ranking", keys)):
        if len(np.unique(found)) < len(found):
            raise UsageError(f"an id must come once in a user's {name}. Got one that repeats")
    hits = np.zeros((n, k), dtype=np.bool_)
    hits[rows, places] = np.isin(keys, true_keys)
    return Judged(hits, relevant)


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


def ranking_scores(truth: Truth, ranked: Ranked, *, k: int) -> dict[str, Float64]:
    """All of them with one search for hits: ``ndcg@k precision@k recall@k map@k mrr@k hit@k`` by name."""
    judged = judge(truth, ranked, k=k)
    return {f"{name}@{k}": function(judged) for name, function in _ALL.items()}


def _precision(judged: Judged) -> Float64:
    return judged.defined(judged.hits.sum(axis=1) / judged.k)


def _recall(judged: Judged) -> Float64:
    return judged.defined(judged.hits.sum(axis=1) / np.maximum(judged.relevant, 1))


def _hit(judged: Judged) -> Float64:
    return judged.defined(np.asarray(judged.hits.any(axis=1), dtype=np.float64))


def _reciprocal_rank(judged: Judged) -> Float64:
    return judged.defined((judged.hits / np.arange(1, judged.k + 1)).max(axis=1))


def _average_precision(judged: Judged) -> Float64:
    at_place = np.cumsum(judged.hits, axis=1) / np.arange(1, judged.k + 1)
    return judged.defined((at_place * judged.hits).sum(axis=1) / np.maximum(judged.relevant, 1))


def _ndcg(judged: Judged) -> Float64:
    discount = 1 / np.log2(np.arange(2, judged.k + 2))
    ideal: Float64 = np.cumsum(discount)[np.clip(judged.relevant, 1, judged.k) - 1]
    gain: Float64 = (judged.hits * discount).sum(axis=1)
    return judged.defined(gain / ideal)


_ALL = {
    "ndcg": _ndcg,
    "precision": _precision,
    "recall": _recall,
    "map": _average_precision,
    "mrr": _reciprocal_rank,
    "hit": _hit,
}


def _flatten(lists: Sequence[AnyArray]) -> tuple[Int64, Int64, AnyArray]:
    """How long each list is, and for each of all their ids its list and itself."""
    sizes = np.array([len(ids) for ids in lists], dtype=np.int64)
    full = [ids for ids in lists if len(ids)]
    if len({ids.dtype.kind for ids in full}) > 1:
        raise UsageError(f"ids must be all str or all int. Got {sorted({str(ids.dtype) for ids in full})} instead")
    flat = np.concatenate(full) if full else np.zeros(0, dtype=np.int64)
    return sizes, np.repeat(np.arange(len(lists)), sizes), flat
