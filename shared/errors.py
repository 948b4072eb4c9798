"""Every error that Triptych raises on purpose, as one tree.

::

    TriptychError
    ├── UsageError                 an argument is wrong (also a ValueError)
    │   └── UnknownNameError       a name that nothing answers to; lists the nearest known ones (also a LookupError)
    ├── InputError                 one item cannot be used: corrupt, empty, wrong type, too large (also a ValueError)
    ├── DataError                  a data set or a results folder is malformed (also a ValueError)
    │   └── PlanMismatchError      a batch folder was begun under another plan
    ├── PredictError               items of a prediction failed; ``failures`` names each
    ├── MissingDependencyError     an extra is not installed; says the pip command (also an ImportError)
    ├── BackendError               a runtime refused a model or a batch (also a RuntimeError)
    │   └── ServiceError           a server did not answer, or with a fault of its own; see ``status``, ``kind``
    └── WeightsError               a model file cannot be had (also an OSError)
        ├── SourceError            one source did not answer with the file
        ├── HashMismatchError      bytes came, and they are not the ones that the card names
        ├── UnsafeArchiveError     an archive member has a path, a type or a size that is refused
        └── OfflineError           the file is not here and ``TRIPTYCH_OFFLINE`` forbids fetching it

Each message says what was expected, what came and what to do. ``exit_code`` is what the command ends with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from shared.types import Failure


class TriptychError(Exception):
    """The root of the tree."""

    exit_code: ClassVar[int] = 1


class UsageError(TriptychError, ValueError):
    """An argument is wrong: the call can be mended by whoever wrote it."""

    exit_code = 2


class UnknownNameError(UsageError, LookupError):
    """A name of a model, task, label or id that nothing answers to.

    Args:
        what: what kind of thing was looked for, in the singular (``"model"``).
        name: the name that came.
        known: the names that exist; the nearest are listed in the message.
        more: what else the message is to say.

    Example:
        >>> raise UnknownNameError("task", "vision.detect", ["vision.detection", "nlp.classification"])
        Traceback (most recent call last):
        ...
        shared.errors.UnknownNameError: no task is called 'vision.detect'. Nearest: vision.detection
    """

    def __init__(self, what: str, name: str, known: Iterable[str], more: str = "") -> None:
        self.what, self.name, self.known = what, name, sorted(known)
        near = difflib.get_close_matches(name, self.known, n=5, cutoff=0.5)
        if near:
            hint = "Nearest: " + ", ".join(near)
        elif self.known:
            shown = ", ".join(self.known[:12])
            hint = f"Known: {shown}" + (f" and {len(self.known) - 12} more" if len(self.known) > 12 else "")
        else:
            hint = f"No {what} is known here at all"
        super().__init__(f"no {what} is called {name!r}. {hint}{more}")


class InputError(TriptychError, ValueError):
    """One item cannot be used.

    Args:
        kind: a short stable name of the fault, for example ``"corrupt"``, ``"empty"``, ``"too-large"``,
            ``"wrong-type"``, ``"not-found"``, ``"unsupported"``.
        message: what was expected, what came, what to do.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class DataError(TriptychError, ValueError):
    """A data set, a model folder or a results folder is malformed."""

    exit_code = 2


class PlanMismatchError(DataError):
    """A batch folder was begun under another plan (other inputs, model or options)."""


class PredictError(TriptychError):
    """Items of a prediction failed; the rest were fine.

    Attributes:
        failures: one :class:`shared.types.Failure` for each failing item, in order.
    """

    def __init__(self, failures: Sequence[Failure], total: int) -> None:
        self.failures = tuple(failures)
        shown = "; ".join(f"item {f.index}: [{f.kind}] {f.message}" for f in self.failures[:10])
        more = f"; and {len(self.failures) - 10} more" if len(self.failures) > 10 else ""
        super().__init__(
            f"{len(self.failures)} of {total} items failed: {shown}{more}. "
            "Pass on_error='keep' to get a Failure in the place of each."
        )


class MissingDependencyError(TriptychError, ImportError):
    """An optional dependency is not installed."""

    exit_code = 3


class BackendError(TriptychError, RuntimeError):
    """A runtime refused a model or a batch."""

    exit_code = 3


class ServiceError(BackendError):
    """A server did not answer, or answered that it cannot.

    Args:
        message: what was expected, what came, what to do.
        status: of HTTP; 0 where no answer came.
        kind: the server's stable name of the fault, or ``"unreachable"``, ``"broken-off"``, ``"not-triptych"``.
        request_id: by which the server's log knows the request; empty where no answer came.
    """

    def __init__(self, message: str, *, status: int = 0, kind: str = "unreachable", request_id: str = "") -> None:
        self.status, self.kind, self.request_id = status, kind, request_id
        super().__init__(message)


class WeightsError(TriptychError, OSError):
    """A model file cannot be had."""

    exit_code = 3


class SourceError(WeightsError):
    """One source did not answer with the file; the next one is tried."""


class HashMismatchError(WeightsError):
    """Bytes came, and their sha256 is not the one that the card names. They were deleted."""


class UnsafeArchiveError(WeightsError):
    """An archive member has a path, a type or a size that is refused."""


class OfflineError(WeightsError):
    """The file is not on this machine and ``TRIPTYCH_OFFLINE`` forbids fetching it."""
