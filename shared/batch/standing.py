"""How a job stands, told from its folder alone, whether or not a process works there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from shared.batch.folder import Layout, Marker
from shared.batch.plan import Plan
from shared.batch.progress import clock
from shared.errors import DataError

State: TypeAlias = Literal["running", "stopped", "finished"]

_LATELY = 300.0  # seconds over which the rate is taken


@dataclass(frozen=True)
class Status:
    """How a job stands.

    Attributes:
        out: the job's folder.
        state: ``"running"`` while a process works there, ``"finished"`` once every shard is done, else ``"stopped"``.
        task: name of the task.
        model: name of the model.
        source: the input, as it was named.
        engine: where the work was begun: ``"local"`` or ``"ray"``; empty where it is not told.
        rows: rows of the whole input.
        done: rows in shards that are done.
        failed: how many of those have an error in the place of a result.
        shards: shards of the whole job.
        shards_done: those that are done.
        predicted_in_all: rows that all runs predicted, those whose shard was lost to a kill too.
        rate: rows a second over the last minutes of a running job; 0.0 where nothing can be told.
        left: seconds left at that rate; ``None`` where nothing can be told.
    """

    out: str
    state: State
    task: str
    model: str
    source: str
    engine: str
    rows: int
    done: int
    failed: int
    shards: int
    shards_done: int
    predicted_in_all: int
    rate: float
    left: float | None

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        return asdict(self)

    def to_text(self) -> str:
        """Lines for people."""
        share = 100 * self.done / self.rows if self.rows else 100.0
        lines = [
            f"{self.out}: {self.state}",
            f"  {self.task}  {self.model}  {self.source}",
            f"  {self.done:,} of {self.rows:,} items done ({share:.1f} %), {self.failed:,} failed",
            f"  {self.shards_done:,} of {self.shards:,} shards; {self.predicted_in_all:,} items predicted in all runs",
        ]
        if self.left is not None:
            lines.append(f"  {self.rate:.1f} items/s, {clock(self.left)} left")
        if self.state == "stopped":
            lines.append(f"  triptych batch resume {self.out} continues it")
        if self.state == "finished":
            lines.append(f"  triptych batch merge {self.out} FILE makes one file of it")
        return "\n".join(lines)


def status(out: str | Path) -> Status:
    """Look at a job's folder.

    Args:
        out: the folder. Nothing in it is changed.

    Raises:
        DataError: no job was begun there.
    """
    layout = Layout(Path(out))
    found = layout.read_plan()
    if found is None:
        raise DataError(f"{out} must be the folder of a batch job. It holds none")
    plan, _ = found
    running = layout.in_use()
    markers = layout.read_markers(plan)
    state: State = "running" if running else "finished" if len(markers) == plan.shard_count else "stopped"
    rate = _rate(layout, plan, markers) if running else 0.0
    done = sum(marker.rows for marker in markers.values())
    return Status(
        out=str(out),
        state=state,
        task=plan.task,
        model=plan.model,
        source=str(plan.inputs["input"]),
        engine=layout.engine(),
        rows=plan.rows,
        done=done,
        failed=sum(marker.failed for marker in markers.values()),
        shards=plan.shard_count,
        shards_done=len(markers),
        predicted_in_all=layout.read_predicted(),
        rate=round(rate, 3),
        left=round((plan.rows - done) / rate, 1) if rate else None,
    )


def _rate(layout: Layout, plan: Plan, markers: dict[int, Marker]) -> float:
    """Rows a second between the first and the last of the shards that were done lately."""
    times = sorted(
        (layout.marker(shard).stat().st_mtime, markers[shard.number].rows)
        for shard in plan.shards()
        if shard.number in markers
    )
    lately = [(at, rows) for at, rows in times if at >= times[-1][0] - _LATELY]
    if len(lately) < 2 or lately[-1][0] == lately[0][0]:
        return 0.0
    return sum(rows for _, rows in lately[1:]) / (lately[-1][0] - lately[0][0])
