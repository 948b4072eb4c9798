from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.collaborative.ease import EaseConfig, fit_ease
from recsys.collaborative.ease_time import EaseTimeConfig, fit_ease_time
from recsys.data import Interactions, from_records
from recsys.model import Recommender
from recsys.testing import RecommenderContract
from shared.errors import DataError, UsageError


class TestEaseTime(RecommenderContract):
    def fit(self, interactions: Interactions) -> Recommender:
        times = np.arange(len(interactions), dtype=np.int64) if interactions.times is None else interactions.times
        return fit_ease_time(replace(interactions, times=times), EaseTimeConfig(l2=1.0))


def pages(seed: int = 0) -> Interactions:
    """Ratings of 40 people among 12 items at random moments within a day."""
    rng = np.random.default_rng(seed)
    cells = zip(*np.nonzero(rng.random((40, 12)) < 0.4))
    return from_records(
        [(f"u{u:02}", f"i{i:02}", int(rng.integers(1, 6)), int(rng.integers(86_400))) for u, i in cells]
    )


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_weights_are_those_of_the_formula(share: float) -> None:
    whole = pages()
    config = EaseTimeConfig(l2=3.0, seconds=7200.0, time_share=share, activity_power=0, popularity_power=0)
    model = fit_ease_time(whole, config)
    x, when = np.zeros((40, 12)), np.zeros((40, 12))
    users = model.user_ids.encode(whole.user_ids.ids)[whole.users]
    items = model.item_ids.encode(whole.item_ids.ids)[whole.items]
    x[users, items], when[users, items] = np.log1p(whole.values), whole.times
    x /= np.sqrt(np.mean(np.log1p(whole.values) ** 2))
    near = np.exp(-np.abs(when[:, :, None] - when[:, None, :]) / 7200.0)
    gram = np.einsum("ui,uj,uij->ij", x, x, (1 - share) + share * near)
    inverse = np.linalg.inv(gram + 3.0 * np.eye(12))
    wanted = -inverse / np.diagonal(inverse)
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(model.weights, wanted, atol=1e-5)


@pytest.mark.parametrize("config", [{"time_share": 0.0}, {"seconds": 1e15}])
def test_without_the_weight_of_time_it_is_ease(config: dict[str, float]) -> None:
    model = fit_ease_time(pages(), EaseTimeConfig(l2=5.0, **config))  # type: ignore[arg-type]
    np.testing.assert_allclose(model.weights, fit_ease(pages(), EaseConfig(l2=5.0)).weights, rtol=1e-4, atol=1e-5)


def test_what_came_soon_after_counts_more() -> None:
    rows = [(f"u{u}", item, 1, u + at) for u in range(6) for item, at in (("tea", 0), ("milk", 5), ("rope", 5000))]
    model = fit_ease_time(from_records([*rows, ("new", "tea", 1, 0)]), EaseTimeConfig(l2=1.0))
    assert model.recommend(["new"], k=2)[0].items == ("milk", "rope")


def test_the_order_of_rows_does_not_matter() -> None:
    whole = pages()
    order = np.random.default_rng(1).permutation(len(whole))
    np.testing.assert_allclose(fit_ease_time(whole.take(order)).weights, fit_ease_time(whole).weights, atol=1e-6)


def test_no_times_say_so() -> None:
    with pytest.raises(DataError, match="ease_time needs times"):
        fit_ease_time(from_records([("ann", "tea")]))


@pytest.mark.parametrize(
    ("wrong", "message"), [({"seconds": 0}, "seconds must be above 0"), ({"time_share": 2}, "time_share must lie")]
)
def test_wrong_options_say_so(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EaseTimeConfig(**wrong)  # type: ignore[arg-type]
