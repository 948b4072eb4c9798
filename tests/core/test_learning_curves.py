"""Learning curves: planted laws come back, intervals cover, and too little is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from shared.errors import UsageError
from shared.evaluation.learning_curves import LearningCurve, learning_curve
from shared.evaluation.report import Metric

SIZES = np.array([50, 100, 200, 400, 800, 1600])


@pytest.mark.parametrize("exponent", [0.1, 0.35, 1.0])
@pytest.mark.parametrize("rising", [True, False])
def test_a_law_without_noise_comes_back(exponent: float, rising: bool) -> None:
    drop = 0.4 * (SIZES / 50) ** -exponent
    figures = 0.9 - drop if rising else 0.1 + drop
    curve = learning_curve(SIZES, figures, higher_is_better=rising, rng=np.random.default_rng(0), resamples=50)
    assert curve.exponent.value == pytest.approx(exponent, rel=0.01)
    assert curve.limit.value == pytest.approx(0.9 if rising else 0.1, abs=0.01)
    then = 0.4 * (3200 / 50) ** -exponent
    assert curve.at(3200).value == pytest.approx(0.9 - then if rising else 0.1 + then, abs=1e-3)
    assert (curve.gain().value > 0) == rising


@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    figures = 0.9 - 1.5 * SIZES**-0.4 + rng.normal(0, 0.003, 6)
    curve = learning_curve(SIZES, figures, rng=rng, resamples=20)
    wanted, _ = curve_fit(lambda n, a, b, c: c - a * n**-b, SIZES.astype(float), figures, p0=(1.5, 0.4, 0.9))
    assert curve.exponent.value == pytest.approx(wanted[1], rel=1e-2)
    assert curve.limit.value == pytest.approx(wanted[2], abs=1e-3)


def test_a_size_of_more_runs_weighs_more() -> None:
    rng = np.random.default_rng(8)
    table = (0.9 - 1.5 * SIZES**-0.4)[:, None] + rng.normal(0, 0.01, (6, 9))
    table[[0, 2, 4], 1:] = np.nan
    curve = learning_curve(SIZES, table, rng=rng, resamples=5)
    sigma = 1 / np.sqrt((~np.isnan(table)).sum(axis=1))
    means = np.nanmean(table, axis=1)
    wanted, _ = curve_fit(lambda n, a, b, c: c - a * n**-b, SIZES.astype(float), means, p0=(1.5, 0.4, 0.9), sigma=sigma)
    assert (curve.exponent.value, curve.limit.value) == pytest.approx((wanted[1], wanted[2]), rel=1e-2)


def test_intervals_of_twice_the_data_cover() -> None:
    """Of 60 curves of 4 noisy runs a size, the 90 % interval holds the truth at twice the size in 80 % or more."""
    truth = 0.9 - 1.5 * 3200**-0.4
    held, foretold = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        figures = (0.9 - 1.5 * SIZES**-0.4)[:, None] + rng.normal(0, 0.01, (6, 4))
        curve = learning_curve(SIZES, figures, best=1.0, rng=rng, resamples=200, confidence=0.9)
        held += curve.at(3200).low <= truth <= curve.at(3200).high
        foretold += curve.fits is True
    assert held >= 48
    assert foretold >= 48


def test_a_curve_that_breaks_is_not_relied_on() -> None:
    figures = 0.9 - 1.5 * SIZES**-0.4
    figures[-1] += 0.06
    table = figures[:, None] + np.array([-0.002, 0, 0.002])
    curve = learning_curve(SIZES, table, rng=np.random.default_rng(0))
    assert curve.fits is False
    assert "do not rely on it" in curve.sentence()


def test_the_sentence_says_what_twice_the_data_would_give() -> None:
    table = (0.9 - 2 * SIZES**-0.5)[:, None] + np.array([-0.001, 0, 0.001])
    curve = learning_curve(SIZES, table, best=1.0, rng=np.random.default_rng(0))
    assert curve.fits is True
    assert curve.sentence().startswith("twice the data (3,200 instead of 1,600) would give 0.8646 (0.86")
    assert "a change of +0.015" in curve.sentence()
    assert curve.sentence(4).startswith("4 times the data (6,400 instead of 1,600)")


def test_a_flat_curve_may_gain_nothing() -> None:
    rng = np.random.default_rng(0)
    curve = learning_curve(SIZES, 0.7 + rng.normal(0, 0.01, (6, 3)), rng=rng)
    assert curve.gain().low == pytest.approx(0, abs=1e-12)
    assert curve.sentence().split("; ")[0].endswith("which may be none at all")


def test_the_bound_holds_and_rows_may_come_in_any_order_with_gaps() -> None:
    figures = 1.02 - 0.6 * (SIZES / 50) ** -0.3
    table = np.column_stack([figures, figures])
    table[2, 1] = np.nan
    options = {"best": 1.0, "resamples": 100}
    curve = learning_curve(SIZES, table, rng=np.random.default_rng(0), **options)  # type: ignore[arg-type]
    turned = learning_curve(SIZES[::-1], table[::-1], rng=np.random.default_rng(0), **options)  # type: ignore[arg-type]
    assert curve.limit.high <= 1.0
    assert curve.at(10**9).value <= 1.0
    assert curve.at(3200) == turned.at(3200)


def test_figures_have_pooled_intervals() -> None:
    table = (0.9 - 2 * SIZES**-0.5)[:, None] + np.array([-0.01, 0, 0.01])
    first = learning_curve(SIZES, table, rng=np.random.default_rng(0)).figures[0]
    assert first.high - first.value == pytest.approx(2.178813 * 0.01 / np.sqrt(3))  # Student's with 12 degrees


@pytest.mark.parametrize(
    ("sizes", "figures", "match"),
    [
        ([10, 20, 40, 80], [0.1, 0.2, 0.3, 0.4], "needs 5 different sizes"),
        ([10, 20, 40], [[0.1, 0.2]] * 3, "needs 4 different sizes"),
        ([10, 11, 12, 13], [[0.1, 0.2]] * 4, "4 times the smallest"),
        ([10, 10, 20, 40, 80], [0.1] * 5, "put runs of one size into one row"),
        ([10, 20, 40, 80], [[0.1, 0.2]] * 3 + [[np.nan, np.nan]], r"Got none at \[80\]"),
        ([10, 20, 40, 80, 160], [0.1, 0.2, 0.3, 0.4, 1.1], "no figure can pass best=1.0"),
        ([10.0, 20.0], [0.1, 0.2], "float64"),
    ],
)
def test_too_little_is_refused(sizes: list[float], figures: list[object], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        learning_curve(np.array(sizes), np.array(figures), best=1.0, rng=np.random.default_rng(0))


def test_sizes_asked_for_and_results_are_checked() -> None:
    curve = learning_curve(SIZES, 0.9 - 2 * SIZES**-0.5, rng=np.random.default_rng(0), resamples=5)
    with pytest.raises(UsageError, match="size must be above 0"):
        curve.at(0)
    with pytest.raises(UsageError, match="times must be above 0"):
        curve.gain(-1)
    metric = Metric(0, 0, 0)
    with pytest.raises(UsageError, match="sizes must rise"):
        LearningCurve(np.array([2, 1]), (metric, metric), metric, metric, None, np.zeros((2, 3)), 0.95)
