"""The steps of a retraining, each a function from what came before to its outcome.

A step may be done again after a kill at any moment: it begins its own files anew, and what it does elsewhere (a record,
a registered version, an alias) goes by a key or is the same when it is done twice.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from shared.errors import UsageError
from shared.lifecycle.course import Course, End, Outcome, Step
from shared.lifecycle.drifting import PROFILE
from shared.lifecycle.engines import figures_of, profile_of, train_model
from shared.lifecycle.gates import Contender
from shared.lifecycle.going_live import decide, enrol, meet
from shared.lifecycle.plan import Plan
from shared.lifecycle.portable import export
from shared.lifecycle.promoting import at_gate, champion_of, evaluated, registered
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
    Step("register", lambda c: [c.done["train"]["digest"], c.plan.name], enrol),
    Step("canary", lambda c: [c.done["register"]["number"], c.done["gate"]["champion"]], meet),
    Step("promote", lambda c: [c.done["register"]["number"], c.done["canary"]["action"]], decide),
)
"""In their order."""
