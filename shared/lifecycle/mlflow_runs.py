"""Runs in MLflow: an experiment for each task, in a folder of this machine or on a server."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit
from urllib.request import url2pathname

from shared.errors import UnknownNameError, UsageError
from shared.lazy import require
from shared.lifecycle.mlflow_client import EXTRA, client, locked, told
from shared.lifecycle.places import Place
from shared.lifecycle.runs import PARTS, Run, RunRecord, Status
from shared.lifecycle.uploads import experiment
from shared.lifecycle.versions import OURS
from shared.weights.cache import install, write_bytes, writing

AT_ONCE = 90
"""Values of one request; MLflow takes a hundred parameters."""
LONGEST = 500
"""Characters of a parameter's value that are kept."""
_STATUS: dict[str, Status] = {
    "RUNNING": "running",
    "SCHEDULED": "running",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
_BEGINNING = 4
"""Characters of an id that name a run at least."""


class MlflowRuns:
    """A :class:`shared.lifecycle.tracking.Tracker` over MLflow. Use :func:`shared.lifecycle.tracking.tracker`."""

    def __init__(self, where: Place) -> None:
        self.place = where

    def run(self, kind: str, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """See :meth:`shared.lifecycle.tracking.Tracker.run`.

        Raises:
            MissingDependencyError: the extra ``lifecycle`` is not installed.
            ServiceError, WeightsError: the place cannot be written.
        """
        api, entities = client(self.place), require("mlflow.entities", extra=EXTRA)
        marked = {f"{OURS}{key}": str(value) for key, value in tags.items()}
        with locked(self.place), told(self.place):
            artefacts = None if self.place.server else self.place.runs.as_uri()
            home = experiment(api, tags.get("task") or "triptych", artefacts)
            made = str(api.create_run(home, run_name=name, tags=marked).info.run_id)
            *first, last = _portions(params.items()) or [[]]
            for some in first:
                api.log_batch(made, params=_params(some))
            # with the last of all: a run is one of ours by its kind, so none is seen that is only half begun
            api.log_batch(made, params=_params(last), tags=[entities.RunTag(f"{OURS}kind", kind)])
        return Run(made, _Log(api, self.place, made))

    def resume(self, id: str) -> Run:
        """See :meth:`shared.lifecycle.tracking.Tracker.resume`.

        Raises:
            UnknownNameError: there is no such run.
            ServiceError, WeightsError: the place cannot be written.
        """
        known = self.find(id).id
        api = client(self.place)
        with locked(self.place), told(self.place):
            api.update_run(known, status="RUNNING")
        return Run(known, _Log(api, self.place, known))

    def runs(
        self, *, kind: str | None = None, task: str | None = None, model: str | None = None, limit: int = 50
    ) -> list[RunRecord]:
        """See :meth:`shared.lifecycle.tracking.Tracker.runs`.

        Raises:
            UsageError: a word has both kinds of quotation marks.
            ServiceError: the place cannot be read.
        """
        wanted = {"kind": kind, "task": task, "model": model}
        asked = [f"tags.`{OURS}{key}` = {_quoted(value)}" for key, value in wanted.items() if value is not None]
        return [_record(run) for run in self._search(asked, limit)]

    def find(self, id: str) -> RunRecord:
        """See :meth:`shared.lifecycle.tracking.Tracker.find`.

        Raises:
            UnknownNameError: no run, or more than one, begins so.
            ServiceError: the place cannot be read.
        """
        asked = [f"attributes.run_id LIKE {_quoted(id + '%')}"] if len(id) >= _BEGINNING else []
        found = [_record(run) for run in self._search(asked, 200)]
        matching = [record for record in found if record.id.startswith(id)]
        if len(matching) == 1:
            return matching[0]
        known = [record.id for record in matching or self.runs(limit=200)]
        raise UnknownNameError("run", id, known, ". Several begin so: write more of it" if matching else "")

    def _search(self, asked: Iterable[str], limit: int) -> list[Any]:
        if not self.place.server and not self.place.database.exists():
            return []
        api = client(self.place)
        condition = " AND ".join((*asked, f"tags.`{OURS}kind` != ''"))
        with told(self.place):
            homes = [one.experiment_id for one in api.search_experiments(max_results=1000)]
            return list(api.search_runs(homes, condition, max_results=limit, order_by=["attributes.start_time DESC"]))


class _Log:
    """One run of MLflow."""

    def __init__(self, api: Any, where: Place, run: str) -> None:
        self._api, self._place, self._run = api, where, run

    def params(self, values: Mapping[str, Any]) -> None:
        with locked(self._place), told(self._place):
            for some in _portions(values.items()):
                self._api.log_batch(self._run, params=_params(some))

    def tags(self, values: Mapping[str, str]) -> None:
        entities = require("mlflow.entities", extra=EXTRA)
        with locked(self._place), told(self._place):
            for some in _portions(values.items()):
                self._api.log_batch(self._run, tags=[entities.RunTag(f"{OURS}{key}", _short(v)) for key, v in some])

    def metrics(self, values: Mapping[str, float], step: int | None) -> None:
        entities, now = require("mlflow.entities", extra=EXTRA), int(1000 * time.time())
        with locked(self._place), told(self._place):
            for some in _portions(values.items()):
                rows = [entities.Metric(_plain(name), value, now, step or 0) for name, value in some]
                self._api.log_batch(self._run, metrics=rows)

    def artefact(self, path: Path) -> None:
        if self._place.server:
            with told(self._place):
                self._api.log_artifact(self._run, str(path))
        else:
            place = self._folder() / path.name
            staged = place.with_name(f".{place.name}.{os.getpid()}.new")
            with writing(place, staged):
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, staged)
            install(staged, place)

    def text(self, name: str, content: str) -> None:
        if self._place.server:
            with told(self._place):
                self._api.log_text(self._run, content, name)
        else:
            write_bytes(self._folder() / name, content.encode())

    def _folder(self) -> Path:
        """Where this run's files lie. They come there whole or not at all, which MLflow's own copying does not do."""
        with told(self._place):
            return Path(url2pathname(urlsplit(self._api.get_run(self._run).info.artifact_uri).path))

    def end(self, status: Status) -> None:
        with locked(self._place), told(self._place):
            self._api.set_terminated(self._run, status.upper())


def _record(run: Any) -> RunRecord:
    ours = {key.removeprefix(OURS): text for key, text in run.data.tags.items() if key.startswith(OURS)}
    kind, task = ours.pop("kind"), ours.pop("task", "")
    values = {_usual(name): value for name, value in run.data.metrics.items()}
    whole = [name for name in values if not any(name.removesuffix(f".{part}") in values for part in PARTS if
             name.endswith(f".{part}"))]  # fmt: skip
    metrics = {name: (values[name], values.get(f"{name}.low"), values.get(f"{name}.high")) for name in sorted(whole)}
    status = _STATUS.get(run.info.status, get_args(Status)[0])
    # a run that goes on keeps the end that it had
    ended = None if status == "running" or run.info.end_time is None else _time(run.info.end_time)
    return RunRecord(
        run.info.run_id,
        kind,
        run.info.run_name or "",
        task,
        status,
        _time(run.info.start_time),
        ended,
        dict(sorted(run.data.params.items())),
        metrics,
        dict(sorted(ours.items())),
        run.info.artifact_uri or "",
    )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _plain(name: str) -> str:
    """A figure's name without the sign that MLflow does not take: ``ndcg@10`` becomes ``ndcg_at_10``."""
    return re.sub(r"[^\w./ :-]", "_", re.sub(r"@(?=\d)", "_at_", name))


def _usual(name: str) -> str:
    return re.sub(r"_at_(?=\d)", "@", name)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _quoted(text: str) -> str:
    """Text in a condition. MLflow takes either quotation mark around it, and neither inside its own kind."""
    for mark in ("'", '"'):
        if mark not in text:
            return f"{mark}{text}{mark}"
    raise UsageError(f"runs cannot be chosen by a text with both kinds of quotation marks. Got {text}")


def _params(rows: Iterable[tuple[str, Any]]) -> list[Any]:
    entities = require("mlflow.entities", extra=EXTRA)
    return [entities.Param(key, _short(value)) for key, value in rows]


def _portions(rows: Iterable[tuple[str, Any]]) -> list[list[tuple[str, Any]]]:
    left = list(rows)
    return [left[start : start + AT_ONCE] for start in range(0, len(left), AT_ONCE)]
