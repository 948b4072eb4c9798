"""Windows of days since exposure, quantiles by segment, and quantiles adjusted by covariates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.experiments.analysis import analyse, judge
from shared.experiments.collecting import Collected, collect
from shared.experiments.metrics import Metric
from shared.experiments.moments import moments_of
from shared.experiments.rows import Layout
from shared.experiments.settings import Settings, settings_of

pl = pytest.importorskip("polars")

LAYOUT = Layout("user", "arm", ("a", "b"))
WINDOW: dict[str, Any] = {"window": (7, 13), "day": "day", "observed": "seen", "missing": "zero"}


def days() -> Any:
    """p has rows in and out of the window, q none inside, r is too young, s and t are in it."""
    return pl.DataFrame(
        {
            "user": ["p", "p", "p", "q", "r", "s", "t", "u"],
            "arm": ["a", "a", "a", "a", "a", "b", "b", "b"],
            "day": [6, 7, 13, 14, 7, 9, 10, None],
            "seen": [20, 20, 20, 20, 12, 13, 13, 30],
            "clicks": [5.0, 1.0, 2.0, 9.0, 9.0, 1.0, 0.0, None],
            "views": [9.0, 2.0, 2.0, 9.0, 9.0, 1.0, 3.0, None],
        }
    )


@pytest.mark.parametrize(
    ("metric", "mean_a", "mean_b", "units", "dropped"),
    [
        (Metric("m", "mean", "clicks", **WINDOW), [1.5], [1 / 3], (2, 3), (0, 0)),
        (Metric("m", "mean", "clicks", **WINDOW | {"missing": "drop"}), [3.0], [0.5], (1, 2), (1, 1)),
        (Metric("m", "mean", "clicks", aggregate="max", **WINDOW), [1.0], [1 / 3], (2, 3), (0, 0)),
        (Metric("m", "ratio", "clicks", denominator="views", **WINDOW), [1.5, 2.0], [1 / 3, 4 / 3], (2, 3), (0, 0)),
        (Metric("m", "retention", "day", window=(7, 13), observed="seen"), [0.5], [2 / 3], (2, 3), (0, 0)),
    ],
)
def test_only_rows_of_the_window_count_and_young_units_wait(
    metric: Metric, mean_a: list[float], mean_b: list[float], units: tuple[int, int], dropped: tuple[int, int]
) -> None:
    found = collect(days(), LAYOUT, [metric])
    assert [found.moments["m"][arm].mean.tolist() for arm in "ab"] == [pytest.approx(mean_a), pytest.approx(mean_b)]
    assert tuple(found.moments["m"][arm].n for arm in "ab") == units
    assert found.waiting["m"] == {"a": 1, "b": 0}
    assert tuple(found.dropped["m"].values()) == dropped
    assert found.units == {"a": 3, "b": 3}


def test_a_quantile_of_rows_in_a_window() -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"user": np.arange(400) // 2, "arm": np.array(["a", "b"])[np.arange(400) // 2 % 2], "x": rng.normal(size=400)}
    ).with_columns(day=pl.int_range(400) % 2)
    metric = Metric("m", "quantile", "x", quantile=0.5, window=(1, 1), day="day", missing="drop")
    inside = frame.filter(pl.col("day") == 1)
    found, wanted = (
        collect(f, LAYOUT, [m]).quantiles["m"]
        for f, m in ((frame, metric), (inside, Metric("m", "quantile", "x", quantile=0.5)))
    )
    for arm in "ab":
        assert (found[arm].n, found[arm].value) == (100, pytest.approx(wanted[arm].value))
        assert found[arm].variance == pytest.approx(wanted[arm].variance)


def settings(metric: dict[str, Any], **analysis: Any) -> Settings:
    return settings_of(
        {"analysis": {"planned": 4000} | analysis, "arms": {"a": 0.5, "b": 0.5}, "metrics": {"m": metric}}
    )


def figures(n: int, waiting: int, effect: float = 0.0) -> Collected:
    values = np.tile([-1.0, 1.0], n // 2)
    moments = {"m": {"a": moments_of(values), "b": moments_of(values + effect)}}
    units = {"a": n + waiting // 2, "b": n + waiting // 2}
    return Collected(2 * n, units, 0, moments, {}, {"m": {"a": 0, "b": 0}}, {"m": dict.fromkeys("ab", waiting // 2)})


def test_units_that_wait_count_neither_to_the_plan_nor_to_the_mixture() -> None:
    """A mixture that followed the units that wait would change from look to look, and hold at none."""
    plan = settings({"kind": "mean", "column": "x"})
    few, alone = judge(figures(500, 3000), plan), judge(figures(500, 0), plan)
    assert few.effects == alone.effects
    assert few.waiting == {"m": {"a": 1500, "b": 1500}}
    assert few.verdicts[0].action == "keep running"
    assert "1000 of 4000 planned units are in" in few.verdicts[0].reasons[0]
    assert judge(figures(2000, 3000), plan).verdicts[0].action == "do not ship"


def test_harm_is_seen_while_the_primary_metric_waits() -> None:
    guard = {"kind": "mean", "column": "wait", "role": "guardrail", "direction": "decrease"}
    plan = settings_of(
        {
            "analysis": {"planned": 4000},
            "arms": {"a": 0.5, "b": 0.5},
            "metrics": {"m": {"kind": "mean", "column": "x"}, "wait": guard},
        }
    )
    for harm, action in ((0.0, "keep running"), (0.5, "do not ship")):
        found = figures(20, 980)
        waits = figures(1000, 0, harm).moments["m"]
        found.moments["wait"] = waits
        found.waiting["wait"] = {"a": 0, "b": 0}
        report = judge(found, plan)
        assert (report.verdicts[0].action, [e.metric for e in report.effects]) == (action, ["wait"])
        assert any("m is not read yet: the window of most units" in reason for reason in report.verdicts[0].reasons)


def rows(n: int = 6000, *, slow: float = 1.0, seed: int = 0) -> Any:
    """Two rows a user; the treated of land y wait longer by the factor ``slow``; ``before`` tells half of the wait."""
    rng = np.random.default_rng(seed)
    user = np.arange(n) // 2
    eager = rng.normal(size=n // 2)
    land = np.array(["x", "y"])[user % 5 % 2]
    arm = np.array(["a", "b"])[(user // 5) % 2]
    seconds = np.exp(0.6 * eager[user] + 0.4 * rng.normal(size=n)) * np.where((land == "y") & (arm == "b"), slow, 1.0)
    return pl.DataFrame({"user": user, "arm": arm, "land": land, "seconds": seconds, "before": eager[user]})


QUANTILE: dict[str, Any] = {"kind": "quantile", "column": "seconds", "quantile": 0.75}


def test_a_quantile_in_each_level_is_that_of_the_level_alone() -> None:
    plan = settings(QUANTILE, unit="user", segments=["land"], correction="none")
    frame = rows(slow=1.4)
    found = analyse(frame, plan).segments[0]
    assert found.levels == ("x", "y")
    small = analyse(frame, plan, memory=200_000).segments[0]
    for level, effect, other in zip(found.levels, found.effects, small.effects):
        alone = collect(
            frame.filter(pl.col("land") == level), LAYOUT, [Metric("m", "quantile", "seconds", quantile=0.75)]
        ).quantiles["m"]
        assert effect.difference == pytest.approx(alone["b"].value - alone["a"].value)
        assert effect.standard_error == pytest.approx(np.sqrt(alone["a"].variance + alone["b"].variance), rel=0.01)
        assert other.standard_error == pytest.approx(effect.standard_error)
    assert found.effects[0].low < 0 < found.effects[1].low
    assert (found.p_value or 1.0) < 0.001


def test_a_level_with_too_few_rows_for_a_quantile_is_left_out_with_the_reason() -> None:
    frame = rows().with_columns(land=pl.when(pl.col("user") < 3).then(pl.lit("z")).otherwise("land"))
    found = analyse(frame, settings(QUANTILE, unit="user", segments=["land"])).segments[0]
    assert found.levels == ("x", "y")
    assert "too few rows lie beyond the 0.75 quantile" in found.left_out["z"]


@pytest.mark.parametrize("adjustment", ["cuped", "regression"])
def test_covariates_narrow_a_quantile_and_its_interval_still_covers(adjustment: str) -> None:
    plan, plain = (
        settings(QUANTILE | more, unit="user", method="fixed", adjustment=adjustment)
        for more in ({"covariates": ["before"]}, {})
    )
    inside, cut, pairs = 0, [], []
    for seed in range(60):
        frame = rows(1600, seed=seed)
        one, other = analyse(frame, plan).effects[0], analyse(frame, plain).effects[0]
        inside += one.low <= 0 <= one.high
        cut.append((one.standard_error / other.standard_error) ** 2)
        pairs.append((one.difference, other.difference, one.variance_cut))
    adjusted, unadjusted, stated = np.array(pairs).T
    assert inside >= 52  # a binomial of 60 and 0.95 is below that in 0.2 %
    assert np.mean(cut) == pytest.approx(1 - stated.mean(), abs=0.02)
    assert 0.3 < np.mean(cut) < 0.7
    assert np.var(adjusted) / np.var(unadjusted) == pytest.approx(np.mean(cut), abs=0.25)
