"""Drift in a prediction log: windows one after the other, one run for an alarm, other models left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from shared.errors import DataError
from shared.lifecycle.drifting import CHECK, PROFILE, STATE, look
from shared.lifecycle.history import RunRow
from shared.lifecycle.plan import Plan, plan_of
from shared.lifecycle.schedule import due
from shared.monitoring.log import PredictionLog
from shared.monitoring.log_rows import Logged
from shared.monitoring.profile import ProfileBuilder
from shared.monitoring.profile_files import save_profile
from shared.monitoring.signals import Observed

pytest.importorskip("datasketches", reason="needs the extra monitoring")
TASK, BEGAN, HOUR = "nlp.classification", datetime(2026, 5, 4, tzinfo=UTC), timedelta(hours=1)


def observed(seed: int, mean: float, n: int = 400) -> list[Observed]:
    return [Observed({"words": value}) for value in np.random.default_rng(seed).normal(mean, 3, n).tolist()]


def save(folder: Path) -> None:
    builder = ProfileBuilder(TASK, np.random.default_rng(0), model="ours")
    builder.add(observed(0, 20.0, 2000))
    save_profile(builder.done(), folder)


def answer(base: Path, hour: int, rows: Sequence[Observed], *, model: str = "ours") -> None:
    with PredictionLog(base / "log", TASK) as log:
        at = (BEGAN + hour * HOUR).timestamp()
        log.append([Logged(f"{n:016x}", at + n, model, "1", one) for n, one in enumerate(rows)])


def plan(base: Path, **trigger: str) -> Plan:
    told = {"log": "log", "window": "1h"} | trigger
    return plan_of(
        {"task": TASK, "name": "spam", "runs": "runs", "data": {"source": "d.csv"}, "trigger": told}, base=base
    )


def checked(base: Path, hours: float, runs: Sequence[RunRow] = (), **trigger: str) -> dict[str, object] | None:
    place = look(plan(base, **trigger), runs, now=BEGAN + hours * HOUR, since=BEGAN)
    assert place == base / "runs" / CHECK
    return json.loads(place.read_bytes()) if place.exists() else None


def test_each_window_is_checked_once_it_is_over_and_an_alarm_starts_one_run(tmp_path: Path) -> None:
    save(tmp_path / "reference")
    answer(tmp_path, 0, observed(1, 20.0))
    answer(tmp_path, 1, observed(2, 20.0)[:5])
    assert checked(tmp_path, 0.9, profile="reference") is None
    first = checked(tmp_path, 1.0, profile="reference")
    assert first is not None
    assert (first["alarm"], first["until"]) == (False, (BEGAN + HOUR).isoformat())
    answer(tmp_path, 3, observed(3, 26.0))  # two hours are passed over: five answers, and none
    answer(tmp_path, 4, observed(4, 20.0))
    found = checked(tmp_path, 9.0, profile="reference")
    assert found is not None
    assert (found["alarm"], found["until"]) == (True, (BEGAN + 4 * HOUR).isoformat())
    asked = plan(tmp_path, profile="reference")
    cause = due(asked.trigger, [], now=BEGAN, since=BEGAN, check=tmp_path / "runs" / CHECK)
    assert cause is not None
    assert cause.why == "drift found: words"
    last = checked(tmp_path, 9.0, profile="reference")  # goes on behind the alarm
    assert last is not None
    assert (last["alarm"], last["until"]) == (False, (BEGAN + 5 * HOUR).isoformat())
    assert json.loads((tmp_path / "runs" / STATE).read_text())["until"] == (BEGAN + 9 * HOUR).isoformat()


def test_the_reference_is_that_of_the_latest_run_that_was_promoted(tmp_path: Path) -> None:
    answer(tmp_path, 0, observed(1, 26.0))
    rows = []
    for number, state in enumerate(("promoted", "rolled back"), 1):
        folder = tmp_path / "runs" / f"{number:06d}"
        save(folder / PROFILE)
        rows.append(RunRow(number, folder, BEGAN, "by hand", "", "", state, (), (), number, 0))
    assert checked(tmp_path, 1.0, rows[1:]) is None
    found = checked(tmp_path, 1.0, rows)
    assert found is not None
    assert found["alarm"] is True


def test_what_another_model_answered_is_left_out(tmp_path: Path) -> None:
    save(tmp_path / "reference")
    answer(tmp_path, 0, observed(1, 90.0), model="the challenger")
    assert checked(tmp_path, 1.0, profile="reference") is None


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    save(tmp_path / "reference")
    with pytest.raises(DataError, match="log"):
        checked(tmp_path, 1.0, profile="reference")
