"""Two evaluations: the same is said to be the same, the planted is found, and what cannot be compared is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.errors import UsageError
from shared.evaluation.bca import f1, ratio
from shared.evaluation.compared_words import compared_json, compared_text, verdict
from shared.evaluation.comparing import Difference, compare_evaluations
from shared.evaluation.items import ItemFigure, Items, Mean, Pooled, Total
from shared.evaluation.pooled import MOST, compare_pooled
from shared.evaluation.report import Evaluation, Metric
from shared.evaluation.two_systems import compare_totals, mcnemar

N = 400
LANG = np.repeat(["de", "fr"], N // 2)


def told(
    figures: Mapping[str, ItemFigure], main: str = "", *, model: str = "m", task: str = "a.task", **facts: Any
) -> Evaluation:
    ids = facts.pop("ids", tuple(f"item {at}" for at in range(len(next(iter(figures.values()))))))
    items = Items(ids, figures, main, **facts)
    metrics = {name: Metric(0.5, 0.0, 1.0) for name in figures}
    return Evaluation(task, model, "data", len(items), 0, metrics, items=lambda: items)


def compare(first: Evaluation, second: Evaluation, **options: Any) -> Any:
    return compare_evaluations(first, second, rng=np.random.default_rng(0), **options)


def hits(share: float, seed: int = 0) -> NDArray[np.float64]:
    return (np.random.default_rng(seed).random(N) < share).astype(float)


def mean(records: Any) -> float:
    return float(np.mean(records))


@pytest.mark.parametrize(
    "figure",
    [
        Mean(hits(0.6)),
        Mean(np.random.default_rng(1).random(N)),
        Total(np.random.default_rng(2).integers(0, 4, (N, 3)).astype(float), f1),
        Pooled(hits(0.6).tolist(), mean),
    ],
    ids=["hits", "means", "totals", "pooled"],
)
@pytest.mark.parametrize("grouped", [False, True])
def test_a_model_beside_itself_has_no_difference(figure: ItemFigure, grouped: bool) -> None:
    groups = np.arange(N) // 4 if grouped else None
    found = compare(told({"figure": figure}, groups=groups), told({"figure": figure}, groups=groups))
    judged = found.judged
    assert judged.difference == Metric(0.0, 0.0, 0.0)
    assert judged.p_value == judged.adjusted_p_value == 1.0
    assert found.groups == (100 if grouped else None)
    assert verdict(found).startswith("No difference: m (first) and m (second) have the same figure throughout.")


def test_hits_are_judged_by_mcnemar_and_the_lost_slice_is_named() -> None:
    first = hits(0.8)
    second = np.where(LANG == "fr", first * hits(0.6, 1), np.maximum(first, hits(0.3, 2)))
    length = np.random.default_rng(3).integers(1, 500, N)
    facts = {"attributes": {"lang": LANG, "length": length}}
    found = compare(
        told({"hit": Mean(first)}, "hit", model="old", **facts),
        told({"hit": Mean(second)}, "hit", model="new", **facts),
    )
    judged = found.judged
    exact = mcnemar(first == 1, second == 1)
    assert judged.p_value == exact.p_value
    assert found.mcnemar == exact
    assert (judged.first, judged.second) == (first.mean(), second.mean())
    assert judged.difference.value == pytest.approx(second.mean() - first.mean())
    assert judged.difference.low < judged.difference.value < judged.difference.high < 0
    assert (found.changed[0].name, found.changed[-1].name) == ("lang = fr", "lang = de")
    lost = [change for change in found.changed if change.difference.value < 0]
    assert len(lost) == len(found.changed) - 1
    assert found.tested == 6
    said = verdict(found)
    assert said.startswith("new is worse than old: hit -0.")
    assert f"{len(lost)} of 6 slices lost, most of all lang = fr (-0." in said
    assert "1 of 6 slices gained." in said
    text = compared_text(found)
    assert "difference = new minus old" in text
    assert f"changed slices, {len(found.changed)} of 6 tested" in text
    told_json = compared_json(found)
    assert told_json["direction"] == "second - first"
    assert told_json["figures"]["hit"]["difference"]["value"] == judged.difference.value
    assert told_json["slices"]["changed"][0]["slice"] == "lang = fr"


def test_a_difference_too_small_to_see_is_said_with_what_would_have_been_seen() -> None:
    rng = np.random.default_rng(0)
    first, noise = rng.random(N), rng.normal(0, 0.5, N)
    second = first + noise - noise.mean() + 0.01
    found = compare(told({"score": Mean(first)}), told({"score": Mean(second)}))
    judged = found.judged
    assert judged.p_value > 0.5
    # (1.96 + 0.84) standard errors, the textbook's
    assert judged.detectable == pytest.approx(2.8016 * (second - first).std(ddof=1) / np.sqrt(N), rel=0.1)
    said = verdict(found)
    assert said.startswith("No difference shown in score: +0.0100")
    assert f"With these 400 items a difference of {judged.detectable:.4f} would have been seen" in said
    assert "No slices were tested: the task has no figure of a single item." in said


def test_the_detectable_difference_is_seen_four_times_of_five() -> None:
    rng = np.random.default_rng(5)
    first = rng.random(200)
    apart = compare(told({"e": Mean(first)}), told({"e": Mean(first + rng.normal(0, 0.3, 200))})).judged.detectable
    seen = [
        compare(
            told({"e": Mean(first)}), told({"e": Mean(first + apart + rng.normal(0, 0.3, 200))}), resamples=200
        ).judged.p_value
        < 0.05
        for _ in range(150)
    ]
    assert 0.7 < np.mean(seen) < 0.9


def test_lower_is_better_turns_the_verdict_and_the_slices() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(N)
    second = first - np.where(LANG == "de", 0.3, 0.0) + rng.normal(0, 0.01, N)
    facts = {"attributes": {"lang": LANG}}
    sides = [told({"loss": Mean(values, higher_is_better=False)}, "loss", **facts) for values in (first, second)]
    found = compare(*sides)
    assert found.judged.difference.value < 0 < found.judged.gain
    assert "is better than" in verdict(found)
    assert "No slice lost; 1 of 2 slices gained." in verdict(found)
    assert [c.name for c in found.changed] == ["lang = de"]


def test_totals_groups_and_holm() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 4, N).astype(float)
    rows = [np.stack([truth * share, truth, truth], axis=1) for share in (0.5, 0.8)]
    groups = np.arange(N) // 8
    first, second = (
        told({"f1": Total(row, f1), "hit": Mean(hits(0.5)), "noise": Mean(rng.random(N))}, groups=groups)
        for row in rows
    )
    found = compare(first, second)
    by_name = {figure.name: figure for figure in found.figures}
    assert [*by_name] == ["f1", "hit", "noise"]
    one = compare_totals(f1, rows[1], rows[0], groups=groups, rng=np.random.default_rng(0))
    assert by_name["f1"].difference.value == pytest.approx(one.difference.value)
    assert by_name["f1"].p_value == pytest.approx(1 / 1001)
    assert by_name["f1"].adjusted_p_value == pytest.approx(3 / 1001)
    assert by_name["hit"].test == "randomisation of groups"
    assert found.mcnemar is None


def test_pooled_records_agree_with_totals_of_the_same_figure() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random(60), rng.random(60) + 0.2
    calls = []

    def weighed(records: Any, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        calls.append(len(weights))
        found: NDArray[np.float64] = weights @ np.array(records) / weights.sum(axis=1)
        return found

    plain = compare_pooled(Pooled(one.tolist(), mean), Pooled(other.tolist(), mean), rng=np.random.default_rng(0))
    quick = compare_pooled(
        Pooled(one.tolist(), mean, weighed=weighed), Pooled(other.tolist(), mean), rng=np.random.default_rng(0)
    )
    sums = [np.stack([values, np.ones(60)], axis=1) for values in (one, other)]
    reference = compare_totals(ratio, *sums, rng=np.random.default_rng(1))
    assert calls == [1000] * 4
    for found in (plain, quick):
        assert found.difference.value == pytest.approx(reference.difference.value)
        assert found.difference.low == pytest.approx(reference.difference.low, abs=0.03)
        assert found.difference.high == pytest.approx(reference.difference.high, abs=0.03)
        assert found.p_value < 0.01
    assert plain.p_value == 1 / (MOST + 1)
    assert quick.p_value == 1 / 1001


def test_pooled_groups_are_drawn_and_swapped_whole() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.random(10), 20)
    apart = {
        groups is None: compare_pooled(
            Pooled(values.tolist(), mean),
            Pooled((1 - values).tolist(), mean),
            groups=groups,
            rng=np.random.default_rng(0),
        )
        for groups in (None, np.arange(200) // 20)
    }
    assert apart[False].n == 10
    widths = {alone: found.difference.high - found.difference.low for alone, found in apart.items()}
    assert widths[False] > 3 * widths[True]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (told({"a": Mean(np.ones(3))}, ids=("x", "y", "q")), "2 are in one alone, the first of them 'z' in the first"),
        (told({"a": Mean(np.ones(3))}, ids=("x", "z", "y")), "2 stand in another order, the first of them 'y' for 'z'"),
        (told({"a": Mean(np.ones(2))}, ids=("x", "y")), "Of 3 and 2, 1 are in one alone"),
        (told({"a": Mean(np.ones(4))}, ids=("x", "y", "z", "x")), "some stand several times, 3 and 4 in all"),
        (told({"b": Mean(np.ones(3))}, ids=("x", "y", "z")), "must have a figure in common"),
        (told({"a": Mean(np.full(3, np.nan))}, ids=("x", "y", "z")), "must have a figure in common"),
        (told({"a": Mean(np.ones(3))}, task="b.task", ids=("x", "y", "z")), "must be of one task. Got a.task and b"),
        (Evaluation("a.task", "m", "data", 3, 0, {}), "a.task must tell what each item says"),
    ],
)
def test_what_cannot_be_compared_is_refused(second: Evaluation, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compare(told({"a": Mean(np.ones(3))}, ids=("x", "y", "z")), second)


def test_figures_that_are_not_in_both_are_named() -> None:
    wide, slim = Total(np.ones((3, 2)), ratio), Total(np.ones((3, 3)), f1)
    both = {"a": Mean(np.ones(3)), "nothing": Total(np.zeros((3, 2)), ratio)}
    found = compare(told(both | {"t": wide, "b": wide}), told(both | {"t": slim}))
    assert [figure.name for figure in found.figures] == ["a"]
    assert found.not_compared == ("b", "nothing", "t")
    assert "not compared, as one of the two lacks them or has them otherwise: b, nothing, t" in compared_text(found)


def test_arguments_are_checked() -> None:
    with pytest.raises(UsageError, match="confidence must lie between 0 and 1"):
        compare(told({"a": Mean(np.ones(3))}), told({"a": Mean(np.ones(3))}), confidence=1.0)
    with pytest.raises(UsageError, match="p-values must lie in 0..1"):
        Difference("a", 0.0, 0.0, Metric(0, 0, 0), 0.0, 0.5, 0.1, "t", True)
    one = Pooled([1.0], mean)
    with pytest.raises(UsageError, match="must have a record of each item"):
        compare_pooled(one, Pooled([1.0, 2.0], mean), rng=np.random.default_rng(0))
    with pytest.raises(UsageError, match="groups must have one name an item"):
        compare_pooled(one, one, groups=["a", "b"], rng=np.random.default_rng(0))
    with pytest.raises(UsageError, match="resamples must be at least 1"):
        compare_pooled(one, one, resamples=0, rng=np.random.default_rng(0))


@pytest.mark.parametrize(("groups", "said"), [(5, "no p-value can be below 0.062"), (10, None)])
def test_few_groups_are_said_to_be_few(groups: int, said: str | None) -> None:
    figures, group = {"top1": Mean(hits(0.6))}, np.arange(N) % groups
    text = compared_text(compare(told(figures, groups=group), told({"top1": Mean(hits(0.7, 1))}, groups=group)))
    assert (f"only {groups} groups" in text, said is None or said in text) == (said is not None, True)
