"""Interactions as everything else takes them: codes, values and times beside the outside ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import csr_matrix

from recsys.ids import Vocabulary
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Bool, Float32, Int32, Int64

Csr: TypeAlias = Any
"""A ``scipy.sparse.csr_matrix``."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions of users with items, each pair at most once unless they were read with ``duplicates="keep"``.

    Use :func:`from_records`, :func:`from_frame` or :func:`recsys.load_interactions` to make one.

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
