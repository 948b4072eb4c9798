from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from shared.errors import UsageError
from shared.evaluation import judging, ranking
from shared.evaluation.ranking import (
    auc_score,
    average_precision_score,
    f1_score,
    graded_ndcg_score,
    hit_score,
    judge,
    ndcg_score,
    precision_score,
    rank_biased_precision_score,
    ranking_scores,
    recall_score,
    reciprocal_rank_score,
)

METRICS = [
    ndcg_score,
    precision_score,
    recall_score,
    average_precision_score,
    reciprocal_rank_score,
    hit_score,
    f1_score,
]
"""Those whose greatest value is 1."""
L2, L3, L4 = 1.0, 1 / np.log2(3), 1 / np.log2(4)


@pytest.mark.parametrize(
    ("metric", "truth", "ranked", "k", "wanted"),
    [
        (precision_score, {"a", "b", "c"}, ["a", "x", "b"], 3, 2 / 3),
        (precision_score, {"a", "b", "c"}, ["a"], 3, 1 / 3),  # a short list counts as if wrong ids followed
        (precision_score, {"a"}, ["x", "y", "z", "a"], 3, 0.0),
        (recall_score, {"a", "b", "c"}, ["a", "x", "b"], 3, 2 / 3),
        (recall_score, {"a", "b", "c"}, ["a", "b", "c"], 2, 2 / 3),  # divided by all that is relevant, not by k
        (hit_score, {"a", "b"}, ["x", "y", "a"], 3, 1.0),
        (hit_score, {"a", "b"}, ["x", "y", "a"], 2, 0.0),
        (reciprocal_rank_score, {"a", "b"}, ["x", "b", "a"], 3, 1 / 2),
        (reciprocal_rank_score, {"a"}, ["x", "y", "a"], 2, 0.0),
        (average_precision_score, {"a", "b", "c"}, ["a", "x", "b"], 3, (1 / 1 + 2 / 3) / 3),
        (average_precision_score, {"a", "b", "c", "d"}, ["a", "b"], 2, (1 + 1) / 4),  # not min(k, relevant)
        (ndcg_score, {"a", "b", "c"}, ["a", "x", "b"], 3, (L2 + L4) / (L2 + L3 + L4)),
        (ndcg_score, {"a"}, ["x", "a", "y"], 3, L3 / L2),
        (ndcg_score, {"a", "b", "c", "d"}, ["a", "b"], 2, 1.0),  # the ideal has no more than k places either
        (ndcg_score, {"a"}, [], 2, 0.0),
        (f1_score, {"a", "b", "c"}, ["a", "x"], 2, 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)),
        (f1_score, {"a"}, ["x"], 2, 0.0),
        (rank_biased_precision_score, {"a", "b", "c"}, ["a", "x", "b", "c"], 3, 0.15 * (1 + 0.85**2)),
        (rank_biased_precision_score, {"a"}, ["x"], 2, 0.0),
    ],
)
def test_worked_by_hand(
    metric: Callable[..., np.ndarray], truth: set[str], ranked: list[str], k: int, wanted: float
) -> None:
    np.testing.assert_allclose(metric([truth], [ranked], k=k), [wanted])


def cases(n: int = 200, items: int = 60, seed: int = 0) -> tuple[list[set[int]], list[list[int]]]:
    rng = np.random.default_rng(seed)
    truth = [set(rng.choice(items, rng.integers(1, 25), replace=False).tolist()) for _ in range(n)]
    return truth, [rng.permutation(items)[: rng.integers(1, 40)].tolist() for _ in range(n)]


@pytest.mark.slow  # ranx compiles itself for a minute
@pytest.mark.filterwarnings("ignore::Warning:ranx", "ignore::Warning:numba", "ignore:unsafe cast from uint64 to int64")
@pytest.mark.parametrize("k", [1, 5, 10, 30])
def test_equal_to_ranx(k: int) -> None:
    ranx = pytest.importorskip("ranx")
    truth, ranked = cases()
    qrels = ranx.Qrels({f"q{n}": {f"d{i}": 1 for i in ids} for n, ids in enumerate(truth)})
    run = ranx.Run({f"q{n}": {f"d{i}": 100.0 - at for at, i in enumerate(ids)} for n, ids in enumerate(ranked)})
    names = {
        "ndcg": "ndcg",
        "precision": "precision",
        "recall": "recall",
        "map": "map",
        "mrr": "mrr",
        "hit": "hit_rate",
        "f1": "f1",
    }
    theirs = ranx.evaluate(qrels, run, [f"{name}@{k}" for name in names.values()], return_mean=False)
    order = [list(run.run).index(f"q{n}") for n in range(len(truth))]
    for name, scores in ranking_scores(truth, ranked, k=k).items():
        their = np.asarray(theirs[f"{names[name.split('@')[0]]}@{k}"])[order]
        np.testing.assert_allclose(scores, their, atol=1e-12, err_msg=name)


# Means over cases() that ranx 0.3.21 computed, by k: ndcg, precision, recall, map, mrr, hit_rate, f1.
GOLDEN = {
    1: (0.245, 0.245, 0.020452591682, 0.020452591682, 0.245, 0.245, 0.033720370527),
    5: (0.21885004217, 0.206, 0.079095283488, 0.04947083627, 0.3815, 0.61, 0.103535879231),
    10: (0.217735096081, 0.1935, 0.15000255358, 0.070698953388, 0.405390873016, 0.785, 0.152693232444),
    30: (0.248022544396, 0.131666666667, 0.300551397304, 0.10973401529, 0.408660948258, 0.835, 0.170921048601),
}


@pytest.mark.parametrize("k", GOLDEN)
def test_equal_to_what_ranx_said(k: int) -> None:
    means = [scores.mean() for scores in ranking_scores(*cases(), k=k).values()]
    np.testing.assert_allclose(means, GOLDEN[k], atol=1e-11)


# Means over cases() by k. recommenders 1.2.1: ndcg, precision, recall, map, and map_at_k, which divides by
# min(k, relevant).
RECOMMENDERS = {
    5: (0.21885004217, 0.206, 0.079095283488, 0.04947083627, 0.137275),
    10: (0.217735096081, 0.1935, 0.15000255358, 0.070698953388, 0.109942065067),
}
# LensKit 2025.8.1: ndcg with LogRankWeight(offset=1), precision by the list's own length, recall by
# min(k, relevant), mrr, hit.
LENSKIT = {
    5: (0.21885004217, 0.22075, 0.2135, 0.3815, 0.61),
    10: (0.217735096081, 0.228281746032, 0.22175, 0.405390873016, 0.785),
}


@pytest.mark.parametrize("k", RECOMMENDERS)
def test_equal_to_what_recommenders_and_lenskit_said(k: int) -> None:
    truth, ranked = cases()
    ours = {name.partition("@")[0]: scores for name, scores in ranking_scores(truth, ranked, k=k).items()}
    relevant, given = (np.array([min(k, len(ids)) for ids in lists]) for lists in (truth, ranked))
    whole = np.array([len(ids) for ids in truth])
    means = [ours[name].mean() for name in ("ndcg", "precision", "recall", "map")]
    np.testing.assert_allclose([*means, (ours["map"] * whole / relevant).mean()], RECOMMENDERS[k], atol=1e-11)
    theirs = [ours["ndcg"], ours["precision"] * k / given, ours["recall"] * whole / relevant, ours["mrr"], ours["hit"]]
    np.testing.assert_allclose([scores.mean() for scores in theirs], LENSKIT[k], atol=1e-11)


def gain(user: int, item: int) -> float:
    """What an item is worth to a user, 1 to 5, where gains are graded."""
    return 1.0 + (7 * item + user) % 5


# Means over cases() by k, with gain() where gains are graded. LensKit 2025.8.1: NDCG as it is without options, whose
# first two places count alike; NDCG of the gains with LogRankWeight(offset=1), which is score_type "raw" of
# recommenders 1.2.1 too; score_type "exp" of recommenders; average precision divided by min(relevant, listed within k);
# and RBP with patience 0.85 (its default) and 0.5.
GRADED_AND_OTHERS = {
    5: (0.217720725957, 0.150932736258, 0.111480847081, 0.149802777778, 0.116970928125, 0.2171875),
    10: (0.217580952103, 0.169576206531, 0.138499650585, 0.135209714349, 0.162204105004, 0.222924804688),
}


@pytest.mark.parametrize("k", GRADED_AND_OTHERS)
def test_equal_to_what_they_said_of_graded_gains_and_other_figures(k: int) -> None:
    truth, ranked = cases()
    gains = [{item: gain(user, item) for item in ids} for user, ids in enumerate(truth)]
    exponential = [{item: 2**worth - 1 for item, worth in row.items()} for row in gains]
    whole = np.array([len(ids) for ids in truth])
    listed = np.array([min(k, len(ids)) for ids in ranked])
    found = [
        lenskit_ndcg(truth, ranked, k),
        graded_ndcg_score(gains, ranked, k=k),
        graded_ndcg_score(exponential, ranked, k=k),
        average_precision_score(truth, ranked, k=k) * whole / np.minimum(whole, listed),
        rank_biased_precision_score(truth, ranked, k=k),
        rank_biased_precision_score(truth, ranked, k=k, patience=0.5),
    ]
    np.testing.assert_allclose([scores.mean() for scores in found], GRADED_AND_OTHERS[k], atol=1e-11)


def lenskit_ndcg(truth: list[set[int]], ranked: list[list[int]], k: int) -> np.ndarray:
    """NDCG by the discount of Järvelin and Kekäläinen's own paper, 1 / max(1, log2(place)), which LensKit takes."""
    discount = 1 / np.maximum(1, np.log2(np.arange(1, k + 1)))
    gained = [
        sum(discount[at] for at, item in enumerate(ids[:k]) if item in those) for those, ids in zip(truth, ranked)
    ]
    return np.array(gained) / [discount[: len(those)].sum() for those in truth]


def test_patience_must_be_a_probability() -> None:
    with pytest.raises(UsageError, match="patience must lie above 0 and below 1. Got 1.0 instead"):
        rank_biased_precision_score([{"a"}], [["a"]], k=1, patience=1.0)


def test_ndcg_equal_to_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    relevant = rng.random((50, 20)) < 0.3
    relevant[:, 0] = True
    scores = rng.permuted(np.tile(np.arange(20.0), (50, 1)), axis=1)
    truth = [set(np.flatnonzero(row).tolist()) for row in relevant]
    ours = ndcg_score(truth, np.argsort(-scores, axis=1), k=7)
    np.testing.assert_allclose(ours.mean(), metrics.ndcg_score(relevant, scores, k=7))


@pytest.mark.parametrize("metric", METRICS)
class TestEveryMetric:
    def test_lies_between_nothing_and_one(self, metric: Callable[..., np.ndarray]) -> None:
        scores = metric(*cases(), k=10)
        assert scores.shape == (200,)
        assert scores.dtype == np.float64
        assert ((scores >= 0) & (scores <= 1)).all()

    def test_a_perfect_ranking_scores_one(self, metric: Callable[..., np.ndarray]) -> None:
        assert metric([{"a", "b"}], [["b", "a"]], k=2).tolist() == [1.0]

    def test_no_relevant_ids_give_no_figure(self, metric: Callable[..., np.ndarray]) -> None:
        scores = metric([set(), {"a"}], [["a"], ["a"]], k=1)
        assert np.isnan(scores[0])
        assert scores[1] == 1.0
        assert np.isnan(metric([set()], [[]], k=1)).all()

    def test_no_users_give_an_empty_array(self, metric: Callable[..., np.ndarray]) -> None:
        assert metric([], [], k=3).shape == (0,)

    def test_what_stands_behind_k_does_not_count(self, metric: Callable[..., np.ndarray]) -> None:
        truth, ranked = cases()
        cut = metric(truth, [ids[:5] for ids in ranked], k=5)
        np.testing.assert_array_equal(metric(truth, ranked, k=5), cut)

    def test_names_of_ids_do_not_matter(self, metric: Callable[..., np.ndarray]) -> None:
        truth, ranked = cases()
        named = [{f"id {i}" for i in ids} for ids in truth], [[f"id {i}" for i in ids] for ids in ranked]
        np.testing.assert_array_equal(metric(*named, k=10), metric(truth, ranked, k=10))

    def test_order_of_users_does_not_matter(self, metric: Callable[..., np.ndarray]) -> None:
        truth, ranked = cases()
        np.testing.assert_array_equal(metric(truth[::-1], ranked[::-1], k=10)[::-1], metric(truth, ranked, k=10))

    def test_a_better_place_never_scores_less(self, metric: Callable[..., np.ndarray]) -> None:
        for place in range(1, 10):
            items = [f"wrong {n}" for n in range(9)]
            later, sooner = items.copy(), items.copy()
            later.insert(place, "right")
            sooner.insert(place - 1, "right")
            assert metric([{"right"}], [sooner], k=10)[0] >= metric([{"right"}], [later], k=10)[0]

    def test_a_padded_array_is_a_list_without_its_padding(self, metric: Callable[..., np.ndarray]) -> None:
        truth = [np.array([3, 1]), np.array([5])]
        padded = np.array([[3, -1, -1], [2, 5, -1]], dtype=np.int32)
        np.testing.assert_array_equal(metric(truth, padded, k=3), metric(truth, [[3], [2, 5]], k=3))

    @pytest.mark.parametrize(
        ("truth", "ranked", "k", "message"),
        [
            ([{"a"}], [["a"], ["b"]], 1, "must have one length. Got 1 and 2 instead"),
            ([{"a"}], [["a"]], 0, "k must be at least 1. Got 0 instead"),
            ([{"a"}], [["b", "b"]], 2, "once in a user's ranking"),
            ([["a", "a"]], [["b"]], 2, "once in a user's truth"),
            ([{"a"}], [[1]], 1, "ids of one type"),
            ([{"a"}, {"b"}], [["a"], [1]], 1, "all str or all int"),
        ],
    )
    def test_wrong_arguments_say_so(
        self, metric: Callable[..., np.ndarray], truth: list[set[str]], ranked: list[list[str]], k: int, message: str
    ) -> None:
        with pytest.raises(UsageError, match=message):
            metric(truth, ranked, k=k)


def test_all_at_once_are_the_same_as_one_by_one() -> None:
    truth, ranked = cases()
    together = ranking_scores(truth, ranked, k=10)
    assert list(together) == ["ndcg@10", "precision@10", "recall@10", "map@10", "mrr@10", "hit@10", "f1@10"]
    for scores, metric in zip(together.values(), METRICS):
        np.testing.assert_array_equal(scores, metric(truth, ranked, k=10))


def test_many_k_in_one_pass_are_the_same_as_one_by_one() -> None:
    truth, ranked = cases()
    together = ranking_scores(truth, ranked, ks=(1, 30, 5, 30))
    assert [name for name in together if name.startswith("ndcg")] == ["ndcg@1", "ndcg@30", "ndcg@5"]
    for k in (1, 5, 30):
        for name, scores in ranking_scores(truth, ranked, k=k).items():
            np.testing.assert_array_equal(together[name], scores)
    assert len(together) == 21


@pytest.mark.parametrize("options", [{}, {"k": 1, "ks": (1, 2)}, {"ks": ()}, {"ks": (0, 3)}])
def test_k_is_given_once(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="either k or ks|k must be at least 1"):
        ranking_scores([{1}], [[1]], **options)


def test_every_form_of_truth_and_ranking_gives_the_same() -> None:
    truth, ranked = cases()
    matrix = csr_matrix(np.array([[i in ids for i in range(60)] for ids in truth], dtype=np.float32))
    padded = np.full((len(ranked), 40), -7)
    for row, ids in zip(padded, ranked):
        row[: len(ids)] = ids
    wanted = ranking_scores(truth, ranked, k=12)
    forms: dict[str, tuple[Any, Any]] = {
        "csr and array": (matrix, padded),
        "csr and int32": (matrix, padded.astype(np.int32)),
        "csr and lists": (matrix, ranked),
        "arrays and arrays": ([np.array(list(ids)) for ids in truth], [np.array(ids) for ids in ranked]),
        "ids far apart": ([{i * 10**14 for i in ids} for ids in truth], np.where(padded < 0, -1, padded * 10**14)),
        "negative ids": ([{i - 30 for i in ids} for ids in truth], [[i - 30 for i in ids] for ids in ranked]),
    }
    for form, given in forms.items():
        for name, scores in ranking_scores(*given, k=12).items():
            np.testing.assert_array_equal(scores, wanted[name], err_msg=form)


@pytest.mark.parametrize("form", ["table", "small table", "sorting"])
def test_both_searches_find_the_same(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ranking_scores(*cases(), k=12)
    padded = [np.array([3, -1, 5, -1])]
    monkeypatch.setattr(
        judging, *{"sorting": ("_WIDEST", 1), "small table": ("_TABLE", 150)}.get(form, ("_TABLE", 999))
    )
    for name, scores in ranking_scores(*cases(), k=12).items():
        np.testing.assert_array_equal(scores, wanted[name])
    assert reciprocal_rank_score([{5}], np.array(padded), k=4).tolist() == [1 / 3]  # a hole keeps its place
    for truth, ranked, what in (([[4, 4]], [[1, 2]], "truth"), ([[4]], [[2, 2]], "ranking")):
        with pytest.raises(UsageError, match=f"once in a user's {what}"):
            judge(truth, ranked, k=2)


def test_graded_ndcg_by_hand_and_by_scikit_learn() -> None:
    gain = (1 * L2 + 3 * L3) / (3 * L2 + 1 * L3)
    np.testing.assert_allclose(graded_ndcg_score([{"a": 3, "b": 1}], [["b", "a"]], k=2), [gain])
    np.testing.assert_allclose(graded_ndcg_score([{"a": 3, "b": 1}], [["x", "a"]], k=1), [0.0])
    assert np.isnan(graded_ndcg_score([{"a": 0}, {}], [["a"], ["a"]], k=1)).all()
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    grades = rng.integers(0, 4, (40, 15))
    grades[:, 0] = 1
    scores = rng.permuted(np.tile(np.arange(15.0), (40, 1)), axis=1)
    ours = graded_ndcg_score(csr_matrix(grades), np.argsort(-scores, axis=1), k=6)
    np.testing.assert_allclose(ours.mean(), metrics.ndcg_score(grades, scores, k=6))
    with pytest.raises(UsageError, match="gains must be finite and at least 0"):
        graded_ndcg_score([{"a": -1}], [["a"]], k=1)


def test_graded_ndcg_of_equal_gains_is_the_binary_one() -> None:
    truth, ranked = cases()
    graded = graded_ndcg_score([dict.fromkeys(ids, 2.5) for ids in truth], ranked, k=9)
    np.testing.assert_allclose(graded, ndcg_score(truth, ranked, k=9))


def test_auc_is_the_area_under_the_roc_curve() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    relevant = rng.random((30, 25)) < 0.3
    relevant[:, 0], relevant[:, 1] = True, False
    order = rng.permuted(np.tile(np.arange(25), (30, 1)), axis=1)
    truth = [set(np.flatnonzero(row).tolist()) for row in relevant]
    place = np.argsort(order, axis=1)
    for shown in (25, 8, 1):  # what is not shown ties at the end
        scores = -np.minimum(place, shown)
        wanted = [metrics.roc_auc_score(true, score) for true, score in zip(relevant, scores)]
        np.testing.assert_allclose(auc_score(truth, order[:, :shown], items=25), wanted)


def test_auc_needs_both_sorts_and_enough_candidates() -> None:
    found = auc_score([{1, 2}, set(), {1}], [[1, 2], [1, 2], [2, 1]], items=np.array([2, 2, 2]))
    np.testing.assert_array_equal(found, [np.nan, np.nan, 0.0])
    with pytest.raises(UsageError, match="items must count every candidate"):
        auc_score([{1}], [[1, 2, 3]], items=2)


def test_ranking_scores_know_no_model() -> None:
    assert not {name for name in vars(ranking) if "recsys" in str(getattr(ranking, name))}
