"""Parts of items: what they hold, and that no group and no time leaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import DataError, UsageError
from shared.evaluation.splits import Parts, folds, forward_folds, split, split_by_time

EMPTY = np.zeros(0, np.int64)


def rows(*at: int) -> np.ndarray:
    return np.array(at, np.int64)


def test_three_parts_hold_every_item_once_and_reach_their_sizes() -> None:
    parts = split(100, train=0.7, validation=0.2, rng=np.random.default_rng(0))
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [70, 20, 10]
    assert sorted([*parts.train, *parts.validation, *parts.test]) == list(range(100))
    assert split(10, train=0.8, validation=0, rng=np.random.default_rng(0)).validation.size == 0


def test_strata_are_spread() -> None:
    kinds = np.repeat(["often", "seldom"], [90, 10])
    parts = split(100, train=0.6, validation=0.2, strata=kinds, rng=np.random.default_rng(0))
    assert [(kinds[part] == "seldom").sum() for part in (parts.train, parts.validation, parts.test)] == [6, 2, 2]


def test_groups_and_strata_and_sizes_hold_together() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(200), rng.integers(1, 20, 200))
    kinds = rng.random(200)[groups] < 0.1  # a rare class, the same in all of a group
    parts = split(len(groups), train=0.7, validation=0.15, groups=groups, strata=kinds, rng=rng)
    for part, share in ((parts.train, 0.7), (parts.validation, 0.15), (parts.test, 0.15)):
        assert len(part) / len(groups) == pytest.approx(share, abs=0.01)
        assert kinds[part].sum() / kinds.sum() == pytest.approx(share, abs=0.03)
    owners = [set(groups[part]) for part in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 200


@pytest.mark.parametrize("seed", [2, 3])
def test_a_rare_stratum_is_spread_over_groups_as_well_as_the_common_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(60), rng.integers(1, 20, 60))
    kinds = rng.random(len(groups)) < 0.03 * (1 + rng.integers(0, 3, 60))[groups]
    parts = split(len(groups), train=0.7, validation=0.15, groups=groups, strata=kinds, rng=rng)
    shares = [kinds[part].sum() / kinds.sum() for part in (parts.train, parts.validation, parts.test)]
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.03)


def test_one_huge_group_goes_to_train() -> None:
    groups = np.array([0] * 70 + list(range(1, 31)))
    parts = split(100, train=0.7, validation=0.15, groups=groups, rng=np.random.default_rng(0))
    assert parts.train.tolist() == list(range(70))
    assert (len(parts.validation), len(parts.test)) == (15, 15)


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("layered", [True, False])
def test_folds_test_each_item_once(grouped: bool, layered: bool) -> None:
    groups = np.arange(60) // 3 if grouped else None
    kinds = np.arange(60) // 6 % 2 if layered else None
    found = folds(60, count=4, groups=groups, strata=kinds, rng=np.random.default_rng(0))
    assert sorted(np.concatenate([part.test for part in found])) == list(range(60))
    for part in found:
        assert sorted([*part.train, *part.test]) == list(range(60))
        assert 12 <= len(part.test) <= 18
        if groups is not None:
            assert not set(groups[part.train]) & set(groups[part.test])
        if kinds is not None:
            assert kinds[part.test].mean() == pytest.approx(0.5, abs=0.15)


def test_draws_come_from_the_generator() -> None:
    one, same, other = (
        folds(50, groups=np.arange(50) // 2, rng=np.random.default_rng(seed))[0].test.tolist() for seed in (0, 0, 1)
    )
    assert one == same != other


def test_a_rare_stratum_does_not_stop_folds() -> None:
    assert len(folds(20, count=5, strata=["rare"] + ["often"] * 19, rng=np.random.default_rng(0))) == 5


@given(st.lists(st.integers(0, 12), min_size=8, max_size=40), st.integers(0, 3), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_forward_folds_never_learn_from_what_came_later(times: list[int], gap: int, count: int) -> None:
    clock = np.array(times)
    try:
        found = forward_folds(clock, count=count, gap=gap)
    except DataError:
        return
    tested = np.concatenate([part.test for part in found])
    assert len(np.unique(tested)) == len(tested)
    for part in found:
        assert clock[part.test].min() - clock[part.train].max() > gap
        begin = clock[part.test].min()
        assert part.train.tolist() == np.flatnonzero(clock < begin - gap).tolist()


def test_gap_and_window_bound_what_is_learnt_from() -> None:
    found = forward_folds(np.arange(12), count=3, gap=1, window=4)
    assert [(part.train.tolist(), part.test.tolist()) for part in found] == [
        ([0, 1], [3, 4, 5]),
        ([2, 3, 4], [6, 7, 8]),
        ([5, 6, 7], [9, 10, 11]),
    ]


@pytest.mark.parametrize(("yields", "train", "test"), [("earlier", [0, 2], [3, 4, 5]), ("later", [0, 1, 2], [3, 5])])
def test_groups_on_both_sides_of_a_moment_are_given_up_by_one(yields: str, train: list[int], test: list[int]) -> None:
    groups = ["a", "b", "c", "d", "b", "e"]
    part = forward_folds(np.arange(6), count=1, groups=groups, yields=yields)[0]  # type: ignore[arg-type]
    assert (part.train.tolist(), part.test.tolist()) == (train, test)


def test_a_group_in_all_of_three_parts_stays_in_the_last_or_the_first() -> None:
    groups = ["a", "b", "c", "b", "d", "b"]
    early = split_by_time(np.arange(6), train=0.34, validation=0.33, groups=groups)
    assert [part.tolist() for part in (early.train, early.validation, early.test)] == [[0], [2], [4, 5]]
    late = split_by_time(np.arange(6), train=0.34, validation=0.33, groups=groups, yields="later")
    assert [part.tolist() for part in (late.train, late.validation, late.test)] == [[0, 1], [2], [4]]


def test_equal_times_stay_together_and_dates_are_times() -> None:
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-05"], "datetime64[D]")
    parts = split_by_time(days, train=0.5, validation=0)
    assert (parts.train.tolist(), parts.test.tolist()) == ([0], [1, 2, 3])
    parts = split_by_time(days, train=0.75, validation=0, gap=np.timedelta64(3, "D"))
    assert (parts.train.tolist(), parts.test.tolist()) == ([0], [3])


@pytest.mark.parametrize(
    ("parts", "options", "match"),
    [
        ((rows(0, 1), EMPTY, rows(1)), {}, "share no item"),
        ((rows(0), rows(1), rows(2)), {"groups": np.array(["a", "b", "b"])}, "validation and test must share no group"),
        ((rows(0), EMPTY, rows(1)), {"times": np.array([1, 2]), "gap": 1}, "more than 1 later"),
    ],
)
def test_leaks_are_refused_at_birth(parts: tuple[np.ndarray, ...], options: dict[str, np.ndarray], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Parts(*parts, **options)  # type: ignore[arg-type]


def test_empty_parts_are_said() -> None:
    with pytest.raises(DataError, match="test must have items"):
        Parts(rows(0), EMPTY, EMPTY)
    with pytest.raises(DataError, match="train must have items"):
        split_by_time(np.arange(10), train=0.2, validation=0, gap=5)
    with pytest.raises(DataError, match="a share of 0.1 of 4"):
        split(4, train=0.5, rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="validation must have items"):
        split_by_time(np.arange(10), train=0.5, validation=0.1, gap=1)
    with pytest.raises(DataError, match="test must have items"):
        split(4, groups=["a", "a", "a", "b"], rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="ask for fewer folds"):
        forward_folds(np.zeros(5), count=2)
    with pytest.raises(DataError, match="strata cannot be spread"):
        split(10, strata=["a"] * 9 + ["b"], rng=np.random.default_rng(0))


def test_arguments_out_of_range_are_said() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match="leave a share for test"):
        split(10, train=0.8, validation=0.2, rng=rng)
    with pytest.raises(UsageError, match="groups must have one value for each of 10 items"):
        split(10, groups=["a"], rng=rng)
    with pytest.raises(UsageError, match="from 2 to the number of groups, 2"):
        folds(4, count=3, groups=["a", "a", "b", "b"], rng=rng)
    with pytest.raises(UsageError, match="none missing"):
        forward_folds(np.array([1.0, np.nan]))
    with pytest.raises(UsageError, match="gap must be 0 or more"):
        split_by_time(np.arange(5), gap=-1)
    with pytest.raises(UsageError, match="yields must be"):
        split_by_time(np.arange(20), yields="train")  # type: ignore[arg-type]
