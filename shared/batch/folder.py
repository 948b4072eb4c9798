"""The folder of a job: shards that anyone can read, and beside them, in ``_job``, what is needed to resume.

::

    OUT/part-00000.parquet ...     one file a shard
    OUT/_job/job.json              the plan, and how the job was begun
    OUT/_job/shards/00000.json     the marker of a shard: written last, so a shard without one is done again
    OUT/_job/predicted             how many rows have been predicted in all runs, committed or not
    OUT/_job/failures.jsonl        the tracebacks of rows that failed, as many as there is room for
    OUT/_job/done.json             the report; written when every shard is done
    OUT/_job/table.json            where rows go to a table: under which name they stand there
    OUT/_job/members/              where inputs are archives: the places of their members
    OUT/_job/lock                  held by the process that works here; the system frees it however that ends

Every file is written beside its place and renamed, so a kill at any moment leaves a whole file or none. Shards and the
plan are flushed to the disk before; a marker is not, for one that a failing machine cuts short only has its shard done
again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from shared.batch.engine import Portion
from shared.batch.failures import FailureLog
from shared.batch.holding import is_held
from shared.batch.inputs import Part
from shared.batch.plan import Plan, Shard
from shared.batch.sinks import Sink, find_sink
from shared.errors import DataError, UsageError

FORMAT = 1

_LOCK_SECONDS = 0.5  # a look at whether the folder is in use holds the lock for a moment


@dataclass(frozen=True)
class Marker:
    """Says that a shard is done.

    Attributes:
        shard: its number.
        file: name of its file in the job's folder.
        start: number of its first row.
        rows: number of its rows.
        failed: how many of them have an error in the place of a result.
        size: bytes of the file.
        sha256: of the file.
    """

    shard: int
    file: str
    start: int
    rows: int
    failed: int
    size: int
    sha256: str


class Layout:
    """Where things stand in a job's folder, and how they are read."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.job = out / "_job"
        self.plan_file = self.job / "job.json"
        self.done_file = self.job / "done.json"
        self.markers = self.job / "shards"

    def read_call(self) -> dict[str, Any]:
        """How the job was begun, as :meth:`JobFolder.write_plan` was told.

        Raises:
            DataError: no job was begun here, or a version before this file told so began it.
        """
        table = _read_json(self.plan_file) if self.plan_file.exists() else None
        if not isinstance(table, dict):
            raise DataError(f"{self.out} must be the folder of a batch job. It holds none")
        if not isinstance(table.get("call"), dict):
            raise DataError(
                f"{self.plan_file} must say how the job was begun. It does not: run the first command again"
            )
        return dict(table["call"])

    def engine(self) -> str:
        """Where the work was begun; empty where it is not told."""
        table = _read_json(self.plan_file)
        return str(table["call"].get("engine", "")) if isinstance(table.get("call"), dict) else ""

    def read_predicted(self) -> int:
        """How many rows all runs have predicted, committed or not."""
        path = self.job / "predicted"
        text = path.read_text("ascii").strip() if path.exists() else ""
        return int(text) if text.isdigit() else 0

    def in_use(self) -> bool:
        """Whether a process works in the folder now."""
        return is_held(self.job / "lock")

    def read_plan(self) -> tuple[Plan, tuple[Part, ...]] | None:
        """The plan and the parts of its input; ``None`` when no job was begun here.

        Raises:
            DataError: the plan's file is damaged, or of another version of this layout.
        """
        if not self.plan_file.exists():
            return None
        table = _read_json(self.plan_file)
        if not isinstance(table, dict) or table.get("format") != FORMAT:
            raise DataError(f"{self.plan_file} must hold the plan of a batch job in format {FORMAT}")
        try:
            parts = tuple(Part(**part) for part in table["parts"])
            return Plan.from_json(table["plan"], self.plan_file), parts
        except (TypeError, KeyError) as error:
            raise DataError(f"{self.plan_file} must hold the plan of a batch job. {error!r}") from error

    def read_markers(self, plan: Plan) -> dict[int, Marker]:
        """The shards that are done: their marker is whole and their file is there in the size that it says."""
        found: dict[int, Marker] = {}
        suffix = find_sink(plan.sink).suffix
        for shard in plan.shards():
            marker = self._read_marker(shard, part_name(shard, suffix))
            if marker is not None:
                found[shard.number] = marker
        return found

    def _read_marker(self, shard: Shard, name: str) -> Marker | None:
        path = self.marker(shard)
        if not path.exists():
            return None
        try:
            marker = Marker(**_read_json(path))
            size = (self.out / name).stat().st_size
        except (DataError, TypeError, FileNotFoundError):
            return None
        place = (marker.shard, marker.file, marker.start, marker.rows, marker.size)
        return marker if place == (shard.number, name, shard.start, len(shard), size) else None

    def marker(self, shard: Shard) -> Path:
        """Where the marker of a shard stands."""
        return self.markers / f"{shard.number:05d}.json"

    def read_done(self) -> dict[str, Any] | None:
        """The report of a finished job; ``None`` before that."""
        if not self.done_file.exists():
            return None
        report = _read_json(self.done_file)
        if not isinstance(report, dict):
            raise DataError(f"{self.done_file} must hold the report of a batch job. Got {type(report).__name__}")
        return report

    def read_note(self, name: str) -> dict[str, Any]:
        """What :meth:`JobFolder.write_note` wrote.

        Raises:
            DataError: it is gone or damaged.
        """
        path = self.job / name
        if not path.exists():
            raise DataError(f"{path} must be there to continue this job. It is gone: choose another OUT")
        note = _read_json(path)
        if not isinstance(note, dict):
            raise DataError(f"{path} must hold a JSON object. Got {type(note).__name__} instead")
        return note


class JobFolder(Layout):
    """A job's folder that this process alone works in; a context manager.

    Raises:
        UsageError: it cannot be made or written, holds something else, or another process works in it.
    """

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self._lock = FileLock(self.job / "lock")
        self._counter = -1
        self.predicted = 0
        self.failures = FailureLog(self.job / "failures.jsonl")

    def __enter__(self) -> JobFolder:
        if self.out.is_dir() and not self.plan_file.exists() and any(p != self.job for p in self.out.iterdir()):
            raise UsageError(f"OUT must be a new or empty folder, or one of a batch job. {self.out} holds other files")
        try:
            self.markers.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=_LOCK_SECONDS, poll_interval=0.02)
        except Timeout:
            raise UsageError(
                f"one process works in a job's folder at a time. Another one is working in {self.out}: wait for it"
            ) from None
        except OSError as error:
            raise UsageError(f"OUT must be a folder that can be written. Got {self.out}: {error}") from error
        try:
            self._open_counter()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._counter)
        self._lock.release()

    def _open_counter(self) -> None:
        with self._writing("the count of predicted rows"):
            self._counter = os.open(self.job / "predicted", os.O_RDWR | os.O_CREAT, 0o644)
            self.predicted = self.read_predicted()
            self.count(0)

    def count(self, rows: int) -> None:
        """Add to the rows that were predicted here. The figure outlives a kill of the process."""
        self.predicted += rows
        with self._writing("the count of predicted rows"):
            os.pwrite(self._counter, b"%020d\n" % self.predicted, 0)

    def write_plan(self, plan: Plan, parts: Sequence[Part], call: Mapping[str, Any]) -> None:
        """Begin the job; ``call`` says how, JSON-ready, for whoever continues it."""
        table = {
            "format": FORMAT,
            "plan": plan.to_json(),
            "parts": [asdict(part) for part in parts],
            "call": dict(call),
        }
        self._write(self.plan_file, _to_json(table))

    def commit(self, portion: Portion, sink: Sink) -> Marker:
        """Write a shard, then its marker.

        Raises:
            DataError: the disk is full or refuses; nothing of this shard is left.
        """
        shard, data = portion.shard, sink.encode(portion.records)
        with self._writing(self.failures.path.name):
            self.failures.add(shard.number, portion.records, portion.tracebacks)
        return self.adopt(shard, sink.suffix, data, sum(not record.ok for record in portion.records))

    def adopt(self, shard: Shard, suffix: str, data: bytes, failed: int) -> Marker:
        """Write file and marker of a shard whose rows are committed elsewhere already.

        Raises:
            DataError: the disk is full or refuses.
        """
        name = part_name(shard, suffix)
        marker = Marker(shard.number, name, shard.start, len(shard), failed, len(data), sha256(data).hexdigest())
        self._write(self.out / name, data)
        self._write(self.marker(shard), _to_json(asdict(marker)), flush=False)
        return marker

    def write_note(self, name: str, note: dict[str, Any]) -> None:
        """Keep something beside the plan, for the runs that continue this one."""
        self._write(self.job / name, _to_json(note))

    def finish(self, report: dict[str, Any]) -> None:
        """Say that every shard is done."""
        self._write(self.done_file, _to_json(report))

    def _write(self, path: Path, data: bytes, *, flush: bool = True) -> None:
        temporary = self.job / f"{path.name}.tmp"
        with self._writing(path.name):
            try:
                with open(temporary, "wb") as file:
                    file.write(data)
                    if flush:
                        file.flush()
                        os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"{what} could not be written in {self.out}: {error.strerror}. "
                "What was committed stays: mend this, then run the same command again to continue"
            ) from error


def part_name(shard: Shard, suffix: str) -> str:
    """What the file of a shard is called."""
    return f"part-{shard.number:05d}{suffix}"


def _to_json(table: object) -> bytes:
    return (json.dumps(table, indent=2) + "\n").encode()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} must be JSON. {error}") from error
