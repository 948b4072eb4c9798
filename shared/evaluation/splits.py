"""Parts to learn from and to test on that respect groups, strata and time: arrays of positions, checked for leaks.

Scikit-learn splits where it can. Our own are the splits in three that keep groups together, hold strata and reach the
sizes asked for, and those by time, where equal times stay on one side, a gap lies between, and a group may be kept off
one of the sides. Interactions of recommendation have their own in :mod:`recsys.split`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from itertools import combinations
from typing import Any, Literal, TypeAlias

import numpy as np

from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.types import AnyArray, Bool, Int64

Yields: TypeAlias = Literal["earlier", "later"]
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Parts:
    """Positions of items in parts that share nothing.

    Attributes:
        train: what is learnt from, int64, rising.
        validation: what settings are chosen on, int64, rising; empty in a fold.
        test: what is measured on, int64, rising.
        groups: not kept; the group of every item, shape (n,): none may be in two parts.
        times: not kept; the time of every item, shape (n,): each part must be more than ``gap`` later than
            those before.
        gap: not kept.

    Raises:
        DataError: ``train`` or ``test`` is empty.
        UsageError: an item, a group or a time is on two sides.
    """

    train: Int64
    validation: Int64
    test: Int64
    groups: InitVar[AnyArray | None] = None
    times: InitVar[AnyArray | None] = None
    gap: InitVar[Any] = field(default=0)

    def __post_init__(self, groups: AnyArray | None, times: AnyArray | None, gap: Any) -> None:
        for name, part in (("train", self.train), ("test", self.test)):
            if not part.size:
                raise DataError(f"{name} must have items. Got none: ask for other sizes, fewer folds or a smaller gap")
        named = [("train", self.train), ("validation", self.validation), ("test", self.test)]
        for (first, one), (second, other) in combinations([(name, part) for name, part in named if part.size], 2):
            if (twice := np.intersect1d(one, other)).size:
                raise UsageError(f"{first} and {second} must share no item. Got {twice[:5]} in both")
            if groups is not None and (shared := np.intersect1d(groups[one], groups[other])).size:
                raise UsageError(f"{first} and {second} must share no group. Got {shared[:5]} in both")
            if times is not None and not times[other].min() - times[one].max() > gap:
                raise UsageError(
                    f"{second} must be more than {gap} later than {first}. "
                    f"Got from {times[other].min()} after {times[one].max()} instead"
                )


def split(
    n: int,
    *,
    train: float = 0.8,
    validation: float = 0.1,
    groups: Sequence[object] | AnyArray | None = None,
    strata: Sequence[object] | AnyArray | None = None,
    rng: np.random.Generator,
) -> Parts:
    """Train, validation and test at random.

    With groups, whole groups are dealt, the largest first, each to the part that it brings nearest to its share of
    every stratum; parts miss their sizes by no more than the groups make them.

    Args:
        n: items.
        train: share of them, in (0, 1).
        validation: share of them, in [0, 1); the rest is test.
        groups: what must not be parted (a patient, a document), length n.
        strata: what is to be spread evenly (a class), length n.
        rng: source of randomness.

    Raises:
        DataError: a part has no items, or a stratum too few to be spread.
        UsageError: an argument is out of range or of another length.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> parts = split(10, groups=list("aabbccddee"), train=0.6, validation=0.2, rng=rng)
        >>> len(parts.train), len(parts.validation), len(parts.test)
        (6, 2, 2)
    """
    if not (0 < train < 1 and 0 <= validation < 1 and train + validation < 1 - 1e-9):
        raise UsageError(f"train and validation must leave a share for test. Got {train} and {validation} instead")
    kinds = _codes("strata", strata, n)
    if groups is not None:
        return _dealt(_codes("groups", groups, n), kinds, np.array([train, validation, 1 - train - validation]), rng)
    library = require("sklearn.model_selection", extra="all")
    sizes = [round(train * n), round((train + validation) * n)]
    order, rest = rng.permutation(n), []
    for size, of in ((sizes[0], n), (sizes[1] - sizes[0], n - sizes[0])):
        if strata is None or size in (0, of):
            part, order = order[:size], order[size:]
        else:
            try:
                part, order = library.train_test_split(
                    order, train_size=size, stratify=kinds[order], random_state=int(rng.integers(2**31))
                )
            except ValueError as error:
                raise DataError(f"these strata cannot be spread over such parts: {error}") from error
        rest.append(np.sort(part))
    if validation and not rest[1].size:
        raise DataError(f"validation must have items. Got a share of {validation} of {n}: ask for another size")
    return Parts(rest[0], rest[1], np.sort(order))


def folds(
    n: int,
    *,
    count: int = 5,
    groups: Sequence[object] | AnyArray | None = None,
    strata: Sequence[object] | AnyArray | None = None,
    rng: np.random.Generator,
) -> tuple[Parts, ...]:
    """K-fold: each item is in the test part of exactly one; whole groups are, and strata are spread, where given.

    Scikit-learn's KFold, StratifiedKFold and StratifiedGroupKFold. A stratum of fewer items than folds lacks in some.

    Args:
        n: items.
        count: folds, from 2 to the number of items, or of groups.
        groups: as in :func:`split`.
        strata: as in :func:`split`.
        rng: source of randomness.

    Raises:
        DataError: a fold has no items, or every stratum fewer than folds.
        UsageError: an argument is out of range or of another length.

    Example:
        >>> parts = folds(4, count=2, groups=["a", "b", "a", "b"], rng=np.random.default_rng(0))
        >>> sorted(part.test.tolist() for part in parts)
        [[0, 2], [1, 3]]
    """
    held, kinds = _codes("groups", groups, n), _codes("strata", strata, n)
    most = n if groups is None else int(held.max(initial=-1)) + 1
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 2 <= count <= most:
        what = "items" if groups is None else "groups"
        raise UsageError(f"count must be a whole number from 2 to the number of {what}, {most}. Got {count!r} instead")
    library = require("sklearn.model_selection", extra="all")
    kind = (
        "KFold"
        if strata is None and groups is None
        else "StratifiedKFold"
        if groups is None
        else "StratifiedGroupKFold"
    )
    splitter = getattr(library, kind)(int(count), shuffle=True, random_state=int(rng.integers(2**31)))
    known = None if groups is None else held
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # said in the docstring
        try:
            pairs = list(splitter.split(np.zeros((n, 1)), kinds, known))
        except ValueError as error:
            raise DataError(f"these strata cannot be spread over {count} folds: {error}") from error
    return tuple(Parts(train.astype(np.int64), _NONE, test.astype(np.int64), known) for train, test in pairs)


def split_by_time(
    times: AnyArray,
    *,
    train: float = 0.8,
    validation: float = 0.1,
    gap: Any = None,
    groups: Sequence[object] | AnyArray | None = None,
    yields: Yields = "earlier",
) -> Parts:
    """Train, validation and test in order of time.

    A part begins at the time of the first item after the shares before it; whatever has that very time is in it too.

    Args:
        times: of each item, numbers or datetime64, shape (n,), none missing.
        train: share of items, in (0, 1), before what the gap and the groups take away.
        validation: share of items, in [0, 1).
        gap: items up to this long before a part are left out of those before it (a horizon whose outcome was not known
            yet), 0 or more; a timedelta64 where times are datetime64.
        groups: what must not be on two sides, length n.
        yields: which part gives up the items of a group that is in two.

    Raises:
        DataError: a part has no items.
        UsageError: an argument is out of range or of another length.

    Example:
        >>> parts = split_by_time(np.arange(10), train=0.6, validation=0.2, gap=1)
        >>> parts.train.tolist(), parts.validation.tolist(), parts.test.tolist()
        ([0, 1, 2, 3, 4], [6], [8, 9])
    """
    if not (0 < train < 1 and 0 <= validation < 1 and train + validation < 1 - 1e-9):
        raise UsageError(f"train and validation must leave a share for test. Got {train} and {validation} instead")
    clock, wait = _clock(times, gap)
    shares = [train, train + validation] if validation else [train]
    starts = [np.sort(clock)[min(round(share * len(clock)), len(clock) - 1)] for share in shares]
    later = [clock >= start for start in starts] + [np.zeros(len(clock), np.bool_)]
    parts = [(starts[0] - clock) > wait]
    parts += [on & ~after & ((start - clock) > wait) for on, after, start in zip(later, later[1:], starts[1:])]
    parts.append(later[-2])
    _part_groups(parts, groups, yields)
    rows = [np.flatnonzero(part) for part in parts]
    if validation and not rows[1].size:
        raise DataError("validation must have items. Got none: ask for another size or a smaller gap")
    return Parts(rows[0], rows[1] if validation else _NONE, rows[-1], _known(groups), clock, wait)


def forward_folds(
    times: AnyArray,
    *,
    count: int = 5,
    gap: Any = None,
    window: Any = None,
    groups: Sequence[object] | AnyArray | None = None,
    yields: Yields = "earlier",
) -> tuple[Parts, ...]:
    """Forward chaining: fold after fold is tested on the next span of time and learns from what came before it.

    L. Tashman, "Out-of-sample tests of forecasting accuracy", International Journal of Forecasting 16 (2000). Items in
    order of time make ``count + 1`` spans of about one size; the first is never tested. Scikit-learn's TimeSeriesSplit
    counts rows, so that equal times fall on both sides; here they do not.

    Args:
        times: as in :func:`split_by_time`.
        count: folds, at least 1.
        gap: as there.
        window: learn from no more than this long before the test begins, of the kind of ``gap``; None from everything.
        groups: as there.
        yields: as there, of train (earlier) and test (later).

    Raises:
        DataError: a part has no items, or there are too few different times.
        UsageError: an argument is out of range or of another length.

    Example:
        >>> [(part.train.tolist(), part.test.tolist()) for part in forward_folds(np.arange(6), count=2)]
        [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]
    """
    clock, wait = _clock(times, gap)
    if count < 1 or count >= len(clock):
        raise UsageError(f"count must lie in 1..{len(clock) - 1}, fewer than items. Got {count} instead")
    starts = np.sort(clock)[[round(at * len(clock) / (count + 1)) for at in range(1, count + 1)]]
    if len(np.unique(starts)) < count or starts[0] == clock.min():
        raise DataError(f"{count} folds need as many different times to begin at. Got {starts}: ask for fewer folds")
    found = []
    for at, start in enumerate(starts):
        train, test = (start - clock) > wait, clock >= start
        if at + 1 < count:
            test &= clock < starts[at + 1]
        if window is not None:
            train &= (start - clock) <= window
        _part_groups([train, test], groups, yields)
        found.append(Parts(np.flatnonzero(train), _NONE, np.flatnonzero(test), _known(groups), clock, wait))
    return tuple(found)


def _dealt(groups: Int64, kinds: Int64, shares: AnyArray, rng: np.random.Generator) -> Parts:
    table = np.zeros((groups.max(initial=-1) + 1, kinds.max(initial=0) + 1))
    np.add.at(table, (groups, kinds), 1)
    totals = table.sum(axis=0)
    wanted = shares[:, None] * totals  # (parts, strata)
    held, part = np.zeros_like(wanted), np.zeros(len(table), np.int64)
    order = rng.permutation(len(table))
    for group in order[np.argsort(-table[order].sum(axis=1), kind="stable")]:
        # A part's miss is counted in shares of the stratum, so that a rare one weighs as much as a common one.
        now = (((held - wanted) / totals) ** 2).sum(axis=1)
        then = (((held + table[group] - wanted) / totals) ** 2).sum(axis=1)
        cost = np.where(shares > 0, then - now, np.inf)
        part[group] = int(cost.argmin())
        held[part[group]] += table[group]
    rows = [np.flatnonzero(part[groups] == at) for at in range(3)]
    if shares[1] > 0 and not rows[1].size:
        raise DataError(f"validation must have items. Got none of {len(table)} groups: ask for another size")
    return Parts(rows[0], rows[1], rows[2], groups)


def _part_groups(parts: list[Bool], groups: Sequence[object] | AnyArray | None, yields: Yields) -> None:
    """Take from one of each two parts, in place, the items of groups that are in both."""
    if yields not in ("earlier", "later"):
        raise UsageError(f"yields must be 'earlier' or 'later'. Got {yields!r} instead")
    if groups is None:
        return
    held = _codes("groups", groups, len(parts[0]))
    # The part that yields to nobody goes first, so that the others yield to what is left of it.
    ordered = parts[::-1] if yields == "earlier" else parts
    for at, keeps in enumerate(ordered):
        for gives in ordered[at + 1 :]:
            np.logical_and(gives, ~np.isin(held, held[keeps]), out=gives)


def _codes(what: str, given: Sequence[object] | AnyArray | None, n: int) -> Int64:
    if n < 2:
        raise UsageError(f"a split needs at least 2 items. Got {n} instead")
    if given is None:
        return np.zeros(n, np.int64)
    values = np.asarray(given)
    if values.shape != (n,):
        raise UsageError(f"{what} must have one value for each of {n} items. Got shape {values.shape} instead")
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _known(groups: Sequence[object] | AnyArray | None) -> AnyArray | None:
    return None if groups is None else np.asarray(groups)


def _clock(times: AnyArray, gap: Any) -> tuple[AnyArray, Any]:
    clock = np.asarray(times)
    if clock.ndim != 1 or len(clock) < 2 or clock.dtype.kind not in "iufM" or _missing(clock):
        raise UsageError(
            "times must be numbers or datetime64, shape (n,), n at least 2, none missing. "
            f"Got {clock.dtype} of shape {clock.shape} instead"
        )
    if clock.dtype.kind == "u":
        clock = clock.astype(np.int64)  # differences of times must be able to fall below 0
    wait = (clock[0] - clock[0]) if gap is None else gap
    if wait < 0 * wait:
        raise UsageError(f"gap must be 0 or more. Got {gap} instead")
    return clock, wait


def _missing(clock: AnyArray) -> bool:
    return bool((np.isnat(clock) if clock.dtype.kind == "M" else np.isnan(clock)).any())
