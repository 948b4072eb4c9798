"""Plans of retraining, when a run is due, and the watch that starts it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import shared.lifecycle.plan as module
from shared.errors import DataError, TriptychError, UnknownNameError, UsageError
from shared.lifecycle import schedule
from shared.lifecycle.history import RunRow
from shared.lifecycle.plan import Plan, digest_of_plan, plan_of, read_plan
from shared.lifecycle.plan_parts import Trigger, seconds_of
from shared.lifecycle.schedule import due, watch

SMALL: dict[str, Any] = {"task": "recsys.collaborative", "name": "films", "data": {"source": "r.csv"}}
METRIC = {"right": {"kind": "proportion", "column": "right", "margin": 0.1}}


def test_the_plan_of_the_docstring_is_a_plan(tmp_path: Path) -> None:
    text = str(module.__doc__).partition("::\n")[2].replace("\n    ", "\n")
    file = tmp_path / "plan.toml"
    file.write_text(text)
    plan = read_plan(file)
    assert (plan.name, plan.split.key, plan.train, plan.gate.figures[0].margin) == (
        "spam", ("text",), {"method": "tfidf"}, 0.01,
    )  # fmt: skip
    assert plan.canary is not None
    assert (plan.canary.rules.experiment, plan.canary.rules.share) == ("spam-canary", 0.2)
    assert plan.path("messages.csv") == tmp_path / "messages.csv"
    assert plan.trigger.cron == "0 3 * * *"


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"data": {}}, UsageError, r"\[data\] must have source"),
        ({"taks": "x"}, UnknownNameError, "Nearest: task"),
        ({"name": "../films"}, UsageError, "the name of a plan must match"),
        ({"train": "tfidf"}, UsageError, r"\[train\] must be a table of options"),
        ({"split": {"tests": 0.5}}, UnknownNameError, "Nearest: test"),
        ({"canary": {"share": 0.5}}, UsageError, r"with \[canary.metrics.NAME\]"),
        ({"canary": {"metrics": METRIC}}, UsageError, "traffic to replay, or exposures and outcomes"),
        ({"canary": {"metrics": METRIC, "traffic": "t.csv", "shares": 0.5}}, UnknownNameError, "key of .canary."),
        ({"trigger": {"every": "6 hours"}}, UsageError, "must be like 30s, 15m, 6h"),
        ({"trigger": {"every": "1h", "cron": "0 3 * * *"}}, UsageError, "every or cron, not both"),
        ({"trigger": {"cron": "0 25 * * *"}}, UsageError, "cron must be five fields"),
        ({"trigger": {"drift": "check.json", "log": "log"}}, UsageError, "not both"),
        ({"keep": 0}, UsageError, "keep must be at least 1"),
        ({"seed": "one"}, UsageError, "seed of the plan of a retraining must be of type int"),
    ],
)
def test_plans_that_are_wrong_are_refused(changes: dict[str, Any], error: type[TriptychError], said: str) -> None:
    pytest.importorskip("cronsim", reason="needs the extra lifecycle")
    with pytest.raises(error, match=said):
        plan_of(SMALL | changes)


def test_a_plan_without_data_or_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must have \[data\]"):
        plan_of({"task": "a", "name": "b"})
    with pytest.raises(DataError, match="must be a TOML file"):
        read_plan(tmp_path / "none.toml")


def test_when_it_starts_does_not_make_another_plan_and_all_else_does() -> None:
    before = digest_of_plan(plan_of(SMALL))
    assert digest_of_plan(plan_of(SMALL | {"trigger": {"every": "1h"}})) == before
    canary = {"metrics": METRIC, "traffic": "t.csv"}
    others = [{"seed": 1}, {"gate": {"alpha": 0.01}}, {"train": {"algorithm": "ease"}}, {"split": {"test": 0.5}}]
    others += [{"validate": {"rows": 5}}, {"canary": canary}, {"canary": canary | {"share": 0.3}}]
    assert len({before, *(digest_of_plan(plan_of(SMALL | more)) for more in others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("15m", 900), ("1.5h", 5400), ("1d", 86400), ("2w", 1209600)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds
    with pytest.raises(UsageError, match="must be like"):
        seconds_of(f"-{text}")


NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def row(began: datetime, *, token: str = "", state: str = "promoted", errors: int = 0) -> RunRow:
    return RunRow(1, Path(), began, "by hand", token, "", state, (), (), None, errors)


@pytest.mark.parametrize(
    ("trigger", "last", "now", "is_due"),
    [
        (Trigger(), None, NOON, False),  # by hand alone
        (Trigger(every="6h"), None, NOON, True),
        (Trigger(every="6h"), NOON, NOON + timedelta(hours=5, minutes=59), False),
        (Trigger(every="6h"), NOON, NOON + timedelta(hours=6), True),
        (Trigger(cron="0 3 * * *"), None, NOON + timedelta(hours=14), False),  # 2 o'clock
        (Trigger(cron="0 3 * * *"), None, NOON + timedelta(hours=15), True),
        (Trigger(cron="0 3 * * *"), NOON + timedelta(hours=15, seconds=1), NOON + timedelta(hours=20), False),
        (Trigger(cron="0 3 * * *"), NOON - timedelta(days=9), NOON + timedelta(hours=1), False),  # missed before
        (Trigger(cron="*/15 * * * *"), NOON, NOON + timedelta(minutes=15), True),
    ],
)
def test_schedules(trigger: Trigger, last: datetime | None, now: datetime, is_due: bool) -> None:
    pytest.importorskip("cronsim", reason="needs the extra lifecycle")
    runs = [] if last is None else [row(last)]
    assert (due(trigger, runs, now=now, since=NOON) is not None) is is_due


def test_a_check_with_an_alarm_starts_one_run(tmp_path: Path) -> None:
    trigger, check = Trigger(drift="check.json", every="1d"), tmp_path / "check.json"

    def found(*runs: RunRow) -> Any:
        return due(trigger, runs, now=NOON, since=NOON, check=check)

    assert found(row(NOON)) is None
    columns = [{"name": name, "drifted": name != "digits"} for name in ("words", "words", "digits", "language")]
    check.write_text(json.dumps({"alarm": False}))
    assert found(row(NOON)) is None
    check.write_text(json.dumps({"alarm": True, "drift": {"columns": columns}}))
    cause = found(row(NOON))
    assert cause.why == "drift found: words, language"
    assert found(row(NOON, token=cause.token)) is None
    assert found(row(NOON - timedelta(days=2), token=cause.token)).why == "every 1d"
    gone = replace(row(NOON, token=cause.token, state="abandoned"), reasons=schedule.CHANGED)
    assert found(gone).token == cause.token
    check.write_text(json.dumps({"alarm": True, "at": "later"}))
    assert found(row(NOON, token=cause.token)).token != cause.token
    check.write_text("[]")
    with pytest.raises(DataError, match="must hold a JSON object"):
        found()


class Script:
    """The pipeline as a watch sees it: the runs that stand, and what was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.rows: list[RunRow] = []
        self.calls: list[str] = []
        self.fails, self.error = 0, DataError("the disk is full") if error is None else error
        monkeypatch.setattr(schedule, "read_runs", lambda folder: tuple(self.rows))
        for name in ("run", "resume", "abandon"):
            monkeypatch.setattr(schedule, name, getattr(self, name))

    def run(self, plan: Plan, places: Any, *, why: str, token: str) -> RunRow:
        self.calls.append(f"run {why}")
        self.rows.append(row(NOON, state="waiting", token=token))
        return self.rows[-1]

    def resume(self, plan: Plan, places: Any) -> RunRow:
        self.calls.append("resume")
        if self.fails:
            self.fails -= 1
            self.rows[-1] = row(NOON, state="stopped", errors=self.rows[-1].errors + 1)
            raise self.error
        self.rows[-1] = row(NOON, state="promoted")
        return self.rows[-1]

    def abandon(self, plan: Plan, *, state: str = "abandoned", reasons: tuple[str, ...] = ()) -> RunRow:
        self.calls.append(f"end {state}")
        self.rows[-1] = row(NOON, state=state)
        return self.rows[-1]


class Looks(Event):
    """An event that is set after so many waits, so that no test waits."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count
        self.waited: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        self.left -= 1
        if self.left <= 0:
            self.set()
        return self.is_set()


def looked(tmp_path: Path, looks: int, trigger: str = 'every = "1h"') -> tuple[int, list[str], Looks]:
    file, said, stop = tmp_path / "plan.toml", list[str](), Looks(looks)
    head = 'task = "t"\nname = "films"\n[data]\nsource = "r.csv"\n'
    file.write_text(f'{head}[trigger]\npoll = "7s"\n{trigger}\n')
    started = watch(file, lambda plan, event: None, stop=stop, say=said.append, now=lambda: NOON)  # type: ignore[arg-type,return-value]
    return started, said, stop


def test_a_watch_starts_goes_on_and_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch)
    started, said, stop = looked(tmp_path, 4)
    assert (started, script.calls) == (1, ["run the first of every 1h", "resume"])
    assert stop.waited == [7.0] * 4
    assert "waiting" in said[0]
    assert "promoted" in said[1]
    assert len(said) == 2


@pytest.mark.parametrize("error", [DataError("the disk is full"), ZeroDivisionError("a trainer's own")])
def test_a_watch_gives_a_run_up_that_fails_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    script = Script(monkeypatch, error)
    script.rows, script.fails = [row(NOON, state="stopped")], 9
    _, said, _ = looked(tmp_path, 5)
    assert script.calls == ["resume"] * 3 + ["end failed"]
    assert said[0] == f"{type(error).__name__}: {error}"


def test_a_watch_lives_through_a_plan_that_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Script(monkeypatch)
    started, said, _ = looked(tmp_path, 3, trigger="every = 1")
    assert started == 0
    assert said == ["UsageError: every of [trigger] must be of type str. Got 1 instead"]


def test_a_stopped_watch_does_not_look(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    assert watch(tmp_path / "none.toml", lambda plan, event: None, stop=stop, say=print) == 0  # type: ignore[arg-type,return-value]
