"""Accuracy without labels: where calibration holds, under shifts like those that were taught, and the interval."""

from __future__ import annotations

import io

import numpy as np
import pytest

from shared.errors import UnknownNameError, UsageError
from shared.monitoring.curves import fitted, grid, log_odds
from shared.monitoring.estimate import Calibration, Labelled, calibration, estimated_accuracy


def items(seed: int, n: int, *, worse: float = 0.0, tempered: float = 0.0) -> Labelled:
    """A model that is too sure by ``tempered`` log-odds, and by half of what a shift makes ``worse``."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(2 - worse, 1.2, n)
    right = rng.random(n) < 1 / (1 + np.exp(-odds))
    return Labelled(1 / (1 + np.exp(-(odds + tempered + worse / 2))), right)


@pytest.mark.parametrize("method", ["platt", "isotonic", "auto"])
def test_a_model_that_is_too_sure_is_set_right(method: str) -> None:
    known, window = items(0, 3000, tempered=1.0), items(1, 2000, tempered=1.0)
    found = calibration(known.confidence, known.correct, method=method, resamples=40)
    estimate = estimated_accuracy(found, window.confidence)
    assert window.confidence.mean() - window.correct.mean() > 0.07
    assert estimate.value == pytest.approx(window.correct.mean(), abs=0.02)
    assert estimate.low < window.correct.mean() < estimate.high
    assert (estimate.n, estimate.method) == (2000, "confidence")
    assert found.error < 0.04
    assert found.accuracy == known.correct.mean()


def test_the_reference_is_told_its_own_accuracy() -> None:
    known = items(0, 800)
    for method in ("platt", "isotonic"):
        found = calibration(known.confidence, known.correct, method=method, resamples=5)
        assert estimated_accuracy(found, known.confidence).value == pytest.approx(known.correct.mean(), abs=2e-3)


def test_a_shift_that_fools_confidence_is_foretold_from_others() -> None:
    known = items(0, 2000)
    shifts = {kind: [items(k, 1000, worse=w) for w in (0.7, 1.8)] for k, kind in enumerate("abc", 10)}
    plain = calibration(known.confidence, known.correct, resamples=40)
    taught = calibration(known.confidence, known.correct, shifts=shifts, resamples=40)
    window = items(1, 2000, worse=1.3)
    true = float(window.correct.mean())
    alone, found = (estimated_accuracy(one, window.confidence) for one in (plain, taught))
    assert alone.value - true > 0.05
    assert found.value == pytest.approx(true, abs=0.03)
    assert found.low < true < found.high
    assert found.method == "shifts"
    same = items(2, 2000)
    assert estimated_accuracy(taught, same.confidence).value == pytest.approx(same.correct.mean(), abs=0.025)


def test_kinds_that_disagree_widen_the_interval() -> None:
    known, window = items(0, 2000), items(1, 1000, worse=1.0)

    def width(shifts: dict[str, list[Labelled]]) -> float:
        found = calibration(known.confidence, known.correct, shifts=shifts, resamples=60)
        estimate = estimated_accuracy(found, window.confidence)
        return estimate.high - estimate.low

    alike = {kind: [items(k, 1000, worse=1.0)] for k, kind in enumerate("abc", 10)}
    harmless = Labelled(items(20, 1000, worse=1.0).confidence, np.random.default_rng(0).random(1000) < 0.85)
    assert width(alike | {"d": [harmless]}) > 1.5 * width(alike)


def test_answers_that_gather_in_few_classes_are_heard() -> None:
    """Confidence says nothing here; the share of wrong answers that all name one class does."""
    rng = np.random.default_rng(0)

    def collapsed(share: float, n: int = 1500) -> Labelled:
        right = rng.random(n) > share
        labels = np.where(right, rng.integers(0, 50, n), 0).astype(str)
        return Labelled(rng.uniform(0.7, 1, n), right, labels)

    known, window = collapsed(0.1), collapsed(0.5)
    shifts = {kind: [collapsed(share) for share in (0.3, 0.7)] for kind in "abc"}
    found = calibration(known.confidence, known.correct, labels=known.labels, shifts=shifts, resamples=20)
    told = estimated_accuracy(found, window.confidence, labels=window.labels)
    counted = dict(zip(*np.unique(np.asarray(window.labels), return_counts=True)))
    assert estimated_accuracy(found, window.confidence, labels=counted).value == pytest.approx(told.value, abs=1e-9)
    plain = calibration(known.confidence, known.correct, resamples=5)
    true = window.correct.mean()
    assert estimated_accuracy(plain, window.confidence).value - true > 0.3
    assert told.value == pytest.approx(true, abs=0.1)
    with pytest.raises(UsageError, match="learnt with labels: give those of the window"):
        estimated_accuracy(found, window.confidence)


def test_weights_mend_another_mix_of_items() -> None:
    """Two kinds of items with equal confidences, of which one is mostly wrong."""
    rng = np.random.default_rng(0)

    def mixed(n: int, share: float) -> tuple[Labelled, np.ndarray]:
        hard = rng.random(n) < share
        right = rng.random(n) < np.where(hard, 0.5, 0.95)
        return Labelled(rng.uniform(0.7, 1, n), right), rng.normal(3.0 * hard, 1)[:, None]

    (known, before), (window, after) = mixed(2000, 0.2), mixed(1500, 0.8)
    found = calibration(known.confidence, known.correct, resamples=10)
    true = float(window.correct.mean())
    assert estimated_accuracy(found, window.confidence).value - true > 0.2
    weighted = estimated_accuracy(found, window.confidence, reference_rows=before, window_rows=after)
    assert weighted.value == pytest.approx(true, abs=0.1)
    assert weighted.method == "weighted"


def test_intervals_hold_what_they_state() -> None:
    known = items(0, 1500, tempered=0.5)
    found = calibration(known.confidence, known.correct, resamples=60)
    held = 0
    for seed in range(100, 160):
        window = items(seed, 200, tempered=0.5)
        one = estimated_accuracy(found, window.confidence, level=0.9, rng=np.random.default_rng(seed))
        held += one.low <= window.correct.mean() <= one.high
    assert 47 <= held <= 60


def test_a_calibration_survives_a_file() -> None:
    known = items(0, 200)
    labels = np.where(np.asarray(known.correct), "yes", "no")
    shifts = {"a": [Labelled(known.confidence, known.correct, labels)]}
    found = calibration(known.confidence, known.correct, labels=labels, shifts=shifts, resamples=5)
    file = io.BytesIO()
    np.savez(file, **found.arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as kept:
        again = Calibration.of_arrays(dict(kept))
    told = [estimated_accuracy(one, known.confidence, labels=labels) for one in (found, again)]
    assert told[0] == told[1]
    with pytest.raises(UsageError, match=r"must have anchors, .*Got method"):
        Calibration.of_arrays({"method": np.array("platt")})


def test_a_model_that_is_always_right_or_never() -> None:
    sure = np.linspace(0.5, 1, 30)
    for right in (True, False):
        found = calibration(sure, np.full(30, right), resamples=5)
        estimate = estimated_accuracy(found, sure)
        assert estimate.value == pytest.approx(float(right))
        assert 0 <= estimate.low <= estimate.high <= 1


def test_curves_and_grids() -> None:
    assert log_odds(0.5) == 0
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
    places = grid(np.full(1000, 0.75))
    assert places[0] == 0
    assert places[-1] == 1
    assert (np.diff(places) > 0).all()
    weighted = fitted(np.array([0.5, 0.5]), np.array([True, False]), "isotonic", np.array([3.0, 1.0]))
    assert weighted(np.array([0.5])).tolist() == [0.75]


HALF = np.full(30, 0.5)
RIGHT = np.arange(30) % 2 == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: calibration(HALF[:5], RIGHT[:5]), "at least 20 items and 1 resample. Got 5"),
        (lambda: calibration(HALF + 1, RIGHT), "confidences must be a"),
        (lambda: calibration(HALF, RIGHT[:9]), "correct must be a bool for each of 30"),
        (lambda: calibration(HALF, RIGHT, labels=["a"]), "labels must be of the same items. Got 1 of 30"),
        (lambda: estimated_accuracy(calibration(HALF, RIGHT), HALF, labels=["a"]), "Got 1 of 30"),
        (lambda: estimated_accuracy(calibration(HALF, RIGHT), []), "n at least 1"),
        (lambda: estimated_accuracy(calibration(HALF, RIGHT), HALF, level=1.0), "level must lie between"),
        (
            lambda: estimated_accuracy(calibration(HALF, RIGHT), HALF, window_rows=np.zeros((30, 1))),
            "rows must be given of both",
        ),
        (
            lambda: estimated_accuracy(
                calibration(HALF, RIGHT), HALF, window_rows=np.zeros((30, 1)), reference_rows=np.zeros((9, 1))
            ),
            "rows must be of the 30 labelled items and the 30",
        ),
    ],
)
def test_what_is_refused_says_why(call: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()
    with pytest.raises(UnknownNameError, match="Nearest: platt"):
        calibration(HALF, RIGHT, method="plat")
