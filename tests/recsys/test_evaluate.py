from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.collaborative.task import TASK, train
from recsys.evaluate import evaluate, score_users
from recsys.split import stratified
from shared.errors import DataError, UnknownNameError, UsageError


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


def test_an_algorithm_is_fitted_on_the_training_part(ratings: Path) -> None:
    report = evaluate(ratings, model="item_knn", seed=3, k=5)
    whole = recsys.load_interactions(ratings)
    parts = stratified(whole, rng=np.random.RandomState(3))
    wanted = score_users(recsys.fit_item_knn(parts.train), parts.test, k=5)
    assert list(report.metrics) == ["ndcg@5", "precision@5", "recall@5", "map@5", "mrr@5", "hit@5"]
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
    "split", ["stratified", "stratified-item", "random", "temporal", "leave-last-out", "leave-last-row-out"]
)
def test_every_split_evaluates_and_repeats(ratings: Path, split: str) -> None:
    one, again = (evaluate(ratings, model="popularity", split=split, seed=1) for _ in range(2))
    assert one.metrics == again.metrics
    assert one.notes["protocol"].startswith(f"{split} split")
    assert one.notes["train_interactions"] + one.notes["test_interactions"] == 720


def test_options_reach_the_fit_and_the_data(ratings: Path) -> None:
    report = evaluate(ratings, model="ease", l2=7.0, weighting="binary", positive=">=4", limit=5, threads=1)
    assert report.notes["options"] == {"l2": 7.0, "weighting": "binary", "activity_power": 0.4, "popularity_power": 0.4}
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
