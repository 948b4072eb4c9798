"""Which of the places that weights may come from answer on this machine, asked all at once and briefly."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
from huggingface_hub.constants import ENDPOINT

from shared.errors import WeightsError
from shared.weights import http, index
from shared.weights.pipconfig import pip_settings
from shared.weights.words import masked


@dataclass(frozen=True)
class Reached:
    """What one place said.

    Attributes:
        what: ``"package index"``, ``"find-links"`` or ``"model hub"``.
        where: its address, without secrets.
        answers: whether it can be used.
        said: the time it took, or what is wrong.
    """

    what: str
    where: str
    answers: bool
    said: str


def survey() -> list[Reached]:
    """Ask the package indexes of pip's configuration and the model hub. Nothing is fetched.

    Each is given a few seconds; a place that cannot be used is a row, not an error.
    """
    try:
        settings = pip_settings()
        client = index.open_client(settings)
    except WeightsError as error:
        return [Reached("package index", "pip's configuration", False, str(error)), _hub()]
    with client, ThreadPoolExecutor(8) as pool:
        hub = pool.submit(_hub)
        rows = list(pool.map(lambda place: _place(client, place, direct=not settings.proxy), index.places(settings)))
        return [*rows, hub.result()]


def _place(client: httpx2.Client, place: index.Place, *, direct: bool) -> Reached:
    what = "package index" if place.kind == "index" else "find-links"
    if urlsplit(place.url).scheme not in ("http", "https"):
        there = index.is_local_place(place.url)
        return Reached(what, masked(place.url), there, "" if there else "there is no such folder; it is passed over")
    # an index's first page may be very long or refused; one project's page is what is asked for in earnest
    url = place.url.rstrip("/") + "/pip/" if place.kind == "index" else place.url
    return _asked(what, place.url, lambda: client.stream("GET", url, timeout=http.timeouts()), direct=direct)


def _hub() -> Reached:
    url = os.environ.get("HF_ENDPOINT") or ENDPOINT
    with http.new_client() as client:
        return _asked("model hub", url, lambda: client.stream("HEAD", url), direct=True)


def _asked(what: str, url: str, ask: Callable[[], AbstractContextManager[httpx2.Response]], *, direct: bool) -> Reached:
    began = time.monotonic()
    try:
        with http.answering(url, direct=direct), ask() as response:
            if response.status_code >= 400 and response.status_code != 404:
                http.check_status(response)
    except WeightsError as error:
        return Reached(what, masked(url), False, str(error))
    return Reached(what, masked(url), True, f"{time.monotonic() - began:.2f} s")
