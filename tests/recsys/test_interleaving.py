from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from recsys.interleaving import METHODS, Interleaved, Method, assignment_rng, credit, interleave, prefer
from shared.errors import UsageError
from shared.types import Result

GOOD, POOR = list("abcdefgh"), list("hgfedcba")


def shown(method: Method, seed: int = 0, k: int = 6, first: Any = GOOD, second: Any = POOR) -> Interleaved:
    return interleave(first, second, k, method=method, rng=np.random.default_rng(seed))


def judged(method: Method, first: Any, second: Any, chances: dict[str, float], lists: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    credits = []
    for _ in range(lists):
        one = interleave(first, second, 6, method=method, rng=rng)
        credits.append(credit(one, [item for item in one.items if rng.random() < chances[str(item)]]))
    return np.array(credits)


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_each_item_once_and_the_seed_decides(self, method: Method) -> None:
        one = shown(method, seed=3)
        assert len(set(one.items)) == 6
        assert one == shown(method, seed=3)
        assert len({shown(method, seed=seed).items for seed in range(20)}) > 5

    def test_short_lists_are_used_up(self, method: Method) -> None:
        assert sorted(shown(method, first=["a", "b"], second=["b", "c"], k=9).items) == ["a", "b", "c"]
        assert shown(method, first=[], second=["b"], k=9).items == ("b",)
        assert shown(method, first=[], second=["b"], k=9).first.tolist() == [0.0]
        assert shown(method, first=[], second=[]).items == ()

    def test_the_better_system_wins(self, method: Method) -> None:
        chances = {item: 0.6 - 0.07 * place for place, item in enumerate(GOOD)}
        for first, second, winner in ((GOOD, POOR, "first"), (POOR, GOOD, "second")):
            found = prefer(judged(method, first, second, chances, 400), rng=np.random.default_rng(1))
            assert found.winner == winner
            assert max(found.p_value, found.sign_p_value) < 0.01

    def test_clicks_at_random_prefer_nobody(self, method: Method) -> None:
        credits = judged(method, GOOD, POOR, dict.fromkeys(GOOD, 0.4), 1500)
        assert abs(credits.mean()) < 4 * credits.std() / np.sqrt(len(credits))

    def test_a_system_is_no_better_than_itself(self, method: Method) -> None:
        chances = {item: 0.6 - 0.07 * place for place, item in enumerate(GOOD)}
        credits = judged(method, GOOD, GOOD, chances, 600)
        assert abs(credits.mean()) <= 4 * credits.std() / np.sqrt(len(credits))

    def test_it_survives_json(self, method: Method) -> None:
        assert Result.from_json(shown(method).to_json()) == shown(method)


def test_team_draft_gives_each_the_same_number() -> None:
    for seed in range(30):
        assert shown("team-draft", seed=seed).first.sum() == 3
        assert shown("team-draft", seed=seed).items[0] in "ah"
    firsts = [shown("team-draft", seed=seed).first[0] for seed in range(200)]
    assert 70 < sum(firsts) < 130


def test_probabilistic_chances_follow_bayes() -> None:
    """The chance that the first system drew an item, by the ranks' own laws over the items that are left."""
    one = shown("probabilistic", seed=4, k=4, first=list("abcd"), second=list("dcba"))
    left = list("abcd")
    for item, chance in zip(one.items, one.first):
        laws = []
        for ids in ("abcd", "dcba"):
            masses = {other: (ids.index(other) + 1) ** -3.0 for other in left}
            laws.append(masses[str(item)] / sum(masses.values()))
        assert chance == pytest.approx(laws[0] / sum(laws))
        left.remove(str(item))


def test_the_laws_are_those_of_the_ranks() -> None:
    drawn = [shown("probabilistic", seed=s, k=1, first=list("ab"), second=list("ab")).items[0] for s in range(800)]
    assert drawn.count("a") / 800 == pytest.approx(8 / 9, abs=0.04)


def test_credit_is_the_mean_over_all_assignments() -> None:
    one = Interleaved(tuple("abcd"), np.array([0.9, 0.3, 0.6, 0.5]), "probabilistic")
    for clicks in itertools.chain.from_iterable(itertools.combinations(range(4), size) for size in range(5)):
        wanted = 0.0
        for owners in itertools.product((1, 0), repeat=4):
            chance = np.prod([p if owner else 1 - p for owner, p in zip(owners, one.first)])
            wanted += chance * np.sign(sum(2 * owners[place] - 1 for place in clicks))
        assert credit(one, [one.items[place] for place in clicks]) == pytest.approx(wanted)


def test_lists_of_one_person_count_once() -> None:
    found = prefer(np.array([1, 1, 1, -1]), users=["ann", "ann", "ann", "bob"], rng=np.random.default_rng(0))
    assert (found.n, found.preference.value, found.wins, found.losses, found.winner) == (2, 0.0, 1, 1, "undecided")


def test_assignments_depend_on_all_keys() -> None:
    def drawn(*keys: Any) -> int:
        return int(assignment_rng(*keys).integers(0, 2**40))

    assert drawn(1, "ann") == drawn(1, "ann")
    assert len({drawn(1, "ann"), drawn(2, "ann"), drawn(1, "bob"), drawn(1, "ann", 1), drawn(1, "ann", "1")}) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first": ["a", "a"]}, "a list of ids, each once"),
        ({"second": "abc"}, "a list of ids, each once"),
        ({"k": 0}, "k must be a whole number"),
        ({"method": "balanced"}, "method must be one of team-draft, probabilistic. Got 'balanced'"),
        ({"method": "probabilistic", "power": 0}, "power must be above 0"),
    ],
)
def test_wrong_arguments_say_so(options: dict[str, Any], message: str) -> None:
    given = {"first": GOOD, "second": POOR, "rng": np.random.default_rng(0)} | options
    with pytest.raises(UsageError, match=message):
        interleave(**given)


def test_wrong_clicks_and_credits_say_so() -> None:
    with pytest.raises(UsageError, match=r"clicks must be on what was shown. Got \['z'\]"):
        credit(shown("team-draft"), ["z"])
    for credits, users, message in (
        (np.array([2.0]), None, "credits must be"),
        (np.zeros(2), ["a"], "who saw each list"),
    ):
        with pytest.raises(UsageError, match=message):
            prefer(credits, users=users, rng=np.random.default_rng(0))
    with pytest.raises(UsageError, match="whose each item is"):
        Interleaved(("a",), np.zeros(2))
