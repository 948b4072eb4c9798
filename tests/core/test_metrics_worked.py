"""Metrics by examples that were worked out by hand, at their edges, with weights, and as a command."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from shared.cli.main import main, triptych
from shared.errors import UnknownNameError, UsageError
from shared.evaluation import clustering, multilabel, probabilities, regression
from shared.evaluation.classification import (
    balanced_accuracy_score,
    class_figures,
    kappa_score,
    macro_f1_score,
    matthews_score,
)
from shared.evaluation.metrics import METRICS, find_metric, measure

GROUPS = list("xxxxxoxoooodxxddd")
CLUSTERS = [0] * 6 + [1] * 6 + [2] * 5
"""Clusters of 5 x and 1 o, of 1 x, 4 o and 1 d, and of 2 x and 3 d."""
CHAINS = [0] * 5 + [1] * 2 + [2] * 5
"""Three chains; two responses join the second or the first with the third."""


def shares(counts: list[int]) -> list[float]:
    return [count / 17 for count in counts]


def entropy(counts: list[int]) -> float:
    return -sum(p * math.log(p) for p in shares(counts))


def test_the_groups_by_hand() -> None:
    """20 pairs right of 40 that are joined and 44 that should be; and what one grouping tells of the other."""
    joined, wanted, right = ([6, 6, 5], [8, 5, 4], [5, 1, 1, 4, 1, 2, 3])
    pairs = [sum(math.comb(n, 2) for n in counts) for counts in (joined, wanted, right)]
    assert pairs == [40, 44, 20]
    mutual = entropy(joined) + entropy(wanted) - entropy(right)
    assert measure("nmi", GROUPS, CLUSTERS) == pytest.approx(2 * mutual / (entropy(joined) + entropy(wanted)))
    assert measure("pairwise_f1", GROUPS, CLUSTERS) == pytest.approx(2 * 20 / (40 + 44))
    chance = 40 * 44 / math.comb(17, 2)
    assert measure("adjusted_rand", GROUPS, CLUSTERS) == pytest.approx((20 - chance) / ((40 + 44) / 2 - chance))


@pytest.mark.parametrize(
    ("name", "predicted", "wanted"),
    [
        ("bcubed_precision", [0] * 5 + [1] * 7, (5 * 1 + 2 * (2 / 7) + 5 * (5 / 7)) / 12),
        ("bcubed_recall", [0] * 5 + [1] * 7, 1.0),
        ("bcubed_precision", [0] * 5 + [1] * 2 + [0] * 5, (5 * (5 / 10) + 2 * 1 + 5 * (5 / 10)) / 12),
        ("bcubed_recall", [0] * 5 + [1] * 2 + [0] * 5, 1.0),
    ],
)
def test_chains_by_hand(name: str, predicted: list[int], wanted: float) -> None:
    assert measure(name, CHAINS, predicted) == pytest.approx(wanted)


def test_kappa_by_hand() -> None:
    """Of 100 items 29 agree; by chance 0.5 * 0.4 + 0.3 * 0.3 + 0.2 * 0.3 = 35 would."""
    table = [[25, 13, 12], [12, 2, 16], [3, 15, 2]]
    pairs = [("abc"[r], "abc"[c]) for r in range(3) for c in range(3) for _ in range(table[r][c])]
    assert kappa_score(*map(list, zip(*pairs))) == pytest.approx((0.29 - 0.35) / (1 - 0.35))


def test_ter_of_the_example_of_its_paper() -> None:
    """Snover et al. 2006: one shift, two substitutions and one insertion for 13 words of the reference."""
    written = "THIS WEEK THE SAUDIS denied information published in the new york times"
    reference = "SAUDI ARABIA denied THIS WEEK information published in the AMERICAN new york times"
    assert measure("ter", [reference], [written]) == pytest.approx(100 * 4 / 13)


def test_a_failed_item_is_wrong_and_no_label_of_its_own() -> None:
    truth, answers = ["a", "a", "b", "b"], ["a", None, "b", "b"]
    assert balanced_accuracy_score(truth, answers) == 0.75
    assert kappa_score(truth, answers) == pytest.approx((0.75 - 0.375) / (1 - 0.375))
    assert 0 < matthews_score(truth, answers) < 1
    found = class_figures(truth, answers)
    assert found.labels == ("a", "b")
    assert found.recall.tolist() == [0.5, 1.0]
    assert found.precision.tolist() == [1.0, 1.0]
    assert found.support.tolist() == [2, 2]
    assert float(found.f1.mean()) == pytest.approx(macro_f1_score(truth, answers))


def test_labels_that_only_one_side_has() -> None:
    truth, answers = ["a", "a", "b"], ["c", "a", "c"]
    assert balanced_accuracy_score(truth, answers) == 0.25
    found = class_figures(truth, answers)
    assert found.labels == ("a", "b", "c")
    assert found.precision.tolist() == [1.0, 0.0, 0.0]
    assert found.recall.tolist() == [0.5, 0.0, 0.0]


NOTHING: dict[str, tuple[Any, ...]] = {
    "labels": ([], []),
    "ranked labels": ([], []),
    "confidence": (np.zeros(0), np.zeros(0)),
    "probabilities": (np.zeros(0, np.int64), np.zeros((0, 3))),
    "scores": (np.zeros(0), np.zeros(0)),
    "label tables": (np.zeros((0, 3)), np.zeros((0, 3))),
    "label scores": (np.zeros((0, 3)), np.zeros((0, 3))),
    "numbers": (np.zeros(0), np.zeros(0)),
    "groups": ([], []),
    "written text": ([], []),
    "answers": ([], []),
    "rankings": ([], []),
}


@pytest.mark.parametrize("name", [name for name, card in METRICS.items() if card.kind in NOTHING])
def test_nothing_has_no_figure(name: str) -> None:
    assert np.isnan(measure(name, *NOTHING[METRICS[name].kind]))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (regression.explained_variance_score, sk.explained_variance_score),
        (regression.mape_error, sk.mean_absolute_percentage_error),
        (regression.median_absolute_error, sk.median_absolute_error),
        (regression.pinball_loss, sk.mean_pinball_loss),
    ],
)
def test_weights_are_scikit_learns(ours: Callable[..., float], theirs: Callable[..., float]) -> None:
    rng = np.random.default_rng(2)
    truth, predicted, weights = rng.uniform(1, 5, (3, 40))
    assert ours(truth, predicted, weights=weights) == pytest.approx(theirs(truth, predicted, sample_weight=weights))


def test_a_weight_counts_like_repeated_rows() -> None:
    truth, predicted = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.5, 1.0])
    once = [np.repeat(side, [1, 2, 3]) for side in (truth, predicted)]
    assert regression.smape_error(truth, predicted, weights=[1, 2, 3]) == pytest.approx(regression.smape_error(*once))


def test_a_truth_that_does_not_vary() -> None:
    assert regression.explained_variance_score([2, 2], [3, 3]) == 1.0
    assert regression.explained_variance_score([2, 2], [3, 4]) == 0.0
    assert np.isnan(regression.explained_variance_score([2], [2]))
    assert np.isnan(kappa_score(["a", "a"], ["a", "a"]))
    assert kappa_score(["a", "a"], ["b", "b"]) == 0.0
    assert matthews_score(["a", "a"], ["a", "b"]) == 0.0
    assert clustering.homogeneity_score([0, 0], [0, 1]) == 1.0
    assert np.isnan(clustering.pairwise_f1_score([0, 1], [0, 1]))


def test_one_label_only_is_still_a_table() -> None:
    truth, given_, scores = (np.array(v)[:, None] for v in ([1, 0, 1], [1, 1, 0], [0.9, 0.5, 0.4]))
    assert multilabel.macro_jaccard_score(truth, given_) == pytest.approx(1 / 3)
    assert multilabel.samples_f1_score(truth, given_) == pytest.approx(1 / 3)
    assert multilabel.macro_roc_auc_score(truth, scores) == 0.5
    assert multilabel.label_ranking_score(truth, scores) == 1.0


def test_labels_without_a_figure_are_left_out() -> None:
    truth, scores = np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.2], [0.1, 0.3]])
    assert multilabel.macro_roc_auc_score(truth, scores) == 1.0
    assert multilabel.macro_average_precision_score(truth, scores) == 1.0
    assert np.isnan(multilabel.macro_roc_auc_score(truth[:, 1:], scores[:, 1:]))
    assert multilabel.macro_jaccard_score(truth, truth) == 1.0


def test_equal_confidences_share_a_bin() -> None:
    right, sure = np.array([True, False, True, False, True]), np.array([0.5, 0.5, 0.5, 0.5, 0.9])
    wanted = (0.0 + 1 * 0.1) / 5
    assert probabilities.adaptive_calibration_error(right, sure, bins=3) == pytest.approx(wanted)
    assert probabilities.adaptive_calibration_error(right[::-1], sure[::-1], bins=3) == pytest.approx(wanted)


def test_a_confidence_at_a_quantile_belongs_to_the_bin_below() -> None:
    right, sure = np.array([False, False, True, True, True]), np.array([0.1, 0.2, 0.3, 0.8, 0.9])
    wanted = (abs(1 - 0.6) + abs(2 - 1.7)) / 5  # the median, 0.3, ends the first of two bins
    assert probabilities.adaptive_calibration_error(right, sure, bins=2) == pytest.approx(wanted)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30))
def test_groupings_agree_with_themselves_and_turn_about(pairs: list[tuple[int, int]]) -> None:
    truth, given_ = map(list, zip(*pairs))
    for name, card in METRICS.items():
        if card.kind == "groups":
            same, value = measure(name, truth, truth), measure(name, truth, given_)
            assert np.isnan(same) or same == pytest.approx(1.0)
            assert np.isnan(value) or card.low - 1e-9 <= value <= card.high + 1e-9
    assert clustering.bcubed_f1_score(truth, given_) == pytest.approx(clustering.bcubed_f1_score(given_, truth))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: balanced_accuracy_score(["a"], []), "one length. Got 1 and 0"),
        (lambda: regression.mape_error([0, 1], [1, 1]), "must not be 0.*Got 1 zeros: take smape_error"),
        (lambda: regression.smape_error([1], [1, 2]), r"one shape \(n,\)"),
        (lambda: regression.smape_error([1], [np.nan]), "must be finite"),
        (lambda: regression.smape_error([1], [1], weights=[0]), "weights must be at least 0"),
        (lambda: regression.pinball_loss([1], [1], quantile=1), "quantile must lie above 0 and below 1. Got 1"),
        (lambda: clustering.adjusted_rand_score([1], [1, 2]), "one length. Got 1 and 2"),
        (lambda: clustering.silhouette_score(np.zeros((3, 1)), [0, 0, 0]), "at least 2 clusters.*Got 1"),
        (lambda: clustering.silhouette_score(np.zeros((3, 1)), [0, 1]), r"Got \(3, 1\) and 2"),
        (lambda: probabilities.log_loss(np.array([3]), np.array([[0.5, 0.5]])), r"classes in 0\.\.1"),
        (lambda: probabilities.log_loss(np.array([0]), np.array([[2.5, 0.5]])), "are they logits"),
        (lambda: probabilities.brier_loss(np.array([0]), np.array([0.5])), r"\(n, classes\)"),
        (lambda: probabilities.adaptive_calibration_error([True], [1.5]), r"in \[0, 1\]"),
        (lambda: measure("token_f1", [["a"]], []), "answer for each of 1 questions. Got 0"),
        (lambda: multilabel.hamming_loss(np.zeros((2, 2)), np.zeros((2, 3))), r"Got \(2, 2\) and \(2, 3\)"),
        (lambda: multilabel.label_ranking_loss(np.zeros((1, 2)), np.array([[np.nan, 0]])), "without NaN"),
    ],
)
def test_wrong_arguments_say_so(call: Callable[[], float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def test_an_unknown_metric_lists_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="kappa"):
        find_metric("kapa")


def test_the_command_lists_all_one_kind_and_one() -> None:
    everything = CliRunner().invoke(triptych, ["metrics"], standalone_mode=False)
    assert all(f"  {name} " in everything.output for name in METRICS)
    kind = CliRunner().invoke(triptych, ["metrics", "points"], standalone_mode=False)
    assert kind.output.splitlines()[0] == "points: points (n, d), and the cluster of each"
    assert len(kind.output.splitlines()) == 2
    one = json.loads(CliRunner().invoke(triptych, ["metrics", "rmse", "--json"], standalone_mode=False).output)
    assert (one["better"], one["low"], one["high"]) == ("lower", 0, None)


def test_the_command_names_near_metrics(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["triptych", "metrics", "rmsee"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "rmse" in capsys.readouterr().err
