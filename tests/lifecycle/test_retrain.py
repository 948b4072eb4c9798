"""A retraining from its data to a new champion: its ends, its errors, and that a kill anywhere changes none of them."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest
import retrain_toys as toys
from filelock import FileLock

from shared.errors import DataError, PlanMismatchError, UnknownNameError, UsageError
from shared.lifecycle.history import outcomes, read_runs
from shared.lifecycle.pipeline import abandon, rehearse, resume, run
from shared.lifecycle.steps import STEPS

for module in ("cryptography", "mlflow"):
    pytest.importorskip(module, reason="needs the extra lifecycle")


@pytest.fixture
def room(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> toys.Room:
    toys.words_alone(monkeypatch)
    return toys.Room(tmp_path / "room", empty_store)


def test_the_whole_life(room: toys.Room) -> None:
    first = room.run()
    assert (first.state, first.version, room.champion()) == ("promoted", 1, 1)
    assert first.steps == tuple(step.name for step in STEPS)
    assert outcomes(first.folder)["canary"]["outcome"]["reasons"] == ["there is no champion to stand beside"]

    same = room.run()
    assert (same.state, room.champion(), len(room.registry.versions("words"))) == ("unchanged", 1, 1)

    # New words come up, in the data and in the traffic.
    toys.messages(room.base / "messages.csv", "abc", seed=1)
    toys.messages(room.base / "traffic.csv", "abc", 400, seed=8)
    better = room.run()
    assert (better.state, better.version, room.champion()) == ("promoted", 2, 2)
    assert outcomes(better.folder)["canary"]["outcome"]["action"] == "promote"

    # A challenger that was trained badly does not pass the gate, and is not registered.
    bad = room.run(forget="a")
    assert (bad.state, bad.version, room.champion(), len(room.registry.versions("words"))) == ("refused", None, 2, 2)
    assert "accuracy may be worse by 0.02" in bad.reasons[0]

    # One word is gone from the data and not from the traffic: the gate cannot see it, the canary does.
    toys.messages(room.base / "messages.csv", "bc", seed=2)
    blind = room.run()
    assert (blind.state, blind.version, room.champion()) == ("rolled back", 3, 2)
    assert "worse" in blind.reasons[0]
    assert room.aliases() == {"champion": 2, "challenger": 2}

    assert room.verdicts() == [
        ("gate", "promote"), ("promotion", "promoted"),
        ("gate", "promote"), ("canary", "promote"), ("promotion", "promoted"),
        ("gate", "refuse"),
        ("gate", "promote"), ("canary", "roll back"), ("promotion", "rolled back"),
    ]  # fmt: skip
    assert room.records.verify().faults == ()
    assert [row.state for row in read_runs(room.base / "runs")] == [
        "promoted", "unchanged", "promoted", "refused", "rolled back",
    ]  # fmt: skip


def test_data_that_will_not_do_end_a_run(room: toys.Room) -> None:
    toys.messages(room.base / "messages.csv", "ab", 100)
    found = room.run()
    assert (found.state, found.steps) == ("invalid data", ("ingest", "validate"))
    assert found.reasons == ("100 rows, and 500 at least are asked for",)


@pytest.mark.usefixtures("room")
def test_a_run_that_is_killed_at_every_step_in_turn_comes_to_the_same_end(tmp_path: Path, empty_store: Path) -> None:
    straight, room = (toys.prepared(tmp_path / name, empty_store) for name in ("straight", "killed"))
    straight.run()
    with pytest.raises(toys.Killed):
        run(toys.plan(room.base), room.places(tell=toys.killing("ingest", "worked")))
    for step in STEPS[1:]:
        with pytest.raises(toys.Killed):
            resume(toys.plan(room.base), room.places(tell=toys.killing(step.name, "worked")))
    assert resume(toys.plan(room.base), room.places()).state == "promoted"
    assert room.digests() == straight.digests()


def test_what_a_kill_leaves_of_a_training_is_begun_anew(room: toys.Room) -> None:
    with pytest.raises(toys.Killed):
        run(toys.plan(room.base), room.places(tell=toys.killing("train", "begin")))
    half = room.base / "runs" / "000001" / "model" / "words"
    half.mkdir(parents=True)
    (half / "words.json").write_text("{")
    assert resume(toys.plan(room.base), room.places()).state == "promoted"


def test_the_source_may_change_once_it_is_ingested(room: toys.Room) -> None:
    with pytest.raises(toys.Killed):
        run(toys.plan(room.base), room.places(tell=toys.killing("validate", "begin")))
    (room.base / "messages.csv").unlink()
    assert resume(toys.plan(room.base), room.places()).state == "promoted"


def test_a_committed_step_is_not_done_again(room: toys.Room) -> None:
    with pytest.raises(toys.Killed):
        run(toys.plan(room.base), room.places(tell=toys.killing("gate", "begin")))
    heard: list[tuple[str, str]] = []
    resume(toys.plan(room.base), room.places(tell=lambda *at: heard.append(at)))
    assert {name for name, moment in heard if moment == "begin"} == {"gate", "register", "canary", "promote"}


def test_a_champion_that_came_meanwhile_is_not_replaced(room: toys.Room) -> None:
    room.run()
    toys.messages(room.base / "messages.csv", "abc", seed=1)
    with pytest.raises(toys.Killed):
        run(toys.plan(room.base), room.places(tell=toys.killing("promote", "begin")))
    toys.train(room.base / "traffic.csv", room.base / "else" / "words", forget="b")
    room.registry.register(room.base / "else" / "words", name="words")
    room.registry.alias("words", "champion", 3)
    found = resume(toys.plan(room.base), room.places())
    assert (found.state, room.champion()) == ("superseded", 3)
    assert "words/3 has become champion since the gate" in found.reasons[0]


def test_one_run_at_a_time_and_one_process(room: toys.Room) -> None:
    plan = toys.plan(room.base)
    with pytest.raises(UsageError, match="has no run to go on with"):
        resume(plan, room.places())
    with pytest.raises(toys.Killed):
        run(plan, room.places(tell=toys.killing("split", "begin")))
    with pytest.raises(UsageError, match="run 1 of words is not ended"):
        run(plan, room.places())
    with pytest.raises(PlanMismatchError, match="begun under another plan"):
        resume(toys.plan(room.base, seed=1), room.places())
    with FileLock(room.base / "runs" / "lock"):
        assert read_runs(room.base / "runs")[0].state == "running"
        with pytest.raises(UsageError, match="Another one is working"):
            resume(plan, room.places())
    assert abandon(plan).state == "abandoned"
    assert room.run().number == 2


def test_a_stop_ends_after_the_step_under_way(room: toys.Room) -> None:
    stop, plan = Event(), toys.plan(room.base)

    def tell(step: str, moment: str) -> None:
        if (step, moment) == ("train", "begin"):
            stop.set()

    found = run(plan, room.places(tell=tell, stop=stop))
    assert (found.state, found.steps[-1]) == ("stopped", "train")
    assert resume(plan, room.places()).state == "promoted"


def test_an_error_is_kept_with_the_run_and_the_run_goes_on(room: toys.Room) -> None:
    (room.base / "traffic.csv").unlink()
    room.run()
    toys.messages(room.base / "messages.csv", "abc", seed=1)
    plan = toys.plan(room.base)
    (room.base / "messages.csv").rename(room.base / "away.csv")
    for count in (1, 2):
        with pytest.raises(DataError, match="Nothing stands at"):
            run(plan, room.places()) if count == 1 else resume(plan, room.places())
        row = read_runs(room.base / "runs")[-1]
        assert (row.state, row.errors) == ("stopped", count)
        assert row.reasons[0].startswith("ingest: the data must be")
    (room.base / "away.csv").rename(room.base / "messages.csv")
    toys.messages(room.base / "traffic.csv", "abc", 400, seed=8)
    assert resume(plan, room.places()).state == "promoted"


def test_what_a_trainer_raises_stands_with_the_run(room: toys.Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("in a library")

    with monkeypatch.context() as patch:
        patch.setattr("shared.lifecycle.steps.train_model", broken)
        with pytest.raises(ZeroDivisionError):
            room.run()
    (row,) = read_runs(room.base / "runs")
    assert row.reasons == ("train: ZeroDivisionError: in a library",)
    assert resume(toys.plan(room.base), room.places()).state == "promoted"


def test_a_canary_of_a_log_waits_for_outcomes(room: toys.Room) -> None:
    pl = pytest.importorskip("polars", reason="needs the extra experiments")
    from datetime import UTC, datetime, timedelta

    from shared.experiments.assignment import assign
    from shared.experiments.exposure_log import ExposureLog
    from shared.experiments.exposures import exposures

    room.run()
    toys.messages(room.base / "messages.csv", "abc", seed=1)
    metrics = {"clicked": {"kind": "proportion", "column": "clicked", "margin": 0.1, "missing": "zero"}}
    canary = {"share": 0.4, "planned": 2000, "exposures": "log", "outcomes": "clicks.parquet", "metrics": metrics}
    plan = toys.plan(room.base, canary=canary)
    assert plan.canary is not None
    moment = datetime.now(UTC) + timedelta(
        minutes=5
    )  # what was shown before the challenger answered counts for nothing
    pl.DataFrame({"unit": ["u0"], "time": [moment], "clicked": [1]}).write_parquet(room.base / "clicks.parquet")
    with ExposureLog(room.base / "log") as log:
        log.append(exposures(assign(plan.canary.rules.drawn, [f"u{n}" for n in range(60)]), moment))
        waits = run(plan, room.places())
        assert (waits.state, waits.version) == ("waiting", 2)
        assert "fewer than 50 units" in waits.reasons[0]
        assert room.aliases() == {"champion": 1, "challenger": 2}
        log.append(exposures(assign(plan.canary.rules.drawn, [f"u{n}" for n in range(60, 2000)]), moment))
    clicks = {
        "unit": [f"u{n}" for n in range(2000)],
        "time": [moment] * 2000,
        "clicked": [int(n % 9 > 0) for n in range(2000)],
    }
    pl.DataFrame(clicks).write_parquet(room.base / "clicks.parquet")
    assert resume(plan, room.places()).state == "promoted"
    assert room.champion() == 2


def test_a_dry_run_changes_nothing(room: toys.Room) -> None:
    before = sorted(room.base.rglob("*"))
    lines = rehearse(toys.plan(room.base), room.places())
    assert sorted(room.base.rglob("*")) == before
    assert (room.registry.names(), lines[0][:20]) == ([], "ingest: messages.csv")
    assert [line.partition(":")[0] for line in lines] == [
        "ingest", "validate", "split", "train", "gate", "register", "canary", "promote",
    ]  # fmt: skip
    assert "no champion: floors alone" in lines[4]
    room.run()
    assert "40% of 2000 units, traffic replayed from traffic.csv" in rehearse(toys.plan(room.base), room.places())[6]
    toys.messages(room.base / "messages.csv", "ab", 100)
    assert rehearse(toys.plan(room.base), room.places())[-1] == "the run would end here: invalid data"


def test_a_plan_that_cannot_be_done_begins_no_run(room: toys.Room) -> None:
    with pytest.raises(UnknownNameError, match=r"option of train test.words is called 'forge'. Nearest: forget"):
        room.run(train={"forge": "a"})
    assert read_runs(room.base / "runs") == ()


def test_a_damaged_outcome_is_said(room: toys.Room) -> None:
    plan = toys.plan(room.base)
    with pytest.raises(toys.Killed):
        run(plan, room.places(tell=toys.killing("split", "begin")))
    marker = next((room.base / "runs" / "000001" / "steps").glob("*validate.json"))
    marker.write_text("{")
    with pytest.raises(DataError, match="must hold a JSON object"):
        resume(plan, room.places())


def test_a_row_is_json(room: toys.Room) -> None:
    row = room.run()
    told = json.loads(json.dumps(row.to_json()))
    assert (told["run"], told["state"], told["why"], told["version"]) == (1, "promoted", "by hand", 1)
    assert "promoted" in row.to_text()


def test_older_runs_keep_their_outcomes_alone(room: toys.Room) -> None:
    for seed, letters in enumerate(("ab", "abc", "abcd")):
        toys.messages(room.base / "messages.csv", letters, seed=seed)
        toys.messages(room.base / "traffic.csv", letters, 400, seed=9)
        assert room.run(keep=2).state == "promoted"
    folders = [row.folder for row in read_runs(room.base / "runs")]
    assert [(folder / "whole").is_dir() for folder in folders] == [False, True, True]
    assert len(outcomes(folders[0])) == len(STEPS)
