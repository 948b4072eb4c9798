"""One server over HTTP: requests that are sent again while that helps, and answers that are none as errors of ours."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2

from shared.errors import ServiceError, UsageError
from shared.serving.requests import fault

COME_AGAIN = frozenset({429, 502, 503})
"""Statuses that say that the same request may be answered later."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds before the second try, doubled before each further one up to the longest."""


class Connection:
    """Where a :class:`~shared.serving.client.Client` sends its requests; the arguments are the client's."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        http: httpx2.Client,
        retries: int,
        longest_wait: float,
        rng: random.Random,
        sleep: Callable[[float], object],
    ) -> None:
        self.base_url, self.http = base_url, http
        self._headers, self._retries, self._longest_wait = dict(headers), retries, longest_wait
        self._rng, self._sleep = rng, sleep

    def sent(self, method: str, path: str, body: bytes | None = None, *, fine: Sequence[int] = ()) -> httpx2.Response:
        """A whole answer that is one, sent for again while that helps."""
        with self.open(method, path, body, fine=fine, whole=True) as response:
            return response

    @contextmanager
    def open(
        self, method: str, path: str, body: bytes | None, *, fine: Sequence[int] = (), whole: bool = False
    ) -> Iterator[httpx2.Response]:
        """An answer whose body is still to come, unless ``whole``."""
        address = self.base_url + path
        for attempt in range(self._retries + 1):
            response: httpx2.Response | None = None
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * (0.5 + self._rng.random() / 2)
            error: Exception
            try:
                request = self.http.build_request(method, address, content=body, headers=self._headers)
                response = self.http.send(request, stream=True)
                good = response.status_code < 300 or response.status_code in fine
                if whole or not good:
                    response.read()
            except httpx2.InvalidURL as invalid:
                raise UsageError(f"base_url must be an address. {address}: {invalid}") from invalid
            except httpx2.TransportError as lost:
                if response is not None:
                    response.close()
                what = f"{address} gave no answer ({str(lost) or type(lost).__name__})"
                error = ServiceError(what, kind="timeout" if isinstance(lost, httpx2.ReadTimeout) else "unreachable")
                error.__cause__ = lost
                again = not isinstance(lost, httpx2.ReadTimeout)
            else:
                if good:
                    try:
                        yield response
                    finally:
                        response.close()
                    return
                response.close()
                error = fault(response.status_code, parsed(response.text), address)
                asked = response.headers.get("retry-after", "")
                seconds = float(asked) if asked.isdigit() else 0.0
                pause = max(pause, seconds)
                again = response.status_code in COME_AGAIN and seconds <= self._longest_wait
            if not again or attempt == self._retries:
                raise error
            self._sleep(pause)


def part_of(response: httpx2.Response, name: str) -> Any:
    """One part of an answer's JSON object.

    Raises:
        ServiceError: the answer is no such object.
    """
    found = parsed(response.text)
    if not isinstance(found, dict) or name not in found:
        raise fault(response.status_code, None, str(response.url))
    return found[name]


def parsed(text: str) -> Any:
    """JSON, or ``None``."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
