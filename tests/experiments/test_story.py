"""One simulated experiment between recommenders, from ids to a decision, by the command alone; and its shortcut.

``bench/experiment_story.py`` counts right decisions over hundreds of worlds with moments put together in memory. Here
one world goes the whole way (assignment, a log with repeated exposures and events that come late, Parquet, the join,
the analysis of every evening) and must say what that shortcut says.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.cli.main import main
from shared.experiments.analysis import ExperimentReport, judge
from shared.experiments.exposure_log import ExposureLog
from shared.experiments.exposures import Exposure
from shared.experiments.sources import open_table

pl = pytest.importorskip("polars")

BENCH = Path(__file__).resolve().parents[2] / "bench"
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
PEOPLE = 1600
NAMES = ("0-popularity", "1-ease")


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    sys.path.insert(0, str(BENCH))
    import experiment_story as story
    import experiment_world as worlds

    yield story, worlds
    sys.path.remove(str(BENCH))


@pytest.fixture(scope="module")
def played(bench: Any) -> Any:
    """A small world in which EASE is truly better than popularity."""
    _, worlds = bench
    patch = pytest.MonkeyPatch()
    with patch.context() as small:
        small.setattr(worlds, "USERS", PEOPLE)
        small.setattr(worlds, "BEFORE", worlds.replace(worlds.BEFORE, users=PEOPLE, visits=1.0))
        better = worlds.Scenario("better", ("popularity", "ease"), "ship")
        return worlds.world(better, worlds.catalogue(0), 3)


def command(capsys: Any, *words: object) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["triptych", "experiment", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0), capsys.readouterr().out


CONFIG = """
[analysis]
planned = 1300
unit = "unit"
segments = ["land"]
[arms]
0-popularity = 1.0
1-ease = 1.0
[metrics.clicks]
kind = "mean"
column = "clicks"
covariates = ["before"]
window = [7, 13]
day = "days_since_exposure"
observed = "days_observed"
missing = "zero"
[metrics.rate]
kind = "ratio"
column = "clicks"
denominator = "impressions"
role = "secondary"
window = [7, 13]
day = "days_since_exposure"
observed = "days_observed"
missing = "zero"
[metrics.wait]
kind = "ratio"
column = "seconds"
denominator = "visits"
role = "guardrail"
direction = "decrease"
margin = 0.15
missing = "zero"
[metrics.loyal]
kind = "mean"
column = "visits"
role = "guardrail"
margin = 0.2
window = [7, 13]
day = "days_since_exposure"
observed = "days_observed"
missing = "zero"
"""


def logged(one: Any, folder: Path) -> Any:
    """An exposure at noon of each day of a visit, once more for each further visit; the events an hour later."""
    visits = one.visits
    with ExposureLog(folder / "log", rows_a_part=20_000) as log:
        rows = zip(visits.users.tolist(), visits.days.tolist(), one.arms[visits.users].tolist())
        log.append(Exposure(str(u), "better 3", NAMES[a], NOON + dt.timedelta(days=d), 0.5) for u, d, a in rows)
    people = pl.DataFrame({"unit": [str(u) for u in range(PEOPLE)], "before": one.before})
    people = people.with_columns(land=pl.int_range(PEOPLE) % 2)
    exposures = open_table(folder / "log").collect().join(people, on="unit").drop("experiment", "propensity")
    return exposures, pl.DataFrame(
        {
            "unit": visits.users.astype(str),
            "day": visits.days,
            "late": one.late,
            "clicks": visits.clicks.sum(axis=1),
            "impressions": np.full(len(visits), 5),
            "seconds": one.seconds,
            "visits": np.ones(len(visits)),
        }
    ).with_columns(time=NOON + pl.duration(days="day", hours=1))


def test_the_command_assigns_what_the_world_assigned(played: Any, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "ids.txt").write_text("".join(f"{u}\n" for u in range(PEOPLE)), "utf-8")
    (tmp_path / "plan.toml").write_text(
        '[experiments."better 3"]\narms = { 0-popularity = 0.5, 1-ease = 0.5 }\n', "utf-8"
    )
    code, out = command(capsys, "assign", tmp_path / "ids.txt", "--config", tmp_path / "plan.toml")
    arms = [NAMES.index(json.loads(line)["arm"]) for line in out.splitlines()]
    assert (code, arms) == (0, played.arms.tolist())


def test_an_experiment_that_is_looked_at_every_evening_ends_with_the_right_decision(
    played: Any, bench: Any, tmp_path: Path, capsys: Any
) -> None:
    story, worlds = bench
    exposures, events = logged(played, tmp_path)
    assert len(exposures) > 2 * exposures["unit"].n_unique()
    assert (played.late > 0).any()
    (tmp_path / "e.toml").write_text(CONFIG, "utf-8")
    shortcut = story.Table(played, by_cluster=False)
    plan = story.settings(played, planned=1300)
    plan = dataclasses.replace(plan, metrics=tuple(_wider(metric) for metric in plan.metrics))
    said = []
    for evening in (3, 15, 18, 21, 24, 27, 29):
        # That evening's log: what happened until then, without what comes later.
        exposures.filter(pl.col("time") <= NOON + dt.timedelta(days=evening)).write_parquet(tmp_path / "shown.parquet")
        events.filter(pl.col("day") + pl.col("late") <= evening).drop("day", "late").write_parquet(
            tmp_path / "events.parquet"
        )
        until = NOON + dt.timedelta(days=evening + 1 - worlds.LATE)
        call = ("analyse", tmp_path / "events.parquet", "--config", tmp_path / "e.toml", "--exposures")
        call = (*call, tmp_path / "shown.parquet", "--until", until.isoformat())
        code, out = command(capsys, *call, "--json")
        found = ExperimentReport.from_json(json.loads(out))
        wanted = judge(shortcut.at(evening, plan), plan)
        assert code == 0
        assert (found.units, found.waiting) == (wanted.units, wanted.waiting)
        assert [e.metric for e in found.effects] == [e.metric for e in wanted.effects]
        for one, other in zip(found.effects, wanted.effects):
            assert (one.difference, one.low, one.high) == pytest.approx((other.difference, other.low, other.high))
        assert found.verdicts[0].action == wanted.verdicts[0].action
        said.append(found.verdicts[0].action)
        if said[-1] != "keep running":
            break
    assert said[:2] == ["keep running"] * 2
    assert said[-1] == "ship"
    code, out = command(capsys, *call)
    assert out.startswith("1-ease: SHIP\n  - Primary metric clicks is better: +")
    assert "Guardrail wait stays within its margin" in out
    assert "clicks of 1-ease by land" in out
    assert found.waiting
    assert "Not observed for the window of clicks yet: 0-popularity " in out


def _wider(metric: Any) -> Any:
    """The margins of this small world."""
    return dataclasses.replace(metric, margin={"wait": 0.15, "loyal": 0.2}.get(metric.name))
