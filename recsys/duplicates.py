"""Pairs that come again, by a stated rule, in little memory: the end of every way to make interactions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from recsys.ids import sort_ids
from recsys.interactions import Interactions
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Bool, Float32, Float64, Id, Int32, Int64

Duplicates: TypeAlias = Literal["last", "sum", "mean", "error", "keep"]
DUPLICATES: tuple[Duplicates, ...] = ("last", "sum", "mean", "error", "keep")
_BLOCK = 1 << 20
"""Rows that are worked on at once wherever a whole column's temporary would double it."""

_SLOT_BITS = 24
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def check_duplicates(duplicates: str) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless it is one of :data:`DUPLICATES`."""
    if duplicates not in DUPLICATES:
        raise UsageError(f"duplicates must be one of {', '.join(DUPLICATES)}. Got {duplicates!r} instead")


def value_type(duplicates: Duplicates) -> type[np.float32] | type[np.float64]:
    """What values are held in until pairs are joined: sums and means are made of float64, and then rounded once."""
    return np.float64 if duplicates in ("sum", "mean") else np.float32


def collect(
    users: Int32,
    items: Int32,
    values: Float32 | Float64,
    times: Int64 | None,
    *,
    user_ids: list[Id],
    item_ids: list[Id],
    duplicates: Duplicates,
    source: str,
    whole: str,
) -> Interactions:
    """Interactions from codes in order of appearance: ids sorted, repeated pairs joined, rows left in their order.

    Sorted ids make everything that is fitted independent of the order of rows. Of a pair that comes again one row
    stays: the latest by time, and among equal times (or without times) the one that stands last. Beside its arguments
    this needs 8 bytes a row to find out whether any pair comes again, and 12 bytes for each row whose pair does. Where
    ``duplicates`` is ``"keep"`` all rows stay, which only models of order take (:mod:`recsys.sequential`).

    Args:
        users: shape (n,), int32, codes into ``user_ids``; changed in place, the caller's no more.
        items: shape (n,), int32, likewise.
        values: shape (n,), finite; float64 where they are to be summed.
        times: shape (n,), int64, or ``None``.
        user_ids: each once.
        item_ids: each once.
        duplicates: one of :data:`DUPLICATES`.
        source: where they came from.
        whole: what messages call it.

    Raises:
        DataError: a pair comes again and ``duplicates`` refuses it, or a sum does not fit into float32.
        UsageError: there is no such rule.
    """
    check_duplicates(duplicates)
    known_users, moves = sort_ids("user", user_ids)
    _move(users, moves)
    known_items, moves = sort_ids("item", item_ids)
    _move(items, moves)
    width = len(known_items)
    repeated, rows = (np.zeros(0, dtype=np.int64), 0) if duplicates == "keep" else _repeated(users, items, width)
    if rows:
        if duplicates == "error":
            user, item = divmod(int(repeated[0]), width)
            pair = known_users.ids[user], known_items.ids[item]
            raise DataError(f"{whole}: each pair must come once. Got {pair} again; {rows} such rows")
        kept, values = _joined(users, items, values, times, repeated=repeated, width=width, duplicates=duplicates)
        users, items, values = users[kept], items[kept], values[kept]
        times = None if times is None else times[kept]
    with np.errstate(over="ignore"):
        small = values.astype(np.float32, copy=False)
    if not np.isfinite(small).all():
        raise DataError(f"{whole}: values must fit into float32. Got one above 3.4e38")
    return Interactions(users, items, small, times, known_users, known_items, source)


def _move(codes: Int32, moves: Int32) -> None:
    for block in _blocks(len(codes)):
        codes[block] = moves[codes[block]]


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, count, _BLOCK))


def _repeated(users: Int32, items: Int32, width: int) -> tuple[Int64, int]:
    """The pairs that come more than once, rising, as ``user * width + item``; and how many rows are too many."""
    keys = np.multiply(users, width, dtype=np.int64)
    keys += items
    keys.sort()
    again = keys[1:] == keys[:-1]
    rows = int(np.count_nonzero(again))
    found = keys[1:][again]
    return found[np.append(True, found[1:] != found[:-1])] if rows else found, rows


def _joined(
    users: Int32,
    items: Int32,
    values: Float32 | Float64,
    times: Int64 | None,
    *,
    repeated: Int64,
    width: int,
    duplicates: Duplicates,
) -> tuple[Bool, Float32 | Float64]:
    """Which rows stay, and the values with the joined ones in their places."""
    rows, groups = _members(users, items, repeated, width)
    kept = np.ones(len(users), dtype=np.bool_)
    kept[rows] = False
    standing = np.zeros(len(repeated), dtype=np.int64)
    if times is None:
        standing[groups] = rows  # where an index comes again, the last assignment stays
    else:
        latest = np.full(len(repeated), np.iinfo(np.int64).min)
        for block in _blocks(len(rows)):
            np.maximum.at(latest, groups[block], times[rows[block]])
        for block in _blocks(len(rows)):
            newest = times[rows[block]] == latest[groups[block]]
            standing[groups[block][newest]] = rows[block][newest]
    kept[standing] = True
    if duplicates in ("sum", "mean"):
        joined = np.zeros(len(repeated))
        for block in _blocks(len(rows)):
            np.add.at(joined, groups[block], values[rows[block]])
        values[standing] = joined if duplicates == "sum" else joined / np.bincount(groups)
    return kept, values


def _members(users: Int32, items: Int32, repeated: Int64, width: int) -> tuple[Int64, Int32]:
    """The rows whose pair comes again, rising, and which of ``repeated`` each belongs to."""
    rows: list[AnyArray] = []
    groups: list[AnyArray] = []
    marked = np.zeros(1 << _SLOT_BITS, dtype=np.bool_)
    marked[_slots(repeated)] = True
    for block in _blocks(len(users)):
        keys = np.multiply(users[block], width, dtype=np.int64)
        keys += items[block]
        likely = np.flatnonzero(marked[_slots(keys)])  # one look instead of a search for most of the others
        at = np.searchsorted(repeated, keys[likely])
        found = repeated[np.minimum(at, len(repeated) - 1)] == keys[likely]
        rows.append(likely[found] + block.start)
        groups.append(at[found].astype(np.int32))
    return join(rows), join(groups)


def _slots(keys: Int64) -> AnyArray:
    """A place in 0..2**_SLOT_BITS for each key, by Fibonacci hashing (Knuth, TAOCP 3, 6.4)."""
    return (keys.view(np.uint64) * _GOLDEN) >> np.uint64(64 - _SLOT_BITS)


def join(parts: list[AnyArray]) -> AnyArray:
    """One array of many, which are let go one by one, so that no more than this one column stands twice."""
    whole = np.empty(sum(map(len, parts)), dtype=parts[0].dtype)
    start = len(whole)
    while parts:
        part = parts.pop()
        start -= len(part)
        whole[start : start + len(part)] = part
    return whole
