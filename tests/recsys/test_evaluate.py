from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.collaborative.ease import EaseConfig, fit_ease
from recsys.collaborative.task import TASK, train
from recsys.comparing import compare_users, read_scores, write_scores
from recsys.evaluate import evaluate
from recsys.scoring import UserScores, sampled_scores, score_held_out, score_users
from recsys.split import hold_out_users, stratified
from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.ranking import ndcg_score


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty people of three tastes over thirty items, in MovieLens form."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "u.data"
    lines = []
    for user in range(60):
        for item in rng.choice(30, 12, replace=False, p=np.where(np.arange(30) % 3 == user % 3, 0.09, 0.005)):
            lines.append(f"{user}\t{item}\t{rng.integers(1, 6)}\t{rng.integers(0, 1000)}")
    path.write_text("\n".join(lines))
    return path


def test_figures_by_hand() -> None:
    model = recsys.fit_popularity(recsys.from_records([("a", "x"), ("b", "x"), ("b", "y"), ("c", "z")]))
    test = recsys.from_records([("a", "y"), ("a", "unheard of"), ("c", "z2"), ("d", "x")])
    found = score_users(model, test, k=2)  # a: y z; c: x y; d (unknown): x y
    assert found.users == ("a", "c", "d")
    assert found.scores["hit@2"].tolist() == [1.0, 0.0, 1.0]
    assert found.scores["recall@2"].tolist() == [0.5, 0.0, 1.0]
    assert found.scores["precision@2"].tolist() == [0.5, 0.0, 0.5]
    assert found.scores["mrr@2"].tolist() == [1.0, 0.0, 1.0]
    assert (found.strangers, found.unreachable) == (1, 2)
    assert score_users(model, test, k=2, limit=1).users == ("a",)


def test_what_was_seen_in_training_is_not_ranked() -> None:
    whole = recsys.from_records([("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x")])
    model = recsys.fit_popularity(whole)
    held = recsys.from_records([("c", "y")])
    assert score_users(model, held, k=1).scores["hit@1"].tolist() == [1.0]
    assert score_users(model, held, k=1, exclude_seen=False).scores["hit@1"].tolist() == [0.0]


def test_nothing_held_out_says_so() -> None:
    whole = recsys.from_records([("a", "x")])
    with pytest.raises(DataError, match="at least one test interaction"):
        score_users(recsys.fit_popularity(whole), whole.at_least(5))


def test_many_k_and_the_area_under_the_curve(ratings: Path) -> None:
    parts = stratified(recsys.load_interactions(ratings), rng=np.random.RandomState(0))
    model = recsys.fit_ease(parts.train)
    found = score_users(model, parts.test, ks=(3, 9), auc=True)
    for k in (3, 9):
        for name, values in score_users(model, parts.test, k=k).scores.items():
            np.testing.assert_array_equal(found.scores[name], values)
    for at, user in enumerate(found.users[:10]):  # by counting pairs of unseen items
        scores = model.score([user])[0]
        code = parts.test.user_ids.code(user)
        right = model.item_ids.encode(parts.test.item_ids.decode(parts.test.items[parts.test.users == code]))
        seen = model.histories[model.user_ids.code(user)].indices
        others = np.setdiff1d(np.arange(len(scores)), np.concatenate([right, seen]))
        pairs = scores[right][:, None] - scores[others]
        assert found.scores["auc"][at] == pytest.approx((pairs > 0).mean(), abs=1e-9)


def test_people_who_were_not_in_training(ratings: Path) -> None:
    whole = recsys.load_interactions(ratings)
    fold = hold_out_users(whole, given=0.7, rng=np.random.default_rng(0))
    model = recsys.fit_item_knn(fold.train)
    found = score_held_out(model, fold, ks=(5, 10))
    assert (len(found.users), found.strangers) == (15, 0)
    user = found.users[4]
    code = whole.user_ids.code(user)
    rows = fold.given.users == code
    given = dict(zip(whole.item_ids.decode(fold.given.items[rows]), fold.given.values[rows].tolist()))
    asked = set(whole.item_ids.decode(fold.asked.items[fold.asked.users == code]))
    answer = model.fold_in(given, k=5)
    assert found.scores["precision@5"][4] == pytest.approx(len(asked & set(answer.items)) / 5)
    assert found.scores["ndcg@10"].mean() > 0.3


def test_sampled_figures_come_with_a_warning_and_another_name(ratings: Path) -> None:
    parts = stratified(recsys.load_interactions(ratings), rng=np.random.RandomState(0))
    model = recsys.fit_item_knn(parts.train)
    with pytest.warns(UserWarning, match="figures among 5 sampled items are not comparable"):
        few = sampled_scores(model, parts.test, candidates=5, k=3, rng=np.random.default_rng(0))
    assert next(iter(few.scores)) == "ndcg@3 of 5 sampled"
    whole = score_users(model, parts.test, k=3)
    assert few.scores["recall@3 of 5 sampled"].mean() > whole.scores["recall@3"].mean()  # fewer rivals
    with pytest.warns(UserWarning, match="among 30 sampled"):
        every = sampled_scores(model, parts.test, candidates=30, k=3, rng=np.random.default_rng(0))
    for name, values in whole.scores.items():  # all others drawn: the whole ranking again
        np.testing.assert_allclose(every.scores[f"{name} of 30 sampled"], values)
    with pytest.raises(UsageError, match="candidates must be at least 1"):
        sampled_scores(model, parts.test, candidates=0, rng=np.random.default_rng(0))


def test_two_algorithms_on_the_same_users(ratings: Path, tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    report = evaluate(
        ratings, model="ease", against="popularity", k="5,10", per_user=str(path), auc=True, seed=2, l2=50.0
    )
    assert 0.5 < report.metrics["auc"].value < 1
    assert [name for name in report.metrics if name.startswith("ndcg")] == ["ndcg@5", "ndcg@10"]
    said = report.notes["comparison"]["ndcg@10"]
    rival = evaluate(ratings, model="popularity", seed=2).metrics["ndcg@10"].value
    assert said["first"] == pytest.approx(report.metrics["ndcg@10"].value, abs=1e-6)
    assert said["second"] == pytest.approx(rival, abs=1e-6)
    assert said["difference"] == pytest.approx(said["first"] - said["second"], abs=2e-6)
    assert 0 < said["low"] < said["difference"] < said["high"]
    assert said["p_value"] <= said["p_value_holm"] < 0.05
    lines = report.to_text().splitlines()
    line = next(line for line in lines if line.startswith("    ndcg@10 "))
    assert f"{said['difference']:+.4f}  [{said['low']:+.4f}, {said['high']:+.4f}]" in line
    assert json.loads(json.dumps(report.to_json()))["notes"]["comparison"]["ndcg@10"] == said
    kept = read_scores(path)
    assert list(kept) == ["ease", "popularity"]
    users, figures = kept["ease"]
    assert len(users) == 60
    assert figures["ndcg@10"].mean() == pytest.approx(report.metrics["ndcg@10"].value)


def test_models_are_compared_on_the_same_users() -> None:
    one = UserScores(("a", "b"), {"hit@1": np.array([1.0, 0.0])}, 0, 0)
    for other, message in (
        (UserScores(("a", "c"), one.scores, 0, 0), "on the same users in the same order"),
        (UserScores(("a", "b"), {"hit@2": np.zeros(2)}, 0, 0), "must share a figure. Got hit@1 and hit@2"),
    ):
        with pytest.raises(UsageError, match=message):
            compare_users(one, other, rng=np.random.default_rng(0))
    with pytest.raises(UsageError, match="all models must have the same figures"):
        write_scores("x.parquet", {"one": one, "other": UserScores(("a",), {"hit@2": np.zeros(1)}, 0, 0)})


def test_an_algorithm_is_fitted_on_the_training_part(ratings: Path) -> None:
    report = evaluate(ratings, model="item_knn", seed=3, k=5)
    whole = recsys.load_interactions(ratings)
    parts = stratified(whole, rng=np.random.RandomState(3))
    wanted = score_users(recsys.fit_item_knn(parts.train), parts.test, k=5)
    assert list(report.metrics) == ["ndcg@5", "precision@5", "recall@5", "map@5", "mrr@5", "hit@5", "f1@5"]
    for name, metric in report.metrics.items():
        np.testing.assert_allclose(metric.value, wanted.scores[name].mean())
        assert metric.low <= metric.value <= metric.high
    assert (report.task, report.model, report.dataset) == ("recsys.collaborative", "item_knn", "u.data")
    assert (report.n, report.failed) == (60, 0)
    assert report.notes["train_interactions"] == len(parts.train)
    assert "stratified split 0.75 train, all interactions count" in report.notes["protocol"]


def test_taste_beats_popularity_where_there_is_taste(ratings: Path) -> None:
    ndcg = {name: evaluate(ratings, model=name).metrics["ndcg@10"] for name in ("ease", "item_knn", "popularity")}
    assert min(ndcg["ease"].low, ndcg["item_knn"].low) > ndcg["popularity"].high


@pytest.mark.parametrize(
    "split",
    [
        "stratified",
        "stratified-item",
        "random",
        "temporal",
        "temporal-by-user",
        "leave-last-out",
        "leave-last-row-out",
    ],
)
def test_every_split_evaluates_and_repeats(ratings: Path, split: str) -> None:
    one, again = (evaluate(ratings, model="popularity", split=split, seed=1) for _ in range(2))
    assert one.metrics == again.metrics
    assert one.notes["protocol"].startswith(f"{split} split")
    assert one.notes["train_interactions"] + one.notes["test_interactions"] == 720


def test_options_reach_the_fit_and_the_data(ratings: Path) -> None:
    report = evaluate(ratings, model="ease", l2=7.0, weighting="binary", positive=">=4", limit=5, threads=1)
    powers = {"activity_power": 0.4, "popularity_power": 0.4}
    assert report.notes["options"] == {"l2": 7.0, "weighting": "binary", **powers, "dropout": 0.0}
    assert report.n == 5
    assert "only values >=4 are kept" in report.notes["protocol"]
    assert report.notes["train_interactions"] + report.notes["test_interactions"] < 720
    swapped = evaluate(ratings, model="popularity", columns="item,user,-,time")
    assert swapped.n == 30


def test_a_saved_model_is_evaluated_on_what_it_has_not_seen(ratings: Path, tmp_path: Path) -> None:
    lines = ratings.read_text().splitlines()
    (tmp_path / "train.tsv").write_text("\n".join(line for at, line in enumerate(lines) if at % 4))
    (tmp_path / "test.tsv").write_text("\n".join(lines[::4]))
    said = train(tmp_path / "train.tsv", tmp_path / "model", algorithm="item_knn", neighbours=9)
    assert said["options"]["neighbours"] == 9
    assert (said["users"], said["interactions"], said["algorithm"]) == (60, 540, "item_knn")
    report = evaluate(tmp_path / "test.tsv", model=str(tmp_path / "model"), split="none")
    assert report.n == len({line.split("\t")[0] for line in lines[::4]})
    assert report.metrics["ndcg@10"].value > 0.2
    with pytest.raises(DataError, match="540 of 720 were in its training data"):
        evaluate(ratings, model=str(tmp_path / "model"), split="none")
    with pytest.raises(UsageError, match="would test it on what it was trained on.*--split none"):
        evaluate(ratings, model=str(tmp_path / "model"))
    with pytest.raises(UsageError, match="fitted with its own options. Got l2"):
        evaluate(tmp_path / "test.tsv", model=str(tmp_path / "model"), split="none", l2=3.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "eese"}, UnknownNameError, "no algorithm or model folder is called 'eese'. Nearest: ease"),
        (
            {"split": "k-fold"},
            UnknownNameError,
            "no split is called 'k-fold'. Known: leave-last-out, leave-last-row-out, none",
        ),
        ({"split": "none"}, UsageError, "An algorithm needs a part to be fitted on"),
        ({"device": "gpu"}, UsageError, "device must be auto or cpu"),
        ({"threads": 0}, UsageError, "threads must be at least 1"),
        ({"positive": "good"}, UsageError, "positive must be 'all' or like '>=4'. Got 'good' instead"),
        ({"positive": ">=6"}, DataError, "at least one interaction"),
        ({"train": 1.5}, UsageError, "train must lie between 0 and 1"),
        ({"k": 0}, UsageError, "k must be"),
        ({"k": "5;10"}, UsageError, "k must be a whole number, or several by commas"),
        ({"against": "ease"}, UsageError, "against must be another model than ease"),
        ({"against": "eese"}, UnknownNameError, "no algorithm or model folder is called 'eese'"),
        ({"per_user": "/nowhere/users.parquet"}, UsageError, "per_user must be a file in a folder that exists"),
        (
            {"model": "item_knn", "l2": 3.0},
            UsageError,
            "item_knn has no option l2. It takes: neighbours, shrink, weight",
        ),
    ],
)
def test_wrong_options_say_so(ratings: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate(ratings, **options)


def test_training_keeps_only_what_is_positive(ratings: Path, tmp_path: Path) -> None:
    said = train(ratings, tmp_path / "m", algorithm="popularity", positive=">=4", name="likes", licence="CC0-1.0")
    kept = recsys.load_interactions(ratings).at_least(4)
    assert (said["model"], said["interactions"]) == ("likes", len(kept))
    assert said["bytes"] == (tmp_path / "m" / "model.npz").stat().st_size
    with pytest.raises(UnknownNameError, match="no algorithm is called 'astrology'"):
        train(ratings, tmp_path / "n", algorithm="astrology")


def test_every_option_of_every_algorithm_is_offered() -> None:
    names = [option.name for option in TASK.train_options]
    assert len(names) == len(set(names))
    assert {"l2", "neighbours", "shrink", "weighting", "activity_power", "popularity_power"} <= set(names)
    assert all(option.help for option in (*TASK.options, *TASK.train_options, *TASK.evaluate_options))


@pytest.mark.parametrize("module", ["recsys", "recsys.types", "recsys.ids"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    loaded = {name.split(".")[0] for name in subprocess.check_output([sys.executable, "-c", code], text=True).split()}
    assert not loaded & {"scipy", "sklearn", "pandas", "pyarrow", "torch", "implicit", "surprise", "gradio", "ray"}


def test_public_names_are_found_late() -> None:
    assert {name for name in recsys.__all__ if getattr(recsys, name) is None} == set()
    assert set(dir(recsys)) == set(recsys.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'fit_nothing'"):
        recsys.fit_nothing  # noqa: B018


@pytest.mark.data
def test_movielens_100k(data_root: Path) -> None:
    """The figure that README tells: seed 42, protocol of the recommenders project."""
    ml_100k = data_root / "recsys" / "ml-100k" / "ml-100k"
    report = evaluate(ml_100k, model="ease", seed=42)
    assert report.n == 943
    assert report.metrics["ndcg@10"].value >= 0.485
    assert report.notes["test_interactions"] == 25354
    assert report.metrics["ndcg@10"].value > evaluate(ml_100k, model="item_knn", seed=42).metrics["ndcg@10"].value


@pytest.mark.data
def test_bpr_ranks_better_than_what_is_published_of_it(data_root: Path) -> None:
    """0.441997 in the table of the recommenders project, by the same protocol."""
    pytest.importorskip("implicit", reason="bpr needs the extra 'recsys'")
    report = evaluate(data_root / "recsys" / "ml-100k" / "ml-100k", model="bpr", seed=42)
    assert report.metrics["ndcg@10"].value > 0.455


@pytest.mark.data
def test_dropout_makes_more_of_five_events(data_root: Path) -> None:
    """By the protocol of bench/cold_start.py: a quarter of a person's items is asked for, the others are left out."""
    whole = recsys.load_interactions(data_root / "recsys" / "ml-100k" / "ml-100k")
    out = whole.users % 10 == 0
    models = [fit_ease(whole.take(~out), config) for config in (EaseConfig(), EaseConfig(dropout=0.99))]
    truth: list[set[Any]] = []
    found: tuple[list[Any], list[Any]] = ([], [])
    for user in np.unique(whole.users[out]):
        rows = np.random.default_rng(user).permutation(np.flatnonzero(whole.users == user))
        ids = whole.item_ids.decode(whole.items[rows])
        quarter = len(ids) // 4
        truth.append(set(ids[:quarter]))
        for lists, model in zip(found, models):
            lists.append(model.fold_in(ids[quarter : quarter + 5], k=10, without=ids[quarter + 5 :]).items)
    plain, dropped = (ndcg_score(truth, lists, k=10).mean() for lists in found)
    assert dropped > 1.1 * plain


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "interactions", "users", "options"),
    [
        ("ml-latest-small/ml-latest-small/ratings.csv", 100836, 610, {}),
        ("lastfm_hetrec/user_artists.dat", 92834, 1892, {}),
        ("ml-100k/ml-100k/u1.base", 80000, 943, {"id_type": "int"}),
    ],
)
def test_real_files_are_read(
    data_root: Path, path: str, interactions: int, users: int, options: dict[str, Any]
) -> None:
    found = recsys.load_interactions(data_root / "recsys" / path, **options)
    assert (len(found), len(found.user_ids)) == (interactions, users)
