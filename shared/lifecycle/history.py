"""The runs of a plan as they stand in their folder, readable at any moment and by anybody.

::

    RUNS/000001/run.json             how it began: number, time, what started it, the plan's digest
    RUNS/000001/steps/01-ingest.json ... the outcome of each step, written last
    RUNS/000001/data, split          the data, and the two sides that they were cut in
    RUNS/000001/model, whole         what was trained, and the same in its portable form
    RUNS/000001/profile              what the challenger saw and said, where drift is watched by a log
    RUNS/000001/waiting.json         why it waits, where a step cannot end yet
    RUNS/000001/error.json           what stopped it last, and how often
    RUNS/000001/end.json             what it came to; written when there is nothing more to do
    RUNS/lock                        held by the process that works here
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.batch.holding import is_held
from shared.errors import DataError


@dataclass(frozen=True)
class RunRow:
    """One run.

    Attributes:
        number: from 1.
        folder: where it is.
        began: when, in UTC.
        why: what started it.
        token: what it was started by, so that the same does not start another; empty for a person.
        plan: digest of the plan.
        state: ``"running"``, ``"waiting"``, ``"stopped"``, or what it came to.
        reasons: why.
        steps: names of those that are done.
        version: number that it registered, or ``None``.
        errors: how often it was stopped by an error at the step that it stands at.
    """

    number: int
    folder: Path
    began: datetime
    why: str
    token: str
    plan: str
    state: str
    reasons: tuple[str, ...]
    steps: tuple[str, ...]
    version: int | None
    errors: int

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        return self.state not in ("running", "waiting", "stopped")

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        return {
            "run": self.number,
            "began": self.began.isoformat(),
            "why": self.why,
            "state": self.state,
            "reasons": list(self.reasons),
            "steps": list(self.steps),
            "version": self.version,
            "errors": self.errors,
        }

    def to_text(self) -> str:
        """A line for a terminal."""
        at = f"{len(self.steps)} steps done" if not self.ended else f"version {self.version or '-'}"
        said = f": {'; '.join(self.reasons)}" if self.reasons else ""
        return f"{self.number:>6}  {self.began:%Y-%m-%d %H:%M}  {self.state:<12}  {at}  ({self.why}){said}"


def read_runs(folder: Path) -> tuple[RunRow, ...]:
    """Every run, oldest first; none where there is no folder.

    Raises:
        DataError: a run's file is damaged.
    """
    places = sorted(place for place in folder.glob("[0-9]*") if (place / "run.json").is_file())
    busy = in_use(folder)
    return tuple(_row(place, busy=busy and place == places[-1]) for place in places)


def in_use(folder: Path) -> bool:
    """Whether a process works on the runs now."""
    return is_held(folder / "lock")


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; ``None`` where there is no file.

    Raises:
        DataError: it holds something else.
    """
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{path} must hold a JSON object. {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} must hold a JSON object. Got {type(found).__name__} instead")
    return found


def outcomes(folder: Path) -> dict[str, Mapping[str, Any]]:
    """What each step of a run that is done left, by name."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted((folder / "steps").glob("*.json")):
        content = read_json(path)
        if content is not None:
            found[path.stem.partition("-")[2]] = content
    return found


def _row(folder: Path, *, busy: bool) -> RunRow:
    head = read_json(folder / "run.json") or {}
    end, waiting, error = (read_json(folder / f"{name}.json") for name in ("end", "waiting", "error"))
    done = outcomes(folder)
    if end is not None:
        state, reasons = str(end["state"]), tuple(end["reasons"])
    elif busy:
        state, reasons = "running", ()
    elif waiting is not None:
        state, reasons = "waiting", tuple(waiting["reasons"])
    else:
        state, reasons = "stopped", () if error is None else (f"{error['step']}: {error['error']}",)
    try:
        return RunRow(
            number=int(head["number"]),
            folder=folder,
            began=datetime.fromisoformat(head["began"]),
            why=str(head["why"]),
            token=str(head["token"]),
            plan=str(head["plan"]),
            state=state,
            reasons=reasons,
            steps=tuple(done),
            version=done.get("register", {}).get("outcome", {}).get("number"),
            errors=0 if error is None else int(error["count"]),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise DataError(f"{folder / 'run.json'} must say how a run began. {problem!r}") from problem
