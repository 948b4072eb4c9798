"""Interleaving: two rankings in one list, and who wins by the clicks on it.

A person sees one list to which both systems contribute, so each click compares them on the same person at the same
moment: far fewer people are needed than for an A/B test. F. Radlinski, M. Kurup and T. Joachims, "How does clickthrough
data reflect retrieval quality?", CIKM 2008 (team draft); K. Hofmann, S. Whiteson and M. de Rijke, "A probabilistic
method for inferring preferences from clicks", CIKM 2011 (probabilistic, with credit by marginalisation); O. Chapelle et
al., "Large-scale validation and analysis of interleaved search evaluation", ACM TOIS 30 (2012).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from recsys.ranking import check_k
from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, mean_interval
from shared.evaluation.paired import randomisation_p_value, sign_p_value
from shared.evaluation.report import Metric
from shared.types import AnyArray, Float64, Id, Result, array_field

Method: TypeAlias = Literal["team-draft", "probabilistic"]
METHODS: tuple[Method, ...] = ("team-draft", "probabilistic")


@dataclass(frozen=True, eq=False)
class Interleaved(Result):
    """One list of two systems, as it is shown and kept until the clicks come.

    Attributes:
        items: what is shown, best first.
        first: shape (k,), float64, in [0, 1]: the chance that the first system contributed each item. By team draft it
            is known, 0 or 1; the probabilistic method gives what Bayes' rule says of it, seen the list alone.
        method: one of :data:`METHODS`.
    """

    items: tuple[Id, ...]
    first: Float64 = array_field("float64", ("k",), 0, 1)
    method: str = "team-draft"

    def check(self, axes: Mapping[str, int]) -> None:
        if len(self.items) != len(self.first):
            raise UsageError(
                f"Interleaved must say whose each item is. Got {len(self.first)} for {len(self.items)} items"
            )


def assignment_rng(seed: int, *keys: Id) -> np.random.Generator:
    """A generator that depends on the seed and on who is asked about what, so that a person who comes back gets the
    same.

    Example:
        >>> first, again = (assignment_rng(7, "ann", 3).integers(0, 1000) for _ in range(2))
        >>> bool(first == again)
        True
    """
    text = "\x1f".join([str(seed), *(f"{type(key).__name__}:{key}" for key in keys)])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


def interleave(
    first: Sequence[Id],
    second: Sequence[Id],
    k: int = 10,
    *,
    method: Method = "team-draft",
    power: float = 3.0,
    rng: np.random.Generator,
) -> Interleaved:
    """Mix two rankings.

    Team draft: turn by turn a coin says who picks first, and each system picks its best item that is not yet there.
    Probabilistic: for each place a coin says which system draws, and it draws an item with a chance that falls with its
    rank, as 1 / rank^power over the items that are left. Every list can then come from either system.

    Args:
        first: the first system's ids, best first, each once.
        second: the second system's.
        k: how many places, at least 1; fewer are filled where both lists end.
        method: one of :data:`METHODS`.
        power: of the probabilistic method, above 0; the paper's is 3.
        rng: source of randomness; see :func:`assignment_rng`.

    Raises:
        UsageError: an id repeats within a list, or an argument is out of its range.

    Example:
        >>> shown = interleave(["a", "b"], ["b", "a"], 2, rng=np.random.default_rng(0))
        >>> sorted(shown.items), sorted(shown.first.tolist())
        (['a', 'b'], [0.0, 1.0])
    """
    check_k(k)
    for ids in (first, second):
        if isinstance(ids, str) or len(set(ids)) != len(ids):
            raise UsageError("a ranking must be a list of ids, each once. Got one that repeats or is no list")
    if method not in METHODS:
        raise UsageError(f"method must be one of {', '.join(METHODS)}. Got {method!r} instead")
    if method == "team-draft":
        return _draft(first, second, k, rng)
    if not power > 0:
        raise UsageError(f"power must be above 0. Got {power} instead")
    return _draw(first, second, k, power, rng)


def credit(shown: Interleaved, clicked: Collection[Id]) -> float:
    """Who wins by the clicks on one list: the chance that more of them are the first system's - that more are the
    other's.

    By team draft that is 1, 0 or -1. By the probabilistic method it is the mean of that outcome over all assignments of
    the items to the systems, each weighted by its chance given the list (Hofmann et al., section 4.2), in [-1, 1].

    Args:
        shown: what was shown.
        clicked: ids of it, those that were clicked; how often does not matter.

    Raises:
        UsageError: an id was not shown.

    Example:
        >>> shown = Interleaved(("a", "b", "c"), np.array([1.0, 0.0, 1.0]))
        >>> credit(shown, ["a", "c"]), credit(shown, ["b"]), credit(shown, ["a", "b"]), credit(shown, [])
        (1.0, -1.0, 0.0, 0.0)
    """
    places = {item: place for place, item in enumerate(shown.items)}
    strange = [item for item in clicked if item not in places]
    if strange:
        raise UsageError(f"clicks must be on what was shown. Got {strange[:5]}, which were not")
    chances = shown.first[[places[item] for item in dict.fromkeys(clicked)]]
    counts = np.ones(1)  # chances that the first system has 0, 1, 2 ... of the clicks
    for chance in chances:
        counts = np.convolve(counts, [1 - chance, chance])
    lead = 2 * np.arange(len(counts)) - len(chances)
    return float(counts[lead > 0].sum() - counts[lead < 0].sum())


@dataclass(frozen=True)
class Preference:
    """Which system people prefer.

    Attributes:
        n: lists, or people where they were named.
        preference: the mean credit, in [-1, 1], above 0 where the first system is preferred, with a bootstrap interval.
        wins: lists (or people) whose credit is above 0.
        losses: those whose credit is below 0.
        ties: the others: no clicks, or as many for each.
        p_value: two-sided, of the randomisation test that swaps the systems list by list (or person by person).
        sign_p_value: two-sided, of the sign test.
        winner: ``"first"``, ``"second"``, or ``"undecided"`` where the interval holds 0.
    """

    n: int
    preference: Metric
    wins: int
    losses: int
    ties: int
    p_value: float
    sign_p_value: float
    winner: str


def prefer(
    credits: AnyArray,
    *,
    users: Sequence[Id] | None = None,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Preference:
    """Infer which system people prefer from the credits of many lists.

    Args:
        credits: shape (n,), what :func:`credit` said of each list, in [-1, 1].
        users: who saw each list. Lists of one person are alike, so their mean counts once; ``None`` takes each list for
            a person of its own.
        rng: source of randomness.
        resamples: of the bootstrap and of the randomisation test.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        UsageError: there are no lists, a credit is out of its range, or the lengths differ.

    Example:
        >>> found = prefer(np.array([1, 1, 1, 0, 1, 1, -1, 1]), rng=np.random.default_rng(0))
        >>> found.preference.value, (found.wins, found.losses, found.ties), found.winner
        (0.625, (6, 1, 1), 'first')
    """
    values = np.asarray(credits, np.float64)
    if values.ndim != 1 or not values.size or not (np.abs(values) <= 1).all():
        raise UsageError(f"credits must be an (n,) array in [-1, 1], n at least 1. Got shape {values.shape} instead")
    if users is not None:
        if len(users) != len(values):
            raise UsageError(f"users must name who saw each list. Got {len(users)} for {len(values)} lists")
        codes: dict[Id, int] = {}
        rows = np.array([codes.setdefault(user, len(codes)) for user in users])
        values = np.bincount(rows, values) / np.bincount(rows)
    found = mean_interval(values, rng=rng, resamples=resamples, confidence=confidence)
    wins, losses = int((values > 0).sum()), int((values < 0).sum())
    winner = "first" if found.low > 0 else "second" if found.high < 0 else "undecided"
    return Preference(
        n=len(values),
        preference=found,
        wins=wins,
        losses=losses,
        ties=len(values) - wins - losses,
        p_value=randomisation_p_value(values, rng=rng, resamples=resamples),
        sign_p_value=sign_p_value(wins, losses),
        winner=winner,
    )


def _draft(first: Sequence[Id], second: Sequence[Id], k: int, rng: np.random.Generator) -> Interleaved:
    items: dict[Id, float] = {}
    queues = {1.0: iter(first), 0.0: iter(second)}
    while len(items) < k and queues:
        order = sorted(queues, reverse=bool(rng.integers(2)))
        for team in order:
            picked = next((item for item in queues[team] if item not in items), None)
            if picked is None:
                del queues[team]  # nothing is left of that list
            elif len(items) < k:
                items[picked] = team
    return Interleaved(tuple(items), np.array(list(items.values()), np.float64), "team-draft")


def _draw(first: Sequence[Id], second: Sequence[Id], k: int, power: float, rng: np.random.Generator) -> Interleaved:
    items = list(dict.fromkeys([*first, *second]))
    masses = np.zeros((2, len(items)))
    for mass, ids in zip(masses, (first, second)):
        ranks = {item: rank for rank, item in enumerate(ids, 1)}
        mass[:] = [ranks[item] ** -power if item in ranks else 0.0 for item in items]
    shown: list[Id] = []
    chances: list[float] = []
    while len(shown) < k and masses.any():
        totals = masses.sum(axis=1, keepdims=True)
        laws = np.divide(masses, totals, out=np.zeros_like(masses), where=totals > 0)
        law = laws[laws.any(axis=1)].mean(axis=0)  # the coin and the draw in one; a list that has ended draws no more
        at = int(rng.choice(len(items), p=law / law.sum()))
        chances.append(float(laws[0, at] / laws[:, at].sum()))
        shown.append(items[at])
        masses[:, at] = 0
    return Interleaved(tuple(shown), np.array(chances, np.float64), "probabilistic")
