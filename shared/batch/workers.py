"""The engine of several processes: each opens the model once, and one that dies costs only what it had in hand.

Workers are started by ``spawn`` and write nothing: they send records back, and the process that holds the folder's
lock commits them. A worker ends by itself as soon as that process is gone.

When a worker dies, the works that it had in hand are done again, each alone in a worker. One that kills its worker
once more is halved, and so on, until the item that does it stands alone; when that has killed two workers alone, it
becomes a failure row.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from shared import errors
from shared.batch.engine import Answers, Opened, Opening, Tick, Work, answers
from shared.batch.plan import Shard
from shared.batch.sinks import Record, record
from shared.errors import BackendError, TriptychError
from shared.settings import cpu_count
from shared.types import Failure

ROWS_IN_HAND = 64
"""Rows that a worker is given ahead, so that its stream does not run dry while a shard is sent back."""

DEATHS_IN_A_ROW = 30
"""Workers that may die one after the other, without a single answer, before the job gives up."""

_TICK_SECONDS = 0.2
_LOOK_SECONDS = 0.2
_JOIN_SECONDS = 5.0
_SUSPECT_DEATHS = 2  # a work of several rows is halved at its second death
_ALONE_DEATHS = 3  # a row is set aside at its third: the first may have been a neighbour's fault


@dataclass
class _Piece:
    """A work on its way, and how many workers have died with it in hand."""

    work: Work
    deaths: int = 0


@dataclass
class _Worker:
    """A process, the pipe to it, and what it has in hand by number."""

    process: Any
    pipe: Connection
    ready: bool = False
    hand: dict[int, _Piece] = field(default_factory=dict)

    def takes(self, piece: _Piece) -> bool:
        """Whether it may be given this: a suspect goes alone, others while few rows are in hand."""
        if piece.deaths or any(held.deaths for held in self.hand.values()):
            return not self.hand
        return len(self.hand) < 2 or sum(len(held.work.rows) for held in self.hand.values()) < ROWS_IN_HAND


class Processes:
    """Several worker processes over one queue of works; the processor threads are divided among them."""

    def __init__(self, opening: Opening, workers: int) -> None:
        threads = max(1, (opening.threads or cpu_count()) // workers)
        self._opening = replace(opening, threads=threads)
        self._count = workers
        self._workers: list[_Worker] = []
        self._keys = itertools.count()
        self._suspects: deque[_Piece] = deque()
        self._fruitless = 0
        self.opened = self._open_first()

    def _open_first(self) -> Opened:
        """Start one worker and wait until its model is open: the others then find its files on the disk."""
        try:
            first = self._start()
            opened: Opened | None = None
            while opened is None:
                opened = self._opened(first)
            return opened
        except BaseException:
            self.close()
            raise

    def _opened(self, worker: _Worker) -> Opened | None:
        message = self._receive(worker)
        if message is None:
            raise self._unopened(worker)
        if message[0] == "failed":
            raise _error(message[1], message[2])
        worker.ready = True
        return Opened(*message[1:])

    def _unopened(self, worker: _Worker) -> BackendError:
        return BackendError(
            f"a worker must open the model and wait for work. It ended before that with {_ending(worker.process)}. "
            "A script that starts a job with several workers must do so under: if __name__ == '__main__':"
        )

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self._opening), name="triptych-batch")
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def run(self, works: Iterable[Work], *, tick: Tick, stop: threading.Event) -> Answers:
        """See :meth:`shared.batch.engine.Engine.run`."""
        fresh = (_Piece(work) for work in works)
        upcoming = next(fresh, None)
        gathered: dict[int, list[Record]] = defaultdict(list)
        while not stop.is_set():
            upcoming = self._hand_out(upcoming, fresh)
            if upcoming is None and not self._suspects and not any(worker.hand for worker in self._workers):
                return
            for pipe in wait([worker.pipe for worker in self._workers], _LOOK_SECONDS):
                worker = next(worker for worker in self._workers if worker.pipe is pipe)
                for shard, records in self._hear(worker, tick):
                    gathered[shard.number] += records
                    if len(gathered[shard.number]) == len(shard):
                        yield shard, sorted(gathered.pop(shard.number), key=lambda r: r.index)

    def _hand_out(self, upcoming: _Piece | None, fresh: Iterator[_Piece]) -> _Piece | None:
        """Give every worker what it may take: fresh works first, suspects at the end. Returns the next fresh one."""
        while len(self._workers) < self._count and (upcoming or self._suspects):
            self._start()
        for worker in self._workers:
            while worker.ready and upcoming is not None and worker.takes(upcoming):
                self._give(worker, upcoming)
                upcoming = next(fresh, None)
            if worker.ready and upcoming is None and self._suspects and not worker.hand:
                self._give(worker, self._suspects.popleft())
        return upcoming

    def _give(self, worker: _Worker, piece: _Piece) -> None:
        key = next(self._keys)
        worker.hand[key] = piece
        try:
            worker.pipe.send((key, piece.work.rows))
        except OSError:  # it has died: that is seen, and mended, where its messages are received
            return

    def _hear(self, worker: _Worker, tick: Tick) -> Iterator[tuple[Shard, list[Record]]]:
        """One message of a worker, or its death."""
        if not worker.ready:
            self._opened(worker)
            return
        message = self._receive(worker)
        if message is None:
            yield from self._bury(worker, tick)
        elif message[0] == "tick":
            tick(message[1], message[2])
        else:
            self._fruitless = 0
            yield worker.hand.pop(message[1]).work.shard, message[2]

    def _receive(self, worker: _Worker) -> Any:
        """The next message, or ``None`` when the worker has died."""
        try:
            return worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(_JOIN_SECONDS)
            return None

    def _bury(self, worker: _Worker, tick: Tick) -> Iterator[tuple[Shard, list[Record]]]:
        """Take the works out of a dead worker's hand; a row that has killed enough of them becomes a failure."""
        self._workers.remove(worker)
        worker.pipe.close()
        self._fruitless += 1
        if self._fruitless > DEATHS_IN_A_ROW:
            raise BackendError(
                f"workers must live to answer. {self._fruitless} died one after the other without an answer, the last "
                f"with {_ending(worker.process)}. Is there memory for the model and the batch?"
            )
        for piece in worker.hand.values():
            deaths, rows, shard = piece.deaths + 1, piece.work.rows, piece.work.shard
            if len(rows) == 1 and deaths >= _ALONE_DEATHS:
                why = f"an item must leave its worker alive. {deaths} died with this one, by {_ending(worker.process)}"
                tick(1, 1)
                yield shard, [record(rows[0], Failure(rows[0].index, "worker-died", why))]
            elif len(rows) > 1 and deaths >= _SUSPECT_DEATHS:
                middle = len(rows) // 2
                halves = (rows[:middle], rows[middle:])
                self._suspects.extendleft(_Piece(Work(shard, half), deaths=1) for half in reversed(halves))
            else:
                self._suspects.appendleft(replace(piece, deaths=deaths))

    def close(self) -> None:
        """End the workers: each leaves when its pipe is closed, and is killed when it does not."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(_JOIN_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()


def _ending(process: Any) -> str:
    code = process.exitcode
    return f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"


def _error(name: str, message: str) -> TriptychError:
    """An error of ours that a worker reported, with its type and text."""
    kind = getattr(errors, name, BackendError)
    error: TriptychError = kind.__new__(kind, message)
    return error


def serve(pipe: Connection, opening: Opening) -> None:
    """What a worker process does: open the model, then answer works until the pipe is closed.

    Messages that it sends are ``("ready", model, fingerprint)`` or ``("failed", error type, text)`` first, then
    ``("tick", rows, failed)`` and ``("answers", key, records)``. It is sent ``(key, rows)``.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the job's own process decides
        signal.signal(number, signal.SIG_IGN)
    inbox: queue.SimpleQueue[tuple[int, list[Any]]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, inbox), daemon=True).start()
    try:
        predictor = opening.open()
    except TriptychError as error:
        pipe.send(("failed", type(error).__name__, str(error)))
        return
    pipe.send(("ready", predictor.card.name, predictor.card.fingerprint))
    tick, never = _Ticks(pipe), threading.Event()
    while True:
        keys: deque[int] = deque()
        works = _burst(inbox, keys)
        for _, records in answers(predictor, works, batch_size=opening.batch_size, tick=tick.add, stop=never):
            tick.send()
            pipe.send(("answers", keys.popleft(), records))


def _receive(pipe: Connection, inbox: queue.SimpleQueue[tuple[int, list[Any]]]) -> None:
    """Take works off the pipe at once, so that its sender never waits; leave when the sender is gone."""
    try:
        while True:
            inbox.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(1)


def _burst(inbox: queue.SimpleQueue[tuple[int, list[Any]]], keys: deque[int]) -> Iterator[Work]:
    """Works until none is waiting: the stream over them must end then, or its last answers would be held back."""
    key, rows = inbox.get()
    while True:
        keys.append(key)
        yield Work(Shard(0, 0, len(rows)), rows)
        try:
            key, rows = inbox.get_nowait()
        except queue.Empty:
            return


class _Ticks:
    """Counts answered rows and sends the counts a few times a second."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._rows, self._failed, self._sent = pipe, 0, 0, time.monotonic()

    def add(self, rows: int, failed: int) -> None:
        self._rows, self._failed = self._rows + rows, self._failed + failed
        if time.monotonic() - self._sent >= _TICK_SECONDS:
            self.send()

    def send(self) -> None:
        if self._rows:
            self._pipe.send(("tick", self._rows, self._failed))
        self._rows, self._failed, self._sent = 0, 0, time.monotonic()
