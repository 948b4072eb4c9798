"""The clients of bench/serving.py, in a process of their own: ``serving_client.py JSON`` prints what they counted.

Plain HTTP/1.1 over asyncio with httptools' parser: clients share the processors with what they measure, and one made
of a library costs more processor time a request than a good server does.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop

CLIENTS = 64
PATIENCE = 60.0
LONG = 100_000
"""Characters of a long text, as many as an item may have."""
TEXTS = [
    "a delight from start to end",
    "dull and far too long, with a plot that goes nowhere for two hours",
    "not as bad as they say",
    "the acting is fine, the music is better, and the last ten minutes are worth the ticket alone",
]


def bodies(task: str, *, long: bool = False) -> list[bytes]:
    """What is sent: 200 texts of 15 to 30 tokens, one of :data:`LONG` characters, or two pictures."""
    if long:
        text = " ".join(f"{text}, they say for the {n}th time." for n in range(999) for text in TEXTS)
        return [json.dumps({"item": text[:LONG]}).encode()]
    if task.startswith("nlp."):
        return [
            json.dumps({"item": f"{text}, they say for the {n}th time"}).encode() for n in range(50) for text in TEXTS
        ]
    from PIL import Image
    from sklearn.datasets import load_sample_image

    found = []
    for name, side in (("china.jpg", 320), ("flower.jpg", 400)):
        file = io.BytesIO()
        Image.fromarray(load_sample_image(name)).resize((side, side * 3 // 4)).save(file, "JPEG", quality=85)
        found.append(json.dumps({"item": {"base64": base64.b64encode(file.getvalue()).decode()}}).encode())
    return found


class Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self) -> None:
        self.open = False
        self._answer: asyncio.Future[str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._end("lost")

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.open = False
            self._transport.close()
        self._end(str(self._parser.get_status_code()))

    async def ask(self, request: bytes) -> str:
        """The status of the answer, or ``lost``."""
        self._answer = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)
        late = asyncio.get_running_loop().call_later(PATIENCE, self._transport.abort)
        try:
            return await self._answer
        finally:
            late.cancel()

    def _end(self, outcome: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(outcome)


async def count(
    url: str, task: str, *, seconds: float, rate: float, clients: int, long: bool = False
) -> dict[str, Any]:
    """Closed loop: so many clients, each with one request after the other. With a rate: open loop, however many."""
    place, loop = urlsplit(url), asyncio.get_running_loop()
    head = f"POST {place.path} HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-type: application/json\r\ncontent-length: "
    sent = [head.encode() + b"%d\r\n\r\n" % len(body) + body for body in bodies(task, long=long)]
    took: dict[str, list[float]] = {}

    async def one(connection: Connection | None, number: int) -> tuple[Connection | None, str]:
        began, outcome = time.perf_counter(), "not-connected"
        try:
            if connection is None or not connection.open:
                _, connection = await loop.create_connection(Connection, place.hostname, place.port)
            outcome = await connection.ask(sent[number % len(sent)])
        except OSError:
            connection = None
        took.setdefault(outcome, []).append(time.perf_counter() - began)
        return connection, outcome

    async def keep(until: float, number: int) -> None:
        connection: Connection | None = None
        while time.perf_counter() < until:
            connection, outcome = await one(connection, number)
            number += 1
            if outcome == "not-connected":
                return
            if outcome in ("429", "503"):
                await asyncio.sleep(0.05)

    free: list[Connection | None] = []

    async def once(number: int) -> None:
        connection, _ = await one(free.pop() if free else None, number)
        free.append(connection)

    began, used = time.perf_counter(), time.process_time()
    if not rate:
        await asyncio.gather(*(keep(began + seconds, n) for n in range(clients)))
    else:
        running, number = [], 0
        while (now := time.perf_counter() - began) < seconds:
            while number < now * rate:
                running.append(asyncio.ensure_future(once(number)))
                number += 1
            await asyncio.sleep(0.002)
        await asyncio.gather(*running)
    whole, used = time.perf_counter() - began, time.process_time() - used
    good, refused = sorted(took.get("200", [0.0])), sorted(took.get("429", [0.0]))
    return {
        "counts": {outcome: len(times) for outcome, times in took.items()},
        "rate": len(took.get("200", ())) / whole,
        "client_cpu": 1000 * used / max(1, sum(map(len, took.values()))),
        "p50": 1000 * good[len(good) // 2],
        "p99": 1000 * good[int(0.99 * (len(good) - 1))],
        "refused_p50": 1000 * refused[len(refused) // 2],
        "refused_p99": 1000 * refused[int(0.99 * (len(refused) - 1))],
    }


def begin(
    url: str, task: str, *, seconds: float, rate: float = 0.0, clients: int = CLIENTS, long: bool = False
) -> subprocess.Popen[bytes]:
    """A process of clients that has begun; :func:`counted` waits for its end."""
    asked = {"url": url, "task": task, "seconds": seconds, "rate": rate, "clients": clients, "long": long}
    return subprocess.Popen([sys.executable, __file__, json.dumps(asked)], stdout=subprocess.PIPE)


def counted(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What clients counted."""
    found: dict[str, Any] = json.loads(process.communicate()[0])
    return found


def load(url: str, task: str, **options: Any) -> dict[str, Any]:
    """Both, one after the other."""
    return counted(begin(url, task, **options))


if __name__ == "__main__":
    print(json.dumps(uvloop.run(count(**json.loads(sys.argv[1])))))
