"""Runs in Weights & Biases: ``TRIPTYCH_TRACKING=wandb:PROJECT`` or ``wandb:ENTITY/PROJECT``.

Its own settings hold (``WANDB_API_KEY``, ``WANDB_BASE_URL``, ``WANDB_MODE=offline``); where ``TRIPTYCH_OFFLINE`` is set
its offline mode is used, which keeps runs in ``TRIPTYCH_HOME/lifecycle/wandb`` until ``wandb sync`` sends them. Models
are registered in the folder or on the MLflow server all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.errors import ServiceError, UnknownNameError, UsageError
from shared.lazy import require
from shared.lifecycle.places import place
from shared.lifecycle.runs import PARTS, Run, RunRecord, Status
from shared.settings import offline

EXTRA = "wandb"
_STATUS: dict[str, Status] = {"running": "running", "finished": "finished", "killed": "killed"}


class WandbRuns:
    """A :class:`shared.lifecycle.tracking.Tracker` over Weights & Biases."""

    def __init__(self, project: str) -> None:
        entity, slash, name = project.rpartition("/")
        if not name or (slash and not entity):
            raise UsageError(f"runs in Weights & Biases go to wandb:PROJECT or wandb:ENTITY/PROJECT. Got {project!r}")
        self._entity, self._project = entity or None, name

    def run(self, kind: str, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """See :meth:`shared.lifecycle.tracking.Tracker.run`.

        Raises:
            MissingDependencyError: the extra ``wandb`` is not installed.
            ServiceError: the service does not take the run.
            WeightsError: the folder of its files cannot be made.
        """
        wandb = require("wandb", extra=EXTRA)
        config = {"params": {key: str(value) for key, value in params.items()}, "facts": dict(tags)}
        try:
            return self._begun(name=name, job_type=kind, config=config)
        except wandb.Error as error:
            raise ServiceError(f"Weights & Biases did not take the run: {error}") from error

    def resume(self, id: str) -> Run:
        """See :meth:`shared.lifecycle.tracking.Tracker.resume`. Offline a further part of the run is kept to be sent.

        Raises:
            UnknownNameError: the service has no such run.
            ServiceError: the service does not take it.
        """
        wandb = require("wandb", extra=EXTRA)
        try:
            return self._begun(id=id, resume="must")
        except wandb.errors.UsageError as error:
            raise UnknownNameError("run", id, []) from error
        except wandb.Error as error:
            raise ServiceError(f"Weights & Biases did not take the run: {error}") from error

    def _begun(self, **told: Any) -> Run:
        wandb = require("wandb", extra=EXTRA)
        folder = place(None).folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            made = wandb.init(
                entity=self._entity,
                project=self._project,
                dir=str(folder),
                mode="offline" if offline() else None,
                reinit="create_new",
                settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, x_disable_meta=True),
                **told,
            )
        except OSError as error:
            raise ServiceError(f"Weights & Biases did not take the run: {error}") from error
        return Run(made.id, _Log(made))

    def runs(
        self, *, kind: str | None = None, task: str | None = None, model: str | None = None, limit: int = 50
    ) -> list[RunRecord]:
        """See :meth:`shared.lifecycle.tracking.Tracker.runs`.

        Raises:
            ServiceError: the service does not answer. Runs that only lie on this machine are not listed.
        """
        wanted = {"jobType": kind, "config.facts.task": task, "config.facts.model": model}
        asked = {key: value for key, value in wanted.items() if value is not None}
        wandb = self._online()
        path = self._project if self._entity is None else f"{self._entity}/{self._project}"
        try:
            found = wandb.Api().runs(path, filters=asked, order="-created_at", per_page=min(limit, 100))
            return [_record(run) for _, run in zip(range(limit), found)]
        except (wandb.Error, ValueError) as error:
            raise ServiceError(f"Weights & Biases does not tell the runs of {path}: {error}") from error

    def find(self, id: str) -> RunRecord:
        """See :meth:`shared.lifecycle.tracking.Tracker.find`.

        Raises:
            UnknownNameError: no run begins so.
            ServiceError: the service does not answer.
        """
        found = self.runs(limit=200)
        for record in found:
            if record.id.startswith(id):
                return record
        raise UnknownNameError("run", id, [record.id for record in found])

    def _online(self) -> Any:
        if offline():
            raise ServiceError(
                "runs in Weights & Biases are listed by its service, and TRIPTYCH_OFFLINE forbids asking it"
            )
        return require("wandb", extra=EXTRA)


class _Log:
    """One run of Weights & Biases."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def params(self, values: Mapping[str, Any]) -> None:
        self._update("params", {key: str(value) for key, value in values.items()})

    def tags(self, values: Mapping[str, str]) -> None:
        self._update("facts", values)

    def _update(self, part: str, values: Mapping[str, str]) -> None:
        self._run.config.update({part: {**self._run.config.get(part, {}), **values}}, allow_val_change=True)

    def metrics(self, values: Mapping[str, float], step: int | None) -> None:
        # its own step must never fall, and a caller's may; so it is a figure like the others
        self._run.log(dict(values) if step is None else {**values, "step": step})

    def artefact(self, path: Path) -> None:
        self._run.save(str(path.resolve()), base_path=str(path.resolve().parent), policy="now")

    def text(self, name: str, content: str) -> None:
        path = Path(self._run.dir) / name
        path.write_text(content, "utf-8")
        self._run.save(str(path), base_path=self._run.dir, policy="now")

    def end(self, status: Status) -> None:
        self._run.finish(exit_code=0 if status == "finished" else 1)


def _record(run: Any) -> RunRecord:
    params, facts = dict(run.config.get("params", {})), dict(run.config.get("facts", {}))
    values = {name: float(value) for name, value in run.summary.items() if isinstance(value, int | float)}
    inner = {f"{name}.{part}" for name in values for part in PARTS}
    metrics = {
        name: (value, values.get(f"{name}.low"), values.get(f"{name}.high"))
        for name, value in sorted(values.items())
        if name not in inner and not name.startswith("_")
    }
    started = datetime.fromisoformat(run.created_at.replace("Z", "+00:00")).astimezone(UTC)
    status = _STATUS.get(run.state, "failed")
    task = str(facts.pop("task", ""))
    return RunRecord(
        run.id, run.job_type or "", run.name, task, status, started, None, params, metrics, facts, str(run.url)
    )
