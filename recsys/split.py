"""Ways to hold interactions out for testing. Both parts keep the vocabularies of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from recsys.data import Interactions
from shared.errors import DataError, UsageError
from shared.types import Bool, Int32, Int64

Rng: TypeAlias = np.random.Generator | np.random.RandomState
"""A generator; NumPy's old one too, because published splits were drawn with it."""


@dataclass(frozen=True)
class Split:
    """Two parts that have no interaction in common.

    Attributes:
        train: what a model may see.
        test: what it is asked for.
    """

    train: Interactions
    test: Interactions


@dataclass(frozen=True)
class UserSplit:
    """People held out entirely: three parts that have no interaction in common, and no person of ``train`` in the
    others.

    Attributes:
        train: what a model may see; none of the held-out people are in it.
        given: the part of the held-out people's histories that is folded in when the model is asked.
        asked: the rest of their histories, what the model is asked for. Everybody in it is in ``given`` too.
    """

    train: Interactions
    given: Interactions
    asked: Interactions


def random(interactions: Interactions, *, train: float = 0.75, rng: Rng) -> Split:
    """Hold out interactions at random: ``round(train * n)`` of the n stay.

    Args:
        interactions: all of them.
        train: share that stays, in (0, 1).
        rng: source of randomness.

    Raises:
        UsageError: ``train`` is out of range.

    Example:
        >>> from recsys.data import from_records
        >>> whole = from_records([("ann", item) for item in "abcd"])
        >>> parts = random(whole, train=0.75, rng=np.random.default_rng(0))
        >>> len(parts.train), len(parts.test)
        (3, 1)
    """
    _check_share(train)
    order = rng.permutation(len(interactions))
    held = np.zeros(len(interactions), dtype=np.bool_)
    held[order[round(train * len(interactions)) :]] = True
    return Split(interactions.take(~held), interactions.take(held))


def stratified(
    interactions: Interactions, *, train: float = 0.75, by: Literal["user", "item"] = "user", rng: Rng
) -> Split:
    """Hold out the same share of each user's (or item's) interactions, drawn at random.

    Each interaction draws a number; in rising order the r-th of a user's c stays when ``r / c <= train``, so a user
    with a single interaction has it held out. Given ``numpy.random.RandomState(42)`` and rows in the order of the
    published file, this is the split of ``python_stratified_split`` in the *recommenders* project.

    Args:
        interactions: all of them.
        train: share that stays, in (0, 1).
        by: whose share it is.
        rng: source of randomness.

    Raises:
        UsageError: an argument is out of range.
    """
    _check_share(train)
    if by not in ("user", "item"):
        raise UsageError(f"by must be 'user' or 'item'. Got {by!r} instead")
    groups = interactions.users if by == "user" else interactions.items
    drawn = rng.random(len(interactions))
    rank, size = _ranks(groups, np.lexsort((drawn, groups)))
    held = (rank + 1) / size > train
    return Split(interactions.take(~held), interactions.take(held))


def leave_last_out(interactions: Interactions, *, count: int = 1, order: Literal["time", "file"] = "time") -> Split:
    """Hold out each user's latest interactions. A user who has no more than ``count`` keeps all of them in train.

    Args:
        interactions: all of them.
        count: how many of each user's are held out, at least 1.
        order: ``"time"`` goes by time, and by row among equal times; ``"file"`` by row alone.

    Raises:
        DataError: ``order="time"`` and no times are known.
        UsageError: an argument is out of range.
    """
    if count < 1:
        raise UsageError(f"count must be at least 1. Got {count} instead")
    if order not in ("time", "file"):
        raise UsageError(f"order must be 'time' or 'file'. Got {order!r} instead")
    rows = np.arange(len(interactions))
    clock = (
        _times(interactions, "leave_last_out", "or go by rows: order='file', --split leave-last-row-out")
        if order == "time"
        else rows
    )
    rank, size = _ranks(interactions.users, np.lexsort((rows, clock, interactions.users)))
    held = (rank >= size - count) & (size > count)
    return Split(interactions.take(~held), interactions.take(held))


def temporal(interactions: Interactions, *, train: float = 0.75) -> Split:
    """Hold out everything from one moment on, over all users.

    The moment is the time of the first interaction after the share ``train`` of them in order of time; whatever has
    that very time is held out too, so that no test interaction is older than any training one. Users and items that
    appear only later are new to the model, as in real life.

    Args:
        interactions: all of them.
        train: share that stays, at most, in (0, 1).

    Raises:
        DataError: no times are known, or all are equal.
        UsageError: ``train`` is out of range.
    """
    _check_share(train)
    times = _times(interactions, "temporal", "or take another split")
    at = min(len(times) - 1, round(train * len(times)))
    held = times >= np.sort(times)[at] if len(times) else np.zeros(0, dtype=np.bool_)
    if held.all():
        raise DataError("a temporal split needs different times. Got one and the same for all that would stay in train")
    return Split(interactions.take(~held), interactions.take(held))


def temporal_by_user(interactions: Interactions, *, train: float = 0.75) -> Split:
    """Hold out the latest share of each user's interactions: of c, the last ``c - ceil(train * c)``.

    A user with one interaction keeps it. Unlike :func:`temporal` this lets a model learn from what others did after the
    moments that it is tested on, so it reads high where taste drifts; every tested user is known, though.

    Args:
        interactions: all of them.
        train: share that stays, at least, in (0, 1).

    Raises:
        DataError: no times are known.
        UsageError: ``train`` is out of range.

    Example:
        >>> from recsys.data import from_records
        >>> whole = from_records([("ann", item, 1, time) for time, item in enumerate("abcd")])
        >>> temporal_by_user(whole, train=0.75).test.item_ids.decode(temporal_by_user(whole).test.items)
        ('d',)
    """
    _check_share(train)
    rows = np.arange(len(interactions))
    clock = _times(interactions, "temporal_by_user", "or take another split")
    rank, size = _ranks(interactions.users, np.lexsort((rows, clock, interactions.users)))
    held = rank >= np.ceil(np.round(train * size, 9))
    return Split(interactions.take(~held), interactions.take(held))


def folds(interactions: Interactions, *, count: int = 5, rng: Rng) -> tuple[Split, ...]:
    """K-fold by record: each interaction is in the test part of exactly one fold; their sizes differ by one at most.

    Args:
        interactions: all of them.
        count: how many folds, at least 2 and at most as many as there are interactions.
        rng: source of randomness.

    Raises:
        UsageError: ``count`` is out of range.

    Example:
        >>> from recsys.data import from_records
        >>> whole = from_records([("ann", item) for item in "abcde"])
        >>> [len(fold.test) for fold in folds(whole, count=2, rng=np.random.default_rng(0))]
        [3, 2]
    """
    fold = _folds(len(interactions), count, "interactions", rng)
    return tuple(Split(interactions.take(fold != one), interactions.take(fold == one)) for one in range(count))


def user_folds(
    interactions: Interactions,
    *,
    count: int = 5,
    given: float = 0.8,
    order: Literal["random", "time"] = "random",
    rng: Rng,
) -> tuple[UserSplit, ...]:
    """K-fold by user: everybody is held out in exactly one fold, wholly, and a part of what they did is given.

    Args:
        interactions: all of them.
        count: how many folds, at least 2 and at most as many as there are users.
        given: share of a held-out person's interactions that is folded in, in (0, 1); see :func:`hold_out_users`.
        order: as in :func:`hold_out_users`.
        rng: source of randomness.

    Raises:
        DataError: ``order="time"`` and no times are known.
        UsageError: an argument is out of range.
    """
    active = np.unique(interactions.users)
    fold = np.full(len(interactions.user_ids), -1)
    fold[active] = _folds(len(active), count, "users", rng)
    return tuple(_part_users(interactions, fold == one, given, order, rng) for one in range(count))


def hold_out_users(
    interactions: Interactions,
    *,
    train: float = 0.75,
    given: float = 0.8,
    order: Literal["random", "time"] = "random",
    rng: Rng,
) -> UserSplit:
    """Hold out whole people, as in D. Liang et al., "Variational autoencoders for collaborative filtering", WWW 2018.

    Of c interactions of a held-out person ``ceil(given * c)`` are folded in, but never all; a person with one
    interaction cannot be asked about, so that it goes to no part but ``given``.

    Args:
        interactions: all of them.
        train: share of users that stays: ``round(train * users)``, in (0, 1).
        given: share of a held-out person's interactions that is folded in, in (0, 1).
        order: ``"random"`` gives some of them, ``"time"`` the earliest.
        rng: source of randomness.

    Raises:
        DataError: ``order="time"`` and no times are known.
        UsageError: an argument is out of range.
    """
    _check_share(train)
    active = rng.permutation(np.unique(interactions.users))
    held = np.zeros(len(interactions.user_ids), dtype=np.bool_)
    held[active[round(train * len(active)) :]] = True
    return _part_users(interactions, held, given, order, rng)


def _part_users(interactions: Interactions, held: Bool, given: float, order: str, rng: Rng) -> UserSplit:
    if not 0 < given < 1:
        raise UsageError(f"given must lie between 0 and 1. Got {given} instead")
    if order not in ("random", "time"):
        raise UsageError(f"order must be 'random' or 'time'. Got {order!r} instead")
    rows = np.arange(len(interactions))
    clock = _times(interactions, "user", "or take order='random'") if order == "time" else rng.random(len(rows))
    rank, size = _ranks(interactions.users, np.lexsort((rows, clock, interactions.users)))
    shown = rank < np.clip(np.ceil(np.round(given * size, 9)), 1, np.maximum(size - 1, 1))
    out = held[interactions.users]
    return UserSplit(interactions.take(~out), interactions.take(out & shown), interactions.take(out & ~shown))


def _folds(n: int, count: int, what: str, rng: Rng) -> Int64:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 2 <= count <= n:
        raise UsageError(f"count must be a whole number from 2 to the number of {what}, {n}. Got {count!r} instead")
    fold = np.empty(n, dtype=np.int64)
    fold[rng.permutation(n)] = np.arange(n) % count
    return fold


def _ranks(groups: Int32, order: Int64) -> tuple[Int64, Int64]:
    """For each row its place within its group under ``order`` (from 0), and the size of its group."""
    sizes = np.bincount(groups)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank = np.empty(len(groups), dtype=np.int64)
    rank[order] = np.arange(len(groups)) - starts[groups[order]]
    return rank, sizes[groups]


def _times(interactions: Interactions, name: str, remedy: str) -> Int64:
    if interactions.times is None:
        raise DataError(f"the {name} split needs times, and these interactions have none. Name their column, {remedy}")
    return interactions.times


def _check_share(train: float) -> None:
    if not 0 < train < 1:
        raise UsageError(f"train must lie between 0 and 1. Got {train} instead")
