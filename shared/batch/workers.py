"""The engine of several processes: each opens the model once, and one that dies costs only what it had in hand.

Workers are started by ``spawn`` and write nothing: they send records back, and the process that holds the folder's
lock commits them. A worker ends by itself as soon as that process is gone. What becomes of the works of a worker that
dies is told in :mod:`shared.batch.pieces`.
"""

from __future__ import annotations

import faulthandler
import itertools
import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from shared import errors
from shared.batch.engine import Answers, Opened, Opening, Portion, Tick, Work, answers
from shared.batch.pieces import PIECE_ROWS, SEND_SECONDS, Piece, Suspects, supervise
from shared.batch.plan import Shard
from shared.errors import BackendError, TriptychError
from shared.lazy import require
from shared.settings import cpu_count

_LOOK_SECONDS = 0.2
_JOIN_SECONDS = 5.0
_FATAL_TEXT = 4000  # bytes of a fatal error's dump that are kept


@dataclass
class _Worker:
    """A process, the pipe to it, that on which it tells of a fatal error, and what it has in hand by number."""

    process: Any
    pipe: Connection
    last_words: Connection
    ready: bool = False
    hand: dict[int, Piece] = field(default_factory=dict)

    def ending(self) -> str:
        """How it ended, with the dump of its threads where the system let it write one."""
        code = self.process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        os.set_blocking(self.last_words.fileno(), False)
        try:
            dump = os.read(self.last_words.fileno(), _FATAL_TEXT).decode("utf-8", "replace")
        except BlockingIOError:  # another process holds its other end and has said nothing
            dump = ""
        return f"{how}\n{dump}" if dump else how

    def holds(self) -> list[Piece]:
        """What it has in hand."""
        return list(self.hand.values())

    def part(self) -> None:
        """Close what leads to it."""
        self.pipe.close()
        self.last_words.close()


class Processes:
    """Several worker processes over one queue of works; the processor threads are divided among them."""

    def __init__(self, opening: Opening, workers: int) -> None:
        threads = max(1, (opening.threads or cpu_count()) // workers)
        self._opening = replace(opening, threads=threads)
        self.count = workers
        self.workers: list[_Worker] = []
        self._keys = itertools.count()
        self.suspects = Suspects()
        self.opened = self._open_first()

    def _open_first(self) -> Opened:
        """Start one worker and wait until its model is open: the others then find its files on the disk."""
        try:
            first = self.start()
            message = self._receive(first)
            if message is None:
                raise BackendError(
                    f"a worker must open the model and wait for work. It ended before that with {first.ending()}. "
                    "A script that starts a job with several workers must do so under: if __name__ == '__main__':"
                )
            return self._hail(first, message)
        except BaseException:
            self.close()
            raise

    def _hail(self, worker: _Worker, message: Any) -> Opened:
        """Hear the first message of a worker."""
        if message[0] == "failed":
            raise reported_error(message[1], message[2])
        worker.ready = True
        return Opened(*message[1:])

    def start(self) -> _Worker:
        """See :class:`shared.batch.pieces.Crew`."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        heard, told = context.Pipe(duplex=False)
        process = context.Process(target=serve, args=(theirs, told, self._opening), name="triptych-batch")
        process.start()
        theirs.close()
        told.close()
        worker = _Worker(process, ours, heard)
        self.workers.append(worker)
        return worker

    def run(self, works: Iterable[Work], *, tick: Tick, stop: threading.Event) -> Answers:
        """See :meth:`shared.batch.engine.Engine.run`."""
        return supervise(self, works, rows=PIECE_ROWS, tick=tick, stop=stop)

    def heard(self) -> Iterator[Portion]:
        """See :class:`shared.batch.pieces.Crew`."""
        for pipe in wait([worker.pipe for worker in self.workers], _LOOK_SECONDS):
            yield from self._hear(next(worker for worker in self.workers if worker.pipe is pipe))

    def give(self, worker: _Worker, piece: Piece) -> None:
        """See :class:`shared.batch.pieces.Crew`."""
        key = next(self._keys)
        worker.hand[key] = piece
        try:
            worker.pipe.send((key, piece.rows))
        except OSError:  # it has died: that is seen, and mended, where its messages are received
            return

    def _hear(self, worker: _Worker) -> Iterator[Portion]:
        """One message of a worker, or its death."""
        message = self._receive(worker)
        if message is None:
            self.workers.remove(worker)
            ending = worker.ending()
            worker.part()
            self.suspects.died(ending)
            yield from self.suspects.buried(worker.hand.values(), ending)
            return
        if not worker.ready:
            self._hail(worker, message)
            return
        key, records, tracebacks = message
        self.suspects.answered()
        piece = worker.hand[key]
        portion = Portion(piece.shard, records, tracebacks)
        if piece.answered(portion):
            del worker.hand[key]
        yield portion

    def _receive(self, worker: _Worker) -> Any:
        """The next message, or ``None`` when the worker has died."""
        try:
            return worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(_JOIN_SECONDS)
            return None

    def close(self) -> None:
        """End the workers: each leaves when its pipe is closed, and is killed when it does not."""
        for worker in self.workers:
            worker.pipe.close()
        for worker in self.workers:
            worker.process.join(_JOIN_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.part()
        self.workers.clear()


def reported_error(name: str, message: str) -> TriptychError:
    """An error of ours that a worker reported, with its type and text."""
    kind = getattr(errors, name, BackendError)
    error: TriptychError = kind.__new__(kind, message)
    return error


def serve(pipe: Connection, last_words: Connection, opening: Opening) -> None:
    """What a worker process does: open the model, then answer works until the pipe is closed.

    Messages that it sends are ``("ready", model, fingerprint)`` or ``("failed", error type, text)`` first, then
    ``(key, records, tracebacks)`` for the rows of a work, in order, in as many parts as the time takes. It is sent
    ``(key, rows)``.

    Args:
        pipe: to the process that started it.
        last_words: where the dump of a fatal error goes.
        opening: what it opens.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the job's own process decides
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(last_words.fileno(), False)  # a dump that is too long for the pipe must not keep it from ending
    faulthandler.enable(last_words.fileno())
    inbox: queue.SimpleQueue[tuple[int, list[Any]]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, inbox), daemon=True).start()
    with suppress(BrokenPipeError):  # the job has ended or was killed meanwhile, and nobody waits for answers
        _serve(pipe, inbox, opening)


def _serve(pipe: Connection, inbox: queue.SimpleQueue[tuple[int, list[Any]]], opening: Opening) -> None:
    try:
        predictor = opening.open()
    except TriptychError as error:
        pipe.send(("failed", type(error).__name__, str(error)))
        return
    pipe.send(("ready", predictor.card.name, predictor.card.fingerprint))
    with require("threadpoolctl", extra="all").threadpool_limits(opening.threads):
        while True:
            keys: deque[tuple[int, int]] = deque()
            for portion in answers(
                predictor,
                _burst(inbox, keys),
                batch_size=opening.batch_size,
                tick=lambda rows, failed: None,
                stop=threading.Event(),
                every=SEND_SECONDS,
            ):
                key, left = keys.popleft()
                pipe.send((key, portion.records, portion.tracebacks))
                if left > len(portion.records):
                    keys.appendleft((key, left - len(portion.records)))


def _receive(pipe: Connection, inbox: queue.SimpleQueue[tuple[int, list[Any]]]) -> None:
    """Take works off the pipe at once, so that its sender never waits; leave when the sender is gone."""
    try:
        while True:
            inbox.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(1)


def _burst(inbox: queue.SimpleQueue[tuple[int, list[Any]]], keys: deque[tuple[int, int]]) -> Iterator[Work]:
    """Works until none is waiting: the stream over them must end then, or its last answers would be held back."""
    key, rows = inbox.get()
    while True:
        keys.append((key, len(rows)))
        yield Work(Shard(0, 0, len(rows)), rows)
        try:
            key, rows = inbox.get_nowait()
        except queue.Empty:
            return
