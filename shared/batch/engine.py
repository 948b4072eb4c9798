"""Rows to records, through a predictor's stream: the loop that every engine runs, and the engine of one process."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from threading import Event
from typing import Any, NamedTuple, Protocol, TypeAlias

from shared.batch.inputs import Row
from shared.batch.plan import Shard
from shared.batch.sinks import Record, record
from shared.errors import UsageError
from shared.predictor import Predictor
from shared.tasks import Task
from shared.types import Failure, Result

Tick: TypeAlias = Callable[[int, int], None]
"""Called with the rows that were answered since the last call and how many of them failed."""

_MOST_WAITING = 4096


class Portion(NamedTuple):
    """Answered rows of one shard.

    Attributes:
        shard: the shard.
        records: one a row.
        tracebacks: of the rows that failed, where there is one, by the row's index.
    """

    shard: Shard
    records: list[Record]
    tracebacks: dict[int, str]


Answers: TypeAlias = Generator[Portion, None, None]
"""Whole shards, their records in the order of their rows."""


@dataclass(frozen=True)
class Work:
    """Rows of one shard that go to a predictor together, at least one."""

    shard: Shard
    rows: list[Row]


class Opened(NamedTuple):
    """What model an engine has open, as a plan holds it."""

    model: str
    fingerprint: str


@dataclass(frozen=True)
class Opening:
    """How a task's predictor is opened and asked.

    Attributes:
        task: what predicts. Its functions must be reachable by name, so that another process can open it too.
        model: name or folder of the model; ``None`` takes the task's default.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads; ``None`` uses all.
        options: the task's own options.
        batch_size: items that run together; ``None`` takes the model's own.
    """

    task: Task
    model: str | None
    device: str
    threads: int | None
    options: dict[str, Any]
    batch_size: int | None

    def open(self) -> Predictor[Any, Any]:
        """The predictor."""
        return self.task.open(self.model, device=self.device, threads=self.threads, **self.options)


class Engine(Protocol):
    """Where work is done."""

    @property
    def opened(self) -> Opened:
        """The model that does it."""

    def run(self, works: Iterable[Work], *, tick: Tick, stop: Event) -> Answers:
        """Answer whole shards, in any order, until there are no more or ``stop`` is set.

        Args:
            works: each holds all rows of one shard; read as far ahead as it takes to keep the processors busy.
            tick: told of rows as they are answered.
            stop: once it is set, rows under way are abandoned.
        """

    def close(self) -> None:
        """Give back what the engine holds; may be called at any time."""


class Gathering:
    """Shards that come back in portions, in any order."""

    def __init__(self) -> None:
        self._found: dict[int, Portion] = {}

    def add(self, portion: Portion) -> Iterator[Portion]:
        """Take one in; gives the shard once all of its rows are there."""
        shard = portion.shard
        whole = self._found.setdefault(shard.number, Portion(shard, [], {}))
        whole.records.extend(portion.records)
        whole.tracebacks.update(portion.tracebacks)
        if len(whole.records) == len(shard):
            whole.records.sort(key=lambda record: record.index)
            yield self._found.pop(shard.number)


def answers(
    predictor: Predictor[Any, Any],
    works: Iterable[Work],
    *,
    batch_size: int | None,
    tick: Tick,
    stop: Event,
    every: float = math.inf,
) -> Iterator[Portion]:
    """Predict all rows as one stream, so that preparing and inference overlap across the borders of works.

    Args:
        predictor: asked with ``on_error="keep"``.
        works: read only as far ahead as the predictor reads.
        batch_size: items that run together; ``None`` takes the model's own.
        tick: told of each row that is answered.
        stop: once it is set, rows under way are abandoned.
        every: seconds after which what is answered of a work is given, in order, though more of it is to come.

    Raises:
        UsageError: the predictor's stream ended before it had answered every item.
    """
    rows = ((work, number, row) for work in works for number, row in enumerate(work.rows, 1))
    begun: deque[tuple[Work, int, Row]] = deque()
    records: list[Record] = []
    tracebacks: dict[int, str] = {}
    given = time.monotonic()

    def items() -> Iterator[Any]:
        for work, number, row in rows:
            begun.append((work, number, row))
            if row.fault is None:
                yield row.item
            elif len(begun) >= _MOST_WAITING:  # rows without an item must not pile up behind one another
                return

    def take(answer: Result | Failure) -> Iterator[Portion]:
        nonlocal given
        work, number, row = begun.popleft()
        records.append(record(row, answer))
        if isinstance(answer, Failure) and answer.traceback:
            tracebacks[row.index] = answer.traceback
        tick(1, int(isinstance(answer, Failure)))
        if number == len(work.rows) or time.monotonic() - given >= every:
            yield Portion(work.shard, records.copy(), tracebacks.copy())
            records.clear()
            tracebacks.clear()
            given = time.monotonic()

    def faults() -> Iterator[Portion]:
        while begun and (fault := begun[0][2].fault) is not None:
            yield from take(fault)

    more = True
    while more:
        for answer in predictor.stream(items(), batch_size=batch_size, on_error="keep"):
            yield from faults()
            yield from take(answer)
            if stop.is_set():
                return
        more = bool(begun)
        yield from faults()
        if begun:
            raise UsageError(f"a predictor's stream must answer every item. It left out {len(begun)}")


class OneProcess:
    """The engine of ``workers=1``: this process, one predictor."""

    def __init__(self, opening: Opening) -> None:
        self._predictor = opening.open()
        self._batch_size = opening.batch_size
        self.opened = Opened(self._predictor.card.name, self._predictor.card.fingerprint)

    def run(self, works: Iterable[Work], *, tick: Tick, stop: Event) -> Answers:
        """See :meth:`Engine.run`."""
        yield from answers(self._predictor, works, batch_size=self._batch_size, tick=tick, stop=stop)

    def close(self) -> None:
        """Nothing to give back."""
