"""Tests of two samples: against SciPy, against their definitions, and what they must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp, wasserstein_distance

from shared.errors import UnknownNameError, UsageError
from shared.monitoring import counts, tests
from shared.monitoring import mmd as kernel
from shared.monitoring.classifier import density_ratios, domain_classifier
from shared.monitoring.mmd import mmd, mmd_test
from shared.monitoring.multiple import (
    Evidence,
    benjamini_yekutieli,
    corrected,
    drawn_p_value,
    rate_for,
    spent_rate,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


NORMAL = rng(1).normal(size=300)
SHIFTED = rng(2).normal(0.4, 1, size=120)


@pytest.mark.parametrize(("n", "m"), [(300, 120), (8, 5), (2500, 120)])
def test_ks_is_scipys(n: int, m: int) -> None:
    one, other = rng(3).normal(size=n), rng(4).normal(0.3, 1, size=m)
    found, wanted = tests.kolmogorov_smirnov(one, other), ks_2samp(one, other)
    assert found.statistic == found.effect == pytest.approx(wanted.statistic)
    assert found.p_value == pytest.approx(wanted.pvalue, rel=0.06)


def test_wasserstein_is_scipys_in_standard_deviations_of_the_reference() -> None:
    found = tests.wasserstein(NORMAL, SHIFTED, rng=rng())
    assert found.statistic == pytest.approx(wasserstein_distance(NORMAL, SHIFTED))
    assert found.effect == pytest.approx(found.statistic / NORMAL.std())
    assert found.p_value < 0.01


@pytest.mark.parametrize(
    ("reference", "window", "wanted"),
    [
        ([50, 50], [50, 50], 0.0),
        # (75.5/101 - 50.5/101) ln(75.5/50.5) + (25.5/101 - 50.5/101) ln(25.5/50.5)
        ([50, 50], [75, 25], 0.25 * 100 / 101 * (math.log(75.5 / 50.5) - math.log(25.5 / 50.5))),
        # a cell that both lack says nothing
        ([50, 0, 50], [75, 0, 25], 0.25 * 100 / 101 * (math.log(75.5 / 50.5) - math.log(25.5 / 50.5))),
        # an empty cell is far, not infinitely far: (10.5/11 - 10.5/21) ln(21/11) + (0.5/11 - 10.5/21) ln(0.5/11 * 2)
        ([10, 10], [10, 0], (10.5 / 11 - 0.5) * math.log(21 / 11) + (0.5 / 11 - 0.5) * math.log(1 / 11)),
    ],
)
def test_psi_by_hand(reference: list[int], window: list[int], wanted: float) -> None:
    assert counts.psi(np.array(reference), np.array(window)) == pytest.approx(wanted)


def test_psi_of_numbers_parts_at_the_quantiles_of_the_reference() -> None:
    edges = np.quantile(NORMAL, np.arange(1, 10) / 10, method="inverted_cdf")
    binned = [np.bincount(np.searchsorted(edges, side, side="left"), minlength=10) for side in (NORMAL, SHIFTED)]
    found = tests.population_stability(NORMAL, SHIFTED, rng=rng())
    assert found.statistic == pytest.approx(counts.psi(*binned))
    assert found.effect == pytest.approx(found.statistic - 9 * (1 / 300 + 1 / 120))
    assert found.p_value < 0.02


def test_psi_of_a_column_with_few_values_has_fewer_bins() -> None:
    one, other = np.repeat([0.0, 1.0], [80, 20]), np.repeat([0.0, 1.0], [10, 10])
    assert tests.population_stability(one, other, rng=rng()).statistic == pytest.approx(
        counts.psi(np.array([80, 20]), np.array([10, 10]))
    )


def test_chi_square_is_scipys_where_counts_are_large() -> None:
    one, other = {"a": 500, "b": 300, "c": 200}, {"a": 220, "b": 180, "c": 100}
    wanted = chi2_contingency([[500, 300, 200], [220, 180, 100]], correction=False)
    found = counts.chi_square(one, other, rng=rng())
    assert (found.statistic, found.p_value) == pytest.approx((wanted.statistic, wanted.pvalue))
    assert found.effect == pytest.approx(0.06)  # a: 0.5 to 0.44


def test_small_counts_are_exact() -> None:
    one, other = {"a": 9, "b": 12}, {"a": 14, "b": 4}
    found = counts.chi_square(one, other, rng=rng(), most=20_000)
    exact = fisher_exact([[9, 12], [14, 4]]).pvalue
    assert found.p_value == pytest.approx(exact, rel=0.4)  # 20 exceedances know it to a quarter


def test_rare_categories_are_counted_as_one() -> None:
    one = {"a": 1000, **{f"r{k}": 1 for k in range(50)}}
    other = {"a": 190, **{f"n{k}": 1 for k in range(10)}}
    found = counts.chi_square(one, other, rng=rng())
    wanted = chi2_contingency([[1000, 50], [190, 10]], correction=False)
    assert found.statistic == pytest.approx(wanted.statistic)
    assert found.p_value > 0.1


def test_new_categories_are_found_where_they_are_more_than_the_tail_gives() -> None:
    ids = 1 / np.arange(1, 3001)
    before, after = (rng(k).choice(3000, size, p=ids / ids.sum()) for k, size in ((0, 4000), (1, 800)))
    one, other = ({str(v): int(c) for v, c in zip(*np.unique(side, return_counts=True))} for side in (before, after))
    same = counts.new_categories(one, other, rng=rng())
    assert same.effect > 0.05  # a tail has new ids at all times
    assert same.p_value > 0.05
    launched = other | {f"new{k}": 1 for k in range(60)}
    assert counts.new_categories(one, launched, rng=rng()).p_value < 0.001


def test_a_share_of_missing_values() -> None:
    one = np.where(np.arange(400) < 20, np.nan, 1.0)
    other = np.where(np.arange(100) < 30, np.nan, 1.0)
    found = tests.missing_rate(one, other, rng=rng())
    assert found.effect == pytest.approx(0.25)
    assert found.p_value < 0.001
    assert tests.missing_rate(one, one, rng=rng()).effect == 0


@pytest.mark.parametrize("sizes", [(0, 5), (5, 1), (1, 1), (0, 0)])
def test_samples_too_small_to_say_anything_say_nothing(sizes: tuple[int, int]) -> None:
    one, other = (np.arange(float(size)) for size in sizes)
    for found in (
        tests.kolmogorov_smirnov(one, other),
        tests.wasserstein(one, other, rng=rng()),
        tests.population_stability(one, other, rng=rng()),
    ):
        assert found == counts.NOTHING
    assert mmd_test(one[:, None], other[:, None], rng=rng()) == counts.NOTHING
    assert domain_classifier(one[:, None], other[:, None], rng=rng()).p_value == 1


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(-20, 20), min_size=2, max_size=30),
    st.lists(st.integers(-20, 20), min_size=2, max_size=30),
    st.floats(0.1, 100),
    st.floats(-100, 100),
)
def test_units_do_not_count(one: list[int], other: list[int], scale: float, shift: float) -> None:
    plain = [np.array(side, np.float64) for side in (one, other)]
    moved = [np.round(side * scale + shift, 9) for side in plain]
    assert tests.kolmogorov_smirnov(*plain) == tests.kolmogorov_smirnov(*moved)
    for test in (tests.wasserstein, tests.population_stability):
        found, again = (test(*sides, rng=rng(), most=50) for sides in (plain, moved))
        assert found.effect == pytest.approx(again.effect, rel=1e-5, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=4, max_size=40))
def test_identical_samples_differ_in_nothing(values: list[int]) -> None:
    side = np.array(values, np.float64)
    table = {str(v): values.count(v) for v in set(values)}
    for found in (
        tests.kolmogorov_smirnov(side, side),
        tests.wasserstein(side, side, rng=rng(), most=60),
        tests.population_stability(side, side, rng=rng(), most=60),
        counts.chi_square(table, table, rng=rng(), most=60),
        counts.category_stability(table, table, rng=rng(), most=60),
        counts.new_categories(table, table, rng=rng(), most=60),
    ):
        assert found.effect == 0
        assert found.p_value > 0.5


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=2, max_size=6))
def test_names_of_categories_do_not_count(pairs: list[tuple[int, int]]) -> None:
    one, other = ({f"{k}": pair[side] for k, pair in enumerate(pairs)} for side in (0, 1))
    turned = [{f"{9 - int(k)}": count for k, count in side.items()} for side in (one, other)]
    found, again = counts.chi_square(one, other, rng=rng(), most=60), counts.chi_square(*turned, rng=rng(), most=60)
    assert found.statistic == pytest.approx(again.statistic)
    assert found.effect == pytest.approx(again.effect)


def test_mmd_is_the_double_loop() -> None:
    one, other, width = rng(0).normal(size=(7, 3)), rng(1).normal(0.5, 1, size=(5, 3)), 1.3

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return math.exp(-float(((a - b) ** 2).sum()) / (2 * width**2))

    within = [
        sum(k(a, b) for i, a in enumerate(side) for j, b in enumerate(side) if i != j) / (len(side) * (len(side) - 1))
        for side in (one, other)
    ]
    across = sum(k(a, b) for a in one for b in other) / 35
    assert mmd(one, other, width=width) == pytest.approx(sum(within) - 2 * across, abs=1e-6)


@pytest.mark.parametrize("form", ["quadratic", "block"])
def test_mmd_finds_what_has_the_same_means(form: str) -> None:
    one, other = rng(0).normal(size=(900, 2)), rng(1).normal(0, 1.4, size=(700, 2))
    found = mmd_test(one, other, rng=rng(), form=form)
    assert found.p_value < 0.01
    assert 0.1 < found.effect < 0.6
    assert mmd_test(one[:450], one[450:], rng=rng(), form=form).p_value > 0.05


def test_mmd_takes_blocks_where_the_window_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    for name in ("_quadratic", "_block"):
        monkeypatch.setattr(kernel, name, lambda *a, name=name: asked.append(name))
    for n, m in ((5000, 1000), (5000, 1001), (400, 5000)):
        mmd_test(np.zeros((n, 1)), np.zeros((m, 1)), rng=rng())
    assert asked == ["_quadratic", "_block", "_quadratic"]


def test_mmd_in_far_off_places_loses_nothing() -> None:
    one, other = rng(0).normal(size=(40, 2)), rng(1).normal(1, 1, size=(30, 2))
    assert mmd(one + 4096, other + 4096, width=1.0) == pytest.approx(mmd(one, other, width=1.0), abs=1e-3)


def test_the_classifier_finds_a_dependence_that_no_column_shows() -> None:
    one = rng(0).multivariate_normal([0, 0, 0], np.eye(3), 600)
    other = one[:300].copy()
    other[:, 2] += other[:, 0] > 0
    found = domain_classifier(one, other, rng=rng())
    assert found.auc > 0.6
    assert found.p_value < 0.001
    assert domain_classifier(one[:300], one[300:], rng=rng()).p_value > 0.05


def test_missing_values_pass_the_classifier() -> None:
    one, other = rng(0).normal(size=(200, 2)), rng(1).normal(size=(100, 2))
    one[::5, 0], other[::3, 0] = np.nan, np.inf
    assert 0 < domain_classifier(one, other, rng=rng()).p_value <= 1


def test_density_ratios_weigh_the_reference_like_the_window() -> None:
    one, other = rng(0).normal(size=(3000, 1)), rng(1).normal(0.7, 1, size=(3000, 1))
    weights = density_ratios(one, other, rng=rng())
    assert weights.mean() == pytest.approx(1)
    assert (weights * one[:, 0]).mean() == pytest.approx(0.7, abs=0.12)


def test_corrections_by_hand() -> None:
    values = {"a": 0.04, "b": 0.001, "c": 0.03}
    assert corrected(values) == pytest.approx({"a": 0.06, "b": 0.003, "c": 0.06})
    h = 1 + 1 / 2 + 1 / 3  # a: 0.04 * 3h/3; c: min(0.03 * 3h/2, 0.04h); b: 0.001 * 3h
    assert benjamini_yekutieli(values) == pytest.approx({"a": 0.04 * h, "b": 0.003 * h, "c": 0.04 * h})
    assert corrected({}) == benjamini_yekutieli({}) == {}
    with pytest.raises(UnknownNameError, match="correction is called 'holms'. Nearest: holm"):
        corrected(values, correction="holms")
    with pytest.raises(UsageError, match="p-values must lie in 0..1"):
        benjamini_yekutieli({"a": 1.5})


def test_drawn_p_values_are_uniform_at_the_most_and_stop_early() -> None:
    source, drawn = rng(0), []

    def draw(number: int) -> np.ndarray:
        drawn.append(number)
        return source.normal(size=number)

    found = np.array([drawn_p_value(float(source.normal()), draw, most=400) for _ in range(3000)])
    for level in (0.01, 0.05, 0.2):
        assert (found <= level).mean() <= level + 3 * math.sqrt(level / 3000)
        assert (found <= level).mean() >= 0.6 * level
    assert sum(drawn) / 3000 < 200
    assert drawn_p_value(-9.0, draw, most=400) == 1.0
    assert drawn_p_value(9.0, draw, most=399) == 1 / 400


def test_rates_of_many_windows() -> None:
    assert sum(spent_rate(0.05, k) for k in range(1, 20_000)) == pytest.approx(0.05, rel=1e-3)
    assert rate_for(100) == 0.01
    with pytest.raises(UsageError, match="windows between false alarms must be above 1"):
        rate_for(1)
    with pytest.raises(UsageError, match="number be at least 1"):
        spent_rate(0.05, 0)


def test_evidence_keeps_its_windows_between_false_alarms_and_sees_what_is_small() -> None:
    source, waited = rng(5), []
    for _ in range(60):
        found, k = Evidence(50), 0
        while not found.alarm:
            found, k = found.after(1 - source.random()), k + 1
        waited.append(k)
    assert np.mean(waited) > 50
    found = Evidence(1000)
    for _ in range(12):
        found = found.after(0.03)  # none of which would alarm at 0.01
    assert found.alarm
    with pytest.raises(UsageError, match=r"a p-value must lie in \(0, 1\]"):
        found.after(0.0)
    with pytest.raises(UsageError, match="windows must be above 1"):
        Evidence(1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: counts.psi(np.array([1, 2]), np.array([1])), "one shape"),
        (lambda: counts.psi(np.array([0, 0]), np.array([1, 0])), "some of each sample above it"),
        (lambda: tests.kolmogorov_smirnov(np.zeros((2, 2)), np.zeros(2)), r"shape \(n,\)"),
        (lambda: tests.population_stability(NORMAL, SHIFTED, rng=rng(), bins=1), "bins must be at least 2"),
        (lambda: mmd(np.zeros((2, 1)), np.zeros((2, 2)), width=1.0), r"shapes \(n, d\) and \(m, d\)"),
        (lambda: mmd(np.full((2, 1), np.nan), np.zeros((2, 1)), width=1.0), "vectors must be finite"),
        (lambda: mmd(np.zeros((2, 1)), np.zeros((1, 1)), width=1.0), "both samples need 2 vectors"),
        (lambda: mmd_test(np.zeros((2, 1)), np.zeros((2, 1)), rng=rng(), form="blocks"), "Nearest: block"),
        (lambda: domain_classifier(np.zeros((2, 1)), np.zeros(2), rng=rng()), r"rows must have shapes"),
        (lambda: density_ratios(np.zeros((2, 1)), np.zeros((9, 1)), rng=rng()), "at least 2 rows for each"),
    ],
)
def test_what_is_refused_says_why(call: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()
