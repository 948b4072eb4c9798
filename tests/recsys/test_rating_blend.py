from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import recsys
from recsys.collaborative.task import train
from recsys.data import Interactions
from recsys.evaluate import evaluate
from recsys.model import Recommender
from recsys.ratings.blend import RatingBlend, RatingBlendConfig, fit_rating_blend
from recsys.ratings.evaluate import Predicted, compare_errors, predict_parts, rating_scores
from recsys.ratings.factors import ridge
from recsys.split import Split, folds, random
from recsys.testing import rated_tastes
from shared.cli.main import triptych
from shared.errors import DataError, UnknownNameError, UsageError

OWN = RatingBlendConfig(members="knn_baseline,slope_one,baseline", parts=5)
"""Members that need no other library."""


def ratings() -> Interactions:
    return rated_tastes(users=60, count=1500)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    whole = ratings()
    path = tmp_path_factory.mktemp("ratings") / "u.data"
    columns = (whole.user_ids.decode(whole.users), whole.item_ids.decode(whole.items), whole.values.astype(int))
    rows = zip(*columns, whole.times.tolist())  # type: ignore[union-attr]  # they have times
    path.write_text("\n".join("\t".join(map(str, row)) for row in rows))
    return path


def test_a_blend_is_the_weighted_sum_of_its_members() -> None:
    whole = ratings()
    blend = fit_rating_blend(whole, OWN)
    users, items = [1, 2, 3, "new"], [4, 5, "new", 6]
    mean = blend.scale[0]
    known = [model.predict_codes(np.array([1, 2], np.int32), blend.item_ids.encode([4, 5])) for model in blend.models]
    wanted = mean + sum(share * (found - mean) for share, found in zip(blend.shares[0], known))
    found = blend.predict_ratings(users, items)
    np.testing.assert_allclose(found[:2], np.clip(wanted, 1, 5), atol=1e-5)
    np.testing.assert_allclose(
        found[2:], [mean + blend.user_biases[3], mean + blend.item_biases[blend.item_ids.code(6)]]
    )
    np.testing.assert_allclose(blend.score([1])[0, blend.item_ids.encode([4])], wanted[0], atol=1e-5)
    folded = blend.predict_folded({0: 5, 2: 5, 1: 1}, [4, 6, 3, 5])
    assert folded[:2].min() > folded[2:].max()


def test_weights_are_learned_on_ratings_that_members_were_not_shown() -> None:
    whole = ratings()
    parts = random(whole, train=0.8, rng=np.random.default_rng(1))
    blend = fit_rating_blend(parts.train, OWN)
    learned, alike = (
        rating_scores(predict_parts([model], [parts]), rng=np.random.default_rng(0))["rmse"].value
        for model in (blend, fit_rating_blend(parts.train, RatingBlendConfig(members=OWN.members, rounds=0)))
    )
    assert learned < alike - 0.05  # the neighbours see the taste, the others cannot
    assert blend.shares[0, 0] > 0.6
    np.testing.assert_allclose(blend.shares[0], blend.shares[1])  # no member looks at times
    again = fit_rating_blend(parts.train, OWN)
    np.testing.assert_array_equal(again.shares, blend.shares)


def test_a_moment_changes_whom_to_trust() -> None:
    blend = fit_rating_blend(ratings(), RatingBlendConfig(members="gaussian,baseline", parts=5))
    assert (np.abs(blend.shares[0] - blend.shares[1]) > 1e-4).all()
    assert (blend.predict_ratings([1], [4], times=[60]) != blend.predict_ratings([1], [4])).all()


def test_a_saved_blend_is_the_same_blend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("surprise", reason="fitting svd, svdpp and nmf needs the extra 'recsys'")
    blend = fit_rating_blend(ratings(), RatingBlendConfig(members="gaussian,svd,svdpp,nmf", parts=4, rounds=1))
    blend.save(tmp_path)
    monkeypatch.setitem(sys.modules, "surprise", None)
    again = recsys.load(tmp_path)
    assert isinstance(again, RatingBlend)
    users, items = list(range(20)), list(range(20))
    for times in (None, list(range(0, 2000, 100))):
        np.testing.assert_array_equal(
            again.predict_ratings(users, items, times=times), blend.predict_ratings(users, items, times=times)
        )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"members": "gausian"}, UnknownNameError, "Nearest: gaussian"),
        ({"members": "svd,svd"}, UsageError, "members must be different. Got svd,svd"),
        ({"parts": 1}, UsageError, "parts must be at least 2. Got 1"),
        ({"rounds": 11}, UsageError, r"rounds must lie in 0..parts, 10. Got 11"),
        ({"l2": -1}, UsageError, "l2 must be at least 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RatingBlendConfig(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_ridge_solves_its_equations_on_either_side(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=shape), rng.normal(size=shape[0])
    wanted = np.linalg.solve(inputs.T @ inputs + 0.7 * np.eye(shape[1]), inputs.T @ targets)
    np.testing.assert_allclose(ridge(inputs, targets, 0.7), wanted)


def test_figures_of_folds_by_hand() -> None:
    found = Predicted(
        np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([4.0, 2, 2, 4]), np.array([5.0, 2, 2, 1]), 0, 0, 0.0
    )
    figures = rating_scores(found, rng=np.random.default_rng(0))
    assert figures["rmse"].value == pytest.approx((np.sqrt(1 / 2) + np.sqrt(9 / 2)) / 2)
    assert figures["mae"].value == pytest.approx((1 / 2 + 3 / 2) / 2)
    assert figures["r2"].value == pytest.approx((1 - 1 / 2 + 1 - 9 / 2) / 2)
    assert figures["rmse"].low <= figures["rmse"].value <= figures["rmse"].high
    flat = Predicted(np.array([0, 1]), np.array([0, 0]), np.array([3.0, 3]), np.array([3.0, 4]), 0, 0, 0.0)
    assert set(rating_scores(flat, rng=np.random.default_rng(0))) == {"rmse", "mae"}


def test_two_models_on_other_ratings_are_not_compared() -> None:
    one = Predicted(np.array([0]), np.array([0]), np.array([3.0]), np.array([3.0]), 0, 0, 0.0)
    other = Predicted(np.array([0]), np.array([0]), np.array([4.0]), np.array([3.0]), 0, 0, 0.0)
    with pytest.raises(UsageError, match="compared on the same ratings"):
        compare_errors(one, other, rng=np.random.default_rng(0))


def test_the_command_trains_evaluates_and_compares(file: Path, tmp_path: Path) -> None:
    said = train(file, tmp_path / "model", algorithm="knn_baseline", near="user", threads=1)
    assert said["options"] == {"near": "user", "similarity": "pearson_baseline", "neighbours": 40, "shrink": 100.0}
    report = evaluate(file, model="knn_baseline", metric="ratings", folds=3, against="baseline", shrink=10.0)
    whole = recsys.load_interactions(file)
    assert list(report.metrics) == ["rmse", "mae", "r2"]
    assert report.n == len(whole)
    assert report.notes["protocol"].startswith("3-fold by rating")
    assert report.notes["options"]["shrink"] == 10.0
    parts = folds(whole, count=3, rng=np.random.default_rng(0))
    models = [recsys.fit_knn_baseline(part.train, recsys.KnnBaselineConfig(shrink=10.0)) for part in parts]
    by_hand = [
        float(np.sqrt(np.mean((_predicted(model, part) - part.test.values) ** 2))) for model, part in zip(models, parts)
    ]
    np.testing.assert_allclose(report.notes["fold_rmse"], by_hand, atol=1e-5)
    assert report.metrics["rmse"].value == pytest.approx(np.mean(by_hand), abs=1e-5)
    assert report.notes["comparison"]["rmse"]["high"] < 0  # better than the baseline


def _predicted(model: Recommender, part: Split) -> np.ndarray:
    assert isinstance(model, recsys.RatingModel)
    users, items = part.test.user_ids.decode(part.test.users), part.test.item_ids.decode(part.test.items)
    return model.predict_ratings(users, items)


def test_one_split_and_the_first_users(file: Path) -> None:
    report = evaluate(file, model="baseline", metric="ratings", limit=7, train=0.5)
    assert report.notes["protocol"].startswith("random split 0.5 train")
    whole = recsys.load_interactions(file)
    parts = random(whole, train=0.5, rng=np.random.default_rng(0))
    assert report.n == np.isin(parts.test.users, np.unique(parts.test.users)[:7]).sum()


def test_a_saved_model_is_asked_for_ratings_that_were_held_out(file: Path, tmp_path: Path) -> None:
    lines = file.read_text().splitlines()
    (tmp_path / "train.data").write_text("\n".join(lines[::2]))
    (tmp_path / "test.data").write_text("\n".join([*lines[1::2], "stranger\t3\t4\t5"]))
    train(tmp_path / "train.data", tmp_path / "model", algorithm="slope_one")
    report = evaluate(tmp_path / "test.data", model=str(tmp_path / "model"), split="none", metric="ratings")
    assert report.metrics["rmse"].value < 2
    assert report.notes["test_interactions_of_unknown_users"] == 1
    assert "fit_seconds" not in report.notes


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "ease", "metric": "ratings"}, UsageError, "ease ranks, and predicts no ratings. Take one that does"),
        ({"model": "baseline", "metric": "rating"}, UnknownNameError, "Nearest: ratings"),
        ({"model": "baseline", "folds": 5}, UsageError, "folds is for metric ratings of an algorithm"),
        (
            {"model": "baseline", "metric": "ratings", "folds": 5, "split": "random"},
            UsageError,
            "in the place of a split",
        ),
        ({"model": "baseline", "metric": "ratings", "auc": True}, UsageError, "auc is of rankings"),
        (
            {"model": "baseline", "metric": "ratings", "against": "slim"},
            UsageError,
            "slim ranks, and predicts no ratings",
        ),
        ({"model": "baseline", "metric": "ratings", "folds": 0}, UsageError, "from 2 to the number of interactions"),
        ({"model": "baseline", "metric": "ratings", "folds": 1}, UsageError, "from 2 to the number of interactions"),
    ],
)
def test_what_does_not_go_together_is_refused(
    file: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate(file, **options)  # type: ignore[arg-type]


def test_nothing_to_predict_says_so() -> None:
    whole = ratings()
    part = Split(whole, whole.at_least(9))
    with pytest.raises(DataError, match="at least one test rating"):
        predict_parts([recsys.fit_baseline(whole)], [part])


def test_the_command_line_prints_rating_figures(file: Path) -> None:
    line = [
        "evaluate",
        "recsys.collaborative",
        str(file),
        "--model",
        "slope_one",
        "--metric",
        "ratings",
        "--folds",
        "2",
    ]
    done = CliRunner().invoke(triptych, [*line, "--json"], standalone_mode=False)
    assert done.exception is None
    figures = json.loads(done.stdout)["metrics"]
    assert set(figures) == {"rmse", "mae", "r2"}
    assert figures["rmse"]["low"] < figures["rmse"]["value"] < figures["rmse"]["high"]
