"""What a run of a job leaves to say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Report:
    """How a job stands at the end of a run.

    Attributes:
        task: name of the task.
        model: name of the model.
        out: the job's folder.
        rows: rows of the whole input.
        done: rows in shards that are done.
        failed: how many of those have an error in the place of a result.
        shards: shards of the whole job.
        resumed: rows that were done before this run began.
        predicted: rows that this run predicted.
        predicted_in_all: rows that all runs predicted, those whose shard was lost to a kill too.
        seconds: what this run took, opening the model included.
    """

    task: str
    model: str
    out: str
    rows: int
    done: int
    failed: int
    shards: int
    resumed: int
    predicted: int
    predicted_in_all: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every row is done."""
        return self.done == self.rows

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        return asdict(self) | {"complete": self.complete}

    def to_text(self) -> str:
        """A line for people."""
        head = (
            f"{self.task}  {self.model}  {self.out}: {self.done:,} of {self.rows:,} items done, {self.failed:,} failed"
        )
        if self.complete and self.resumed == self.rows:
            return f"{head}. The job was finished before: nothing was left to do"
        rate = self.predicted / max(self.seconds, 1e-9)
        now = f"{self.predicted:,} predicted now in {self.seconds:.1f} s ({rate:.1f} items/s)"
        return f"{head}, {self.shards:,} shards. {now}, {self.predicted_in_all:,} in all runs"
