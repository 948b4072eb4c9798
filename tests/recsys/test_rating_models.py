from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions, from_records
from recsys.ratings.baseline import BaselineConfig, fit_baseline
from recsys.ratings.gaussian import GaussianConfig, fit_gaussian
from recsys.ratings.neighbours import mean_of_nearest
from recsys.ratings.slope_one import fit_slope_one
from recsys.testing import rated_tastes


def test_the_baseline_is_at_the_minimum_of_its_loss() -> None:
    whole = rated_tastes()
    model = fit_baseline(whole, BaselineConfig(user_l2=2, item_l2=3, iterations=200))
    dense = model.histories.toarray().astype(np.float64)

    def loss(users: np.ndarray, items: np.ndarray) -> float:
        off = (dense - float(model.scale[0]) - users[:, None] - items) * (dense > 0)
        return float((off**2).sum() + 2 * (users**2).sum() + 3 * (items**2).sum())

    users, items = model.user_biases.astype(np.float64), model.item_biases.astype(np.float64)
    best, rng = loss(users, items), np.random.default_rng(0)
    for _ in range(20):
        assert loss(users + rng.normal(size=users.shape) * 1e-2, items + rng.normal(size=items.shape) * 1e-2) > best


def test_slope_one_by_hand_and_of_half_stars() -> None:
    """The example of Lemire and Maclachlan's first figure, with halves."""
    model = fit_slope_one(from_records([("a", "i", 1.0), ("a", "j", 1.5), ("b", "i", 2.0)]))
    np.testing.assert_allclose(model.predict_ratings(["b"], ["j"]), [2.0])  # 2 + 0.5, within 1..2
    assert model.score(["b"])[0, model.item_ids.code("j")] == 2.5  # not clipped


def test_the_gaussian_is_its_own_formula() -> None:
    config = GaussianConfig(iterations=4, noise=0.5, session=0.3, session_seconds=5000.0, day=0.1)
    whole = rated_tastes()
    model = fit_gaussian(whole, config)
    rows = whole.users == whole.user_ids.code(5)
    items = model.item_ids.encode(whole.item_ids.decode(whole.items[rows]))
    times, values = whole.times[rows], whole.values[rows]  # type: ignore[index]  # they have times

    def kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        apart = np.abs(left[:, None] - right[None, :]).astype(float)
        return 0.3 * np.exp(-apart / 5000) + 0.1 * np.exp(-apart / 86400)

    cov, mean = model.covariance.astype(float), float(model.scale[0]) + model.item_biases.astype(float)
    seen = cov[np.ix_(items, items)] + kernel(times, times) + 0.5 * np.eye(len(items))
    target, moment = np.arange(30), np.full(30, 12_345)
    plain = np.linalg.solve(seen - kernel(times, times), values - mean[items])
    wanted = mean + (cov[:, items] + kernel(moment, times)) @ np.linalg.solve(seen, values - mean[items])
    found = model.predict_ratings([5] * 30, model.item_ids.decode(target), times=moment)
    np.testing.assert_allclose(found, np.clip(wanted, 1, 5), atol=1e-4)
    np.testing.assert_allclose(model.score([5])[0], mean + cov[:, items] @ plain, atol=1e-4)


def test_em_raises_the_likelihood_of_the_ratings() -> None:
    whole = from_records(list(zip(*_columns(rated_tastes(count=900)))))

    def likelihood(turns: int) -> float:
        model = fit_gaussian(whole, GaussianConfig(iterations=turns, prior=0.0))
        total = 0.0
        for row in range(40):
            items = model.histories[row].indices
            beyond = model.histories[row].data - float(model.scale[0]) - model.item_biases[items]
            seen = model.covariance[np.ix_(items, items)].astype(float) + 0.6 * np.eye(len(items))
            total -= np.linalg.slogdet(seen)[1] + beyond @ np.linalg.solve(seen, beyond)
        return total

    found = [likelihood(turns) for turns in (1, 2, 4, 8)]
    assert found == sorted(found)


def test_a_moment_tells_of_a_session() -> None:
    """One person whose mood changes: high ratings at first, low ones later."""
    moods = [("ann", f"i{at}", 5 if at < 10 else 1, 10 * at if at < 10 else 10**6 + 10 * at) for at in range(20)]
    others = [(f"u{user}", f"i{at}", 3, 10**7 + at) for user in range(5) for at in range(22)]
    model = fit_gaussian(from_records(moods + others))
    early, late = model.predict_ratings(["ann", "ann"], ["i20", "i20"], times=[50, 10**6 + 150])
    assert early > late + 0.5
    unknown = model.predict_ratings(["ann"], ["i20"])[0]
    assert late < unknown < early


def _columns(whole: Interactions) -> tuple[list[Any], ...]:
    users, items = whole.user_ids.decode(whole.users), whole.item_ids.decode(whole.items)
    return list(users), list(items), whole.values.tolist()


@given(
    st.lists(st.tuples(st.sampled_from([-0.5, 0.0, 0.25, 0.5, 1.0]), st.integers(-3, 3)), min_size=1, max_size=12),
    st.integers(1, 8),
)
def test_the_nearest_neighbours_are_those_of_a_heap(pairs: list[tuple[float, int]], most: int) -> None:
    """Surprise takes them by ``heapq.nlargest``, the first among equals, and leaves out what is not above 0."""
    nearest = [pair for pair in heapq.nlargest(most, pairs, key=lambda pair: pair[0]) if pair[0] > 0]
    total = sum(alike for alike, _ in nearest)
    wanted = sum(alike * beyond for alike, beyond in nearest) / total if total else 0.0
    alike, beyond = (np.array(column) for column in zip(*pairs))
    found = mean_of_nearest(alike[None].astype(np.float32), beyond.astype(np.float64), most)
    np.testing.assert_allclose(found, [wanted], atol=1e-12)
