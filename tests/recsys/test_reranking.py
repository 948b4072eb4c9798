from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.reranking import apply_rules, boost_novelty, diversify, prefer_fresh
from recsys.types import Recommendations
from shared.errors import UsageError


def answer(items: str = "abcde", scores: list[float] | None = None, titles: bool = False) -> Recommendations:
    values = np.array(scores or list(range(len(items), 0, -1)), dtype=np.float32)
    return Recommendations("ann", tuple(items), "personal", values, tuple(items.upper()) if titles else ())


def one_hot(kinds: str) -> np.ndarray:
    return np.array([[kind == letter for letter in "xyz"] for kind in kinds], dtype=np.float32)


@pytest.mark.parametrize(
    ("relevance", "chosen"),
    [(1.0, "abcd"), (0.5, "adeb"), (0.0, "adeb")],  # kinds: a b c are x, d is y, e is z
)
def test_mmr_spreads_over_kinds(relevance: float, chosen: str) -> None:
    found = diversify(answer(titles=True), vectors=one_hot("xxxyz"), k=4, relevance=relevance)
    assert "".join(map(str, found.items)) == chosen
    assert found.titles == tuple(chosen.upper())
    assert found.reason == f"personal: diversified, relevance {relevance:g}"


def test_mmr_is_the_greedy_sum_of_its_paper() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 4)).astype(np.float32)
    scores = np.sort(rng.random(12).astype(np.float32))[::-1].copy()
    found = diversify(Recommendations(None, tuple(range(12)), "fold-in", scores), vectors=vectors, k=6, relevance=0.4)
    gain = (scores - scores.min()) / (scores.max() - scores.min())
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = [0]
    while len(chosen) < 6:
        rest = [at for at in range(12) if at not in chosen]
        chosen.append(max(rest, key=lambda at: 0.4 * gain[at] - 0.6 * max(unit[at] @ unit[one] for one in chosen)))
    assert list(found.items) == chosen


def test_novelty_lifts_what_few_have() -> None:
    counts = {"a": 64, "b": 64, "c": 1, "d": 64}
    assert boost_novelty(answer("abcd"), popularity=counts, users=64, k=4, weight=0).items == tuple("abcd")
    found = boost_novelty(answer("abcd"), popularity=counts, users=64, k=2, weight=0.6)
    assert found.items == ("c", "a")
    np.testing.assert_allclose(found.scores, [0.4 * 1 / 3 + 0.6, 0.4], rtol=1e-6)


def test_fresh_items_halve_with_age() -> None:
    found = prefer_fresh(answer("abc", [3, 3, 3]), times={"a": 0, "b": 20, "c": 99}, now=20, half_life=10, k=3)
    assert found.items == ("b", "c", "a")
    assert found.scores.tolist() == [1, 1, 0.25]
    unknown = prefer_fresh(answer("ab", [3, 3]), times={"b": 20}, now=20, half_life=10, k=2, weight=0.5)
    assert unknown.items == ("b", "a")
    assert unknown.scores.tolist() == [1, 0.5]


GROUPS = {"a": "x", "b": "x", "c": "x", "d": "y", "e": "z"}


@pytest.mark.parametrize(
    ("rules", "chosen"),
    [
        ({}, "abc"),
        ({"must_not": ["a", "c"]}, "bde"),
        ({"must": {"e": 1}}, "eab"),
        ({"must": {"q": 3}}, "abq"),
        ({"at_most": {"x": 1}}, "ade"),
        ({"at_least": {"z": 1}}, "abe"),
        ({"at_least": {"z": 1, "y": 1}}, "ade"),
        ({"at_most": {"x": 0, "y": 0}}, "e"),
        ({"must": {"c": 2}, "at_most": {"x": 1}}, "dce"),
    ],
)
def test_rules(rules: dict[str, Any], chosen: str) -> None:
    found = apply_rules(answer(titles=True), k=3, groups=GROUPS, **rules)
    assert "".join(map(str, found.items)) == chosen
    assert found.reason == "personal: rules applied"
    assert found.titles == tuple(item.upper() if item != "q" else "" for item in chosen)


def test_a_lifted_item_has_the_score_of_the_best_below() -> None:
    assert apply_rules(answer(), k=3, must={"e": 1}).scores.tolist() == [5, 5, 4]


def test_a_quota_that_cannot_be_met_is_said() -> None:
    found = apply_rules(answer(), k=4, groups=GROUPS, at_least={"y": 2})
    assert found.items == tuple("abcd")
    assert found.reason == "personal: rules applied, too few of y: 1 of at least 2"


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.sampled_from("xyz"), min_size=1, max_size=6),
    most=st.dictionaries(st.sampled_from("xyz"), st.integers(1, 3)),
    least=st.dictionaries(st.sampled_from("xyz"), st.integers(0, 1)),
)
def test_quotas_give_the_first_ranking_that_keeps_them(
    kinds: list[str], most: dict[str, int], least: dict[str, int]
) -> None:
    k = 3
    groups = dict(enumerate(kinds))
    whole = Recommendations(None, tuple(range(len(kinds))), "fold-in", -np.arange(len(kinds), dtype=np.float32))
    found = apply_rules(whole, k=k, groups=groups, at_most=most, at_least=least)
    wanted = {kind: min(count, kinds.count(kind)) for kind, count in least.items()}

    def keeps(items: tuple[int, ...]) -> bool:
        counts = Counter(groups[item] for item in items)
        return all(counts[g] <= n for g, n in most.items()) and all(counts[g] >= n for g, n in wanted.items())

    longest = max(
        size for size in range(k + 1) if any(keeps(one) for one in itertools.combinations(range(len(kinds)), size))
    )
    best = next(one for one in itertools.combinations(range(len(kinds)), longest) if keeps(one))
    assert set(found.items) == set(best)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"must": {"a": 1}, "must_not": ["a"]}, "cannot be one that must and one that must not"),
        ({"must": {"a": 4}}, r"must differ and lie in 1\.\.3"),
        ({"must": {"a": 1, "b": 1}}, "must differ"),
        ({"must": {"a": 1}, "at_most": {"x": 0}}, "at most 0 of group 'x' contradicts"),
        ({"at_least": {"x": 2}, "at_most": {"x": 1}}, "at most 1 of group 'x' contradicts"),
        ({"at_least": {"x": 2, "y": 2}}, "at_least asks for 4 items"),
        ({"at_most": {"x": -1}}, "counts of at least 0"),
    ],
)
def test_rules_that_contradict_each_other(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        apply_rules(answer(), k=3, groups=GROUPS, **rules)


def test_wrong_arguments() -> None:
    with pytest.raises(UsageError, match=r"relevance must lie in 0\.\.1"):
        diversify(answer(), vectors=one_hot("xxxyz"), k=2, relevance=2)
    with pytest.raises(UsageError, match="a row for each of the 5 items"):
        diversify(answer(), vectors=one_hot("xx"), k=2)
    with pytest.raises(UsageError, match="half_life must be above 0"):
        prefer_fresh(answer(), times={}, now=0, half_life=0, k=2)
    with pytest.raises(UsageError, match="users must be at least 1"):
        boost_novelty(answer(), popularity={}, users=0, k=2)
    with pytest.raises(UsageError, match="k must be"):
        apply_rules(answer(), k=0)


def test_an_empty_answer_stays_empty() -> None:
    empty = Recommendations("ann", (), "personal: no item is left", np.zeros(0, dtype=np.float32))
    assert diversify(empty, vectors=np.zeros((0, 2), dtype=np.float32), k=3).items == ()
    assert boost_novelty(empty, popularity={}, users=1, k=3).items == ()
    assert prefer_fresh(empty, times={}, now=0, half_life=1, k=3).items == ()
    assert apply_rules(empty, k=3).reason == "personal: no item is left; rules applied"
