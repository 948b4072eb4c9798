"""Codes of whole numbers in an array at the numbers' own places: a look-up without a Python object for each row."""

from __future__ import annotations

import numpy as np

from shared.types import Int32, Int64

WIDEST = 1 << 25
"""Places at most (128 MB): numbers that lie further apart are left to a dictionary. Pages that no number falls into are
never touched, so a table of few numbers costs little however wide it is."""


class DirectCodes:
    """A code for each number that was learnt, as long as all lie within :data:`WIDEST` places.

    Example:
        >>> table = DirectCodes()
        >>> table.look(np.array([1007, 1009])).tolist()
        [-1, -1]
        >>> table.learn(np.array([1009]), np.array([3], dtype=np.int32))
        >>> table.look(np.array([1007, 1009, 1009])).tolist()
        [-1, 3, 3]
    """

    def __init__(self) -> None:
        self._next = np.zeros(0, dtype=np.int32)
        """The code + 1 at each place; 0 where none is known, so that the system need not fill what is not used."""
        self._low = 0

    def look(self, numbers: Int64) -> Int32 | None:
        """The code of each number, shape (n,), -1 where it is not known; ``None`` where they lie too far apart.

        Args:
            numbers: shape (n,), int64, n at least 1.
        """
        if not self._reach(int(numbers.min()), int(numbers.max())):
            return None
        codes: Int32 = self._next[numbers - self._low] - np.int32(1)
        return codes

    def learn(self, numbers: Int64, codes: Int32) -> None:
        """Keep the code of each number, all of which :meth:`look` has reached."""
        self._next[numbers - self._low] = codes + np.int32(1)

    def _reach(self, low: int, high: int) -> bool:
        """Make room for numbers from ``low`` to ``high``, if that is possible."""
        held = len(self._next)
        first, last = (min(low, self._low), max(high, self._low + held - 1)) if held else (low, high)
        span = last - first + 1
        if span > WIDEST:
            return False
        if span > held:
            wider = np.zeros(min(WIDEST, max(span, 2 * held)), dtype=np.int32)
            begin = first if not held or first == self._low else last - len(wider) + 1  # more room where it grows
            if held:
                wider[self._low - begin : self._low - begin + held] = self._next
            self._next, self._low = wider, begin
        return True
