"""The queue before a model, without a model: what runs together, what is refused, what is dropped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from shared.serving.batching import Batcher, ServiceTime
from shared.serving.faults import HttpError
from shared.serving.telemetry import Tracing

T = TypeVar("T")


def run(scene: Coroutine[None, None, T]) -> T:
    """What a scene comes to, in a loop of a thread of its own: the browser tests hold this thread's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, scene).result()


class Held:
    """An answer that waits until it is let go, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.release()
        assert self.go.acquire(timeout=60)
        return [2 * item for item in items]


async def begun(held: Held) -> None:
    assert await asyncio.to_thread(held.begun.acquire, timeout=60)


def test_what_comes_while_the_model_is_busy_runs_together_up_to_the_most() -> None:
    async def scene() -> list[int]:
        held = Held()
        batcher = Batcher(held, max_batch=3)
        first = batcher.submit(0)
        await begun(held)
        rest = [batcher.submit(n) for n in range(1, 6)]
        assert (batcher.depth, batcher.running) == (5, 1)
        held.go.release(4)
        answers = await asyncio.gather(first, *rest)
        await batcher.finished()
        assert held.batches == [[0], [1, 2, 3], [4, 5]]
        batcher.close()
        return answers

    assert run(scene()) == [0, 2, 4, 6, 8, 10]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again() -> None:
    async def scene() -> None:
        held = Held()
        batcher = Batcher(held, queue=2)
        futures = [batcher.submit(0)]
        await begun(held)
        for n in (1, 2):
            batcher.admit()
            futures.append(batcher.submit(n))
        with pytest.raises(HttpError, match="2 items wait already, 2 at most may") as refused:
            batcher.admit()
        assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "1")
        held.go.release(3)
        await asyncio.gather(*futures)
        batcher.admit()
        batcher.close()

    run(scene())


def test_an_estimate_beyond_the_bound_refuses_before_the_queue_is_full() -> None:
    async def scene() -> None:
        held = Held()
        batcher = Batcher(held, queue=100, max_batch=1, max_seconds=250.0)
        batcher.service.add(1, 100.0)
        first = batcher.submit(0)
        await begun(held)
        batcher.admit()
        second = batcher.submit(1)
        with pytest.raises(HttpError, match="more than a request may wait") as refused:
            batcher.admit()
        assert 250 < int(refused.value.headers["retry-after"]) <= 300
        held.go.release(2)
        await asyncio.gather(first, second)
        batcher.close()

    run(scene())


def test_an_idle_model_takes_an_item_whatever_it_costs() -> None:
    async def scene() -> None:
        batcher = Batcher(list, max_seconds=0.1)
        batcher.service.add(1, 100.0)
        batcher.admit()
        assert await batcher.submit(5) == 5
        batcher.close()

    run(scene())


def test_a_cancelled_item_never_runs_and_frees_its_place() -> None:
    async def scene() -> None:
        held = Held()
        batcher = Batcher(held, queue=1)
        first = batcher.submit(0)
        await begun(held)
        second = batcher.submit(1)
        waiting = asyncio.ensure_future(batcher.room())
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait_for(waiting, 60)
        third = batcher.submit(2)
        held.go.release(2)
        assert await asyncio.gather(first, third) == [0, 4]
        assert held.batches == [[0], [2]]
        batcher.close()

    run(scene())


def test_a_lone_item_does_not_wait_for_company() -> None:
    async def scene() -> None:
        batcher = Batcher(list, max_wait=300.0)
        for n in range(3):
            assert await asyncio.wait_for(batcher.submit(n), 60) == n
        batcher.close()

    run(scene())


@pytest.mark.parametrize(
    ("seen", "n", "seconds"),
    [
        ([], 5, 0.0),
        ([(4, 0.4)], 8, 0.8),
        ([(1, 0.03), (8, 0.1)], 4, 0.06),
        ([(1, 0.1), (8, 0.1)], 4, 0.1),
        ([(1, 0.5), (8, 0.1)], 4, 0.3),
    ],
    ids=["nothing", "one size", "a line", "only fixed", "a falling line counts as level"],
)
def test_service_time(seen: list[tuple[int, float]], n: int, seconds: float) -> None:
    time = ServiceTime()
    for size, took in seen:
        time.add(size, took)
    assert time.of(n) == pytest.approx(seconds, abs=0.02)


def test_many_items_of_one_request_leave_half_of_the_queue() -> None:
    async def scene() -> None:
        held = Held()
        batcher = Batcher(held, queue=4)
        futures = [batcher.submit(0)]
        await begun(held)

        async def many() -> None:
            for n in range(1, 4):
                await batcher.room()
                futures.append(batcher.submit(n))

        sending = asyncio.ensure_future(many())
        for _ in range(5):
            await asyncio.sleep(0)
        assert batcher.depth == 2
        batcher.admit(2)
        held.go.release(4)
        await sending
        assert await asyncio.gather(*futures) == [0, 2, 4, 6]
        batcher.close()
        with pytest.raises(HttpError, match="has just been unloaded"):
            batcher.submit(9)

    run(scene())


def test_a_stall_is_not_taken_for_the_speed_of_every_batch() -> None:
    time = ServiceTime()
    for _ in range(5):
        time.add(1, 0.01)
    time.add(1, 10.0)
    assert time.of(1) < 0.02


def test_spans_are_children_of_the_callers_and_none_without_tracing() -> None:
    with Tracing(on=False).span("predict") as none:
        assert none is None
    pytest.importorskip("opentelemetry.trace", reason="needs the extra tracing")
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with Tracing(on=True).span("predict", {"traceparent": parent}, {"triptych.model": "m"}) as span:
        assert f"{span.get_span_context().trace_id:x}" == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_batch_that_waits_at_the_threads_runs_without_the_event_loop() -> None:
    async def scene() -> None:
        held = Held()
        batcher = Batcher(held, ahead=1, max_batch=1)
        batcher.service.add(1, 200.0)
        answers = [batcher.submit(n) for n in range(3)]
        await begun(held)
        assert (batcher.depth, batcher.running, held.batches) == (1, 2, [[0]])
        assert 700.0 < batcher.estimate() <= 800.0  # what runs, what is ahead, what waits, and the one asked for
        held.go.release()
        assert held.begun.acquire(timeout=60)  # the loop stands still here, and the second begins all the same
        assert held.batches == [[0], [1]]
        held.go.release(2)
        assert await asyncio.gather(*answers) == [0, 2, 4]
        batcher.close()

    run(scene())
