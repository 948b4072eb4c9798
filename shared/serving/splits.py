"""Two models on live traffic: a split of the units, with the exposure logged, and a shadow that answers for nobody."""

from __future__ import annotations

import asyncio
import queue
import random
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.errors import DataError
from shared.experiments.assignment import assign
from shared.experiments.definition import Arm, Experiment
from shared.experiments.exposure_log import ExposureLog
from shared.experiments.exposures import Exposure
from shared.serving.config import Shadow, Split
from shared.serving.deployments import Answered, Outcome
from shared.serving.faults import HttpError
from shared.serving.models import Registry
from shared.serving.telemetry import Log, Metrics

REMEMBERED = 10_000
"""Units whose arms are kept, so that a unit is hashed once."""
UNWRITTEN = 100_000
"""Exposures that wait for the disk at most; further ones are counted as lost and said in the log."""


class Exposer:
    """A thread that writes exposures, so that no answer waits for a disk."""

    def __init__(self, folder: str, log: Log) -> None:
        self._rows: queue.Queue[Exposure | None] = queue.Queue(UNWRITTEN)
        self._log, self._exposures = log, ExposureLog(folder)
        self.lost = 0
        self._exposures.__enter__()
        self._thread = threading.Thread(target=self._write, name="exposures", daemon=True)
        self._thread.start()

    def add(self, row: Exposure) -> None:
        """Hand over one exposure."""
        try:
            self._rows.put_nowait(row)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Write what is left, and end."""
        self._rows.put(None)
        self._thread.join()
        self._exposures.__exit__(None, None, None)

    def _write(self) -> None:
        ended = False
        while not ended:
            rows = [self._rows.get()]
            while not self._rows.empty():
                rows.append(self._rows.get())
            ended = None in rows
            try:
                self._exposures.append(row for row in rows if row is not None)
            except DataError as error:
                self.lost += len(rows)
                self._log.line("exposures-lost", count=len(rows), message=str(error))


class Splitter:
    """The split of one task."""

    def __init__(self, task: str, split: Split, metrics: Metrics, log: Log) -> None:
        arms = tuple(Arm(name, arm.weight) for name, arm in split.arms.items())
        self.experiment = Experiment(split.experiment, arms, salt=split.salt)
        self.task, self.split = task, split
        self._metrics = metrics
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._counts: dict[str, int] = dict.fromkeys(split.arms, 0)
        self._exposer = Exposer(split.log, log) if split.log else None

    def arm(self, unit: str) -> tuple[str, str, float]:
        """The arm of a unit, its model and its propensity; the same unit gets the same always and everywhere."""
        found = self._known.get(unit)
        if found is None:
            row = next(assign(self.experiment, [unit]).rows())
            found = self._known[unit] = (row["arm"], row["propensity"])
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found[0], self.split.arms[found[0]].model, found[1]

    def expose(self, unit: str, arm: str, propensity: float) -> None:
        """A unit has seen its arm's answer."""
        self._counts[arm] += 1
        self._metrics.exposed.labels(self.experiment.name, arm).inc()
        if self._exposer is not None:
            self._exposer.add(Exposure(unit, self.experiment.name, arm, datetime.now(UTC), propensity))

    def row(self) -> dict[str, Any]:
        """What ``GET /v1/experiments`` says of it."""
        return {
            "task": self.task,
            "experiment": self.experiment.name,
            "arms": {
                name: {"model": arm.model, "weight": arm.weight, "exposures": self._counts[name]}
                for name, arm in self.split.arms.items()
            },
            "log": self.split.log,
            "lost": self._exposer.lost if self._exposer else 0,
        }

    def close(self) -> None:
        """Write what is left."""
        if self._exposer is not None:
            self._exposer.close()


class Shadower:
    """The shadow of one task."""

    def __init__(self, task: str, shadow: Shadow, registry: Registry, metrics: Metrics) -> None:
        self.task, self.shadow = task, shadow
        self._registry, self._metrics = registry, metrics
        self._chance = random.Random(0)  # noqa: S311 - which requests are shadowed is no secret
        self._open: set[asyncio.Future[Outcome]] = set()
        self._counts = dict.fromkeys(("agreed", "differed", "failed", "left-out"), 0)

    def offer(self, item: Any, answer: Answered) -> None:
        """Let the shadow answer too, if it has room; nobody waits for it."""
        if self._chance.random() >= self.shadow.share:
            return
        one = self._registry.find(self.task, self.shadow.model)
        try:
            if len(self._open) >= self.shadow.backlog:
                self._count("left-out")
                return
            one.lane(item).admit()
        except HttpError:
            self._count("left-out")
            return
        future = one.lane(item).submit(item)
        self._open.add(future)
        future.add_done_callback(lambda done: self._compare(done, answer))

    def _compare(self, future: asyncio.Future[Outcome], answer: Answered) -> None:
        self._open.discard(future)
        if future.cancelled():
            return
        outcome = future.result()
        if not isinstance(outcome, Answered):
            self._count("failed")
        else:
            self._count("agreed" if _gist(outcome.result) == _gist(answer.result) else "differed")

    def _count(self, outcome: str) -> None:
        self._counts[outcome] += 1
        self._metrics.shadowed.labels(self.task, outcome).inc()

    def row(self) -> dict[str, Any]:
        """What ``GET /v1/experiments`` says of it."""
        facts = {"model": self.shadow.model, "share": self.shadow.share, "backlog": len(self._open)}
        return {"task": self.task, "shadow": facts, "items": dict(self._counts)}


def _gist(result: Any) -> Any:
    """What two models must say alike to agree: the best label, the items, the text, else the whole."""
    for name in ("labels", "items"):
        found = getattr(result, name, None)
        if found is not None:
            return tuple(found[:1]) if name == "labels" else tuple(found)
    found = getattr(result, "text", None)
    return result.to_json() if found is None else found


def held_versions(
    registry: Registry, splits: Mapping[str, Splitter], shadows: Mapping[str, Shadower], task: str
) -> dict[str, str]:
    """Which versions of a task a split or a shadow leads to, and what leads there."""
    wanted: list[tuple[str, str]] = []
    if task in splits:
        wanted += [
            (arm.model, f"the split {splits[task].experiment.name!r}") for arm in splits[task].split.arms.values()
        ]
    if task in shadows:
        wanted.append((shadows[task].shadow.model, "the shadow"))
    return {registry.find(task, model).spec.version: what for model, what in wanted}
