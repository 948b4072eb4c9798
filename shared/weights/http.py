"""Bytes over the network: short time-outs, downloads that go on where they stopped, and no secret in any message."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from shared.errors import OfflineError, SourceError
from shared.settings import offline
from shared.weights.cache import write_bytes, writing
from shared.weights.progress import reporting
from shared.weights.words import human, masked

CONNECT_SECONDS = 3.0
LOOK_UPS = 2
"""How often a name is looked up, each time for so long: a question or an answer can get lost on the way, and a resolver
may wait five seconds before it asks again."""
READ_SECONDS = 5.0
"""A stall this long breaks a download off; it is then gone on with, so that short stalls cost little."""
UNREACHABLE_SECONDS = 60.0
"""How long a host that did not answer is not asked again, so that ten files do not wait ten times."""
_ATTEMPTS = 5
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_unreachable: dict[str, float] = {}


def new_client(**options: Any) -> httpx2.Client:
    """A client with our time-outs that follows redirects, over ``https`` or to this machine only."""
    hooks = {"request": [lambda request: check_scheme(str(request.url))]}
    return httpx2.Client(timeout=timeouts(), follow_redirects=True, event_hooks=hooks, **options)


def timeouts(read: float | None = None) -> httpx2.Timeout:
    """Seconds that each step may take; ``read`` other than :data:`READ_SECONDS` where given."""
    return httpx2.Timeout(read or READ_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)


def check_scheme(url: str, trusted: frozenset[str] = frozenset()) -> None:
    """Refuse plain ``http`` except to this machine and to hosts that its owner trusts.

    Raises:
        SourceError: it is refused.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or (parts.scheme == "http" and not _is_trusted(parts.hostname, trusted)):
        raise SourceError(f"{masked(url)} is refused: plain http to another machine can be read and changed on the way")


def _is_trusted(host: str | None, trusted: frozenset[str]) -> bool:
    return host is not None and (host in _LOOPBACK or host in trusted)


@contextmanager
def answering(url: str, *, direct: bool = True) -> Iterator[None]:
    """Map what can go wrong while ``url`` is asked, and do not ask again a host that did not answer just now.

    Args:
        url: the address.
        direct: whether this machine itself looks the host's name up, rather than a proxy that the client was given.

    Raises:
        OfflineError: ``TRIPTYCH_OFFLINE`` is set.
        SourceError: the host did not answer, now or within the last minute, or broke off.
    """
    if offline():
        raise OfflineError(f"TRIPTYCH_OFFLINE is set, so {masked(url)} was not asked")
    host = _host(url)
    since = time.monotonic() - _unreachable.get(host, float("-inf"))
    if since < UNREACHABLE_SECONDS:
        raise SourceError(f"{host} did not answer {since:.0f} seconds ago and was not asked again")
    try:
        if direct:
            _look_up(url)
        yield
    except (httpx2.ConnectError, httpx2.TimeoutException) as error:
        _unreachable[host] = time.monotonic()
        raise SourceError(f"{host} did not answer ({_reason(error)})") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise SourceError(f"{host} broke off ({_reason(error)})") from error


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _look_up(url: str) -> None:
    """Find the host's address in bounded time: the system's own resolver may wait much longer."""
    host = urlsplit(url).hostname or ""
    if urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return
    answers: list[object] = []
    answered = threading.Event()

    def ask() -> None:
        try:
            answers.append(socket.getaddrinfo(host, None))
        except (OSError, UnicodeError) as error:
            answers.append(error)
        answered.set()

    for _ in range(LOOK_UPS):
        threading.Thread(target=ask, daemon=True).start()
        if answered.wait(CONNECT_SECONDS):
            break
    else:
        raise httpx2.ConnectTimeout(f"no address for it within {LOOK_UPS * CONNECT_SECONDS:.0f} seconds")
    if isinstance(answers[0], Exception):
        raise httpx2.ConnectError(f"no address for it: {answers[0]}") from answers[0]


def _reason(error: Exception) -> str:
    return masked(str(error)) or type(error).__name__


def check_status(response: httpx2.Response, *wanted: int) -> None:
    """Raise a :class:`~shared.errors.SourceError` that says what an unwanted status means."""
    if response.status_code in wanted:
        return
    hints = {
        401: "it wants credentials, or other ones",
        403: "it refuses; credentials or an accepted licence may be needed",
        404: "it has no such file",
        429: "it has been asked too often; try later",
    }
    hint = hints.get(response.status_code, "it failed" if response.status_code >= 500 else response.reason_phrase)
    raise SourceError(f"{masked(str(response.url))} answered {response.status_code}: {hint}")


def download(
    client: httpx2.Client,
    url: str,
    target: Path,
    *,
    what: str,
    limit: int,
    size: int | None = None,
    start: int = 0,
    headers: Mapping[str, str] | None = None,
    progress: bool = True,
    direct: bool = True,
) -> None:
    """Bring an address's bytes to ``target``, going on where an earlier call or a broken connection stopped.

    An unfinished file is gone on with when the server's validator (a strong ``ETag``, or ``Last-Modified``) says that
    it is still the same (``If-Range``, RFC 9110), or where the caller knows the length and checks the hash; otherwise
    it is begun anew.

    Args:
        client: what asks.
        url: the address.
        target: the file; beside it ``NAME.from`` remembers the validator while it is unfinished.
        what: the name that people see.
        limit: bytes after which the download is broken off.
        size: the exact length, where known.
        start: first byte of the address's content that is wanted; ``size`` must be given with it.
        headers: further request headers.
        progress: whether to tell on standard error.
        direct: as in :func:`answering`.

    Raises:
        OfflineError: ``TRIPTYCH_OFFLINE`` is set.
        SourceError: the server did not answer, broke off repeatedly, or offers another length.
        WeightsError: the disk is full or cannot be written.
    """
    part = _Part(url, target, start, size, limit)
    for attempt in range(1, _ATTEMPTS + 1):
        before = part.resumable()
        try:
            with answering(url, direct=direct):
                _bring(client, part, headers or {}, what if progress else "")
            return
        except SourceError as error:
            broke_off = isinstance(error.__cause__, httpx2.HTTPError) and part.resumable() > before
            if not broke_off or attempt == _ATTEMPTS:
                raise
            _unreachable.pop(_host(url), None)


class _Part:
    """An unfinished file and the validator of what it was taken from."""

    def __init__(self, url: str, target: Path, start: int, size: int | None, limit: int) -> None:
        self.url, self.target, self.start, self.size, self.limit = url, target, start, size, limit
        self.note = target.with_name(target.name + ".from")
        self._identity = [masked(url), start, size]

    def resumable(self) -> int:
        """Bytes that are here and may be gone on with."""
        same, validator = self._noted()
        safe = same and (validator or self.size is not None)
        return self.target.stat().st_size if safe and self.target.is_file() else 0

    def validator(self) -> str:
        """What the server said to recognise the content by, or empty."""
        return self._noted()[1]

    def _noted(self) -> tuple[bool, str]:
        """Whether the note is about this same request, and the validator in it."""
        try:
            note = json.loads(self.note.read_text("utf-8"))
            return note["of"] == self._identity, str(note["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            return False, ""

    def begin(self, response: httpx2.Response) -> None:
        """Start anew: no byte of the old content may meet the new note."""
        self.target.unlink(missing_ok=True)
        etag = response.headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        write_bytes(self.note, json.dumps({"of": self._identity, "validator": validator}).encode())

    def finish(self) -> None:
        """Check the length and drop the note."""
        if self.size is not None and self.target.stat().st_size != self.size:
            raise SourceError(f"{masked(self.url)} ended after {self.target.stat().st_size} of {self.size} bytes")
        self.note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Drop everything."""
        self.target.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _bring(client: httpx2.Client, part: _Part, headers: Mapping[str, str], what: str) -> None:
    have = part.resumable()
    if part.size is not None and have == part.size:
        part.finish()
        return
    asked = dict(headers) | {"Accept-Encoding": "identity"}
    first, last = part.start + have, "" if part.size is None else part.start + part.size - 1
    ranged = bool(have or part.start)
    if ranged:
        asked["Range"] = f"bytes={first}-{last}"
    if have and part.validator():
        asked["If-Range"] = part.validator()
    with client.stream("GET", part.url, headers=asked) as response:
        outgrown = response.status_code == 416 and have > 0
        if not outgrown:
            check_status(response, 206 if part.start else 200, *([206] if ranged else []))
            _take_in(response, part, first, what)
    if outgrown:
        part.discard()
        _bring(client, part, headers, what)
        return
    part.finish()


def _take_in(response: httpx2.Response, part: _Part, first: int, what: str) -> None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceError(f"{masked(part.url)} came compressed although the plain bytes were asked for")
    have = first - part.start
    if response.status_code == 206:
        _check_range(response, part, first)
    else:
        have = 0
    total = _check_length(response, part, have)
    if have == 0:
        part.begin(response)
    most = part.limit if part.size is None else part.size
    with (
        reporting(what, total=total, start=have, enabled=bool(what)) as tell,
        writing(part.target, part.target, part.note),
        part.target.open("ab", buffering=0) as sink,
    ):
        for piece in response.iter_raw():
            have += len(piece)
            if have > most:
                part.discard()
                raise SourceError(f"{masked(part.url)} sent more than the {most} bytes that were expected")
            sink.write(piece)
            tell(len(piece))


def _check_range(response: httpx2.Response, part: _Part, first: int) -> None:
    stated = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", stated)
    if not found or int(found[1]) != first:
        part.discard()
        raise SourceError(f"{masked(part.url)} was asked for bytes from {first} and answered {stated!r}")


def _check_length(response: httpx2.Response, part: _Part, have: int) -> int | None:
    """The length in all that the answer announces, refused at once where it cannot be right."""
    stated = response.headers.get("Content-Length", "")
    if not stated.isdigit():
        return part.size
    total, most = have + int(stated), part.limit if part.size is None else part.size
    if total > most or (part.size is not None and total != part.size):
        part.discard()
        raise SourceError(f"{masked(part.url)} offers {human(total)} ({total} bytes); {most} bytes were expected")
    return total
