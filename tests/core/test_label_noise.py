"""Candidates of wrong labels: cleanlab's own answers, and noise that was planted."""

from __future__ import annotations

import numpy as np
import pytest

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.label_noise import LabelNoise, label_noise

CONFIDENT_1 = """4 11 40 43 56 66 76 84 93 113 117 119 122 124 127 129 130 139 142 146 148 151 154 156 163 166 170 178
179 181 192 196 197 198 199"""
NOISE_RATE_1 = """4 11 32 40 43 56 66 76 84 93 98 113 117 119 122 124 127 128 129 130 132 139 142 146 148 151 154 156
157 162 163 166 167 169 170 178 179 181 192 196 197 198 199"""
JOINT_1 = [[24, 4, 2, 3], [6, 27, 3, 1], [1, 3, 26, 5], [4, 1, 2, 31]]


def drawn(seed: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, n)
    labels = np.where(rng.random(n) < 0.2, rng.integers(0, classes, n), true)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), true] += 2.25
    chances = np.exp(logits)
    return labels, chances / chances.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("seed", "n", "classes", "rule", "items", "joint"),
    [
        (0, 60, 3, "confident", "2 31 36 39", [[11, 0, 0], [1, 12, 0], [1, 2, 13]]),
        (0, 60, 3, "noise_rate", "2 31 32 36 39", [[11, 0, 0], [1, 12, 0], [1, 2, 13]]),
        (1, 200, 4, "confident", CONFIDENT_1, JOINT_1),
        (1, 200, 4, "noise_rate", NOISE_RATE_1, JOINT_1),
        (2, 37, 2, "confident", "0 10 29", [[11, 2], [1, 15]]),
        (2, 37, 2, "noise_rate", "0 10 20 29", [[11, 2], [1, 15]]),
    ],
)
def test_candidates_and_joint_are_cleanlabs(
    seed: int, n: int, classes: int, rule: str, items: str, joint: list[list[int]]
) -> None:
    """Golden values of cleanlab 2.9.0: find_label_issues and compute_confident_joint(calibrate=False)."""
    found = label_noise(*drawn(seed, n, classes), rule=rule)  # type: ignore[arg-type]
    assert sorted(found.items.tolist()) == [int(item) for item in items.split()]
    assert found.joint.tolist() == joint


@pytest.mark.parametrize(("rule", "precision", "recall"), [("confident", 0.946, 0.861), ("noise_rate", 0.898, 0.953)])
def test_planted_noise_is_found(rule: str, precision: float, recall: float) -> None:
    """One label in ten is turned, and the probabilities know nothing of it: precision and recall as stated."""
    rng = np.random.default_rng(5)
    true = rng.integers(0, 4, 4000)
    turned = rng.random(4000) < 0.1
    labels = np.where(turned, (true + rng.integers(1, 4, 4000)) % 4, true)
    logits = rng.normal(size=(4000, 4))
    logits[np.arange(4000), true] += 3
    chances = np.exp(2 * logits)
    found = label_noise(labels, chances / chances.sum(axis=1, keepdims=True), rule=rule)  # type: ignore[arg-type]
    hits = turned[found.items].sum()
    assert hits / len(found) == pytest.approx(precision, abs=0.001)
    assert hits / turned.sum() == pytest.approx(recall, abs=0.001)
    assert found.rate == pytest.approx(turned.mean(), abs=0.03)
    assert (np.diff(found.margins) >= 0).all()
    first = found.items[: len(found) // 2]
    assert turned[first].mean() > hits / len(found)


def test_a_model_that_agrees_has_no_candidates() -> None:
    found = label_noise(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]))
    assert (len(found), found.rate) == (0, 0.0)


def test_a_class_that_nobody_carries_is_never_suggested_by_the_joint() -> None:
    found = label_noise(
        np.array([0, 1, 1]), np.array([[0.1, 0.1, 0.8], [0.1, 0.9, 0], [0, 0.8, 0.2]]), rule="confident"
    )
    assert np.isinf(found.thresholds[2])
    assert found.joint[:, 2].sum() == 0


@pytest.mark.parametrize(
    ("labels", "chances", "match"),
    [
        ([0], [[0.5, 0.5], [0.5, 0.5]], r"labels must have shape \(n,\)"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], r"whole numbers in 0..1"),
        ([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], "float64"),
        ([0, 1], [[2.0, 1.0], [0.5, 0.5]], "softmax them"),
        ([0, 1], [[np.nan, 1.0], [0.5, 0.5]], "softmax them"),
    ],
)
def test_what_cannot_be_used_is_said(labels: list[float], chances: list[list[float]], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        label_noise(np.array(labels), np.array(chances))


def test_unknown_rules_and_disagreeing_results_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Nearest: noise_rate"):
        label_noise(np.array([0, 1]), np.eye(2), rule="noise-rate")  # type: ignore[arg-type]
    whole, real = np.array([0]), np.array([0.0])
    with pytest.raises(UsageError, match="must differ from its given one"):
        LabelNoise(whole, whole, whole, real, np.zeros((2, 2), np.int64), np.zeros(2), 0.0)
