"""From items to the JSON of requests, and from answers to results and errors of ours: the pure part of a client."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from shared.errors import InputError, PredictError, ServiceError, TriptychError, UnknownNameError, UsageError
from shared.predictor import OnError
from shared.tasks import find_task
from shared.types import Failure, Result

MOST_BYTES = 8 * 2**20
"""Bytes of items that one request carries, an item at least."""


def written(item: object) -> bytes:
    """An item as JSON.

    A path, bytes and a PIL image are pictures; a list is the history of a person; everything else is JSON as it is.

    Raises:
        InputError: ``"not-found"``, there is no such file; ``"unreadable"``, it cannot be read; ``"wrong-type"``, JSON
            has no word for it.

    Example:
        >>> written(b"GIF8"), written([3, "a"]), written("ho")
        (b'{"base64":"R0lGOA=="}', b'{"history":[3,"a"]}', b'"ho"')
    """
    if isinstance(item, Path):
        item = _content(item)
    elif isinstance(item, Image.Image):
        file = io.BytesIO()
        item.save(file, "PNG", compress_level=1)
        item = file.getvalue()
    if isinstance(item, bytes | bytearray | memoryview):
        return b'{"base64":"%b"}' % base64.b64encode(item)
    return as_json({"history": item} if isinstance(item, list | tuple) else item)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError("not-found", f"a picture must be a file. Nothing stands at {path}") from error
    except OSError as error:
        raise InputError(
            "unreadable", f"a picture must be a file that can be read. {path}: {error.strerror}"
        ) from error


def as_json(value: object) -> bytes:
    """A value as JSON in UTF-8.

    Raises:
        InputError: JSON has no word for it.
    """
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError("wrong-type", f"an item must be a picture, or JSON in UTF-8. {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"Got a {type(value).__name__}")


def revived(task: str, given: Any) -> Result:
    """The result in an answer. The task is imported where its results are not known yet.

    Raises:
        ServiceError: the answer holds no result that is known here.
    """
    if not isinstance(given, dict):
        raise ServiceError(f"{task}: an answer must hold a result. Got {str(given)[:200]}", kind="not-triptych")
    try:
        try:
            return Result.from_json(given)
        except UnknownNameError:
            find_task(task)
            return Result.from_json(given)
    except (TriptychError, TypeError, ValueError) as error:
        message = f"{task}: the server's result cannot be read here, so its version may be another. {error}"
        raise ServiceError(message, status=200, kind="not-triptych") from error


def fault(status: int, given: Any, address: str) -> TriptychError:
    """The error of an answer that is none: the caller's as such, the item's as such, the server's as such."""
    error = given.get("error") if isinstance(given, Mapping) else None
    if not isinstance(error, Mapping) or not all(isinstance(error.get(name), str) for name in ("kind", "message")):
        hint = "Is something else listening there?"
        return ServiceError(
            f"{address} answered {status}, not as Triptych does. {hint}", status=status, kind="not-triptych"
        )
    kind, message = error["kind"], error["message"]
    if status == 422:
        return InputError(kind, message)
    if status in (400, 404, 405, 413, 415):
        return UsageError(f"{address} answered {status} {kind}: {message}")
    request_id = str(error.get("request_id", ""))
    more = f" (request {request_id})" if request_id else ""
    return ServiceError(
        f"{address} answered {status} {kind}: {message}{more}", status=status, kind=kind, request_id=request_id
    )


def late_status(given: Any) -> int:
    """The status that an error has which comes after the answer's own."""
    kind = given.get("error", {}).get("kind") if isinstance(given, dict) else None
    return 500 if kind in (None, "model-failed", "internal", "timeout", "overloaded") else 422


def path_of(task: str, more: str = "") -> str:
    return f"/v1/tasks/{quote(task, safe='')}{more}"


def body_of(items: bytes, model: str | None, options: Mapping[str, Any] | None) -> bytes:
    parts = [items]
    if model is not None:
        parts.append(b'"model":' + as_json(model))
    if options:
        parts.append(b'"options":' + as_json(dict(options)))
    return b"{%b}" % b",".join(parts)


def attempt(item: object) -> bytes | InputError:
    try:
        return written(item)
    except InputError as error:
        return error


def together(items: Iterable[bytes | InputError], size: int) -> Iterator[list[bytes | InputError]]:
    """As many items together as one request carries."""
    batch: list[bytes | InputError] = []
    held = 0
    for item in items:
        length = len(item) if isinstance(item, bytes) else 0
        if batch and (len(batch) == size or held + length > MOST_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(item)
        held += length
    if batch:
        yield batch


def checked(results: Iterator[Any], on_error: OnError) -> Generator[Any, None, None]:
    for count, result in enumerate(results, 1):
        if on_error == "raise" and isinstance(result, Failure):
            raise PredictError([result], count)
        yield result


def check_on_error(on_error: str) -> None:
    if on_error not in ("raise", "keep"):
        raise UsageError(f"on_error must be 'raise' or 'keep'. Got {on_error!r} instead")
