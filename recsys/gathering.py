"""Chunks of columns to interactions: every source ends here, so one rule holds for all.

A source yields :class:`Chunk` after chunk; ids become codes as they come, and only codes, values and times are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from recsys.duplicates import Duplicates, check_duplicates, collect, join, value_type
from recsys.ids import IdTable
from recsys.interactions import Interactions
from recsys.values import FLOAT32_MAX, need_time, need_value
from shared.errors import DataError
from shared.types import AnyArray, Float64, Int32, Int64

Place: TypeAlias = Callable[[int], str]
"""What a message calls the row at a position."""
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY = 86_400


@dataclass(frozen=True)
class Coded:
    """A column as its distinct values and which of them each row has.

    Attributes:
        names: the distinct values.
        places: shape (n,), whole, positions in ``names``.
    """

    names: Sequence[Any]
    places: AnyArray

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True)
class Chunk:
    """Some rows of a source.

    Attributes:
        users: ids: a pyarrow array, a sequence of Python objects, or :class:`Coded`.
        items: likewise.
        values: numbers in any of those forms or as a NumPy array; ``None`` counts each row as 1.
        times: times as in :mod:`recsys.values`, in any of those forms; ``None`` where none are known.
        before: how many rows came before these.
        row: what messages call a row; its number from 1 follows.
    """

    users: Any
    items: Any
    values: Any = None
    times: Any = None
    before: int = 0
    row: str = "record"

    def place(self, at: int) -> str:
        return f"{self.row} {self.before + at + 1}"


def gather(
    chunks: Iterable[Chunk],
    *,
    duplicates: Duplicates,
    source: str,
    whole: str,
    ids: Callable[[IdTable], list[Any]] = IdTable.take,
) -> Interactions:
    """Interactions from chunks, each pair once; see :func:`recsys.duplicates.collect` for the rule.

    A row costs 20 bytes while it waits (24 where values are summed), and ids stand once each.

    Args:
        chunks: all with the same columns.
        duplicates: one of :data:`recsys.duplicates.DUPLICATES`.
        source: where they came from, kept with the interactions.
        whole: what messages call all of it.
        ids: what makes the ids of users and of items from what came, code for code.

    Raises:
        DataError: there are no rows, or one is malformed; the message names it.
        UsageError: there is no such rule.
    """
    check_duplicates(duplicates)
    tables = IdTable("user"), IdTable("item")
    held: tuple[list[AnyArray], ...] = ([], [], [], [])
    try:
        for chunk in chunks:
            for table, codes, column in zip(tables, held, (chunk.users, chunk.items)):
                codes.append(_codes(table, column, chunk.place))
            if chunk.values is not None:
                held[2].append(_values(chunk.values, chunk.place).astype(value_type(duplicates)))
            if chunk.times is not None:
                held[3].append(_times(chunk.times, chunk.place))
    finally:
        # A generator holds a file or a connection, and a fault in a row must not leave it open until it is collected.
        if isinstance(chunks, Generator):
            chunks.close()
    if not any(map(len, held[0])):
        raise DataError(f"expected at least one interaction{f' in {whole}' if source else ''}. Got none")
    users, items = join(held[0]), join(held[1])
    return collect(
        users,
        items,
        join(held[2]) if held[2] else np.ones(len(users), dtype=np.float32),
        join(held[3]) if held[3] else None,
        user_ids=ids(tables[0]),
        item_ids=ids(tables[1]),
        duplicates=duplicates,
        source=source,
        whole=whole,
    )


def is_arrow(column: object) -> bool:
    """Whether it is a pyarrow array; pyarrow is not imported for the question."""
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(column, arrow.Array)


def _codes(table: IdTable, column: Any, place: Place) -> Int32:
    if is_arrow(column):
        numbers = _whole_numbers(column)
        direct = None if numbers is None else table.encode_numbers(numbers)
        if direct is not None:
            return direct
        column = _coded(column, place, table.what)
    if not isinstance(column, Coded):
        return table.encode(column, place)
    codes = table.encode(column.names, lambda name: place(int(np.flatnonzero(column.places == name)[0])))
    moved: Int32 = codes[column.places]
    return moved


def _whole_numbers(column: Any) -> Int64 | None:
    """A pyarrow array of whole numbers without nulls as int64; ``None`` where it is another."""
    import pyarrow as pa  # noqa: PLC0415 - it made the column, so it is here

    if column.null_count or not pa.types.is_integer(column.type) or column.type == pa.uint64():
        return None
    return column.to_numpy().astype(np.int64, copy=False)  # type: ignore[no-any-return]


def _coded(column: Any, place: Place, what: str) -> Coded | Sequence[Any]:
    """A pyarrow array of ids as its distinct values; as Python objects where Arrow knows no distinct ones."""
    import pyarrow as pa  # noqa: PLC0415 - it made the column, so it is here

    kind = column.type
    if pa.types.is_dictionary(kind):
        if column.null_count or column.dictionary.null_count:
            return column.to_pylist()  # type: ignore[no-any-return]  # finds the row without an id
        places = column.indices.to_numpy()
        used = np.zeros(len(column.dictionary), dtype=np.bool_)
        used[places] = True
        names = _coded(column.dictionary.filter(pa.array(used)), place, what)
        where = np.cumsum(used) - 1
        if isinstance(names, Coded):
            return Coded(names.names, names.places[where[places]])
        return Coded(names, where[places])
    if pa.types.is_string_view(kind):
        column = column.cast(pa.large_string())
    elif pa.types.is_timestamp(kind) and kind.unit == "ns":
        try:
            column = column.cast(pa.timestamp("us", kind.tz))
        except pa.ArrowInvalid as error:
            raise DataError(f"{place(0)}: {what} ids that are times must be whole microseconds. {error}") from error
    known = (
        pa.types.is_integer(kind)
        or pa.types.is_string(column.type)
        or pa.types.is_large_string(column.type)
        or pa.types.is_temporal(kind)
        or pa.types.is_binary(kind)
    )
    if column.null_count or not known:
        return column.to_pylist()  # type: ignore[no-any-return]
    encoded = column.dictionary_encode()
    return Coded(plain_list(encoded.dictionary), encoded.indices.to_numpy())


def plain_list(column: Any) -> list[Any]:
    """A pyarrow array without nulls as Python objects; text and whole numbers by way of NumPy, which is far quicker."""
    import pyarrow as pa  # noqa: PLC0415 - it made the column, so it is here

    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]


def _values(column: Any, place: Place) -> Float64:
    if isinstance(column, Coded):
        return _values(column.names, place)[column.places]
    if is_arrow(column):
        import pyarrow as pa  # noqa: PLC0415 - it made the column, so it is here

        kind = column.type
        if not column.null_count and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            column = column.to_numpy(zero_copy_only=False)
        else:
            column = column.to_pylist()
    try:
        if not isinstance(column, np.ndarray) and str in set(map(type, column)):
            raise TypeError("text is read one by one")
        values = np.asarray(column, dtype=np.float64)
        fine = values.shape == (len(column),) and bool((np.abs(values) <= FLOAT32_MAX).all())
    except (TypeError, ValueError, OverflowError):
        fine = False
    if fine:
        return values
    plain = column.tolist() if isinstance(column, np.ndarray) else column
    return np.array([need_value(value, place(at)) for at, value in enumerate(plain)], dtype=np.float64)


def _times(column: Any, place: Place) -> Int64:  # noqa: PLR0911 - one for each kind
    if isinstance(column, Coded):
        return _times(column.names, place)[column.places]
    if isinstance(column, np.ndarray) and column.dtype == np.int64:
        return column
    if is_arrow(column):
        import pyarrow as pa  # noqa: PLC0415 - it made the column, so it is here

        kind = column.type
        if not column.null_count:
            if pa.types.is_integer(kind) and kind != pa.uint64():
                return column.to_numpy().astype(np.int64)  # type: ignore[no-any-return]
            if pa.types.is_timestamp(kind):
                return np.floor_divide(column.view(pa.int64()).to_numpy(), _UNITS[kind.unit])  # type: ignore[no-any-return]
            if pa.types.is_date32(kind):
                return column.view(pa.int32()).to_numpy().astype(np.int64) * _DAY  # type: ignore[no-any-return]
        column = column.to_pylist()
    if set(map(type, column)) == {int}:
        try:
            return np.array(column, dtype=np.int64)
        except OverflowError:
            pass  # the first that is too large is found below
    return np.array([need_time(time, place(at)) for at, time in enumerate(column)], dtype=np.int64)
