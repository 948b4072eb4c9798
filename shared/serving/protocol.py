"""What comes before a body, within bounds of bytes and of time: uvicorn's protocol over httptools has none of its own.

Without them one connection that sends header lines for ever takes memory for ever, and one that sends nothing is kept
for ever. Faults of HTTP itself are told in the one form of errors too.
"""

from __future__ import annotations

import asyncio
import http
import os
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.serving.faults import error_body


class HttpProtocol(HttpToolsProtocol):
    """One connection.

    Attributes:
        head_bytes: of a request line with its headers, of a chunk's line, or of trailers at most; more get 431. What
            came in the same piece from the system as the last of them is taken too.
        head_seconds: from a request's first byte, or from the connection's begin, to the end of its headers; then 408,
            or without a word where nothing came.
    """

    head_bytes: ClassVar[int] = 65_536
    head_seconds: ClassVar[float] = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See :class:`asyncio.Protocol`."""
        super().connection_made(transport)
        self._unfinished = 0
        self._late: asyncio.TimerHandle | None = None
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        self._unfinished += len(data)
        super().data_received(data)
        if self._unfinished > self.head_bytes and not self.transport.is_closing():
            self._refuse(431, "head-too-large", f"a request's headers must have at most {self.head_bytes:,} bytes")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        if self._late is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """The end of its headers."""
        self._unfinished = 0
        self._in_time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Its end."""
        self._unfinished = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Tell a fault of HTTP, and close."""
        self._refuse(400, "bad-http", f"a request must be HTTP/1.1 (RFC 9112). {msg}")

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.head_seconds, self._too_late)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait()  # a request before this one still waits for its answer
        elif self._unfinished:
            self._refuse(408, "slow-head", f"a request's headers must come within {self.head_seconds:g} s")
        else:
            self.transport.close()

    def _refuse(self, status: int, kind: str, message: str) -> None:
        """Answer at once and close, unless the answer to an earlier request is on its way."""
        self._in_time()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = error_body(kind, message, os.urandom(12).hex())
            line = b"HTTP/1.1 %d %b\r\n" % (status, http.HTTPStatus(status).phrase.encode())
            length = b"content-length: %d\r\n" % len(body)
            headers = b"content-type: application/json\r\n" + length + b"connection: close\r\n\r\n"
            self.transport.write(line + headers + body)
        self.transport.close()
