"""An image from an address that somebody asked for: bounded in size, time, redirects and kind."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import httpx

from shared.errors import InputError
from shared.settings import offline

MAX_BYTES = 32 * 1024 * 1024
DEADLINE = 30.0
"""Seconds for the whole exchange."""
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_REDIRECTS = 5


def fetch(address: str) -> bytes:
    """The body behind an ``http(s)`` address.

    At most 5 redirects are followed, each again to ``http(s)``; the answer must call itself an image (or a plain
    stream of bytes), hold at most 32 MiB and be complete within 30 seconds.

    Raises:
        InputError: ``refused`` (another scheme, or ``TRIPTYCH_OFFLINE``), ``unreachable``, ``wrong-type`` (no image),
            or ``too-large``.
    """
    if offline():
        raise InputError("refused", f"TRIPTYCH_OFFLINE forbids fetching {_shown(address)}: unset it, or give a file")
    end = time.monotonic() + DEADLINE
    try:
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
            for _ in range(_REDIRECTS + 1):
                if urlsplit(address).scheme.lower() not in ("http", "https"):
                    raise InputError(
                        "refused", f"an address must begin with http:// or https://. Got {_shown(address)}"
                    )
                with client.stream("GET", address, headers={"Accept": "image/*"}) as response:
                    if response.next_request is None:
                        return _body(response, _shown(address), end)
                    address = str(response.next_request.url)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("unreachable", f"{_shown(address)} must answer with an image. It did not: {error}") from error
    raise InputError("unreachable", f"{_shown(address)} must answer within {_REDIRECTS} redirects. It did not")


def _body(response: httpx.Response, address: str, end: float) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise InputError("unreachable", f"{address} must answer with an image. It answered {response.status_code}")
    kind = response.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind not in ("application/octet-stream", "binary/octet-stream"):
        raise InputError("wrong-type", f"{address} must answer with an image. It answered with {kind}")
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise InputError("too-large", f"an image must hold at most {MAX_BYTES:,} bytes. {address} sends more")
        if time.monotonic() > end:
            raise InputError("unreachable", f"{address} must send its image within {DEADLINE:.0f} s. It did not")
    return bytes(body)


def _shown(address: str) -> str:
    """The address without a user's name and password, and without a query that may hold a secret."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
