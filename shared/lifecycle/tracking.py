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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from shared.errors import UnknownNameError, UsageError
from shared.lifecycle.fingerprints import code_version, data_fingerprint
from shared.lifecycle.outlived import Outlived
from shared.lifecycle.places import ENV, OFF, WANDB, place
from shared.lifecycle.runs import Nowhere, Run, RunRecord, Status
from shared.weights.words import say


class Tracker(Protocol):
    """Where runs are kept. :func:`tracker` chooses one."""

    def run(self, kind: str, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """Begin a run. ``tags`` hold its ``task`` at least, of those that :class:`RunRecord` names."""

    def resume(self, id: str) -> Run:
        """Go on with a run that was begun before, whether it was ended or not.

        Raises:
            UnknownNameError: this tracker has no such run.
        """

    def runs(
        self, *, kind: str | None = None, task: str | None = None, model: str | None = None, limit: int = 50
    ) -> list[RunRecord]:
        """The runs that are kept, newest first."""

    def find(self, id: str) -> RunRecord:
        """One run by its id, or by the beginning of it."""


class Untracked:
    """The tracker that keeps nothing."""

    def run(self, kind: str, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """A run that is logged nowhere."""
        return Run("", Nowhere())

    def resume(self, id: str) -> Run:
        """A run that is logged nowhere."""
        return Run("", Nowhere())

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
    again: str = "",
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
        again: id of a run to go on with, which keeps its name, parameters and first tags; where the tracker has none of
            that id a new one is begun.

    Example:
        >>> with tracked("train", task="nlp.ner", url="off") as run:
        ...     run.metrics({"f1": (0.8, 0.7, 0.9)})
        >>> run.id
        ''
    """
    faults = Outlived(lambda error: say(f"this run is not logged, or not wholly: {error}"))
    run = Run("", Nowhere())
    with faults:
        chosen = tracker(url)
        if not isinstance(chosen, Untracked):
            begun = _resumed(chosen, again)
            if begun is None:
                facts = {"task": task, **code_version(), **(tags or {})}
                if dataset is not None:
                    facts |= data_fingerprint(Path(dataset)).tags()
                begun = chosen.run(kind, name or f"{task} {kind}", params=params or {}, tags=facts)
            run = Run(begun.id, _Guarded(begun, faults))
    with run:
        yield run


def _resumed(chosen: Tracker, id: str) -> Run | None:
    """The run of that id; ``None`` where there is none, as after a move to another tracker."""
    try:
        return chosen.resume(id) if id else None
    except UnknownNameError:
        return None


class _Guarded:
    """A run's log whose faults do not reach the work; after the first nothing more is tried."""

    def __init__(self, run: Run, faults: Outlived) -> None:
        self._run, self._faults = run, faults

    def params(self, values: Mapping[str, Any]) -> None:
        self._try(lambda: self._run.params(values))

    def tags(self, values: Mapping[str, str]) -> None:
        self._try(lambda: self._run.tags(values))

    def metrics(self, values: Mapping[str, float], step: int | None) -> None:
        self._try(lambda: self._run.metrics(values, step=step))

    def artefact(self, path: Path) -> None:
        self._try(lambda: self._run.artefact(path))

    def text(self, name: str, content: str) -> None:
        self._try(lambda: self._run.text(name, content))

    def end(self, status: Status) -> None:
        self._try(lambda: self._run.end(status))

    def _try(self, work: Callable[[], None]) -> None:
        if self._faults.error is None:
            with self._faults:
                work()
