from __future__ import annotations

import itertools

import numpy as np
import pytest

from recsys.collaborative.ease import EaseConfig, fit_ease
from recsys.collaborative.item_knn import ItemKnnConfig, fit_item_knn
from recsys.collaborative.popularity import PopularityConfig, fit_popularity
from recsys.data import Interactions, from_records
from recsys.model import Recommender
from recsys.testing import RecommenderContract, tastes
from shared.errors import DataError, UsageError

FITS = [fit_ease, fit_item_knn, fit_popularity]
PLAIN = {"weighting": "binary", "activity_power": 0.0, "popularity_power": 0.0}


class TestEase(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_ease(interactions)


class TestPlainEase(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_ease(interactions, EaseConfig(l2=1.0, **PLAIN))


class TestItemKnn(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_item_knn(interactions)


class TestPopularity(RecommenderContract):
    personal = similar = False

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_popularity(interactions)


def small() -> Interactions:
    rows = [("a", "x", 5), ("a", "y", 3), ("b", "x", 1), ("b", "y", 2), ("b", "z", 4), ("c", "y", 1), ("d", "z", 2)]
    return from_records(rows)


def dense(interactions: Interactions, model: Recommender) -> np.ndarray:
    """Histories by hand, columns in the model's order of items."""
    whole = interactions.matrix.toarray().astype(np.float64)
    return whole[:, [interactions.item_ids.code(item) for item in model.item_ids.ids]]


def test_items_stand_by_popularity_and_then_by_id() -> None:
    assert fit_popularity(small()).item_ids.ids == ("y", "x", "z")
    assert fit_popularity(small()).popularity.tolist() == [3, 2, 2]


@pytest.mark.parametrize(
    ("weighting", "scores"),
    [("binary", [3, 2, 2]), ("value", [6, 6, 6]), ("log", [np.log(4 * 3 * 2), np.log(6 * 2), np.log(5 * 3)])],
)
def test_popularity_sums_weights(weighting: str, scores: list[float]) -> None:
    model = fit_popularity(small(), PopularityConfig(weighting=weighting))  # type: ignore[arg-type]
    np.testing.assert_allclose(model.score(["a"])[0], scores, rtol=1e-6)


def test_plain_ease_is_the_papers_closed_form() -> None:
    model = fit_ease(small(), EaseConfig(l2=0.7, **PLAIN))
    x = (dense(small(), model) > 0).astype(float)
    p = np.linalg.inv(x.T @ x + 0.7 * np.eye(3))
    b = np.eye(3) - p / np.diag(p)
    np.testing.assert_allclose(model.weights, b, atol=1e-6)
    np.testing.assert_allclose(model.score(["a", "b", "c", "d"]), x @ b, atol=1e-6)


def test_ease_is_optimal_among_matrices_with_an_empty_diagonal() -> None:
    model = fit_ease(small(), EaseConfig(l2=0.7, **PLAIN))
    x = (dense(small(), model) > 0).astype(float)

    def loss(b: np.ndarray) -> float:
        return float(((x - x @ b) ** 2).sum() + 0.7 * (b**2).sum())

    rng = np.random.default_rng(0)
    best = loss(model.weights.astype(float))
    for _ in range(50):
        step = rng.normal(scale=1e-2, size=(3, 3))
        np.fill_diagonal(step, 0)
        assert loss(model.weights + step) > best


def test_ease_with_all_its_options_is_the_formula_of_its_docstring() -> None:
    model = fit_ease(small(), EaseConfig(l2=2.0, weighting="log", activity_power=0.5, popularity_power=0.25))
    raw = np.log1p(dense(small(), model))
    x = raw / np.linalg.norm(raw, axis=1, keepdims=True) ** 0.5
    x /= np.sqrt((x[x > 0] ** 2).mean())
    g = x.T @ x
    p = np.linalg.inv(g + 2.0 * np.diag((np.diag(g) / np.diag(g).mean()) ** 0.25))
    b = np.eye(3) - p / np.diag(p)
    np.testing.assert_allclose(model.weights, b, atol=1e-6)
    np.testing.assert_allclose(model.score(["a", "b"]), raw[:2] @ b, atol=1e-6)


def test_dropout_is_what_training_on_every_thinned_history_comes_to() -> None:
    """By enumeration: each interaction is missing with probability 0.3 from the inputs, and never from the targets."""
    model = fit_ease(small(), EaseConfig(l2=1e-9, dropout=0.3, **PLAIN))
    x = (dense(small(), model) > 0).astype(float)
    for target in range(3):
        others = [item for item in range(3) if item != target]
        left, right = np.zeros((2, 2)), np.zeros(2)
        for kept in itertools.product((0, 1), repeat=2):
            chance = np.prod([0.7 if one else 0.3 for one in kept])
            thin = x[:, others] * kept
            left += chance * thin.T @ thin
            right += chance * thin.T @ x[:, target]
        # The inputs of use are whole, so the weights are those of thinned inputs times the share that is kept.
        np.testing.assert_allclose(model.weights[others, target], 0.7 * np.linalg.solve(left, right), atol=1e-6)


def test_ease_of_more_items_than_one_block() -> None:
    rng = np.random.default_rng(0)
    pairs = {(int(u), int(i)) for u, i in zip(rng.integers(0, 300, 6000), rng.integers(0, 1100, 6000))}
    interactions = from_records(sorted(pairs))
    model = fit_ease(interactions, EaseConfig(l2=5.0, **PLAIN))
    x = (dense(interactions, model) > 0).astype(float)
    p = np.linalg.inv(x.T @ x + 5.0 * np.eye(x.shape[1]))
    np.testing.assert_allclose(model.weights, np.eye(len(p)) - p / np.diag(p), atol=1e-5)


def test_ease_survives_an_item_whose_weights_are_all_nothing() -> None:
    model = fit_ease(from_records([("a", "x", 5), ("b", "x", 4), ("b", "y", 2), ("c", "z", 0)]))
    assert np.isfinite(model.weights).all()
    assert model.recommend(["a"], k=1)[0].items == ("y",)


def test_scale_of_values_does_not_change_ease() -> None:
    once = from_records([("a", "x", 5), ("a", "y", 3), ("b", "x", 1), ("b", "z", 4), ("c", "y", 1), ("c", "z", 2)])
    tenfold = from_records(
        [("a", "x", 50), ("a", "y", 30), ("b", "x", 10), ("b", "z", 40), ("c", "y", 10), ("c", "z", 20)]
    )
    config = EaseConfig(weighting="value")
    np.testing.assert_allclose(fit_ease(once, config).weights, fit_ease(tenfold, config).weights, rtol=1e-5)


@pytest.mark.parametrize("shrink", [0.0, 2.5])
@pytest.mark.parametrize("weighting", ["binary", "value"])
def test_item_knn_is_shrunk_cosine(shrink: float, weighting: str) -> None:
    model = fit_item_knn(small(), ItemKnnConfig(shrink=shrink, weighting=weighting))  # type: ignore[arg-type]
    x = dense(small(), model)
    x = (x > 0).astype(float) if weighting == "binary" else x
    norms = np.linalg.norm(x, axis=0)
    similarity = x.T @ x / (np.outer(norms, norms) + shrink)
    np.fill_diagonal(similarity, 0)
    np.testing.assert_allclose(model.neighbours.toarray(), similarity, rtol=1e-6)
    np.testing.assert_allclose(model.score(["a"])[0], x[0] @ similarity, rtol=1e-6)


def test_item_knn_keeps_the_nearest_neighbours_of_each_item() -> None:
    model = fit_item_knn(small(), ItemKnnConfig(neighbours=1, shrink=0, weighting="binary"))
    near = {one.item: one.items for one in model.similar_items(["x", "y", "z"], k=5)}
    assert near == {"x": ("y",), "y": ("x",), "z": ("x",)}  # z shares b with x (1/2) and with y (1/sqrt 6)


def test_item_knn_fills_up_with_popular_items() -> None:
    model = fit_item_knn(from_records([("a", "x"), ("a", "y"), *((f"u{n}", "hit") for n in range(5)), ("v", "rare")]))
    assert model.recommend(["a"], k=5)[0].items == ("hit", "rare")
    assert model.fold_in(["x"], k=5).items == ("y", "hit", "rare")


def test_negative_values_weigh_against_only_where_the_weighting_can() -> None:
    rows = [("a", "x", 1), ("a", "y", -1), ("b", "x", 1), ("b", "y", -1), ("c", "x", 1), ("c", "z", 1), ("d", "z", 1)]
    disliked = from_records(rows)
    for fit in FITS:
        with pytest.raises(DataError, match="values must not be negative"):
            fit(disliked)
    assert fit_popularity(disliked.at_least(0)).item_ids.ids == ("x", "z")
    model = fit_ease(disliked, EaseConfig(weighting="value", l2=1.0))
    assert model.score(["c"])[0][model.item_ids.code("y")] < 0
    assert fit_item_knn(disliked, ItemKnnConfig(weighting="value")).similar_items(["y"])[0].items == ()


@pytest.mark.parametrize("fit", [fit_ease, fit_item_knn])
def test_weights_that_are_all_nothing_are_refused(fit: object) -> None:
    with pytest.raises(DataError, match="the weight 0"):
        fit(from_records([("a", "x", 0), ("b", "y", 0)]))  # type: ignore[operator]


def test_a_value_of_nothing_is_still_an_interaction() -> None:
    model = fit_popularity(from_records([("a", "x", 0), ("b", "y", 1)]))
    assert model.recommend(["a"])[0].items == ("y",)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (EaseConfig, {"l2": 0}, "l2 must be above 0 and finite. Got 0 instead"),
        (EaseConfig, {"l2": float("nan")}, "l2 must be above 0"),
        (EaseConfig, {"activity_power": 1.5}, r"activity_power must lie in 0..1. Got 1.5 instead"),
        (EaseConfig, {"popularity_power": -1}, "popularity_power must lie"),
        (EaseConfig, {"dropout": 1.0}, "dropout must be at least 0 and below 1. Got 1.0 instead"),
        (EaseConfig, {"weighting": "tfidf"}, "weighting must be one of binary, value, log. Got 'tfidf' instead"),
        (ItemKnnConfig, {"neighbours": 0}, "neighbours must be at least 1. Got 0 instead"),
        (ItemKnnConfig, {"shrink": -1}, "shrink must be at least 0 and finite. Got -1 instead"),
        (ItemKnnConfig, {"shrink": float("inf")}, "shrink must be"),
        (PopularityConfig, {"weighting": ""}, "weighting must be"),
    ],
)
def test_options_out_of_range_are_refused(config: type, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**options)


def test_an_l2_too_small_for_double_precision_is_refused() -> None:
    alike = from_records([(user, item) for user in "abcd" for item in "xy"])
    with pytest.raises(UsageError, match="raise it"):
        fit_ease(alike, EaseConfig(l2=1e-300, **PLAIN))


@pytest.mark.parametrize("fit", FITS)
def test_ranking_by_blocks_is_the_same_ranking(fit: object, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit(tastes())  # type: ignore[operator]
    users = [*model.user_ids.ids, "stranger"]
    whole = model.recommend(users, k=3)
    monkeypatch.setattr("recsys.model._BLOCK", 17)
    monkeypatch.setattr("recsys.collaborative.item_knn._BLOCK", 9)
    monkeypatch.setattr("recsys.collaborative.ease._STEP", 3)
    assert model.recommend(users, k=3) == whole
    assert fit(tastes()).recommend(users, k=3) == whole  # type: ignore[operator]
