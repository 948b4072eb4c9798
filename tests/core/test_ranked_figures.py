"""Areas under curves and figures of several labels, beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from shared.errors import UsageError
from shared.evaluation.ranked import (
    average_precision_score,
    labels_f1_score,
    micro_f1_score,
    ranking,
    roc_auc_score,
)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("places", [1, 2, 8], ids=lambda places: f"{places} decimals")
def test_areas_are_scikit_learns_with_and_without_ties(seed: int, places: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(200) < 0.3
    scores = np.round(rng.normal(positive * 0.7), places)
    assert roc_auc_score(positive, scores) == pytest.approx(metrics.roc_auc_score(positive, scores))
    assert average_precision_score(positive, scores) == pytest.approx(metrics.average_precision_score(positive, scores))


def test_counts_stand_for_items_drawn_again() -> None:
    rng = np.random.default_rng(0)
    positive, scores = rng.random(80) < 0.4, np.round(rng.random(80), 1)
    found = ranking(positive, scores)
    for _ in range(20):
        at = rng.integers(0, 80, 80)
        counts = np.bincount(at, minlength=80)
        assert found.roc_auc_score(counts) == pytest.approx(metrics.roc_auc_score(positive[at], scores[at]))
        wanted = metrics.average_precision_score(positive[at], scores[at])
        assert found.average_precision_score(counts) == pytest.approx(wanted)


@pytest.mark.parametrize("positive", [[], [True, True], [False, False]])
def test_an_area_without_both_kinds_is_no_number(positive: list[bool]) -> None:
    truth, scores = np.array(positive, bool), np.linspace(0, 1, len(positive))
    assert np.isnan(roc_auc_score(truth, scores))
    assert np.isnan(average_precision_score(truth, scores)) == (not any(positive))


def test_f1_of_several_labels_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.random((60, 5)) < 0.3, rng.random((60, 5)) < 0.4
    assert micro_f1_score(truth, predicted) == pytest.approx(metrics.f1_score(truth, predicted, average="micro"))
    assert labels_f1_score(truth, predicted) == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))


def test_a_label_that_nowhere_stands_is_left_out_of_the_mean() -> None:
    truth = np.array([[True, False, False], [True, True, False]])
    assert labels_f1_score(truth, truth) == 1.0
    assert np.isnan(micro_f1_score(truth[:, 2:], truth[:, 2:]))
    assert np.isnan(labels_f1_score(truth[:, 2:], truth[:, 2:]))


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(UsageError, match=r"two \(n,\) arrays of one length, without NaN. Got \(2,\) and \(3,\)"):
        ranking(np.zeros(2, bool), np.zeros(3))
    with pytest.raises(UsageError, match="without NaN"):
        ranking(np.zeros(1, bool), np.array([np.nan]))
    with pytest.raises(UsageError, match=r"two \(n, labels\) arrays of one shape"):
        micro_f1_score(np.zeros((2, 2), bool), np.zeros((2, 3), bool))
