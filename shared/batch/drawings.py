"""Pictures with their results drawn, one for each row that has a result, written exactly once.

A drawing is made in a folder beside its place and renamed, under a name that its row alone decides: the row's number
and the safe part of the picture's name. A shard that is done again writes the same files again, and its marker comes
after them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from shared.batch.engine import Work
from shared.batch.records import Record
from shared.errors import DataError, InputError, UsageError
from shared.settings import cpu_count
from shared.tasks import Task
from shared.types import Result

_UNSAFE = re.compile(r"[^\w-]+")
_LONGEST = 80


class Drawings:
    """The folder of drawings of one job.

    Args:
        task: what draws.
        options: those that the model was opened with.
        folder: where to; made if it is not there.
        out: the job's folder.

    Raises:
        UsageError: the task draws nothing, or the folder lies in the job's.
    """

    def __init__(self, task: Task, options: Mapping[str, Any], folder: Path, out: Path) -> None:
        if task.annotate is None:
            raise UsageError(f"annotated must be left out: {task.name} has nothing to draw")
        if folder.resolve().is_relative_to(out.resolve()):
            raise UsageError(f"annotated must lie outside of the job's folder {out}. Got {folder} instead")
        self._annotate, self._options, self._folder = task.annotate, dict(options), folder
        self._work = folder / f".drawing-{sha256(os.fsencode(out.resolve())).hexdigest()[:12]}"
        self._items: dict[int, list[Any]] = {}

    def begin(self) -> None:
        """Make the folder, and clear away what a killed run left half drawn.

        Raises:
            UsageError: it cannot be made.
        """
        try:
            shutil.rmtree(self._work, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"annotated must be a folder that can be written. Got {self._folder}: {error}") from error

    def watch(self, works: Iterator[Work]) -> Iterator[Work]:
        """Remember the items of the shards under way."""
        for work in works:
            self._items[work.shard.start] = [row.item for row in work.rows]
            yield work

    def draw(self, records: Sequence[Record]) -> list[Record]:
        """Draw the results of one shard; a row whose picture can no longer be drawn becomes a failure.

        Raises:
            DataError: the folder cannot be written.
        """
        items = self._items.pop(records[0].index)
        try:
            self._work.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(min(4, cpu_count()), "draw") as pool:
                drawn = list(pool.map(self._drawn, records, items))
            shutil.rmtree(self._work)
        except OSError as error:
            shutil.rmtree(self._work, ignore_errors=True)
            raise DataError(
                f"drawings could not be written in {self._folder}: {error.strerror or error}. What was committed "
                "stays: mend this, then run the same command again to continue"
            ) from error
        return drawn

    def _drawn(self, record: Record, item: Any) -> Record:
        if record.result is None:
            return record
        result: Result = Result.from_json(json.loads(record.result))
        own = self._work / str(record.index)
        try:
            made = self._annotate(item, result, own, **self._options)
        except (InputError, UsageError) as error:
            kind = error.kind if isinstance(error, InputError) else "not-drawn"
            return replace(
                record, result=None, error_kind=kind, error_message=f"its result could not be drawn: {error}"
            )
        with open(made, "rb") as file:
            os.fsync(file.fileno())
        os.replace(made, self._folder / f"{record.index:08d}-{_safe(str(item))}{made.suffix}")
        return record


def _safe(name: str) -> str:
    """What of a picture's name can stand in a file name anywhere.

    Example:
        >>> _safe("s3://bucket/../My photo (1).jpeg"), _safe("...")
        ('My_photo_1', 'picture')
    """
    stem = os.path.splitext(name.rstrip("/").rpartition("/")[2])[0]
    return _UNSAFE.sub("_", stem.encode("utf-8", "replace").decode()).strip("_")[:_LONGEST] or "picture"
