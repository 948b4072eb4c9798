"""What goes wrong over HTTP: one error with a status, a stable kind and a message, and one JSON form for all.

4xx are the caller's faults, 5xx ours. The form is ``{"error": {"kind", "message", "request_id"}}``.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from shared.errors import DataError, MissingDependencyError, TriptychError, UnknownNameError, UsageError, WeightsError

CALLERS = frozenset({"UsageError", "UnknownNameError"})
"""Classes of ours that an item raises when it is the item's own fault, beside :class:`~shared.errors.InputError`."""
LONGEST = 2000
"""Characters of a message at most: it may repeat what the caller sent."""
CLOSED = 499
"""The status in logs and metrics of a request whose client went away before its answer."""


class HttpError(TriptychError):
    """A request that ends without a result.

    Args:
        status: of HTTP.
        kind: a short stable name.
        message: what was expected, what came, what to do.
        headers: further headers of the answer.
        close: whether the connection must end with it, because the rest of its request will not be read.
    """

    def __init__(
        self, status: int, kind: str, message: str, *, headers: Mapping[str, str] | None = None, close: bool = False
    ) -> None:
        shown = message if len(message) <= LONGEST else message[:LONGEST] + " ..."
        self.status, self.kind, self.message, self.close = status, kind, shown, close
        self.headers = dict(headers or {})
        super().__init__(shown)


class ClientGone(Exception):  # noqa: N818 - no fault: there is nobody left to answer
    """The client went away."""


def error_body(kind: str, message: str, request_id: str) -> bytes:
    """The one JSON form of an error.

    Example:
        >>> error_body("unknown-task", "no task is called that", "r1")
        b'{"error":{"kind":"unknown-task","message":"no task is called that","request_id":"r1"}}'
    """
    return orjson.dumps({"error": {"kind": kind, "message": message, "request_id": request_id}})


def is_callers(kind: str) -> bool:
    """Whether a failed item is at fault itself: its kind is an InputError's, in lower case, or one of our classes'."""
    return kind[:1].islower() or kind in CALLERS


def of_item(kind: str, message: str) -> HttpError:
    """The fault of a request whose one item failed."""
    if is_callers(kind):
        return HttpError(422, "unknown-name" if kind == "UnknownNameError" else kind, message)
    return HttpError(500, "model-failed", "the model failed on this item. The log has the cause under the request id")


def of_error(error: TriptychError) -> HttpError:
    """The fault of a request that an error of ours ended."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, UnknownNameError):
        return HttpError(404, f"unknown-{error.what.split(' ', maxsplit=1)[0]}", str(error))
    if isinstance(error, UsageError | DataError):
        return HttpError(400, "bad-request", str(error))
    if isinstance(error, MissingDependencyError | WeightsError):
        return HttpError(503, "unavailable", str(error))
    return HttpError(500, "internal", "something failed here. The log has the cause under the request id")


def too_busy(seconds: float, message: str, *, kind: str = "overloaded") -> HttpError:
    """429 with ``Retry-After`` in whole seconds."""
    return HttpError(429, kind, message, headers={"retry-after": str(max(1, round(seconds + 0.5)))})
