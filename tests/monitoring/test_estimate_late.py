"""Labels that come late: joined by id, with what they do not say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shared.errors import UsageError
from shared.evaluation.intervals import wilson
from shared.monitoring.late import performance


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_labels_are_joined_by_id() -> None:
    found = performance(["a", "b", "c", "d"], ["x", "y", "x", "x"], {"d": "x", "a": "y", "z": "x", "b": "y"}, rng=rng())
    assert (found.n, found.labelled, found.unknown, found.coverage) == (4, 3, 1, 0.75)
    assert found.figure == wilson(2, 3)
    assert found.weighted is None
    assert "whether the labelled items are like the others is not known" in found.note
    assert json.loads(json.dumps(found.to_json()))["coverage"] == 0.75


def test_all_labels_leave_nothing_to_note() -> None:
    assert performance([1, 2], [0, 0], {1: 0, 2: 0}, rng=rng()).note == ""


@pytest.mark.parametrize(("ids", "n"), [([], 0), (["a"], 1)])
def test_no_labels_yet(ids: list[str], n: int) -> None:
    found = performance(ids, ids, {}, confidence=np.ones(n), rng=rng())
    assert (found.figure, found.weighted, found.coverage) == (None, None, 0.0)
    assert found.note == "no label has come yet"


def test_scores_of_ones_own_have_a_bootstrap_interval() -> None:
    found = performance([0, 1, 2], [1.0, 2.0, 3.0], {0: 1.0, 1: 1.0, 2: 5.0}, score=lambda a, b: -abs(a - b), rng=rng())
    assert found.figure is not None
    assert found.figure.value == pytest.approx(-1.0)
    assert found.figure.low <= -1 <= found.figure.high


@pytest.mark.parametrize("favoured", [True, False])
def test_labels_that_favour_the_sure_are_noted_and_weighed(favoured: bool) -> None:
    source = np.random.default_rng(3)
    sure = source.uniform(0.4, 1, 4000)
    right = source.random(4000) < sure
    come = source.random(4000) < (sure**4 if favoured else np.full(4000, 0.3))
    labels = {int(k): bool(right[k]) for k in np.flatnonzero(come)}
    found = performance(range(4000), [True] * 4000, labels, confidence=sure, rng=source)
    true = right.mean()
    assert found.figure is not None
    assert found.weighted is not None
    assert found.weighted.value == pytest.approx(true, abs=0.035)
    assert found.weighted.low < true < found.weighted.high
    if favoured:
        assert found.figure.low > true
        assert "differ in confidence" in found.note
        assert "take the weighted figure" in found.note
    else:
        assert found.note == ""


def test_too_few_labels_to_weigh_say_so() -> None:
    sure = np.linspace(0, 1, 100)
    found = performance(range(100), [1] * 100, dict.fromkeys(range(90, 100), 1), confidence=sure, rng=rng())
    assert found.weighted is None
    assert "too few labels to weigh them" in found.note


@pytest.mark.parametrize(
    ("ids", "predicted", "options", "words"),
    [
        (["a"], [], {}, "must be of the same items. Got 1, 0 and none"),
        (["a"], [1], {"confidence": np.ones(2)}, r"Got 1, 1 and \(2,\)"),
        (["a", "a"], [1, 1], {}, "ids must be all different. Got 1 of 2 again"),
        (["a"], [1], {"score": lambda a, b: float("nan")}, "scores must be finite"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    ids: list[str], predicted: list[int], options: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        performance(ids, predicted, {"a": 1}, rng=rng(), **options)
