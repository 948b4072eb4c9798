from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from shared.errors import UsageError
from shared.evaluation.paired import (
    adjusted_p_values,
    compare_paired,
    group_gap,
    randomisation_p_value,
    sign_p_value,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_figures_by_hand() -> None:
    found = compare_paired([1, 0.5, np.nan, 0.5, 0.2], [0.5, 0.5, 1, 0.1, 0.3], rng=rng())
    assert (found.n, found.left_out, found.wins, found.losses, found.ties) == (4, 1, 2, 1, 1)
    assert found.first == pytest.approx(0.55)
    assert found.second == pytest.approx(0.35)
    assert found.difference.value == pytest.approx(0.2)
    assert found.difference.low <= 0.2 <= found.difference.high
    assert found.sign_p_value == 1.0


def test_swapping_the_systems_turns_the_sign() -> None:
    draws = np.random.default_rng(1)
    one, other = draws.random(50), draws.random(50)
    there, back = compare_paired(one, other, rng=rng()), compare_paired(other, one, rng=rng())
    assert there.difference.value == pytest.approx(-back.difference.value)
    assert there.difference.low == pytest.approx(-back.difference.high)
    assert there.p_value == back.p_value


def test_random_signs_are_all_signs() -> None:
    values = np.array([0.3, -0.1, 0.4, 0.25, 0.2])
    sums = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=5)]
    exact = np.mean([total >= abs(values.sum()) - 1e-12 for total in sums])
    assert randomisation_p_value(values, rng=rng(), resamples=20000) == pytest.approx(exact, abs=0.01)


def test_equal_systems_are_called_different_as_often_as_the_level_says() -> None:
    draws = np.random.default_rng(2)
    values = [randomisation_p_value(draws.normal(size=30), rng=draws, resamples=199) for _ in range(400)]
    assert 0.02 < np.mean(np.array(values) <= 0.05) < 0.085


def test_a_clear_difference_is_found_in_pairs_where_spread_hides_it() -> None:
    draws = np.random.default_rng(3)
    hard = draws.random(200)
    found = compare_paired(hard + 0.02 + draws.normal(size=200) / 100, hard, rng=rng())
    assert found.difference.low > 0
    assert found.p_value == pytest.approx(1 / 1001)
    assert found.sign_p_value < 1e-6


@pytest.mark.parametrize(("wins", "losses"), [(8, 2), (5, 5), (0, 7), (0, 0), (3, 40)])
def test_sign_test_is_scipy_s(wins: int, losses: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    wanted = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert sign_p_value(wins, losses) == pytest.approx(wanted)


def test_holm_by_hand() -> None:
    found = adjusted_p_values({"a": 0.03, "b": 0.01, "c": 0.04, "d": 0.9})
    assert found == pytest.approx({"a": 0.09, "b": 0.04, "c": 0.09, "d": 0.9})
    assert list(found) == ["a", "b", "c", "d"]
    assert adjusted_p_values({}) == {}


def test_the_gap_is_between_the_best_and_the_worst_served() -> None:
    values = np.array([1.0, 0.8, 0.5, 0.5, 0.1, np.nan])
    found = group_gap(values, ["a", "a", "b", "b", "c", "c"], rng=rng())
    assert (found.best, found.worst, dict(found.sizes)) == ("a", "c", {"a": 2, "b": 2, "c": 1})
    assert found.gap.value == pytest.approx(0.8)
    assert found.gap.low == pytest.approx(0.7)  # 0.8 twice, against 0.1
    assert found.gap.high == pytest.approx(0.9)
    assert found.groups["b"].value == 0.5
    assert group_gap(values, np.array([1, 1, 2, 2, 3, 3]), rng=rng()).best == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare_paired([1.0], [1.0, 2.0], rng=rng()), r"one figure an item, shape \(n,\)"),
        (lambda: compare_paired([np.nan], [1.0], rng=rng()), "at least one item must have a figure of both"),
        (lambda: sign_p_value(-1, 2), "at least 0. Got -1 and 2"),
        (lambda: group_gap([1.0, 2.0], ["a"], rng=rng()), "one length"),
        (lambda: group_gap([1.0, np.nan], ["a", "b"], rng=rng()), "at least two groups with a figure. Got 1"),
    ],
)
def test_wrong_arguments_say_so(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()
