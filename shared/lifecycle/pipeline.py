"""A retraining from its data to a new champion, step by step; killed at any moment it goes on to the same end.

Each step's outcome is keyed by the hash of its inputs and committed by one rename, so a step is done once, or begun
anew. One process works on the runs of a plan at a time, and a plan has one run that is not ended.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from filelock import FileLock, Timeout

from shared.errors import DataError, PlanMismatchError, TriptychError, UsageError
from shared.lifecycle.commits import commit, sync_folder
from shared.lifecycle.course import Course, End, Outcome, Pending, Step, Tell
from shared.lifecycle.engines import Engine, local
from shared.lifecycle.hashing import of_json
from shared.lifecycle.history import RunRow, read_json, read_runs
from shared.lifecycle.plan import Plan, digest_of_plan
from shared.lifecycle.promoting import champion_of
from shared.lifecycle.records import Records
from shared.lifecycle.registry import Registry
from shared.lifecycle.rows import ingest, split
from shared.lifecycle.steps import STEPS, check_plan
from shared.lifecycle.validating import validate
from shared.tasks import find_task

MADE = ("data", "split", "model", "whole")
"""The folders of a run that its steps make."""
VERSION = 1
"""Of what steps do; another has every step of an unfinished run done again."""


@dataclass(frozen=True)
class Places:
    """What a run works with beside its plan.

    Attributes:
        registry: where versions are.
        records: where decisions are kept.
        engine: where training and evaluation are done.
        tell: hears of each step's moments.
        stop: once set, the run stops after the step under way, to be resumed.
    """

    registry: Registry
    records: Records
    engine: Engine = local
    tell: Tell = lambda step, moment: None
    stop: Event | None = None


def run(plan: Plan, places: Places, *, why: str = "by hand", token: str = "") -> RunRow:
    """Begin a run and take it to its end, or as far as it goes.

    Args:
        plan: what is to be done.
        places: what it works with.
        why: what started it, for records and history.
        token: what it was started by, see :class:`shared.lifecycle.history.RunRow`.

    Raises:
        UsageError: another process works on the plan, a run of it is not ended, or the plan cannot be done.
        TriptychError: a step failed; ``resume`` goes on.
    """
    task = find_task(plan.task)
    check_plan(plan, task)
    with _alone(plan.folder):
        runs = read_runs(plan.folder)
        if runs and not runs[-1].ended:
            raise UsageError(
                f"run {runs[-1].number} of {plan.name} is not ended: go on with it (triptych retrain resume PLAN), or "
                "give it up (triptych retrain abandon PLAN)"
            )
        number = runs[-1].number + 1 if runs else 1
        folder = plan.folder / f"{number:06d}"
        try:
            (folder / "steps").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder} could not be made: {error.strerror}. Mend this, then begin again") from error
        head = {"number": number, "began": datetime.now(UTC).isoformat(), "why": why, "token": token}
        _write(folder / "run.json", head | {"plan": digest_of_plan(plan)})
        sync_folder(plan.folder)
        return _advance(plan, places, folder)


def resume(plan: Plan, places: Places) -> RunRow:
    """Go on with the run that is not ended.

    Raises:
        UsageError: there is none, or another process works on the plan.
        PlanMismatchError: it was begun under another plan.
        TriptychError: a step failed.
    """
    with _alone(plan.folder):
        row = _unfinished(plan)
        if row.plan != digest_of_plan(plan):
            raise PlanMismatchError(
                f"run {row.number} of {plan.name} was begun under another plan: put that back, or give the run up "
                "(triptych retrain abandon PLAN) and begin a new one"
            )
        return _advance(plan, places, row.folder)


def abandon(plan: Plan, *, state: str = "abandoned", reasons: tuple[str, ...] = ()) -> RunRow:
    """End the run that is not ended where it stands. What it registered stays, and no alias moves.

    Raises:
        UsageError: there is none, or another process works on the plan.
    """
    with _alone(plan.folder):
        row = _unfinished(plan)
        _write(row.folder / "end.json", {"state": state, "reasons": list(reasons)})
        return _standing(plan)


def _advance(plan: Plan, places: Places, folder: Path) -> RunRow:
    head = read_json(folder / "run.json") or {}
    course = Course(
        plan=plan,
        folder=folder,
        number=int(head["number"]),
        why=str(head["why"]),
        task=find_task(plan.task),
        registry=places.registry,
        records=places.records,
        engine=places.engine,
        tell=places.tell,
    )
    (folder / "waiting.json").unlink(missing_ok=True)
    for place, step in enumerate(STEPS, 1):
        try:
            found = _done(course, step, folder / "steps" / f"{place:02d}-{step.name}.json", places.stop)
        except Exception as error:  # whatever a trainer raises is to stand with the run; it goes on from here
            _note_error(folder, step.name, error)
            raise
        if found is None:
            return _standing(plan)
        if isinstance(found, Pending):
            _write(folder / "waiting.json", {"step": step.name, "reasons": list(found.reasons)})
            return _standing(plan)
        course.done[step.name] = found.told
        if found.end is not None:
            _write(folder / "end.json", {"state": found.end.state, "reasons": list(found.end.reasons)})
            _tidy(plan)
            places.tell("end", "done")
            break
    return _standing(plan)


def _done(course: Course, step: Step, marker: Path, stop: Event | None) -> Outcome | Pending | None:
    """A step's outcome, from its marker or by doing it; ``None`` where the run is to stop before it."""
    key = of_json({"step": step.name, "version": VERSION, "inputs": step.inputs(course)})
    known = read_json(marker)
    if known is not None and known["key"] == key:
        end = known["end"]
        return Outcome(known["outcome"], end and End(end["state"], tuple(end["reasons"])))
    if stop is not None and stop.is_set():
        return None
    course.tell(step.name, "begin")
    try:
        found = step.work(course)
    except OSError as error:
        raise DataError(
            f"step {step.name} stopped: {error}. Mend this, then go on (triptych retrain resume)"
        ) from error
    if isinstance(found, Pending):
        return found
    course.tell(step.name, "worked")
    end = None if found.end is None else {"state": found.end.state, "reasons": list(found.end.reasons)}
    _write(marker, {"step": step.name, "key": key, "outcome": dict(found.told), "end": end})
    (marker.parent.parent / "error.json").unlink(missing_ok=True)
    course.tell(step.name, "done")
    # As it stands on the disk, so that a run that goes on sees what one in one go does.
    return Outcome(dict((read_json(marker) or {})["outcome"]), found.end)


def _tidy(plan: Plan) -> None:
    """Take away what older runs made; their outcomes stay."""
    for row in read_runs(plan.folder)[: -plan.keep]:
        for name in MADE:
            shutil.rmtree(row.folder / name, ignore_errors=True)


def _note_error(folder: Path, step: str, error: Exception) -> None:
    before = read_json(folder / "error.json") or {}
    count = int(before["count"]) + 1 if before.get("step") == step else 1
    said = str(error) if isinstance(error, TriptychError) else f"{type(error).__name__}: {error}"
    _write(folder / "error.json", {"step": step, "error": said, "count": count})


def _unfinished(plan: Plan) -> RunRow:
    runs = read_runs(plan.folder)
    if not runs or runs[-1].ended:
        raise UsageError(f"{plan.name} has no run to go on with: begin one (triptych retrain run PLAN)")
    return runs[-1]


def _standing(plan: Plan) -> RunRow:
    row = read_runs(plan.folder)[-1]
    if row.state != "running":
        return row
    waiting = read_json(row.folder / "waiting.json")
    return replace(
        row, state="stopped" if waiting is None else "waiting", reasons=tuple((waiting or {}).get("reasons", ()))
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While inside, no other process works on the runs in the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        lock.acquire(timeout=0.5, poll_interval=0.02)
    except Timeout:
        raise UsageError(
            f"one process works on a plan at a time. Another one is working in {folder}: wait for it"
        ) from None
    except OSError as error:
        raise DataError(f"{folder} must be a folder that can be written. {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _write(path: Path, table: Mapping[str, Any]) -> None:
    commit(path, (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode())


def rehearse(plan: Plan, places: Places) -> list[str]:
    """Say what a run would do, having read, checked and cut the data in a folder that is gone afterwards.

    Nothing is trained, registered, written down or moved.

    Raises:
        UsageError: the plan cannot be done.
        DataError: the data cannot be read.
    """
    task = find_task(plan.task)
    check_plan(plan, task)
    runs = read_runs(plan.folder)
    lines = []
    if runs and not runs[-1].ended:
        lines.append(f"run {runs[-1].number} is {runs[-1].state} after {', '.join(runs[-1].steps) or 'nothing'}")
    with tempfile.TemporaryDirectory(prefix="triptych-retrain-") as name:
        told = ingest(plan.path(plan.data.source), Path(name) / "data")
        whole = Path(name) / str(told["file"])
        lines.append(f"ingest: {plan.data.source}, {told['bytes']} bytes, sha256 {told['sha256'][:16]}")
        facts, faults = validate(whole, plan.validate, format=plan.data.format)
        lines.append(f"validate: {facts['rows']} rows; " + ("; ".join(faults) if faults else "they will do"))
        if faults:
            return [*lines, "the run would end here: invalid data"]
        sides = split(whole, plan.split, Path(name) / "split", format=plan.data.format, seed=plan.seed)
        lines.append(f"split: {sides['train']['rows']} rows to learn from, {sides['test']['rows']} to test on")
    champion = champion_of(places.registry, plan.name)
    stands = f"{plan.name}/{champion.number}" if champion is not None else None
    asked = ", ".join(f"{rule.name} {rule.need or 'above its floor'}" for rule in plan.gate.figures)
    lines += [
        f"train: {plan.task} with {dict(plan.train) or 'its defaults'}, seed {plan.seed}",
        f"gate: {asked or 'the first figure not worse'}, beside {stands or 'no champion: floors alone'}",
        f"register: the next version of {plan.name}, as challenger",
        "canary: none" if plan.canary is None or stands is None else f"canary: {_canary_said(plan)}",
        "promote: to champion if all holds, else roll back",
    ]
    return lines


def _canary_said(plan: Plan) -> str:
    found = plan.canary
    if found is None:
        return "none"
    where = f"traffic replayed from {found.traffic}" if found.traffic else f"the exposures in {found.exposures}"
    return f"{found.rules.share:.0%} of {found.rules.planned} units, {where}, error {found.rules.error:g}"
