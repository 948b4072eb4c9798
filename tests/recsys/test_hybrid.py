from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import recsys
from recsys.collaborative.ease import fit_ease
from recsys.collaborative.item_knn import fit_item_knn
from recsys.collaborative.popularity import fit_popularity
from recsys.content.tfidf import TfidfConfig, fit_content
from recsys.data import Interactions, from_records
from recsys.hybrid.blend import BlendConfig, fit_blend, fuse
from recsys.hybrid.rerank import RerankConfig, fit_rerank
from recsys.hybrid.stacking import learn_logistic, learn_ndcg, lessons
from recsys.model import Recommender
from recsys.testing import RecommenderContract, tastes
from shared.errors import UsageError

TWO = {"ease": fit_ease, "item-knn": fit_item_knn}


class TestBlend(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_blend(interactions)


class TestLogisticBlend(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_blend(interactions, BlendConfig(learn="logistic", candidates=4), members=TWO)


class TestRankFusion(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fuse(interactions, {name: fit(interactions) for name, fit in TWO.items()})


class TestBorda(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_blend(interactions, BlendConfig(method="borda"), members=TWO)


class TestRerank(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_rerank(interactions, RerankConfig(candidates=4), members=TWO)


class TestOfPopularity(RecommenderContract):
    personal = similar = False

    def fit(self, interactions: Interactions) -> Recommender:
        return fuse(interactions, {"popularity": fit_popularity(interactions)}, BlendConfig(learn="equal"))

    def test_similar_items_are_of_one_kind(self, model: Recommender) -> None:
        with pytest.raises(UsageError, match="no member of this hybrid knows similar items"):
            model.similar_items(["mocha"])


def crowd(people: int = 60, seed: int = 0) -> Interactions:
    """People of two tastes among 24 items."""
    rng = np.random.default_rng(seed)
    records = []
    for person in range(people):
        own, other = np.arange(12) + 12 * (person % 2), np.arange(12) + 12 * (1 - person % 2)
        liked = [*rng.choice(own, 7, replace=False), *rng.choice(other, 1)]
        records += [(f"p{person:02}", f"i{item:02}", 4, at) for at, item in enumerate(liked)]
    return from_records(records)


def test_a_blend_of_one_ranks_like_it() -> None:
    model = fit_ease(crowd())
    alone = fuse(crowd(), {"ease": model}, BlendConfig(learn="equal"))
    users = list(model.user_ids.ids)
    assert [one.items for one in alone.recommend(users)] == [one.items for one in model.recommend(users)]
    history = {"i01": 5.0, "i02": 1.0}
    assert alone.fold_in(history).items == model.fold_in(history).items


def test_standard_scores_have_mean_0_and_deviation_1_over_what_was_not_had() -> None:
    blend = fuse(crowd(), {"ease": fit_ease(crowd())}, BlendConfig(learn="equal"))
    seen = blend.histories.toarray() > 0
    for row, had in zip(blend.score(blend.user_ids.ids), seen):
        np.testing.assert_allclose([row[~had].mean(), row[~had].std()], [0, 1], atol=1e-4)


@pytest.mark.parametrize(
    ("method", "value"), [("rrf", lambda a, b: 1 / (60 + a) + 1 / (60 + b)), ("borda", lambda a, b: (48 - a - b) / 24)]
)
def test_rank_fusion_is_its_formula(method: str, value: object) -> None:
    whole = crowd()
    models = {name: fit(whole) for name, fit in TWO.items()}
    fused = fuse(whole, models, BlendConfig(method=method), weights=[1, 1])  # type: ignore[arg-type]
    user = "p00"
    places = []
    for model in models.values():
        order = model.recommend([user], k=24)[0].items
        places.append({item: at for at, item in enumerate(order, 1)})
    found = fused.recommend([user], k=24)[0]
    for item, score in zip(found.items, found.scores):
        np.testing.assert_allclose(score, value(places[0][item], places[1][item]), rtol=1e-5)  # type: ignore[operator]


def noise(interactions: Interactions) -> Recommender:
    shuffled = np.random.default_rng(1).permutation(interactions.items)
    records = {
        (u, interactions.item_ids.ids[i])
        for u, i in zip(np.array(interactions.user_ids.ids)[interactions.users].tolist(), shuffled)
    }
    return fit_ease(from_records(sorted(records)))


@pytest.mark.parametrize("learn", ["ndcg", "logistic"])
def test_learning_trusts_the_member_that_knows(learn: str) -> None:
    blend = fit_blend(crowd(), BlendConfig(learn=learn), members={"noise": noise, "ease": fit_ease})  # type: ignore[arg-type]
    assert blend.shares["ease"] > 2 * abs(blend.shares["noise"])


def test_a_logistic_blend_is_calibrated_on_its_lessons() -> None:
    found = list(lessons(crowd(), TWO, folds=4, candidates=10, people=50, rng=np.random.default_rng(0)))
    weights, intercept = learn_logistic(found)
    log_odds = np.concatenate([np.einsum("m,mnc->nc", weights, one.scores).ravel() + intercept for one in found])
    held = np.concatenate([one.held.ravel() for one in found])
    assert np.mean(1 / (1 + np.exp(-log_odds))) == pytest.approx(held.mean(), abs=1e-3)


def test_lessons_hold_every_interaction_out_once_and_show_none_of_them() -> None:
    found = list(lessons(crowd(), TWO, folds=4, candidates=24, people=99, rng=np.random.default_rng(0)))
    assert len(found) == 4
    assert sum(int(one.held.sum()) for one in found) == len(crowd())
    for one in found:
        had = one.values.toarray() > 0
        assert not (np.take_along_axis(had, one.candidates, axis=1) & one.held).any()


def test_weights_are_shares() -> None:
    found = list(lessons(crowd(), TWO, folds=4, candidates=10, people=50, rng=np.random.default_rng(0)))
    weights = learn_ndcg(found, k=5)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()


def test_a_content_member_brings_new_items(tmp_path: Path) -> None:
    whole = from_records([("ann", "dune", 5), ("ann", "ubik", 4), ("bob", "emma", 5), ("bob", "dune", 2)])
    texts: dict[str | int, str] = {"dune": "planet", "ubik": "future", "emma": "letters", "solaris": "planet future"}
    content = fit_content(whole, TfidfConfig(max_share=1), items=texts)
    blend = fuse(whole, {"ease": fit_ease(whole), "content": content}, BlendConfig(learn="equal"))
    assert blend.recommend(["ann"], k=1)[0].items == ("solaris",)
    assert blend.fold_in(["solaris"], k=1).items[0] in ("dune", "ubik")
    blend.save(tmp_path / "model")
    assert recsys.load(tmp_path / "model").recommend(["ann", "bob"]) == blend.recommend(["ann", "bob"])


def test_reranking_touches_the_candidates_alone() -> None:
    plain = fuse(crowd(), {name: fit(crowd()) for name, fit in TWO.items()}, BlendConfig(learn="equal"))
    again = fit_rerank(crowd(), RerankConfig(candidates=3), members=TWO)
    for one, other in zip(plain.recommend(["p00", "p01"], k=16), again.recommend(["p00", "p01"], k=16)):
        assert set(one.items[:3]) == set(other.items[:3])
        assert one.items[3:] == other.items[3:]


def test_trees_learn_save_and_load(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm", reason="LambdaRank needs the extra 'rerank'")
    config = RerankConfig(ranker="lambdarank", candidates=8, trees=5)
    model = fit_rerank(crowd(), config, members={"noise": noise, "ease": fit_ease})
    own = [sum(int(str(item)[1:]) < 12 for item in one.items) for one in model.recommend(["p00", "p01"], k=4)]
    assert own[0] > own[1]
    model.save(tmp_path / "model")
    assert recsys.load(tmp_path / "model").recommend(["p00", "x"]) == model.recommend(["p00", "x"])


def test_too_little_to_learn_from_gives_equal_weights() -> None:
    assert fit_blend(from_records([("ann", "tea")]), members=TWO).shares == {"ease": 0.5, "item-knn": 0.5}


def test_wrong_options_say_so() -> None:
    for wrong, message in (
        ({"method": "sum"}, "method must be one of standard, rrf, borda"),
        ({"learn": "x"}, "learn must be one of"),
        ({"folds": 1}, "folds must be at least 2"),
        ({"weighting": "log"}, "weighting of a hybrid must be 'value'"),
    ):
        with pytest.raises(UsageError, match=message):
            BlendConfig(**wrong)  # type: ignore[arg-type]
    for wrong, message in (
        ({"ranker": "x"}, "ranker must be"),
        ({"leaves": 1}, "leaves must be"),
        ({"learning_rate": 0.0}, "above 0"),
    ):
        with pytest.raises(UsageError, match=message):
            RerankConfig(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one member"):
        fuse(tastes(), {})
    with pytest.raises(UsageError, match="one for each of the 1 models"):
        fuse(tastes(), {"ease": fit_ease(tastes())}, weights=[1, 2])
