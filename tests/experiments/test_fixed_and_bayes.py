"""Tests for one look, posteriors and corrections, against scipy and worked examples of the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln, ndtr

from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.paired import benjamini_hochberg
from shared.experiments.bayes import beta_posterior, normal_posterior
from shared.experiments.fixed import bootstrap, proportions, relative, welch
from shared.experiments.many import corrected, dunnett_critical, dunnett_p
from shared.experiments.metrics import Estimate


def figure(values: np.ndarray) -> Estimate:
    return Estimate(values.size, float(values.mean()), float(values.var(ddof=1)) / values.size)


def test_welch_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, 30), rng.normal(0.5, 3, 20)
    found = welch(figure(one), figure(other), confidence=0.9)
    wanted = stats.ttest_ind(other, one, equal_var=False)
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval(0.9)))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_a_constant_metric_is_refused_although_its_mean_is_rounded(value: float) -> None:
    constant = np.full(1000, value)
    with pytest.raises(DataError, match="must vary within at least one arm"):
        welch(figure(constant), figure(constant))


def test_proportions_as_in_newcombes_first_example() -> None:
    found = proportions((48, 56), (80, 70))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    pooled = 104 / 150
    z = 0.2 / math.sqrt(pooled * (1 - pooled) * (1 / 80 + 1 / 70))
    assert found.p_value == pytest.approx(2 * stats.norm.sf(z))


@pytest.mark.parametrize("successes", [(0, 0), (5, 7)])
def test_proportions_of_nobody_or_everybody_are_refused(successes: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="must lie between 0 and 1 in all"):
        proportions(successes, (5, 7))


def test_the_bootstrap_of_a_mean_agrees_with_welch() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(0, 1, 400), rng.normal(0.2, 1, 400)
    found, wanted = bootstrap(one, other, rng=rng, resamples=2000), welch(figure(one), figure(other))
    assert found.value == pytest.approx(wanted.value)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.015)
    assert found.standard_error == pytest.approx(wanted.standard_error, rel=0.06)


def test_the_bootstrap_of_a_median_and_its_errors() -> None:
    rng = np.random.default_rng(2)
    found = bootstrap(np.arange(99.0), np.arange(99.0) + 30, rng=rng, statistic=lambda x: np.median(x, axis=-1))
    assert found.value == 30
    assert 0 < found.low < 30 < found.high
    with pytest.raises(UsageError, match="one finite number a unit"):
        bootstrap(np.array([1.0, np.nan]), np.ones(2), rng=rng)


def test_relative_change_and_where_there_is_none() -> None:
    share, low, high = relative(Estimate(9, 10.0, 0.01), Estimate(9, 11.0, 0.01), reach=2.0) or (0, 0, 0)
    error = math.sqrt(0.01 / 100 + 0.01 * 121 / 10_000)
    assert (share, low, high) == pytest.approx((0.1, 0.1 - 2 * error, 0.1 + 2 * error))
    assert relative(Estimate(9, 0.1, 0.01), Estimate(9, 1.0, 0.01), reach=2.0) is None


def chance_by_sum(a: tuple[int, int], b: tuple[int, int]) -> float:
    """P(B > A) of beta posteriors with whole parameters: E. Miller, "Formulas for Bayesian A/B testing" (2015)."""
    return sum(
        math.exp(betaln(a[0] + i, b[1] + a[1]) - math.log(b[1] + i) - betaln(1 + i, b[1]) - betaln(*a))
        for i in range(b[0])
    )


@pytest.mark.parametrize(("successes", "units"), [((3, 7), (20, 22)), ((100, 130), (1000, 1000)), ((0, 1), (4, 3))])
def test_the_chance_of_two_proportions_is_the_closed_form(successes: tuple[int, int], units: tuple[int, int]) -> None:
    found = beta_posterior(successes, units)
    a, b = ((1 + s, 1 + n - s) for s, n in zip(successes, units))
    assert found.chance == pytest.approx(chance_by_sum(a, b), abs=1e-9)
    assert found.loss_if_kept - found.loss_if_chosen == pytest.approx(found.value, abs=1e-9)


def test_a_credible_interval_of_large_samples_is_the_normal_one() -> None:
    found = beta_posterior((5000, 5200), (100_000, 100_000))
    error = math.sqrt(0.05 * 0.95 / 1e5 + 0.052 * 0.948 / 1e5)
    assert (found.low, found.high) == pytest.approx((0.002 - 1.96 * error, 0.002 + 1.96 * error), abs=2e-6)


def test_a_normal_prior_pulls_towards_its_mean() -> None:
    found = normal_posterior(Estimate(9, 0.0, 0.5), Estimate(9, 1.0, 0.5), prior_sd=1.0)
    assert found.value == pytest.approx(0.5)
    assert found.high - found.value == pytest.approx(1.959964 * math.sqrt(0.5))
    draws = np.random.default_rng(0).normal(0.5, math.sqrt(0.5), 400_000)
    assert found.loss_if_chosen == pytest.approx(np.maximum(0, -draws).mean(), rel=0.02)
    with pytest.raises(UsageError, match="prior_sd must be above 0"):
        normal_posterior(Estimate(9, 0.0, 0.5), Estimate(9, 1.0, 0.5), prior_sd=0.0)


@pytest.mark.parametrize(("arms", "wanted"), [(1, 1.96), (2, 2.21), (3, 2.35), (4, 2.44), (5, 2.51)])
def test_dunnetts_table_with_infinite_degrees_of_freedom(arms: int, wanted: float) -> None:
    assert dunnett_critical(1.0, [1.0] * arms) == pytest.approx(wanted, abs=0.006)


def test_dunnett_without_a_shared_control_is_sidak() -> None:
    assert dunnett_p(2.0, 0.0, [1.0, 3.0]) == pytest.approx(1 - (1 - 2 * stats.norm.sf(2.0)) ** 2)
    with pytest.raises(UsageError, match="variances of arms must be above 0"):
        dunnett_p(2.0, 1.0, [])


def test_corrections_are_those_of_scipy_and_holms() -> None:
    p_values = {"a": 0.001, "b": 0.04, "c": 0.03, "d": 0.5}
    wanted = stats.false_discovery_control(list(p_values.values()))
    assert list(benjamini_hochberg(p_values).values()) == pytest.approx(wanted.tolist())
    assert corrected(p_values) == pytest.approx({"a": 0.004, "b": 0.09, "c": 0.09, "d": 0.5})
    assert corrected(p_values, correction="none") == p_values
    with pytest.raises(UnknownNameError, match="no correction is called 'holms'. Nearest: holm"):
        corrected(p_values, correction="holms")


@pytest.mark.parametrize("zeros", [0.0, 0.9])
def test_welch_covers_skewed_and_mostly_empty_values(zeros: float) -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 1, (2, 1500, 1000)) * (rng.random((2, 1500, 1000)) >= zeros)
    means, variances = values.mean(axis=2), values.var(axis=2, ddof=1) / 1000
    found = [
        welch(Estimate(1000, *a), Estimate(1000, *b)) for a, b in zip(*(zip(m, v) for m, v in zip(means, variances)))
    ]
    assert np.mean([one.low <= 0 <= one.high for one in found]) == pytest.approx(0.95, abs=0.017)  # 3 standard errors


@pytest.mark.parametrize("control", [0.02, 50.0, 1000.0])
def test_dunnetts_integral_where_one_arm_is_much_smaller_than_the_others(control: float) -> None:
    own = [1.0, 2.0]
    x = np.linspace(-9, 9, 100_001)
    for z in (1.0, 2.2, 3.5):
        inside = stats.norm.pdf(x)
        for one in own:
            s = math.sqrt(control / (control + one))
            r = math.sqrt(1 - s * s)
            inside = inside * (ndtr((z - s * x) / r) - ndtr((-z - s * x) / r))
        assert dunnett_p(z, control, own) == pytest.approx(1 - np.trapezoid(inside, x), abs=1e-7)
