"""Canaries: what decides, how often it errs, and that a log of a server's split says the same as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gate_toys as toys
import numpy as np
import pytest

from shared.errors import UsageError
from shared.experiments.assignment import assign
from shared.experiments.exposure_log import ExposureLog
from shared.experiments.exposures import exposures
from shared.experiments.metrics import Metric
from shared.lifecycle.canary import CHALLENGER, CHAMPION, CanaryRules, Outcome, canary, replayed
from shared.lifecycle.canary_logs import canary_of_log

MARGIN = Metric("right", "proportion", "right", margin=0.1)


def rules(*metrics: Metric, **changes: Any) -> CanaryRules:
    return CanaryRules(metrics or (MARGIN,), **({"share": 0.3, "planned": 3000} | changes))


def stream(
    champion: float, challenger: float, *, seed: int = 0, share: float = 0.3, n: int = 3000
) -> Iterator[Outcome]:
    rng = np.random.default_rng(seed)
    arms = rng.random(n) < share
    right = rng.random(n) < np.where(arms, challenger, champion)
    for number, (arm, value) in enumerate(zip(arms.tolist(), right.tolist())):
        yield Outcome(str(number), CHALLENGER if arm else CHAMPION, {"right": float(value), "slow": float(not value)})


@pytest.mark.parametrize(
    ("champion", "challenger", "action"),
    [
        (0.80, 0.82, "promote"),
        (0.80, 0.50, "roll back"),
        (1.00, 1.00, "promote"),  # nothing ever fails, and nothing varies
        (0.00, 0.00, "roll back"),  # a margin of nothing cannot be kept
    ],
)
def test_a_stream_decides(champion: float, challenger: float, action: str) -> None:
    found = canary(stream(champion, challenger), rules())
    assert found.action == action
    assert found.reasons
    if champion - challenger > 0.2:
        assert sum(found.units.values()) < 1500  # harm is seen early, and the rest of the traffic spared
        assert "worse" in found.reasons[0]


def test_a_stream_that_ends_early_goes_on() -> None:
    found = canary(stream(0.8, 0.8, n=100), rules())
    assert (found.action, sum(found.units.values())) == ("go on", 100)
    assert canary(iter(()), rules()).reasons == ("no unit has an outcome yet",)


def test_what_is_open_at_the_planned_end_is_not_promoted() -> None:
    found = canary(stream(0.5, 0.46, n=3000, seed=1), rules(Metric("right", "proportion", "right", margin=0.05)))
    assert found.action == "roll back"
    assert "planned end is reached" in found.reasons[0]


def test_a_guardrail_stops_what_the_primary_metric_would_let_through() -> None:
    slow = Metric("slow", "proportion", "slow", role="guardrail", direction="decrease", margin=0.1)
    found = canary(stream(0.9, 0.75), rules(Metric("right", "proportion", "right", margin=0.4), slow))
    assert found.action == "roll back"
    assert "Guardrail slow is worse" in found.reasons[0]


def test_arms_without_their_share_are_rolled_back() -> None:
    found = canary(stream(0.8, 0.8, share=0.5), rules())
    assert found.action == "roll back"
    assert "did not get the units that were planned" in found.reasons[0]


def test_the_stated_error_holds_at_the_margin_over_all_looks() -> None:
    # Exactly at the margin every promotion is wrong: at most 5 % of canaries, of 60 at most 7 with a chance of 99 %.
    wrong = [canary(stream(0.8, 0.72, seed=seed), rules(), every=500).action for seed in range(60)]
    assert wrong.count("promote") <= 7
    assert wrong.count("go on") == 0


def test_an_unknown_arm_and_a_missing_value_are_refused() -> None:
    with pytest.raises(UsageError, match="champion or challenger. 1 have another"):
        canary([Outcome("a", "new", {"right": 1.0})], rules())
    with pytest.raises(UsageError, match="unit 'a' must have 'right'.*say what missing values are"):
        canary([Outcome("a", CHAMPION, {})], rules())
    with pytest.raises(UsageError, match="metrics of one number a unit. Got ratio"):
        canary([], rules(Metric("ratio", "ratio", "a", denominator="b")))
    dropped = rules(Metric("right", "proportion", "right", margin=0.1, missing="drop"))
    assert canary([Outcome("a", CHAMPION, {})], dropped).action == "go on"


@pytest.mark.parametrize("changes", [{"share": 0.0}, {"share": 1.0}, {"error": 0.5}, {"planned": 100}])
def test_rules_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="a canary's share must lie in"):
        rules(**changes)


def items(right: list[float]) -> Any:
    made = toys.evaluation(right).items
    assert made is not None
    return made()


def test_traffic_is_replayed_by_the_models_of_the_arms() -> None:
    good, bad = items([1.0] * 9 + [0.0]), items([0.0] * 9 + [1.0])
    rows = list(replayed(good, bad, rules(), rng=np.random.default_rng(0)))
    assert len(rows) == 3000
    share = sum(row.arm == CHALLENGER for row in rows) / len(rows)
    assert 0.27 < share < 0.33
    means = {arm: np.mean([row.values["right"] for row in rows if row.arm == arm]) for arm in (CHAMPION, CHALLENGER)}
    assert (0.87 < means[CHAMPION] < 0.93, 0.07 < means[CHALLENGER] < 0.13) == (True, True)
    assert canary(iter(rows), rules()).action == "roll back"
    with pytest.raises(UsageError, match="same traffic by the same figure"):
        next(replayed(good, items([1.0]), rules(), rng=np.random.default_rng(0)))


def test_the_log_of_a_split_says_what_the_stream_does(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars", reason="needs the extra experiments")
    asked, rng = rules(experiment="spam canary"), np.random.default_rng(1)
    began = datetime(2026, 5, 4, tzinfo=UTC)
    with ExposureLog(tmp_path / "log") as log:
        log.append(exposures(assign(asked.drawn, [f"u{n}" for n in range(120)]), began))
        early = canary_of_log(tmp_path / "log", pl.DataFrame({"user": ["u1"], "time": [began], "right": [1]}), asked,
                              unit="user")  # fmt: skip
        assert early.action == "go on"
        assert "fewer than 50 units" in early.reasons[0]
        assigned = assign(asked.drawn, [f"u{n}" for n in range(120, 3000)])
        log.append(exposures(assigned, began + timedelta(hours=1)))
    arms = [row["arm"] for row in assign(asked.drawn, [f"u{n}" for n in range(3000)]).rows()]
    for rate, action in ((0.9, "promote"), (0.5, "roll back")):
        right = [float(rng.random() < (rate if arm == CHALLENGER else 0.9)) for arm in arms]
        table = pl.DataFrame({
            "user": [f"u{n}" for n in range(3000)], "time": [began + timedelta(hours=2)] * 3000, "right": right
        })  # fmt: skip
        found = canary_of_log(tmp_path / "log", table, asked, unit="user")
        assert found.action == action
        assert sum(found.units.values()) == 3000
