"""A server under mixed traffic for as long as wanted: what it answered, and its memory each minute.

    python bench/serving_soak.py --minutes 60

Four clients send texts, questions, people and pictures to four tasks, one at a time, in batches and as streams, with a
bad item among twenty and requests that end early. Memory at the end must be at most 5 % above that at ten minutes; the
exit code says whether it was, and whether only items at fault failed. Ten minutes or less say nothing of memory.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from shared.errors import InputError, TriptychError
from shared.serving import Client
from shared.types import Failure

TASKS = ("nlp.classification", "nlp.ner", "nlp.qa", "vision.classification")
WORDS = [
    "the",
    "a",
    "long",
    "river",
    "bread",
    "of",
    "Ada",
    "Lovelace",
    "London",
    "wrote",
    "notes",
    "in",
    "1843",
    "delight",
    "dull",
    "far",
    "from",
    "start",
    "to",
    "end",
]
SETTLED = 10
"""Minutes after which memory is expected to stay."""
MOST = 1.05


def text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 80)))


def picture(rng: random.Random) -> bytes:
    sides = rng.randint(16, 640), rng.randint(16, 640)
    file = io.BytesIO()
    pixels = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (*sides, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, rng.choice(["JPEG", "PNG"]))
    return file.getvalue()


def item(task: str, rng: random.Random) -> Any:
    if rng.random() < 0.05:
        return rng.choice([3.5, "\ud800", b"no picture", {"x": 1}, None, "/etc/passwd" if "vision" in task else [[]]])
    if task == "vision.classification":
        return picture(rng)
    if task == "nlp.qa":
        return {"question": "Who wrote the notes?", "context": text(rng) + ". Ada Lovelace wrote the notes."}
    return text(rng)


def leave(url: str, rng: random.Random) -> None:
    """A request that nobody waits for."""
    body = {"item": item("nlp.classification", random.Random(rng.random()))}
    try:
        httpx2.post(f"{url}/v1/tasks/nlp.classification", json=body, timeout=0.002)
    except (httpx2.HTTPError, ValueError, TypeError):
        return


def traffic(url: str, tasks: list[str], seed: int, over: threading.Event, count: Callable[[str, str], None]) -> None:
    rng = random.Random(seed)
    with Client(url, retries=100) as client:
        while not over.is_set():
            task, way = rng.choice(tasks), rng.random()
            try:
                if way < 0.05:
                    leave(url, rng)
                    count(task, "left")
                elif way < 0.55:
                    client.predict(task, item(task, rng))
                    count(task, "answered")
                elif way < 0.9:
                    found = client.predict_many(
                        task, [item(task, rng) for _ in range(rng.randint(1, 24))], on_error="keep"
                    )
                    for one in found:
                        count(task, "refused" if isinstance(one, Failure) else "answered")
                else:
                    for _ in client.stream(task, item(task, rng)):
                        count(task, "answered")
            except InputError:
                count(task, "refused")
            except TriptychError as error:
                count(task, f"failed: {type(error).__name__} {str(error)[:160]}")


def megabytes(pid: int) -> float:
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    given = parser.parse_args()
    with tempfile.NamedTemporaryFile("w+") as log:
        words = ["serve", *given.tasks, "--port", "0", "--threads", str(given.threads)]
        server = subprocess.Popen(
            [sys.executable, "-c", "import sys; from shared.cli.main import main; sys.exit(main())", *words],
            stderr=log,
            text=True,
        )
        try:
            return soak(given, server, Path(log.name))
        finally:
            server.terminate()
            print(f"the server ended with {server.wait(60)}")


def soak(given: argparse.Namespace, server: subprocess.Popen[str], log: Path) -> int:
    url = address(log)
    with Client(url) as client:
        while not client.ready():
            if server.poll() is not None:
                sys.exit(log.read_text()[-2000:])
            time.sleep(0.2)
    counts: Counter[tuple[str, str]] = Counter()
    lock, over = threading.Lock(), threading.Event()

    def count(task: str, outcome: str) -> None:
        with lock:
            counts[task, outcome] += 1

    threads = [
        threading.Thread(target=traffic, args=(url, given.tasks, seed, over, count)) for seed in range(given.clients)
    ]
    for thread in threads:
        thread.start()
    began, memory = time.monotonic(), []
    print(f"minute 0: {megabytes(server.pid):.0f} MB, no request yet")
    for minute in range(1, max(1, round(given.minutes)) + 1):
        over.wait(max(0.0, began + 60 * minute - time.monotonic()))
        memory.append(megabytes(server.pid))
        print(f"minute {minute}: {memory[-1]:.1f} MB, {sum(counts.values())} items", flush=True)
    over.set()
    for thread in threads:
        thread.join(60)
    for (task, outcome), number in sorted(counts.items()):
        print(f"{task} {outcome}: {number}")
    settled = min(SETTLED, len(memory))
    ratio = memory[-1] / memory[settled - 1]
    print(f"memory at the end is {ratio:.3f} of that at minute {settled}; at most {MOST} may be")
    failed = sum(number for (_, outcome), number in counts.items() if outcome.startswith("failed"))
    print(f"{failed} items failed that were not at fault")
    return int(ratio > MOST or failed > 0 or server.poll() is not None)


def address(log: Path) -> str:
    for _ in range(600):
        found = re.search(r"http://\S+", log.read_text())
        if found:
            return found[0]
        time.sleep(0.1)
    sys.exit(f"the server never said where it answers: {log.read_text()[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
