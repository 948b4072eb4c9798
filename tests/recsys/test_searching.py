from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys import searching
from recsys.collaborative.algorithms import find_algorithm
from recsys.data import Interactions
from recsys.searching import search
from recsys.spaces import SPACES, Range, holds, space_of
from shared.errors import DataError, PlanMismatchError, UnknownNameError, UsageError

pytest.importorskip("optuna")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning:optuna")


@pytest.fixture(scope="module")
def whole() -> Interactions:
    rng = np.random.default_rng(0)
    rows = []
    for user in range(40):
        likes = np.where(np.arange(24) % 3 == user % 3, 0.11, 0.0075)
        rows += [(user, int(item)) for item in rng.choice(24, 9, replace=False, p=likes / likes.sum())]
    return recsys.from_records(rows)


def found(whole: Interactions, **options: Any) -> searching.Search:
    return search(whole, **({"algorithm": "item_knn", "trials": 4, "rng": np.random.default_rng(7)} | options))


def test_the_best_on_validation_is_taken_and_tested(whole: Interactions) -> None:
    result = found(whole)
    assert len(result.trials) == 4
    assert result.trials[0].options == {"neighbours": 200, "shrink": 50.0, "weighting": "log"}  # the defaults
    best = max(result.trials, key=lambda one: one.score or 0)
    assert {name: getattr(result.config, name) for name in best.options} == dict(best.options)
    assert result.validation.value == pytest.approx(best.score)
    assert list(result.test) == ["ndcg@10", "precision@10", "recall@10", "map@10", "mrr@10", "hit@10", "f1@10"]
    assert result.test["ndcg@10"].low <= result.test["ndcg@10"].value <= result.test["ndcg@10"].high
    assert result.model.config == result.config


def test_the_test_part_is_read_once(whole: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Interactions] = []

    def spy(model: Any, test: Interactions, **options: Any) -> Any:
        asked.append(test)
        return score_users(model, test, **options)

    score_users = searching.score_users
    monkeypatch.setattr(searching, "score_users", spy)
    found(whole, trials=3)
    pairs = [set(zip(test.users.tolist(), test.items.tolist())) for test in asked]
    assert len(pairs) == 5  # three trials, the best again, then the test part
    assert all(one == pairs[0] for one in pairs[:4])
    assert not pairs[0] & pairs[4]


def test_the_seed_decides(whole: Interactions) -> None:
    one, again = found(whole), found(whole)
    assert one.trials == again.trials
    assert one.trials != found(whole, rng=np.random.default_rng(8)).trials


def test_a_broken_search_goes_on(whole: Interactions, tmp_path: Path) -> None:
    storage = tmp_path / "search.db"
    first = found(whole, trials=2, storage=storage)
    more = found(whole, trials=4, storage=storage)
    assert more.trials[:2] == first.trials
    assert len(more.trials) == 4
    assert len({str(one.options) for one in more.trials}) == 4
    assert found(whole, trials=3, storage=storage).trials == more.trials
    with pytest.raises(
        PlanMismatchError, match="a search with another metric. It has ndcg@10; now it would be recall@5"
    ):
        found(whole, storage=storage, metric="recall@5")


def test_options_that_are_refused_cost_one_trial(whole: Interactions) -> None:
    result = found(whole, space={"neighbours": (5, -1)}, trials=8)
    refused = [one for one in result.trials if one.score is None]
    assert result.config.neighbours == 5
    assert all("neighbours must be at least 1" in one.refused for one in refused)
    with pytest.raises(DataError, match="every trial of item_knn was refused"):
        found(whole, space={"neighbours": (-1,)}, trials=1)


def test_spaces_hold_the_defaults() -> None:
    for algorithm in SPACES:
        config = find_algorithm(algorithm).config()
        for name, wanted in space_of(algorithm).items():
            assert holds(wanted, getattr(config, name)), (algorithm, name)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"algorithm": "eese"}, UnknownNameError, "no algorithm is called 'eese'. Nearest: ease"),
        ({"metric": "rmse"}, UsageError, "metric must be like ndcg@10"),
        ({"metric": "ndcg@0"}, UsageError, "metric must be like ndcg@10"),
        ({"trials": 0}, UsageError, "trials must be a whole number of at least 1"),
        ({"split": "stratifed"}, UnknownNameError, "no split is called 'stratifed'. Nearest: stratified"),
        (
            {"space": {"neighbors": (1, 2)}},
            UnknownNameError,
            "no option of item_knn .*'neighbors'. Nearest: neighbours",
        ),
        ({"space": {}}, UsageError, "at least one option"),
        ({"space": {"shrink": [1, 2]}}, UsageError, "must be a Range or a tuple of values"),
    ],
)
def test_wrong_arguments_say_so(
    whole: Interactions, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        found(whole, **options)


def test_a_range_must_rise() -> None:
    with pytest.raises(UsageError, match="low < high"):
        Range(2, 1)
    with pytest.raises(UsageError, match="0 < low where it is log"):
        Range(0, 1, log=True)
