"""How fond each group of people is of each item: an age, a gender, an occupation as evidence beside the history."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from recsys.data import Csr, csr
from recsys.features import Features
from recsys.ids import Vocabulary
from shared.types import AnyArray, Float32, Float64, Int32

QUANTILES = 7
"""How many groups a column of numbers is cut into, as equal in size as ties allow."""
_PRIOR = 5.0
"""People that each group and item is thought to have had beside those seen, at the item's overall popularity."""


def number_groups(values: Float32, count: int = QUANTILES) -> Int32:
    """The group of each number, cut at quantiles: shape (n,), int32; -1 where the number is NaN.

    Example:
        >>> number_groups(np.array([9, 1, np.nan, 5], dtype=np.float32), 2).tolist()
        [1, 0, -1, 1]
    """
    known = ~np.isnan(values)
    found = np.full(len(values), -1, dtype=np.int32)
    if known.any():
        edges = np.unique(np.quantile(values[known], np.arange(1, count) / count))
        found[known] = np.searchsorted(edges, values[known], side="right")
    return found


def person_groups(features: Features | None, users: Vocabulary) -> Int32:
    """The group of each person in each column: shape (columns, users), int32; -1 where nothing is known.

    Categories are groups as they are, numbers are cut by :func:`number_groups`; tags and texts are passed over.

    Args:
        features: of people; ``None`` gives no columns.
        users: whose groups are wanted.

    Raises:
        DataError: nothing is known of anybody, or ids are of another type.
    """
    if features is None:
        return np.zeros((0, len(users)), dtype=np.int32)
    known = features.for_ids(users)
    rows = [one.codes for one in known.categories.values()]
    rows += [number_groups(one) for one in known.numbers.values()]
    return np.stack(rows).astype(np.int32) if rows else np.zeros((0, len(users)), dtype=np.int32)


def lift_tables(groups: Int32, histories: Csr) -> list[Float32]:
    """For each column of groups how much more of its people have an item than popularity leads to expect.

    lift = ln((n + 5) / (e + 5)), n the people of the group who have the item, e what they would be if the group's share
    of the item were its share of all interactions.

    Args:
        groups: shape (columns, users), as :func:`person_groups` gives them.
        histories: CSR, shape (users, items).

    Returns:
        For each column shape (groups + 1, items), float32; the last row, of people without a group, is 0.
    """
    return [_lifts(codes, histories) for codes in groups]


def _lifts(codes: Int32, histories: Csr) -> Float32:
    ones = histories.copy()
    ones.data = np.ones_like(ones.data)
    total = np.asarray(ones.sum(axis=0), dtype=np.float64).ravel()
    member = np.flatnonzero(codes >= 0).astype(np.int32)
    count = int(codes.max(initial=-1)) + 1
    choice = csr(codes[member], member, np.ones(len(member), dtype=np.float32), (count, histories.shape[0]))
    had: AnyArray = (choice @ ones).toarray().astype(np.float64)
    share = had.sum(axis=1, keepdims=True) / max(1.0, float(total.sum()))
    table = np.zeros((count + 1, histories.shape[1]), dtype=np.float32)
    table[:count] = np.log((had + _PRIOR) / (share * total + _PRIOR))
    return table


def candidate_lifts(tables: list[Float32], groups: Int32, chosen: Int32) -> Iterator[Float64]:
    """The lift of each candidate for each person, shape (n, c), column by column.

    Args:
        tables: by :func:`lift_tables`.
        groups: shape (columns, n), the groups of these people.
        chosen: shape (n, c), codes of items.
    """
    for table, codes in zip(tables, groups):
        yield np.take_along_axis(table[codes], chosen, axis=1).astype(np.float64)
