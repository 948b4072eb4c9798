"""The graph filter, and item neighbours by time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recsys.collaborative.gf_cf import GfCfConfig, fit_gf_cf
from recsys.collaborative.time_knn import TimeKnnConfig, fit_time_knn
from recsys.data import Interactions, from_records
from recsys.model import Recommender
from recsys.testing import RecommenderContract
from shared.errors import DataError, UsageError


class TestGfCf(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_gf_cf(interactions, GfCfConfig(factors=2))


class TestTimeKnn(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        times = np.zeros(len(interactions), dtype=np.int64)
        return fit_time_knn(replace(interactions, times=times), TimeKnnConfig(shrink=1.0))


def ratings() -> Interactions:
    rng = np.random.default_rng(0)
    cells = zip(*np.nonzero(rng.random((20, 9)) < 0.4))
    return from_records([(f"u{u:02}", f"i{i}", 1, int(rng.integers(100))) for u, i in cells])


@pytest.mark.parametrize(("factors", "ideal"), [(3, 0.5), (100, 0.3), (1, 0.0)])
def test_the_filter_is_its_formula(factors: int, ideal: float) -> None:
    model = fit_gf_cf(ratings(), GfCfConfig(factors=factors, ideal=ideal))
    x = model.histories.toarray().astype(float)
    popular = x.sum(axis=0)
    r = x / np.sqrt(x.sum(axis=1, keepdims=True) * popular)
    v = np.linalg.svd(r)[2][:factors]
    wanted = r.T @ r + ideal * np.diag(popular**-0.5) @ v.T @ v @ np.diag(popular**0.5)
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(model.weights, wanted, atol=1e-5)


def test_neighbours_by_time_are_their_formula() -> None:
    whole = ratings()
    model = fit_time_knn(whole, TimeKnnConfig(seconds=40.0, shrink=2.0))
    x, when = np.zeros((20, 9)), np.zeros((20, 9))
    users = model.user_ids.encode(whole.user_ids.ids)[whole.users]
    items = model.item_ids.encode(whole.item_ids.ids)[whole.items]
    x[users, items], when[users, items] = 1, whole.times
    near = np.exp(-np.abs(when[:, :, None] - when[:, None, :]) / 40.0)
    count = np.sqrt(x.sum(axis=0))
    wanted = np.einsum("ui,uj,uij->ij", x, x, near) / (count[:, None] * count + 2.0)
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(model.weights, wanted, rtol=1e-5)


def test_each_item_speaks_for_its_nearest_alone() -> None:
    few = fit_time_knn(ratings(), TimeKnnConfig(neighbours=2))
    many = fit_time_knn(ratings())
    assert (np.count_nonzero(few.weights, axis=1) == 2).all()
    assert few.similar_items(["i3"], k=2)[0].items == many.similar_items(["i3"], k=2)[0].items


def test_no_times_say_so() -> None:
    with pytest.raises(DataError, match="time_knn needs times"):
        fit_time_knn(from_records([("ann", "tea")]))


@pytest.mark.parametrize(
    ("config", "wrong", "message"),
    [
        (GfCfConfig, {"factors": 0}, "factors must be at least 1"),
        (GfCfConfig, {"ideal": -1}, "ideal must be at least 0"),
        (TimeKnnConfig, {"seconds": 0}, "seconds must be above 0"),
        (TimeKnnConfig, {"neighbours": 0}, "neighbours must be at least 1"),
        (TimeKnnConfig, {"shrink": -1}, "shrink must be at least 0"),
    ],
)
def test_wrong_options_say_so(config: Any, wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**wrong)
