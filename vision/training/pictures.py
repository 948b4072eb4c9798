"""The pictures of a training: each looked at once before it begins, the bad ones told and left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import DataError, InputError
from shared.settings import cpu_count
from shared.types import Int64, UInt8
from shared.weights.words import say
from vision.images import View, load_view

MEMORY = 2 * 1024**3
"""Bytes of decoded pictures that are kept; those beyond are decoded each time."""
_SHOWN = 10


@dataclass(frozen=True)
class Skipped:
    """A picture that is left out.

    Attributes:
        path: where it lies.
        kind: the fault's short name, as an :class:`~shared.errors.InputError` has it, or ``"annotation"``.
        message: what is wrong.
    """

    path: str
    kind: str
    message: str


class Pictures:
    """Decoded pictures at their working size, by position; made by :func:`sift`.

    Args:
        paths: where they lie.
        view: from height and width of an upright picture to the part that is used and its working size.
        memory: bytes of decoded pictures that are kept.
    """

    def __init__(self, paths: Sequence[str], view: Callable[[int, int], View], *, memory: int = MEMORY) -> None:
        self.paths = tuple(paths)
        self._view, self._left = view, memory
        self._kept: dict[str, tuple[UInt8, tuple[int, int]]] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int) -> tuple[UInt8, tuple[int, int]]:
        """The pixels, shape (rows, columns, 3), uint8, RGB, read only; and the height and width of the whole picture.

        Raises:
            InputError: it cannot be used.
        """
        path = self.paths[at]
        return self._kept[path] if path in self._kept else load_view(path, self._view)

    @property
    def kept(self) -> int:
        """How many are remembered."""
        return len(self._kept)

    def keep(self, at: int, loaded: tuple[UInt8, tuple[int, int]]) -> None:
        """Remember a picture, if there is room."""
        if loaded[0].nbytes <= self._left:
            self._left -= loaded[0].nbytes
            self._kept[self.paths[at]] = loaded

    def only(self, places: Sequence[int]) -> None:
        """Forget the other pictures; those that stay are counted anew."""
        self.paths = tuple(self.paths[at] for at in places)


def sift(
    paths: Sequence[str], view: Callable[[int, int], View], *, memory: int = MEMORY
) -> tuple[Pictures, Int64, list[Skipped]]:
    """Decode every picture once: the good ones, their positions in ``paths``, and the bad ones.

    The bad ones are told on standard error.

    Args:
        paths: where they lie.
        view: see :class:`Pictures`.
        memory: see :class:`Pictures`.

    Raises:
        DataError: none is good.
    """
    pictures = Pictures(paths, view, memory=memory)
    good: list[int] = []
    bad: list[Skipped] = []

    def attempt(at: int) -> tuple[UInt8, tuple[int, int]] | Skipped:
        try:
            return pictures[at]
        except InputError as error:
            return Skipped(paths[at], error.kind, str(error))

    with ThreadPoolExecutor(cpu_count(), "decode") as pool:
        for at, loaded in enumerate(pool.map(attempt, range(len(paths)))):
            if isinstance(loaded, Skipped):
                bad.append(loaded)
            else:
                good.append(at)
                pictures.keep(at, loaded)
    pictures.only(good)
    tell(bad, len(paths))
    return pictures, np.array(good, np.int64), bad


def tell(skipped: Sequence[Skipped], total: int) -> None:
    """Say which pictures are left out.

    Raises:
        DataError: none is left.
    """
    if not skipped:
        return
    shown = "; ".join(f"{item.path}: [{item.kind}] {item.message}" for item in skipped[:_SHOWN])
    more = f"; and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
    if len(skipped) == total:
        raise DataError(f"training needs pictures that can be read. None of {total} can: {shown}{more}")
    say(f"{len(skipped)} of {total} pictures are left out: {shown}{more}")


def skipped_rows(skipped: Sequence[Skipped]) -> list[dict[str, Any]]:
    """The pictures that are left out, for a report."""
    return [{"path": item.path, "kind": item.kind, "message": item.message} for item in skipped]
