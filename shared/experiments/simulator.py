"""Experiments whose truth is known: people who see items at places of a list, on days, among others.

Each row is one impression: a person sees an item at a place on a day, and clicks or does not. The chance of a click is

    base x person x item x place^-position_bias x (1 + effect T + novelty T 2^(-days since / half life) + spillover s)

where person and item are factors of mean 1, T is 1 for treated people, and s is the share of treated people among the
others of the person's cluster. Before the experiment (days below 0) T and s are 0. How often somebody comes follows the
weekdays. As everything multiplies, expected clicks are known exactly for every person, day and design.

Position bias: N. Craswell et al., "An experimental comparison of click position-bias models", WSDM 2008 (examination).
Interference by clusters: M. Hudgens and E. Halloran, "Toward causal inference with interference", JASA 103 (2008),
whose direct, indirect and total effects the truth tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Float64, Int64


@dataclass(frozen=True)
class Setting:
    """What is true of a simulated experiment.

    Attributes:
        users: how many people, at least 2.
        items: how many items, at least ``places``.
        places: length of the list, at least 1.
        days: of the experiment, at least 1.
        days_before: days before it, in which nobody is treated.
        visits: mean impressions of a person on a mean day, above 0.
        weekly: visits of Monday to Sunday, as multiples of each other; day 0 is a Monday.
        base: chance of a click of a mean person on a mean item in the first place, in (0, 1].
        user_spread: how people differ, in [0, 1]: factors of clicks lie in 1 +- this.
        item_spread: how items differ, likewise.
        activity_spread: how people's visits differ, likewise.
        position_bias: power of the place, 0 or more; 0 is none.
        ranking: share of the impressions in which an item stands where its quality puts it, in [0, 1]; otherwise at
            any place alike. Above 0 good items stand high, and clicks by place overstate what places do.
        effect: lasting change of clicks by the treatment, as a share of the clicks without.
        novelty: further change on the first day, as such a share.
        half_life: days in which novelty halves, above 0.
        spillover: change where all others of a person's cluster are treated, as such a share.
        cluster_size: people in a cluster, at least 2.
        treated: share of people (or clusters) who are treated, in (0, 1).
        by_cluster: whether whole clusters are treated or not, instead of people.
    """

    users: int = 10_000
    items: int = 50
    places: int = 5
    days: int = 14
    days_before: int = 7
    visits: float = 1.0
    weekly: tuple[float, float, float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    base: float = 0.1
    user_spread: float = 0.5
    item_spread: float = 0.5
    activity_spread: float = 0.5
    position_bias: float = 1.0
    ranking: float = 0.0
    effect: float = 0.0
    novelty: float = 0.0
    half_life: float = 2.0
    spillover: float = 0.0
    cluster_size: int = 10
    treated: float = 0.5
    by_cluster: bool = False

    def __post_init__(self) -> None:
        least = {"users": 2, "items": max(1, self.places), "places": 1, "days": 1, "days_before": 0, "cluster_size": 2}
        for name, low in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise UsageError(f"{name} must be a whole number of at least {low}. Got {value!r} instead")
        for name in ("base", "user_spread", "item_spread", "activity_spread", "ranking", "treated"):
            self._check(name, 0, 1)
        for name in ("visits", "position_bias", "half_life"):
            self._check(name, 0, np.inf)
        for name in ("effect", "novelty", "spillover"):
            self._check(name, -1, np.inf)
        for name in ("base", "visits", "half_life"):
            if getattr(self, name) == 0:
                raise UsageError(f"{name} must be above 0. Got 0 instead")
        if self.treated in (0, 1):
            raise UsageError(f"treated must lie between 0 and 1: both arms need people. Got {self.treated} instead")
        if len(self.weekly) != 7 or not np.isfinite(self.weekly).all() or min(self.weekly) <= 0:
            raise UsageError(f"weekly must be 7 finite numbers above 0. Got {self.weekly} instead")
        least_lift = 1 + sum(min(0.0, lift) for lift in (self.effect, self.novelty, self.spillover))
        greatest_lift = 1 + sum(max(0.0, lift) for lift in (self.effect, self.novelty, self.spillover))
        chance = self.base * (1 + self.user_spread) * (1 + self.item_spread) * greatest_lift
        if least_lift < 0 or chance > 1:
            raise UsageError(
                "every chance of a click must lie in [0, 1], or effects would not be what they say. Lifts go from "
                f"{least_lift:g}, and the greatest chance is {chance:g}: take a smaller base, spread or effect"
            )

    def _check(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not np.isfinite(value) or not low <= value <= high:
            raise UsageError(f"{name} must be a finite number in [{low:g}, {high:g}]. Got {value!r} instead")


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of a simulated experiment, in expected clicks of a person over its days.

    ``control`` and ``treated`` are means over all people of the potential outcomes of Hudgens and Halloran.

    Attributes:
        control: if nobody is treated.
        treated: if everybody is.
        total: treated - control.
        direct: what treating a person does to that person, whoever else is treated: without spill-over.
        spillover: what treating all others does to a person: total - direct.
        lift: total / control.
        contrast: what the difference between the arms tends to: direct + spillover times how much more of their
            clusters is treated for treated people than for others. It is nearly ``direct`` where people are drawn one
            by one, and ``total`` where whole clusters are.
        daily: shape (days,), direct effect of each day as a share of that day's clicks without treatment.
    """

    control: float
    treated: float
    total: float
    direct: float
    spillover: float
    lift: float
    contrast: float
    daily: Float64


@dataclass(frozen=True, eq=False)
class SimulatedExperiment:
    """Impressions and what is true of them. Rows are sorted by person.

    Attributes:
        setting: what was simulated.
        truth: what is true of it.
        arms: shape (users,), int64, 1 for treated people, else 0.
        clusters: shape (users,), int64, the cluster of each person.
        users: shape (n,), int64, who saw it.
        items: shape (n,), int64, what was seen.
        days: shape (n,), int64, from -days_before to days - 1; day 0 is a Monday and the first of the experiment.
        positions: shape (n,), int64, the place in the list, from 1.
        propensities: shape (n,), float64, in (0, 1], the chance that the item had of that place.
        chances: shape (n,), float64, in [0, 1], the true chance of a click.
        clicks: shape (n,), float64, 0 or 1.
        quality: shape (items,), float64, the factor of each item.
    """

    setting: Setting
    truth: Truth
    arms: Int64
    clusters: Int64
    users: Int64
    items: Int64
    days: Int64
    positions: Int64
    propensities: Float64
    chances: Float64
    clicks: Float64
    quality: Float64

    def __len__(self) -> int:
        return len(self.users)

    def per_user(self) -> tuple[Float64, Float64]:
        """Clicks of each person in the experiment and before it, each of shape (users,)."""
        inside = self.days >= 0
        count = self.setting.users
        within, before = (np.bincount(self.users, self.clicks * rows, count) for rows in (inside, ~inside))
        return within.astype(np.float64), before.astype(np.float64)

    def impressions(self) -> Int64:
        """Impressions of each person in the experiment, shape (users,)."""
        counted: Int64 = np.bincount(self.users[self.days >= 0], minlength=self.setting.users).astype(np.int64)
        return counted


def simulate(setting: Setting, *, rng: np.random.Generator, arms: AnyArray | None = None) -> SimulatedExperiment:
    """Simulate an experiment.

    Args:
        setting: what is true.
        rng: source of randomness.
        arms: shape (users,), 1 for treated people and 0 for others, from :func:`shared.experiments.assignment.assign`
            for example; drawn as the setting says when not given.

    Returns:
        About ``users x visits x (days + days_before)`` rows, some 50 bytes each.

    Raises:
        UsageError: ``arms`` has another shape or other values, or one arm is empty.

    Example:
        >>> found = simulate(Setting(users=100, effect=0.2), rng=np.random.default_rng(0))
        >>> round(found.truth.lift, 6), len(found.arms)
        (0.2, 100)
    """
    clusters = np.arange(setting.users, dtype=np.int64) // setting.cluster_size
    treated = _drawn(setting, clusters, rng) if arms is None else _given(setting, arms)
    person, activity = (
        factors(setting.users, spread, rng) for spread in (setting.user_spread, setting.activity_spread)
    )
    quality = factors(setting.items, setting.item_spread, rng)
    users, days = visits_of(setting, activity, rng)
    items = rng.integers(setting.items, size=len(users))
    positions, propensities = _places(setting, quality, items, rng)
    chances = setting.base * person[users] * quality[items] * positions ** -float(setting.position_bias)
    others = others_treated(treated, clusters)
    direct, inside = _direct(setting, days), days >= 0
    chances *= 1 + inside * (treated[users] * direct + setting.spillover * others[users])
    clicks = (rng.random(len(users)) < chances).astype(np.float64)
    truth = _truth(setting, treated, others, _expected(setting, person * activity, quality))
    columns = (users, items, days, positions, propensities, chances, clicks)
    return SimulatedExperiment(setting, truth, treated, clusters, *columns, quality)


def factors(n: int, spread: float, rng: np.random.Generator) -> Float64:
    """Factors in 1 +- spread whose mean is exactly 1."""
    drawn = rng.uniform(-1, 1, n)
    drawn -= drawn.mean()
    factors: Float64 = 1 + spread * drawn / max(1.0, float(np.abs(drawn).max()))
    return factors


def _drawn(setting: Setting, clusters: Int64, rng: np.random.Generator) -> Int64:
    """Exactly the share of people, or of clusters, that is to be treated; one at least in each arm."""
    count = int(clusters[-1]) + 1 if setting.by_cluster else setting.users
    if count < 2:
        raise UsageError(f"by_cluster needs at least 2 clusters. Got {setting.users} people in one cluster")
    chosen = np.zeros(count, np.int64)
    chosen[rng.permutation(count)[: min(max(1, round(count * setting.treated)), count - 1)]] = 1
    return chosen[clusters] if setting.by_cluster else chosen


def _given(setting: Setting, arms: AnyArray) -> Int64:
    codes = np.asarray(arms)
    if codes.shape != (setting.users,) or not np.isin(codes, (0, 1)).all() or len(np.unique(codes)) < 2:
        raise UsageError(f"arms must be 0 or 1 of shape ({setting.users},), with people in both. Got {codes} instead")
    return codes.astype(np.int64)


def _weekdays(setting: Setting) -> Float64:
    """Visits of each day from the first before the experiment on, as multiples of a mean day's."""
    week = np.asarray(setting.weekly, np.float64)
    of_day: Float64 = (week / week.mean())[np.arange(-setting.days_before, setting.days) % 7]
    return of_day


def visits_of(setting: Setting, activity: Float64, rng: np.random.Generator) -> tuple[Int64, Int64]:
    """Who came on which day. Poisson by person, then each visit to a day: the same as Poisson by person and day."""
    of_day = _weekdays(setting)
    counts = rng.poisson(setting.visits * activity * of_day.sum())
    users = np.repeat(np.arange(setting.users, dtype=np.int64), counts)
    ends = np.cumsum(of_day / of_day.sum())
    days = np.searchsorted(ends, rng.random(len(users)), side="right").clip(max=len(of_day) - 1)
    return users, days.astype(np.int64) - setting.days_before


def _own_places(setting: Setting, quality: Float64) -> Int64:
    """The place, from 1, where each item's quality puts it: the best fifth of five places is the first."""
    rank = np.empty(setting.items, np.int64)
    rank[np.argsort(-quality, kind="stable")] = np.arange(setting.items)
    return rank * setting.places // setting.items + 1


def _places(setting: Setting, quality: Float64, items: Int64, rng: np.random.Generator) -> tuple[Int64, Float64]:
    own = _own_places(setting, quality)[items]
    anywhere = rng.integers(1, setting.places + 1, size=len(items))
    positions = np.where(rng.random(len(items)) < setting.ranking, own, anywhere)
    propensities = (1 - setting.ranking) / setting.places + setting.ranking * (positions == own)
    return positions, propensities


def others_treated(treated: Int64, clusters: Int64) -> Float64:
    """The share of treated people among the others of each person's cluster; 0 for people who are alone."""
    have, of = np.bincount(clusters, treated)[clusters], np.bincount(clusters)[clusters]
    shares: Float64 = (have - treated) / np.maximum(of - 1, 1)
    return shares


def _direct(setting: Setting, days: Int64) -> Float64:
    """What treatment adds on each day, as a share of the clicks without."""
    since = np.maximum(days, 0)
    added: Float64 = setting.effect + setting.novelty * 2.0 ** (-since / setting.half_life)
    return added


def _expected(setting: Setting, eagerness: Float64, quality: Float64) -> float:
    """Expected clicks of a person in the experiment if nobody is treated, over all people."""
    seen = np.arange(1, setting.places + 1) ** -float(setting.position_bias)
    own = seen[_own_places(setting, quality) - 1]
    of_items = float((quality * ((1 - setting.ranking) * seen.mean() + setting.ranking * own)).mean())
    visits = setting.visits * float(_weekdays(setting)[setting.days_before :].sum())
    return setting.base * visits * of_items * float(eagerness.mean())


def _truth(setting: Setting, treated: Int64, others: Float64, control: float) -> Truth:
    daily = _direct(setting, np.arange(setting.days))
    direct = control * float(np.average(daily, weights=_weekdays(setting)[setting.days_before :]))
    spillover = control * setting.spillover
    more = float(others[treated == 1].mean() - others[treated == 0].mean())
    total = direct + spillover
    daily.flags.writeable = False
    return Truth(control, control + total, total, direct, spillover, total / control, direct + spillover * more, daily)
