"""A file of equal vectors, read through memory and written in place, so that what is wiped leaves no copy behind.

Stores keep it beside an index that says what each slot holds. Search is exact: every vector is compared.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float32

_BYTES = 4
_NUMBERS = 1 << 18
"""Of the vectors in one product with a single query: few enough for BLAS to keep it in one thread. Waiting for others
costs more than they bring where memory is the bound, and far more on a busy machine."""


class VectorFile:
    """Slots of ``dimension`` float32 each. Whoever writes holds the lock of the store that the file belongs to.

    The file never shrinks, for another process may be reading it; wiped slots are zeros and are used again.

    Args:
        path: the file; made when missing.
        dimension: numbers in a slot.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        self.path, self.dimension = path, dimension
        self._size = dimension * _BYTES
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._view: Float32 = np.empty((0, dimension), np.float32)

    def read(self, count: int) -> Float32:
        """The first ``count`` slots, shape (count, dimension), read-only and without a copy.

        Raises:
            DataError: the file is shorter than that.
        """
        if len(self._view) < count:
            length = os.fstat(self._file).st_size // self._size * self._size
            if length < count * self._size:
                raise DataError(f"{self.path} must hold {count} vectors. It holds {length // self._size}")
            mapped = mmap.mmap(self._file, length, prot=mmap.PROT_READ)
            self._view = np.frombuffer(mapped, np.float32).reshape(-1, self.dimension)
        return self._view[:count]

    def write(self, slots: Sequence[int], vectors: AnyArray) -> None:
        """Put vectors into slots, and return when they are on the disk."""
        for slot, vector in zip(slots, np.ascontiguousarray(vectors, np.float32), strict=True):
            self._put(slot, vector.tobytes())
        os.fsync(self._file)

    def wipe(self, slots: Sequence[int]) -> None:
        """Write zeros over slots, and return when they are on the disk."""
        for slot in slots:
            self._put(slot, bytes(self._size))
        os.fsync(self._file)

    def wipe_from(self, slot: int) -> None:
        """Write zeros over whatever stands at and after a slot: vectors that no index ever named."""
        length = os.fstat(self._file).st_size
        begin = slot * self._size
        if length > begin and os.pread(self._file, length - begin, begin).strip(b"\0"):
            self._put(slot, bytes(length - begin))
            os.fsync(self._file)

    def dirty(self, slots: Sequence[int]) -> list[int]:
        """Those of the slots that hold anything but zeros."""
        return [slot for slot in slots if os.pread(self._file, self._size, slot * self._size).strip(b"\0")]

    def close(self) -> None:
        """Give the file back."""
        self._view = np.empty((0, self.dimension), np.float32)
        os.close(self._file)

    def _put(self, slot: int, content: bytes) -> None:
        at = slot * self._size
        while content:
            done = os.pwrite(self._file, content, at)
            content, at = content[done:], at + done


def check_unit(vectors: AnyArray, *, dimension: int, owner: str) -> Float32:
    """The vectors as float32, if they can be compared with those of a store.

    Args:
        vectors: shape (n, dimension), each of length 1 to within 0.001.
        dimension: of the store.
        owner: what the store is, in the singular, for messages.

    Raises:
        UsageError: they have another shape or another length.
    """
    found = np.asarray(vectors, np.float32)
    if found.ndim != 2 or found.shape[1] != dimension:
        raise UsageError(f"embeddings of this {owner} must have shape (n, {dimension}). Got {found.shape} instead")
    lengths = np.linalg.norm(found, axis=1)
    if not np.allclose(lengths, 1, atol=1e-3):
        raise UsageError(f"embeddings must be of unit length. Got lengths {lengths[:5].tolist()} instead")
    return found


def similarities(queries: Float32, known: Float32) -> Float32:
    """Every query times every known vector.

    Args:
        queries: shape (n, dimension).
        known: shape (slots, dimension).

    Returns:
        Shape (n, slots), float32.

    Example:
        >>> similarities(np.float32([[1, 0]]), np.float32([[0, 1], [1, 0]])).tolist()
        [[0.0, 1.0]]
    """
    if len(queries) > 1:
        return queries @ known.T
    found = np.empty((len(queries), len(known)), np.float32)
    rows = max(1, _NUMBERS // known.shape[1])
    for begin in range(0, len(known), rows):
        np.matmul(queries, known[begin : begin + rows].T, out=found[:, begin : begin + rows])
    return found
