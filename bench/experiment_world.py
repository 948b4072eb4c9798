"""Worlds for bench/experiment_story.py: a simulated catalogue, recommenders of the suite fitted on its history, and
what people do who are shown their lists for thirty days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from recsys.collaborative.ease import EaseConfig, fit_ease
from recsys.collaborative.item_knn import ItemKnnConfig, fit_item_knn
from recsys.collaborative.popularity import fit_popularity
from recsys.data import from_records
from shared.experiments.assignment import assign
from shared.experiments.definition import Arm, Experiment
from shared.experiments.ranked import RankedExperiment, simulate_ranked
from shared.experiments.simulator import Setting

USERS, ITEMS, PLACES = 8000, 120, 5
ARRIVE, DAYS, LATE = 14, 30, 2
"""People first come within so many days; the experiment runs so long; events come so many days late at most."""
WEEK = (1.0, 0.95, 0.95, 1.0, 1.1, 1.3, 1.2)
BEFORE = Setting(users=USERS, items=ITEMS, places=PLACES, days=DAYS, days_before=0, visits=0.5, weekly=WEEK, base=0.1,
                 position_bias=0.8, cluster_size=10)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Attributes: liking (users, items), lists by recommender (users, places), and clicks of each person before."""

    liking: np.ndarray
    lists: Mapping[str, np.ndarray]
    before: np.ndarray


def catalogue(seed: int, impressions: int = 60) -> Catalogue:
    """Tastes in six directions; a history of items shown at random, and the recommenders fitted on what was clicked."""
    rng = np.random.default_rng(seed)
    tastes, kinds = (rng.dirichlet(np.full(6, 0.15), n) for n in (USERS, ITEMS))
    fame = rng.gamma(8, 0.125, ITEMS)
    liking = (0.4 + 3.0 * tastes @ kinds.T) * fame
    liking /= liking.mean()
    liking = np.minimum(liking, 4.0)
    shown = rng.integers(0, ITEMS, (USERS, impressions))
    places = rng.integers(1, PLACES + 1, shown.shape) ** -BEFORE.position_bias
    clicked = rng.random(shown.shape) < 0.25 * liking[np.arange(USERS)[:, None], shown] * places
    users = np.nonzero(clicked)[0]
    history = from_records(zip(users.tolist(), shown[clicked].tolist()))
    models = {
        "popularity": fit_popularity(history),
        "item-knn": fit_item_knn(history, ItemKnnConfig()),
        "ease": fit_ease(history, EaseConfig(l2=500)),
    }
    lists = {}
    for name, model in models.items():
        codes = model.rank(list(range(USERS)), PLACES, exclude_seen=False).items
        lists[name] = np.array(model.item_ids.ids, np.int64)[codes]
    return Catalogue(liking, lists, clicked.sum(axis=1).astype(np.float64))


@dataclass(frozen=True)
class Scenario:
    """What is true of a world, and which decision is right.

    Attributes: arms (recommenders, the control first), right (what should be done), more of Setting (``change``), the
    factor of the treatment's seconds (``slow``), the share of treated people whose exposure is lost (``lost``; light
    users all), and whether whole clusters of people are drawn.
    """

    name: str
    arms: tuple[str, ...]
    right: str
    change: Mapping[str, float] = field(default_factory=dict)
    slow: float = 1.0
    lost: float = 0.0
    by_cluster: bool = False


POP = "popularity"
SCENARIOS = (
    Scenario("truly better: EASE against popularity", (POP, "ease"), "ship"),
    Scenario("no difference: the same lists", (POP, POP), "do not ship"),
    Scenario("better, but answers 12 % slower", (POP, "ease"), "do not ship", slow=1.12),
    Scenario("a novelty of +60 % that halves every 2 days", (POP, POP), "do not ship", {"novelty": 0.6}),
    Scenario("exposures of light treated users are lost", (POP, POP), "invalid", lost=0.12),
    Scenario("interference, people drawn: +20 %, neighbours -35 %", (POP, POP), "do not ship",
             {"effect": 0.2, "spillover": -0.35}),
    Scenario("the same, whole clusters drawn", (POP, POP), "do not ship",
             {"effect": 0.2, "spillover": -0.35}, by_cluster=True),
    Scenario("three arms: popularity, item-kNN, EASE", (POP, "item-knn", "ease"), "ship the best"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class World:
    """What happened to each person of one simulated experiment. A person who was never exposed has ``first`` -1.

    Attributes: the arms' names, ``arms`` (users,), ``first`` day of exposure (users,), visits with ``seconds`` of each,
    ``late`` (n,) days until the visit's clicks were logged, and ``before`` (users,).
    """

    names: tuple[str, ...]
    arms: np.ndarray
    first: np.ndarray
    visits: RankedExperiment
    seconds: np.ndarray
    late: np.ndarray
    before: np.ndarray
    clusters: np.ndarray


def world(scenario: Scenario, of: Catalogue, seed: int) -> World:
    """Assign by a salted hash, let people come, show them their lists, and lose what the scenario loses."""
    rng = np.random.default_rng(seed)
    names = tuple(f"{at}-{name}" for at, name in enumerate(scenario.arms))
    weights = np.full(len(names), 1 / len(names))
    plan = Experiment(f"{scenario.name} {seed}", tuple(Arm(n, float(w)) for n, w in zip(names, weights)))
    setting = replace(BEFORE, **scenario.change)  # type: ignore[arg-type]
    clusters = np.arange(USERS) // setting.cluster_size
    groups = clusters if scenario.by_cluster else np.arange(USERS)
    arms = assign(plan, np.arange(groups[-1] + 1)).codes[groups]
    week = np.tile(WEEK, 2)
    arrivals = rng.choice(ARRIVE, groups[-1] + 1, p=week / week.sum())[groups]
    lists = np.stack([of.lists[name] for name in scenario.arms])
    visits = simulate_ranked(setting, lists, of.liking, arms=arms, rng=rng, arrivals=arrivals)
    first = np.full(USERS, -1)
    came, place = np.unique(visits.users, return_index=True)
    first[came] = np.minimum.reduceat(visits.days, place)
    speed = rng.gamma(20, 0.05, USERS)
    seconds = 0.3 * speed[visits.users] * rng.lognormal(0, 0.5, len(visits))
    seconds *= np.where(arms[visits.users] > 0, scenario.slow, 1.0)
    late = np.where(rng.random(len(visits)) < 0.05, rng.integers(1, LATE + 1, len(visits)), 0)
    light = of.before <= np.quantile(of.before, 0.4)
    first[(arms > 0) & light & (rng.random(USERS) < scenario.lost / 0.4)] = -1
    return World(names, arms, first, visits, seconds, late, of.before, clusters)
