"""Experiments between recommenders whose truth is known: real lists, shown to simulated people.

Each person has a list of each arm. A visit shows the list of the person's arm, and every place of it is clicked or not,
independently, with the chance

    base x person x liking of the item x place^-position_bias x (1 + effect T + novelty T 2^(-days since / half life)
    + spillover s)

which is :mod:`shared.experiments.simulator`'s, but that the item comes from a recommender and how a person likes it
from the caller. T is 1 in every arm but the first; the days count from a person's own first day; s is the share of the
others in the cluster who are in another arm than the first. What the arms differ in beyond T is what their lists do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.experiments.simulator import Setting, factors, others_treated, visits_of
from shared.types import AnyArray, Float64, Int64


@dataclass(frozen=True, eq=False)
class RankedExperiment:
    """Visits, what was clicked at them, and what is true. Rows are visits, sorted by person.

    Attributes:
        users: shape (n,), int64, who came.
        days: shape (n,), int64, on which day, from 0.
        clicks: shape (n, places), bool, what was clicked.
        chances: shape (n, places), float64, in [0, 1], the true chance of each click.
        lasting: shape (arms,), float64, expected clicks at a visit of a mean person if everybody has that arm and
            novelty is gone. Its ratios are the true lifts.
    """

    users: Int64
    days: Int64
    clicks: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    chances: Float64
    lasting: Float64

    def __len__(self) -> int:
        return len(self.users)


def simulate_ranked(
    setting: Setting,
    lists: AnyArray,
    liking: AnyArray,
    *,
    arms: AnyArray,
    rng: np.random.Generator,
    arrivals: AnyArray | None = None,
) -> RankedExperiment:
    """Show each person the list of its arm and see what is clicked.

    Args:
        setting: what is true. Its ``items`` and ``item_spread`` do not matter here, nor do ``treated``, ``ranking`` and
            the days before.
        lists: shape (arms, users, places), int, items from 0 in the order of their places; as a recommender ranks them.
        liking: shape (users, items), float, at least 0: how a person likes an item, as a factor of the chance.
        arms: shape (users,), int, the arm of each person, the control being 0; from
            :func:`shared.experiments.assignment.assign` for example.
        rng: source of randomness.
        arrivals: shape (users,), int, the first day of each person; nobody comes before it. All 0 when not given.

    Returns:
        About ``users x visits x days`` visits.

    Raises:
        UsageError: an array has another shape or other values, or a chance would be above 1.

    Example:
        >>> best, worst = [[0, 1]] * 50, [[2, 1]] * 50
        >>> liking = np.tile([2.0, 1.0, 0.5], (50, 1))
        >>> setting, arms = Setting(users=50, places=2, base=0.1, position_bias=1.0), np.arange(50) % 2
        >>> found = simulate_ranked(setting, [worst, best], liking, arms=arms, rng=np.random.default_rng(0))
        >>> round(float(found.lasting[1] / found.lasting[0]), 6)  # (2 + 1 / 2) / (0.5 + 1 / 2)
        2.5
    """
    shown, like, arm = np.asarray(lists), np.asarray(liking, np.float64), np.asarray(arms)
    people, places = setting.users, setting.places
    if shown.ndim != 3 or shown.shape[1:] != (people, places) or shown.dtype.kind not in "iu":
        raise UsageError(f"lists must be whole numbers of shape (arms, {people}, {places}). Got {shown.shape} instead")
    if like.ndim != 2 or len(like) != people or not np.isfinite(like).all() or like.min() < 0:
        raise UsageError(f"liking must be finite, at least 0, of shape ({people}, items). Got {like.shape} instead")
    if shown.min() < 0 or shown.max() >= like.shape[1]:
        raise UsageError(f"lists must hold items 0 to {like.shape[1] - 1}. Got {shown.min()} to {shown.max()}")
    first = np.zeros(people, np.int64) if arrivals is None else np.asarray(arrivals)
    for name, array, top in (("arms", arm, len(shown)), ("arrivals", first, setting.days)):
        if array.shape != (people,) or array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= top:
            raise UsageError(f"{name} must be whole numbers 0 to {top - 1} of shape ({people},). Got {array} instead")
    person, activity = (factors(people, spread, rng) for spread in (setting.user_spread, setting.activity_spread))
    users, days = visits_of(setting, activity, rng)
    inside = days >= first[users]
    users, days = users[inside], days[inside]
    seen = np.arange(1, places + 1) ** -float(setting.position_bias)
    rows = np.arange(people)
    plain = setting.base * person[:, None] * like[rows[:, None], shown[arm, rows]] * seen  # (users, places)
    treated = (arm > 0).astype(np.int64)
    others = others_treated(treated, np.arange(people, dtype=np.int64) // setting.cluster_size)
    fading = setting.novelty * 2.0 ** (-(days - first[users]) / setting.half_life)
    lift = 1 + treated[users] * (setting.effect + fading) + setting.spillover * others[users]
    chances = plain[users] * lift[:, None]
    if len(chances) and chances.max() > 1:
        raise UsageError(f"every chance of a click must be at most 1. The greatest is {chances.max():.3g}: lower base")
    clicks = rng.random(chances.shape) < chances
    everybody = np.array([1.0] + [1 + setting.effect + setting.spillover] * (len(shown) - 1))
    of_list = [(person * activity) @ (like[rows[:, None], one] @ seen) / people for one in shown]
    return RankedExperiment(users, days, clicks, chances, setting.base * np.array(of_list) * everybody)
