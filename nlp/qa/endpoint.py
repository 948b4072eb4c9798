"""A client of any OpenAI-compatible endpoint: chat completions as a stream of server-sent events.

The key is read from ``OPENAI_API_KEY`` when a request is made and sent in its header alone: it stands in no message,
log or error. Redirects are refused, so it goes to the address that was named and to no other.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nlp.qa.generate import Message
from shared.errors import OfflineError, SourceError, UsageError
from shared.lazy import require
from shared.settings import offline

KEY = "OPENAI_API_KEY"
CONNECT_SECONDS, READ_SECONDS = 10.0, 120.0
MOST_LINE = 1 << 20
"""Bytes of one event at most."""
MOST_TOKENS = 700
_LOCAL = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?(?:/|$)")


@dataclass(frozen=True)
class Endpoint:
    """A language model behind an address. Call it with messages; it gives the answer in pieces.

    Attributes:
        address: base address, ``https://host/v1``; plain ``http://`` for this machine only.
        model: name of the model; ``None`` takes the first that the endpoint lists.
        temperature: 0 for the likeliest words.
        connect_seconds: to wait for a connection.
        read_seconds: to wait between pieces.

    Raises:
        UsageError: the address is not of that form, or has a user name in it.
    """

    address: str
    model: str | None = None
    temperature: float = 0.0
    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float = READ_SECONDS

    def __post_init__(self) -> None:
        host = self.address.partition("://")[2].partition("/")[0]
        if "@" in host or not host or not (self.address.startswith("https://") or _LOCAL.match(self.address)):
            raise UsageError(
                "an endpoint must be https://host/v1 without a user name, or http:// on this machine. "
                f"Got {host!r} after {self.address.partition(':')[0]}: instead; its key belongs into {KEY}"
            )

    def __call__(self, messages: Sequence[Message]) -> Iterator[str]:
        """Ask.

        Raises:
            OfflineError: ``TRIPTYCH_OFFLINE`` forbids it.
            SourceError: the endpoint cannot be reached, refuses, is silent too long, or answers in another protocol.
            UsageError: the address leads to no chat endpoint, or the model is not there.
        """
        if offline():
            raise OfflineError(f"{self.address} must not be asked: TRIPTYCH_OFFLINE is set. Unset it first")
        httpx = require("httpx2", extra="all")
        limits = httpx.Timeout(self.read_seconds, connect=self.connect_seconds)
        headers = {"Authorization": f"Bearer {os.environ[KEY]}"} if os.environ.get(KEY) else {}
        with self._faults(httpx), httpx.Client(timeout=limits, headers=headers, follow_redirects=False) as client:
            asked = {
                "model": self.model or self._first(client),
                "messages": list(messages),
                "temperature": self.temperature,
                "max_tokens": MOST_TOKENS,
                "stream": True,
            }
            with client.stream("POST", self._at("chat/completions"), json=asked) as answer:
                self._check(answer)
                yield from self._pieces(answer)

    def _first(self, client: Any) -> str:
        answer = client.get(self._at("models"))
        self._check(answer)
        try:
            return str(answer.json()["data"][0]["id"])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise SourceError(f"{self.address} must list its models. Name one instead (--generate-model)") from error

    def _pieces(self, answer: Any) -> Iterator[str]:
        """The text of each event; a server that does not stream answers whole."""
        if "text/event-stream" not in answer.headers.get("content-type", ""):
            answer.read()
            yield self._text(answer.text, "message")
            return
        ended = False
        for line in answer.iter_lines():
            if len(line) > MOST_LINE:
                raise SourceError(f"{self.address} sent an event of more than {MOST_LINE:,} bytes")
            if not line.startswith("data:"):
                continue
            event = line.removeprefix("data:").strip()
            if event == "[DONE]":
                ended = True
                break
            yield self._text(event, "delta")
        if not ended:
            raise SourceError(f"{self.address} broke off in the middle of its answer: ask again")

    def _text(self, event: str, part: str) -> str:
        try:
            choices = json.loads(event)["choices"]
            return str(choices[0][part].get("content") or "") if choices else ""
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise SourceError(
                f"{self.address} must answer as an OpenAI-compatible endpoint does. Got {event[:80]!r} instead"
            ) from error

    def _check(self, answer: Any) -> None:
        status = answer.status_code
        if status < 300:
            return
        answer.read()
        said = " ".join(answer.text.split())[:200]
        if status in (301, 302, 303, 307, 308):
            raise SourceError(f"{self.address} redirects, which is refused: name the address that it leads to")
        if status in (401, 403):
            raise SourceError(f"{self.address} refuses the key (HTTP {status}): set {KEY} to one that it accepts")
        if status in (404, 405):
            raise UsageError(f"{self.address} must be an endpoint's base, ending in /v1 mostly (HTTP {status}: {said})")
        raise SourceError(f"{self.address} answered HTTP {status}: {said}")

    def _at(self, path: str) -> str:
        return f"{self.address.rstrip('/')}/{path}"

    @contextmanager
    def _faults(self, httpx: Any) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise SourceError(
                f"{self.address} was silent for too long ({self.connect_seconds:g} s to connect, "
                f"{self.read_seconds:g} s between pieces)"
            ) from error
        except httpx.HTTPError as error:
            raise SourceError(f"{self.address} cannot be reached: {type(error).__name__}. Is it running?") from error
