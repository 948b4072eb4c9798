"""The steps of a retraining, each a function from what came before to its outcome.

A step may be done again after a kill at any moment: it begins its own files anew, and what it does elsewhere (a record,
a registered version, an alias) goes by a key or is the same when it is done twice.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np

from shared.errors import UsageError
from shared.evaluation.same_items import items_of
from shared.lifecycle.canary import CanaryVerdict, canary, canary_of_log, replayed
from shared.lifecycle.course import Course, End, Outcome, Pending, Step
from shared.lifecycle.drifting import PROFILE
from shared.lifecycle.engines import figures_of, profile_of, train_model
from shared.lifecycle.gates import Contender
from shared.lifecycle.places import ENV, WANDB
from shared.lifecycle.plan import Plan
from shared.lifecycle.portable import export
from shared.lifecycle.promoting import CHALLENGER, at_gate, champion_of, evaluated, registered
from shared.lifecycle.registry import CHAMPION
from shared.lifecycle.rows import ingest, split
from shared.lifecycle.tables import checked_options, evaluate_options
from shared.lifecycle.tracking import tracked
from shared.lifecycle.validating import validate
from shared.monitoring.profiling import FOLDER
from shared.tasks import Task
from shared.training.folder import STATE
from shared.weights import read_model_folder


def _ingest(course: Course) -> Outcome:
    plan = course.plan
    told = ingest(plan.path(plan.data.source), course.folder / "data")
    return Outcome(told)


def _validate(course: Course) -> Outcome:
    plan = course.plan
    facts, faults = validate(_whole(course), plan.validate, format=plan.data.format)
    end = End("invalid data", tuple(faults)) if faults else None
    return Outcome(facts | {"faults": faults}, end)


def _split(course: Course) -> Outcome:
    plan = course.plan
    return Outcome(split(_whole(course), plan.split, course.folder / "split", format=plan.data.format, seed=plan.seed))


def _train(course: Course) -> Outcome:
    plan, out = course.plan, course.trained
    if out.exists() and not (out / STATE).is_dir():
        shutil.rmtree(out)  # what a kill left of a training that cannot go on
    out.parent.mkdir(exist_ok=True)
    options = checked_options(plan.train, course.task.train_options, what=f"train {plan.task}")
    report = course.engine(
        train_model,
        plan.task,
        str(course.data("train")),
        str(out),
        format=_task_format(course),
        seed=plan.seed,
        options=options,
    )
    shutil.rmtree(course.model, ignore_errors=True)
    made = export(out, course.model, task=plan.task)
    return Outcome({"digest": made.digest, "report": report})


def _evaluate(course: Course) -> Outcome:
    plan, trained = course.plan, course.done["train"]
    with tracked(
        "retrain",
        course.name,
        task=plan.task,
        params=plan.train,
        dataset=course.data("train"),
        tags={"model": plan.name, "why": course.why, "model.digest": str(trained["digest"])},
        url=plan.where,
    ) as run:
        figures = course.engine(
            figures_of,
            plan.task,
            str(course.model),
            str(course.data("test")),
            seed=plan.seed,
            options=course.options(),
        )
        run.metrics({name: (row["value"], row["low"], row["high"]) for name, row in figures["metrics"].items()})
        run.text("training.json", json.dumps(trained["report"], ensure_ascii=False, indent=1))
    if plan.trigger.log and not plan.trigger.profile:
        _profile(course)
    return Outcome({**figures, "run": run.id})


def _profile(course: Course) -> None:
    """What the challenger sees and says of the test side; no part of the outcome, for it holds the time."""
    plan, out = course.plan, course.folder / PROFILE
    shutil.rmtree(out, ignore_errors=True)
    label = FOLDER if course.data("test").is_dir() else plan.validate.label
    course.engine(
        profile_of,
        plan.task,
        str(course.model),
        str(course.data("test")),
        str(out),
        seed=plan.seed,
        label=label,
        column=str(plan.evaluate.get("text_column", "")),
    )


def _gate(course: Course) -> Outcome:
    plan, digest = course.plan, str(course.done["train"]["digest"])
    champion = champion_of(course.registry, plan.name)
    pinned = None if champion is None else champion.number
    told: dict[str, Any] = {"champion": pinned}
    if champion is not None and champion.digest == digest:
        return Outcome(told, End("unchanged", (f"what was trained is {plan.name}/{pinned}, byte for byte",)))
    key = f"{course.name}: gate {digest} against {None if champion is None else champion.digest}"
    record = course.records.keyed(key)
    if record is None:
        data, options = course.data("test"), course.options()
        before = (
            None
            if champion is None
            else registered(course.registry, champion, course.task, data, seed=plan.seed, options=options)
        )
        evaluation = evaluated(course.task, course.model, data, seed=plan.seed, options=options)
        card = read_model_folder(course.model)
        asked = {"run": course.name, "why": course.why, "options": options, "seed": plan.seed}
        course.tell("gate", "inside")
        _, record = at_gate(
            Contender(course.name, course.model, card, digest, evaluation),
            before,
            task=course.task,
            data=data,
            rules=plan.gate,
            records=course.records,
            asked=asked,
            seed=plan.seed,
            name=plan.name,
            key=key,
        )
    reasons = tuple(record.body["reasons"])
    told |= {"verdict": record.body["verdict"], "reasons": list(reasons), "record": record.number}
    return Outcome(told, None if told["verdict"] == "promote" else End("refused", reasons))


def _register(course: Course) -> Outcome:
    plan, digest = course.plan, str(course.done["train"]["digest"])
    version = course.registry.register(
        course.model,
        name=plan.name,
        run=_run_of(course),
        note=f"{course.name}: {course.why}",
        tags={"retraining": course.name, "data": str(course.done["ingest"]["sha256"])},
        key=f"{course.name}: {digest}",
    )
    course.tell("register", "inside")
    course.registry.alias(plan.name, CHALLENGER, version.number)
    return Outcome({"number": version.number, "digest": version.digest})


def _run_of(course: Course) -> str | None:
    """The run that the registry can name: one of MLflow, as it is one itself."""
    elsewhere = course.plan.where is None and os.environ.get(ENV, "").strip().startswith(WANDB)
    return None if elsewhere else str(course.done["evaluate"]["run"]) or None


def _canary(course: Course) -> Outcome | Pending:
    plan, champion = course.plan, course.done["gate"]["champion"]
    if plan.canary is None or champion is None:
        why = "the plan has no canary" if plan.canary is None else "there is no champion to stand beside"
        return Outcome({"action": "promote", "reasons": [why]})
    found = _met_traffic(course, int(champion))
    if found.action == "go on":
        return Pending(found.reasons)
    body = {
        "kind": "canary",
        "name": f"{plan.name}/{course.done['register']['number']}",
        "asked": {"run": course.name, "planned": plan.canary.rules.planned, "share": plan.canary.rules.share},
        "champion": {"name": f"{plan.name}/{champion}"},
        "challenger": {
            "name": f"{plan.name}/{course.done['register']['number']}",
            "digest": course.done["register"]["digest"],
        },
        "verdict": found.action,
        **found.to_json(),
    }
    course.tell("canary", "inside")
    record = course.records.add(body, key=f"{course.name}: canary")
    return Outcome({**found.to_json(), "record": record.number})


def _met_traffic(course: Course, champion: int) -> CanaryVerdict:
    plan, rules = course.plan, cast("Any", course.plan.canary)
    if not rules.traffic:
        return canary_of_log(
            plan.path(rules.exposures), plan.path(rules.outcomes), rules.rules, unit=rules.unit, at=rules.time
        )
    traffic, options = plan.path(rules.traffic), course.options()
    version = course.registry.find(f"{plan.name}/{champion}")
    pair = [
        items_of(evaluated(course.task, folder, traffic, seed=plan.seed, options=options))
        for folder in (course.registry.fetch(version), course.model)
    ]
    stream = replayed(pair[0], pair[1], rules.rules, rng=np.random.default_rng(plan.seed))
    return canary(stream, rules.rules)


def _promote(course: Course) -> Outcome:
    plan, number = course.plan, int(course.done["register"]["number"])
    champion, reasons = champion_of(course.registry, plan.name), list(course.done["canary"]["reasons"])
    now = None if champion is None else champion.number
    pinned = course.done["gate"]["champion"]
    state = "promoted" if course.done["canary"]["action"] == "promote" else "rolled back"
    if state == "promoted" and now not in (pinned, number):
        state = "superseded"
        reasons = [f"{plan.name}/{now} has become champion since the gate, which judged beside {plan.name}/{pinned}"]
    if state == "promoted":
        course.registry.alias(plan.name, CHAMPION, number)
    elif now is not None:
        course.registry.alias(plan.name, CHALLENGER, now)  # a split that still leads there gets the champion
    course.tell("promote", "inside")
    body = {
        "kind": "promotion",
        "name": f"{plan.name}/{number}",
        "asked": {"run": course.name},
        "champion": None if pinned is None else {"name": f"{plan.name}/{pinned}"},
        "challenger": {"name": f"{plan.name}/{number}", "digest": course.done["register"]["digest"]},
        "verdict": state,
        "reasons": reasons,
    }
    record = course.records.add(body, key=f"{course.name}: promotion")
    return Outcome({"state": state, "number": number, "record": record.number}, End(state, tuple(reasons)))


def _whole(course: Course) -> Path:
    return course.folder / str(course.done["ingest"]["file"])


def _task_format(course: Course) -> str | None:
    given = course.plan.data.format
    return given if given in course.task.formats else None


def check_plan(plan: Plan, task: Task) -> None:
    """See that a plan can be begun: the task can be trained and evaluated, and knows the options.

    Raises:
        UsageError: it cannot.
    """
    if task.train is None or task.evaluate is None:
        raise UsageError(f"a task that is retrained must train and evaluate. {task.name} does not")
    checked_options(plan.train, task.train_options, what=f"train {task.name}")
    evaluate_options(task, plan.evaluate)
    if plan.trigger.log and task.observe is None:
        raise UsageError(f"[trigger] log is for tasks that say what is watched of an item. {task.name} says nothing")


STEPS = (
    Step("ingest", lambda c: [c.plan.data.source, c.plan.data.format], _ingest),
    Step("validate", lambda c: [c.done["ingest"]["sha256"], repr(c.plan.validate)], _validate),
    Step("split", lambda c: [c.done["ingest"]["sha256"], repr(c.plan.split), c.plan.seed], _split),
    Step("train", lambda c: [c.done["split"]["train"]["sha256"], c.plan.task, c.plan.train, c.plan.seed], _train),
    Step("evaluate", lambda c: [c.done["train"]["digest"], c.done["split"]["test"]["sha256"]], _evaluate),
    Step("gate", lambda c: [c.done["train"]["digest"], c.done["split"]["test"]["sha256"]], _gate),
    Step("register", lambda c: [c.done["train"]["digest"], c.plan.name], _register),
    Step("canary", lambda c: [c.done["register"]["number"], c.done["gate"]["champion"]], _canary),
    Step("promote", lambda c: [c.done["register"]["number"], c.done["canary"]["action"]], _promote),
)
"""In their order."""
