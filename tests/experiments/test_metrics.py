"""Moments, metrics from them, and adjustment by covariates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared.errors import DataError, UnknownNameError, UsageError
from shared.experiments.adjust import adjust, contrast_variance
from shared.experiments.metrics import Metric, estimate, from_table
from shared.experiments.moments import Moments, empty, grouped, merge, moments_of
from shared.types import Result

NUMBERS = st.floats(-1e3, 1e3, allow_nan=False)


@given(arrays(np.float64, (7, 2), elements=NUMBERS), st.integers(0, 7))
def test_moments_of_parts_add_up(values: np.ndarray, cut: int) -> None:
    found, wanted = merge([moments_of(values[:cut]), moments_of(values[cut:])]), moments_of(values)
    assert found.n == wanted.n
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-9)
    np.testing.assert_allclose(found.products, wanted.products, atol=1e-5)


def test_no_digits_are_lost_where_the_mean_is_large() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    parts = [moments_of(part + 1e9) for part in np.split(values, 10)]
    assert merge(parts).covariance[0, 0] == pytest.approx(values.var(ddof=1), rel=1e-6)


def test_groups_are_those_of_masks_and_json_returns() -> None:
    values = np.arange(8.0).reshape(4, 2)
    found = grouped(values, np.array([1, -1, 1, 0]), 3)
    assert [one.n for one in found] == [1, 2, 0]
    assert found[1] == moments_of(values[[0, 2]])
    assert Result.from_json(found[1].to_json()) == found[1]


def test_moment_errors() -> None:
    with pytest.raises(UsageError, match="must be finite"):
        moments_of(np.array([1.0, np.nan]))
    with pytest.raises(UsageError, match="at least 2 units"):
        _ = empty(1).covariance
    with pytest.raises(UsageError, match="same variables"):
        moments_of([1.0]).merged(moments_of([[1.0, 2.0]]))


def test_a_ratio_has_the_jackknifes_error() -> None:
    rng = np.random.default_rng(0)
    views = rng.poisson(5, 400) + 1.0
    clicks = rng.binomial(views.astype(int), 0.3).astype(float)
    found = estimate(Metric("ctr", "ratio", "c", denominator="v"), moments_of(np.stack([clicks, views], 1)))
    left = (clicks.sum() - clicks) / (views.sum() - views)
    jackknife = (399 / 400) * ((left - left.mean()) ** 2).sum()
    assert found.value == clicks.sum() / views.sum()
    assert found.variance == pytest.approx(jackknife, rel=0.01)


def test_a_ratio_over_nothing_and_a_lonely_unit_are_refused() -> None:
    ratio = Metric("ctr", "ratio", "c", denominator="v")
    with pytest.raises(DataError, match="denominator must not be 0"):
        estimate(ratio, moments_of([[1.0, 0.0], [2.0, 0.0]]))
    with pytest.raises(DataError, match="at least 2 units"):
        estimate(ratio, moments_of([[1.0, 1.0]]))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"kind": "meen", "column": "x"}, "Nearest: mean"),
        ({"kind": "mean"}, "must have 'column'"),
        ({"kind": "mean", "column": "x", "colum": "y"}, "Nearest: column"),
        ({"kind": "mean", "column": 3}, "must be of type str. Got 3"),
        ({"kind": "ratio", "column": "x"}, "must have a denominator"),
        ({"kind": "mean", "column": "x", "denominator": "y"}, "only a ratio"),
        ({"kind": "quantile", "column": "x"}, "must say which"),
        ({"kind": "quantile", "column": "x", "quantile": 1.0}, "between 0 and 1"),
        ({"kind": "retention", "column": "x"}, "must have a window"),
        ({"kind": "retention", "column": "x", "window": [7]}, "must be of type tuple"),
        ({"kind": "retention", "column": "x", "window": [9, 7]}, "first <= last"),
        ({"kind": "mean", "column": "x", "observed": "y"}, "belongs to a window"),
        ({"kind": "mean", "column": "x", "window": [7, 13]}, "must have a column 'day'"),
        ({"kind": "mean", "column": "x", "day": "d"}, "must have a column 'day'"),
        ({"kind": "mean", "column": "x", "window": [7, 13], "day": "d"}, "must say what a unit without rows"),
        ({"kind": "mean", "column": "x", "margin": 2}, "margin must be a share"),
        ({"kind": "mean", "column": "x", "role": "main"}, "no role of a metric is called 'main'"),
        ({"kind": "proportion", "column": "x", "aggregate": "sum"}, "by max or min. Got sum"),
        ({"kind": "mean", "column": "x", "aggregate": "median"}, "no aggregate is called 'median'"),
    ],
)
def test_metrics_that_mean_nothing_are_refused(row: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_table("m", row)


def arms(n: int = 4000, *, slope: float = 0.8, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, Moments]]:
    """Two arms of (outcome, covariate) whose slopes differ, the effect being 0.5."""
    rng = np.random.default_rng(seed)
    found = {}
    for at, arm in enumerate(("control", "treatment")):
        x = rng.normal(3, 1, n // (at + 1))
        y = 1 + 0.5 * at + (slope + 0.4 * at) * (x - 3) + 0.6 * rng.normal(size=x.size)
        found[arm] = np.stack([y, x], 1)
    return found, {arm: moments_of(values) for arm, values in found.items()}


def test_cuped_is_its_formula() -> None:
    values, moments = arms()
    found = adjust(Metric("y", "mean", "y", covariates=("x",)), moments)
    centred = np.concatenate([v - v.mean(axis=0) for v in values.values()])
    theta = (centred[:, 0] @ centred[:, 1]) / (centred[:, 1] @ centred[:, 1])
    middle = np.concatenate(list(values.values()))[:, 1].mean()
    for arm, v in values.items():
        moved = v[:, 0] - theta * (v[:, 1] - middle)
        assert found.arms[arm].value == pytest.approx(moved.mean())
        assert found.arms[arm].variance == pytest.approx(moved.var(ddof=1) / len(v))


def test_cuped_cuts_the_variance_by_the_square_of_the_correlation() -> None:
    _, moments = arms(20_000)
    single = {"control": moments["control"]}
    found = adjust(Metric("y", "mean", "y", covariates=("x",)), single)
    s = moments["control"].covariance
    assert found.variance_cut == pytest.approx(s[0, 1] ** 2 / s[0, 0] / s[1, 1], rel=1e-9)
    assert found.variance_cut == pytest.approx(0.64, abs=0.02)


def test_regression_is_lins_with_robust_errors() -> None:
    values, moments = arms()
    metric = Metric("y", "mean", "y", covariates=("x",))
    found = adjust(metric, moments, method="regression")
    y = np.concatenate([v[:, 0] for v in values.values()])
    x = np.concatenate([v[:, 1] for v in values.values()])
    t = np.repeat([0.0, 1.0], [len(v) for v in values.values()])
    centred = x - x.mean()
    design = np.stack([np.ones_like(y), t, centred, t * centred], 1)
    bread = np.linalg.inv(design.T @ design)
    rest = y - design @ (bread @ design.T @ y)
    hat = np.einsum("ij,jk,ik->i", design, bread, design)
    robust = bread @ (design.T * (rest**2 / (1 - hat))) @ design @ bread  # HC2
    difference = found.arms["treatment"].value - found.arms["control"].value
    assert difference == pytest.approx((bread @ design.T @ y)[1])
    variance = sum(one.variance for one in found.arms.values())
    assert variance == pytest.approx(robust[1, 1], rel=0.02)
    assert contrast_variance(found, moments, metric, "control", "treatment") == pytest.approx(
        (0.4**2) * x.var() / len(y), rel=0.15
    )


def test_an_adjusted_ratio_follows_its_linear_form() -> None:
    rng = np.random.default_rng(0)
    moments = {}
    for arm in "ab":
        size = rng.gamma(2, 2, 5000)
        views = rng.poisson(3 + size).astype(float)
        clicks = views * np.clip(0.1 + 0.02 * size + rng.normal(0, 0.02, 5000), 0, 1)
        moments[arm] = moments_of(np.stack([clicks, views, size], 1))
    metric = Metric("ctr", "ratio", "c", denominator="v", covariates=("size",))
    found = adjust(metric, moments)
    plain = {arm: estimate(metric, one) for arm, one in moments.items()}
    for arm, one in found.arms.items():
        assert one.variance < 0.6 * plain[arm].variance
        assert one.value == pytest.approx(plain[arm].value, abs=4 * math.sqrt(plain[arm].variance))


def test_covariates_that_explain_nothing() -> None:
    constant = {arm: moments_of(np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]])) for arm in "ab"}
    metric = Metric("y", "mean", "y", covariates=("x",))
    with pytest.raises(DataError, match="at least one covariate must vary"):
        adjust(metric, constant)
    with pytest.raises(UnknownNameError, match="Nearest: cuped"):
        adjust(metric, constant, method="cupped")
    twin = {arm: moments_of(np.random.default_rng(0).normal(size=(9, 2))[:, [0, 1, 1]]) for arm in "ab"}
    once = {arm: moments_of(np.random.default_rng(0).normal(size=(9, 2))) for arm in "ab"}
    pair = adjust(metric, twin).arms["a"], adjust(metric, once).arms["a"]
    assert pair[0].variance == pytest.approx(pair[1].variance), "a covariate that stands twice counts once"
