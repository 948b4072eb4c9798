"""Many visitors at once: each is answered, and with what was asked by nobody else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from demos.library import books

SESSIONS = 20


async def asked(client: Any, endpoint: str, *data: Any) -> list[Any]:
    event = (await client.post(f"gradio_api/call/{endpoint}", json={"data": data})).json()["event_id"]
    told = (await client.get(f"gradio_api/call/{endpoint}/{event}")).text
    assert "event: complete" in told, told
    line = next(line for line in told.splitlines() if line.startswith("data: ["))
    found: list[Any] = json.loads(line.removeprefix("data: "))
    return found


def at_once(address: str, endpoint: str, given: list[list[Any]]) -> list[list[Any]]:
    import httpx

    async def all_of_them() -> list[list[Any]]:
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            return await asyncio.gather(*(asked(client, endpoint, *data) for data in given))

    return asyncio.run(all_of_them())


def test_twenty_sessions_are_answered_each_with_its_own(address: str) -> None:
    picked = [book for book in books() if book.id != "emma"][:SESSIONS]
    found = at_once(address, "recommend", [[["emma", book.id], "EASE"] for book in picked])
    assert len(found) == SESSIONS
    for book, (result, answer, *_) in zip(picked, found):
        assert f"Emma and {book.title}" in answer
        assert book.id not in result["items"]


@pytest.mark.weights
def test_twenty_texts_at_once_each_as_if_alone(address: str) -> None:
    texts = [f"Visitor {number} found it {'a delight' if number % 2 else 'dreadful'}." for number in range(SESSIONS)]
    found = at_once(address, "text", [[text, "Sentiment", ""] for text in texts])
    best = [result["labels"][0] for result, *_ in found]
    assert best == ["negative", "positive"] * (SESSIONS // 2)
