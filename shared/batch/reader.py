"""Going through what a job wrote, in the order of its input, with each file's hash checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.batch.folder import Layout, Marker
from shared.batch.plan import Plan
from shared.batch.sinks import Record, find_sink
from shared.errors import DataError
from shared.tasks import find_task, task_names
from shared.types import Failure, Result


@dataclass(frozen=True)
class Outcome:
    """One row of a job.

    Attributes:
        index: number of the row in the input, from 0.
        input: the path, the text or the id.
        id: the value of the id column, where one was named.
        result: the result, or a :class:`~shared.types.Failure` in its place.
    """

    index: int
    input: str
    id: str | None
    result: Result

    @property
    def ok(self) -> bool:
        """Whether it is a result and no failure."""
        return not isinstance(self.result, Failure)


def read(out: str | Path, *, partial: bool = False) -> Iterator[Outcome]:
    """The rows of a job in the order of its input, one shard in memory at a time.

    Args:
        out: the job's folder.
        partial: whether a job that is not finished may be read, as far as its shards are done.

    Raises:
        DataError: no job stands there, it is not finished, or a shard is missing or damaged.
    """
    layout, plan, markers = open_job(Path(out), partial=partial)
    if plan.task in task_names():
        find_task(plan.task)  # brings the task's result types, by which their JSON is read
    return (
        Outcome(item.index, item.input, item.id, _result(item)) for item in read_records(layout, plan.sink, markers)
    )


def open_job(out: Path, *, partial: bool) -> tuple[Layout, Plan, list[Marker]]:
    """A job's folder, its plan and the shards that are done, in order.

    Raises:
        DataError: no job stands there, or it is not finished and ``partial`` is false.
    """
    layout = Layout(out)
    found = layout.read_plan()
    if found is None:
        raise DataError(f"{out} must be the folder of a batch job. It holds none")
    plan, _ = found
    markers = layout.read_markers(plan)
    if len(markers) < plan.shard_count and not partial:
        raise DataError(
            f"the job in {out} must be finished to be read. {len(markers)} of its {plan.shard_count} shards are done "
            f"and whole: continue it with 'triptych batch resume {out}', or ask for a part with partial"
        )
    return layout, plan, [markers[number] for number in sorted(markers)]


def read_records(layout: Layout, sink: str, markers: Iterable[Marker]) -> Iterator[Record]:
    """The rows of shards as they stand there, one shard in memory at a time.

    Raises:
        DataError: a shard is not what its marker says.
    """
    decode = find_sink(sink).decode
    for marker in markers:
        path = layout.out / marker.file
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != marker.sha256:
            raise DataError(f"{path} must hold the bytes that its marker names. It was changed: delete it, run again")
        yield from decode(data)


def _result(item: Record) -> Result:
    if item.result is None:
        return Failure(item.index, str(item.error_kind), str(item.error_message))
    return Result.from_json(json.loads(item.result))
