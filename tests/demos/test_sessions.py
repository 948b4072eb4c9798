"""Many visitors at once: each is answered, and with what was asked by nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from demos.library import books

SESSIONS = 20


def at_once(address: str, endpoint: str, given: list[list[Any]]) -> list[list[Any]]:
    """The answers, each request in a thread of its own: the browser tests hold this thread's event loop."""
    import httpx

    with httpx.Client(base_url=address, timeout=300) as client, ThreadPoolExecutor(len(given)) as threads:

        def asked(data: list[Any]) -> list[Any]:
            event = client.post(f"gradio_api/call/{endpoint}", json={"data": data}).json()["event_id"]
            told = client.get(f"gradio_api/call/{endpoint}/{event}").text
            assert "event: complete" in told, told
            line = next(line for line in told.splitlines() if line.startswith("data: ["))
            found: list[Any] = json.loads(line.removeprefix("data: "))
            return found

        return list(threads.map(asked, given))


def test_twenty_sessions_are_answered_each_with_its_own(address: str) -> None:
    picked = [book for book in books() if book.id != "emma"][:SESSIONS]
    found = at_once(address, "recommend", [[["emma", book.id], "EASE", 0.0, ""] for book in picked])
    assert len(found) == SESSIONS
    for book, (result, answer, *_) in zip(picked, found):
        assert f"Emma and {book.title}" in answer
        assert book.id not in result["items"]


@pytest.mark.weights
def test_twenty_texts_at_once_each_as_if_alone(address: str) -> None:
    texts = [f"Visitor {number} found it {'a delight' if number % 2 else 'dreadful'}." for number in range(SESSIONS)]
    found = at_once(address, "text", [[text, "Sentiment", "", None] for text in texts])
    best = [result["labels"][0] for result, *_ in found]
    assert best == ["negative", "positive"] * (SESSIONS // 2)


WATCH = """() => { window.told = new Set(); new MutationObserver(() => document.querySelectorAll('.meta-text').forEach(
  one => one.innerText.includes('queue:') && told.add(one.innerText.trim().split(' |')[0])
)).observe(document.body, { childList: true, characterData: true, subtree: true }); }"""


@pytest.mark.browser
@pytest.mark.weights
def test_who_waits_for_others_sees_the_place_in_the_queue(visit: Callable[..., Any]) -> None:
    pages = [visit().open("compare") for _ in range(3)]
    for page in pages:
        page.evaluate(WATCH)
    for page in pages:  # one data set is compared at a time
        page.get_by_role("button", name="Compare on 24 short reviews").click()
    for page in pages:
        page.locator(".forest:visible").wait_for()
    assert any(page.evaluate("[...told].some(one => /^queue: \\d\\/\\d/.test(one))") for page in pages)
