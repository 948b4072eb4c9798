"""The prediction log of a champion, window after window, against what it saw when it was judged.

Windows follow one another without overlap, so that what a check's rate of false alarms says holds of each of them. The
latest check stands in ``RUNS/check.json``, where its window ended in ``RUNS/drift.json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from shared.lifecycle.commits import commit
from shared.lifecycle.history import RunRow, read_json
from shared.lifecycle.plan import Plan
from shared.lifecycle.plan_parts import seconds_of
from shared.monitoring.checking import check
from shared.monitoring.log_reading import read_log
from shared.monitoring.profile import Profile, ProfileBuilder
from shared.monitoring.profile_files import is_profile, load_profile

CHECK, STATE = "check.json", "drift.json"
PROFILE = "profile"
"""The folder of a run in which its challenger's reference profile is."""


def check_of(plan: Plan) -> Path | None:
    """The file of the check that a plan's drift is read from; ``None`` where it has none."""
    if plan.trigger.drift:
        return plan.path(plan.trigger.drift)
    return plan.folder / CHECK if plan.trigger.log else None


def look(plan: Plan, runs: Sequence[RunRow], *, now: datetime, since: datetime) -> Path | None:
    """Check the windows of the log that are over; returns :func:`check_of`.

    What other models answered is left out, and a window without a prediction is passed over. Nothing is checked while
    there is no reference profile: the plan's own one, or that of the latest run that was promoted.

    Args:
        plan: with its trigger.
        runs: those that there were.
        now: the moment, with a zone.
        since: where the first window begins, unless one was checked before.

    Raises:
        DataError: log or profile are damaged, or there is no log.
    """
    trigger, place = plan.trigger, check_of(plan)
    reference = _reference(plan, runs)
    if not trigger.log or reference is None or place is None:
        return place
    plan.folder.mkdir(parents=True, exist_ok=True)
    state = read_json(plan.folder / STATE)
    if state is None:
        _passed(plan, since)
    begin = since if state is None else datetime.fromisoformat(state["until"])
    length = timedelta(seconds=seconds_of(trigger.window))
    log, held = plan.path(trigger.log), load_profile(reference)
    while begin + length <= now.astimezone(UTC):
        begin += length
        window = _window(log, held, begin - length, begin, np.random.default_rng(plan.seed))
        if window is not None:
            found = check(held, window, rate=trigger.rate)
            told = {"until": begin.isoformat(), **found.to_json()}
            commit(place, json.dumps(told, ensure_ascii=False).encode())
        _passed(plan, begin)
        if window is not None and found.alarm:
            break  # what it starts is to see this check, and not that of a later window
    return place


def _window(log: Path, reference: Profile, begin: datetime, end: datetime, rng: np.random.Generator) -> Profile | None:
    """What the reference's model saw and said in a window; ``None`` where it answered nothing."""
    builder = ProfileBuilder(reference.task, rng, model=reference.model)
    for rows in read_log(log, since=begin, until=end):
        if reference.model and rows.model != reference.model:
            continue
        builder.rate = rows.rate
        builder.add_batch(rows.batch)
        if rows.failed:
            builder.add_failed(rows.failed, first=rows.batch.first, last=rows.batch.last)
    return builder.done() if builder.n else None


def _passed(plan: Plan, until: datetime) -> None:
    commit(plan.folder / STATE, json.dumps({"until": until.isoformat()}).encode())


def _reference(plan: Plan, runs: Sequence[RunRow]) -> Path | None:
    if plan.trigger.profile:
        return plan.path(plan.trigger.profile)
    promoted = [row.folder / PROFILE for row in runs if row.state == "promoted"]
    return next((place for place in reversed(promoted) if is_profile(place)), None)
