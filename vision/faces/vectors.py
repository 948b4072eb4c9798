"""A file of equal vectors, read through memory and written in place, so that what is wiped leaves no copy behind."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.errors import DataError
from shared.types import AnyArray, Float32

_BYTES = 4


class VectorFile:
    """Slots of ``dimension`` float32 each. Whoever writes holds the lock of the store that the file belongs to.

    The file never shrinks, for another process may be reading it; wiped slots are zeros and are used again.

    Args:
        path: the file; made when missing.
        dimension: numbers in a slot.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        self.dimension = dimension
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
                raise DataError(f"a gallery's vectors must have {count} slots. Their file holds {length // self._size}")
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
        """Write zeros over whatever stands at and after a slot: vectors whose enrolment never came to its end."""
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
