from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.model import Recommender
from recsys.ratings.baseline import fit_baseline
from recsys.ratings.blend import RatingBlendConfig, fit_rating_blend
from recsys.ratings.factors import RatingFactorsConfig, SvdppConfig, fit_svd, fit_svdpp
from recsys.ratings.gaussian import GaussianConfig, fit_gaussian
from recsys.ratings.neighbours import KnnBaselineConfig, fit_knn_baseline
from recsys.ratings.nmf import NmfConfig, fit_nmf
from recsys.ratings.slope_one import fit_slope_one
from recsys.testing import COFFEES, TEAS, RecommenderContract
from shared.errors import UsageError
from shared.types import Id

needs_surprise = pytest.mark.skipif(find_spec("surprise") is None, reason="fitting it needs the extra 'recsys'")


class RatingContract(RecommenderContract):
    """The contract of recommenders, on ratings that tell taste by their values; all of one value tell nothing."""

    similar = False

    def test_it_finds_the_one_that_is_missing(self, model: Recommender) -> None:
        scores = model.score(list(model.user_ids.ids))
        assert np.isfinite(scores).all()

    def test_folding_a_known_history_in_gives_the_same(self, model: Recommender) -> None:
        history: dict[Id, float] = {item: 4.0 for item in COFFEES if item != "mocha"}
        folded = model.fold_in(history, k=5)
        assert folded.reason == "fold-in"
        assert set(folded.items) == {*TEAS, "mocha"}

    def test_similar_items_are_of_one_kind(self, model: Recommender) -> None:
        if self.similar:  # all values are one here; see test_similar_items_have_like_ratings
            assert "mocha" not in model.similar_items(["mocha"], k=100)[0].items
            return
        with pytest.raises(UsageError, match="knows no similar items"):
            model.similar_items(["mocha"])


class TestBaseline(RatingContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_baseline(interactions)


class TestSlopeOne(RatingContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_slope_one(interactions)


class TestKnnBaseline(RatingContract):
    similar = True

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_knn_baseline(interactions)


class TestKnnBaselineOfUsers(RatingContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_knn_baseline(interactions, KnnBaselineConfig(near="user"))


class TestGaussian(RatingContract):
    similar = True

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_gaussian(interactions, GaussianConfig(iterations=2))


@needs_surprise
class TestSvd(RatingContract):
    similar = True

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_svd(interactions, RatingFactorsConfig(factors=3))


@needs_surprise
class TestSvdpp(RatingContract):
    similar = True

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_svdpp(interactions, SvdppConfig(factors=3))


@needs_surprise
class TestNmf(RatingContract):
    similar = True

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_nmf(interactions, NmfConfig(factors=2))


class TestRatingBlend(RatingContract):
    similar = True

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_rating_blend(interactions, RatingBlendConfig(members="knn_baseline,slope_one,baseline", parts=5))
