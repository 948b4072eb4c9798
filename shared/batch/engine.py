"""Rows to records, through a predictor's stream: the loop that every engine runs, and the engine of one process."""

from __future__ import annotations

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

Answers: TypeAlias = Generator[tuple[Shard, list[Record]], None, None]
"""Shards and their records, in the order of their rows."""

_MOST_WAITING = 4096


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


def answers(
    predictor: Predictor[Any, Any], works: Iterable[Work], *, batch_size: int | None, tick: Tick, stop: Event
) -> Iterator[tuple[Work, list[Record]]]:
    """Predict all rows as one stream, so that preparing and inference overlap across the borders of works.

    Args:
        predictor: asked with ``on_error="keep"``.
        works: read only as far ahead as the predictor reads.
        batch_size: items that run together; ``None`` takes the model's own.
        tick: told of each row that is answered.
        stop: once it is set, rows under way are abandoned.

    Raises:
        UsageError: the predictor's stream ended before it had answered every item.
    """
    rows = ((work, row) for work in works for row in work.rows)
    begun: deque[tuple[Work, Row]] = deque()
    records: list[Record] = []

    def items() -> Iterator[Any]:
        for work, row in rows:
            begun.append((work, row))
            if row.fault is None:
                yield row.item
            elif len(begun) >= _MOST_WAITING:  # rows without an item must not pile up behind one another
                return

    def take(answer: Result | Failure) -> Iterator[tuple[Work, list[Record]]]:
        work, row = begun.popleft()
        records.append(record(row, answer))
        tick(1, int(isinstance(answer, Failure)))
        if len(records) == len(work.rows):
            yield work, records.copy()
            records.clear()

    def faults() -> Iterator[tuple[Work, list[Record]]]:
        while begun and (fault := begun[0][1].fault) is not None:
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
        for work, records in answers(self._predictor, works, batch_size=self._batch_size, tick=tick, stop=stop):
            yield work.shard, records

    def close(self) -> None:
        """Nothing to give back."""
