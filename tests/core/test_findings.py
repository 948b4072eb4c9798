"""The worst slices and the likeliest wrong labels: the planted are found, and a task that cannot tell says so."""

from __future__ import annotations

import numpy as np
import pytest

from shared.evaluation.findings import findings_of, noise_finding, slices_finding
from shared.evaluation.items import Chances, Items, Mean, Pooled
from shared.evaluation.report import Evaluation

N = 400
LANG = np.repeat(["de", "fr"], N // 2)


def mean(records: list[float]) -> float:
    return float(np.mean(records))


def test_the_worst_slice_is_found_and_turned_back_for_errors() -> None:
    length = np.random.default_rng(1).integers(0, 1000, N)
    loss = np.where(LANG == "fr", 0.9, 0.1) + np.random.default_rng(0).normal(0, 0.01, N)
    figures = {"loss": Mean(loss, higher_is_better=False)}
    items = Items(tuple(map(str, range(N))), figures, "loss", {"lang": LANG, "length": length})
    found = slices_finding(items)
    worst = found.json["slices"][0]
    assert worst["slice"] == "lang = fr"
    assert worst["figure"]["value"] == pytest.approx(0.9, abs=0.01)
    assert worst["figure"]["low"] < worst["figure"]["value"] < worst["figure"]["high"]
    assert worst["effect"]["value"] == pytest.approx(0.8, abs=0.01)
    assert found.section.rows[0][:2] == ("lang = fr", 200)
    assert "lang = fr" in found.to_text()


def test_the_planted_wrong_labels_come_first() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 100)
    probabilities = np.where(truth[:, None] == [0, 1], 0.9, 0.1).astype(np.float32)
    probabilities[7] = np.nan
    given = truth.copy()
    given[[3, 30]] = 1 - given[[3, 30]]
    chances = Chances(("ant", "bee"), given, probabilities)
    found = noise_finding(Items(tuple(map(str, range(100))), {"a": Mean(np.ones(100))}, "a", chances=chances))
    assert {row[0] for row in found.section.rows} == {"3", "30"}
    assert found.json["candidates"] == 2
    assert "2 of 99 labels" in found.section.note


@pytest.mark.parametrize(
    ("items", "slices", "noise"),
    [
        (None, "does not tell what each item says", "does not tell what each item says"),
        (Items(("a",), {"p": Pooled([1], mean)}), "no figure of a single item", "no chance of every class"),
        (Items(("a",), {"p": Mean(np.ones(1))}, "p"), "tells nothing of its items", "no chance of every class"),
        (
            Items(("a",), {"p": Mean(np.full(1, np.nan))}, "p", {"k": np.array(["x"])}),
            "fewer than two items",
            "no chance",
        ),
        (
            Items(("a",), {}, chances=Chances(("x", "y"), np.zeros(1, np.int64), np.full((1, 2), np.nan, np.float32))),
            "no figure",
            "no item was answered",
        ),
        (
            Items(("a",), {}, chances=Chances(("x", "y"), np.zeros(1, np.int64), np.full((1, 2), 0.9, np.float32))),
            "no figure",
            "sum to 1",
        ),
    ],
)
def test_a_task_that_cannot_tell_says_so(items: Items | None, slices: str, noise: str) -> None:
    evaluation = Evaluation("t", "m", "d", 1, 0, {}, items=None if items is None else lambda: items)
    found = findings_of(evaluation, slices=True, noise=True)
    for finding, words in zip(found, (slices, noise)):
        assert words in finding.json["why_none"]
        assert words in finding.to_text()
        assert not finding.section.rows
    assert findings_of(evaluation, slices=False, noise=False) == ()
