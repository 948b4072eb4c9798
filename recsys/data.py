"""Who did what with which item, how much and when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.sparse import csr_matrix

from recsys.ids import Vocabulary, as_id, sort_ids
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Bool, Float32, Float64, Id, Int32, Int64

Csr: TypeAlias = Any
"""A ``scipy.sparse.csr_matrix``."""
Duplicates: TypeAlias = Literal["last", "sum", "mean", "error"]
DUPLICATES: tuple[Duplicates, ...] = ("last", "sum", "mean", "error")


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions of users with items, each pair at most once. Use :func:`from_records`, :func:`from_frame` or
    :func:`recsys.load_interactions` to make one.

    Attributes:
        users: shape (n,), int32, codes into ``user_ids``.
        items: shape (n,), int32, codes into ``item_ids``.
        values: shape (n,), float32, finite: a rating, a count, or 1.
        times: shape (n,), int64, seconds since 1970 (or any rising clock); ``None`` where no time is known.
        user_ids: the outside ids of users.
        item_ids: the outside ids of items.
        source: where they came from, for messages.
    """

    users: Int32
    items: Int32
    values: Float32
    times: Int64 | None
    user_ids: Vocabulary
    item_ids: Vocabulary
    source: str = ""

    def __post_init__(self) -> None:
        wanted = {"users": np.int32, "items": np.int32, "values": np.float32, "times": np.int64}
        for name, dtype in wanted.items():
            array = getattr(self, name)
            if array is None and name == "times":
                continue
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != self.users.shape:
                raise UsageError(f"Interactions.{name} must be a (n,) array of {np.dtype(dtype)}")
            array.flags.writeable = False
        for codes, vocabulary in ((self.users, self.user_ids), (self.items, self.item_ids)):
            if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < len(vocabulary):
                raise UsageError(f"{vocabulary.what} codes must lie in 0..{len(vocabulary) - 1}")
        if not np.isfinite(self.values).all():
            raise UsageError("Interactions.values must be finite")

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def matrix(self) -> Csr:
        """The values as CSR, shape (users, items), float32, columns sorted; a stored 0 is an interaction too."""
        return csr(self.users, self.items, self.values, (len(self.user_ids), len(self.item_ids)))

    def take(self, rows: Bool | Int64) -> Interactions:
        """Some of the rows, by mask or by position, with the same vocabularies."""
        times = None if self.times is None else self.times[rows]
        kept = self.users[rows], self.items[rows], self.values[rows]
        return Interactions(*kept, times, self.user_ids, self.item_ids, self.source)

    def at_least(self, minimum: float) -> Interactions:
        """The rows whose value is at least ``minimum``, with the same vocabularies."""
        return self.take(self.values >= minimum)

    def __repr__(self) -> str:
        facts = f"{len(self)} of {len(self.user_ids)} users with {len(self.item_ids)} items"
        return f"<Interactions {facts}{f' from {self.source}' if self.source else ''}>"


def from_records(
    records: Iterable[Sequence[Any]], *, duplicates: Duplicates = "last", source: str = ""
) -> Interactions:
    """Interactions from ``(user, item)``, ``(user, item, value)`` or ``(user, item, value, time)``.

    Args:
        records: all of one length. Ids are ``str`` or ``int`` and are kept in that type, one type for users and one
            for items. A missing value is 1. A time is a whole number of seconds.
        duplicates: what to do with a pair that comes again: ``"last"`` keeps the latest by time, and among equal times
            (or without times) the one that stands last; ``"sum"`` and ``"mean"`` join the values under the latest
            time; ``"error"`` refuses.
        source: where they came from, for messages.

    Raises:
        DataError: there are no records, or one is malformed; the message names it by its place from 1.

    Example:
        >>> from_records([("ann", "tea", 5), ("bob", "tea", 3), ("bob", "rice", 4)])
        <Interactions 3 of 2 users with 2 items>
    """
    users: dict[Id, int] = {}
    items: dict[Id, int] = {}
    rows: list[tuple[int, int, float, int]] = []
    width = 0
    for number, record in enumerate(records, 1):
        width = width or len(record)
        if len(record) != width or not 2 <= width <= 4:
            raise DataError(
                f"record {number} must be (user, item[, value[, time]]), all of one length. Got {record!r} instead"
            )
        user, item = (_id(outside, what, number) for outside, what in zip(record, ("user", "item")))
        value = _value(record[2], number) if width > 2 else 1.0
        time = _time(record[3], number) if width > 3 else 0
        rows.append((users.setdefault(user, len(users)), items.setdefault(item, len(items)), value, time))
    if not rows:
        raise DataError(f"expected at least one interaction{f' in {source}' if source else ''}. Got none")
    columns = tuple(zip(*rows))
    return collect(
        np.array(columns[0], dtype=np.int32),
        np.array(columns[1], dtype=np.int32),
        np.array(columns[2], dtype=np.float64),
        np.array(columns[3], dtype=np.int64) if width > 3 else None,
        user_ids=list(users),
        item_ids=list(items),
        duplicates=duplicates,
        source=source,
    )


def from_frame(
    frame: Any,
    *,
    user: str = "user",
    item: str = "item",
    value: str | None = None,
    time: str | None = None,
    duplicates: Duplicates = "last",
) -> Interactions:
    """Interactions from a pandas or Polars data frame, or anything else whose columns have ``to_numpy()``.

    Args:
        frame: one row an interaction.
        user: column of user ids, ``str`` or whole numbers.
        item: column of item ids.
        value: column of values; ``None`` counts each row as 1.
        time: column of times: whole seconds, or dates, which become seconds.
        duplicates: as in :func:`from_records`.

    Raises:
        DataError: a column is missing or holds something else.
    """
    names = [name for name in (user, item, value, time) if name is not None]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DataError(f"the frame must have columns {names}. Missing: {missing}. It has: {list(frame.columns)}")
    columns = [frame[name].to_numpy() for name in names]
    if value is None:
        columns.insert(2, np.ones(len(frame)))
    if time is not None and np.issubdtype(columns[3].dtype, np.datetime64):
        if np.isnat(columns[3]).any():
            raise DataError(f"column {time!r} must hold a date in every row. Got NaT in some")
        columns[3] = columns[3].astype("datetime64[s]").astype(np.int64)
    return from_records(zip(*(column.tolist() for column in columns)), duplicates=duplicates, source="a data frame")


def collect(
    users: Int32,
    items: Int32,
    values: Float64,
    times: Int64 | None,
    *,
    user_ids: Sequence[Id],
    item_ids: Sequence[Id],
    duplicates: Duplicates,
    source: str,
) -> Interactions:
    """Interactions from codes in order of appearance: ids sorted, repeated pairs joined, rows left in their order.

    Sorted ids make everything that is fitted independent of the order of rows.
    """
    if duplicates not in DUPLICATES:
        raise UsageError(f"duplicates must be one of {', '.join(DUPLICATES)}. Got {duplicates!r} instead")
    known_users, user_moves = sort_ids("user", user_ids)
    known_items, item_moves = sort_ids("item", item_ids)
    users, items = user_moves[users], item_moves[items]
    key = users.astype(np.int64) * len(known_items) + items
    order = np.lexsort((key,) if times is None else (times, key))  # stable: later rows stay later
    last = np.append(key[order][1:] != key[order][:-1], True)
    repeated = len(key) - int(last.sum())
    if repeated and duplicates == "error":
        again = order[1:][~last[:-1]][0]
        pair = known_users.ids[users[again]], known_items.ids[items[again]]
        raise DataError(f"{source or 'the records'}: each pair must come once. Got {pair} again; {repeated} such rows")
    if repeated and duplicates != "last":
        group = np.concatenate([[0], np.cumsum(last)[:-1]])
        joined = np.bincount(group, weights=values[order])
        values = values.copy()
        values[order[last]] = joined if duplicates == "sum" else joined / np.bincount(group)
    kept = np.sort(order[last])
    with np.errstate(over="ignore"):
        small = values[kept].astype(np.float32)
    if not np.isfinite(small).all():
        raise DataError(f"{source or 'the records'}: values must fit into float32. Got one above 3.4e38")
    return Interactions(
        users[kept], items[kept], small, None if times is None else times[kept], known_users, known_items, source
    )


def csr(rows: Int32, columns: Int32, values: Float32, shape: tuple[int, int]) -> Csr:
    """A CSR matrix with sorted columns, float32; explicit zeros are kept."""
    matrix = csr_matrix((values, (rows, columns)), shape=shape, dtype=np.float32)
    matrix.sort_indices()
    return matrix


def read_csr(name: str, arrays: Mapping[str, AnyArray], shape: tuple[int, int]) -> Csr:
    """A CSR matrix from its three arrays, checked.

    Raises:
        DataError: an array is missing, or they are no matrix of that shape with finite values.
    """
    parts: list[Any] = [arrays.get(f"{name}.{part}") for part in ("data", "indices", "indptr")]
    if any(part is None or part.ndim != 1 for part in parts):
        raise DataError(f"{name} must have three arrays: data, indices, indptr")
    data, indices, indptr = parts
    if data.dtype != np.float32 or {indices.dtype.kind, indptr.dtype.kind} != {"i"} or not np.isfinite(data).all():
        came = ", ".join(part.dtype.name for part in parts)
        raise DataError(f"{name} must have finite float32 data and whole indices. Got {came} instead")
    try:
        matrix = csr_matrix((data, indices, indptr), shape=shape)
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise DataError(f"{name} must be a CSR matrix of shape {shape}. {error}") from error
    return matrix


def _id(outside: object, what: str, number: int) -> Id:
    found = as_id(outside)
    if found is None or found == "":
        raise DataError(
            f"record {number}: a {what} id must be a non-empty str or an int. "
            f"Got {type(outside).__name__} {outside!r} instead"
        )
    return found


def _value(value: Any, number: int) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(f"record {number}: a value must be a finite number. Got {value!r} instead")
    return found


def _time(time: Any, number: int) -> int:
    whole = isinstance(time, int | np.integer) and not isinstance(time, bool)
    if not whole and not (isinstance(time, float | np.floating) and float(time).is_integer()):
        raise DataError(f"record {number}: a time must be a whole number of seconds. Got {time!r} instead")
    return int(time)
