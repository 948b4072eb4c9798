from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

from recsys.data import Interactions, from_records
from recsys.split import (
    Split,
    folds,
    hold_out_users,
    leave_last_out,
    random,
    stratified,
    temporal,
    temporal_by_user,
    user_folds,
)
from shared.errors import DataError, UsageError

Cut = Callable[[Interactions], Split]
SPLITS: dict[str, Cut] = {
    "random": lambda whole: random(whole, rng=np.random.default_rng(0)),
    "stratified": lambda whole: stratified(whole, rng=np.random.default_rng(0)),
    "stratified by item": lambda whole: stratified(whole, by="item", rng=np.random.default_rng(0)),
    "leave last out": leave_last_out,
    "temporal": temporal,
    "temporal by user": temporal_by_user,
}


def made(n: int = 400, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    pairs = sorted({(int(u), int(i)) for u, i in zip(rng.integers(0, 30, n), rng.integers(0, 40, n))})
    order = rng.permutation(len(pairs))
    return from_records([(*pairs[at], 1.0, int(rng.integers(0, 100))) for at in order])


def keys(part: Interactions) -> set[tuple[int, int]]:
    return set(zip(part.users.tolist(), part.items.tolist()))


@pytest.mark.parametrize("cut", SPLITS.values(), ids=SPLITS)
class TestEverySplit:
    def test_parts_make_the_whole_and_share_nothing(self, cut: Cut) -> None:
        whole = made()
        parts = cut(whole)
        assert keys(parts.train) | keys(parts.test) == keys(whole)
        assert len(parts.train) + len(parts.test) == len(whole)
        assert len(parts.train)
        assert len(parts.test)
        assert parts.train.user_ids is parts.test.user_ids is whole.user_ids

    def test_the_same_seed_gives_the_same_split(self, cut: Cut) -> None:
        assert keys(cut(made()).test) == keys(cut(made()).test)

    def test_rows_stay_in_their_order(self, cut: Cut) -> None:
        whole = made()
        order = {pair: at for at, pair in enumerate(zip(whole.users.tolist(), whole.items.tolist()))}
        part = cut(whole).train
        places = [order[pair] for pair in zip(part.users.tolist(), part.items.tolist())]
        assert places == sorted(places)


def test_random_takes_its_share_and_another_seed_another() -> None:
    whole = made()
    one, other = (random(whole, train=0.6, rng=np.random.default_rng(seed)) for seed in (0, 1))
    assert len(one.train) == round(0.6 * len(whole))
    assert keys(one.test) != keys(other.test)


@pytest.mark.parametrize(("count", "held"), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_stratified_holds_out_the_share_of_each_user(count: int, held: int) -> None:
    whole = from_records([(user, item) for user in "ab" for item in range(count)])
    parts = stratified(whole, train=0.75, rng=np.random.default_rng(0))
    assert np.bincount(parts.test.users, minlength=2).tolist() == [held, held]


def test_stratified_is_the_published_split() -> None:
    """By the published recipe in pandas: sort by user and draw, number each user's rows, keep those up to the share."""
    pandas = pytest.importorskip("pandas")
    whole = made(3000)
    for column, by in (("user", "user"), ("item", "item")):
        frame = pandas.DataFrame({"user": whole.users, "item": whole.items})
        frame["drawn"] = np.random.RandomState(42).rand(len(frame))
        frame = frame.sort_values([column, "drawn"])
        share = (frame.groupby(column).cumcount() + 1) / frame.groupby(column)[column].transform("count")
        theirs = set(zip(frame["user"][share > 0.75], frame["item"][share > 0.75]))
        ours = stratified(whole, train=0.75, by=by, rng=np.random.RandomState(42))  # type: ignore[arg-type]
        assert keys(ours.test) == theirs


def test_leave_last_out_holds_out_the_latest() -> None:
    rows = [
        ("a", "x", 1, 30),
        ("a", "y", 1, 10),
        ("a", "z", 1, 30),
        ("b", "x", 1, 5),
        ("c", "x", 1, 2),
        ("c", "y", 1, 1),
    ]
    whole = from_records(rows)
    held = leave_last_out(whole).test
    assert set(zip(held.user_ids.decode(held.users), held.item_ids.decode(held.items))) == {("a", "z"), ("c", "x")}
    by_file = leave_last_out(whole, order="file").test
    assert set(zip(by_file.user_ids.decode(by_file.users), by_file.item_ids.decode(by_file.items))) == {
        ("a", "z"),
        ("c", "y"),
    }
    assert np.bincount(leave_last_out(whole, count=2).test.users).tolist() == [2]  # c has no more than two


def test_temporal_never_tests_on_the_past() -> None:
    parts = temporal(made(), train=0.7)
    assert parts.train.times is not None
    assert parts.test.times is not None
    assert parts.train.times.max() < parts.test.times.min()
    assert len(parts.train) <= round(0.7 * len(made()))


@pytest.mark.parametrize("cut", [leave_last_out, temporal, temporal_by_user])
def test_splits_by_time_need_times(cut: Cut) -> None:
    with pytest.raises(DataError, match="split needs times, and these interactions have none"):
        cut(from_records([("a", "x"), ("a", "y")]))


def test_temporal_needs_different_times() -> None:
    with pytest.raises(DataError, match="needs different times"):
        temporal(from_records([("a", "x", 1, 7), ("a", "y", 1, 7)]))


@pytest.mark.parametrize("train", [0.0, 1.0, -0.5, float("nan")])
def test_a_share_out_of_range_is_refused(train: float) -> None:
    rng = np.random.default_rng(0)
    for cut in (random, stratified):
        with pytest.raises(UsageError, match="train must lie between 0 and 1"):
            cut(made(), train=train, rng=rng)
    with pytest.raises(UsageError, match="train must lie between 0 and 1"):
        temporal(made(), train=train)


def test_other_wrong_arguments_say_so() -> None:
    with pytest.raises(UsageError, match="by must be 'user' or 'item'. Got 'time' instead"):
        stratified(made(), by="time", rng=np.random.default_rng(0))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="count must be at least 1. Got 0 instead"):
        leave_last_out(made(), count=0)
    with pytest.raises(UsageError, match="order must be 'time' or 'file'. Got 'id' instead"):
        leave_last_out(made(), order="id")  # type: ignore[arg-type]


def cells(*parts: Interactions) -> list[tuple[int, int]]:
    return sorted(pair for part in parts for pair in keys(part))


def test_each_users_latest_share_is_held_out() -> None:
    whole = from_records(
        [(user, item, 1, time) for user in "ab" for time, item in enumerate("vwxyz")] + [("c", "v", 1, 9)]
    )
    held = temporal_by_user(whole, train=0.6).test
    assert cells(held) == [(0, 3), (0, 4), (1, 3), (1, 4)]  # ceil(0.6 x 5) = 3 stay; c has one, and keeps it
    assert cells(temporal_by_user(whole, train=0.7).test) == [(0, 4), (1, 4)]


def test_folds_test_every_record_once() -> None:
    whole = made()
    parts = folds(whole, count=4, rng=np.random.default_rng(0))
    assert cells(*(fold.test for fold in parts)) == cells(whole)
    assert max(len(fold.test) for fold in parts) - min(len(fold.test) for fold in parts) <= 1
    for fold in parts:
        assert cells(fold.train, fold.test) == cells(whole)
        assert fold.train.user_ids is fold.test.user_ids is whole.user_ids
    again = folds(whole, count=4, rng=np.random.default_rng(0))
    assert [cells(fold.test) for fold in again] == [cells(fold.test) for fold in parts]
    assert cells(folds(whole, count=4, rng=np.random.default_rng(1))[0].test) != cells(parts[0].test)


@pytest.mark.parametrize("order", ["random", "time"])
def test_user_folds_hold_everybody_out_once(order: Literal["random", "time"]) -> None:
    whole = made()
    parts = user_folds(whole, count=3, given=0.7, order=order, rng=np.random.default_rng(0))
    assert cells(*(part for fold in parts for part in (fold.given, fold.asked))) == cells(whole)
    for fold in parts:
        assert cells(fold.train, fold.given, fold.asked) == cells(whole)
        assert not set(fold.train.users) & set(fold.given.users)
        assert set(fold.asked.users) <= set(fold.given.users)
        assert fold.train.item_ids is fold.given.item_ids is fold.asked.item_ids is whole.item_ids
        if order == "time":
            assert fold.given.times is not None
            assert fold.asked.times is not None
            for user in set(fold.asked.users):
                before, after = (part.times[part.users == user] for part in (fold.given, fold.asked))  # type: ignore[index]
                assert before.max() <= after.min()


def test_held_out_people_keep_their_share() -> None:
    whole = from_records([(user, item) for user in range(8) for item in range(5)] + [(8, 0), (9, 0)])
    fold = hold_out_users(whole, train=0.5, given=0.5, rng=np.random.default_rng(1))
    assert len(set(fold.train.users)) == 5
    size = np.bincount(fold.given.users, minlength=10) + np.bincount(fold.asked.users, minlength=10)
    given = np.bincount(fold.given.users, minlength=10)
    assert set(given[size == 5]) == {3}  # ceil(0.5 x 5)
    assert set(given[size == 1]) <= {1}
    assert (hold_out_users(whole, given=0.99, rng=np.random.default_rng(1)).asked.users >= 0).sum() > 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda whole: folds(whole, count=1, rng=np.random.default_rng(0)),
            UsageError,
            "from 2 to the number of inter",
        ),
        (lambda whole: user_folds(whole, count=31, rng=np.random.default_rng(0)), UsageError, "number of users, 30"),
        (lambda whole: hold_out_users(whole, given=1.0, rng=np.random.default_rng(0)), UsageError, "given must lie"),
        (
            lambda whole: hold_out_users(whole, order="file", rng=np.random.default_rng(0)),
            UsageError,
            "order must be 'random' or 'time'. Got 'file'",
        ),
    ],
)
def test_wrong_folds_say_so(call: Cut, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(made())
