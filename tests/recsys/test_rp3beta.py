from __future__ import annotations

import numpy as np
import pytest

from recsys.collaborative.rp3beta import Rp3BetaConfig, fit_rp3beta
from recsys.data import Interactions, from_records
from recsys.model import Recommender
from recsys.testing import RecommenderContract
from shared.errors import UsageError


class TestRp3Beta(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_rp3beta(interactions)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.7, 0.4)])
def test_weights_are_those_of_the_walk(alpha: float, beta: float) -> None:
    rng = np.random.default_rng(0)
    whole = from_records([(f"u{u}", f"i{i}") for u, i in zip(*np.nonzero(rng.random((9, 6)) < 0.5))])
    model = fit_rp3beta(whole, Rp3BetaConfig(alpha=alpha, beta=beta))
    x = model.histories.toarray().astype(float)
    back = (x / x.sum(axis=0)).T ** alpha
    forth = (x / x.sum(axis=1, keepdims=True)) ** alpha * (x > 0)
    wanted = (back * (x.T > 0)) @ forth / x.sum(axis=0) ** beta
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(model.score(model.user_ids.ids), x @ wanted, rtol=1e-5)


def test_each_item_leads_to_its_nearest_alone() -> None:
    rows = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("b", "z"), ("c", "z"), ("d", "z")]
    model = fit_rp3beta(from_records(rows), Rp3BetaConfig(neighbours=1))
    assert model.similar_items(["x", "z"]) == fit_rp3beta(from_records(rows)).similar_items(["x", "z"], k=1)


@pytest.mark.parametrize(
    ("wrong", "message"), [({"alpha": 0}, "alpha"), ({"beta": 2}, "beta"), ({"neighbours": 0}, "neighb")]
)
def test_wrong_options_say_so(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=f"{message}.* must"):
        Rp3BetaConfig(**wrong)  # type: ignore[arg-type]
