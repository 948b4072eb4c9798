"""User neighbours, SLIM and decayed popularity."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.collaborative.popularity import PopularityConfig, fit_popularity
from recsys.collaborative.slim import SlimConfig, fit_slim
from recsys.collaborative.user_knn import UserKnnConfig, fit_user_knn
from recsys.data import Interactions, from_records
from recsys.model import Recommender
from recsys.testing import RecommenderContract, tastes
from shared.errors import DataError, UsageError

DAY = 86_400


class TestUserKnn(RecommenderContract):
    similar = False

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_user_knn(interactions, UserKnnConfig(neighbours=5))


class TestSlim(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_slim(interactions, SlimConfig(l1=0.1, l2=1.0))


class TestDecayedPopularity(RecommenderContract):
    personal = similar = False

    def fit(self, interactions: Interactions) -> Recommender:
        timed = interactions
        if interactions.times is None:
            times = np.arange(len(interactions), dtype=np.int64)
            parts = interactions.users, interactions.items, interactions.values
            timed = Interactions(*parts, times, interactions.user_ids, interactions.item_ids)
        return fit_popularity(timed, PopularityConfig(half_life=1.0))


def ratings(users: int = 60, items: int = 25, count: int = 600) -> Interactions:
    rng = np.random.default_rng(1)
    pairs = {(int(u), int(i)) for u, i in zip(rng.integers(0, users, count), rng.integers(0, items, count))}
    return from_records([(*pair, int(rng.integers(1, 6))) for pair in sorted(pairs)])


@pytest.mark.parametrize("neighbours", [3, 60])
def test_user_knn_is_shrunk_cosine_over_people(neighbours: int) -> None:
    model = fit_user_knn(ratings(), UserKnnConfig(neighbours=neighbours, shrink=2.0, weighting="value"))
    x = model.histories.toarray().astype(np.float64)
    norms = np.linalg.norm(x, axis=1)
    similarity = x @ x.T / (np.outer(norms, norms) + 2.0)
    for row in similarity:
        row[np.argsort(-row, kind="stable")[neighbours:]] = 0
    np.testing.assert_allclose(model.score(model.user_ids.ids), similarity @ x, rtol=1e-4)


def test_user_knn_by_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit_user_knn(ratings())
    whole = model.score(model.user_ids.ids)
    monkeypatch.setattr("recsys.collaborative.user_knn._BLOCK", 150)
    np.testing.assert_array_equal(model.score(model.user_ids.ids), whole)


@pytest.mark.parametrize(("l1", "l2", "weighting"), [(0.5, 3.0, "binary"), (0.05, 1.0, "value"), (4.0, 20.0, "value")])
def test_slim_is_a_positive_elastic_net_of_each_item(l1: float, l2: float, weighting: str) -> None:
    from sklearn.linear_model import ElasticNet

    model = fit_slim(ratings(), SlimConfig(l1=l1, l2=l2, weighting=weighting))  # type: ignore[arg-type]
    x = model.histories.toarray().astype(np.float64)
    for item in range(x.shape[1]):
        others = x.copy()
        others[:, item] = 0
        n = len(x)
        net = ElasticNet(
            alpha=(l1 + l2) / n, l1_ratio=l1 / (l1 + l2), fit_intercept=False, positive=True, tol=1e-10, max_iter=10_000
        )
        net.fit(others, x[:, item])
        np.testing.assert_allclose(model.weights[item].toarray().ravel(), net.coef_, atol=2e-4)


def test_slim_learns_from_the_nearest_items_alone() -> None:
    model = fit_slim(ratings(), SlimConfig(neighbours=3, l1=0.0, l2=1.0))
    assert np.diff(model.weights.indptr).max() <= 3
    assert (model.weights.diagonal() == 0).all()


def test_slim_by_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit_slim(ratings()).weights.toarray()
    monkeypatch.setattr("recsys.collaborative.slim._GRAM", 1)
    np.testing.assert_allclose(fit_slim(ratings()).weights.toarray(), whole, atol=2e-5)


def test_a_penalty_above_every_product_leaves_slim_nothing_but_popularity() -> None:
    model = fit_slim(tastes(), SlimConfig(l1=1e6))
    assert model.weights.nnz == 0
    assert model.recommend(["no mocha"], k=5, exclude_seen=False)[0].items == model.item_ids.ids[:5]


def old_and_new() -> Interactions:
    rows = [(f"u{n}", "old hit", 1, 0) for n in range(3)] + [("u0", "new", 1, 20 * DAY), ("u1", "new", 1, 10 * DAY)]
    return from_records(rows)


@pytest.mark.parametrize(
    ("half_life", "ranking", "scores"),
    [(0.0, ("old hit", "new"), [3, 2]), (10.0, ("new", "old hit"), [1.5, 0.75]), (1e9, ("old hit", "new"), [3, 2])],
)
def test_popularity_decays_with_age(half_life: float, ranking: tuple[str, ...], scores: list[float]) -> None:
    model = fit_popularity(old_and_new(), PopularityConfig(half_life=half_life))
    for answer in (*model.recommend(["u0", "who"], exclude_seen=False), model.fold_in([])):
        assert answer.items == ranking
        np.testing.assert_allclose(answer.scores, scores, rtol=1e-6)
    assert model.recommend(["u2"])[0].items == ("new",)


def test_half_life_without_times_is_refused() -> None:
    with pytest.raises(DataError, match="half_life needs the time of each interaction"):
        fit_popularity(from_records([("a", "x")]), PopularityConfig(half_life=3))


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (UserKnnConfig, {"neighbours": 0}, "neighbours must be at least 1"),
        (UserKnnConfig, {"shrink": -1}, "shrink must be at least 0"),
        (SlimConfig, {"neighbours": 0}, "neighbours must be at least 1"),
        (SlimConfig, {"l1": -1}, "l1 must be at least 0"),
        (SlimConfig, {"l2": 0}, "l2 must be above 0"),
        (PopularityConfig, {"half_life": -1}, "half_life must be at least 0"),
    ],
)
def test_options_out_of_range_are_refused(config: type, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**options)
