from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shared.errors import UsageError
from shared.evaluation.rating import mae_error, r2_score, rmse_error

METRICS = [rmse_error, mae_error, r2_score]
PEERS = ["root_mean_squared_error", "mean_absolute_error", "r2_score"]


@pytest.mark.parametrize(("metric", "peer"), list(zip(METRICS, PEERS)))
@pytest.mark.parametrize("weighted", [False, True])
def test_equal_to_scikit_learn(metric: Callable[..., float], peer: str, weighted: bool) -> None:
    theirs = getattr(pytest.importorskip("sklearn.metrics"), peer)
    rng = np.random.default_rng(0)
    truth, weights = rng.integers(1, 6, 200), rng.random(200) if weighted else None
    for predicted in (truth + rng.normal(size=200), rng.random(200) * 5, truth, np.full(200, 3.0)):
        np.testing.assert_allclose(
            metric(truth, predicted, weights=weights), theirs(truth, predicted, sample_weight=weights), atol=1e-12
        )


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_has_no_figure(metric: Callable[..., float]) -> None:
    assert np.isnan(metric([], []))


def test_r2_where_the_truth_does_not_vary() -> None:
    assert r2_score([3, 3], [3, 3]) == 1.0
    assert r2_score([3, 3], [3, 4]) == 0.0
    assert np.isnan(r2_score([3], [3]))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("truth", "predicted", "weights", "message"),
    [
        ([1, 2], [1], None, r"one shape \(n,\). Got \(2,\), \(1,\)"),
        ([1, np.nan], [1, 2], None, "must be finite"),
        ([1, 2], [1, np.inf], None, "must be finite"),
        ([1, 2], [1, 2], [1, -1], "weights must be at least 0, and not all 0"),
        ([1, 2], [1, 2], [0, 0], "weights must be at least 0, and not all 0"),
    ],
)
def test_wrong_arguments_say_so(
    metric: Callable[..., float], truth: list[float], predicted: list[float], weights: list[float] | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        metric(truth, predicted, weights=weights)
