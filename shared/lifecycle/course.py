"""A run on its way, and what a step of it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from shared.lifecycle.engines import Engine
from shared.lifecycle.plan import Plan
from shared.lifecycle.records import Records
from shared.lifecycle.registry import Registry
from shared.lifecycle.tables import evaluate_options
from shared.tasks import Task

Tell: TypeAlias = Callable[[str, str], None]
"""Hears of each step's moments: ``"begin"``, ``"inside"`` (something is done, and more is to do), ``"worked"`` (all is
done and nothing committed), ``"done"``."""


@dataclass(frozen=True)
class End:
    """What a run came to.

    Attributes:
        state: ``"promoted"``, ``"rolled back"``, ``"refused"``, ``"invalid data"``, ``"unchanged"``, ``"superseded"``,
            ``"failed"`` or ``"abandoned"``.
        reasons: why.
    """

    state: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pending:
    """A step that cannot end yet; the run is to be looked at again later."""

    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a step leaves.

    Attributes:
        told: JSON-ready; what later steps read.
        end: where the run ends with it.
    """

    told: Mapping[str, Any]
    end: End | None = None


@dataclass
class Course:
    """A run on its way.

    Attributes:
        plan: what is to be done.
        folder: of the run.
        number: of the run.
        why: what started it.
        task: of the plan.
        registry: where versions are.
        records: where decisions are kept.
        engine: where training and evaluation are done.
        tell: hears of moments.
        done: outcomes of the steps so far, by name.
    """

    plan: Plan
    folder: Path
    number: int
    why: str
    task: Task
    registry: Registry
    records: Records
    engine: Engine
    tell: Tell
    done: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the run is called in records and tags."""
        return f"{self.plan.name} run {self.number}"

    @property
    def trained(self) -> Path:
        """The folder that is trained into; its last part names the model."""
        return self.folder / "model" / self.plan.name

    @property
    def model(self) -> Path:
        """The challenger in its portable form: what is judged is what is registered, byte for byte."""
        return self.folder / "whole"

    def data(self, side: str) -> Path:
        """The file of a side of the split."""
        return self.folder / str(self.done["split"][side]["file"])

    def options(self) -> dict[str, Any]:
        """What the task's ``evaluate`` is given."""
        return evaluate_options(self.task, self.plan.evaluate)


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: of it.
        inputs: what its outcome hangs on, JSON-ready; another value has it done again.
        work: does it.
    """

    name: str
    inputs: Callable[[Course], Any]
    work: Callable[[Course], Outcome | Pending]
