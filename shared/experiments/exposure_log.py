"""The log of who saw what: append-only, and whole after a crash.

::

    LOG/part-00000.parquet ...     parts that are full
    LOG/part-00007.jsonl           the part that is being written: one JSON object a line
    LOG/lock                       held by the process that writes; the system frees it however that ends

:meth:`ExposureLog.append` returns when its rows are on the disk. A full part is rewritten as Parquet beside its place,
flushed and renamed, and only then is its text removed, so a kill at any moment leaves every row whose ``append``
returned, once: where both forms of a part stand the Parquet one counts, and a last line without its end is cut off. Of
an ``append`` that was killed some rows may stand; appending them again makes repeats, which
:func:`shared.experiments.exposures.first_exposures` counts once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from shared.errors import DataError, UsageError
from shared.experiments.exposures import COLUMNS, Exposure, part_number, read_lines
from shared.lazy import require

ROWS_A_PART = 100_000


class ExposureLog:
    """A folder that this process alone appends to; a context manager.

    Args:
        folder: made when missing.
        rows_a_part: rows of a part before it becomes Parquet, at least 1.

    Raises:
        UsageError: the folder cannot be made or written, holds other files, or another process writes to it.
    """

    def __init__(self, folder: str | Path, *, rows_a_part: int = ROWS_A_PART) -> None:
        if rows_a_part < 1:
            raise UsageError(f"rows_a_part must be at least 1. Got {rows_a_part} instead")
        self.folder, self._rows_a_part = Path(folder), rows_a_part
        self._lock = FileLock(self.folder / "lock")
        self._number = self._rows = 0
        self._file = -1

    def __enter__(self) -> ExposureLog:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            others = [path.name for path in self.folder.iterdir() if path.name != "lock" and part_number(path) is None]
            if others:
                raise UsageError(f"the log's folder must hold nothing else. {self.folder} holds {others[0]}")
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"one process appends to a log at a time. Another one writes to {self.folder}") from None
        except OSError as error:
            raise UsageError(f"the log must be a folder that can be written. Got {self.folder}: {error}") from error
        try:
            self._mend()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._lock.release()

    def append(self, rows: Iterable[Exposure]) -> int:
        """Add rows; they are on the disk when this returns. Returns how many.

        Raises:
            DataError: the disk is full or refuses. What was appended before stays.
            UsageError: the log is not open.
        """
        if self._file < 0:
            raise UsageError(f"the log {self.folder} must be open to append to it: with ExposureLog(folder) as log")
        listed = list(rows)
        for first in range(0, len(listed), self._rows_a_part):
            self._append(listed[first : first + self._rows_a_part])
        return len(listed)

    def _append(self, rows: Sequence[Exposure]) -> None:
        try:
            before = os.fstat(self._file).st_size
            try:
                _write_all(self._file, "".join(map(_line, rows)).encode())
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, before)
                raise
        except OSError as error:
            raise DataError(f"exposures could not be written to {self.folder}: {error.strerror}") from error
        self._rows += len(rows)
        if self._rows >= self._rows_a_part:
            self.seal()

    def seal(self) -> None:
        """Rewrite the part that is being written as Parquet now, for those who read the folder as Parquet.

        Raises:
            DataError: the disk is full or refuses. The rows stay as they were.
        """
        if self._rows:
            os.close(self._file)
            self._file = -1
            _seal(self._part(".jsonl"))
            self._begin(self._number + 1)

    def _mend(self) -> None:
        """Finish what a crash left: a part in both forms, a half-written Parquet file, a last line without its end."""
        for path in self.folder.glob("part-*.tmp"):
            path.unlink()
        for path in self.folder.glob("part-*.parquet"):
            path.with_suffix(".jsonl").unlink(missing_ok=True)
        numbers = sorted(number for path in self.folder.iterdir() if (number := part_number(path)) is not None)
        last = numbers[-1] if numbers else 0
        open_part = self.folder / f"part-{last:05d}.jsonl"
        self._begin(last if open_part.exists() or not numbers else last + 1)
        if open_part.exists():
            data = open_part.read_bytes()
            whole = data.rfind(b"\n") + 1
            os.ftruncate(self._file, whole)
            self._rows = data.count(b"\n")

    def _begin(self, number: int) -> None:
        self._number, self._rows = number, 0
        self._file = os.open(self._part(".jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        _sync_folder(self.folder)

    def _part(self, suffix: str) -> Path:
        return self.folder / f"part-{self._number:05d}{suffix}"


def _line(row: Exposure) -> str:
    values = {"unit": row.unit, "experiment": row.experiment, "arm": row.arm, "time": row.time.isoformat()}
    return json.dumps(values | {"propensity": row.propensity}, ensure_ascii=False) + "\n"


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _seal(path: Path) -> None:
    """A full part of lines to Parquet, and only then the lines away."""
    pa, pq = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")
    schema = pa.schema(
        [(name, pa.string()) for name in COLUMNS[:3]]
        + [("time", pa.timestamp("us", "UTC")), ("propensity", pa.float64())]
    )
    rows = list(read_lines(path, path))
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    temporary = path.with_suffix(".parquet.tmp")
    try:
        with open(temporary, "wb") as file:
            pq.write_table(pa.table(columns, schema=schema), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path.with_suffix(".parquet"))
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(f"{path} could not be rewritten as Parquet: {error.strerror}. Its rows stay there") from error
    _sync_folder(path.parent)
    path.unlink()
