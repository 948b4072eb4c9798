"""The isolation boundary around what must not end the work beside it: a tracker, or one look of a watch."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType


class Outlived:
    """While it is entered, an exception of any kind is kept and goes no further; an interrupt does.

    Args:
        told: hears of the first exception.

    Attributes:
        error: the last exception, or ``None``.

    Example:
        >>> faults = Outlived(lambda error: print("said once:", error))
        >>> for _ in range(2):
        ...     with faults:
        ...         raise OSError("no answer")
        said once: no answer
        >>> faults.error
        OSError('no answer')
    """

    def __init__(self, told: Callable[[Exception], object] = lambda error: None) -> None:
        self.error: Exception | None = None
        self._told = told

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        first, self.error = self.error is None, error
        if first:
            self._told(error)
        return True
