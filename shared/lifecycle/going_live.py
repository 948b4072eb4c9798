"""The last steps of a retraining: a challenger is registered, meets traffic, and becomes champion or not."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np

from shared.errors import TriptychError, UsageError
from shared.evaluation.same_items import items_of
from shared.lifecycle.canary import CanaryVerdict, canary, replayed
from shared.lifecycle.canary_logs import canary_of_log
from shared.lifecycle.course import Course, End, Outcome, Pending
from shared.lifecycle.following import follow, read_key
from shared.lifecycle.places import ENV, WANDB
from shared.lifecycle.promoting import CHALLENGER, champion_of, evaluated
from shared.lifecycle.registry import CHAMPION


def enrol(course: Course) -> Outcome:
    """Register the challenger, and let its arm of the server have it."""
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
    served = _followed(course)
    if served and version.reference not in served:
        raise UsageError(
            f"the server must serve registry:{plan.name}@{CHALLENGER} to the challenger's arm. It serves "
            f"{', '.join(served)}"
        )
    since = datetime.now(UTC).isoformat()  # from here on the challenger's arm gets this version
    return Outcome({"number": version.number, "digest": version.digest, "since": since})


def _followed(course: Course) -> tuple[str, ...]:
    """What the canary's server serves, now that it has seen how aliases stand; nothing where the plan names none."""
    plan, rules = course.plan, course.plan.canary
    if rules is None or not rules.server or course.done["gate"]["champion"] is None:
        return ()
    key = read_key(plan.path(rules.server_key)) if rules.server_key else ""
    return follow(rules.server, task=plan.task, name=plan.name, key=key)


def _run_of(course: Course) -> str | None:
    """The run that the registry can name: one of MLflow, as it is one itself."""
    elsewhere = course.plan.where is None and os.environ.get(ENV, "").strip().startswith(WANDB)
    return None if elsewhere else str(course.done["evaluate"]["run"]) or None


def meet(course: Course) -> Outcome | Pending:
    """Look at how it does on traffic."""
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
        since = course.done["register"].get("since")
        return canary_of_log(
            plan.path(rules.exposures),
            plan.path(rules.outcomes),
            rules.rules,
            unit=rules.unit,
            at=rules.time,
            since=None if since is None else datetime.fromisoformat(str(since)),
        )
    traffic, options = plan.path(rules.traffic), course.options()
    version = course.registry.find(f"{plan.name}/{champion}")
    pair = [
        items_of(evaluated(course.task, folder, traffic, seed=plan.seed, options=options))
        for folder in (course.registry.fetch(version), course.model)
    ]
    stream = replayed(pair[0], pair[1], rules.rules, rng=np.random.default_rng(plan.seed))
    return canary(stream, rules.rules)


def decide(course: Course) -> Outcome:
    """Move the alias as the canary says, and let the server follow."""
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
    try:
        _followed(course)
    except TriptychError as error:  # what was decided holds; the server is told again by hand
        reasons.append(f"the server does not follow yet: {error}")
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
