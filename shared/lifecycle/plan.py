"""The plan of a retraining, as frozen data, read from TOML.

::

    task = "nlp.classification"
    name = "spam"                       # in the registry
    seed = 0
    evaluate = {}                       # options of the task's evaluate

    [data]
    source = "messages.csv"             # a file or folder, relative to the plan; read anew by every run
    format = "csv"                      # found by the name when not given

    [validate]
    rows = 500
    columns = ["text", "label"]
    label = "label"
    label_rows = 50

    [split]
    test = 0.25                         # by a hash of the row, so that a row is on one side in all runs
    key = ["text"]

    [train]
    method = "tfidf"                    # options of the task's train

    [gate.figures.accuracy]             # the rules of shared/lifecycle/rules.py
    need = "not worse"
    margin = 0.01

    [canary]
    share = 0.2
    planned = 4000
    traffic = "traffic.csv"             # replayed; or exposures = "log" with outcomes = "outcomes.jsonl"
    [canary.metrics.right]
    kind = "proportion"
    column = "right"
    margin = 0.02

    [trigger]
    cron = "0 3 * * *"                  # or every = "6h"
    drift = "check.json"                # a check of triptych monitor; a new one with an alarm starts a run
                                        # or log = "predictions", window = "1d", which watch checks itself
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shared.errors import UsageError
from shared.experiments.metrics import from_table
from shared.lifecycle.canary import CanaryRules
from shared.lifecycle.hashing import of_json
from shared.lifecycle.plan_parts import CanaryPlan, DataPlan, Trigger
from shared.lifecycle.rows import Cut
from shared.lifecycle.rules import Rules, rules_of
from shared.lifecycle.tables import made, read_toml
from shared.lifecycle.validating import Validation
from shared.settings import home

_TABLES = ("data", "validate", "split", "train", "evaluate", "gate", "canary", "trigger")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Plan:
    """A retraining.

    Attributes:
        name: of the model in the registry, and of the folder of runs.
        task: of the model.
        data: where the data are.
        validate: what they must be like.
        split: how they are cut.
        train: options of the task's ``train``.
        evaluate: options of the task's ``evaluate``.
        gate: what a challenger must show.
        canary: how it meets traffic; ``None`` to promote what passes the gate.
        trigger: when a run starts by itself.
        seed: of everything random.
        registry: a folder or an MLflow server's URL; empty for that of ``TRIPTYCH_HOME``.
        runs: folder of runs; ``TRIPTYCH_HOME/lifecycle/retraining/NAME`` when empty.
        decisions: folder of the signed records; that of ``TRIPTYCH_HOME`` when empty.
        keep: so many of the latest runs keep their data and models on the disk; of older ones the outcomes stay.
        base: the folder that relative paths are of.
    """

    name: str
    task: str
    data: DataPlan
    validate: Validation = field(default_factory=Validation)
    split: Cut = field(default_factory=Cut)
    train: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    evaluate: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    gate: Rules = field(default_factory=Rules)
    canary: CanaryPlan | None = None
    trigger: Trigger = field(default_factory=Trigger)
    seed: int = 0
    registry: str = ""
    runs: str = ""
    decisions: str = ""
    keep: int = 3
    base: Path = Path()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"the name of a plan must match {_NAME.pattern}. Got {self.name!r} instead")
        if self.keep < 1:
            raise UsageError(f"keep must be at least 1 run. Got {self.keep} instead")

    def path(self, name: str) -> Path:
        """A path that the plan has."""
        return self.base / Path(name).expanduser()

    @property
    def where(self) -> str | Path | None:
        """Where versions are, as :func:`shared.lifecycle.registry.registry` takes it."""
        return self.registry if "://" in self.registry else self.path(self.registry) if self.registry else None

    @property
    def folder(self) -> Path:
        """Where its runs are."""
        return self.path(self.runs) if self.runs else home() / "lifecycle" / "retraining" / self.name


def read_plan(path: Path) -> Plan:
    """A plan from a TOML file.

    Raises:
        DataError: the file is not there or no TOML.
        UsageError: a key or a value is wrong.
    """
    return plan_of(read_toml(path, "the plan of a retraining"), base=path.absolute().parent)


def plan_of(table: Mapping[str, Any], *, base: Path = Path()) -> Plan:
    """A plan from the tables of a TOML file.

    Args:
        table: the document.
        base: the folder that relative paths are of.

    Example:
        >>> plan_of({"task": "recsys.collaborative", "name": "films", "data": {"source": "ratings.csv"}}).split.test
        0.2
    """
    head = {name: value for name, value in table.items() if name not in _TABLES}
    if "data" not in table:
        raise UsageError("the plan of a retraining must have [data] with its source. It has none")
    parts: dict[str, Any] = {"data": made(DataPlan, table["data"], what="[data]"), "base": base}
    for name, owner in (("validate", Validation), ("split", Cut), ("trigger", Trigger)):
        if name in table:
            parts[name] = made(owner, table[name], what=f"[{name}]")
    for name in ("train", "evaluate"):
        if not isinstance(table.get(name, {}), Mapping):
            raise UsageError(f"[{name}] must be a table of options. Got {table[name]!r} instead")
        parts[name] = dict(table.get(name, {}))
    parts["gate"] = rules_of(table.get("gate", {}))
    if "canary" in table:
        parts["canary"] = _canary(table["canary"], str(head.get("name", "")))
    usual = {"validate": Validation(), "split": Cut(), "trigger": Trigger(), "canary": None}
    return made(Plan, head, what="the plan of a retraining", **(usual | parts))


def _canary(table: Any, name: str) -> CanaryPlan:
    if not isinstance(table, Mapping) or not isinstance(table.get("metrics"), Mapping):
        raise UsageError("[canary] must be a table with [canary.metrics.NAME] in it")
    own = ("share", "planned", "error", "experiment")
    metrics = tuple(from_table(key, row) for key, row in table["metrics"].items())
    inner = {"experiment": f"{name}-canary"} | {key: value for key, value in table.items() if key in own}
    rules = made(CanaryRules, inner, what="[canary]", metrics=metrics)
    outer = {key: value for key, value in table.items() if key not in (*own, "metrics")}
    return made(CanaryPlan, outer, what="[canary]", rules=rules)


def digest_of_plan(plan: Plan) -> str:
    """What tells one plan from another: all but when it starts and where its runs are."""
    canary = plan.canary and {**vars(plan.canary), "rules": repr(plan.canary.rules)}
    return of_json(
        {
            "name": plan.name,
            "task": plan.task,
            "data": vars(plan.data),
            "validate": repr(plan.validate),
            "split": repr(plan.split),
            "train": plan.train,
            "evaluate": plan.evaluate,
            "gate": plan.gate.to_json(),
            "canary": canary,
            "seed": plan.seed,
        }
    )
