"""Looking often: bounds of the literature, and false positives counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chisquare, dirichlet_multinomial, multinomial

from shared.errors import UnknownNameError, UsageError
from shared.experiments.metrics import Estimate
from shared.experiments.ratio import check_ratio, multinomial_p
from shared.experiments.sequential import (
    always_valid,
    always_valid_p,
    crossing,
    group_bounds,
    group_sequential,
    mixing_variance,
    sequence_radius,
    spent,
)

FIFTHS = [0.2, 0.4, 0.6, 0.8, 1.0]


@pytest.mark.parametrize(
    ("spending", "wanted"),
    [
        # the R package ldbounds, five equal looks, two-sided 0.05
        ("obrien-fleming", [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        ("pocock", [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_bounds_of_five_looks(spending: str, wanted: list[float]) -> None:
    assert group_bounds(FIFTHS, spending=spending).tolist() == pytest.approx(wanted, abs=3e-4)


def test_one_look_at_the_end_is_the_ordinary_test_and_errors_add_up() -> None:
    assert group_bounds([1.0])[0] == pytest.approx(1.959964, abs=1e-5)
    for spending in ("obrien-fleming", "pocock"):
        gone = crossing(FIFTHS, group_bounds(FIFTHS, spending=spending))
        assert gone.tolist() == pytest.approx([spent(t, alpha=0.05, spending=spending) for t in FIFTHS], abs=1e-6)


def test_the_chance_to_cross_is_that_of_simulated_walks() -> None:
    rng = np.random.default_rng(0)
    steps = rng.normal(3.0 / 5, math.sqrt(0.2), (40_000, 5)).cumsum(axis=1)
    z = np.abs(steps) / np.sqrt(FIFTHS)
    bounds = group_bounds(FIFTHS)
    seen = np.array([(z[:, : k + 1] >= bounds[: k + 1]).any(axis=1).mean() for k in range(5)])
    assert crossing(FIFTHS, bounds, drift=3.0).tolist() == pytest.approx(seen.tolist(), abs=0.01)


def test_naive_looks_inflate_as_armitage_says() -> None:
    # Armitage, McPherson and Rowe 1969, table 2: five looks at 5 % err in 14.2 %
    assert crossing(FIFTHS, [1.959964] * 5)[-1] == pytest.approx(0.142, abs=5e-4)


def test_a_repeated_interval_excludes_nothing_exactly_at_its_p_value() -> None:
    arms = Estimate(9, 0.0, 0.5), Estimate(9, 2.5, 0.5)
    found = group_sequential(*arms, fractions=[0.5, 0.9])
    at = group_sequential(*arms, fractions=[0.5, 0.9], confidence=1 - found.p_value)
    assert at.low == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("fractions", [[], [0.5, 0.5], [0.0, 1.0], [0.5, 1.2]])
def test_fractions_must_rise(fractions: list[float]) -> None:
    with pytest.raises(UsageError, match="must rise within"):
        group_bounds(fractions)


def test_unknown_spending_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="Nearest: pocock"):
        group_bounds([1.0], spending="pocok")


@pytest.mark.parametrize("variance", [0.3, 2.0])
def test_the_mixture_is_the_one_with_the_narrowest_interval(variance: float) -> None:
    best = mixing_variance(variance, confidence=0.9)
    around = sequence_radius(variance, best * np.array([0.9, 1.0, 1.1]), confidence=0.9)
    assert around[1] == around.min()


def test_interval_and_p_value_say_the_same() -> None:
    for value in (2.9, 3.1):
        found = always_valid(Estimate(9, 0.0, 0.5), Estimate(9, value, 0.5), mixing=5.0)
        assert (found.low > 0) == (found.p_value < 0.05)
    edge = float(sequence_radius(1.0, 5.0))
    assert float(always_valid_p(edge, 1.0, 5.0)) == pytest.approx(0.05)


def test_the_mixture_is_the_integral_of_likelihood_ratios() -> None:
    d, v, tau = 1.3, 0.4, 2.0
    theta = np.linspace(-15, 15, 60_001)
    prior = np.exp(-(theta**2) / (2 * tau)) / math.sqrt(2 * math.pi * tau)
    ratio = np.exp((d * theta - theta**2 / 2) / v)
    assert float(always_valid_p(d, v, tau)) == pytest.approx(1 / np.trapezoid(prior * ratio, theta), rel=1e-6)


def test_thirty_looks_at_nothing() -> None:
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(4000, 30)).cumsum(axis=1)
    n = np.arange(1, 31)
    difference, variance = walks / n, 1 / n
    mixing = mixing_variance(1 / 30)
    always = (np.abs(difference) > sequence_radius(variance, mixing)).any(axis=1).mean()
    naive = (np.abs(difference) > 1.959964 * np.sqrt(variance)).any(axis=1).mean()
    assert always < 0.03
    assert 0.26 < naive < 0.33


def test_ratio_is_that_of_scipy() -> None:
    counts = {"a": 480, "b": 320, "c": 200}
    found = check_ratio(counts, {"a": 5, "b": 3, "c": 2}, sequential=False)
    assert found.p_value == pytest.approx(chisquare([480, 320, 200], [500, 300, 200]).pvalue)
    assert found.planned == pytest.approx({"a": 0.5, "b": 0.3, "c": 0.2})
    assert not found.mismatch


def test_the_sequential_ratio_test_is_a_bayes_factor() -> None:
    counts, shares = [560, 440], [0.5, 0.5]
    other = dirichlet_multinomial.logpmf(counts, [30.0, 30.0], 1000)
    wanted = math.exp(multinomial.logpmf(counts, 1000, shares) - other)
    assert multinomial_p(counts, shares, concentration=60.0) == pytest.approx(wanted)


def test_the_sequential_ratio_test_may_be_looked_at_after_every_unit() -> None:
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(100):
        treated = (rng.random(3000) < 0.5).cumsum()
        looks = range(99, 3000, 100)
        false += min(multinomial_p([n + 1 - int(treated[n]), int(treated[n])], [0.5, 0.5]) for n in looks) < 0.05
    assert false <= 5


@pytest.mark.parametrize("counts", [{"a": 502_500, "b": 497_500}, {"a": 505_000, "b": 495_000}])
def test_a_skew_of_one_percent_among_a_million_is_found(counts: dict[str, int]) -> None:
    for sequential in (True, False):
        assert check_ratio(counts, {"a": 1, "b": 1}, sequential=sequential).mismatch


def test_ratio_errors() -> None:
    with pytest.raises(UnknownNameError, match="planned arm"):
        check_ratio({"a": 1, "c": 2}, {"a": 1, "b": 1})
    with pytest.raises(UsageError, match="shares above 0"):
        check_ratio({"a": 1}, {"a": 1, "b": 0})
    with pytest.raises(UsageError, match="not all 0"):
        check_ratio({"a": 0, "b": 0}, {"a": 1, "b": 1})
