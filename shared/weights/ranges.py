"""A file on a server, read here and there by range requests, as a zip's directory is."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import httpx2

from shared.errors import SourceError
from shared.weights.http import answering, check_status
from shared.weights.words import masked

_TAIL = (1 << 16) + 22
"""A zip's last record and the longest comment after it: where reading a zip begins."""
_BLOCK = 1 << 16


class RangesRefusedError(SourceError):
    """The server does not answer with parts of a file."""


class RemoteFile(io.RawIOBase):
    """A file on a server, read in pieces by range requests, its end first: a zip's directory stands there.

    Args:
        client: what asks.
        url: the address.
        direct: as in :func:`shared.weights.http.answering`.

    Raises:
        RangesRefusedError: at the start, when the server does not do ranges.
        SourceError: it does not answer.
    """

    def __init__(self, client: httpx2.Client, url: str, *, direct: bool = True) -> None:
        self._client, self._url, self._direct, self._at = client, url, direct, 0
        self._start, self._held, self.size = self._ask(f"-{_TAIL}")

    def _ask(self, wanted: str) -> tuple[int, bytes, int]:
        headers = {"Range": f"bytes={wanted}", "Accept-Encoding": "identity"}
        with (
            answering(self._url, direct=self._direct),
            self._client.stream("GET", self._url, headers=headers) as response,
        ):
            check_status(response, 200, 206, 416, 501)
            found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
            if response.status_code != 206 or not found:
                raise RangesRefusedError(f"{masked(self._url)} does not answer with parts of a file")
            first, last, size = (int(part) for part in found.groups())
            content = b"".join(_bounded(response, last - first + 1))
        if len(content) != last - first + 1 or last >= size:
            raise SourceError(f"{masked(self._url)} sent {len(content)} bytes and called them {first}-{last} of {size}")
        return first, content, size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"a position must not be negative. Got {base + offset}")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        end = self.size if size < 0 else min(self.size, self._at + size)
        if end <= self._at:
            return b""
        if not self._start <= self._at <= end <= self._start + len(self._held):
            last = min(self.size, max(end, self._at + _BLOCK)) - 1
            self._start, self._held, _ = self._ask(f"{self._at}-{last}")
        content = self._held[self._at - self._start : end - self._start]
        self._at += len(content)
        return content


def _bounded(response: httpx2.Response, most: int) -> Iterator[bytes]:
    came = 0
    for piece in response.iter_raw():
        came += len(piece)
        if came > most:
            raise SourceError(f"{masked(str(response.url))} sent more than the {most} bytes that it announced")
        yield piece
