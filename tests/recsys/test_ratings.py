from __future__ import annotations

import dataclasses
import heapq
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recsys
from recsys.data import Interactions, from_records
from recsys.ratings.baseline import BaselineConfig, fit_baseline
from recsys.ratings.factors import RatingFactorsConfig, SvdppConfig, fit_svd, fit_svdpp
from recsys.ratings.gaussian import GaussianConfig, fit_gaussian
from recsys.ratings.model import RatingModel
from recsys.ratings.neighbours import KnnBaselineConfig, fit_knn_baseline, mean_of_nearest
from recsys.ratings.nmf import NmfConfig, fit_nmf
from recsys.ratings.slope_one import fit_slope_one
from shared.errors import DataError, MissingDependencyError, UsageError
from shared.types import Id

Fit = Callable[[Interactions], RatingModel]
OURS: dict[str, Fit] = {
    "baseline": fit_baseline,
    "slope_one": fit_slope_one,
    "knn_baseline": fit_knn_baseline,
    "knn_baseline of users": lambda part: fit_knn_baseline(part, KnnBaselineConfig(near="user", similarity="msd")),
    "gaussian": lambda part: fit_gaussian(part, GaussianConfig(iterations=3)),
}
THEIRS: dict[str, Fit] = {"svd": fit_svd, "svdpp": fit_svdpp, "nmf": fit_nmf}
needs_surprise = pytest.mark.skipif(find_spec("surprise") is None, reason="fitting it needs the extra 'recsys'")
ALL = [*OURS, *(pytest.param(name, marks=needs_surprise) for name in THEIRS)]


def ratings(seed: int = 0, users: int = 40, items: int = 30, count: int = 500) -> Interactions:
    """Whole ratings of 1..5 by two tastes, with times."""
    rng = np.random.default_rng(seed)
    pairs = sorted({(int(u), int(i)) for u, i in zip(rng.integers(0, users, count), rng.integers(0, items, count))})
    liking = [3 + 1.2 * (1 if (u + i) % 2 else -1) + rng.normal() for u, i in pairs]
    values = np.clip(np.rint(liking), 1, 5)
    return from_records([(*pair, value, 1000 * at) for at, (pair, value) in enumerate(zip(pairs, values.tolist()))])


def fit(name: str, part: Interactions) -> RatingModel:
    return (OURS | THEIRS)[name](part)


GOLDEN: dict[str, tuple[Fit, str, dict[str, Any]]] = {
    "baseline": (fit_baseline, "BaselineOnly", {}),
    "slope one": (fit_slope_one, "SlopeOne", {}),
    "svd": (lambda part: fit_svd(part, rng=np.random.default_rng(7)), "SVD", {}),
    "svd++": (lambda part: fit_svdpp(part, rng=np.random.default_rng(7)), "SVDpp", {}),
    "nmf": (lambda part: fit_nmf(part, rng=np.random.default_rng(7)), "NMF", {}),
} | {
    f"knn of {near}s by {kind}": (
        lambda part, near=near, kind=kind: fit_knn_baseline(  # type: ignore[misc]  # bound now
            part, KnnBaselineConfig(near=near, similarity=kind, neighbours=4)
        ),
        "KNNBaseline",
        {"k": 4, "verbose": False, "sim_options": {"name": kind, "user_based": near == "user"}},
    )
    for near in ("user", "item")
    for kind in ("msd", "pearson_baseline")
}


@pytest.mark.parametrize("name", GOLDEN)
def test_predictions_are_those_of_surprise(name: str) -> None:
    surprise = pytest.importorskip("surprise", reason="the extra 'recsys' is not installed")
    from recsys.ratings.model import rating_parts
    from recsys.ratings.peer import trainset_of

    make, theirs, options = GOLDEN[name]
    whole = ratings()
    model = make(whole)
    if theirs in ("SVD", "SVDpp", "NMF"):
        options = {"random_state": int(np.random.default_rng(7).integers(2**31))}
    if theirs == "BaselineOnly":
        options = {"verbose": False}
    peer = getattr(surprise, theirs)(**options).fit(trainset_of(rating_parts(whole)))
    users, items = [*model.user_ids.ids, "new"], [*model.item_ids.ids, "new"]
    pairs = [(user, item) for user in users for item in items]
    wanted = []
    for user, item in pairs:  # its own raw ids are our codes
        code = model.user_ids.find(user), model.item_ids.find(item)
        wanted.append(peer.predict(*("new" if one is None else one for one in code)).est)
    found = model.predict_ratings([user for user, _ in pairs], [item for _, item in pairs])
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert found.min() >= 1
    assert found.max() <= 5


@pytest.mark.parametrize("name", ALL)
def test_pairs_are_the_entries_of_the_rows(name: str) -> None:
    model = fit(name, ratings())
    rows = model.score(list(model.user_ids.ids))
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, rows.shape[0], 300), rng.integers(0, rows.shape[1], 300)
    found = model.predict_ratings(model.user_ids.decode(users), model.item_ids.decode(items))
    np.testing.assert_allclose(found, np.clip(rows[users, items], 1, 5), atol=1e-5)
    assert found.dtype == np.float32
    few = model.predict_codes(users[:3].astype(np.int32), np.array([-1, -1, 0], np.int32))
    assert few.shape == (3,)


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_known_gets_the_mean_and_the_bias_that_is(name: str) -> None:
    whole = ratings()
    model, mean = fit(name, whole), float(whole.values.astype(np.float64).mean())
    user, item = model.user_ids.ids[3], model.item_ids.ids[2]
    found = model.predict_ratings(["new", user, "new"], ["new", "new", item])
    wanted = [mean, mean + model.user_biases[3], mean + model.item_biases[2]]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert (np.abs(model.user_biases).max() > 0) == (name not in ("slope_one", "nmf"))


@pytest.mark.parametrize("name", ALL)
def test_somebody_new_gets_predictions_from_a_handful_of_ratings(name: str) -> None:
    model = fit(name, ratings(count=900))
    likes_even: Mapping[Id, float] = {0: 5, 2: 5, 4: 5, 1: 1, 3: 1, 5: 1, "unheard of": 3}
    found = model.predict_folded(likes_even, [6, 8, 10, 12, 7, 9, 11, 13, "new"])
    assert found.shape == (9,)
    if name not in ("baseline", "slope_one"):  # which see no taste
        assert found[:4].mean() > found[4:8].mean() + 0.1
    generous, strict = (
        model.predict_folded({0: 5, 1: 5, 2: 5}, [6, 7]),
        model.predict_folded({0: 1, 1: 1, 2: 1}, [6, 7]),
    )
    assert (generous > strict).all()
    nobody = model.predict_folded({}, [6, "new"])
    np.testing.assert_allclose(nobody, model.predict_ratings(["new", "new"], [6, "new"]))


@pytest.mark.parametrize("name", ["slope_one", "knn_baseline", "gaussian"])
def test_folding_the_ratings_of_a_known_user_in_comes_near_their_own(name: str) -> None:
    whole = ratings(count=900)
    model = OURS[name](from_records(list(zip(*_columns(whole)))))  # without times
    mine, folded = model.score_users(np.arange(40, dtype=np.int32)), model.score_histories(model.histories)
    assert np.abs(mine - folded).max() < (0.05 if name == "knn_baseline" else 1e-4)


def _columns(whole: Interactions) -> tuple[list[Any], ...]:
    users, items = whole.user_ids.decode(whole.users), whole.item_ids.decode(whole.items)
    return list(users), list(items), whole.values.tolist()


@pytest.mark.parametrize("name", ALL)
def test_a_saved_model_predicts_the_same_without_surprise(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fit(name, ratings())
    model.save(tmp_path)
    monkeypatch.setitem(sys.modules, "surprise", None)
    again = recsys.load(tmp_path, mmap=True)
    assert isinstance(again, RatingModel)
    users, items = [*range(9), "new"], [*range(10, 20)]
    moments = list(range(0, 100_000, 10_000))
    for times in (None, moments):
        np.testing.assert_array_equal(
            again.predict_ratings(users, items, times=times), model.predict_ratings(users, items, times=times)
        )
    np.testing.assert_array_equal(again.predict_folded({1: 5, 2: 1}, items), model.predict_folded({1: 5, 2: 1}, items))


@pytest.mark.parametrize("name", ["knn_baseline", "gaussian", *(pytest.param(n, marks=needs_surprise) for n in THEIRS)])
def test_similar_items_have_like_ratings(name: str) -> None:
    model = fit(name, ratings(users=200, items=16, count=4000))
    for answer in model.similar_items([0, 1], k=5):
        assert sum((int(str(item)) - int(str(answer.item))) % 2 == 0 for item in answer.items) >= (
            3 if name == "nmf" else 4
        )


@pytest.mark.parametrize("name", ALL)
def test_ratings_order_the_recommendations(name: str) -> None:
    model = fit(name, ratings())
    answer = model.recommend([0], k=30)[0]
    scores = model.predict_ratings([0] * len(answer.items), answer.items)
    assert (np.diff(scores) <= 1e-6).all()
    liked = model.fold_in([0, 2, 4], k=3)
    assert liked == model.fold_in({0: 5.0, 2: 5.0, 4: 5.0}, k=3)  # items alone count as rated highest


def test_the_baseline_is_at_the_minimum_of_its_loss() -> None:
    whole = ratings()
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
    whole = ratings()
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
    whole = from_records(list(zip(*_columns(ratings(count=900)))))

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


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (BaselineConfig, {"user_l2": -1}, "user_l2 must be at least 0 and finite. Got -1"),
        (BaselineConfig, {"iterations": 0}, "iterations must be at least 1. Got 0"),
        (RatingFactorsConfig, {"factors": 0}, "factors must be at least 1"),
        (RatingFactorsConfig, {"learning_rate": 0}, "learning_rate must be above 0"),
        (SvdppConfig, {"l2": -1}, "l2 must be at least 0"),
        (NmfConfig, {"iterations": 0}, "iterations must be at least 1"),
        (NmfConfig, {"l2": float("nan")}, "l2 must be at least 0"),
        (KnnBaselineConfig, {"near": "both"}, "near must be one of item, user. Got 'both'"),
        (KnnBaselineConfig, {"similarity": "cosine"}, "similarity must be one of pearson_baseline, msd"),
        (KnnBaselineConfig, {"neighbours": 0}, "neighbours must be at least 1"),
        (KnnBaselineConfig, {"shrink": -1}, "shrink must be at least 0"),
        (GaussianConfig, {"noise": 0}, "noise must be above 0"),
        (GaussianConfig, {"day": -1}, "day must be at least 0"),
        (GaussianConfig, {"iterations": 0}, "iterations must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(config: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**options)


def test_wrong_questions_say_so() -> None:
    model = fit_baseline(ratings())
    with pytest.raises(UsageError, match=r"two lists of one length, a pair at each place. Got 2 and 1"):
        model.predict_ratings([1, 2], [1])
    with pytest.raises(UsageError, match="Got one str and 1"):
        model.predict_ratings("1", [1])
    with pytest.raises(UsageError, match=r"times must be as many as users. Got 1 for 2"):
        model.predict_ratings([1, 2], [1, 2], times=[1])
    with pytest.raises(UsageError, match="must give a rating for each item"):
        model.predict_folded([1, 2], [1])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="finite"):
        model.predict_folded({1: float("inf")}, [1])


@needs_surprise
def test_fits_that_cannot_be_say_so() -> None:
    with pytest.raises(UsageError, match=r"nmf needs ratings of at least 0. Got -1"):
        fit_nmf(from_records([("a", "x", -1), ("b", "x", 1)]))
    with pytest.raises(UsageError, match="Lower learning_rate, or raise l2"), np.errstate(all="ignore"):
        fit_svd(ratings(), RatingFactorsConfig(learning_rate=1e6))


def test_without_surprise_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "surprise", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[recsys\]'"):
        fit_svd(ratings())


@pytest.mark.parametrize(
    ("name", "array", "value", "message"),
    [
        ("baseline", "scale", np.array([9, 1, 5], np.float32), "scale must be mean, lowest and highest"),
        ("baseline", "user_biases", np.zeros(3, np.float32), "user_biases must be a finite float32 array"),
        ("slope_one", "counts", np.full((30, 30), -1, np.float32), "counts must be at least 0"),
        ("knn_baseline", "similarities", np.zeros((2, 2), np.float32), r"similarities must be .* \(30, 30\)"),
        ("gaussian", "moments", np.zeros(3, np.int64), "moments must be whole seconds"),
        ("gaussian", "weights", np.zeros(3, np.float32), "weights must be a finite float32"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, array: str, value: np.ndarray, message: str) -> None:
    model = OURS[name](ratings())
    parts = model.user_ids, model.item_ids, model.histories
    with pytest.raises(DataError, match=message):
        type(model).restore(dataclasses.asdict(model.config), parts, {**model.arrays(), array: value})


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
