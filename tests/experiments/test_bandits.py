"""Bandits: chances that can be checked by hand, regret against a known truth, logs that others can evaluate."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from recsys.logged import Log
from recsys.offpolicy import evaluate_policy
from shared.errors import DataError, UsageError
from shared.experiments.bandit_files import BANDITS, load_bandit, save_bandit
from shared.experiments.bandits import Bandit, EpsilonGreedy, Ucb1
from shared.experiments.chances import best_chances
from shared.experiments.choices import Choices, draw, log_columns
from shared.experiments.linear_bandit import LinUcb
from shared.experiments.thompson import ThompsonBeta, ThompsonNormal

NEW: dict[str, Any] = {
    "epsilon-greedy": lambda: EpsilonGreedy.new(3, epsilon=0.2),
    "ucb1": lambda: Ucb1.new(3, explore=0.1),
    "thompson-beta": lambda: ThompsonBeta.new(3, successes=0.5, failures=0.5),
    "thompson-normal": lambda: ThompsonNormal.new(3, noise_sd=0.5, simulations=200),
    "linucb": lambda: LinUcb.new(3, features=2, alpha=0.5, explore=0.1),
}
TRUE = np.array([0.2, 0.5, 0.8])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rows(n: int) -> np.ndarray:
    return np.column_stack([np.ones(n), np.linspace(-1, 1, n)])


# Chances.


@pytest.mark.parametrize(
    ("bandit", "wanted"),
    [
        (EpsilonGreedy.new(4, epsilon=0.2), [0.25] * 4),
        (EpsilonGreedy([2, 2, 1, 0], [1, 2, 1, 0], epsilon=0.2), [0.05, 0.05, 0.05, 0.85]),  # never tried comes first
        (EpsilonGreedy([2, 2, 1, 3], [1, 2, 1, 0], epsilon=0.2), [0.05, 0.45, 0.45, 0.05]),  # ties are shared
        (Ucb1.new(4), [0.25] * 4),
        (Ucb1([1, 0, 1, 0], [1, 0, 1, 0]), [0, 0.5, 0, 0.5]),
        (Ucb1([10, 10, 2, 10], [5, 6, 1, 6], explore=0.4), [0.1, 0.1, 0.7, 0.1]),
    ],
)
def test_chances_by_hand(bandit: Any, wanted: list[float]) -> None:
    assert bandit.shares(rng()) == pytest.approx(wanted)
    found = bandit.choose(range(4000), rng=rng(1))
    assert found.policy[7] == pytest.approx(wanted)
    assert found.propensities.tolist() == found.policy[np.arange(4000), found.arms].tolist()
    assert np.bincount(found.arms, minlength=4) / 4000 == pytest.approx(wanted, abs=0.03)


def test_ucb1_bounds_are_the_papers() -> None:
    found = Ucb1([4, 6], [1, 3]).bounds
    assert found == pytest.approx([0.25 + math.sqrt(2 * math.log(10) / 4), 0.5 + math.sqrt(2 * math.log(10) / 6)])


def test_thompson_of_two_normals_is_the_normal_distribution_itself() -> None:
    bandit = ThompsonNormal([5, 9], [4.0, 2.0], noise_sd=0.7, prior_sd=2.0)
    mean, sd = bandit.posterior
    wanted = stats.norm.cdf((mean[0] - mean[1]) / np.hypot(*sd))
    assert bandit.shares(rng())[0] == pytest.approx(wanted, abs=1e-7)
    assert mean[0] == pytest.approx((4 / 0.49) / (1 / 4 + 5 / 0.49))
    assert sd[0] == pytest.approx((1 / 4 + 5 / 0.49) ** -0.5)


@pytest.mark.parametrize(
    "counts", [([3, 5], [2, 1]), ([400, 30], [200, 16]), ([0, 100_000], [0, 50_000]), ([1, 1], [0, 1])]
)
def test_thompson_of_two_betas_against_quadrature(counts: Any) -> None:
    from scipy.integrate import quad

    tried, won = map(np.array, counts)
    one, other = (stats.beta(1 + w, 1 + n - w) for n, w in zip(tried, won))
    points = list(other.ppf([1e-6, 0.01, 0.5, 0.99, 1 - 1e-6]))
    wanted = quad(lambda x: one.pdf(x) * other.cdf(x), 0, 1, points=points, limit=200)[0]
    assert ThompsonBeta(tried, won).shares(rng())[0] == pytest.approx(wanted, abs=1e-6)


def test_thompson_of_alike_arms_is_uniform_and_of_many_sums_to_one() -> None:
    assert best_chances(ThompsonBeta([7] * 5, [3] * 5)) == pytest.approx([0.2] * 5, abs=1e-9)
    jeffreys = ThompsonBeta.new(3, successes=0.5, failures=0.5)  # its densities have no bound
    assert best_chances(jeffreys) == pytest.approx([1 / 3] * 3)
    assert best_chances(jeffreys.updated([0], [1.0]))[0] == pytest.approx(0.53597570, abs=3e-5)  # by quantiles
    many = ThompsonNormal(np.arange(30), np.arange(30) * 0.1)
    simulated = ThompsonNormal(np.arange(30), np.arange(30) * 0.1, simulations=50_000)
    assert many.shares(rng()).sum() == pytest.approx(1)
    assert many.shares(rng()) == pytest.approx(simulated.shares(rng()), abs=0.01)


def test_thompson_by_simulation_comes_near_the_integral() -> None:
    counts, sums = [10, 12, 9], [4, 6, 5]
    exact = ThompsonBeta(counts, sums).shares(rng())
    assert ThompsonBeta(counts, sums, simulations=50_000).shares(rng()) == pytest.approx(exact, abs=0.01)


def test_linucb_is_the_papers_arithmetic() -> None:
    source = rng(3)
    x, arms, rewards = source.normal(size=(40, 2)), source.integers(3, size=40), source.normal(size=40)
    bandit = LinUcb.new(3, features=2, l2=2.0, alpha=0.7).updated(arms[:25], rewards[:25], x[:25])
    bandit = bandit.updated(arms[25:], rewards[25:], x[25:])
    at = np.array([0.3, -1.2])
    for arm in range(3):
        a, b = 2.0 * np.eye(2), np.zeros(2)
        for row in np.flatnonzero(arms == arm):
            a += np.outer(x[row], x[row])
            b += rewards[row] * x[row]
        theta = np.linalg.solve(a, b)
        wanted = theta @ at + 0.7 * math.sqrt(at @ np.linalg.solve(a, at))
        assert bandit.bounds(at[None])[0, arm] == pytest.approx(wanted)
        assert bandit.weights[arm] == pytest.approx(theta)


# Learning.


def regret(bandit: Any, steps: int, batch: int, seed: int) -> float:
    """What always showing the best arm would have earned more, in expected rewards."""
    source = rng(seed)
    lost = 0.0
    for _ in range(steps // batch):
        found = bandit.choose(range(batch), rng=source)
        lost += float((TRUE.max() - TRUE[found.arms]).sum())
        bandit = bandit.updated(found.arms, (source.random(batch) < TRUE[found.arms]).astype(float))
    return lost


def test_ucb1_keeps_its_promise() -> None:
    gaps = TRUE.max() - TRUE[:2]
    promised = 8 * (math.log(1500) / gaps).sum() + (1 + math.pi**2 / 3) * gaps.sum()  # theorem 1
    found = regret(Ucb1.new(3), 1500, 1, 0)
    assert found < promised
    assert found < 1500 * (TRUE.max() - TRUE.mean()) / 3  # a third of what choosing alike loses


@pytest.mark.parametrize(
    ("bandit", "most"),
    [
        (ThompsonBeta.new(3), 40),
        (ThompsonBeta.new(3, simulations=500), 40),
        (ThompsonNormal.new(3, noise_sd=0.5), 40),
        # half of what is explored goes wrong by 0.6, and half of the rest by 0.3
        (EpsilonGreedy.new(3, epsilon=0.1), 1.6 * 1500 * 0.1 * 0.3),
    ],
)
def test_the_others_lose_little(bandit: Any, most: float) -> None:
    assert np.mean([regret(bandit, 1500, 25, seed) for seed in range(3)]) < most


def test_linucb_learns_who_likes_what() -> None:
    source = rng(5)
    likes = np.array([[0.5, 0.4], [0.5, -0.4], [0.4, 0.0]])
    bandit, lost, alike = LinUcb.new(3, features=2, alpha=0.5), [], 0.0
    for _ in range(60):
        x = np.column_stack([np.ones(25), source.uniform(-1, 1, 25)])
        expected = x @ likes.T
        found = bandit.choose(x, rng=source)
        lost.append((expected.max(axis=1) - expected[np.arange(25), found.arms]).sum())
        alike += float((expected.max(axis=1, keepdims=True) - expected).mean(axis=1).sum())
        came = (source.random(25) < expected[np.arange(25), found.arms]).astype(float)
        bandit = bandit.updated(found.arms, came, x)
    assert sum(lost) < alike / 3
    assert sum(lost[-20:]) < sum(lost[:20]) / 2


# Logs.


def test_a_log_tells_what_another_policy_would_have_earned() -> None:
    source = rng(7)
    bandit = EpsilonGreedy([10, 10, 10], [2, 5, 8], epsilon=0.3)
    found = bandit.choose(range(20_000), rng=source)
    came = (source.random(20_000) < TRUE[found.arms]).astype(float)
    log = Log(**log_columns(found, came))  # type: ignore[arg-type]
    target = np.tile([0.6, 0.3, 0.1], (20_000, 1))
    estimate = evaluate_policy(log, target)["ips"].value
    wanted = float(target[0] @ TRUE)
    assert estimate.low <= wanted <= estimate.high
    assert estimate.high - estimate.low < 0.1
    assert abs(came.mean() - wanted) > 0.3  # what the log alone would say


@pytest.mark.parametrize("name", NEW)
def test_every_bandit_keeps_the_contract(name: str, tmp_path: Path) -> None:
    bandit: Bandit = NEW[name]()
    assert bandit.arms == 3
    assert len(bandit.choose(rows(0), rng=rng())) == 0
    found = bandit.choose(rows(30), rng=rng())
    wiser = bandit.updated(found.arms, np.linspace(0, 1, 30), rows(30))
    assert bandit.policy(rows(2), rng=rng()) == pytest.approx(NEW[name]().policy(rows(2), rng=rng()))  # not changed
    at_once, halves = wiser, bandit.updated(found.arms[:11], np.linspace(0, 1, 30)[:11], rows(30)[:11])
    halves = halves.updated(found.arms[11:], np.linspace(0, 1, 30)[11:], rows(30)[11:])
    policy = at_once.policy(rows(9), rng=rng())
    assert halves.policy(rows(9), rng=rng()) == pytest.approx(policy)
    assert policy.shape == (9, 3)
    assert policy.sum(axis=1) == pytest.approx(np.ones(9))
    save_bandit(wiser, tmp_path / "bandit.npz")  # type: ignore[arg-type]
    again = load_bandit(tmp_path / "bandit.npz")
    assert type(again) is BANDITS[name]
    assert again.choose(rows(50), rng=rng(2)).to_json() == wiser.choose(rows(50), rng=rng(2)).to_json()
    assert [path.name for path in tmp_path.iterdir()] == ["bandit.npz"]
    for arms, rewards, message in [
        ([3], [1.0], r"arms must lie in \[0, 3\). Got 3 to 3"),
        ([-1], [1.0], "Got -1 to -1"),
        ([0.5], [1.0], "whole numbers"),
        ([0], [float("nan")], "rewards must be finite.* Got nan at 0"),
        ([0], [1.0, 0.0], r"rewards must have shape \(1,\). Got \(2,\)"),
    ]:
        with pytest.raises(UsageError, match=message):
            bandit.updated(np.array(arms), np.array(rewards), rows(1))


def test_an_arm_without_a_chance_is_never_drawn() -> None:
    policy = np.tile([0.0, 0.3, 0.0, 0.7, 0.0], (5000, 1))
    found = draw(policy, rng())
    assert set(found.arms.tolist()) == {1, 3}
    assert (found.arms == 1).mean() == pytest.approx(0.3, abs=0.03)
    thirds = draw(np.full((5000, 3), 1 / 3), rng())
    assert Choices.from_json(json.loads(json.dumps(thirds.to_json()))) == thirds


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EpsilonGreedy.new(1), "2 arms at least"),
        (lambda: EpsilonGreedy.new(2, epsilon=1.5), r"epsilon must be a finite number in \[0, 1\]. Got 1.5"),
        (lambda: EpsilonGreedy([1, -1], [0, 0]), "counts must be 0 or more"),
        (lambda: Ucb1.new(2, explore=float("nan")), "explore must be a finite number"),
        (lambda: Ucb1.new(2).updated([0], [1.5]), r"in \[0, 1\]. Got 1.5 at 0"),
        (lambda: ThompsonBeta.new(2).updated([0], [-0.5]), r"in \[0, 1\]. Got -0.5 at 0"),
        (lambda: ThompsonBeta([1, 1], [2, 0]), "sums must lie between 0 and counts"),
        (lambda: ThompsonBeta.new(2, successes=0.0), "successes must be a finite number"),
        (lambda: ThompsonNormal.new(2, noise_sd=0.0), "noise_sd must be a finite number"),
        (lambda: ThompsonNormal.new(2, simulations=0), "simulations must be a finite number"),
        (lambda: LinUcb.new(2, features=0), "features must be a finite number"),
        (
            lambda: LinUcb.new(2, features=2).choose(np.zeros((1, 3)), rng=rng()),
            r"of shape \(n, 2\). Got shape \(1, 3\)",
        ),
        (lambda: LinUcb.new(2, features=1).choose(np.array([[np.nan]]), rng=rng()), "contexts must be finite"),
        (lambda: LinUcb.new(2, features=1).updated([0], [1.0]), "contexts must be finite, of shape"),
        (lambda: LinUcb.new(2, features=1).updated([0], [1.0], np.zeros((2, 1))), "must have 1 rows, one a choice"),
        (lambda: LinUcb(np.zeros((2, 2)), np.zeros((2, 2))), "gram must have shape"),
        (lambda: save_bandit(Ucb1.new(2), "bandit.pkl"), "must end in .npz"),
    ],
)
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "bandit.npz"
    save_bandit(Ucb1.new(2), place)
    data = place.read_bytes()
    for content, message in [(data[:60], "must be a file that save_bandit wrote"), (b"text", "save_bandit wrote")]:
        place.write_bytes(content)
        with pytest.raises(DataError, match=message):
            load_bandit(place)
    np.savez(place, head=np.array(json.dumps({"format": 1, "bandit": "ucb2", "options": {}})))
    with pytest.raises(DataError, match="no bandit is called 'ucb2'. Nearest: ucb1"):
        load_bandit(place)
    np.savez(place, head=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="allow_pickle"):
        load_bandit(place)
    with pytest.raises(DataError, match="No such file"):
        load_bandit(tmp_path / "none.npz")
