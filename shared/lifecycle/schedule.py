"""When a retraining starts by itself: on a schedule, or when a check has found drift; and the loop that watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from shared.errors import PlanMismatchError
from shared.lazy import require
from shared.lifecycle.drifting import look
from shared.lifecycle.hashing import fingerprint
from shared.lifecycle.history import RunRow, read_json, read_runs
from shared.lifecycle.outlived import Outlived
from shared.lifecycle.pipeline import Places, abandon, resume, run
from shared.lifecycle.plan import Plan, read_plan
from shared.lifecycle.plan_parts import EXTRA, Trigger, seconds_of

CHANGED = ("the plan has changed",)
"""Why a watch abandons a run; what had started it then starts the next one."""
TRIES = 3
"""After so many errors at one step a run is given up, so that the next one begins with new data."""


@dataclass(frozen=True)
class Due:
    """A run that is to start.

    Attributes:
        why: in words.
        token: by which the same cause starts no second run.
    """

    why: str
    token: str = ""


def due(
    trigger: Trigger, runs: Sequence[RunRow], *, now: datetime, since: datetime, check: Path | None = None
) -> Due | None:
    """Whether a run is to start now.

    Args:
        trigger: when it starts by itself.
        runs: those that there were.
        now: the moment, with a zone.
        since: when the watch began: what a cron missed before does not count.
        check: the file of a check for drift.

    Raises:
        DataError: the check is no JSON object.

    Example:
        >>> moment = datetime(2026, 5, 4, tzinfo=UTC)
        >>> due(Trigger(every="1d"), [], now=moment, since=moment).why
        'the first of every 1d'
    """
    found = None if check is None else _drifted(check, runs)
    if found is not None:
        return found
    last = max((row.began for row in runs), default=None)
    if trigger.every:
        if last is None:
            return Due(f"the first of every {trigger.every}")
        return Due(f"every {trigger.every}") if now - last >= timedelta(seconds=seconds_of(trigger.every)) else None
    if trigger.cron:
        began = since if last is None else max(last, since)
        first = next(require("cronsim", extra=EXTRA).CronSim(trigger.cron, began.astimezone(UTC)))
        return Due(f"cron {trigger.cron}") if now >= first else None
    return None


def _drifted(path: Path, runs: Sequence[RunRow]) -> Due | None:
    check = read_json(path)
    if check is None:
        return None
    token = f"drift {fingerprint(path)}"
    if check.get("alarm") is not True or any(row.token == token and row.reasons != CHANGED for row in runs):
        return None
    rows = check["drift"].get("columns", []) if isinstance(check.get("drift"), dict) else []
    columns = list(dict.fromkeys(str(row["name"]) for row in rows if row.get("drifted")))
    return Due(f"drift found{': ' + ', '.join(columns[:5]) if columns else ''}", token)


def watch(
    path: Path,
    places: Callable[[Plan, Event], Places],
    *,
    stop: Event,
    say: Callable[[str], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Start runs when they are due and go on with those that stand, until stopped; returns how many were started.

    The plan is read anew at every look. A run that was begun under another plan is abandoned; one that failed
    :data:`TRIES` times at a step is given up.

    Args:
        path: the plan's file.
        places: from the plan and the event to what runs work with.
        stop: once set, the step under way is finished and the watch ends; the run goes on at the next start.
        say: hears a line of everything that happens.
        now: the clock.
    """
    since, started, before, poll = now(), 0, "", seconds_of(Trigger().poll)
    while not stop.is_set():
        faults, line = Outlived(), ""
        with faults:
            plan = read_plan(path)
            poll = seconds_of(plan.trigger.poll)
            row, new = _look(plan, places, stop=stop, now=now(), since=since)
            started += new
            line = "" if row is None else row.to_text()
        if faults.error is not None:
            line = f"{type(faults.error).__name__}: {faults.error}"
        if line and line != before:
            say(line)
        before = line
        stop.wait(poll)
    return started


def _look(
    plan: Plan, places: Callable[[Plan, Event], Places], *, stop: Event, now: datetime, since: datetime
) -> tuple[RunRow | None, int]:
    runs = read_runs(plan.folder)
    if runs and not runs[-1].ended:
        last = runs[-1]
        if last.errors >= TRIES:
            return abandon(plan, state="failed", reasons=last.reasons), 0
        try:
            return resume(plan, places(plan, stop)), 0
        except PlanMismatchError:
            return abandon(plan, reasons=CHANGED), 0
    found = due(plan.trigger, runs, now=now, since=since, check=look(plan, runs, now=now, since=since))
    if found is None:
        return None, 0
    return run(plan, places(plan, stop), why=found.why, token=found.token), 1
