"""Recommenders that learn from more and more people, measured on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import recsys
from recsys import growing as module
from recsys.growing import grow_recommender
from recsys.ratings.evaluate import predict_parts, rating_scores
from recsys.scoring import score_held_out
from recsys.split import Split, UserSplit, hold_out_users
from recsys.testing import rated_tastes
from shared.errors import UnknownNameError, UsageError
from shared.evaluation.growing import grow


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    whole = rated_tastes(users=120, count=2000)
    rows = zip(whole.user_ids.decode(whole.users), whole.item_ids.decode(whole.items), whole.values, whole.times)
    path = tmp_path / "u.data"
    path.write_text("\n".join(f"{u}\t{i}\t{v:g}\t{t}" for u, i, v, t in rows))
    return path


def test_sizes_are_of_users_and_figures_those_of_people_held_out(ratings: Path) -> None:
    growing = grow_recommender(ratings, algorithm="item_knn", positive=">=4", k="3,5")
    kept = recsys.load_interactions(ratings).at_least(4)
    assert (growing.unit, growing.size + growing.held_out) == ("users", len(np.unique(kept.users)))
    found = growing.draw(np.random.default_rng(3))(growing.size)
    parts = hold_out_users(kept, train=0.8, given=0.8, rng=np.random.default_rng(3))
    wanted = score_held_out(recsys.fit_item_knn(parts.train), parts, ks=(3, 5)).scores
    assert set(found) == set(growing.best)
    assert found["ndcg@5"] == pytest.approx(np.nanmean(wanted["ndcg@5"]))


def test_a_size_is_so_many_of_the_others_and_holds_those_of_the_sizes_before(
    ratings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []
    held: list[set[int]] = []

    def watched(model: object, split: UserSplit, **rest: object) -> object:
        seen.append(set(split.train.users.tolist()))
        held.append(set(split.asked.users.tolist()))
        return score_held_out(model, split, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "score_held_out", watched)
    growing = grow_recommender(ratings, algorithm="popularity")
    grow(growing, steps=4, runs=2, rng=np.random.default_rng(0), resamples=10)
    assert [len(part) for part in seen[:4]] == [growing.size // 8, growing.size // 4, growing.size // 2, growing.size]
    assert seen[0] < seen[1] < seen[2] < seen[3]
    assert not seen[3] & held[3]
    assert held[0] == held[3] != held[4]


def test_the_earliest_may_be_folded_in(ratings: Path) -> None:
    by_time = grow_recommender(ratings, order="time").draw(np.random.default_rng(0))(40)
    at_random = grow_recommender(ratings).draw(np.random.default_rng(0))(40)
    assert by_time != at_random


def test_errors_of_ratings_fall_with_the_number_of_others(ratings: Path) -> None:
    growing = grow_recommender(ratings, algorithm="baseline", metric="ratings", held_out=0.25)
    whole = recsys.load_interactions(ratings)
    assert (growing.unit, growing.size, growing.held_out) == (
        "ratings",
        round(0.75 * len(whole)),
        round(0.25 * len(whole)),
    )
    order = np.random.default_rng(4).permutation(len(whole))
    train, test = whole.take(np.sort(order[:300])), whole.take(np.sort(order[growing.size :]))
    model = recsys.fit_baseline(train)
    wanted = rating_scores(predict_parts([model], [Split(train, test)]), rng=np.random.default_rng(0))
    found = growing.draw(np.random.default_rng(4))(300)
    assert found == pytest.approx({name: wanted[name].value for name in ("rmse", "mae")})
    curve = grow(growing, steps=4, runs=2, rng=np.random.default_rng(0), resamples=10).curves["rmse"]
    assert curve.gain().value <= 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"order": "file"}, UnknownNameError, "no order is called 'file'"),
        ({"held_out": 0.0}, UsageError, r"held_out and given must lie in \(0, 1\). Got 0.0 and 0.8"),
        ({"algorithm": "eas"}, UnknownNameError, "no algorithm is called 'eas'"),
        ({"algorithm": "ease", "factors": 3}, UsageError, "ease has no option factors"),
        ({"metric": "ratings"}, UsageError, "ease ranks, and predicts no ratings"),
        ({"metric": "rating"}, UnknownNameError, "no metric is called 'rating'"),
        ({"k": "0"}, UsageError, "k must be at least 1"),
    ],
)
def test_options_are_checked(arguments: dict[str, object], error: type[Exception], message: str, ratings: Path) -> None:
    with pytest.raises(error, match=message):
        grow_recommender(ratings, **arguments)  # type: ignore[arg-type]
