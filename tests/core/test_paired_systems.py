"""Two systems: McNemar against SciPy and a published case, figures of totals, corrections for many comparisons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from shared.errors import UsageError
from shared.evaluation import resampling
from shared.evaluation.bca import f1, ratio
from shared.evaluation.paired import (
    adjusted_p_values,
    benjamini_hochberg,
    compare_paired,
    randomisation_p_value,
)
from shared.evaluation.spans import span_counts, span_f1_score
from shared.evaluation.two_systems import McNemar, compare_totals, mcnemar
from shared.types import Bool


def _pairs(both: int, first: int, second: int, neither: int) -> tuple[Bool, Bool]:
    one = np.repeat([True, True, False, False], [both, first, second, neither])
    return one, np.repeat([True, False, True, False], [both, first, second, neither])


def test_mcnemar_equals_the_published_case() -> None:
    # Fagerland, Lydersen and Laake (2013), airway hyper-responsiveness before and after a transplant: 1, 1, 7, 12.
    found = mcnemar(*_pairs(1, 1, 7, 12))
    assert (found.both, found.only_first, found.only_second, found.neither) == (1, 1, 7, 12)
    assert (round(found.p_value, 4), round(found.mid_p_value, 4)) == (0.0703, 0.0391)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_mcnemar_equals_scipys_binomial(both: int, first: int, second: int, neither: int) -> None:
    found = mcnemar(*_pairs(both, first, second, neither))
    n = first + second
    expected = stats.binomtest(first, n).pvalue if n else 1.0
    assert found.p_value == pytest.approx(expected)
    point = stats.binom.pmf(np.arange(n + 1), n, 0.5)
    apart = np.abs(2 * np.arange(n + 1) - n)
    reached = abs(first - second)
    middle = point[apart > reached].sum() + point[apart == reached].sum() / 2  # mid-p of |X - n / 2|, n at least 1
    assert found.mid_p_value == pytest.approx(middle if n else 1.0)


def test_mcnemar_without_a_difference() -> None:
    assert mcnemar(*_pairs(3, 0, 0, 2)) == McNemar(3, 0, 0, 2, 1.0, 1.0)


@pytest.mark.parametrize("pair", [([True], [True, False]), ([1, 0], [1, 1]), ([[True]], [[True]])])
def test_mcnemar_wants_right_or_wrong_of_each_item(pair: tuple[list[object], list[object]]) -> None:
    with pytest.raises(UsageError, match="right or wrong of each item"):
        mcnemar(*pair)  # type: ignore[arg-type]


def test_totals_of_spans_give_the_f1_of_spans() -> None:
    rng = np.random.default_rng(0)
    truth = [{(i, i + 2, "PER") for i in rng.integers(0, 9, 3)} for _ in range(60)]
    good = [{span for span in item if rng.random() < 0.9} for item in truth]
    poor = [{span for span in item if rng.random() < 0.5} | {(20, 21, "PER")} for item in truth]

    def rows(given: list[set[tuple[int, int, str]]]) -> np.ndarray:
        counts = span_counts(truth, given)
        return np.stack([part.sum(axis=1) for part in (counts.right, counts.predicted, counts.true)], axis=1)

    found = compare_totals(f1, rows(good), rows(poor), rng=rng)
    assert found.first == pytest.approx(span_f1_score(truth, good))
    assert found.second == pytest.approx(span_f1_score(truth, poor))
    assert found.difference.value == pytest.approx(found.first - found.second)
    assert 0 < found.difference.low < found.difference.value < found.difference.high
    assert (found.n, found.p_value) == (60, 1 / 1001)
    same = compare_totals(f1, rows(good), rows(good), rng=rng)
    assert (same.difference.low, same.difference.high, same.p_value) == (0.0, 0.0, 1.0)


def test_totals_that_are_means_agree_with_the_comparison_by_item() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.1, 1.0, 200), rng.normal(0.0, 1.0, 200)
    ones = np.ones(200)
    by_item = compare_paired(first, second, rng=rng, resamples=4000)
    pair = np.stack([first, ones], axis=1), np.stack([second, ones], axis=1)
    for method in ("percentile", "bca"):
        by_totals = compare_totals(ratio, *pair, rng=rng, resamples=4000, method=method)
        assert by_totals.p_value == pytest.approx(by_item.p_value, abs=0.04)
        width = by_item.difference.high - by_item.difference.low
        assert by_totals.difference.low == pytest.approx(by_item.difference.low, abs=0.06 * width)
        assert by_totals.difference.high == pytest.approx(by_item.difference.high, abs=0.06 * width)


def test_groups_are_swapped_together() -> None:
    # One group of 50 alike rows is one observation: it cannot be a finding, however many rows it has.
    first, second = np.ones((50, 2)), np.tile([0.0, 1.0], (50, 1))
    found = compare_totals(ratio, first, second, rng=np.random.default_rng(2), groups=["a"] * 50)
    assert (found.n, found.p_value, found.difference.value) == (1, 1.0, 1.0)
    assert compare_totals(ratio, first, second, rng=np.random.default_rng(2)).p_value == 1 / 1001


@pytest.mark.parametrize("exact", [10_000, 10])
@pytest.mark.parametrize("few", [False, True])
def test_randomisation_errs_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch, exact: int, few: bool) -> None:
    monkeypatch.setattr(resampling, "EXACT", exact)
    rng = np.random.default_rng(3)
    draw = (lambda: rng.integers(-1, 2, 60).astype(float)) if few else (lambda: rng.exponential(1.0, 60) * _sign(rng))
    found = np.array([randomisation_p_value(draw(), rng=rng, resamples=99) for _ in range(300)])
    assert 0.04 <= (found <= 0.1).mean() <= 0.16


def _sign(rng: np.random.Generator) -> np.ndarray:
    return rng.choice([-1.0, 1.0], 60)


def test_a_randomisation_without_items_says_nothing() -> None:
    assert randomisation_p_value(np.array([]), rng=np.random.default_rng(0)) == 1.0


def test_systems_of_other_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="rows of the same items"):
        compare_totals(ratio, np.ones((2, 2)), np.ones((3, 2)), rng=np.random.default_rng(0))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_corrections_equal_their_definitions(values: list[float]) -> None:
    named = {str(at): value for at, value in enumerate(values)}
    false_share = benjamini_hochberg(named)
    assert list(false_share.values()) == pytest.approx(stats.false_discovery_control(values).tolist())
    any_false = adjusted_p_values(named)
    for name, value in named.items():
        assert value <= false_share[name] <= any_false[name] + 1e-12  # Holm is the stricter
        assert any_false[name] <= min(1.0, len(values) * value) + 1e-12  # and less strict than Bonferroni
