"""What of live predictions goes to a log and to windows that are checked: the monitoring of one task."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from shared.errors import UsageError
from shared.monitoring.alerts import Rules, read_rules
from shared.monitoring.checking import Check
from shared.monitoring.log import PredictionLog, Retention
from shared.monitoring.profile_files import load_profile, model_digest
from shared.monitoring.profiling import observer_of
from shared.monitoring.recorder import Prediction, Recorder, Windows
from shared.monitoring.settings import Monitoring
from shared.serving.deployments import Deployment
from shared.serving.telemetry import Log, Metrics
from shared.tasks import Task
from shared.types import Failure, Result

_UNNAMEABLE = re.compile(r"[^A-Za-z0-9._-]")
REDACTION = "nlp.ner"
"""The task among whose tools is the redactor of texts."""


class Watcher:
    """The monitoring of one task.

    Args:
        task: that is watched.
        monitoring: what is kept and checked.
        find: from a task's name to the task; asked where texts are kept.
        metrics: who counts.
        log: who writes.

    Raises:
        UsageError: the task tells nothing of its items, texts are to be kept of a task without texts, the log's folder
            cannot be written, or the profile is of another task.
        DataError: the profile or the rules are malformed.
    """

    def __init__(
        self, task: Task, monitoring: Monitoring, *, find: Callable[[str], Task], metrics: Metrics, log: Log
    ) -> None:
        self._task, self._monitoring, self._writer = task.name, monitoring, log
        self._digests: WeakKeyDictionary[Deployment, str] = WeakKeyDictionary()
        self._gauges = metrics.gauges
        observe = observer_of(task)
        windows = None if monitoring.profile is None else self._windows(monitoring.profile)
        redact = _redaction(task, find) if monitoring.inputs else None
        kept = None
        if monitoring.log is not None:
            retention = Retention(monitoring.days, monitoring.megabytes)
            kept = PredictionLog(monitoring.log, task.name, rate=monitoring.rate, retention=retention)
            kept.__enter__()  # the recorder's thread closes it
        counter = metrics.watched
        self._recorder = Recorder(
            task.name,
            observe,
            rate=monitoring.rate,
            log=kept,
            windows=windows,
            redact=redact,
            joined=task.tools.get("joined"),
            counted=lambda outcome: counter.labels(task.name, outcome).inc(),
            said=lambda message: log.line("monitoring", task=task.name, message=message),
        )

    def takes(self, request: str) -> bool:
        """Whether a request is among those that are watched."""
        return self._recorder.takes(request)

    def offer(
        self,
        one: Deployment,
        request: str,
        item: Any,
        result: Result | None,
        fault: str | None = None,
        *,
        before: tuple[Result, ...] = (),
    ) -> None:
        """Hand over a prediction whose request is taken; never waits and never raises."""
        digest = self._digests.get(one)
        if digest is None:
            digest = self._digests[one] = model_digest(one.predictor.card)
        self._recorder.offer(Prediction(request, item, result, fault, one.predictor, digest, one.spec.version, before))

    def close(self) -> None:
        """Write what waits, and end."""
        self._recorder.close()

    def _windows(self, folder: str) -> Windows:
        profile, monitoring = load_profile(folder), self._monitoring
        if profile.task != self._task:
            raise UsageError(f"the profile of {self._task} must be of that task. {folder} is of {profile.task}")
        columns = (*profile.numbers, *profile.categories)

        def rules(version: str) -> Rules:
            named = Path(str(monitoring.rules))
            of = _UNNAMEABLE.sub("_", f"{self._task}.{version}")
            return read_rules(named, columns=columns, state=named.with_suffix(f".{of}.state.json"))

        if monitoring.rules is not None:
            read_rules(monitoring.rules, columns=columns)  # what is wrong in it is said at the start
        return Windows(
            profile,
            monitoring.window,
            self._heard,
            rate=monitoring.alarm_rate,
            rules=None if monitoring.rules is None else rules,
        )

    def _heard(self, check: Check, version: str) -> None:
        self._gauges.put(check, version=version)
        firing = [alert.rule for alert in check.alerts if alert.firing]
        self._writer.line(
            "window",
            task=self._task,
            version=version,
            alarm=check.alarm,
            items=check.window["items"],
            drifted=list(check.drifted) or None,
            at_fault=[f"{one.column}: {one.meaning}" for one in check.quality if one.bad] or None,
            rules=firing or None,
        )


def _redaction(task: Task, find: Callable[[str], Task]) -> Callable[[str], str | None]:
    if task.inputs != "text":
        raise UsageError(f"inputs may be kept of tasks of texts alone, redacted. {task.name} takes {task.inputs}s")
    redactor = find(REDACTION).tools["redactor"]()

    def redact(text: str) -> str | None:
        found = redactor.predict_here([text])[0]
        return None if isinstance(found, Failure) else str(found.text)

    return redact
