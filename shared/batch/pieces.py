"""What the engines of several workers share: pieces of work in hand, and what becomes of them when a worker dies.

A shard is handed out in pieces. Those that a dead worker had in hand are done again, each alone in a worker, without
the rows that were answered before it died. One that loses its worker once more is halved, and so on, until the item
that does it stands alone; when that has lost two workers alone, it becomes a failure row. The row's text is the same
whatever ended the workers and whichever engine they belong to, so that the shards are too; how the last one ended is
told beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from threading import Event
from typing import Protocol, TypeVar

from shared.batch.engine import Answers, Gathering, Portion, Tick, Work
from shared.batch.inputs import Row
from shared.batch.plan import Shard
from shared.batch.sinks import record
from shared.errors import BackendError
from shared.types import Failure

ROWS_IN_HAND = 64
"""Rows that a worker is given ahead, so that its stream does not run dry while a shard is sent back."""

PIECE_ROWS = 64
"""Rows of a shard that one worker is given together. The workers share in the same shards, so that few are under way at
a time: what a kill of the job loses is about half a shard, however many workers there are."""

DEATHS_IN_A_ROW = 30
"""Workers that may die one after the other, without a single answer, before the job gives up."""

SEND_SECONDS = 0.2
"""A worker sends what it has answered this often, so that its death costs no more than that."""

_SUSPECT_DEATHS = 2  # a piece of several rows is halved at its second death
_ALONE_DEATHS = 3  # a row is set aside at its third: the first may have been a neighbour's fault


@dataclass
class Piece:
    """Rows of one shard on their way, those that are not answered yet, and how many workers have died over them."""

    shard: Shard
    rows: list[Row]
    deaths: int = 0

    def answered(self, portion: Portion) -> bool:
        """Take the rows of a portion off, which come in their order. Returns whether none is left."""
        del self.rows[: len(portion.records)]
        return not self.rows


def pieces(works: Iterable[Work], rows: int) -> Iterator[Piece]:
    """Works as pieces of so many rows at most, read when they are asked for."""
    for work in works:
        for start in range(0, len(work.rows), rows):
            yield Piece(work.shard, work.rows[start : start + rows])


def takes(hand: Collection[Piece], piece: Piece) -> bool:
    """Whether a worker with these in hand may be given another: a suspect goes alone, others while few rows wait."""
    if piece.deaths or any(held.deaths for held in hand):
        return not hand
    return len(hand) < 2 or sum(len(held.rows) for held in hand) < ROWS_IN_HAND


class Worker(Protocol):
    """Whoever answers pieces.

    Attributes:
        ready: whether its model is open.
    """

    ready: bool

    def holds(self) -> list[Piece]:
        """What it has in hand."""


W = TypeVar("W", bound=Worker)


class Crew(Protocol[W]):
    """Several workers.

    Attributes:
        workers: those that are there.
        count: how many there are to be.
        suspects: the pieces of those that died.
    """

    workers: list[W]
    count: int
    suspects: Suspects

    def start(self) -> object:
        """Add a worker."""

    def give(self, worker: W, piece: Piece) -> None:
        """Put a piece into a worker's hand."""

    def heard(self) -> Iterator[Portion]:
        """What workers have to say, after waiting a moment for it."""


def supervise(crew: Crew[W], works: Iterable[Work], *, rows: int, tick: Tick, stop: Event) -> Answers:
    """Have a crew answer whole shards; see :meth:`shared.batch.engine.Engine.run`.

    Args:
        crew: who does it.
        works: read one piece ahead of what the workers take.
        rows: of a piece, at most.
        tick: told of rows as they are answered.
        stop: once it is set, rows under way are abandoned.
    """
    fresh = pieces(works, rows)
    upcoming = next(fresh, None)
    gathering = Gathering()
    while not stop.is_set():
        upcoming = _hand_out(crew, upcoming, fresh)
        if upcoming is None and not crew.suspects and not any(worker.holds() for worker in crew.workers):
            return
        for portion in crew.heard():
            tick(len(portion.records), sum(not record.ok for record in portion.records))
            yield from gathering.add(portion)


def _hand_out(crew: Crew[W], upcoming: Piece | None, fresh: Iterator[Piece]) -> Piece | None:
    """Give every worker what it may take: fresh pieces first, suspects at the end. Returns the next fresh one."""
    while len(crew.workers) < crew.count and (upcoming or crew.suspects):
        crew.start()
    for worker in crew.workers:
        while worker.ready and upcoming is not None and takes(worker.holds(), upcoming):
            crew.give(worker, upcoming)
            upcoming = next(fresh, None)
        if worker.ready and upcoming is None and crew.suspects and not worker.holds():
            crew.give(worker, crew.suspects.next())
    return upcoming


class Suspects:
    """The pieces whose worker died, in the order in which they are to be tried again."""

    def __init__(self) -> None:
        self._waiting: deque[Piece] = deque()
        self._fruitless = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def next(self) -> Piece:
        """The piece to try now; there must be one."""
        return self._waiting.popleft()

    def answered(self) -> None:
        """Hear that a worker has answered something: the count of deaths in a row begins anew."""
        self._fruitless = 0

    def died(self, ending: str) -> None:
        """Hear that a worker has died, ``ending`` saying how, its first line by itself.

        Raises:
            BackendError: too many workers died one after the other without an answer.
        """
        self._fruitless += 1
        if self._fruitless > DEATHS_IN_A_ROW:
            first = ending.partition("\n")[0]
            raise BackendError(
                f"workers must live to answer. {self._fruitless} died one after the other without an answer, the last "
                f"with {first}. Is there memory for the model and the batch?"
            )

    def buried(self, hand: Iterable[Piece], ending: str) -> Iterator[Portion]:
        """Take over what a dead worker had in hand; gives the rows that have killed enough to become failures.

        Args:
            hand: what it had not answered.
            ending: how it ended; it is kept beside a failure.
        """
        for piece in hand:
            deaths, rows, shard = piece.deaths + 1, piece.rows, piece.shard
            if len(rows) == 1 and deaths >= _ALONE_DEATHS:
                index, why = rows[0].index, f"an item must leave its worker alive. {deaths} workers died over this one"
                yield Portion(shard, [record(rows[0], Failure(index, "worker-died", why))], {index: ending})
            elif len(rows) > 1 and deaths >= _SUSPECT_DEATHS:
                middle = len(rows) // 2
                self._waiting.extendleft(Piece(shard, half, deaths=1) for half in (rows[middle:], rows[:middle]))
            else:
                self._waiting.appendleft(Piece(shard, rows, deaths))
