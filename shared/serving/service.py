"""What the parts of one application share, and how it starts and stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.errors import TriptychError
from shared.serving.bodies import SMALL
from shared.serving.config import Config
from shared.serving.deployments import Answered, Deployment, Outcome
from shared.serving.faults import HttpError
from shared.serving.keys import Buckets, Key, read_keys
from shared.serving.models import Registry
from shared.serving.pages import Streams
from shared.serving.splits import Shadower, Splitter
from shared.serving.telemetry import Log, Metrics, Tracing
from shared.serving.warming import as_error
from shared.tasks import Task

if TYPE_CHECKING:
    from shared.serving.watching import Watcher


@dataclass
class Trace:
    """One request, for its log line and metrics.

    Attributes:
        request_id: the caller's ``X-Request-Id``, or one of our own.
        began: when it came, by the clock that never turns back.
        carrier: headers that name the span above it.
        key: whose it is; ``None`` without keys.
        task: what it asks, once that is known to exist.
        model: version of the model that answers.
        kind: of the fault that it ended with.
        status: of its answer; 0 before there is one.
        close: whether the connection ends with its answer.
        held: bytes of its body that are in memory.
    """

    request_id: str
    began: float = field(default_factory=time.perf_counter)
    carrier: Mapping[str, str] = field(default_factory=dict)
    key: Key | None = None
    task: str = ""
    model: str = ""
    kind: str | None = None
    status: int = 0
    close: bool = False
    held: int = 0

    @property
    def started(self) -> bool:
        """Whether its answer has begun."""
        return self.status != 0


class Service:
    """The state behind one application.

    Args:
        config: what it serves.
        find: from a task's name to the task.
        log_file: where log lines go; standard error when not given.
    """

    def __init__(self, config: Config, *, find: Callable[[str], Task], log_file: Any = None) -> None:
        self.config, self.limits = config, config.limits
        self.metrics, self.log, self.tracing = Metrics(), Log(log_file), Tracing(on=config.tracing)
        self.registry = Registry(config, find=find, metrics=self.metrics, log=self.log)
        self.keys = read_keys(config.api_key_file) if config.api_key_file else None
        self.buckets = Buckets(config.rate) if config.rate else None
        self.splitters: dict[str, Splitter] = {}
        self.shadowers: dict[str, Shadower] = {}
        self.watchers: dict[str, Watcher] = {}
        self._find = find
        self.ready = self.stopping = self.draining = self.closed = False
        self.failure: TriptychError | None = None
        self.says_id = True  # Ray's proxy says the id of a request itself, and twice is once too often
        self.in_flight = self.held = 0
        self.metrics.in_flight.set_function(lambda: self.in_flight)
        self.streams = Streams()
        self._starting: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def start(self) -> asyncio.Task[None]:
        """Begin to load the models, once; the task ends when they are warm."""
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start())
        return self._starting

    async def _start(self) -> None:
        try:
            for spec in self.config.models:
                await self.registry.load(spec)
            for task, split in self.config.splits.items():
                for arm in split.arms.values():
                    self.registry.find(task, arm.model)
                self.splitters[task] = Splitter(task, split, self.metrics, self.log)
            for task, shadow in self.config.shadows.items():
                self.registry.find(task, shadow.model)
                self.shadowers[task] = Shadower(task, shadow, self.registry, self.metrics)
            if self.config.monitoring:
                from shared.serving.watching import Watcher  # noqa: PLC0415 - much is loaded where a task is watched
            for task, monitoring in self.config.monitoring.items():
                parts: dict[str, Any] = {"find": self._find, "metrics": self.metrics, "log": self.log}
                self.watchers[task] = Watcher(self.registry.tasks[task], monitoring, **parts)
        except Exception as error:  # noqa: BLE001 - whatever a model raises at the start is told by readyz and the exit
            self.failure = as_error(error)
            self.log.line("start-failed", message=str(self.failure))
            return
        self.ready = True
        self.log.line("ready", models=len(self.config.models))

    def begin(self) -> None:
        """A request is accepted."""
        self.in_flight += 1
        self._empty.clear()

    def hold(self, trace: Trace, count: int) -> None:
        """So many further bytes of a request's body are in memory, until it ends.

        Raises:
            HttpError: 429, bodies fill the memory that they may have. A small one may come in all the same: else a few
                that come slowly would shut everybody out.
        """
        trace.held += count
        self.held += count
        if self.held > self.limits.max_held and trace.held > SMALL:
            message = "the bodies of other requests fill the memory that is theirs. Come again, or send less at once"
            raise HttpError(429, "overloaded", message, headers={"retry-after": "1"}, close=True)

    def end(self, trace: Trace) -> None:
        """An accepted request has its answer."""
        self.held -= trace.held
        self.in_flight -= 1
        if not self.in_flight:
            self._empty.set()

    async def drained(self) -> None:
        """Accept nothing more, and wait until everything accepted has its answer."""
        self.draining = True
        await self._empty.wait()
        await self.registry.finished()
        self.streams.end()

    def close(self) -> None:
        """End threads and logs."""
        if self.closed:
            return
        self.closed = True
        for splitter in self.splitters.values():
            splitter.close()
        for watcher in self.watchers.values():
            watcher.close()
        self.registry.close()

    def watches(self, one: Deployment, request: str) -> bool:
        """Whether a request's items are watched, so that they must be at hand when they have their answers."""
        watcher = self.watchers.get(one.task.name)
        return watcher is not None and watcher.takes(request)

    def watched(
        self, one: Deployment, request: str, item: Any, outcome: Outcome, *, before: Sequence[Outcome] = ()
    ) -> None:
        """An item of a request that is watched has its outcome, the last of a stream after those ``before`` it."""
        watcher = self.watchers[one.task.name]
        if isinstance(outcome, Answered):
            parts = tuple(part.result for part in before if isinstance(part, Answered))
            watcher.offer(one, request, item, outcome.result, before=parts)
        else:
            watcher.offer(one, request, None, None, outcome.kind)

    def answered(self, one: Deployment, item: Any, outcome: Answered) -> None:
        """An item has its answer: count it, and let a shadow have the item."""
        self.metrics.items.labels(one.task.name, one.spec.version).inc()
        shadower = self.shadowers.get(one.task.name)
        if (
            shadower is not None
            and item is not None
            and self.registry.find(one.task.name, shadower.shadow.model) is not one
        ):
            shadower.offer(item, outcome)

    def failed(self, one: Deployment, kind: str) -> None:
        """An item has none."""
        self.metrics.failures.labels(one.task.name, kind).inc()
