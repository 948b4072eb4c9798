"""Streams: what the functions over whole arrays give, for any chunks, and intervals that cover what they should."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from test_metrics import at, case

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.bca import sums_interval
from shared.evaluation.metrics import METRICS, measure
from shared.evaluation.ranked import ranking
from shared.evaluation.streaming import CURVES, KINDS, Stream, why_whole
from shared.evaluation.streaming_curves import ScoreCounts
from shared.evaluation.streaming_parts import BLOCKS, blocks_of
from shared.evaluation.streaming_rows import STREAMED

TABLE = [name for name, card in METRICS.items() if card.streams != "no"]
PER_ITEM = {"novelty": 1, "popularity": 1, "diversity": 1, "popularity_lift": 2, "miscalibration": 2, "serendipity": 3}
"""How many leading inputs of figures beyond accuracy have a row a user; the others stay whole in every chunk."""


def length(values: Any) -> int:
    return int(values.shape[0]) if hasattr(values, "shape") else len(values)


def chunk(name: str, inputs: tuple[Any, ...], order: Any) -> tuple[Any, ...]:
    turned = PER_ITEM.get(name, len(inputs))
    return (*(at(values, order) for values in inputs[:turned]), *inputs[turned:])


def inputs_of(name: str, seed: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    inputs, options = case(METRICS[name], seed)
    if METRICS[name].kind == "pixels":
        inputs = tuple(side.reshape(10, 5, 6) for side in inputs)
    return inputs, options


def streamed(name: str, inputs: tuple[Any, ...], cuts: list[int], **options: Any) -> Stream:
    found = Stream(name, **options)
    n = length(inputs[0])
    ends = sorted({0, n, *(cut % (n + 1) for cut in cuts)})
    for start, stop in pairwise(ends):
        found.add(*chunk(name, inputs, np.arange(start, stop)))
    return found


@pytest.mark.parametrize("name", TABLE)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 50), cuts=st.lists(st.integers(0, 100), max_size=5))
def test_equals_the_whole_for_any_chunks(name: str, seed: int, cuts: list[int]) -> None:
    inputs, options = inputs_of(name, seed)
    found = streamed(name, inputs, cuts, **options)
    assert found.n == length(inputs[0])
    assert found.values()[name] == pytest.approx(measure(name, *inputs, **options), rel=1e-12, abs=1e-12)
    if name in CURVES:
        assert found.bounds()[name] == (found.values()[name],) * 2


@pytest.mark.parametrize("name", TABLE)
def test_merging_is_associative_and_equals_one_stream(name: str) -> None:
    inputs, options = inputs_of(name, 3)
    n = length(inputs[0])
    parts = [np.arange(0, n // 3), np.arange(n // 3, n // 2), np.arange(n // 2, n)]

    def stream(*which: int) -> Stream:
        found = Stream(name, first=int(parts[which[0]][0]), **options)
        for part in which:
            found.add(*chunk(name, inputs, parts[part]))
        return found

    left = stream(0)
    left.merge(stream(1))
    left.merge(stream(2))
    right, tail = stream(0), stream(1)
    tail.merge(stream(2))
    right.merge(tail)
    wanted = stream(0, 1, 2).results(rng=np.random.default_rng(0), resamples=60)
    for merged in (left, right):
        assert merged.n == n
        got = merged.results(rng=np.random.default_rng(0), resamples=60)
        assert got.keys() == wanted.keys() == {name}
        for field in ("value", "low", "high"):
            assert getattr(got[name], field) == pytest.approx(getattr(wanted[name], field), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("name", TABLE)
def test_the_interval_holds_the_figure(name: str) -> None:
    inputs, options = inputs_of(name, 1)
    metric = streamed(name, inputs, [7], **options).results(rng=np.random.default_rng(1), resamples=50)[name]
    assert metric.low <= metric.value <= metric.high
    assert metric.low < metric.high


def averaged(function: Any, average: str) -> Any:
    return lambda t, p: function(t, p, average=average, zero_division=0)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("macro_precision", averaged(sk.precision_score, "macro")),
        ("macro_recall", averaged(sk.recall_score, "macro")),
        ("weighted_precision", averaged(sk.precision_score, "weighted")),
        ("weighted_recall", averaged(sk.recall_score, "weighted")),
        ("weighted_f1", averaged(sk.f1_score, "weighted")),
        ("micro_precision", averaged(sk.precision_score, "micro")),
        ("micro_recall", averaged(sk.recall_score, "micro")),
        ("label_micro_f1", averaged(sk.f1_score, "micro")),
        ("mse", sk.mean_squared_error),
        ("bias", lambda t, p: np.mean(p - t)),
    ],
)
def test_figures_beside_the_table(name: str, reference: Any) -> None:
    rng = np.random.default_rng(5)
    if KINDS[name] == "labels":
        inputs: tuple[Any, ...] = (rng.choice(list("abcd"), 90), rng.choice(list("bcde"), 90))
    else:
        inputs = (rng.normal(0, 1, 90), rng.normal(1, 1, 90))
    assert streamed(name, inputs, [11, 40]).values()[name] == pytest.approx(reference(*inputs), rel=1e-12)


def test_every_row_says_whether_it_streams() -> None:
    assert {name for name in METRICS if name in STREAMED or name in CURVES} == set(TABLE)
    for name in set(METRICS) - set(TABLE):
        with pytest.raises(UsageError, match=f"{name} must have all items at once: .*(Take|Call|Add)"):
            Stream(name)


def test_failed_items_and_confusion() -> None:
    found, rest = (
        Stream("accuracy", "kappa", "matthews", "balanced_accuracy"),
        Stream("accuracy", "kappa", "matthews", "balanced_accuracy"),
    )
    found.add(["b", "a"], ["b", None])
    rest.add(["a", "b", "a"], ["c", "b", "a"])
    found.merge(rest)
    truth, answers = ["b", "a", "a", "b", "a"], ["b", None, "c", "b", "a"]
    assert found.values() == pytest.approx({name: measure(name, truth, answers) for name in found.names})
    assert found.labels() == ["b", "a", "c"]
    assert found.confusion().tolist() == [[2, 0, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]]


def test_many_labels_join_blocks_and_lose_nothing() -> None:
    rng = np.random.default_rng(2)
    truth, answers = rng.integers(0, 1500, (2, 9000))
    answers[::2] = truth[::2]
    found = Stream("macro_f1", "accuracy")
    for start in range(0, 9000, 1000):
        found.add(truth[start : start + 1000], answers[start : start + 1000])
    whole, late = Stream("macro_f1", "accuracy"), Stream("macro_f1", "accuracy", first=100)
    whole.add(truth[:100], answers[:100])
    late.add(truth[100:], answers[100:])
    whole.merge(late)
    for stream in (found, whole):
        assert stream.values()["macro_f1"] == pytest.approx(sk.f1_score(truth, answers, average="macro"), rel=1e-12)
    one, two = (s.results(rng=np.random.default_rng(0), resamples=10)["macro_f1"] for s in (found, whole))
    assert (one.low, one.high) == pytest.approx((two.low, two.high), rel=1e-12)
    with pytest.raises(UsageError, match="up to 1000 labels. Got 1500"):
        found.confusion()
    with pytest.raises(UsageError, match="32768 labels.*a column of ids"):
        found.add(np.arange(40_000), np.arange(40_000))


def test_numbers_far_from_zero_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    truth = 1e9 + rng.normal(0, 1, 2000)
    guess = truth + rng.normal(0, 0.5, 2000)
    found = Stream("r2", "explained_variance")
    for start in range(0, 2000, 130):
        found.add(truth[start : start + 130], guess[start : start + 130])
    assert found.values() == pytest.approx(
        {name: measure(name, truth, guess) for name in ("r2", "explained_variance")}, rel=1e-9
    )  # a sum of squares less the square of a sum would be wrong in the first digit


def test_a_truth_that_does_not_vary_has_scikit_learns_values() -> None:
    found = Stream("r2", "explained_variance")
    found.add([0.1] * 3, [0.3] * 3)
    found.add([0.1] * 4, [0.3] * 4)
    assert found.values() == {"r2": 0.0, "explained_variance": 1.0}
    one = Stream("r2", "rmse")
    one.add([0.1], [0.3])
    assert list(one.results(rng=np.random.default_rng(0))) == ["rmse"]


# scores ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["uniform", "near nought", "few"])
@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_bounds_hold_the_whole_figure_and_do_not_depend_on_chunks(name: str, shape: str) -> None:
    rng = np.random.default_rng(3)
    n = 6000
    scores = {"uniform": rng.random(n), "near nought": rng.exponential(1e-4, n), "few": rng.integers(0, 900, n) / 7}
    given_ = scores[shape] - 0.2 * (shape == "uniform")
    positive = rng.random(n) < np.argsort(np.argsort(given_)) / n / 2
    whole = measure(name, positive, given_)
    streams = []
    for size in (n, 500, 77):
        found = Stream(name)
        found._curve = ScoreCounts(distinct=500)
        for start in range(0, n, size):
            found.add(positive[start : start + size], given_[start : start + size])
        streams.append(found)
    assert not any(stream._curve.exact for stream in streams if stream._curve)
    low, high = streams[0].bounds()[name]
    assert low <= whole <= high
    assert 0 < high - low < 0.1
    assert [s.values() for s in streams[1:]] == [streams[0].values()] * 2
    assert [s.bounds() for s in streams[1:]] == [streams[0].bounds()] * 2
    metric = streams[0].results(rng=np.random.default_rng(0), resamples=100)[name]
    assert metric.low < low
    assert metric.high > high


def test_bounds_hold_every_order_within_a_score() -> None:
    """Against all orders and all ties of five items that fall together, between two that do not."""
    found = Stream("average_precision", "roc_auc")
    positive = np.array([False, True, False, True, True, False, True])
    found._curve = ScoreCounts(distinct=3)
    found.add(positive, np.array([3.0, 1.0, 1.0 + 1e-15, 1.0 + 2e-15, 1.0 + 3e-15, 1.0 + 4e-15, 0.2]))
    rng = np.random.default_rng(0)
    seen: dict[str, list[float]] = {"average_precision": [], "roc_auc": []}
    for _ in range(600):
        ranked = ranking(positive, np.concatenate([[3.0], 1.0 + rng.integers(0, 6, 5) / 100, [0.2]]))
        seen["average_precision"].append(ranked.average_precision_score())
        seen["roc_auc"].append(ranked.roc_auc_score())
    for name, values in seen.items():
        low, high = found.bounds()[name]
        assert low - 1e-12 <= min(values)
        assert max(values) <= high + 1e-12
    assert found.bounds()["roc_auc"] == pytest.approx((min(seen["roc_auc"]), max(seen["roc_auc"])))


def test_intervals_of_areas_are_those_of_the_ordinary_bootstrap() -> None:
    rng = np.random.default_rng(4)
    positive = rng.random(1500) < 0.3
    scores = rng.normal(0, 1, 1500) + positive
    found = Stream("roc_auc", "average_precision")
    found.add(positive, scores)
    ranked = ranking(positive, scores)
    draws = np.array(
        [
            [ranked.roc_auc_score(c), ranked.average_precision_score(c)]
            for c in rng.multinomial(1500, np.full(1500, 1 / 1500), 1000)
        ]
    )
    for at_, metric in enumerate(found.results(rng=rng).values()):
        low, high = np.quantile(draws[:, at_], [0.025, 0.975])
        assert metric.high - metric.low == pytest.approx(high - low, rel=0.15)
        assert metric.low == pytest.approx(low, abs=0.2 * (high - low))


# intervals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_of_numbers_are_those_of_the_ordinary_bootstrap(grouped: bool) -> None:
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(400), 4)
    truth = rng.normal(0, 1, 1600)
    guess = truth + np.repeat(rng.normal(0, 1, 400), 4) + rng.normal(0, 0.3, 1600)
    found = Stream("mae")
    turned = rng.permutation(1600)  # so that a group is spread over the chunks
    for rows in np.split(turned, 8):
        found.add(truth[rows], guess[rows], groups=groups[rows] if grouped else None)
    errors = np.stack([np.abs(truth - guess), np.ones(1600)], axis=1)
    wanted = sums_interval(
        lambda t: t[..., 0] / t[..., 1], errors, rng=rng, method="percentile", groups=groups if grouped else None
    )
    got = found.results(rng=rng)["mae"]
    assert got.value == pytest.approx(wanted.value)
    assert got.high - got.low == pytest.approx(wanted.high - wanted.low, rel=0.15)
    assert got.low == pytest.approx(wanted.low, abs=0.2 * (wanted.high - wanted.low))


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(60)), cuts=st.lists(st.integers(1, 59), max_size=6))
def test_intervals_over_groups_depend_neither_on_chunks_nor_on_order(order: list[int], cuts: list[int]) -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.choice(list("abc"), (2, 60))
    groups = [f"user {n % 17}" for n in range(60)]

    def results(rows: list[int], ends: list[int]) -> list[float]:
        found = Stream("macro_f1")
        for start, stop in pairwise(sorted({0, 60, *ends})):
            mine = rows[start:stop]
            found.add(truth[mine], guess[mine], groups=[groups[at] for at in mine])
        metric = found.results(rng=np.random.default_rng(1), resamples=40)["macro_f1"]
        return [metric.value, metric.low, metric.high]

    assert results(order, cuts) == pytest.approx(results(list(range(60)), []), rel=1e-12)


def test_intervals_of_labels_are_those_of_the_ordinary_bootstrap() -> None:
    rng = np.random.default_rng(8)
    truth, noise = rng.choice(list("aaab"), 800), rng.choice(list("aaab"), 800)
    answers = np.where(rng.random(800) < 0.5, truth, noise)
    found = Stream("kappa")
    found.add(truth, answers)
    draws = [sk.cohen_kappa_score(truth[i], answers[i]) for i in rng.integers(0, 800, (150, 800))]
    got = found.results(rng=rng)["kappa"]
    assert got.high - got.low == pytest.approx(np.quantile(draws, 0.975) - np.quantile(draws, 0.025), rel=0.2)


def test_a_group_has_one_block_in_every_chunk_and_process() -> None:
    names = ["ann", "bob", "cid", "ann"]
    blocks = blocks_of(4, groups=names, first=0, seed=0)
    assert blocks[0] == blocks[3]
    assert blocks.tolist() == [*blocks_of(3, groups=names[:3], first=0, seed=0), blocks[0]]
    assert blocks.tolist() == [108, 1643, 455, 108]  # the same on every machine
    assert (blocks_of(4, groups=names, first=0, seed=1) != blocks).any()
    assert (
        blocks_of(3, groups=[5, 6, 7], first=0, seed=0) == blocks_of(3, groups=np.arange(5, 8), first=0, seed=0)
    ).all()
    many = np.bincount(blocks_of(500_000, groups=None, first=0, seed=0), minlength=BLOCKS)
    assert abs(many - 500_000 / BLOCKS).max() < 6 * np.sqrt(500_000 / BLOCKS)


def test_a_share_of_items_that_come_alone_has_wilsons_interval() -> None:
    found, grouped = Stream("accuracy"), Stream("accuracy")
    found.add(["a"] * 10, ["a"] * 8 + ["b"] * 2)
    grouped.add(["a"] * 10, ["a"] * 8 + ["b"] * 2, groups=list("aabbccddee"))
    metric = found.results(rng=np.random.default_rng(0))["accuracy"]
    assert (round(metric.low, 4), round(metric.high, 4)) == (0.4902, 0.9433)
    assert grouped.results(rng=np.random.default_rng(0))["accuracy"].high == 1.0


# what is refused ------------------------------------------------------------------------------------------------------


def filled(name: str, *inputs: Any, groups: Any = None, **options: Any) -> Stream:
    found = Stream(name, **options)
    found.add(*inputs, groups=groups)
    return found


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Stream("accuracy", "rmse"), "the same inputs. Got labels, numbers"),
        (Stream, "the same inputs. Got none"),
        (lambda: Stream("median_absolute"), "a median needs all differences. Take mae"),
        (lambda: filled("accuracy", ["a"], []), "one length. Got 1 and 0"),
        (lambda: filled("accuracy", [None], ["a"]), "a true label. Got None"),
        (lambda: filled("rmse", [1.0], [np.nan]), "must be finite. Got NaN"),
        (lambda: filled("mape", [0.0], [1.0]), "must not be 0.*Got 1 zeros"),
        (lambda: filled("pinball", [0.0], [1.0], quantile=1), "above 0 and below 1. Got 1"),
        (lambda: filled("roc_auc", [True], [np.nan]), "without NaN"),
        (lambda: filled("roc_auc", [True], [0.5], groups=["a"]), "no intervals over groups"),
        (lambda: filled("label_ranking", np.ones((1, 2)), np.array([[np.nan, 0]])), "NaN"),
        (lambda: filled("accuracy", ["a"], ["a"], groups=[]), "a group for each of 1 items. Got 0"),
        (lambda: filled("accuracy", ["a"], ["a"], groups=[None]), "must have a group"),
        (lambda: filled("accuracy", ["a"], ["a"]).add(["a"], ["a"], groups=["x"]), "every chunk or for none"),
        (lambda: filled("accuracy", ["a"], ["a"]).merge(Stream("kappa")), "same figures.*Got accuracy and kappa"),
        (lambda: filled("accuracy", ["a"], ["a"]).merge(filled("accuracy", ["a"], ["a"], groups=["x"])), "neither"),
        (lambda: filled("rmse", [1.0], [1.0]).confusion(), "of labels. Got figures of numbers"),
        (lambda: Stream("rmse").results(rng=np.random.default_rng(0)), "at least 1 item. Got none"),
        (lambda: filled("rmse", [1.0], [1.0]).results(rng=np.random.default_rng(0), resamples=0), "Got 0 and 0.95"),
        (
            lambda: filled("micro_f1", np.ones((1, 2)), np.ones((1, 2))).add(np.ones((1, 3)), np.ones((1, 3))),
            "same labels",
        ),
    ],
)
def test_wrong_arguments_say_so(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def test_unknown_names_list_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="accuracy"):
        Stream("acuracy")
    with pytest.raises(UnknownNameError, match="option of top_k is called 'kk'.*k"):
        Stream("top_k", kk=3)
    assert why_whole("eer").startswith("eer must have all items at once: a threshold")
