"""Where the rows of a job go on their way to a shard's marker: into files, into a table, onto pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.batch.drawings import Drawings
from shared.batch.engine import Work
from shared.batch.folder import JobFolder, Marker
from shared.batch.plan import Plan
from shared.batch.records import Record
from shared.batch.sinks import SQL, Sink, find_sink
from shared.batch.sources import is_url
from shared.batch.table_sink import TableSink
from shared.errors import UsageError
from shared.tasks import Task


class Outlet:
    """What a job writes.

    Args:
        task: what predicts.
        options: all of its options.
        out: the job's folder.
        sink: a name of :data:`~shared.batch.sinks.SINK_NAMES`.
        sink_url: for ``"sql"``, the database.
        table: for ``"sql"``, the table.
        annotated: a folder for pictures with their results drawn.

    Attributes:
        facts: what of this is part of the job's plan. Nothing secret.
        sink: the records of a shard to the bytes of its file, once they are in the table.

    Raises:
        UnknownNameError: no sink is called that.
        UsageError: something is missing, or asked for that the sink or the task has not.
        MissingDependencyError: the database needs an extra that is not installed.
    """

    def __init__(
        self,
        task: Task,
        options: Mapping[str, Any],
        out: Path | str,
        *,
        sink: str,
        sink_url: Any = None,
        table: str | None = None,
        annotated: str | Path | None = None,
    ) -> None:
        if is_url(str(out)):
            raise UsageError(
                "OUT must be a folder of this machine: shards are renamed into place, which object stores cannot do. "
                "Write to a folder, then copy it; INPUT may stand in a store"
            )
        plain = find_sink(sink)
        if (sink == SQL) != (sink_url is not None and table is not None) or (sink != SQL and (sink_url or table)):
            raise UsageError(
                "sink sql needs a place for its rows, which no other sink has: --sink sql --sink-url URL --table NAME"
            )
        self._drawings = None if annotated is None else Drawings(task, options, Path(annotated), Path(out))
        self._table = None if sink != SQL or table is None else TableSink(sink_url, table)
        self.sink: Sink = plain if self._table is None else self._table.sink
        self.facts: dict[str, str] = {} if annotated is None else {"annotated": str(annotated)}
        self.facts |= {} if self._table is None else self._table.facts

    def drawn(self, records: list[Record]) -> list[Record]:
        """The records of a shard once their pictures are drawn, where they are to be."""
        return records if self._drawings is None else self._drawings.draw(records)

    def begin(self, folder: JobFolder, plan: Plan, markers: dict[int, Marker], *, new: bool) -> None:
        """Prepare what is written beside the folder, and bring ``markers`` in line with it.

        Raises:
            DataError: a database or a folder refuses.
        """
        if self._drawings is not None:
            self._drawings.begin()
        if self._table is not None:
            self._table.begin(folder, plan, markers, new=new)

    def watch(self, works: Iterator[Work]) -> Iterator[Work]:
        """The works on their way to the engine, seen by whoever needs their items later."""
        return works if self._drawings is None else self._drawings.watch(works)

    def close(self) -> None:
        """Give back what is open; may be called at any time."""
        if self._table is not None:
            self._table.close()
