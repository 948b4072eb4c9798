"""Intervals and classification figures against worked values and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score as sk_accuracy
from sklearn.metrics import f1_score as sk_f1

from shared.errors import UsageError
from shared.evaluation import Evaluation, Metric, bootstrap, mean_interval, wilson
from shared.evaluation.classification import accuracy_score, hits, macro_f1_score, top_k_score


def test_both_bootstraps_cover_the_true_mean_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(0)
    fast = slow = 0
    for _ in range(300):
        sample = rng.exponential(1.0, 80)
        metric = mean_interval(sample, rng=rng, resamples=300)
        fast += metric.low <= 1.0 <= metric.high
        metric = bootstrap(lambda i, s=sample: float(s[i].mean()), 80, rng=rng, resamples=200)  # type: ignore[misc]
        slow += metric.low <= 1.0 <= metric.high
    assert 0.88 <= fast / 300 <= 0.98
    assert 0.88 <= slow / 300 <= 0.98


def test_the_interval_of_a_mean_does_not_depend_on_how_it_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=50)
    whole = mean_interval(values, rng=np.random.default_rng(2))
    monkeypatch.setattr("shared.evaluation.intervals._BLOCK", 120)
    parts = mean_interval(values, rng=np.random.default_rng(2))
    assert (whole.low, whole.high) == pytest.approx((parts.low, parts.high))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (15, 20, 0.5313, 0.8881), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_equals_published_values(successes: int, n: int, low: float, high: float) -> None:
    metric = wilson(successes, n)
    assert (metric.low, metric.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: mean_interval(np.array([]), rng=r), "at least 1 item"),
        (lambda r: mean_interval(np.array([np.nan]), rng=r), "without NaN"),
        (lambda r: mean_interval(np.ones(2), rng=r, confidence=1.0), "confidence must lie between 0 and 1"),
        (lambda r: bootstrap(lambda i: 0.0, 3, rng=r, resamples=0), "resamples must be at least 1"),
        (lambda r: wilson(4, 3), r"successes must lie in 0..3"),
        (lambda r: Metric(0.5, 0.6, 0.4), "low <= high"),
    ],
)
def test_wrong_arguments_say_so(call: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(np.random.default_rng(0))  # type: ignore[operator]


def test_undefined_resamples_are_left_out() -> None:
    metric = bootstrap(lambda i: float("nan") if 0 in i else 1.0, 3, rng=np.random.default_rng(0))
    assert (metric.low, metric.high) == (1.0, 1.0)


def test_classification_figures_equal_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        truth, given = (list(rng.choice(["a", "b", "c", "d"], 30)) for _ in range(2))
        assert accuracy_score(truth, given) == pytest.approx(sk_accuracy(truth, given))
        assert macro_f1_score(truth, given) == pytest.approx(sk_f1(truth, given, average="macro"))


def test_figures_do_not_change_with_order_or_names() -> None:
    truth, given = ["a", "b", "b", "c"], ["b", "b", "a", "c"]
    names = {"a": "x", "b": "y", "c": "z"}
    for metric in (accuracy_score, macro_f1_score):
        wanted = metric(truth, given)
        assert metric(truth[::-1], given[::-1]) == pytest.approx(wanted)
        assert metric([names[t] for t in truth], [names[g] for g in given]) == pytest.approx(wanted)


def test_a_failed_item_is_wrong_everywhere() -> None:
    assert accuracy_score(["a", "b"], ["a", None]) == 0.5
    assert macro_f1_score(["a", "b"], ["a", None]) == 0.5
    assert hits(["a", "b"], [["a"], []], k=5).tolist() == [True, False]


def test_empty_and_unequal_inputs() -> None:
    assert np.isnan(accuracy_score([], []))
    assert np.isnan(macro_f1_score([], []))
    assert np.isnan(top_k_score([], [], k=1))
    with pytest.raises(UsageError, match="one length. Got 1 and 2 instead"):
        accuracy_score(["a"], ["a", "b"])
    with pytest.raises(UsageError, match="k must be at least 1"):
        hits(["a"], [["a"]], k=0)


def test_an_evaluation_prints_as_json_and_text() -> None:
    result = Evaluation("t", "m", "d", 3, 1, {"top1": Metric(0.5, 0.25, 0.75)}, {"seed": 0})
    assert result.to_json()["metrics"] == {"top1": {"value": 0.5, "low": 0.25, "high": 0.75}}
    assert "top1    0.5000  [0.2500, 0.7500]" in result.to_text()
