"""Micro-batches: what waits for a model is answered together, as soon as the model is free.

While nothing waits, an item runs at once. While the model is busy, items gather; when it is free it takes all of them
up to ``max_batch``. Beyond that, a first item waits for company only where the requests before came together, another
is likely within that time, and no longer than what company would save: the part of a batch's time that does not depend
on its size. All of it lives in one event loop; only ``answer`` runs in threads.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.serving.faults import HttpError, too_busy

In = TypeVar("In")
Out = TypeVar("Out")
_MEMORY = 0.95
"""How much of its weight a batch's time keeps with each batch after it."""
_KNOWN, _STALL = 2.0, 3.0
"""From which weight on, and by how many times, a batch may be slower than expected before it counts as a stall."""


class ServiceTime:
    """Seconds that a batch takes, ``fixed + each * n``: least squares over the last batches, weighted by their age.

    Example:
        >>> time = ServiceTime()
        >>> for n in (1, 4, 8):
        ...     time.add(n, 0.010 + 0.002 * n)
        >>> round(time.of(16), 4)
        0.042
    """

    def __init__(self) -> None:
        self._weight = self._n = self._t = self._nn = self._nt = 0.0
        self.line = (0.0, 0.0)
        """Seconds that are fixed, and those of each item; both at least 0."""

    def add(self, n: int, seconds: float) -> None:
        """One batch of ``n`` items took so many seconds; of a sudden stall only a part is believed at once."""
        keep = _MEMORY
        if self._weight > _KNOWN:
            seconds = min(seconds, _STALL * self.of(n))
        self._weight = self._weight * keep + 1
        self._n = self._n * keep + n
        self._t = self._t * keep + seconds
        self._nn = self._nn * keep + n * n
        self._nt = self._nt * keep + n * seconds
        self.line = self._fitted()

    def _fitted(self) -> tuple[float, float]:
        n, t = self._n / self._weight, self._t / self._weight
        spread = self._nn / self._weight - n * n
        each = (self._nt / self._weight - n * t) / spread if spread > 1e-9 * n * n else t / n
        each = min(max(each, 0.0), t / n)
        return max(0.0, t - each * n), each

    def of(self, n: int) -> float:
        """Seconds that a batch of ``n`` items is expected to take."""
        fixed, each = self.line
        return fixed + each * n


@dataclass(eq=False)
class Waiting(Generic[In, Out]):
    """An item on its way through a batcher."""

    item: In
    came: float
    future: asyncio.Future[Out]


@dataclass(eq=False)
class Meters:
    """What a batcher tells of itself: sizes and seconds of batches as they end, and items that were dropped."""

    batch: Callable[[int, float], None] = lambda n, seconds: None
    waited: Callable[[float], None] = lambda seconds: None
    dropped: Callable[[], None] = lambda: None


@dataclass(eq=False)
class Batcher(Generic[In, Out]):
    """The queue before one model.

    Attributes:
        answer: a batch to as many answers in order; called in a thread, as often at once as there are ``slots``. It
            must not raise.
        slots: batches that run at once.
        ahead: batches that wait for a thread beyond those, so that none idles until the event loop hears of its end.
        max_batch: items of a batch at most.
        max_wait: seconds that a first item waits for company at most.
        queue: items that wait at most.
        max_seconds: estimated seconds to an answer from which on items are refused.
        meters: who is told.
    """

    answer: Callable[[Sequence[In]], Sequence[Out]]
    slots: int = 1
    ahead: int = 0
    max_batch: int = 32
    max_wait: float = 0.002
    queue: int = 64
    max_seconds: float = math.inf
    meters: Meters = field(default_factory=Meters)
    service: ServiceTime = field(default_factory=ServiceTime)

    def __post_init__(self) -> None:
        self._waiting: deque[Waiting[In, Out]] = deque()
        self._running: dict[int, tuple[int, float]] = {}
        self._room: deque[asyncio.Future[None]] = deque()
        self._threads = ThreadPoolExecutor(self.slots, "serve")
        self._timer: asyncio.TimerHandle | None = None
        self._gap, self._last, self._together, self._number = math.inf, -math.inf, False, 0
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def _shared(self) -> int:
        return max(1, self.queue // 2)

    @property
    def _free(self) -> bool:
        return len(self._running) < self.slots + self.ahead

    @property
    def depth(self) -> int:
        """Items that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Items that are being answered."""
        return sum(n for n, _ in self._running.values())

    def estimate(self, more: int = 1) -> float:
        """Seconds until items that came now would have their answers."""
        now = asyncio.get_running_loop().time()
        given = list(self._running.values())
        left = [max(0.0, self.service.of(n) - (now - began)) for n, began in given[: self.slots]]
        free = 0.0 if len(left) < self.slots else min(left)
        ahead = sum(n for n, _ in given[self.slots :])
        whole, rest = divmod(len(self._waiting) + ahead + more, self.max_batch)
        return free + (whole * self.service.of(self.max_batch) + (self.service.of(rest) if rest else 0.0)) / self.slots

    def admit(self, n: int = 1, *, within: float = math.inf) -> None:
        """Raise where ``n`` more items would wait too long.

        Args:
            n: how many.
            within: seconds that the request has left.

        Raises:
            HttpError: 429, with the estimated seconds until there is room.
        """
        if self._waiting and len(self._waiting) + n > self.queue:
            raise too_busy(self.estimate(0), f"{len(self._waiting)} items wait already, {self.queue} at most may")
        if not self._running and not self._waiting:
            return
        seconds = self.estimate(n)
        if seconds > min(self.max_seconds, within):
            raise too_busy(seconds, f"an answer would take some {seconds:.1f} s, more than a request may wait here")

    def submit(self, item: In) -> asyncio.Future[Out]:
        """Queue an item; whoever cancels the future drops it, and its place in the queue is free at once.

        Raises:
            HttpError: 503, the model has been unloaded meanwhile.
        """
        if self._closed:
            raise HttpError(
                503, "unloaded", "the model has just been unloaded. Send this again", headers={"retry-after": "1"}
            )
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._gap = min(now - self._last, 1.0) if self._gap == math.inf else 0.8 * self._gap + 0.2 * (now - self._last)
        self._last = now
        one: Waiting[In, Out] = Waiting(item, now, loop.create_future())
        one.future.add_done_callback(lambda future: self._drop(one) if future.cancelled() else None)
        self._waiting.append(one)
        self._idle.clear()
        self._start()
        return one.future

    async def room(self) -> None:
        """Wait until there is a place for another of a request's many items: they leave half of the queue free."""
        while len(self._waiting) >= self._shared:
            place = asyncio.get_running_loop().create_future()
            self._room.append(place)
            await place

    async def finished(self) -> None:
        """Wait until nothing waits and nothing runs."""
        await self._idle.wait()

    def close(self) -> None:
        """End the threads; what runs is not waited for."""
        self._closed = True
        self._threads.shutdown(wait=False)

    def _drop(self, one: Waiting[In, Out]) -> None:
        try:
            self._waiting.remove(one)
        except ValueError:
            return  # it runs already, and its answer will find nobody
        self.meters.dropped()
        self._rest()

    def _start(self) -> None:
        while self._waiting and self._free:
            wait = self._worth_waiting()
            if wait > 0:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(wait, self._fire)
                return
            self._run()

    def _fire(self) -> None:
        self._timer = None
        if self._waiting and self._free:
            self._run()
            self._start()

    def _worth_waiting(self) -> float:
        if not self._together or self.max_batch <= len(self._waiting):
            return 0.0
        most = min(self.max_wait, self.service.line[0])
        if self._gap > most:
            return 0.0
        return most - (asyncio.get_running_loop().time() - self._waiting[0].came)

    def _run(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch = [self._waiting.popleft() for _ in range(min(self.max_batch, len(self._waiting)))]
        number = self._number
        self._number += 1
        self._running[number] = (len(batch), loop.time())

        def work() -> None:
            began = loop.time()
            answers = self.answer([one.item for one in batch])
            loop.call_soon_threadsafe(self._done, number, batch, answers, began)

        self._threads.submit(work)

    def _done(self, number: int, batch: Sequence[Waiting[In, Out]], answers: Sequence[Out], began: float) -> None:
        n, _ = self._running.pop(number)
        seconds = asyncio.get_running_loop().time() - began
        for one in batch:
            self.meters.waited(began - one.came)
        self.service.add(n, seconds)
        self.meters.batch(n, seconds)
        self._together = n > 1 or len(self._waiting) > 1
        for one, answer in zip(batch, answers, strict=True):
            if not one.future.done():
                one.future.set_result(answer)
        self._start()
        self._rest()

    def _rest(self) -> None:
        for _ in range(min(len(self._room), self._shared - len(self._waiting))):
            place = self._room.popleft()
            if not place.done():
                place.set_result(None)
        if not self._waiting and not self._running:
            self._idle.set()
