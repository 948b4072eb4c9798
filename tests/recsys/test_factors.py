from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

import recsys
from recsys.collaborative.als import Als, AlsConfig, fit_als
from recsys.collaborative.bpr import Bpr, BprConfig, fit_bpr
from recsys.collaborative.factors import map_histories
from recsys.collaborative.logistic_mf import LogisticMfConfig, fit_logistic_mf
from recsys.collaborative.task import train
from recsys.data import Interactions, csr, from_records
from recsys.evaluate import evaluate
from recsys.model import Recommender
from recsys.testing import RecommenderContract, tastes
from recsys.threads import limit_threads
from shared.errors import DataError, UsageError

pytest.importorskip("implicit", reason="these models need the extra 'recsys'")

ALS = AlsConfig(factors=2, l2=0.1, alpha=2.0, iterations=60)
BPR = BprConfig(factors=4, learning_rate=0.1, l2=0.01, iterations=300)
LOGISTIC = LogisticMfConfig(factors=3, l2=0.3, iterations=100)


class TestAls(RecommenderContract):
    fold_in_error = 1e-3

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_als(interactions, ALS)


class TestAlsWithBm25(RecommenderContract):
    fold_in_error = 1e-3

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_als(interactions, AlsConfig(factors=2, l2=0.1, iterations=60, bm25_k1=1.2))


class TestBpr(RecommenderContract):
    fold_in_error = None

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_bpr(interactions, BPR)


class TestLogisticMf(RecommenderContract):
    fold_in_error = None

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_logistic_mf(interactions, LOGISTIC)


def ratings(seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    pairs = {(int(u), int(i)) for u, i in zip(rng.integers(0, 40, 400), rng.integers(0, 30, 400))}
    return from_records([(*pair, int(rng.integers(1, 6))) for pair in sorted(pairs)])


@pytest.mark.parametrize(
    ("fit", "config"),
    [(fit_als, ALS), (fit_bpr, BPR), (fit_logistic_mf, LOGISTIC)],
)
def test_one_generator_gives_one_model(fit: object, config: object) -> None:
    one, same, other = (fit(ratings(), config, rng=np.random.default_rng(seed)) for seed in (3, 3, 4))  # type: ignore[operator]
    np.testing.assert_array_equal(one.item_factors, same.item_factors)
    assert (one.item_factors != other.item_factors).any()
    assert one.item_factors.dtype == one.user_factors.dtype == np.float32


def test_the_number_of_threads_does_not_change_als() -> None:
    with limit_threads(2):
        two = fit_als(ratings(), ALS)
    with limit_threads(1):
        np.testing.assert_allclose(fit_als(ratings(), ALS).user_factors, two.user_factors, atol=1e-4)


def test_als_folds_in_as_implicit_recalculates_a_user() -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    model = fit_als(ratings(), AlsConfig(factors=5, l2=0.7, alpha=3.0, weighting="value"))
    theirs = AlternatingLeastSquares(factors=5, regularization=0.7, alpha=1.0)
    theirs.item_factors, theirs.user_factors = model.item_factors, model.user_factors
    certain = model.histories.copy()
    certain.data = 1 + 3 * certain.data
    np.testing.assert_allclose(
        model.fold_users(model.histories), theirs.recalculate_user(np.arange(40), certain), rtol=1e-3, atol=1e-5
    )


def test_als_reaches_a_minimum_of_its_loss() -> None:
    model = fit_als(ratings(), AlsConfig(factors=3, l2=2.0, alpha=1.5, iterations=100, weighting="value"))
    weights = model.histories.toarray().astype(np.float64)

    def loss(users: np.ndarray, items: np.ndarray) -> float:
        off = (weights > 0) - users @ items.T
        return float(((1 + 1.5 * weights) * off**2).sum() + 2.0 * ((users**2).sum() + (items**2).sum()))

    users, items = model.user_factors.astype(np.float64), model.item_factors.astype(np.float64)
    best, rng = loss(users, items), np.random.default_rng(0)
    for _ in range(20):
        step = rng.normal(size=users.shape) * 1e-2, rng.normal(size=items.shape) * 1e-2
        assert loss(users + step[0], items + step[1]) > best


def test_bm25_is_that_of_implicit() -> None:
    from implicit.nearest_neighbours import bm25_weight

    model = fit_als(ratings(), AlsConfig(factors=2, alpha=1.0, weighting="value", bm25_k1=100.0, bm25_b=0.6))
    theirs = bm25_weight(model.histories.T, K1=100, B=0.6).T.tocsr()
    theirs.sort_indices()
    np.testing.assert_allclose(model.confidences(model.histories), 1 + np.maximum(theirs.data, 0), rtol=1e-5)


def test_the_map_of_histories_finds_a_linear_truth() -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(20, 4)).astype(np.float32)
    items[:, 3] = rng.normal(size=20)
    dense = (rng.random((300, 20)) < 0.3).astype(np.float32)
    dense[:, 0] = 1
    rows, columns = np.nonzero(dense)
    histories = csr(rows.astype(np.int32), columns.astype(np.int32), np.ones(len(rows), np.float32), (300, 20))
    said = np.column_stack([dense @ items[:, :3] / np.sqrt(dense.sum(axis=1))[:, None], np.ones(300)])
    truth = rng.normal(size=(4, 3))
    users = np.column_stack([said @ truth, np.ones(300)]).astype(np.float32)
    np.testing.assert_allclose(map_histories(histories, users, items, 3), truth, atol=2e-2)


def test_a_bias_is_a_column_against_a_column_of_ones() -> None:
    bpr, logistic = fit_bpr(ratings(), BPR), fit_logistic_mf(ratings(), LOGISTIC)
    assert (bpr.user_factors[:, 4] == 1).all()
    assert (bpr.fold_users(bpr.histories)[:, 4] == 1).all()
    assert (logistic.user_factors[:, 3] == 1).all()
    assert (logistic.item_factors[:, 4] == 1).all()
    assert (logistic.fold_users(logistic.histories)[:, 3] == 1).all()


def test_bpr_adds_the_popularity_that_sampling_takes_away() -> None:
    """Where nobody has a taste, items rank by popularity; without the addition they stand near each other."""
    rng = np.random.default_rng(0)
    chances = np.array([0.8, 0.4, 0.2, 0.1, 0.05])
    taken = np.argwhere(rng.random((400, 5)) < chances)
    whole = from_records([(f"u{user}", f"i{item}") for user, item in taken.tolist()])
    plain, added = (
        fit_bpr(whole, BprConfig(factors=1, iterations=40, learning_rate=0.05, popularity_correction=power))
        for power in (0, 1)
    )
    np.testing.assert_allclose(added.item_factors[:, 0], plain.item_factors[:, 0])
    np.testing.assert_allclose(added.item_factors[:, 1] - plain.item_factors[:, 1], np.log(added.popularity), rtol=1e-5)
    assert np.ptp(plain.item_factors[:, 1]) < 0.5 * np.ptp(added.item_factors[:, 1])
    assert (np.diff(added.item_factors[:, 1]) < 0).all()


def test_bpr_models_of_before_keep_their_scores() -> None:
    model = fit_bpr(tastes(), dataclasses.replace(BPR, popularity_correction=0))
    options = {key: value for key, value in dataclasses.asdict(model.config).items() if key != "popularity_correction"}
    again = Bpr.restore(options, (model.user_ids, model.item_ids, model.histories), model.arrays())
    assert again.config == model.config


def test_scores_of_bpr_put_what_was_taken_above_what_was_not() -> None:
    model = fit_bpr(tastes(), BPR)
    scores, seen = model.score(["no mocha"])[0], model.histories[model.user_ids.code("no mocha")].toarray().ravel() > 0
    assert scores[seen].min() > np.sort(scores[~seen])[:-1].max()


@pytest.mark.parametrize("fit", [fit_als, fit_logistic_mf])
def test_what_counts_against_an_item_is_refused(fit: object) -> None:
    config = AlsConfig(weighting="value") if fit is fit_als else LogisticMfConfig(weighting="value")
    with pytest.raises(DataError, match=r"values must not be negative. Got -1.0"):
        fit(from_records([("a", "x", 1), ("a", "y", -1)]), config)  # type: ignore[operator]


def test_steps_that_are_too_long_are_named() -> None:
    with pytest.raises(UsageError, match="Lower learning_rate, or raise l2"):
        fit_bpr(ratings(), BprConfig(learning_rate=1e30, iterations=5))


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (AlsConfig, {"factors": 0}, "factors must be at least 1. Got 0 instead"),
        (AlsConfig, {"l2": -1}, "l2 must be at least 0 and finite. Got -1 instead"),
        (AlsConfig, {"alpha": float("nan")}, "alpha must be at least 0"),
        (AlsConfig, {"bm25_k1": -1}, "bm25_k1 must be"),
        (AlsConfig, {"bm25_b": 2}, r"bm25_b must lie in 0..1. Got 2 instead"),
        (AlsConfig, {"weighting": "x"}, "weighting must be one of"),
        (BprConfig, {"iterations": 0}, "iterations must be at least 1"),
        (BprConfig, {"learning_rate": 0}, "learning_rate must be above 0"),
        (BprConfig, {"popularity_correction": 1.5}, r"popularity_correction must lie in 0..1. Got 1.5 instead"),
        (LogisticMfConfig, {"negatives": 0}, "negatives must be at least 1"),
        (LogisticMfConfig, {"learning_rate": -1}, "learning_rate must be above 0"),
    ],
)
def test_options_out_of_range_are_refused(config: type, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**options)


def test_factors_that_do_not_fit_are_refused() -> None:
    model = fit_als(ratings(), ALS)
    parts = model.user_ids, model.item_ids, model.histories
    with pytest.raises(DataError, match=r"user_factors must be a finite float32 array of shape \(40, 3\)"):
        Als.restore({"factors": 3}, parts, model.arrays())


def test_a_saved_model_answers_without_implicit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit_als(tastes(), ALS).save(tmp_path)
    monkeypatch.setitem(sys.modules, "implicit", None)
    model = recsys.load(tmp_path)
    assert model.recommend(["no mocha"], k=1)[0].items == ("mocha",)
    assert model.fold_in(["latte", "espresso", "ristretto"], k=1).items == ("mocha",)


def test_the_command_trains_and_evaluates_factors(tmp_path: Path) -> None:
    data = tmp_path / "ratings.csv"
    whole = tastes()
    users, items = whole.user_ids.decode(whole.users), whole.item_ids.decode(whole.items)
    data.write_text("user,item,rating\n" + "".join(f"{u},{i},4\n" for u, i in zip(users, items)))
    options = {"factors": 2, "l2": 0.1, "iterations": 30}
    said = train(data, tmp_path / "m", algorithm="als", threads=1, **options)
    assert said["options"] == {**options, "alpha": 5.0, "weighting": "log", "bm25_k1": 0.0, "bm25_b": 0.8}
    assert recsys.load(tmp_path / "m", mmap=True).recommend(["no mocha"], k=1)[0].items == ("mocha",)
    assert evaluate(data, model="als", k=2, **options).metrics["ndcg@2"].value > 0
    with pytest.raises(UsageError, match="bpr has no option weighting"):
        train(data, tmp_path / "n", algorithm="bpr", weighting="log")
