"""What may still change after scoring: diversity, novelty, freshness, and the rules of a business.

Each function takes one answer with more items than will be shown (ask a recommender for 50 or 100) and returns one of
at most ``k``, whose reason says what was done. All are greedy and deterministic: among equals the item that stood
higher stays higher. Scores of an answer are on a model's own scale, so where they are mixed with something else they
are first stretched to 0..1 over the items of the answer (1 where all are equal).

Functions chain: what is done last has the last word, so rules come last.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np

from recsys.ranking import check_k
from recsys.types import Recommendations, extend_reason
from shared.errors import UsageError
from shared.types import Float32, Float64, Id, Int64


def diversify(answer: Recommendations, *, vectors: Float32, k: int, relevance: float = 0.7) -> Recommendations:
    """Maximal marginal relevance: each place goes to the item with the highest
    ``relevance * score - (1 - relevance) * (greatest cosine to an item chosen before)``.

    J. Carbonell and J. Goldstein, "The use of MMR, diversity-based reranking", SIGIR 1998. Time is n k d for n items
    of d features, memory n.

    Args:
        answer: what a recommender said, n items.
        vectors: shape (n, d), finite, a row for each item of the answer in its order; of any length, for they are
            scaled to 1. A row of zeros is like nothing.
        k: how many items to keep, at least 1.
        relevance: 1 changes nothing, 0 looks at difference alone, in 0..1.

    Returns:
        At most ``k`` items; their scores are the sums above, which never rise.

    Raises:
        UsageError: an argument is wrong.

    Example:
        >>> songs = Recommendations(None, ("a", "b", "c"), "fold-in", np.array([3, 2.9, 1], dtype=np.float32))
        >>> alike = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
        >>> diversify(songs, vectors=alike, k=2, relevance=0.5).items
        ('a', 'c')
    """
    check_k(k)
    _check_share("relevance", relevance)
    n = len(answer.items)
    if vectors.ndim != 2 or len(vectors) != n or not np.isfinite(vectors).all():
        raise UsageError(
            f"vectors must be a finite array with a row for each of the {n} items. Got shape {vectors.shape} instead"
        )
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)
    gain = relevance * _stretched(answer.scores)
    nearest = np.full(n, -np.inf)
    left = np.ones(n, dtype=np.bool_)
    chosen: list[int] = []
    worth: list[float] = []
    for _ in range(min(k, n)):
        penalty = nearest if chosen else np.zeros(n)
        value = np.where(left, gain - (1 - relevance) * penalty, -np.inf)
        best = int(np.argmax(value))
        chosen.append(best)
        worth.append(value[best] if len(chosen) > 1 else value[best] + (1 - relevance))
        left[best] = False
        nearest = np.maximum(nearest, unit @ unit[best])
    return _kept(answer, np.array(chosen, dtype=np.int64), np.array(worth), f"diversified, relevance {relevance:g}")


def boost_novelty(
    answer: Recommendations, *, popularity: Mapping[Id, float], users: int, k: int, weight: float = 0.2
) -> Recommendations:
    """Lift what few people know: ``(1 - weight) * score + weight * novelty``, novelty being the self-information
    -log2(share of people who have the item), divided by log2(users) so that it lies in 0..1.

    T. Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 107 (2010).

    Args:
        answer: what a recommender said.
        popularity: how many people have each item; one that is missing counts as had by one person, as does 0.
        users: how many people there are, at least 1.
        k: how many items to keep, at least 1.
        weight: share of novelty in the sum, in 0..1.

    Raises:
        UsageError: an argument is wrong.
    """
    check_k(k)
    _check_share("weight", weight)
    if users < 1:
        raise UsageError(f"users must be at least 1. Got {users} instead")
    counts = np.array([popularity.get(item, 0) for item in answer.items], dtype=np.float64)
    share = np.clip(np.maximum(counts, 1) / users, None, 1)
    novelty = -np.log2(share) / max(1.0, np.log2(users))
    return _sorted(
        answer, (1 - weight) * _stretched(answer.scores) + weight * novelty, k, f"novelty lifted by {weight:g}"
    )


def prefer_fresh(
    answer: Recommendations, *, times: Mapping[Id, float], now: float, half_life: float, k: int, weight: float = 1.0
) -> Recommendations:
    """Let old items fade: ``score * (1 - weight + weight * 2^(-age / half_life))``.

    Args:
        answer: what a recommender said.
        times: when each item came, on the clock of ``now``. One that is missing counts as wholly faded; one from the
            future as new.
        now: the present.
        half_life: the age at which half is left, above 0.
        k: how many items to keep, at least 1.
        weight: how much of the score fades, in 0..1.

    Raises:
        UsageError: an argument is wrong.
    """
    check_k(k)
    _check_share("weight", weight)
    if not half_life > 0:
        raise UsageError(f"half_life must be above 0. Got {half_life} instead")
    age = np.array([now - times[item] if item in times else np.inf for item in answer.items], dtype=np.float64)
    left = np.exp2(-np.maximum(age, 0) / half_life)
    scores = _stretched(answer.scores) * (1 - weight + weight * left)
    return _sorted(answer, scores, k, f"fresh first, half-life {half_life:g}")


def apply_rules(
    answer: Recommendations,
    *,
    k: int,
    must: Mapping[Id, int] | None = None,
    must_not: Collection[Id] = (),
    groups: Mapping[Id, Hashable] | None = None,
    at_most: Mapping[Any, int] | None = None,
    at_least: Mapping[Any, int] | None = None,
) -> Recommendations:
    """Fill ``k`` places by score under rules.

    Items that must be named stand at their place. Every other place, from the first on, goes to the best item that no
    rule forbids; once as many places are left as the groups still lack, only items of those groups are taken. As each
    item has one group, this is the ranking whose first place is best, then its second, and so on. Time is n k for n
    items.

    Args:
        answer: what a recommender said; more than ``k`` items, so that there is a choice.
        k: how many places there are, at least 1.
        must: items that must be named, and at which place from 1; they need not be in the answer.
        must_not: items that may not be named.
        groups: the group of each item (its maker, its genre); an item that is missing has none.
        at_most: for some groups how many of its items may be named.
        at_least: for some groups how many must be named, if the answer has so many; the reason says where it has not.

    Returns:
        At most ``k`` items. An item that was lifted has the score of the best that stands below it.

    Raises:
        UsageError: rules contradict each other, or an argument is wrong.

    Example:
        >>> found = Recommendations(None, ("a", "b", "c"), "fold-in", np.array([3, 2, 1], dtype=np.float32))
        >>> kinds = {"a": "tea", "b": "tea", "c": "rice"}
        >>> apply_rules(found, k=2, groups=kinds, at_most={"tea": 1}).items
        ('a', 'c')
    """
    check_k(k)
    must, groups = dict(must or {}), dict(groups or {})
    most, least = dict(at_most or {}), dict(at_least or {})
    _check_rules(k, must=must, must_not=must_not, groups=groups, most=most, least=least)
    used = Counter(groups[item] for item in must if item in groups)
    banned = {*must_not, *must}
    waiting = [at for at, item in enumerate(answer.items) if item not in banned]
    supply = Counter(groups[answer.items[at]] for at in waiting if answer.items[at] in groups)
    wanted = {group: min(count, used[group] + supply[group]) for group, count in least.items()}
    named = {place - 1: item for item, place in must.items()}
    free = [place for place in range(k) if place not in named]
    placed: dict[int, int] = {}
    for number, place in enumerate(free):
        needy = {group for group, count in wanted.items() if used[group] < count}
        tight = len(free) - number <= sum(wanted[group] - used[group] for group in needy)
        for at in waiting:
            group = groups.get(answer.items[at])
            if used[group] < most.get(group, k) and (group in needy or not tight):
                break
        else:
            break
        waiting.remove(at)
        placed[place] = at
        used[group] += group is not None
    short = [f"{group}: {used[group]} of at least {count}" for group, count in least.items() if used[group] < count]
    return _ruled(answer, named, placed, [f"too few of {', '.join(short)}"] if short else [])


def _ruled(answer: Recommendations, named: dict[int, Id], placed: dict[int, int], facts: list[str]) -> Recommendations:
    own = dict(zip(answer.items, answer.scores.tolist()))
    title = dict(zip(answer.items, answer.titles))
    floor = float(answer.scores[-1]) if len(answer.scores) else 0.0
    items = [named[at] if at in named else answer.items[placed[at]] for at in sorted({*named, *placed})]
    scores = np.array([own.get(item, floor) for item in items], dtype=np.float32)
    scores = np.maximum.accumulate(scores[::-1])[::-1].copy()
    facts = ["rules applied", *facts]
    titles = tuple(title.get(item, "") for item in items) if answer.titles else ()
    reason = extend_reason(answer.reason, ", ".join(facts))
    return dataclasses.replace(answer, items=tuple(items), scores=scores, titles=titles, reason=reason)


def _check_rules(
    k: int,
    *,
    must: Mapping[Id, int],
    must_not: Collection[Id],
    groups: Mapping[Id, Hashable],
    most: Mapping[Any, int],
    least: Mapping[Any, int],
) -> None:
    both = sorted(map(str, set(must) & set(must_not)))
    if both:
        raise UsageError(f"an item cannot be one that must and one that must not be named. Got both for {both[0]!r}")
    places = list(must.values())
    if any(not 1 <= place <= k for place in places) or len(set(places)) < len(places):
        raise UsageError(f"places of items that must be named must differ and lie in 1..{k}. Got {places} instead")
    for name, counts in (("at_most", most), ("at_least", least)):
        if any(count < 0 for count in counts.values()):
            raise UsageError(f"{name} must hold counts of at least 0. Got {dict(counts)} instead")
    named = Counter(groups[item] for item in must if item in groups)
    for group, count in most.items():
        if named[group] > count or least.get(group, 0) > count:
            raise UsageError(
                f"at most {count} of group {group!r} contradicts the other rules, which ask for "
                f"{max(named[group], least.get(group, 0))}. Change one of them"
            )
    lacking = sum(max(0, count - named[group]) for group, count in least.items())
    if lacking > k - len(must):
        raise UsageError(
            f"at_least asks for {lacking} items beside the {len(must)} that must be named. Only {k} places are there: "
            "raise k or ask for fewer"
        )


def _sorted(answer: Recommendations, scores: Float64, k: int, fact: str) -> Recommendations:
    order = np.argsort(-scores, kind="stable")[:k]
    return _kept(answer, order, scores[order], fact)


def _kept(answer: Recommendations, rows: Int64, scores: Float64, fact: str) -> Recommendations:
    return dataclasses.replace(
        answer,
        items=tuple(answer.items[at] for at in rows),
        titles=tuple(answer.titles[at] for at in rows) if answer.titles else (),
        scores=scores.astype(np.float32),
        reason=extend_reason(answer.reason, fact),
    )


def _stretched(scores: Float32) -> Float64:
    """Scores moved and scaled to 0..1; 1 where all are equal."""
    exact = scores.astype(np.float64)
    width = float(np.ptp(exact)) if len(exact) else 0.0
    return (exact - exact.min()) / width if width > 0 else np.ones(len(exact))


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UsageError(f"{name} must lie in 0..1. Got {value} instead")
