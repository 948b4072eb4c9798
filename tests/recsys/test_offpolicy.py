from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsys.logged import Log, cross_fitted
from recsys.offpolicy import ESTIMATORS, evaluate_policy
from recsys.simulated import World, bandit_world
from shared.errors import DataError, UnknownNameError, UsageError


@pytest.fixture(scope="module")
def world() -> World:
    return bandit_world(rng=np.random.default_rng(0))


def small() -> tuple[Log, np.ndarray, np.ndarray]:
    """Four rows, two actions, shown with chances 1/2, 1/4, 1/2, 3/4: weights 1.5, 1, 1.5, 0.333."""
    policy = np.array([[0.5, 0.5], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])
    log = Log(np.array([0, 1, 0, 1]), np.array([1.0, 0.0, 3.0, 1.0]), np.array([0.5, 0.25, 0.5, 0.75]), policy)
    return log, np.tile([0.75, 0.25], (4, 1)), np.tile([2.0, 1.0], (4, 1))


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("mean", {}, 5 / 4),
        ("ips", {}, (1.5 + 0 + 4.5 + 1 / 3) / 4),
        ("ips", {"clip": 1.2}, (1.2 + 0 + 3.6 + 1 / 3) / 4),
        ("snips", {}, (1.5 + 0 + 4.5 + 1 / 3) / (1.5 + 1 + 1.5 + 1 / 3)),
        ("dm", {}, 1.75),
        ("dr", {}, 1.75 + (1.5 * -1 + 1 * -1 + 1.5 * 1 + 0) / 4),
        ("switch_dr", {"threshold": 1.2}, 1.75 + (1 * -1 + 0) / 4),
        # weights of all actions: 1.5 .5 | 1 1 | 1.5 .5 | 3 .333; those above 1.2 are action 0 of rows 1, 3 and 4
        ("switch", {"threshold": 1.2}, (0 + 1 / 3) / 4 + 3 * 0.75 * 2 / 4),
    ],
)
@pytest.mark.parametrize("interval", ["analytic", "bootstrap"])
def test_worked_by_hand(name: str, options: dict[str, Any], wanted: float, interval: Any) -> None:
    log, target, model = small()
    rng = np.random.default_rng(0)
    options |= {"model": model, "interval": interval, "rng": rng, "resamples": 50}
    found = evaluate_policy(log, target, estimators=[name], **options)[name]
    assert found.value.value == pytest.approx(wanted)
    assert found.value.low <= wanted <= found.value.high
    assert (found.estimator, found.n, found.largest_weight) == (name, 4, 1.5)


def test_the_analytic_interval_is_that_of_a_mean() -> None:
    log, target, _ = small()
    found = evaluate_policy(log, target)["ips"].value
    rows = np.array([1.5, 0, 4.5, 1 / 3])
    assert found.high - found.value == pytest.approx(1.959964 * rows.std(ddof=1) / 2)


def test_clipping_and_effective_sample_are_told() -> None:
    log, target, _ = small()
    found = evaluate_policy(log, target, clip=1.2)["ips"]
    weights = np.array([1.2, 1, 1.2, 1 / 3])
    assert found.clipped == 0.5
    assert found.effective_n == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert "effective sample of 3" in found.warning


def test_what_the_log_never_shows_is_not_known() -> None:
    log = Log(np.zeros(100, dtype=np.int64), np.ones(100), np.full(100, 0.5))
    found = evaluate_policy(log, np.tile([0.0, 1.0], (100, 1)))
    assert np.isnan(found["snips"].value.value)
    assert (found["snips"].value.low, found["snips"].value.high) == (-np.inf, np.inf)
    assert "hardly ever did what the new one would" in found["ips"].warning


def test_the_old_policy_is_worth_its_mean(world: World) -> None:
    made = world.draw(2000, rng=np.random.default_rng(1))
    assert made.log.policy is not None
    found = evaluate_policy(made.log, made.log.policy, estimators=["mean", "ips", "snips"])
    assert found["ips"].value == found["mean"].value
    assert found["snips"].value.value == pytest.approx(found["mean"].value.value)
    assert found["ips"].effective_n == pytest.approx(2000)
    assert found["ips"].warning == ""


def test_naive_averaging_is_wrong_and_the_others_are_not(world: World) -> None:
    assert abs(world.naive - world.truth) / world.truth > 0.2
    inside = dict.fromkeys(ESTIMATORS, 0)
    away = dict.fromkeys(ESTIMATORS, 0.0)
    for seed in range(20):
        made = world.draw(2000, rng=np.random.default_rng(seed))
        model = cross_fitted(made.contexts, made.log, actions=5, rng=np.random.default_rng(seed))
        found = evaluate_policy(made.log, made.target, estimators=ESTIMATORS, model=model)
        for name, one in found.items():
            inside[name] += one.value.low <= world.truth <= one.value.high
            away[name] += (one.value.value - world.truth) / 20
    assert inside["mean"] == 0
    assert min(inside["dr"], inside["ips"], inside["snips"]) >= 17  # of 20, where 19 are expected
    assert max(abs(away["dr"]), abs(away["ips"]), abs(away["snips"])) < 0.02
    assert abs(away["mean"]) > 0.1


def test_dr_is_right_by_either_half(world: World) -> None:
    made = world.draw(20000, rng=np.random.default_rng(5))
    wrong = evaluate_policy(made.log, made.target, estimators=["dm", "dr"], model=np.full_like(made.target, 0.9))
    assert wrong["dm"].value.value == pytest.approx(0.9)
    assert wrong["dr"].value.low <= world.truth <= wrong["dr"].value.high
    lied = Log(made.log.actions, made.log.rewards, np.full(20000, 0.2))
    true = evaluate_policy(lied, made.target, estimators=["ips", "dr"], model=made.rewards)
    assert not true["ips"].value.low <= world.truth <= true["ips"].value.high
    assert true["dr"].value.low <= world.truth + 0.01
    assert true["dr"].value.high >= world.truth - 0.01


def test_cross_fitting_never_tells_a_row_its_own_reward() -> None:
    log = Log(np.zeros(6, dtype=np.int64), np.arange(6.0), np.ones(6))
    seen: list[set[float]] = []

    def fit(contexts: Any, actions: Any, rewards: Any) -> Any:
        seen.append(set(rewards))
        return lambda new: np.full((len(new), 1), rewards.mean())

    found = cross_fitted(np.zeros((6, 1)), log, actions=1, fit=fit, rng=np.random.default_rng(0))
    assert len(seen) == 3
    for row in range(6):
        assert any(row not in rest and found[row, 0] == pytest.approx(np.mean(list(rest))) for rest in seen)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"propensities": np.array([0.5, 0.0])}, r"must lie in \(0, 1\]. 1 of 2 are 0 or less"),
        ({"propensities": np.array([0.5, np.nan])}, "1 of 2 are NaN: leave rows"),
        ({"propensities": np.array([3.0, 2.0])}, "2 of 2 are above 1"),
        ({"rewards": np.array([np.inf, 1.0])}, "rewards must be finite. 1 of 2 are not"),
        ({"actions": np.array([-1, 0])}, "actions must be codes from 0. Got -1"),
        ({"actions": np.array([0.5, 0.0])}, r"Log.actions must be an \(n,\) array"),
        ({"actions": np.zeros(0, np.int64)}, "at least one row and columns of one length"),
        ({"policy": np.full((2, 2), 0.4)}, "must give each shown action its propensity"),
        ({"policy": np.full((3, 2), 0.5)}, r"Log.policy must have shape \(2, actions\)"),
    ],
)
def test_a_malformed_log_says_so(change: dict[str, Any], message: str) -> None:
    columns: dict[str, Any] = {"actions": np.array([0, 1]), "rewards": np.ones(2), "propensities": np.full(2, 0.5)}
    with pytest.raises(DataError, match=message):
        Log(**(columns | change))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"estimators": ["ipss"]}, UnknownNameError, "no estimator is called 'ipss'. Nearest: ips"),
        ({"estimators": ["dr", "dm"]}, UsageError, "dr, dm needs model="),
        ({"model": np.zeros((4, 3))}, UsageError, r"model must be a finite array of shape \(4, 2\)"),
        ({"target": np.ones((4, 2))}, UsageError, "rows sum to 1"),
        ({"target": np.ones((4, 1))}, UsageError, "actions >= 2"),
        ({"clip": 0}, UsageError, "clip must be above 0"),
        ({"threshold": 0}, UsageError, "threshold must be above 0"),
        ({"interval": "exact"}, UsageError, "interval must be 'analytic' or 'bootstrap'"),
        ({"interval": "bootstrap"}, UsageError, "the bootstrap needs rng="),
        ({"confidence": 95}, UsageError, "confidence must lie"),
    ],
)
def test_wrong_arguments_say_so(options: dict[str, Any], error: type[Exception], message: str) -> None:
    log, target, _ = small()
    with pytest.raises(error, match=message):
        evaluate_policy(log, **({"target": target} | options))


def test_switch_needs_the_whole_policy() -> None:
    log, target, model = small()
    alone = Log(log.actions, log.rewards, log.propensities)
    with pytest.raises(UsageError, match="switch needs Log.policy"):
        evaluate_policy(alone, target, estimators=["switch"], model=model)


def test_a_world_needs_two_actions() -> None:
    with pytest.raises(UsageError, match="at least 2 actions"):
        bandit_world(actions=1, rng=np.random.default_rng(0))
    with pytest.raises(UsageError, match="n must be at least 1"):
        bandit_world(rng=np.random.default_rng(0)).draw(0, rng=np.random.default_rng(0))
