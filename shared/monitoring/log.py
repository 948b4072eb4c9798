"""The prediction log: what was observed of a sample of live predictions, and nothing that leads back to anybody.

::

    LOG/log.toml                              the task, and the secret that ids are hashed with
    LOG/part-1764345600000-5f3c9a1e.parquet   parts that are full; the name begins with the time in milliseconds
    LOG/open-1764345700000-5f3c9a1e.jsonl     the part that a process is writing, one row a line
    LOG/writer-5f3c9a1e.lock                  held by that process; the system frees it however that ends

- *Which* predictions: those whose request's id falls below ``rate`` under a keyed hash (BLAKE2b), so that every worker
  and every restart takes the same ones.
- *What* of them: a keyed hash of the request's id, by which labels that come late are joined (:meth:`Key.of`), the
  columns of :class:`~shared.monitoring.signals.Observed`, and no input. A text is kept only where that is asked for,
  and then without what :func:`nlp.redaction.redactor` takes out of it.
- A row is handed to the system when :meth:`PredictionLog.append` returns, so a kill loses none; the disk of a machine
  that loses its power may lack the part that was being written. A part appears whole under its name or not at all, and
  what a dead process left open is finished by the next one that opens the log.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import tomli_w
from filelock import FileLock, Timeout

from shared.errors import DataError, UsageError
from shared.monitoring.log_rows import Key, Logged, line_of, read_open, seal_part

FILE = "log.toml"
ROWS_A_PART, SECONDS_A_PART = 5000, 300.0
_WHOLE = 2**64


@dataclass(frozen=True)
class Retention:
    """How long parts are kept: the oldest go when either is passed.

    Attributes:
        days: above 0.
        megabytes: of all parts together, 2^20 bytes each, above 0.
    """

    days: float = 30.0
    megabytes: float = 1024.0

    def __post_init__(self) -> None:
        if not self.days > 0 or not self.megabytes > 0:
            raise UsageError(f"days and megabytes must be above 0. Got {self.days} and {self.megabytes}")


class PredictionLog:
    """A log that this process appends to; a context manager. Several processes may, each into parts of its own.

    Args:
        folder: made when missing.
        task: whose predictions they are.
        rate: which share of them is appended, in (0, 1]; written into every part.
        rows_a_part: rows of a part before it becomes Parquet, at least 1.
        seconds_a_part: seconds before it does, if it has a row.
        retention: how long parts are kept.
        clock: seconds since 1970.

    Raises:
        UsageError: the folder cannot be made or written, or an argument is out of its range.
        DataError: it is the log of another task.
    """

    def __init__(
        self,
        folder: str | Path,
        task: str,
        *,
        rate: float = 1.0,
        rows_a_part: int = ROWS_A_PART,
        seconds_a_part: float = SECONDS_A_PART,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if rows_a_part < 1 or not seconds_a_part > 0 or not 0 < rate <= 1:
            raise UsageError(
                "a log must have at least 1 row a part, seconds_a_part above 0 and a rate in (0, 1]. "
                f"Got {rows_a_part}, {seconds_a_part} and {rate}"
            )
        self.folder, self.task, self.rate = Path(folder), task, rate
        self._most, self._longest, self._clock = rows_a_part, seconds_a_part, clock
        self._retention = retention or Retention()
        self._token = secrets.token_hex(4)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.key = _key(self.folder, task)
        except OSError as error:
            raise UsageError(f"a log must be a folder that can be written. Got {self.folder}: {error}") from error
        self._lock = FileLock(self.folder / f"writer-{self._token}.lock", thread_local=False)
        self._rows: list[Logged] = []
        self._file, self._stem, self._began, self._last = -1, "", 0.0, 0

    def __enter__(self) -> PredictionLog:
        self._lock.acquire()
        try:
            mend(self.folder)
        except DataError:
            self._let_go()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.seal()
        finally:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            self._let_go()

    def _let_go(self) -> None:
        self._lock.release()
        (self.folder / f"writer-{self._token}.lock").unlink(missing_ok=True)

    def append(self, rows: Sequence[Logged]) -> None:
        """Add rows; the system has them when this returns.

        Raises:
            DataError: the disk is full or refuses. What was appended before stays.
        """
        for first in range(0, len(rows), self._most):
            some = rows[first : first + self._most]
            try:
                if self._file < 0:
                    self._begin()
                before = os.fstat(self._file).st_size
                try:
                    _write_all(self._file, "".join(map(line_of, some)).encode())
                except OSError:
                    os.ftruncate(self._file, before)
                    raise
            except OSError as error:
                raise DataError(f"predictions could not be written to {self.folder}: {error.strerror}") from error
            self._rows += some
            if len(self._rows) >= self._most:
                self.seal()
        self.tick()

    def tick(self) -> None:
        """Finish the part that is being written if it has been for long enough."""
        if self._rows and self._clock() - self._began >= self._longest:
            self.seal()

    def seal(self) -> None:
        """Make a Parquet part of what is being written now, and let the oldest parts go.

        Raises:
            DataError: the disk is full or refuses. The rows stay as they were.
        """
        if self._file < 0:
            return
        seal_part(self.folder, self._stem, self._rows, self.rate)  # where it fails, the part stays open as it was
        os.close(self._file)
        self._file, self._rows = -1, []
        retain(self.folder, self._retention, now=self._clock())

    def _begin(self) -> None:
        self._began = self._clock()
        self._last = max(self._last + 1, int(self._began * 1000))
        self._stem = f"{self._last:013d}-{self._token}"
        path = self.folder / f"open-{self._stem}.jsonl"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)
        try:
            _write_all(file, (json.dumps({"rate": self.rate}) + "\n").encode())
        except OSError:
            os.close(file)
            path.unlink()
            raise
        self._file = file


def mend(folder: Path) -> None:
    """Finish what processes that ended left open; parts of those that run are left alone.

    Raises:
        DataError: a part cannot be written.
    """
    for left in sorted(folder.glob("open-*.jsonl")):
        stem = left.stem.removeprefix("open-")
        lock = folder / f"writer-{stem.rpartition('-')[2]}.lock"
        try:
            with FileLock(lock).acquire(timeout=0):
                if left.exists():
                    rate, rows = read_open(left)
                    seal_part(folder, stem, rows, rate)
        except Timeout:
            continue
        lock.unlink(missing_ok=True)
    for left in folder.glob("part-*.tmp"):
        if not (folder / f"writer-{left.name.split('.')[0].rpartition('-')[2]}.lock").exists():
            left.unlink(missing_ok=True)


def retain(folder: Path, retention: Retention, *, now: float) -> None:
    """Let the oldest parts go that are too old or too many; the newest one stays."""
    parts = sorted(folder.glob("part-*.parquet"))
    sizes = {part: part.stat().st_size for part in parts if part.exists()}
    left, most = sum(sizes.values()), retention.megabytes * 2**20
    for part in parts[:-1]:
        age = now - int(part.stem.split("-")[1]) / 1000
        if age <= retention.days * 86_400 and left <= most:
            return
        left -= sizes.get(part, 0)
        part.unlink(missing_ok=True)


def read_key(folder: str | Path) -> tuple[str, Key]:
    """The task of a log and its key.

    Raises:
        DataError: no log stands there.
    """
    try:
        table = tomllib.loads((Path(folder) / FILE).read_text("utf-8"))
        return str(table["task"]), Key(bytes.fromhex(table["salt"]))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder} must be the folder of a prediction log, with {FILE} in it. {error}") from error


def _key(folder: Path, task: str) -> Key:
    """The log's key, made where there is none; of several processes that make one the first wins."""
    place = folder / FILE
    if not place.exists():
        temporary = folder / f"{FILE}.{secrets.token_hex(4)}.tmp"
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(tomli_w.dumps({"format": 1, "task": task, "salt": secrets.token_hex(32)}).encode())
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, place)
        except FileExistsError:
            pass
        finally:
            temporary.unlink(missing_ok=True)
    of, key = read_key(folder)
    if of != task:
        raise DataError(f"a log is of one task. {folder} is the log of {of}, and not of {task}: name another folder")
    return key


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
