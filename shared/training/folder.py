"""The folder of a training: what a kill leaves behind, and how the same command goes on from there.

::

    OUT/_train/plan.json                 everything that decides the result
    OUT/_train/epoch-00007.safetensors   weights, their running average and the optimiser after that epoch
    OUT/_train/best-00005.safetensors    the weights of the best epoch so far
    OUT/_train/state.json                names those files; replaced last, so it never names a half-written one
    OUT/_train/lock                      held by the process that trains here
    OUT/_train/end                       made by whoever wants the training to end after the epoch under way
    OUT/report.json                      written when the model stands in OUT; the checkpoints are then gone
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from shared.errors import DataError, PlanMismatchError, UsageError, WeightsError
from shared.lazy import require
from shared.weights.cache import free_space, write_bytes
from shared.weights.words import human

FORMAT = 1
STATE, END = "_train", "end"
_CHECKPOINT = re.compile(r"(epoch|best)-\d{5}\.safetensors")


@dataclass(frozen=True)
class Reached:
    """How far a training has come.

    Attributes:
        epoch: epochs that are done.
        best_epoch: the one with the best score, counted from 1; 0 before there is one.
        best_score: its score, higher is better.
        seconds: spent in all runs.
        history: a row an epoch: ``epoch``, ``loss``, ``score``, ``seconds``.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = float("-inf")
    seconds: float = 0.0
    history: tuple[Mapping[str, float], ...] = field(default=())


class TrainFolder:
    """A training's folder that this process alone works in; made by :func:`open_train_folder`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.inner = out / STATE
        self._plan_file, self._state_file = self.inner / "plan.json", self.inner / "state.json"
        self._done_file = out / "report.json"

    def told_to_end(self) -> bool:
        """Whether somebody made the file that ends a training early, with its best epoch so far."""
        return (self.inner / END).exists()

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Write the plan, or check that it is the one that stands here; one under which nothing was done is replaced.

        Raises:
            PlanMismatchError: the folder was begun under another plan; the message says in what they differ.
        """
        now = _plain({"format": FORMAT, "version": version("triptych"), **plan})
        done = {path.name for path in self.inner.iterdir()} - {"plan.json", "lock", END}
        if not self._plan_file.exists() or not (done or self._done_file.exists()):
            self._write(self._plan_file, _to_json(now))
            return
        before, wanted = _flat(_read(self._plan_file)), _flat(now)
        different = [
            f"{name} (was {before.get(name)!r}, now {wanted.get(name)!r})"
            for name in sorted({*before, *wanted})
            if before.get(name) != wanted.get(name)
        ]
        if different:
            raise PlanMismatchError(
                f"{self.out} was begun under another plan. Different: {'; '.join(different)}. "
                "Continue it as it was begun, or choose another folder"
            )

    def report(self) -> dict[str, Any] | None:
        """The report of a finished training; ``None`` before that."""
        return _read(self._done_file) if self._done_file.exists() else None

    def load(self) -> tuple[Reached, dict[str, Any]] | None:
        """How far an earlier run came and the tensors after its last epoch; ``None`` where none has finished an epoch.

        Raises:
            DataError: the state is damaged.
        """
        if not self._state_file.exists():
            return None
        state = _read(self._state_file)
        try:
            reached = Reached(**{**state["reached"], "history": tuple(state["reached"]["history"])})
            names = state["files"]
            return reached, self._tensors(names["epoch"], names["sha256"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{self._state_file} must hold the state of a training. {error!r}") from error

    def best(self, reached: Reached) -> dict[str, Any]:
        """The tensors of the best epoch, by name.

        Raises:
            DataError: they are damaged.
        """
        return self._tensors(f"best-{reached.best_epoch:05d}.safetensors", None)

    def save(self, reached: Reached, tensors: Mapping[str, Any], best: Mapping[str, Any]) -> None:
        """Keep the state after an epoch; a kill at any moment leaves the state before or this one.

        Args:
            reached: how far it has come.
            tensors: everything that the next epoch starts from.
            best: the best weights, read only when this epoch is the best one.

        Raises:
            WeightsError: the disk is full or refuses. The state of the epoch before stays.
        """
        epoch = f"epoch-{reached.epoch:05d}.safetensors"
        keep = {epoch, f"best-{reached.best_epoch:05d}.safetensors"}
        content = _encode(tensors)
        self._write(self.inner / epoch, content)
        if reached.best_epoch == reached.epoch:
            self._write(self.inner / f"best-{reached.epoch:05d}.safetensors", _encode(best))
        files = {"epoch": epoch, "sha256": hashlib.sha256(content).hexdigest()}
        self._write(self._state_file, _to_json({"reached": asdict(reached), "files": files}))
        self._drop_checkpoints(keep)

    def finish(self, report: Mapping[str, Any]) -> None:
        """Say that the model stands in the folder, and drop what only a resumed run would have read."""
        self._write(self._done_file, _to_json(report))
        for path in (self._state_file, self.inner / END):
            path.unlink(missing_ok=True)
        self._drop_checkpoints(set())

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_bytes(path, content)
        except WeightsError as error:
            fault = error.__cause__.strerror if isinstance(error.__cause__, OSError) else str(error)
            raise WeightsError(
                f"{path.name} could not be written in {path.parent} ({fault}); {free_space(path)}. "
                "What was written before stays: mend this, then give the same command again to go on"
            ) from error

    def _drop_checkpoints(self, keep: set[str]) -> None:
        for path in self.inner.iterdir():
            if _CHECKPOINT.fullmatch(path.name) and path.name not in keep:
                path.unlink()

    def _tensors(self, name: str, sha256: str | None) -> dict[str, Any]:
        path = self.inner / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} must hold the weights of a training. {error.strerror}") from error
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise DataError(f"{path} is damaged: its bytes are not those that were written. Train into another folder")
        torch_files = require("safetensors.torch", extra="torch")
        return dict(torch_files.load(content))


@contextmanager
def open_train_folder(out: Path, plan: Mapping[str, Any], *, room: int) -> Iterator[TrainFolder]:
    """Begin a training in a new folder, or go on with the one that stands there under the same plan.

    Args:
        out: the folder.
        plan: what decides the result, JSON-ready.
        room: bytes that the training will need at most.

    Raises:
        UsageError: it holds something else, cannot be written, has too little room, or another process trains there.
        PlanMismatchError: it was begun under another plan.
    """
    folder = TrainFolder(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"OUT must be a folder. {out} is a file")
    if out.is_dir() and not folder.inner.is_dir() and any(out.iterdir()):
        raise UsageError(f"OUT must be a new or empty folder, or one of a training. {out} holds other files")
    lock = FileLock(folder.inner / "lock")
    try:
        folder.inner.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"one process trains in a folder at a time. Another one works in {out}: wait for it") from None
    except OSError as error:
        raise UsageError(f"OUT must be a folder that can be written. Got {out}: {error}") from error
    try:
        free = shutil.disk_usage(folder.inner).free
        if free < room and folder.report() is None:
            raise UsageError(
                f"a training needs about {human(room)} for its state and the model. {human(free)} are free under "
                f"{out}: make room, or name a folder on another disk"
            )
        try:
            folder.begin(plan)
        except WeightsError as error:
            raise UsageError(f"OUT must be a folder that can be written. {error}") from error
        yield folder
    finally:
        lock.release()


def _encode(tensors: Mapping[str, Any]) -> bytes:
    content: bytes = require("safetensors.torch", extra="torch").save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    )
    return content


def _to_json(table: Mapping[str, Any]) -> bytes:
    return (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode()


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table as it comes back from JSON, so that a stored plan compares equal."""
    return dict(json.loads(json.dumps(table)))


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Tables within a table as dotted names."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return flat


def _read(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} must be JSON. {error}") from error
    if not isinstance(table, dict):
        raise DataError(f"{path} must hold one JSON object. Got a {type(table).__name__} instead")
    return table
