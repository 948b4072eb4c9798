"""The engine of a Ray cluster: tasks of actors that hold the model open, on one machine or many.

Actors are asked for pieces of shards and write nothing: they send records back, and the process that holds the folder's
lock commits them, so shards and markers are those of the local engine, byte for byte. Each has two pieces or a few
dozen rows in hand at a time, and no more are read of the input until one is answered. Ray's own restarts and retries
are off, for they would hand an item that kills its process round the cluster for ever: an actor that is lost, with its
machine or alone, is replaced here, and its works go the way of :mod:`shared.batch.pieces`.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from types import ModuleType
from typing import Any

from shared.batch.engine import Answers, Opened, Opening, Portion, Tick, Work, answers
from shared.batch.inputs import Row
from shared.batch.pieces import PIECE_ROWS, SEND_SECONDS, Piece, Suspects, supervise
from shared.batch.plan import Shard
from shared.batch.workers import reported_error
from shared.errors import BackendError, TriptychError, UsageError
from shared.lazy import require
from shared.settings import cpu_count

OPEN_SECONDS = 600.0
"""How long the job waits while not one actor is up: a cluster may have to start machines first."""

_LOOK_SECONDS = 0.2
_KNOCK_SECONDS = 10.0
_ROWS_A_THREAD = 64  # of a piece: its threads run dry at the end of each
_STORE_BYTES = 256 << 20  # of a cluster of our own: rows and records on their way, a few megabytes


class Answerer:
    """What an actor is: the model, opened once, and a method that answers a work in portions."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._predictor: Any = None

    def open(self) -> tuple[str, ...]:
        """``("ready", model, fingerprint, version)`` or ``("failed", error type, text)``."""
        try:
            self._predictor = self._opening.open()
        except TriptychError as error:
            return "failed", type(error).__name__, str(error)
        card = self._predictor.card
        return "ready", card.name, card.fingerprint, version("triptych")

    def answer(self, rows: list[Row]) -> Iterator[Portion]:
        """The rows of one work, in order, in as many portions as the time takes."""
        yield from answers(
            self._predictor,
            [Work(Shard(0, 0, len(rows)), rows)],
            batch_size=self._opening.batch_size,
            tick=lambda rows, failed: None,
            stop=threading.Event(),
            every=SEND_SECONDS,
        )


@dataclass
class _Actor:
    """An actor, the answer that it owes to being opened, and what it has in hand, oldest first."""

    handle: Any
    opening: Any
    ready: bool = False
    hand: deque[tuple[Any, Piece]] = field(default_factory=deque)

    def holds(self) -> list[Piece]:
        """What it has in hand."""
        return [piece for _, piece in self.hand]

    @property
    def owes(self) -> Any:
        """What it answers next; ``None`` when it has nothing to do."""
        return self.opening if not self.ready else (self.hand[0][0] if self.hand else None)


class Actors:
    """Actors of a Ray cluster over one queue of works; the processors are divided among them.

    Args:
        opening: what each opens.
        workers: how many; ``None`` takes one a machine.
        address: ``host:port`` or ``"auto"``; ``None`` takes ``RAY_ADDRESS``, else starts a cluster on this machine,
            which ends with the job.
    """

    def __init__(self, opening: Opening, workers: int | None, address: str | None) -> None:
        self._ray = require("ray", extra="cluster")
        self.workers: list[_Actor] = []
        self.suspects = Suspects()
        self._ours = not self._ray.is_initialized()
        self._seen = time.monotonic()
        if self._ours:
            _connect(self._ray, address or os.environ.get("RAY_ADDRESS"), opening.threads)
        try:
            machines = [node["Resources"].get("CPU", 0.0) for node in self._ray.nodes() if node["Alive"]]
            self.count = workers or max(1, sum(cpus >= 1 for cpus in machines))
            threads = _threads(machines, self.count, opening.threads)
            self._opening = replace(opening, threads=threads)
            gpus = 1 if opening.device == "gpu" else 0
            self._make = self._ray.remote(Answerer).options(
                num_cpus=threads, num_gpus=gpus, max_restarts=0, max_task_retries=0
            )
            self.opened = self._open_first()
        except BaseException:
            self.close()
            raise

    def _open_first(self) -> Opened:
        """Start one actor and wait until its model is open."""
        opened = None
        self.start()
        while opened is None:
            for actor in self._waited(OPEN_SECONDS):
                opened = self._hail(actor)
            self._check_alive()
            if not self.workers:
                self.start()
        return opened

    def start(self) -> None:
        """See :class:`shared.batch.pieces.Crew`."""
        handle = self._make.remote(self._opening)
        self.workers.append(_Actor(handle, handle.open.remote()))

    def _hail(self, actor: _Actor) -> Opened | None:
        """Hear what came of opening an actor; ``None`` when it was lost."""
        try:
            message = self._ray.get(actor.opening)
        except self._ray.exceptions.RayTaskError as error:
            raise BackendError(f"an actor must open the model. It raised {error.cause!r}") from error
        except self._ray.exceptions.RayError as error:
            self._drop(actor)
            self.suspects.died(str(error))
            return None
        if message[0] == "failed":
            raise reported_error(message[1], message[2])
        if message[3] != version("triptych"):
            raise BackendError(
                f"every machine of the cluster must have triptych {version('triptych')}, as this one has. One has "
                f"{message[3]}"
            )
        actor.ready = True
        self._seen = time.monotonic()
        opened = Opened(message[1], message[2])
        if getattr(self, "opened", opened) != opened:
            raise BackendError(
                f"every machine of the cluster must open the same model. One opened {opened.model} with other files or "
                "facts than the first: bring the same files there"
            )
        return opened

    def run(self, works: Iterable[Work], *, tick: Tick, stop: threading.Event) -> Answers:
        """See :meth:`shared.batch.engine.Engine.run`."""
        rows = max(PIECE_ROWS, _ROWS_A_THREAD * (self._opening.threads or 1))
        return supervise(self, works, rows=rows, tick=tick, stop=stop)

    def heard(self) -> Iterator[Portion]:
        """See :class:`shared.batch.pieces.Crew`."""
        for actor in self._waited(_LOOK_SECONDS):
            yield from self._hear(actor)
        self._check_alive()

    def _waited(self, seconds: float) -> list[_Actor]:
        """The actors that have something to say, after waiting for it."""
        owing = {actor.owes: actor for actor in self.workers if actor.owes is not None}
        found, _ = self._ray.wait(list(owing), num_returns=1, timeout=seconds, fetch_local=False)
        return [owing[key] for key in found]

    def give(self, worker: _Actor, piece: Piece) -> None:
        """See :class:`shared.batch.pieces.Crew`."""
        portions = worker.handle.answer.options(num_returns="streaming").remote(piece.rows)
        worker.hand.append((portions, piece))

    def _hear(self, actor: _Actor) -> Iterator[Portion]:
        """What an actor has to say next: that it is up, a portion, the end of a work, or its death."""
        if not actor.ready:
            self._hail(actor)
            return
        portions, piece = actor.hand[0]
        try:
            told = self._ray.get(next(portions))
        except StopIteration:
            actor.hand.popleft()
            return
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, TriptychError):
                raise error.cause from error
            raise BackendError(f"an actor must answer its rows. It raised {error.cause!r}") from error
        except self._ray.exceptions.RayError as error:
            self._drop(actor)
            self.suspects.died(str(error))
            yield from self.suspects.buried([held for held in actor.holds() if held.rows], str(error))
            return
        self.suspects.answered()
        self._seen = time.monotonic()
        portion = Portion(piece.shard, told.records, told.tracebacks)
        piece.answered(portion)
        yield portion

    def _drop(self, actor: _Actor) -> None:
        """Part from an actor that is lost; should it live on behind a broken line, it ends now."""
        self.workers.remove(actor)
        self._ray.kill(actor.handle)

    def _check_alive(self) -> None:
        """Check that an actor is up, or was until lately."""
        if any(actor.ready for actor in self.workers):
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > OPEN_SECONDS:
            raise BackendError(
                f"the cluster must have room for an actor of {self._opening.threads} processors. None came up in "
                f"{OPEN_SECONDS:.0f} s. It has: {self._ray.available_resources()}"
            )

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        for actor in self.workers:
            self._ray.kill(actor.handle)
        self.workers.clear()
        if self._ours:
            with _own_signals():
                self._ray.shutdown()


@contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """Ray, joined to a cluster, or to one on this machine that ends with the context where no address is given.

    Raises:
        BackendError: the cluster does not answer.
        MissingDependencyError: Ray is not installed.
    """
    ray = require("ray", extra="cluster")
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address, None)
    try:
        yield ray
    finally:
        if ours:
            with _own_signals():
                ray.shutdown()


def _threads(machines: list[float], workers: int, threads: int | None) -> int:
    """Processors of one actor: its share of those asked for, and no more than a machine has."""
    share = int((threads or sum(machines)) // workers)
    return max(1, min(share, int(max(machines, default=1))))


def _connect(ray: ModuleType, address: str | None, threads: int | None) -> None:
    """Join a cluster, or start one on this machine, without its dashboard and its statistics of use."""
    if address and address.startswith("ray://"):
        raise UsageError(
            f"a Ray address must be host:port or auto, on a machine of the cluster. Got {address}: Ray's client does "
            "not stream answers"
        )
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit():
        _knock(host, int(port))
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not address or address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault(
            "RAY_worker_niceness", "0"
        )  # Ray lets other processes go first; here the actors are the job
        options |= {"num_cpus": max(cpu_count(), threads or 1), "include_dashboard": False}
        options |= {"object_store_memory": _STORE_BYTES}
    try:
        with _own_signals():
            ray.init(address=address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BackendError(f"the Ray cluster at {address or 'this machine'} must answer. {error}") from error


def _knock(host: str, port: int) -> None:
    """Check that something listens there, for Ray itself would try for minutes."""
    try:
        with socket.create_connection((host, port), timeout=_KNOCK_SECONDS):
            pass
    except OSError as error:
        raise BackendError(f"a Ray cluster must listen at {host}:{port}. {error}") from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Give the signals back to whoever had them: Ray takes SIGTERM for itself."""
    main = threading.current_thread() is threading.main_thread()
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} if main else {}
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
