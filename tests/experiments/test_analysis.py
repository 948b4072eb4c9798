"""Whole experiments: decisions with their reasons, segments, plans, and the commands."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.cli.main import main
from shared.errors import DataError, UnknownNameError, UsageError
from shared.experiments.analysis import ExperimentReport, analyse
from shared.experiments.comparing import ArmEffect
from shared.experiments.decide import decide
from shared.experiments.metrics import Metric
from shared.experiments.power import Baseline, Weeks, detectable, duration, power_at, rate_baseline, sample_size
from shared.experiments.segments import heterogeneity
from shared.experiments.settings import Settings, read_settings, settings_of
from shared.types import Result

pl = pytest.importorskip("polars")

TWO = {"control": 0.5, "treatment": 0.5}
SPEND = {"kind": "mean", "column": "spend"}


def table(
    effect: float = 0.0, *, n: int = 8000, arms: tuple[str, ...] = ("control", "treatment"), seed: int = 0
) -> Any:
    """Each arm after the control has so much more ``spend`` than the arm before; sd 1, mean 10."""
    rng = np.random.default_rng(seed)
    arm = np.arange(n) % len(arms)
    before = rng.normal(size=n)
    return pl.DataFrame(
        {
            "unit": np.arange(n),
            "arm": np.array(arms)[arm],
            "spend": 10 + effect * arm + 0.8 * before + 0.6 * rng.normal(size=n),
            "before": before,
            "bought": (rng.random(n) < 0.2 + effect * arm / 5).astype(int),
            "land": np.array(["de", "fr"])[rng.integers(0, 2, n)],
        }
    )


def settings(metrics: dict[str, Any] | None = None, arms: dict[str, float] | None = None, **analysis: Any) -> Settings:
    return settings_of(
        {"analysis": {"planned": 8000} | analysis, "arms": arms or TWO, "metrics": metrics or {"spend": SPEND}}
    )


@pytest.mark.parametrize("method", ["always-valid", "fixed", "group-sequential", "bayesian", "bootstrap"])
def test_every_method_finds_what_is_there_and_ships_it(method: str) -> None:
    found = analyse(table(0.2), settings(method=method, resamples=400))
    assert [verdict.action for verdict in found.verdicts] == ["ship"]
    (effect,) = found.effects
    assert effect.low < 0.2 < effect.high
    assert effect.p_value < 0.05
    assert effect.relative == pytest.approx(effect.difference / effect.control_value)
    assert found.best == "treatment"
    assert Result.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("method", ["always-valid", "fixed", "group-sequential", "bayesian", "bootstrap"])
def test_every_method_leaves_what_is_not_there(method: str) -> None:
    found = analyse(table(0.0), settings(method=method, resamples=400))
    (verdict,) = found.verdicts
    assert verdict.action == "do not ship"
    assert verdict.reasons[0] == "No primary metric is shown to be better. The planned end is reached."
    assert found.best is None


def test_before_the_planned_end_only_sequential_methods_ship() -> None:
    early = {"planned": 20_000}
    assert analyse(table(0.2), settings(**early)).verdicts[0].action == "ship"
    fixed = analyse(table(0.2), settings(method="fixed", **early)).verdicts[0]
    assert fixed.action == "keep running"
    assert (
        fixed.reasons[0]
        == "8000 of 20000 planned units are in, and the method fixed allows one look, at the planned end."
    )
    assert analyse(table(0.0), settings(**early)).verdicts[0].action == "keep running"


def test_an_always_valid_interval_of_a_handful_of_units_is_not_read() -> None:
    found = analyse(table(5.0, n=60), settings()).verdicts[0]
    assert found.action == "keep running"
    assert found.reasons[0].startswith("Primary metric spend is not read yet: an arm has 30 units with a value, and")


def test_a_fixed_test_without_a_plan_says_what_it_rests_on() -> None:
    found = analyse(
        table(0.2), settings_of({"analysis": {"method": "fixed"}, "arms": TWO, "metrics": {"spend": SPEND}})
    )
    assert found.verdicts[0].action == "ship"
    assert "No planned size was given" in found.verdicts[0].reasons[-1]


def test_covariates_narrow_the_interval() -> None:
    plain = analyse(table(0.2), settings()).effects[0]
    for adjustment in ("cuped", "regression"):
        found = analyse(table(0.2), settings({"spend": SPEND | {"covariates": ["before"]}}, adjustment=adjustment))
        assert found.effects[0].variance_cut == pytest.approx(0.64, abs=0.03)
        width = (found.effects[0].high - found.effects[0].low) / (plain.high - plain.low)
        assert width == pytest.approx(0.6, abs=0.03)
    none = analyse(table(0.2), settings({"spend": SPEND | {"covariates": ["before"]}}, adjustment="none"))
    assert none.effects[0].high == pytest.approx(plain.high)
    assert none.effects[0].variance_cut == 0


def test_units_that_are_not_shared_as_planned_make_all_invalid() -> None:
    found = analyse(table(0.2), settings(arms={"control": 0.6, "treatment": 0.4}))
    (verdict,) = found.verdicts
    assert verdict.action == "invalid"
    assert "control 50.00% (planned 60.00%)" in verdict.reasons[0]
    assert found.best is None


def test_values_that_are_missing_more_often_in_one_arm_make_all_invalid() -> None:
    frame = table(0.2).with_columns(
        spend=pl.when((pl.col("arm") == "treatment") & (pl.col("unit") % 20 == 1)).then(None).otherwise(pl.col("spend"))
    )
    found = analyse(frame, settings({"spend": SPEND | {"missing": "drop"}}))
    assert found.verdicts[0].action == "invalid"
    assert "Units without a value of spend" in found.verdicts[0].reasons[0]
    assert found.dropped["spend"] == {"control": 0, "treatment": 400}


def test_units_in_several_arms_make_all_invalid_when_they_are_many() -> None:
    frame = pl.concat([table(0.2), table(0.2)[:200].with_columns(arm=pl.lit("treatment"))])
    found = analyse(frame, settings(crossed="drop"))
    assert found.crossed == 100
    assert "100 units of 8000 were seen in several arms" in found.verdicts[0].reasons[0]


def test_the_best_of_several_arms_is_named_and_intervals_hold_together() -> None:
    arms = {"a": 1.0, "b": 1.0, "c": 1.0}
    for method, name in (("fixed", "Dunnett"), ("always-valid", "always-valid")):
        found = analyse(table(0.2, arms=("a", "b", "c")), settings(arms=arms, method=method))
        assert [(v.arm, v.action) for v in found.verdicts] == [("b", "ship"), ("c", "ship")]
        assert (found.best, {e.method for e in found.effects}) == ("c", {name})
    single = analyse(table(0.2), settings(method="fixed")).effects[0]
    reach = (found.effects[0].high - found.effects[0].low) / found.effects[0].standard_error
    assert reach > (single.high - single.low) / single.standard_error


def test_a_constant_metric_is_an_error() -> None:
    with pytest.raises(DataError, match="metric 'spend' must vary within at least one arm"):
        analyse(table().with_columns(spend=pl.lit(0.1)), settings())


def test_segments_with_what_is_left_out_and_why() -> None:
    frame = table(0.0).with_columns(
        spend=pl.col("spend") + 0.4 * ((pl.col("arm") == "treatment") & (pl.col("land") == "fr")),
        land=pl.when(pl.col("unit") == 3).then(pl.lit("nz")).otherwise(pl.col("land")),
    )
    found = analyse(
        frame, settings({"spend": SPEND, "bought": {"kind": "proportion", "column": "bought"}}, segments=["land"])
    )
    spend, bought = found.segments
    assert spend.levels == ("de", "fr")
    assert (spend.corrected_p_value or 1.0) < 1e-6
    assert (bought.corrected_p_value or 0.0) > 0.05
    assert spend.effects[1].low > 0 > spend.effects[0].low
    assert "at least 2 units" in spend.left_out["nz"]


def test_heterogeneity_needs_two_with_errors() -> None:
    with pytest.raises(UsageError, match="at least two estimates"):
        heterogeneity([1.0], [1.0])


def effect(metric: Metric, difference: float, half: float) -> ArmEffect:
    """Around a control of 100, with slack as a margin gives it."""
    slack = (None, None)
    if metric.margin is not None:
        middle = metric.sign * difference + 100 * metric.margin
        slack = (middle - half, middle + half)
    p_value = 2 * (1 - 0.5 * (1 + math.erf(1.96 * abs(difference) / half / math.sqrt(2))))
    ends = (difference - half, difference + half)
    return ArmEffect(
        metric.name, metric.role, "t", 999, 999, 100.0, 100.0 + difference, difference, *ends,
        half / 1.96, p_value, None, difference / 100, ends[0] / 100, ends[1] / 100, "x",
        slack_low=slack[0], slack_high=slack[1],
    )  # fmt: skip


PRIMARY = Metric("gain", "mean", "x")
HOLDS = Metric("gain", "mean", "x", margin=0.02)
GUARD = Metric("wait", "mean", "x", role="guardrail", direction="decrease", margin=0.02)
BARE = Metric("wait", "mean", "x", role="guardrail", direction="decrease")


@pytest.mark.parametrize(
    ("primary", "gain", "guard", "wait", "units", "action", "reason"),
    [
        (PRIMARY, (3, 1), GUARD, (0, 1), 100, "ship", "Primary metric gain is better"),
        (PRIMARY, (3, 1), GUARD, (0, 3), 100, "do not ship", "Not shown to stay within its margin: wait"),
        (PRIMARY, (3, 1), GUARD, (0, 3), 50, "keep running", "Not shown to stay within its margin: wait"),
        (PRIMARY, (3, 1), GUARD, (4, 1), 50, "do not ship", "Guardrail wait is worse by more than its margin"),
        (PRIMARY, (3, 1), GUARD, (1, 0.5), 100, "ship", "Primary metric gain is better"),
        (PRIMARY, (3, 1), GUARD, (-4, 1), 100, "ship", "Primary metric gain is better"),
        (PRIMARY, (3, 1), BARE, (1, 0.5), 50, "do not ship", "Guardrail wait is worse"),
        (PRIMARY, (3, 1), BARE, (0, 9), 100, "ship", "Primary metric gain is better"),
        (PRIMARY, (-3, 1), GUARD, (0, 1), 50, "do not ship", "Primary metric gain is worse"),
        (PRIMARY, (0, 1), GUARD, (0, 1), 50, "keep running", "No primary metric is shown to be better"),
        (PRIMARY, (0, 1), GUARD, (0, 1), 100, "do not ship", "No primary metric is shown to be better"),
        (HOLDS, (0, 1), GUARD, (0, 1), 100, "ship", "Primary metric gain stays within its margin of 2.00%"),
        (HOLDS, (-1, 0.5), GUARD, (0, 1), 100, "ship", "Primary metric gain stays within its margin of 2.00%"),
        (HOLDS, (0, 3), GUARD, (0, 1), 50, "keep running", "No primary metric"),
        (HOLDS, (-4, 1), GUARD, (0, 1), 50, "do not ship", "Primary metric gain is worse by more than its margin"),
    ],
)
def test_decisions(primary: Metric, gain: Any, guard: Metric, wait: Any, units: int, action: str, reason: str) -> None:
    effects = {m.name: effect(m, *numbers) for m, numbers in ((primary, gain), (guard, wait))}
    found = decide("t", effects, (primary, guard), Settings(TWO, (primary, guard), planned=100), units=units)
    assert (found.action, found.reasons[0].startswith(reason)) == (action, True), found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "always"}, "Nearest: always-valid"),
        ({"planed": 5}, "no key of \\[analysis\\] is called 'planed'. Nearest: planned"),
        ({"planned": "many"}, "must be of type int. Got 'many'"),
        ({"planned": 3}, "at least 2 an arm"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"looks": [0.5]}, "belong to group-sequential"),
        ({"segments": "land"}, "must be of type tuple"),
    ],
)
def test_settings_that_mean_nothing_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        settings(**change)


def test_more_settings_that_mean_nothing() -> None:
    with pytest.raises(UsageError, match="always-valid must know 'planned'"):
        settings_of({"arms": TWO, "metrics": {"spend": SPEND}})
    with pytest.raises(UsageError, match="at least one must be primary"):
        settings({"spend": SPEND | {"role": "secondary"}})
    with pytest.raises(UsageError, match="at least two arms"):
        settings(arms={"control": 1.0})
    with pytest.raises(UsageError, match="must have its planned share, a number. Got True"):
        settings_of({"arms": {"a": True}})
    with pytest.raises(UnknownNameError, match="Nearest: metrics"):
        settings_of({"metric": {}})
    with pytest.raises(UsageError, match="choose another method"):
        settings({"spend": SPEND | {"covariates": ["before"]}}, method="bootstrap")


def test_sizes_are_those_of_the_text_books() -> None:
    # Cohen 1988, table 2.4.1 (394 by t, 393 by z) and the usual two-proportion formula
    assert sample_size(Baseline(0.0, 1.0), 0.2).units == (393, 393)
    assert sample_size(Baseline(0.0, 1.0), -0.5, power=0.9).units == (85, 85)
    assert sample_size(rate_baseline(0.1, 0.2), 0.02).units == (3839, 3839)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (3.0, 1.0)])
def test_size_effect_and_power_agree(sequential: bool, shares: tuple[float, float]) -> None:
    base = Baseline(10.0, 4.0, correlation=0.6)
    plan = sample_size(base, 0.1, shares=shares, sequential=sequential)
    total = sum(plan.units)
    back = detectable(base, total, shares=shares, sequential=sequential)
    assert back.effect == pytest.approx(0.1, rel=1e-3)
    assert plan.relative == pytest.approx(0.01)
    part = shares[1] / sum(shares)
    assert power_at(base, 0.1, total, share=part, sequential=sequential) == pytest.approx(0.8, abs=1e-3)
    naked = sample_size(Baseline(10.0, 4.0), 0.1, shares=shares, sequential=sequential)
    assert total / sum(naked.units) == pytest.approx(1 - 0.36, rel=1e-3)


def test_several_arms_and_always_valid_cost_units() -> None:
    base = Baseline(1.0, 1.0)
    two, three = sample_size(base, 0.1), sample_size(base, 0.1, shares=(1, 1, 1))
    assert three.alpha == pytest.approx(0.025)
    assert len(three.units) == 3
    assert three.units[0] > two.units[0]
    ratio = sample_size(base, 0.1, sequential=True).units[0] / two.units[0]
    assert 1.8 < ratio < 2.2


def test_plan_errors() -> None:
    with pytest.raises(UsageError, match="a number other than 0"):
        sample_size(Baseline(1.0, 1.0), 0.0)
    with pytest.raises(UsageError, match="variance must be above 0"):
        Baseline(1.0, 0.0)
    with pytest.raises(UsageError, match="rate must lie in"):
        rate_baseline(0.9, 0.2)
    with pytest.raises(UsageError, match="power must lie between"):
        sample_size(Baseline(1.0, 1.0), 1.0, power=1.0)
    with pytest.raises(UsageError, match="must not fall"):
        Weeks((3, 2), (Baseline(1.0, 1.0),) * 2)
    with pytest.raises(UsageError, match="traffic must lie in"):
        duration(Weeks((30,), (Baseline(1.0, 1.0),)), 0.1, traffic=0.0)


CONFIG = """
[analysis]
planned = 8000
segments = ["land"]
[arms]
control = 0.5
treatment = 0.5
[metrics.spend]
kind = "mean"
column = "spend"
covariates = ["before"]
"""


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["triptych", "experiment", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table(0.2).write_parquet(tmp_path / "t.parquet")
    (tmp_path / "e.toml").write_text(CONFIG, "utf-8")
    return tmp_path


def test_the_command_analyses(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    call = ["analyse", str(folder / "t.parquet"), "--config", str(folder / "e.toml")]
    assert command(monkeypatch, *call) == 0
    text = capsys.readouterr().out
    assert text.startswith("treatment: SHIP\n  - Primary metric spend is better: +")
    assert "spend of treatment by land" in text
    assert command(monkeypatch, *call, "--json") == 0
    found = ExperimentReport.from_json(json.loads(capsys.readouterr().out))
    wanted = analyse(folder / "t.parquet", read_settings(folder / "e.toml"))
    assert found.verdicts == wanted.verdicts
    assert found.segments[0].effects[1].low == pytest.approx(wanted.segments[0].effects[1].low)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("bayesian", "CHANCE TO BE BETTER"),
        ("bootstrap", "Method: bootstrap"),
        ("fixed", "Welch"),
        ("group-sequential", "Method: group-sequential"),
    ],
)
def test_the_command_answers_by_every_method(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, method: str, said: str
) -> None:
    (folder / "e.toml").write_text(CONFIG.replace('covariates = ["before"]', ""), "utf-8")
    call = ["analyse", str(folder / "t.parquet"), "--config", str(folder / "e.toml"), "--method", method]
    assert command(monkeypatch, *call) == 0
    text = capsys.readouterr().out
    assert text.startswith("treatment: SHIP")
    assert command(monkeypatch, *call, "--json") == 0
    found = ExperimentReport.from_json(json.loads(capsys.readouterr().out))
    assert said in text or said == found.effects[0].method
    assert (found.effects[0].chance is not None) == (method == "bayesian")


def test_the_command_joins_exposures(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    frame = table(0.2)
    frame.select("unit", "arm", "land", "before", time=pl.lit("2026-01-01")).write_csv(folder / "shown.csv")
    frame.select("unit", "spend", time=pl.lit("2026-01-02")).write_csv(folder / "done.csv")
    call = ["analyse", str(folder / "done.csv"), "--exposures", str(folder / "shown.csv")]
    assert command(monkeypatch, *call, "--config", str(folder / "e.toml"), "--json") == 0
    found = ExperimentReport.from_json(json.loads(capsys.readouterr().out))
    wanted = analyse(folder / "t.parquet", read_settings(folder / "e.toml"))
    assert found.effects[0].difference == pytest.approx(wanted.effects[0].difference)
    assert found.units == wanted.units
    assert command(monkeypatch, *call, "--config", str(folder / "e.toml"), "--until", "then") == 2
    assert "--until must be a time such as 2026-03-09" in capsys.readouterr().err
    assert command(monkeypatch, *call, "--config", str(folder / "e.toml"), "--method", "bayes") == 2
    assert "Nearest: bayesian" in capsys.readouterr().err


def test_the_command_ends_with_1_where_nothing_can_be_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (folder / "e.toml").write_text(CONFIG.replace("control = 0.5", "control = 0.7"), "utf-8")
    assert command(monkeypatch, "analyse", str(folder / "t.parquet"), "--config", str(folder / "e.toml")) == 1
    assert "treatment: INVALID" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["analyse", "none.csv", "--config", "none.toml"], 2, "none.toml must be a TOML file"),
        (["analyze"], 2, "no command is called 'analyze'. Nearest: analyse"),
        (["power"], 2, "say what is known of the metric"),
        (["power", "--rate", "0.1"], 2, "say either --effect"),
        (["power", "--rate", "0.1", "--mean", "1", "--effect", "0.1"], 2, "stands in the place"),
        (["power", "--history", "x.csv"], 2, "a duration needs --effect"),
    ],
)
def test_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: Any, arguments: list[str], code: int, said: str) -> None:
    assert command(monkeypatch, *arguments) == code
    assert said in capsys.readouterr().err


def test_the_command_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert command(monkeypatch, "power", "--rate", "0.1", "--effect", "0.2") == 0
    assert capsys.readouterr().out.startswith("7678 units (3839 + 3839) show an effect of 20.00% (0.02)")
    assert command(monkeypatch, "power", "--mean", "10", "--sd", "2", "--units", "10000", "--json") == 0
    assert json.loads(capsys.readouterr().out)["effect"] == pytest.approx(2.8016 * 2 * math.sqrt(4 / 10_000), rel=1e-3)
    rng = np.random.default_rng(0)
    day = np.arange(28).repeat(40)
    pl.DataFrame(
        {"unit": rng.integers(0, 400, day.size), "time": day, "spent": rng.gamma(2, 1, day.size)}
    ).with_columns(time=pl.lit("2026-01-01").str.to_date() + pl.duration(days=pl.col("time"))).write_parquet(
        tmp_path / "past.parquet"
    )
    past = [
        "power",
        "--history",
        str(tmp_path / "past.parquet"),
        "--column",
        "spent",
        "--effect",
        "0.25",
        "--weeks",
        "3",
    ]
    assert command(monkeypatch, *past, "--before", "1") == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].split() == ["WEEKS", "UNITS", "MEAN", "CORRELATION", "LEAST", "EFFECT"]
    assert text.splitlines()[-1] in ("2 weeks show it.", "3 weeks show it.")
    assert command(monkeypatch, *past[:-4], "--effect", "0.01", "--json") == 0
    assert json.loads(capsys.readouterr().out)["weeks"] is None


def test_the_bootstrap_repeats_by_its_seed_whatever_the_order_of_rows() -> None:
    frame = table(0.1, n=600)
    one, other = (analyse(f, settings(method="bootstrap", resamples=50)).effects[0] for f in (frame, frame.reverse()))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().method = "fixed"  # type: ignore[misc]
