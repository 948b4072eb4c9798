from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from shared.errors import UsageError
from shared.evaluation.beyond import (
    calibration_error,
    coverage_score,
    diversity_score,
    exposure,
    gini_error,
    list_diversity_score,
    novelty_score,
    popularity_error,
    popularity_lift,
    serendipity_score,
)

RANKED = np.array([[0, 1, 2], [0, 3, -1], [-1, -1, -1]])
COUNTS = np.array([8, 4, 2, 1, 0])
NAN = float("nan")


def test_coverage_counts_the_catalogue() -> None:
    assert coverage_score(RANKED, items=5) == 4 / 5
    assert coverage_score(np.zeros((0, 3), dtype=int), items=5) == 0
    assert exposure(RANKED, items=5).tolist() == [2, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("exposures", "wanted"),
    [([1, 1, 1, 1], 0.0), ([0, 0, 0, 4], 3 / 4), ([3, 1], 1 / 4), ([5], 0.0), ([0, 0], NAN), ([], NAN)],
)
def test_gini_by_hand(exposures: list[float], wanted: float) -> None:
    np.testing.assert_allclose(gini_error(exposures), wanted)


def test_gini_is_the_mean_difference_over_twice_the_mean() -> None:
    values = np.random.default_rng(0).gamma(0.5, size=40)
    wanted = np.abs(values[:, None] - values).mean() / (2 * values.mean())
    np.testing.assert_allclose(gini_error(values), wanted)
    np.testing.assert_allclose(gini_error(values[::-1] * 7), wanted)


def test_novelty_and_popularity_by_hand() -> None:
    np.testing.assert_allclose(novelty_score(RANKED, COUNTS, users=8), [(0 + 1 + 2) / 3, (0 + 3) / 2, NAN])
    np.testing.assert_allclose(novelty_score(np.array([[4]]), COUNTS, users=8), [3])  # nobody counts as one
    np.testing.assert_allclose(popularity_error(RANKED, COUNTS), [14 / 3, 9 / 2, NAN])


def test_popularity_lift_is_against_the_own_history() -> None:
    histories = csr_matrix(np.array([[0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]))
    np.testing.assert_allclose(popularity_lift(RANKED, histories, COUNTS), [(14 / 3) / 3 - 1, NAN, NAN])
    with pytest.raises(UsageError, match="of the same users. Got 3 and 2"):
        popularity_lift(RANKED, histories[:2], COUNTS)


def test_diversity_by_features_is_that_by_their_cosines() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(30, 4))
    ranked = np.array([rng.choice(30, 6, replace=False) for _ in range(10)])
    ranked[3, 2:] = -1
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(diversity_score(ranked, features), list_diversity_score(ranked, units @ units.T))
    by_hand = np.mean([1 - units[a] @ units[b] for at, a in enumerate(ranked[0]) for b in ranked[0][:at]])
    np.testing.assert_allclose(diversity_score(ranked, features)[0], by_hand)


@pytest.mark.parametrize("metric", [diversity_score, list_diversity_score])
def test_one_item_has_no_diversity(metric: Callable[..., np.ndarray]) -> None:
    assert np.isnan(metric(np.array([[1, -1], [-1, -1]]), np.eye(2))).all()


def test_serendipity_needs_use_and_surprise() -> None:
    relevant = np.array([[True, True, False], [True, True, True], [False] * 3])
    expected = np.array([[0, 9], [1, 2], [0, 1]])
    np.testing.assert_allclose(serendipity_score(RANKED, relevant, expected), [1 / 3, 2 / 2, NAN])


def test_calibration_is_steck_s() -> None:
    genres = np.array([[2, 0], [0, 1], [1, 1], [0, 0]])
    histories = csr_matrix(np.array([[1.0, 0, 0, 0], [1, 3, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0]]))
    ranked = np.array([[1, 2], [0, 1], [0, 1], [3, -1]])
    mixed = 0.99 * np.array([0.25, 0.75]) + 0.01 * np.array([1, 0])
    q = 0.99 * np.array([0.5, 0.5]) + 0.01 * np.array([0.25, 0.75])
    wanted = [np.log(1 / mixed[0]), 0.25 * np.log(0.25 / q[0]) + 0.75 * np.log(0.75 / q[1]), NAN, NAN]
    np.testing.assert_allclose(calibration_error(ranked, histories, genres), wanted)


def test_a_faithful_list_is_calibrated() -> None:
    rng = np.random.default_rng(2)
    genres = rng.random((20, 3))
    ranked = np.array([rng.choice(20, 5, replace=False) for _ in range(6)])
    rows = np.repeat(np.arange(6), 5)
    histories = csr_matrix((np.ones(30), (rows, ranked.ravel())), shape=(6, 20))
    np.testing.assert_allclose(calibration_error(ranked, histories, genres), 0, atol=1e-12)
    other = csr_matrix((np.ones(30), (rows, (ranked.ravel() + 7) % 20)), shape=(6, 20))
    assert (calibration_error(ranked, other, genres) > 1e-4).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coverage_score(RANKED, items=3), "codes must lie below the number of items, 3. Got 3"),
        (lambda: coverage_score([[0.5]], items=3), r"whole-number array of shape \(n, k\). Got float64"),
        (lambda: coverage_score([0, 1], items=3), "whole-number array"),
        (lambda: gini_error([-1, 2]), "exposures must be"),
        (lambda: novelty_score(RANKED, COUNTS, users=7), "users must be at least the greatest count, 8. Got 7"),
        (lambda: popularity_error(RANKED, [1, -1, 2, 3]), "counts must be"),
        (lambda: diversity_score(RANKED, [1, 2, 3]), "features must be a finite array"),
        (lambda: list_diversity_score(RANKED, np.ones((4, 3))), r"shape \(items, items\)"),
        (lambda: serendipity_score(RANKED, RANKED[:2] > 0, RANKED), "ranked and relevant must have shape"),
        (lambda: calibration_error(RANKED, csr_matrix((2, 4)), np.eye(4)), r"histories must have shape \(3, 4\)"),
        (lambda: calibration_error(RANKED, csr_matrix((3, 4)), np.eye(4), alpha=0), "alpha must lie"),
        (lambda: calibration_error(RANKED, csr_matrix((3, 4)), -np.eye(4)), "categories must be"),
    ],
)
def test_wrong_arguments_say_so(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()
