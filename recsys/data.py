"""Who did what with which item, how much and when: from records and frames in memory.

Files, folders and queries are read by :func:`recsys.load_interactions`; the rules are the same for all, and stand in
``docs/recommendation.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from recsys.duplicates import DUPLICATES, Duplicates
from recsys.gathering import Chunk, gather
from recsys.interactions import Csr, Interactions, csr, read_csr
from shared.errors import DataError

__all__ = [
    "DUPLICATES",
    "Csr",
    "Duplicates",
    "Interactions",
    "csr",
    "from_frame",
    "from_records",
    "read_csr",
]
_ROWS = 65_536
"""Records that are held as Python objects at once."""


def from_records(
    records: Iterable[Sequence[Any]], *, duplicates: Duplicates = "last", source: str = ""
) -> Interactions:
    """Interactions from ``(user, item)``, ``(user, item, value)`` or ``(user, item, value, time)``.

    The records are taken as a stream: what is kept of each is 20 bytes, and each id once.

    Args:
        records: all of one length. Ids are ``str``, ``int`` or of any other hashable kind (see :mod:`recsys.ids`) and
            are kept in that type, one type for users and one for items. A missing value is 1. Values and times are as
            in :mod:`recsys.values`.
        duplicates: what to do with a pair that comes again: ``"last"`` keeps the latest by time, and among equal times
            (or without times) the one that stands last; ``"sum"`` and ``"mean"`` join the values under the latest
            time; ``"error"`` refuses; ``"keep"`` leaves every row, for the models of :mod:`recsys.sequential` alone.
        source: where they came from, for messages.

    Raises:
        DataError: there are no records, or one is malformed; the message names it by its place from 1.

    Example:
        >>> from_records([("ann", "tea", 5), ("bob", "tea", 3), ("bob", "rice", 4)])
        <Interactions 3 of 2 users with 2 items>
    """
    return gather(_chunks(records), duplicates=duplicates, source=source, whole=source or "the records")


def from_frame(
    frame: Any,
    *,
    user: str = "user",
    item: str = "item",
    value: str | None = None,
    time: str | None = None,
    duplicates: Duplicates = "last",
) -> Interactions:
    """Interactions from a pandas or Polars data frame, a pyarrow table, or anything whose columns have ``to_numpy()``.

    The frame is taken a slice of rows at a time. Categories, nullable types and dates with time zones are read as what
    they stand for; categories that no row has are no ids.

    Args:
        frame: one row an interaction.
        user: column of user ids, as in :func:`from_records`.
        item: column of item ids.
        value: column of values; ``None`` counts each row as 1.
        time: column of times: whole seconds, dates or datetimes, which become seconds, or the text of either.
        duplicates: as in :func:`from_records`.

    Raises:
        DataError: a column is missing or holds something else; the message names the row from 1 as a record.
    """
    from recsys.frames import frame_chunks  # noqa: PLC0415 - it knows pyarrow

    chunks = frame_chunks(frame, user=user, item=item, value=value, time=time)
    return gather(chunks, duplicates=duplicates, source="a data frame", whole="a data frame")


def _chunks(records: Iterable[Sequence[Any]]) -> Iterator[Chunk]:
    held: list[Sequence[Any]] = []
    width, number = 0, 0
    for number, record in enumerate(records, 1):
        width = width or len(record)
        if len(record) != width or not 2 <= width <= 4:
            if held:
                yield _chunk(held, width, number - 1 - len(held))  # a fault before this one is told first
            raise DataError(
                f"record {number} must be (user, item[, value[, time]]), all of one length. Got {record!r} instead"
            )
        held.append(record)
        if len(held) == _ROWS:
            yield _chunk(held, width, number - _ROWS)
            held = []
    if held:
        yield _chunk(held, width, number - len(held))


def _chunk(held: list[Sequence[Any]], width: int, before: int) -> Chunk:
    columns: list[Any] = [*zip(*held), None, None]
    return Chunk(columns[0], columns[1], columns[2] if width > 2 else None, columns[3] if width > 3 else None, before)
