"""Figures of verification against scikit-learn, plain loops and cases by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as reference_curve

from shared.errors import UsageError
from shared.evaluation.verification import (
    auc_score,
    best_threshold,
    cross_validated,
    decisions_right,
    eer_error,
    roc_curve,
    stratified_folds,
    tar_at_far_score,
    threshold_at_far,
    verification_intervals,
)

Pairs = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def random_pairs(seed: int, n: int = 400, step: float = 0.05) -> Pairs:
    """Similarities with many ties."""
    rng = np.random.default_rng(seed)
    same = rng.random(n) < 0.4
    same[:2] = True, False
    return same, np.round((rng.normal(0, 1, n) + 1.5 * same) / step) * step


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_equals_the_reference(seed: int) -> None:
    same, similarity = random_pairs(seed)
    ours = roc_curve(same, similarity)
    far, tar, thresholds = reference_curve(same, similarity, drop_intermediate=False)
    np.testing.assert_allclose(ours.far, far)
    np.testing.assert_allclose(ours.tar, tar)
    np.testing.assert_allclose(ours.thresholds, thresholds)
    assert auc_score(same, similarity) == pytest.approx(roc_auc_score(same, similarity))


@pytest.mark.parametrize("seed", range(5))
def test_the_equal_error_rate_lies_where_the_errors_meet(seed: int) -> None:
    same, similarity = random_pairs(seed)
    far, tar, _ = reference_curve(same, similarity, drop_intermediate=False)
    grid = np.linspace(0, 1, 200_001)
    gap = grid - (1 - np.interp(grid, far, tar))
    # Where the curve steps up at one false-accept rate, interpolation over the rate is two-valued.
    assert eer_error(same, similarity) == pytest.approx(grid[np.abs(gap).argmin()], abs=0.01)
    assert eer_error(same, same * 1.0) == 0
    assert eer_error(same, -1.0 * same) == 1


def test_thresholds_at_a_false_accept_rate() -> None:
    impostors = np.arange(1000) / 1000
    for far, accepted in ((0.0, 0), (0.001, 1), (0.0109, 10), (0.5, 500)):
        threshold = threshold_at_far(impostors, far=far)
        assert (impostors >= threshold).sum() == accepted
    assert threshold_at_far([0.1, np.nan], far=0.2) == np.inf
    tied = threshold_at_far([0.3, 0.3, 0.3, 0.1], far=0.5)
    assert 0.3 < tied < 0.31  # two may pass, and the third is like them
    for arguments, words in (({"far": 1.0}, r"far must lie in \[0, 1\)"), ({"far": -0.1}, "far must lie in")):
        with pytest.raises(UsageError, match=words):
            threshold_at_far(impostors, **arguments)
    with pytest.raises(UsageError, match="at least 1 impostor pair"):
        threshold_at_far([], far=0.1)


def test_tar_at_far_by_hand() -> None:
    same = [True] * 4 + [False] * 4
    similarity = [0.9, 0.8, 0.5, 0.2, 0.7, 0.4, 0.1, 0.0]
    assert tar_at_far_score(same, similarity, far=0.0) == 0.5
    assert tar_at_far_score(same, similarity, far=0.25) == 0.75
    assert tar_at_far_score(same, similarity, far=0.5) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_than_the_best(seed: int) -> None:
    same, similarity = random_pairs(seed, n=60)
    best = decisions_right(same, similarity, threshold=best_threshold(same, similarity)).sum()
    every = [*similarity, similarity.max() + 1]
    assert best == max(int(((similarity >= cut) == same).sum()) for cut in every)


def test_pairs_that_could_not_be_compared_are_errors_everywhere() -> None:
    same = np.array([True, True, True, False, False, False])
    similarity = np.array([0.9, 0.8, np.nan, 0.1, 0.2, np.nan])
    assert decisions_right(same, similarity, threshold=0.5).tolist() == [True, True, False, True, True, False]
    curve = roc_curve(same, similarity)
    assert curve.far[1] == pytest.approx(1 / 3)
    assert curve.tar[-2] == pytest.approx(2 / 3)
    assert tar_at_far_score(same, similarity, far=0.0) == 0
    assert eer_error(same, similarity) == pytest.approx(1 / 3)
    assert best_threshold(same, similarity) == pytest.approx(0.5)
    assert best_threshold([True, False], [np.nan, np.nan]) == 0


def test_a_fold_is_judged_by_the_others() -> None:
    same = np.array([True, False] * 4)
    similarity = np.array([0.9, 0.1, 0.9, 0.1, 0.45, 0.4, 0.9, 0.1])
    folds = np.repeat([7, 8, 9, 10], 2)
    right, thresholds = cross_validated(same, similarity, folds)
    np.testing.assert_allclose(thresholds[4:6], 0.5)  # the middle between the other folds' 0.1 and 0.9
    assert right.tolist() == [True, True, True, True, False, True, True, True]
    with pytest.raises(UsageError, match="at least two folds"):
        cross_validated(same, similarity, np.zeros(8))


def test_folds_are_of_equal_make_up() -> None:
    same = np.array([True] * 50 + [False] * 30)
    folds = stratified_folds(same)
    for fold in range(10):
        assert (same[folds == fold].sum(), (~same)[folds == fold].sum()) == (5, 3)
    with pytest.raises(UsageError, match="count must be at least 2"):
        stratified_folds(same, count=1)


def test_intervals_hold_their_figures() -> None:
    same, similarity = random_pairs(0)
    options: dict[str, Any] = {"folds": stratified_folds(same), "far": 0.05}
    rng = np.random.default_rng
    found = verification_intervals(same, similarity, threshold=0.7, rng=rng(0), resamples=100, **options)
    assert list(found) == ["accuracy", "accuracy_at_threshold", "eer", "tar_at_far", "auc"]
    assert found["eer"].value == eer_error(same, similarity)
    assert found["tar_at_far"].value == tar_at_far_score(same, similarity, far=0.05)
    assert found["auc"].value == auc_score(same, similarity)
    assert all(metric.low < metric.value < metric.high for metric in found.values())
    again = verification_intervals(same, similarity, threshold=None, rng=rng(0), resamples=100, **options)
    assert "accuracy_at_threshold" not in again
    assert again["accuracy"] == found["accuracy"]


@pytest.mark.parametrize(
    ("same", "similarity", "words"),
    [
        ([True, True], [0.1, 0.2], "must hold genuine and impostor ones. Got 2 genuine of 2"),
        ([False], [0.1], "Got 0 genuine of 1"),
        ([True, False], [0.1], r"one shape \(n,\). Got \(2,\) and \(1,\)"),
    ],
)
def test_wrong_pairs_say_so(same: Any, similarity: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        roc_curve(same, similarity)
