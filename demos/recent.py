"""A few things that are kept by name over all visitors: those that were asked for last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class Recent(Generic[K, V]):
    """What was asked for last, by its key. Threads may share it.

    Attributes:
        most: how many are kept, at least 1.
        left: is given each value that is let go because others were asked for since.

    Example:
        >>> kept = Recent[str, int](2, left=print)
        >>> kept.put("a", 1), kept.put("b", 2), kept.get("a"), kept.put("c", 3)
        2
        (None, None, 1, None)
        >>> kept.get("b"), kept.values()
        (None, [1, 3])
    """

    most: int
    left: Callable[[V], object] | None = None
    _kept: OrderedDict[K, V] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def get(self, key: K) -> V | None:
        """What has this key, or ``None``; it is now the last that was asked for."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value, in the place of what had its key; those asked for longest ago go where there are too many."""
        with self._lock:
            gone = self._put(key, value)
        self._let_go(gone)

    def made(self, key: K, make: Callable[[], V]) -> V:
        """What has this key; ``make`` gives it where there is none, while all others wait."""
        with self._lock:
            value = self._kept[key] if key in self._kept else make()
            gone = self._put(key, value)
        self._let_go(gone)
        return value

    def drop(self, key: K) -> None:
        """Forget what has this key, if it is still here; ``left`` is not told."""
        with self._lock:
            self._kept.pop(key, None)

    def values(self) -> list[V]:
        """All of them, the one asked for longest ago first."""
        with self._lock:
            return list(self._kept.values())

    def _put(self, key: K, value: V) -> list[V]:
        self._kept[key] = value
        self._kept.move_to_end(key)
        return [self._kept.popitem(last=False)[1] for _ in range(len(self._kept) - self.most)]

    def _let_go(self, gone: list[V]) -> None:
        """Told without the lock, so that nobody waits for a value that takes its time to go."""
        if self.left is not None:
            for value in gone:
                self.left(value)
