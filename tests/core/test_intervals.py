"""Intervals by formula, BCa, groups and blocks, against SciPy and against their own exact way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from shared.errors import UnknownNameError, UsageError
from shared.evaluation import resampling
from shared.evaluation.analytic import difference_by_formula, mean_by_formula
from shared.evaluation.bca import bca_interval, f1, ratio, sums_interval
from shared.evaluation.intervals import mean_interval
from shared.evaluation.report import Metric
from shared.evaluation.resampling import grouped_sums, resampled_signs, resampled_sums
from shared.types import Float64

_SKEWED = np.random.default_rng(3).exponential(1.0, 40)
_OTHER = np.random.default_rng(4).normal(0.5, 2.0, 25)


def _with_ones(values: Float64) -> Float64:
    return np.stack([values, np.ones(values.size)], axis=1)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_t_intervals_equal_scipy(confidence: float) -> None:
    paired = _SKEWED[:25]
    table = [
        (mean_by_formula(_SKEWED, confidence=confidence), stats.ttest_1samp(_SKEWED, 0)),
        (difference_by_formula(paired, _OTHER, paired=True, confidence=confidence), stats.ttest_rel(paired, _OTHER)),
        (
            difference_by_formula(_SKEWED, _OTHER, paired=False, confidence=confidence),
            stats.ttest_ind(_SKEWED, _OTHER, equal_var=False),
        ),
    ]
    for ours, theirs in table:
        expected = theirs.confidence_interval(confidence)
        assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
        assert ours.value == pytest.approx((expected.low + expected.high) / 2)


def test_normal_intervals_equal_scipy() -> None:
    expected = stats.norm.interval(0.95, _SKEWED.mean(), stats.sem(_SKEWED))
    ours = mean_by_formula(_SKEWED, kind="normal")
    assert (ours.low, ours.high) == pytest.approx(expected)
    error = np.hypot(stats.sem(_SKEWED), stats.sem(_OTHER))
    expected = stats.norm.interval(0.95, _SKEWED.mean() - _OTHER.mean(), error)
    ours = difference_by_formula(_SKEWED, _OTHER, paired=False, kind="normal")
    assert (ours.low, ours.high) == pytest.approx(expected)


def test_equal_figures_have_an_interval_without_width() -> None:
    ones = np.ones(3)
    assert mean_by_formula(ones) == Metric(1.0, 1.0, 1.0)
    assert difference_by_formula(ones, ones, paired=False) == Metric(0.0, 0.0, 0.0)


def test_bca_equals_scipy_on_the_same_draws() -> None:
    theirs = stats.bootstrap((_SKEWED,), np.mean, method="BCa", n_resamples=999, rng=np.random.default_rng(5))
    left_out = (_SKEWED.sum() - _SKEWED) / (_SKEWED.size - 1)
    ours = bca_interval(float(_SKEWED.mean()), theirs.bootstrap_distribution, left_out)
    expected = theirs.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_bca_of_a_weighted_mean_is_near_scipys_with_its_own_draws() -> None:
    weights = np.random.default_rng(6).random(40) + 0.1
    theirs = stats.bootstrap(
        (_SKEWED, weights),
        lambda x, w, axis=-1: (x * w).sum(axis=axis) / w.sum(axis=axis),
        paired=True,
        method="BCa",
        n_resamples=9999,
        rng=np.random.default_rng(7),
    ).confidence_interval
    rows = np.stack([_SKEWED * weights, weights], axis=1)
    ours = sums_interval(ratio, rows, rng=np.random.default_rng(8), resamples=9999)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.02)
    percentile = sums_interval(ratio, rows, rng=np.random.default_rng(8), resamples=9999, method="percentile")
    assert percentile.high < ours.high  # BCa reaches further to the side of the tail


def test_bca_falls_back_on_percentiles_where_it_has_no_answer() -> None:
    found = bca_interval(2.0, np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    assert sums_interval(ratio, np.ones((5, 2)), rng=np.random.default_rng(0)) == Metric(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("figure", "totals", "expected"),
    [(ratio, [1.0, 4.0], 0.25), (ratio, [1.0, 0.0], np.nan), (f1, [1.0, 2.0, 2.0], 0.5), (f1, [0.0, 0.0, 0.0], 0.0)],
)
def test_figures_of_totals(figure: Callable[[Float64], Float64], totals: list[float], expected: float) -> None:
    assert float(figure(np.array(totals))) == pytest.approx(expected, nan_ok=True)
    assert figure(np.array([totals] * 3)).shape == (3,)


def test_rows_of_one_group_are_drawn_together() -> None:
    once = _with_ones(_SKEWED)
    five, groups = np.repeat(once, 5, axis=0), np.repeat(np.arange(40), 5)
    shuffled = np.random.default_rng(1).permutation(200)
    grouped = sums_interval(ratio, five[shuffled], rng=np.random.default_rng(2), groups=groups[shuffled])
    alone = sums_interval(ratio, once, rng=np.random.default_rng(2))
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))
    naive = sums_interval(ratio, five, rng=np.random.default_rng(2))
    assert (alone.high - alone.low) / (naive.high - naive.low) == pytest.approx(5**0.5, rel=0.1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 2**31))
def test_grouped_sums_keep_the_total(names: list[int], seed: int) -> None:
    rows = np.random.default_rng(seed).random((len(names), 2))
    found = grouped_sums(rows, names)
    assert found.shape == (len(set(names)), 2)
    assert found.sum(axis=0) == pytest.approx(rows.sum(axis=0))


@pytest.mark.parametrize("values", ["few", "rare", "many"])
@pytest.mark.parametrize("ordered", [False, True])
def test_many_rows_are_drawn_as_widely_as_few(monkeypatch: pytest.MonkeyPatch, values: str, ordered: bool) -> None:
    rng = np.random.default_rng(9)
    n = 6000
    rows = {
        "few": rng.integers(0, 2, n).astype(float),
        "rare": np.where(np.arange(n) >= n - 300, 7.0, rng.integers(0, 2, n)),  # not among the rows that are peeked at
        "many": rng.exponential(1.0, n),
    }[values]
    rows = np.sort(rows) if ordered else rows
    exact = resampled_sums(_with_ones(rows), rng=rng, resamples=1000)
    apart = rows - rows.mean()  # differences of two systems under the null hypothesis
    signs = resampled_signs(apart, rng=rng, resamples=1000)
    monkeypatch.setattr(resampling, "EXACT", 4096)
    quick = resampled_sums(_with_ones(rows), rng=rng, resamples=1000)
    error = rows.std() / n**0.5
    for found in (exact, quick):
        means = found[:, 0] / found[:, 1]
        assert means.mean() == pytest.approx(rows.mean(), abs=0.15 * error)
        assert means.std() == pytest.approx(error, rel=0.1)
    assert resampling.resampled_means(rows, rng=rng, resamples=1000).std() == pytest.approx(error, rel=0.1)
    for found in (signs, resampled_signs(apart, rng=rng, resamples=1000)):
        assert abs(found.mean()) < 0.15 * error * n
        assert found.std() == pytest.approx(error * n, rel=0.1)


def test_distinct_rows_are_counted_or_given_up() -> None:
    rows = np.array([[0.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    found = resampling.distinct_rows(rows)
    assert found is not None
    assert dict(zip(map(tuple, found[0].tolist()), found[1].tolist())) == {(0.0, 1.0): 2, (2.0, 1.0): 1}
    assert resampling.distinct_rows(np.arange(17.0)[:, None]) is None
    late = np.concatenate([np.zeros(1000), np.arange(40.0)])  # many values, but not among the first
    assert resampling.distinct_rows(late[:, None]) is None


def test_an_interval_of_many_items_is_as_wide_as_the_formula_says() -> None:
    rng = np.random.default_rng(10)
    values = rng.exponential(1.0, 50_000)
    formula = mean_by_formula(values, kind="normal")
    for found in (mean_interval(values, rng=rng), sums_interval(ratio, _with_ones(values), rng=rng)):
        assert found.value == pytest.approx(formula.value)
        assert found.high - found.low == pytest.approx(formula.high - formula.low, rel=0.15)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_intervals_of_totals_cover_at_about_the_nominal_rate(method: str) -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(200):
        sample = _with_ones(rng.normal(1.0, 1.0, 40))
        metric = sums_interval(ratio, sample, rng=rng, method=method, resamples=300)
        held += metric.low <= 1.0 <= metric.high
    assert 0.88 <= held / 200 <= 0.99


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: mean_by_formula(np.ones(1)), UsageError, "at least 2 finite figures"),
        (lambda r: mean_by_formula(np.array([1.0, np.inf])), UsageError, "at least 2 finite figures"),
        (lambda r: mean_by_formula(np.ones(2), kind="T"), UnknownNameError, "kind of interval"),
        (lambda r: mean_by_formula(np.ones(2), confidence=0.0), UsageError, "confidence must lie between 0 and 1"),
        (lambda r: difference_by_formula(np.ones(2), np.ones(3), paired=True), UsageError, "of the same items"),
        (lambda r: sums_interval(ratio, np.ones((0, 2)), rng=r), UsageError, "at least 1 item"),
        (lambda r: sums_interval(ratio, np.ones((1, 2, 3)), rng=r), UsageError, r"a \(n, d\) array"),
        (lambda r: sums_interval(ratio, np.full((1, 2), np.nan), rng=r), UsageError, "sums must be finite"),
        (lambda r: sums_interval(ratio, np.ones((2, 2)), rng=r, method="bac"), UnknownNameError, "bca"),
        (lambda r: sums_interval(ratio, np.ones((2, 2)), rng=r, resamples=0), UsageError, "resamples must be"),
        (lambda r: sums_interval(ratio, np.ones((2, 2)), rng=r, confidence=1.0), UsageError, "confidence must lie"),
        (lambda r: sums_interval(ratio, np.ones((2, 2)), rng=r, groups=["a"]), UsageError, "one name an item"),
        (lambda r: bca_interval(0.0, np.ones(2), np.ones(2), confidence=2.0), UsageError, "confidence must lie"),
        (lambda r: resampled_signs(np.ones(1), rng=r, resamples=0), UsageError, "resamples must be at least 1"),
    ],
)
def test_wrong_arguments_say_so(call: Callable[..., object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(np.random.default_rng(0))
