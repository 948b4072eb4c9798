"""Whether a window of items still comes from where the reference came from, at a stated rate of false alarms.

Each column is tested in the ways that fit it (:mod:`shared.monitoring.tests`), embeddings by MMD and by a classifier.
An alarm needs both: a difference that cannot be chance among so many tests, and one large enough to matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.monitoring import counts, tests
from shared.monitoring.classifier import domain_classifier
from shared.monitoring.columns import Columns
from shared.monitoring.counts import Tested
from shared.monitoring.mmd import mmd_test
from shared.monitoring.multiple import corrected

EMBEDDINGS = "embeddings"
RATE = 0.01
_Test: TypeAlias = Callable[[Any, Any, np.random.Generator, int], Tested]
"""Both sides of one column, ``rng``, and how many exchanges are drawn at the most."""


def _separated(reference: Any, window: Any, rng: np.random.Generator, most: int) -> Tested:
    found = domain_classifier(reference, window, rng=rng)
    return Tested(found.auc, found.auc, found.p_value)


TESTS: Mapping[str, Mapping[str, _Test]] = MappingProxyType(
    {
        "numbers": {
            "ks": lambda a, b, rng, most: tests.kolmogorov_smirnov(a, b),
            "wasserstein": lambda a, b, rng, most: tests.wasserstein(a, b, rng=rng, most=most),
            "psi": lambda a, b, rng, most: tests.population_stability(a, b, rng=rng, most=most),
            "missing": lambda a, b, rng, most: tests.missing_rate(a, b, rng=rng, most=most),
        },
        "categories": {
            "chi2": lambda a, b, rng, most: counts.chi_square(a, b, rng=rng, most=most),
            "psi": lambda a, b, rng, most: counts.category_stability(a, b, rng=rng, most=most),
            "new": lambda a, b, rng, most: counts.new_categories(a, b, rng=rng, most=most),
        },
        EMBEDDINGS: {
            "mmd": lambda a, b, rng, most: mmd_test(a, b, rng=rng, most=most),
            "classifier": _separated,
        },
    }
)
"""The tests that each kind of column may have, by name."""
METHODS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"numbers": ("ks", "missing"), "categories": ("chi2", "new"), EMBEDDINGS: ("mmd", "classifier")}
)
"""Those that it has if nothing else is asked."""
THRESHOLDS: Mapping[str, float] = MappingProxyType(
    {
        "ks": 0.05,
        "wasserstein": 0.1,
        "psi": 0.05,
        "missing": 0.01,
        "chi2": 0.05,
        "new": 0.01,
        "mmd": 0.1,
        "classifier": 0.55,
    }
)
"""The least effect of each test that is called drift; the unit stands with each test."""


@dataclass(frozen=True)
class ColumnDrift:
    """What one test says of one column.

    Attributes:
        name: of the column, ``"embeddings"`` for the vectors.
        test: its name, a key of :data:`TESTS`.
        statistic: the test's own.
        effect: how far reference and window lie apart, in the unit that the test's docstring states.
        p_value: of this test alone, in (0, 1].
        adjusted: the same among all tests of the check; the correction's.
        drifted: ``adjusted`` is at most the rate and ``effect`` at least the threshold.
    """

    name: str
    test: str
    statistic: float
    effect: float
    p_value: float
    adjusted: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """What a check of one window found.

    Attributes:
        columns: one entry for each test of each column, in the order of the columns.
        alarm: whether any of them drifted.
        rate: the chance of an alarm of the whole check where nothing has drifted, at the most.
        n_reference: items of the reference.
        n_window: items of the window.
    """

    columns: tuple[ColumnDrift, ...]
    alarm: bool
    rate: float
    n_reference: int
    n_window: int

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the columns that drifted, each once."""
        return tuple(dict.fromkeys(column.name for column in self.columns if column.drifted))

    @property
    def p_value(self) -> float:
        """Of the whole check, whatever the effects: the least adjusted one; 1 without tests."""
        return min((column.adjusted for column in self.columns), default=1.0)

    @property
    def windows_between_false_alarms(self) -> float:
        """Mean number of independent windows until a false alarm, at the least."""
        return 1 / self.rate

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self) | {"drifted": list(self.drifted), "p_value": self.p_value}


@dataclass(frozen=True)
class _Asked:
    """One test of one column."""

    name: str
    test: str
    run: _Test = field(repr=False)
    sides: tuple[Any, Any] = field(repr=False)


def drift(
    reference: Columns,
    window: Columns,
    *,
    rate: float = RATE,
    rng: np.random.Generator,
    methods: Mapping[str, Sequence[str]] = METHODS,
    thresholds: Mapping[str, float] = THRESHOLDS,
    correction: str = "holm",
) -> Drift:
    """Test every column of a window against the reference.

    Where both come from one distribution, the check alarms with a chance of at most ``rate``, over all its tests
    together and whatever they depend on; thresholds only make it alarm less. Which tests are made, and which categories
    are counted as one, is read from both samples together, so that it favours no side.

    Args:
        reference: what the window is held against; a sample too, which the tests allow for.
        window: of the same columns.
        rate: of false alarms of the whole check, in (0, 1).
        rng: of samples, halves and exchanges.
        methods: tests by kind of column (``"numbers"``, ``"categories"``, ``"embeddings"``), names as in :data:`TESTS`;
            a kind that is not named is not tested.
        thresholds: least effects by test; those not named stay as in :data:`THRESHOLDS`. 0 leaves it to the p-value.
        correction: ``"holm"``, or ``"benjamini-yekutieli"``, which finds more columns where many have drifted, and
            where a share ``rate`` of those found may be false; without any drift both alarm at the same rate at the
            most.

    Raises:
        UnknownNameError: a kind, test or correction has no such name.
        UsageError: ``rate`` is out of its range, a side is empty, or the columns of the two differ.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before = Columns(2000, {"words": rng.normal(20, 5, 2000)}, {"language": {"en": 1800, "de": 200}})
        >>> after = Columns(400, {"words": rng.normal(24, 5, 400)}, {"language": {"en": 360, "de": 40}})
        >>> drift(before, after, rng=rng).drifted
        ('words',)
    """
    if not 0 < rate < 1:
        raise UsageError(f"rate must lie between 0 and 1. Got {rate} instead")
    limits = {**THRESHOLDS, **thresholds}
    if unknown := sorted(set(limits) - set(THRESHOLDS)):
        raise UnknownNameError("test", unknown[0], THRESHOLDS)
    _check(reference, window)
    asked = list(_tests(reference, window, methods))
    # Holm's first step needs rate / tests: draws that cannot reach it would be in vain.
    most = max(1000, math.ceil(4 * max(len(asked), 1) / rate))
    found = [one.run(*one.sides, rng, most) for one in asked]
    adjusted = corrected({str(k): one.p_value for k, one in enumerate(found)}, correction=correction)
    columns = tuple(
        ColumnDrift(
            one.name,
            one.test,
            result.statistic,
            result.effect,
            result.p_value,
            adjusted[str(k)],
            adjusted[str(k)] <= rate and result.effect >= limits[one.test],
        )
        for k, (one, result) in enumerate(zip(asked, found))
    )
    return Drift(columns, any(column.drifted for column in columns), rate, reference.n, window.n)


def _tests(reference: Columns, window: Columns, methods: Mapping[str, Sequence[str]]) -> Iterator[_Asked]:
    for kind, names in methods.items():
        if kind not in TESTS:
            raise UnknownNameError("kind of column", kind, TESTS)
        for test in names:
            if test not in TESTS[kind]:
                raise UnknownNameError(f"test of {kind}", test, TESTS[kind])
    for name, before in reference.numbers.items():
        sides = (before, window.numbers[name])
        for test in methods.get("numbers", ()):
            if test != "missing" or not all(np.isfinite(side).all() for side in sides):
                yield _Asked(name, test, TESTS["numbers"][test], sides)
    for name in reference.categories:
        both = (_counts(reference, name), _counts(window, name))
        for test in methods.get("categories", ()):
            if test != "new" or _may_be_new(*both):
                yield _Asked(name, test, TESTS["categories"][test], both)
    if reference.embeddings is not None and window.embeddings is not None:
        for test in methods.get(EMBEDDINGS, ()):
            yield _Asked(EMBEDDINGS, test, TESTS[EMBEDDINGS][test], (reference.embeddings, window.embeddings))


def _counts(columns: Columns, name: str) -> dict[str, int]:
    """The column's counts, with the items that have none as a category of their own, which no other is called."""
    found = {f"={value}": count for value, count in columns.categories[name].items() if count}
    absent = columns.n - sum(found.values())
    return found | ({"": absent} if absent else {})


def _may_be_new(reference: Mapping[str, int], window: Mapping[str, int]) -> bool:
    """Whether a category is rare enough in both together that all of its items may stand in the window."""
    total = sum(window.values())
    return any(reference.get(name, 0) + window.get(name, 0) <= total for name in {*reference, *window})


def _check(reference: Columns, window: Columns) -> None:
    if not reference.n or not window.n:
        raise UsageError(f"reference and window must have items. Got {reference.n} and {window.n}")
    for kind in ("numbers", "categories"):
        sides = (set(getattr(reference, kind)), set(getattr(window, kind)))
        if sides[0] != sides[1]:
            raise UsageError(
                f"reference and window must have the same {kind}. Only the reference has "
                f"{sorted(sides[0] - sides[1])}, only the window {sorted(sides[1] - sides[0])}: "
                "profile both with one version of the observer"
            )
    if (reference.embeddings is None) != (window.embeddings is None):
        raise UsageError("reference and window must both have embeddings, or neither. One of them has none")
