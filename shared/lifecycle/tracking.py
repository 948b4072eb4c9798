"""Runs: what was trained or evaluated, on which data, by which code, with what figures.

::

    with tracked("train", "sentiment", task="nlp.classification", params={"epochs": 3}, dataset=reviews) as run:
        run.metrics({"f1": (0.91, 0.89, 0.93), "loss": 0.2})
        run.artefact("out/report.json")

Where runs go is said by ``TRIPTYCH_TRACKING``: ``off``, a folder, the address of an MLflow server, or
``wandb:PROJECT``; without it into ``TRIPTYCH_HOME/lifecycle`` where the extra ``lifecycle`` is installed, else nowhere.
A tracker that fails is told of once and never ends the work that it was to log.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias

from shared.errors import UsageError
from shared.lifecycle.fingerprints import code_version, data_fingerprint
from shared.lifecycle.places import ENV, OFF, WANDB, place
from shared.weights.words import say

Status: TypeAlias = Literal["running", "finished", "failed", "killed"]
Value: TypeAlias = float | tuple[float, float, float]
"""A figure, or a figure with the lower and the upper end of its interval."""
KINDS = ("train", "evaluate", "compare")
"""The kinds of runs that the commands log; a caller may have others."""
PARTS = ("low", "high")


class Log(Protocol):
    """What a tracker does with one run; see :class:`Run` for what callers have."""

    def metrics(self, values: Mapping[str, float], step: int | None) -> None:
        """Keep numbers by name."""

    def artefact(self, path: Path) -> None:
        """Keep a copy of a file."""

    def text(self, name: str, content: str) -> None:
        """Keep a text as a file of that name."""

    def end(self, status: Status) -> None:
        """Say that the run is over."""


class Run:
    """One run, open until the block that it heads ends.

    Attributes:
        id: by which it is found again; empty where nothing is logged.
    """

    def __init__(self, id: str, log: Log) -> None:
        self.id, self._log, self._open = id, log, True

    def metrics(self, values: Mapping[str, Value], *, step: int | None = None) -> None:
        """Log figures; an interval's ends are kept as ``NAME.low`` and ``NAME.high``."""
        flat: dict[str, float] = {}
        for name, value in values.items():
            if isinstance(value, tuple):
                flat |= zip((name, *(f"{name}.{part}" for part in PARTS)), map(float, value), strict=True)
            else:
                flat[name] = float(value)
        if flat:
            self._log.metrics(flat, step)

    def artefact(self, path: str | Path) -> None:
        """Log a copy of a file, where it exists."""
        if Path(path).is_file():
            self._log.artefact(Path(path))

    def text(self, name: str, content: str) -> None:
        """Log a text as a file of that name."""
        self._log.text(name, content)

    def end(self, status: Status = "finished") -> None:
        """Say that the run is over; a second time says nothing."""
        if self._open:
            self._open = False
            self._log.end(status)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end("finished" if kind is None else "failed" if issubclass(kind, Exception) else "killed")


@dataclass(frozen=True)
class RunRecord:
    """What a tracker knows of a run.

    Attributes:
        id: of the run.
        kind: ``"train"``, ``"evaluate"``, ``"compare"`` or a caller's own.
        name: for people.
        task: that it was about.
        status: ``"running"`` where it was never ended, by a kill say.
        started: when, in UTC.
        ended: when, or ``None``.
        params: what decided it, as text.
        metrics: figures by name: the value, and the ends of its interval or ``None``.
        tags: further facts: model, data, code.
        artefacts: where its files lie.
    """

    id: str
    kind: str
    name: str
    task: str
    status: Status
    started: datetime
    ended: datetime | None
    params: Mapping[str, str]
    metrics: Mapping[str, tuple[float, float | None, float | None]]
    tags: Mapping[str, str] = field(default_factory=dict)
    artefacts: str = ""

    @property
    def model(self) -> str:
        """The model that it was about, or empty."""
        return self.tags.get("model", "")

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        figures = {
            name: {"value": value} if low is None else {"value": value, "low": low, "high": high}
            for name, (value, low, high) in self.metrics.items()
        }
        times = {"started": self.started.isoformat(timespec="milliseconds")}
        times["ended"] = "" if self.ended is None else self.ended.isoformat(timespec="milliseconds")
        head = {"id": self.id, "kind": self.kind, "name": self.name, "task": self.task, "status": self.status}
        rest = {"params": dict(self.params), "metrics": figures, "tags": dict(self.tags), "artefacts": self.artefacts}
        return head | {key: value or None for key, value in times.items()} | rest


class Tracker(Protocol):
    """Where runs are kept. :func:`tracker` chooses one."""

    def run(self, kind: str, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """Begin a run. ``tags`` hold its ``task`` at least, of those that :class:`RunRecord` names."""

    def runs(
        self, *, kind: str | None = None, task: str | None = None, model: str | None = None, limit: int = 50
    ) -> list[RunRecord]:
        """The runs that are kept, newest first."""

    def find(self, id: str) -> RunRecord:
        """One run by its id, or by the beginning of it."""


class _Nowhere:
    def metrics(self, values: Mapping[str, float], step: int | None) -> None:
        pass

    def artefact(self, path: Path) -> None:
        pass

    def text(self, name: str, content: str) -> None:
        pass

    def end(self, status: Status) -> None:
        pass


class Untracked:
    """The tracker that keeps nothing."""

    def run(self, kind: str, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """A run that is logged nowhere."""
        return Run("", _Nowhere())

    def runs(
        self, *, kind: str | None = None, task: str | None = None, model: str | None = None, limit: int = 50
    ) -> list[RunRecord]:
        """None."""
        raise UsageError(
            f"runs are logged nowhere. Set {ENV} to a folder or a server, or install 'triptych[lifecycle]'"
        )

    def find(self, id: str) -> RunRecord:
        """None."""
        return self.runs()[0]


def tracker(url: str | Path | None = None) -> Tracker:
    """Where runs go.

    Args:
        url: ``"off"``, a folder, the ``http(s)://`` address of an MLflow server, or ``"wandb:PROJECT"`` (also
            ``"wandb:ENTITY/PROJECT"``); ``None`` takes what ``TRIPTYCH_TRACKING`` says, else the folder
            ``TRIPTYCH_HOME/lifecycle`` where the extra ``lifecycle`` is installed.

    Raises:
        UsageError: the address is of another kind.
    """
    told = os.environ.get(ENV, "").strip() if url is None else str(url)
    if told.lower() in OFF or (not told and find_spec("mlflow") is None):
        return Untracked()
    if told.startswith(WANDB):
        from shared.lifecycle.wandb_runs import WandbRuns  # noqa: PLC0415 - only where it was asked for

        return WandbRuns(told.removeprefix(WANDB))
    from shared.lifecycle.mlflow_runs import MlflowRuns  # noqa: PLC0415 - nothing of it is needed where runs are off

    return MlflowRuns(place(url))


@contextmanager
def tracked(
    kind: str,
    name: str | None = None,
    *,
    task: str,
    params: Mapping[str, Any] | None = None,
    dataset: str | Path | None = None,
    tags: Mapping[str, str] | None = None,
    url: str | Path | None = None,
) -> Iterator[Run]:
    """Log a piece of work as a run, with the version of the code and the fingerprint of its data.

    The run ends with the block: finished, failed by an exception, or killed by an interrupt. Whatever becomes of the
    tracker, the block goes on: a fault of it is one line on standard error.

    Args:
        kind: ``"train"``, ``"evaluate"``, ``"compare"`` or a word of your own.
        name: for people; the task and the kind when not given.
        task: that it is about.
        params: what decides the result.
        dataset: file or folder of the data.
        tags: further facts, ``model`` say.
        url: as :func:`tracker` takes it.

    Example:
        >>> with tracked("train", task="nlp.ner", url="off") as run:
        ...     run.metrics({"f1": (0.8, 0.7, 0.9)})
        >>> run.id
        ''
    """
    faults = _Faults()
    run = Run("", _Nowhere())
    with faults:
        chosen = tracker(url)
        if not isinstance(chosen, Untracked):
            facts = {"task": task, **code_version(), **(tags or {})}
            if dataset is not None:
                facts |= data_fingerprint(Path(dataset)).tags()
            begun = chosen.run(kind, name or f"{task} {kind}", params=params or {}, tags=facts)
            run = Run(begun.id, _Guarded(begun, faults))
    with run:
        yield run


class _Faults:
    """The isolation boundary around a tracker: what it raises is said once, and the work goes on."""

    def __init__(self) -> None:
        self.said = False

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        if not self.said:
            self.said = True
            say(f"this run is not logged, or not wholly: {error}")
        return True


class _Guarded:
    """A run's log whose faults do not reach the work; after the first nothing more is tried."""

    def __init__(self, run: Run, faults: _Faults) -> None:
        self._run, self._faults = run, faults

    def metrics(self, values: Mapping[str, float], step: int | None) -> None:
        self._try(lambda: self._run.metrics(values, step=step))

    def artefact(self, path: Path) -> None:
        self._try(lambda: self._run.artefact(path))

    def text(self, name: str, content: str) -> None:
        self._try(lambda: self._run.text(name, content))

    def end(self, status: Status) -> None:
        self._try(lambda: self._run.end(status))

    def _try(self, work: Any) -> None:
        if not self._faults.said:
            with self._faults:
                work()
