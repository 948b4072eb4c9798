"""Request bodies: read within a bound of bytes and of time, then JSON or the files of a form.

The bound is kept while the body comes, with or without ``Content-Length``. Small bodies are parsed where they are;
large ones in a thread, so that nobody else waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive, Scope

from shared.serving.config import Limits
from shared.serving.faults import ClientGone, HttpError

T = TypeVar("T")
SMALL = 32_768
"""Bytes up to which a body is parsed in the event loop."""


def header(scope: Scope, name: bytes) -> bytes:
    """A header's value, empty where it did not come; ``name`` in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return b""


async def read_body(scope: Scope, receive: Receive, limits: Limits, hold: Callable[[int], None]) -> bytes:
    """The whole body.

    Args:
        scope: of the request.
        receive: gives its body.
        limits: the bounds.
        hold: told of the bytes of each part; it may raise.

    Raises:
        HttpError: 400 a length that is none; 413 it is too long; 408 it came too slowly; 429 by ``hold``.
        ClientGone: the client left before its end.
    """
    stated = header(scope, b"content-length")
    if stated:
        if not stated.isdigit():
            raise HttpError(400, "bad-request", "Content-Length must be a whole number", close=True)
        if int(stated) > limits.max_body:
            raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            message = await receive()
            body = _part(message)
            hold(len(body))
            if not message.get("more_body", False):
                if len(body) > limits.max_body:
                    raise _too_large(limits)
                return body
            parts, size = [body], len(body)
            while message.get("more_body", False):
                if size > limits.max_body:
                    raise _too_large(limits)
                message = await receive()
                parts.append(_part(message))
                hold(len(parts[-1]))
                size += len(parts[-1])
            if size > limits.max_body:
                raise _too_large(limits)
            return b"".join(parts)
    except TimeoutError:
        raise HttpError(
            408, "slow-body", f"a body must come within {limits.body_seconds:g} s. It did not", close=True
        ) from None


async def parsed(body: bytes, parse: Callable[[], T]) -> T:
    """What ``parse`` makes of a body, in a thread where the body is large."""
    return parse() if len(body) <= SMALL else await asyncio.to_thread(parse)


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        HttpError: 400, it is none.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpError(400, "bad-json", f"a body must be JSON in UTF-8. {error}") from error
    if not isinstance(found, dict):
        raise HttpError(400, "bad-request", f"a body must be a JSON object. Got a {type(found).__name__} instead")
    return found


class _Form:
    """What python-multipart's parser tells, gathered."""

    def __init__(self, most: int) -> None:
        self.fields: dict[str, str] = {}
        self.files: list[bytes] = []
        self._most, self._parts = most, 0
        self._name, self._value, self._data = b"", b"", bytearray()
        self._headers: dict[bytes, bytes] = {}

    def begin(self) -> None:
        self._parts += 1
        if self._parts > self._most:
            raise HttpError(413, "too-many-items", f"a form must have at most {self._most} parts", close=True)
        self._headers, self._data = {}, bytearray()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options or name in ("file", "files"):
            self.files.append(bytes(self._data))
        else:
            self.fields[name] = bytes(self._data).decode("utf-8", "replace")


def read_form(content_type: bytes, body: bytes, limits: Limits) -> tuple[dict[str, str], list[bytes]]:
    """Fields and files of a ``multipart/form-data`` body, the files in order; their names are not looked at.

    Raises:
        HttpError: 400, it is malformed; 413, it has too many parts.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise HttpError(400, "bad-form", "a form must name its boundary in Content-Type")
    form = _Form(limits.max_items + 16)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.header_name,
                "on_header_value": form.header_value,
                "on_header_end": form.header_end,
                "on_part_data": form.data,
                "on_part_end": form.end,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise HttpError(400, "bad-form", f"a form must be multipart/form-data (RFC 7578). {error}") from error
    if not form.files and not form.fields:
        raise HttpError(400, "bad-form", "a form must have parts, and its end. It has none")
    return form.fields, form.files


def _part(message: Any) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientGone
    part: bytes = message.get("body", b"")
    return part


def _too_large(limits: Limits) -> HttpError:
    return HttpError(
        413, "body-too-large", f"a body must have at most {limits.max_body_mb:g} MiB. Send less at once", close=True
    )
