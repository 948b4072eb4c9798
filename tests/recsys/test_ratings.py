from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.data import Interactions, from_records
from recsys.ratings.baseline import BaselineConfig, fit_baseline
from recsys.ratings.factors import RatingFactorsConfig, SvdppConfig, fit_svd, fit_svdpp
from recsys.ratings.gaussian import GaussianConfig, fit_gaussian
from recsys.ratings.model import RatingModel
from recsys.ratings.neighbours import KnnBaselineConfig, fit_knn_baseline
from recsys.ratings.nmf import NmfConfig, fit_nmf
from recsys.ratings.slope_one import fit_slope_one
from recsys.testing import rated_tastes
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
    whole = rated_tastes()
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
    model = fit(name, rated_tastes())
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
    whole = rated_tastes()
    model, mean = fit(name, whole), float(whole.values.astype(np.float64).mean())
    user, item = model.user_ids.ids[3], model.item_ids.ids[2]
    found = model.predict_ratings(["new", user, "new"], ["new", "new", item])
    wanted = [mean, mean + model.user_biases[3], mean + model.item_biases[2]]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert (np.abs(model.user_biases).max() > 0) == (name not in ("slope_one", "nmf"))


@pytest.mark.parametrize("name", ALL)
def test_somebody_new_gets_predictions_from_a_handful_of_ratings(name: str) -> None:
    model = fit(name, rated_tastes(count=900))
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
    whole = rated_tastes(count=900)
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
    model = fit(name, rated_tastes())
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
    model = fit(name, rated_tastes(users=200, items=16, count=4000))
    for answer in model.similar_items([0, 1], k=5):
        assert sum((int(str(item)) - int(str(answer.item))) % 2 == 0 for item in answer.items) >= (
            3 if name == "nmf" else 4
        )


@pytest.mark.parametrize("name", ALL)
def test_ratings_order_the_recommendations(name: str) -> None:
    model = fit(name, rated_tastes())
    answer = model.recommend([0], k=30)[0]
    scores = model.predict_ratings([0] * len(answer.items), answer.items)
    assert (np.diff(scores) <= 1e-6).all()
    liked = model.fold_in([0, 2, 4], k=3)
    assert liked == model.fold_in({0: 5.0, 2: 5.0, 4: 5.0}, k=3)  # items alone count as rated highest


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
    model = fit_baseline(rated_tastes())
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
        fit_svd(rated_tastes(), RatingFactorsConfig(learning_rate=1e6))


def test_without_surprise_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "surprise", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[recsys\]'"):
        fit_svd(rated_tastes())


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
    model = OURS[name](rated_tastes())
    parts = model.user_ids, model.item_ids, model.histories
    with pytest.raises(DataError, match=message):
        type(model).restore(dataclasses.asdict(model.config), parts, {**model.arrays(), array: value})
