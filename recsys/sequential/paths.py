"""What people did in order: from interactions, and from histories that come with a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.data import Csr, Interactions, csr
from recsys.ids import Vocabulary
from shared.errors import DataError
from shared.types import AnyArray, Int32, Int64


@dataclass(frozen=True, eq=False)
class Paths:
    """The items of some people, person after person, each from the oldest to the newest; an item may come again.

    Attributes:
        items: shape (n,), int32, codes of items.
        starts: shape (people + 1,), int64, never falling: person p has ``items[starts[p]:starts[p + 1]]``.

    Example:
        >>> paths = Paths(np.array([4, 1, 4], dtype=np.int32), np.array([0, 2, 3]))
        >>> len(paths), paths.newest(1).items.tolist()
        (2, [1, 4])
    """

    items: Int32
    starts: Int64

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def lengths(self) -> Int64:
        """How many items each person has, shape (people,)."""
        found: Int64 = np.diff(self.starts)
        return found

    @cached_property
    def people(self) -> Int32:
        """Whose each item is, shape (n,)."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)

    @cached_property
    def ages(self) -> Int64:
        """How many items of the same person are newer, shape (n,): 0 for the newest."""
        found: Int64 = self.starts[1:][self.people] - 1 - np.arange(len(self.items))
        return found

    def take(self, people: AnyArray) -> Paths:
        """The paths of some people, in the order in which they are named."""
        lengths = self.lengths[people]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(starts[-1]) + np.repeat(self.starts[:-1][people] - starts[:-1], lengths)
        return Paths(self.items[places], starts)

    def newest(self, count: int) -> Paths:
        """At most that many of each person's newest items."""
        return self._kept(self.ages < count)

    def without_newest(self, count: int | Int64) -> Paths:
        """All but that many of each person's newest items, or of person p ``count[p]``; a path may become empty."""
        return self._kept(self.ages >= np.broadcast_to(count, len(self))[self.people])

    def _kept(self, kept: AnyArray) -> Paths:
        lengths = np.bincount(self.people[kept], minlength=len(self))
        return Paths(self.items[kept], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    def last(self) -> Int32:
        """The newest item of each person, shape (people,), int32; -1 for an empty path."""
        found = np.full(len(self), -1, dtype=np.int32)
        some = self.lengths > 0
        found[some] = self.items[self.starts[1:][some] - 1]
        return found

    def padded(self, width: int) -> Int32:
        """The newest ``width`` of each person from column 0 on, shape (people, width), int32; -1 after the last."""
        short = self.newest(width)
        found = np.full((len(self), width), -1, dtype=np.int32)
        found[short.people, np.arange(len(short.items)) - short.starts[:-1][short.people]] = short.items
        return found

    def matrix(self, width: int) -> Csr:
        """CSR, shape (people, width), float32: for each item of a path the place from 1 where it last came."""
        places = np.arange(len(self.items)) - self.starts[:-1][self.people] + 1
        keys = self.people.astype(np.int64) * width + self.items
        found, at = np.unique(keys[::-1], return_index=True)  # the first of the reversed is the newest
        rows, columns = np.divmod(found, width)
        values = places[::-1][at].astype(np.float32)
        return csr(rows.astype(np.int32), columns.astype(np.int32), values, (len(self), width))


def order(interactions: Interactions) -> tuple[Vocabulary, Vocabulary, Paths]:
    """The users and items that interact at all, and what each user did in order.

    Order goes by time; interactions of one user at one time, and all where no times are known, go by row. Items come
    with the most users first and then by id, so that ties rank by popularity whatever the order of rows.

    Raises:
        DataError: there are no interactions.
    """
    if not len(interactions):
        raise DataError("a model needs at least one interaction. Got none: was the data filtered or split too far?")
    rows = np.arange(len(interactions))
    clock = rows if interactions.times is None else interactions.times
    rows = np.lexsort((rows, clock, interactions.users))
    width = len(interactions.item_ids)
    pairs = np.unique(interactions.users.astype(np.int64) * width + interactions.items)
    counts = np.bincount(pairs % width, minlength=width)
    popular = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    place = np.full(width, -1, dtype=np.int32)
    place[popular] = np.arange(len(popular))
    active, lengths = np.unique(interactions.users, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    users = Vocabulary("user", interactions.user_ids.decode(active))
    items = Vocabulary("item", interactions.item_ids.decode(popular))
    return users, items, Paths(place[interactions.items[rows]], starts)


def once(interactions: Interactions) -> Interactions:
    """The same with each pair once, the latest staying: what models take that know no order.

    Where times are equal, or none are known, the row that stands last is the latest.
    """
    rows = np.arange(len(interactions))
    clock = rows if interactions.times is None else interactions.times
    newest = np.lexsort((rows, clock))[::-1]
    keys = interactions.users.astype(np.int64) * len(interactions.item_ids) + interactions.items
    _, first = np.unique(keys[newest], return_index=True)
    return interactions.take(np.sort(newest[first]))


def read_paths(arrays: Mapping[str, AnyArray], people: int, width: int) -> Paths:
    """The paths that a model was saved with, checked.

    Raises:
        DataError: they are missing, or no paths of so many people over so many items.
    """
    items, starts = arrays.get("paths.items"), arrays.get("paths.starts")
    if items is None or starts is None or items.dtype != np.int32 or starts.dtype != np.int64:
        raise DataError("a sequential model must have paths.items (int32) and paths.starts (int64)")
    fits = starts.shape == (people + 1,) and items.ndim == 1 and starts[0] == 0 and starts[-1] == len(items)
    if not fits or (np.diff(starts) < 0).any() or (items.size and not 0 <= items.min() <= items.max() < width):
        raise DataError(f"paths must be those of {people} people over {width} items")
    return Paths(items, starts)


def from_matrix(histories: Csr) -> Paths:
    """Paths from histories whose values tell the order: the lower came earlier; equal ones go by column."""
    rows = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    found = np.lexsort((histories.indices, histories.data, rows))
    return Paths(histories.indices[found].astype(np.int32), histories.indptr.astype(np.int64))
