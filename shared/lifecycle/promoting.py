"""A registered version to the gate, its decision to the records, and the alias moved where it passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.report import Evaluation
from shared.lifecycle.gates import Contender, Judgement, Timed, judge
from shared.lifecycle.hashing import fingerprint
from shared.lifecycle.latency import Latency, compared_latency, first_items
from shared.lifecycle.records import Record, Records
from shared.lifecycle.registry import CHAMPION, Registry, Version
from shared.lifecycle.rules import Rules
from shared.lifecycle.tables import evaluate_options
from shared.tasks import Task, check_dataset, find_task
from shared.weights import read_model_folder

CHALLENGER = "challenger"
"""The alias of the version that is to become champion."""


@dataclass(frozen=True)
class Decision:
    """What became of a challenger at the gate.

    Attributes:
        judgement: what was found.
        record: where it was written down.
        moved: whether the challenger is champion now.
    """

    judgement: Judgement
    record: Record
    moved: bool


def promote(
    registry: Registry,
    name: str,
    data: Path,
    *,
    rules: Rules,
    records: Records,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    move: bool = True,
) -> Decision:
    """Judge a registered version against its champion, and let it take the place if it passes.

    Args:
        registry: where both are.
        name: ``"NAME/NUMBER"`` or ``"NAME@ALIAS"``: the challenger.
        data: labelled data that neither has learnt from.
        rules: what must hold.
        records: where the decision is kept.
        options: keywords of the task's ``evaluate``.
        seed: of everything random.
        move: whether the alias is to move where the challenger passes.

    Raises:
        UsageError: the version is champion already, or an option does not go with the task.
        UnknownNameError: there is no such version.
        DataError: the data cannot be read.
    """
    challenger = registry.find(name)
    champion = champion_of(registry, challenger.name)
    if champion is not None and champion.number == challenger.number:
        raise UsageError(f"{challenger.name}/{challenger.number} is the champion already: name another version")
    task = find_task(challenger.task)
    check_dataset(data)
    given = evaluate_options(task, options or {})
    asked = {"model": f"{challenger.name}/{challenger.number}", "data": str(data), "options": given, "seed": seed}
    pair = [
        None if version is None else registered(registry, version, task, data, seed=seed, options=given)
        for version in (challenger, champion)
    ]
    one, other = cast("Contender", pair[0]), pair[1]
    judgement, record = at_gate(
        one, other, task=task, data=data, rules=rules, records=records, asked=asked, seed=seed, name=challenger.name
    )
    moved = judgement.passed and move
    if moved:
        registry.alias(challenger.name, CHAMPION, challenger.number)
    return Decision(judgement, record, moved)


def champion_of(registry: Registry, name: str) -> Version | None:
    """The version that is champion; ``None`` where there is none yet."""
    try:
        return registry.find(f"{name}@{CHAMPION}")
    except UnknownNameError:
        return None


def registered(
    registry: Registry, version: Version, task: Task, data: Path, *, seed: int, options: Mapping[str, Any]
) -> Contender:
    """A registered version, evaluated."""
    folder = registry.fetch(version)
    evaluation = evaluated(task, folder, data, seed=seed, options=options)
    name = f"{version.name}/{version.number}"
    return Contender(name, folder, read_model_folder(folder), version.digest, evaluation)


def evaluated(task: Task, folder: Path, data: Path, *, seed: int, options: Mapping[str, Any]) -> Evaluation:
    """A model's evaluation on data by its task.

    Raises:
        UsageError: the task has no evaluation, or does not tell what each item says of its figures.
    """
    if task.evaluate is None:
        raise UsageError(f"a model can be promoted where its task has an evaluation. {task.name} has none")
    evaluation = task.evaluate(data, model=str(folder), seed=seed, **options)
    if evaluation.items is None:
        raise UsageError(f"{task.name} must tell what each item says of its figures. With these options it does not")
    return evaluation


def at_gate(
    challenger: Contender,
    champion: Contender | None,
    *,
    task: Task,
    data: Path,
    rules: Rules,
    records: Records,
    asked: Mapping[str, Any],
    seed: int,
    name: str,
    key: str = "",
) -> tuple[Judgement, Record]:
    """Judge, and write the decision down.

    Args:
        challenger: evaluated.
        champion: evaluated on the same data, or ``None``.
        task: of both.
        data: what both were evaluated on.
        rules: what must hold.
        records: where the decision is kept.
        asked: what was asked for, JSON-ready.
        seed: of everything random.
        name: that both are registered under.
        key: idempotency key of the record.
    """
    rng = np.random.default_rng(seed)
    timed = None if champion is None else _timed(task, (champion, challenger), data, rules=rules, rng=rng)
    judgement = judge(challenger, champion, rules=rules, rng=rng, latency=timed)
    body = {
        "kind": "gate",
        "name": name,
        "asked": {**asked, "rules": rules.to_json()},
        "data": {"path": str(data), "sha256": fingerprint(data), "items": challenger.evaluation.n},
        "challenger": _described(challenger),
        "champion": None if champion is None else _described(champion),
        **judgement.to_json(),
    }
    return judgement, records.add(body, key=key)


def _described(contender: Contender) -> dict[str, Any]:
    evaluation = contender.evaluation
    return {
        "name": contender.name,
        "digest": contender.digest,
        "licence": contender.card.licence,
        "bytes": contender.size,
        "failed": evaluation.failed,
        "figures": evaluation.to_json()["metrics"],
    }


def _timed(
    task: Task, pair: tuple[Contender, Contender], data: Path, *, rules: Rules, rng: np.random.Generator
) -> Timed:
    def measure() -> Latency:
        rule = rules.latency
        if rule is None:
            raise UsageError("the rules must have [latency] for it to be measured. They have none")
        place = Path(rule.inputs) if rule.inputs else data
        items = first_items(place, task.inputs, rule.items, column=rule.column or None)
        models = [task.open(str(one.folder), device="auto", threads=None) for one in pair]
        return compared_latency(models[0], models[1], items, rng=rng, rounds=rule.rounds, confidence=1 - rules.alpha)

    return measure
