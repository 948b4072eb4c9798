"""The simulator: each effect has the size that the truth says, within what chance allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.errors import UsageError
from shared.experiments.assignment import assign
from shared.experiments.definition import Arm, Experiment
from shared.experiments.ranked import RankedExperiment, simulate_ranked
from shared.experiments.simulator import Setting, SimulatedExperiment, simulate

SIGMAS = 4.0


def world(seed: int = 0, **options: Any) -> SimulatedExperiment:
    plain = {"users": 20_000, "base": 0.25, "item_spread": 0.3, "user_spread": 0.3}
    return simulate(Setting(**plain | options), rng=np.random.default_rng(seed))


def difference(found: SimulatedExperiment) -> tuple[float, float]:
    """Clicks of a treated person less those of another, and the standard error by clusters of people."""
    clicks, _ = found.per_user()
    groups = found.clusters if found.setting.by_cluster else np.arange(len(clicks))
    sizes = np.bincount(groups)
    of_group = np.bincount(groups, clicks) / sizes
    arm = np.bincount(groups, found.arms) / sizes
    one, other = of_group[arm == 1], of_group[arm == 0]
    return one.mean() - other.mean(), float(np.sqrt(one.var() / len(one) + other.var() / len(other)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"effect": 0.2},
        {"effect": -0.3, "ranking": 0.5},
        {"novelty": 0.6, "half_life": 1.0, "weekly": (2, 1, 1, 1, 1, 0.5, 0.5)},
        {"effect": 0.2, "spillover": 0.4, "treated": 0.3},
        {"effect": 0.1, "spillover": 0.4, "by_cluster": True, "cluster_size": 5},
    ],
)
def test_the_arms_differ_by_what_the_truth_says(options: dict[str, Any]) -> None:
    found = world(**options)
    value, error = difference(found)
    assert abs(value - found.truth.contrast) < SIGMAS * error
    if options:  # what is told apart from nothing is more than chance
        assert abs(found.truth.contrast) > 2 * SIGMAS * error
    else:
        assert found.truth.total == 0


def test_who_is_drawn_one_by_one_shows_the_direct_effect_and_clusters_the_total() -> None:
    one_by_one, clusters = (world(effect=0.1, spillover=0.4, by_cluster=flag) for flag in (False, True))
    truth = one_by_one.truth
    assert truth.direct == pytest.approx(0.1 * truth.control)
    assert truth.total == pytest.approx(0.5 * truth.control)
    assert truth.spillover == pytest.approx(0.4 * truth.control)
    assert truth.lift == pytest.approx(0.5)
    assert truth.treated == pytest.approx(1.5 * truth.control)
    assert truth.contrast == pytest.approx(truth.direct, rel=0.01)
    assert clusters.truth.contrast == pytest.approx(clusters.truth.total)
    assert difference(clusters)[0] > 3 * difference(one_by_one)[0]


def test_spillover_grows_with_the_share_of_treated_neighbours() -> None:
    found = world(spillover=0.6, cluster_size=4, users=40_000)
    control = found.arms == 0
    treated_near = (np.bincount(found.clusters, found.arms)[found.clusters])[control]
    clicks = found.per_user()[0][control]
    for near in range(1, 4):
        some, none = clicks[treated_near == near], clicks[treated_near == 0]
        error = np.sqrt(some.var() / len(some) + none.var() / len(none))
        assert abs(some.mean() - none.mean() - found.truth.control * 0.6 * near / 3) < SIGMAS * error


def test_novelty_fades_by_its_half_life() -> None:
    found = world(users=40_000, effect=0.1, novelty=0.8, half_life=2.0)
    assert found.truth.daily[[0, 2, 4]] == pytest.approx([0.9, 0.5, 0.3])
    treated = found.arms[found.users] == 1
    for day in (0, 2, 4, 13):
        on = found.days == day
        one, other = found.clicks[on & treated], found.clicks[on & ~treated]
        error = np.sqrt(one.var() / len(one) + other.var() / len(other)) / other.mean()
        assert abs(one.mean() / other.mean() - 1 - found.truth.daily[day]) < SIGMAS * error * 1.5
    weights = np.ones(14)
    assert found.truth.direct / found.truth.control == pytest.approx(np.average(found.truth.daily, weights=weights))


def test_places_have_the_bias_that_is_set_and_ranking_confounds_it() -> None:
    plain = world(position_bias=0.7, item_spread=0.5)
    ranked = world(position_bias=0.7, item_spread=0.5, ranking=0.8)
    rate = {}
    for name, found in (("plain", plain), ("ranked", ranked)):
        at = [found.clicks[found.positions == place] for place in range(1, 6)]
        rate[name] = np.array([rows.mean() for rows in at])
        # Weighed by the chance of the place, each place has had every item alike.
        weights = 0.2 / found.propensities
        fair = np.array([
            np.average(found.clicks[found.positions == place], weights=weights[found.positions == place])
            for place in range(1, 6)
        ])  # fmt: skip
        assert fair / fair[0] == pytest.approx(np.arange(1, 6) ** -0.7, abs=0.03)
    assert rate["plain"] / rate["plain"][0] == pytest.approx(np.arange(1, 6) ** -0.7, abs=0.03)
    assert (rate["ranked"] / rate["ranked"][0])[4] < 5**-0.7 - 0.1
    best = ranked.items == ranked.quality.argmax()
    assert (ranked.positions[best] == 1).mean() == pytest.approx(0.8 + 0.2 / 5, abs=0.02)
    for place, chance in ((1, 0.84), (2, 0.04)):
        assert set(ranked.propensities[best & (ranked.positions == place)].round(12).tolist()) == {chance}


def test_weekdays_have_the_visits_that_are_set() -> None:
    week = (1.0, 1.0, 1.0, 1.0, 1.5, 2.0, 2.5)
    found = world(weekly=week, days=14, days_before=7)
    counts = np.bincount(found.days + 7, minlength=21)
    wanted = np.tile(week, 3) / np.mean(week) * 20_000
    assert np.abs(counts - wanted).max() < SIGMAS * np.sqrt(wanted.max()) * 1.5
    assert found.days.min() == -7
    assert found.days.max() == 13


def test_people_differ_and_what_they_did_before_tells_of_them() -> None:
    found = world(effect=0.5, user_spread=0.9, activity_spread=0.9, item_spread=0.0)
    clicks, before = found.per_user()
    assert np.corrcoef(clicks, before)[0, 1] > 0.3
    treated = found.arms == 1
    error = np.sqrt(before.var() * (1 / treated.sum() + 1 / (~treated).sum()))
    assert abs(before[treated].mean() - before[~treated].mean()) < SIGMAS * error  # nobody is treated before
    assert clicks.sum() + before.sum() == found.clicks.sum()
    assert found.impressions().sum() == (found.days >= 0).sum()


def test_clicks_come_with_the_chance_that_is_told() -> None:
    found = world(effect=0.2, ranking=0.3, spillover=0.2)
    for low, high in ((0, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 1)):
        rows = (found.chances >= low) & (found.chances < high)
        error = np.sqrt((found.chances * (1 - found.chances))[rows].sum())
        assert abs((found.clicks - found.chances)[rows].sum()) < SIGMAS * error


def test_one_seed_gives_one_log_and_shares_are_exact() -> None:
    one, again, other = world(3, users=500), world(3, users=500), world(4, users=500)
    assert (one.clicks == again.clicks).all()
    assert len(one) != len(other) or (one.clicks != other.clicks).any()
    assert world(users=1001, treated=0.3).arms.sum() == 300
    by_cluster = world(users=1000, by_cluster=True)
    assert set(np.bincount(by_cluster.clusters, by_cluster.arms).tolist()) == {0, 10}


def test_arms_may_come_from_an_assignment() -> None:
    page = Experiment("page", (Arm("control", 0.5), Arm("treatment", 0.5)))
    arms = assign(page, range(2000)).codes
    found = simulate(Setting(users=2000, effect=0.3), rng=np.random.default_rng(0), arms=arms)
    assert (found.arms == arms).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"users": 1}, "users must be a whole number of at least 2. Got 1"),
        ({"items": 3}, "items must be a whole number of at least 5"),
        ({"effect": float("nan")}, "effect must be a finite number"),
        ({"base": 0.0}, "base must be above 0"),
        ({"base": 0.9}, "every chance of a click must lie in"),
        ({"effect": -0.7, "novelty": -0.7}, "Lifts go from -0.4"),
        ({"treated": 1.0}, "both arms need people"),
        ({"weekly": (1, 1, 1, 1, 1, 1, 0)}, "weekly must be 7 finite numbers above 0"),
        ({"weekly": (1, 1)}, "weekly must be 7 finite numbers above 0"),
        ({"half_life": 0}, "half_life must be above 0"),
        ({"position_bias": True}, "position_bias must be a finite number"),
    ],
)
def test_settings_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Setting(**options)


@pytest.mark.parametrize("arms", [np.zeros(10), np.ones(3), np.arange(10)])
def test_arms_are_checked(arms: np.ndarray) -> None:
    with pytest.raises(UsageError, match="arms must be 0 or 1 of shape"):
        simulate(Setting(users=10), rng=np.random.default_rng(0), arms=arms)


def test_one_cluster_cannot_be_in_two_arms() -> None:
    with pytest.raises(UsageError, match="at least 2 clusters"):
        world(users=10, by_cluster=True)


def ranked(**options: Any) -> tuple[RankedExperiment, np.ndarray]:
    """3,000 people, four items; the second arm shows the two that are liked."""
    people = 3000
    liking = np.tile([2.0, 1.5, 1.0, 0.5], (people, 1))
    lists = np.array([[[2, 3]] * people, [[0, 1]] * people])
    arms = np.arange(people) % 2
    setting = Setting(**{"users": people, "places": 2, "days": 20, "base": 0.1} | options)
    rng = np.random.default_rng(0)
    return simulate_ranked(setting, lists, liking, arms=arms, rng=rng, arrivals=rng.integers(0, 8, people)), arms


@pytest.mark.parametrize("options", [{}, {"effect": -0.2, "novelty": 1.0, "half_life": 1.0}, {"spillover": -0.3}])
def test_ranked_lists_are_clicked_as_the_truth_says(options: dict[str, Any]) -> None:
    found, arms = ranked(**options)
    lift = (2 + 1.5 / 2) / (1 + 0.5 / 2) * (1 + options.get("effect", 0) + options.get("spillover", 0))
    assert found.lasting[1] / found.lasting[0] == pytest.approx(lift)
    assert found.clicks.mean(axis=0) == pytest.approx(found.chances.mean(axis=0), abs=0.005)
    late = found.days >= 14  # novelty of half life 1 is gone
    rates = [found.clicks[late & (arms[found.users] == arm)].sum(axis=1).mean() for arm in (0, 1)]
    # Five of ten neighbours are treated: of the nine others of a treated person four.
    near = [1 + options.get("spillover", 0) * share for share in (5 / 9, 4 / 9)]
    assert rates[0] == pytest.approx(found.lasting[0] * near[0], rel=0.08)
    assert rates[1] / rates[0] == pytest.approx(2.2 * (near[1] + options.get("effect", 0)) / near[0], rel=0.08)


def test_nobody_comes_before_the_own_first_day_and_novelty_counts_from_it() -> None:
    found, arms = ranked(novelty=1.0, half_life=1.0, user_spread=0.0)
    rng = np.random.default_rng(0)
    arrivals = rng.integers(0, 8, 3000)
    assert (found.days >= arrivals[found.users]).all()
    treated = arms[found.users] == 1
    first = found.chances[treated, 0] / (0.1 * 2.0)
    assert first == pytest.approx(1 + 2.0 ** -(found.days - arrivals[found.users])[treated])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lists": np.zeros((2, 9, 2), int)}, "lists must be whole numbers of shape"),
        ({"lists": np.full((2, 10, 2), 3)}, "lists must hold items 0 to 2. Got 3 to 3"),
        ({"liking": np.ones((9, 3))}, "liking must be finite"),
        ({"arms": np.full(10, 2)}, "arms must be whole numbers 0 to 1"),
        ({"arrivals": np.full(10, 14)}, "arrivals must be whole numbers 0 to 13"),
        ({"liking": np.full((10, 3), 20.0)}, "at most 1. The greatest is"),
    ],
)
def test_ranked_worlds_that_cannot_be_are_refused(change: dict[str, Any], said: str) -> None:
    options = {"lists": np.zeros((2, 10, 2), int), "liking": np.ones((10, 3)), "arms": np.arange(10) % 2} | change
    lists, liking = options.pop("lists"), options.pop("liking")
    with pytest.raises(UsageError, match=said):
        simulate_ranked(Setting(users=10, places=2), lists, liking, rng=np.random.default_rng(0), **options)
