"""Recommenders that learn from more and more people, measured on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import recsys
from recsys import growing as module
from recsys.growing import grow_recommender
from recsys.scoring import score_held_out
from recsys.split import UserSplit, hold_out_users
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


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"order": "file"}, UnknownNameError, "no order is called 'file'"),
        ({"held_out": 0.0}, UsageError, r"held_out and given must lie in \(0, 1\). Got 0.0 and 0.8"),
        ({"algorithm": "eas"}, UnknownNameError, "no algorithm is called 'eas'"),
        ({"algorithm": "ease", "factors": 3}, UsageError, "ease has no option factors"),
        ({"k": "0"}, UsageError, "k must be at least 1"),
    ],
)
def test_options_are_checked(arguments: dict[str, object], error: type[Exception], message: str, ratings: Path) -> None:
    with pytest.raises(error, match=message):
        grow_recommender(ratings, **arguments)  # type: ignore[arg-type]
