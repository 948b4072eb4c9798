"""Hostile uploads: the server stays up and small, and says one thing to all of them."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import hostile_bodies  # noqa: F401 - it fills KINDS
import hostile_wire
import httpx
import pytest
import uploaded_pictures  # noqa: F401 - it fills KINDS
from hostile import KINDS, Answer, Attack, strike
from served_process import Process, process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc, which is Linux's")
LIMITS = "body_seconds = 0.5\nmax_body_mb = 4.0\nmax_pixels = 4000000\nqueue = 1000\nmax_queue_ms = 60000.0"
STATUSES = {
    "headers_without_end": (0, 431),
    "address_without_end": (0, 431),
    "trailers_without_end": (0, 431),
    "chunk_lines_without_end": (0, 431),
    "chunks_without_end": (0, 413),
    "png_of_50_000_a_side": (422,),
    "models_without_a_key": (403,),
}
"""What must come where another refusal would hide that a bound is gone."""


@pytest.fixture(scope="module")
def served() -> Iterator[Process]:
    with process(limits=LIMITS, head_seconds=0.5) as found:
        yield found


def fault_of(name: str, attack: Attack, answer: Answer) -> str:
    """What is wrong with an answer; nothing where it is right."""
    if answer.status == 0 or (answer.status == 200 and attack.may_pass):
        return ""
    found = answer.found
    error = found.get("error") if isinstance(found, dict) else None
    fine = isinstance(error, dict) and set(error) == {"kind", "message", "request_id"} and len(str(error)) < 4000
    return "" if 400 <= answer.status < 500 and fine else f"{name}: {answer.status} {str(found)[:300]}"


def alive(served: Process) -> bool:
    with httpx.Client(base_url=served.url, timeout=60, trust_env=False) as http:
        answer = http.post("/v1/tasks/toy.shouts", json={"item": "ho"})
        return served.popen.poll() is None and answer.json()["result"]["text"] == "HO!"


@pytest.mark.parametrize("name", [name for name in KINDS if not name.startswith(("slow", "nothing", "body_that"))])
def test_each_kind_of_harm_is_refused(served: Process, name: str) -> None:
    attack = KINDS[name](random.Random(name))
    answer = strike(*served.address, attack)
    assert not fault_of(name, attack, answer)
    assert answer.status in STATUSES.get(name, range(500))
    assert alive(served)


def test_what_comes_slowly_or_not_at_all_is_not_waited_for(served: Process) -> None:
    names = ["slow_body", "slow_head", "nothing_at_all", "body_that_stops"] * 2
    attacks = [KINDS[name](random.Random(n)) for n, name in enumerate(names)]
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(lambda attack: strike(*served.address, attack), attacks))
    assert not [fault for fault in map(fault_of, names, attacks, answers) if fault]
    assert answers[0].status == answers[1].status == 408


@pytest.mark.slow
def test_a_thousand_hostile_uploads() -> None:
    rng, names = random.Random(0), list(KINDS)
    drawn = [names[n % len(names)] for n in range(1000)]
    rng.shuffle(drawn)
    statuses: Counter[int] = Counter()
    with process(limits=LIMITS, head_seconds=0.5) as served:
        before = served.megabytes()
        for first in range(0, 1000, 200):
            attacks = [KINDS[name](rng) for name in drawn[first : first + 200]]
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda attack: strike(*served.address, attack, patience=60), attacks))
            statuses.update(answer.status for answer in answers)
            assert not [fault for fault in map(fault_of, drawn[first:], attacks, answers) if fault]
            assert alive(served)
            now, peak = served.megabytes(), served.megabytes("VmHWM")
            sys.stdout.write(f"{first + 200} uploads: {now:.0f} MB, before {before:.0f}, peak {peak:.0f}\n")
        sys.stdout.write(f"{dict(sorted(statuses.items()))}\n")
        assert served.megabytes() < before + 150
        assert served.megabytes("VmHWM") < before + 400


def test_large_bodies_together_have_a_bound_and_small_ones_pass() -> None:
    """Thirty bodies of 3 MB that never end, where 8 MB may be held: most hear 429 at once, and others are served."""
    limits = "body_seconds = 2.0\nmax_body_mb = 4.0\nmax_held_mb = 8.0"
    start = hostile_wire.head("content-length: 3100000")
    with process(limits=limits) as served:
        before = served.megabytes()
        together = threading.Barrier(30, timeout=60)

        def pieces() -> Iterator[bytes]:
            together.wait()  # all are connected, and come within the time that a body has
            yield start
            yield from [b" " * 100_000] * 30

        with ThreadPoolExecutor(30) as pool:
            answers = pool.map(lambda _: strike(*served.address, Attack(pieces(), pause=0.01)), range(30))
            assert alive(served)
            statuses = Counter(answer.status for answer in answers)
        assert set(statuses) <= {0, 408, 429}
        assert 1 <= statuses[408] <= 3
        assert served.megabytes("VmHWM") < before + 40
        assert alive(served)
