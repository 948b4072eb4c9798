"""What a run is while it is open, what is kept of it, and what a tracker has to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias

Status: TypeAlias = Literal["running", "finished", "failed", "killed"]
Value: TypeAlias = float | tuple[float, float, float]
"""A figure, or a figure with the lower and the upper end of its interval."""
PARTS = ("low", "high")


class Log(Protocol):
    """What a tracker does with one run; see :class:`Run` for what callers have."""

    def params(self, values: Mapping[str, Any]) -> None:
        """Keep further parameters."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Keep facts in the place of earlier ones of the same names."""

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

    def params(self, values: Mapping[str, Any]) -> None:
        """Log what was settled only on the way; a parameter that was logged stays what it is."""
        if values:
            self._log.params(values)

    def tags(self, values: Mapping[str, object]) -> None:
        """Log facts; one of the same name is replaced."""
        if values:
            self._log.tags({name: str(value) for name, value in values.items()})

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
        kind: ``"train"``, ``"evaluate"``, ``"compare"``, ``"search"``, ``"retrain"`` or a caller's own.
        name: for people.
        task: that it was about.
        status: ``"running"`` where it was never ended, by a kill say.
        started: when, in UTC.
        ended: when, or ``None`` where it runs.
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

    @property
    def seconds(self) -> float | None:
        """How long it took, or ``None`` where it has no end."""
        return None if self.ended is None else (self.ended - self.started).total_seconds()

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
        return head | {key: value or None for key, value in times.items()} | {"seconds": self.seconds} | rest


class Nowhere:
    """The log of a run that is logged nowhere."""

    def params(self, values: Mapping[str, Any]) -> None:
        pass

    def tags(self, values: Mapping[str, str]) -> None:
        pass

    def metrics(self, values: Mapping[str, float], step: int | None) -> None:
        pass

    def artefact(self, path: Path) -> None:
        pass

    def text(self, name: str, content: str) -> None:
        pass

    def end(self, status: Status) -> None:
        pass
