"""What each user, or each rating, says of an evaluation: the contract for every task, and attributes by hand."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import recsys
from recsys.content.task import evaluate as evaluate_content
from recsys.evaluate import evaluate
from recsys.features import make_features
from recsys.hybrid.task import evaluate as evaluate_hybrid
from recsys.judged import feature_attributes, judged_users, user_attributes
from recsys.scoring import score_users
from recsys.sequential.task import evaluate as evaluate_next
from recsys.split import Split, leave_last_out
from recsys.testing import rated_tastes
from shared.evaluation.items import Mean, Total
from shared.evaluation.report import Evaluation
from shared.testing.evaluations import EvaluationContract, figure_value, items_of
from shared.types import Int64

USERS = 40


@cache
def ratings() -> Path:
    whole = rated_tastes()
    folder = Path(tempfile.mkdtemp(prefix="items-"))
    rows = zip(whole.user_ids.decode(whole.users), whole.item_ids.decode(whole.items), whole.values, whole.times)
    (folder / "u.data").write_text("\n".join(f"{u}\t{i}\t{v:g}\t{t}" for u, i, v, t in rows))
    (folder / "items.csv").write_text(
        "id,text\n" + "\n".join(f"{i},{'odd' if i % 2 else 'even'} {i}" for i in range(30))
    )
    (folder / "users.csv").write_text("id,kind\n" + "\n".join(f"{u},{'odd' if u % 2 else 'even'}" for u in range(40)))
    return folder


class TestRankings(EvaluationContract):
    n, ordered = USERS, False

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        return evaluate(ratings() / "u.data", model=("ease", "popularity")[model], k="3,5")

    def test_the_first_of_several_cuts_is_the_main_figure(self, evaluation: Evaluation) -> None:
        assert items_of(evaluation).main == "ndcg@3"


class TestRatings(EvaluationContract):
    ordered = False
    n = len(rated_tastes())

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        name = ("baseline", "slope_one")[model]
        return evaluate(ratings() / "u.data", model=name, metric="ratings", folds=3)

    def test_users_are_drawn_together(self, evaluation: Evaluation) -> None:
        items = items_of(evaluation)
        assert items.groups is not None
        assert [name.split()[0] for name in items.ids] == items.groups.tolist()


class TestRatingsOfOneSplit(TestRatings):
    n = round(len(rated_tastes()) * 0.25)

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        return evaluate(ratings() / "u.data", model=("baseline", "slope_one")[model], metric="ratings")

    def test_the_error_of_a_rating_is_its_own(self, evaluation: Evaluation) -> None:
        mae = items_of(evaluation).figures["mae"]
        rmse = items_of(evaluation).figures["rmse"]
        assert isinstance(mae, Mean)
        assert isinstance(rmse, Total)
        np.testing.assert_allclose(rmse.rows[:, 1], mae.values**2)


class TestNextItems(EvaluationContract):
    n, ordered = USERS, False

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        return evaluate_next(ratings() / "u.data", model=("markov", "session_knn")[model])


class TestContent(EvaluationContract):
    n, ordered = USERS, False

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        return evaluate_content(ratings() / "u.data", items=str(ratings() / "items.csv"), k=5, ngrams=1 + model)


class TestHybrids(EvaluationContract):
    n, ordered = USERS, False

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        users = str(ratings() / "users.csv")
        return evaluate_hybrid(ratings() / "u.data", users=users, k=5, folds=2, mix=0.4 + model)

    def test_features_of_users_are_attributes(self, evaluation: Evaluation) -> None:
        items = items_of(evaluation)
        wanted = ["odd" if int(user) % 2 else "even" for user in items.ids]
        assert items.attributes["kind"].tolist() == wanted


def test_a_saved_models_histories_stand_for_what_it_learnt_from(tmp_path: Path) -> None:
    parts = leave_last_out(rated_tastes())
    model = recsys.fit_popularity(parts.train)
    scores = score_users(model, parts.test, k=5)
    fresh = judged_users(scores, parts, model)()
    saved = judged_users(scores, Split(parts.train.take(np.zeros(0, np.int64)), parts.test), model)()
    assert saved.ids == fresh.ids
    for name, values in fresh.attributes.items():
        np.testing.assert_array_equal(saved.attributes[name], values, err_msg=name)


def test_what_is_known_of_people_by_hand() -> None:
    train = recsys.from_records([("a", "x"), ("b", "x"), ("b", "y"), ("c", "z")])
    test = recsys.from_records([("a", "y"), ("a", "new"), ("b", "z"), ("d", "x")])
    found = user_attributes(("a", "b", "d"), train, test)
    assert found["history"].tolist() == [1, 2, 0]
    assert found["asked"].tolist() == [2, 1, 1]
    np.testing.assert_array_equal(found["popularity of history"], [2, 1.5, np.nan])
    assert found["popularity of what is asked"].tolist() == [0.5, 1, 2]
    assert found["share of new items"].tolist() == [0.5, 0, 0]


def test_features_of_people_of_whom_nothing_is_known() -> None:
    about = make_features(
        "user", ["a", "b"], {"age": [20.0, 30.0], "job": ["cook", "smith"]}, kinds={"job": "category"}
    )
    found = feature_attributes(about, ("b", "c"))
    np.testing.assert_array_equal(found["age"], [30, np.nan])
    assert found["job"].tolist() == ["smith", "unknown"]


def test_folds_of_unequal_size_count_alike() -> None:
    from recsys.judged import judged_ratings
    from recsys.ratings.evaluate import Predicted, rating_scores

    whole = recsys.from_records([("a", "x", 1), ("b", "x", 2), ("b", "y", 5)])
    parts = [Split(whole, whole.take(np.array([0, 1]))), Split(whole, whole.take(np.array([2])))]
    users = np.concatenate([part.test.users for part in parts])
    found = Predicted(users, np.array([0, 0, 1]), np.array([1.0, 2.0, 5.0]), np.array([2.0, 4.0, 1.0]), 0, 0, 0.0)
    metrics = rating_scores(found, rng=np.random.default_rng(0))
    items = judged_ratings(found, parts, metrics)()
    assert figure_value(items.figures["mae"]) == pytest.approx((1.5 + 4) / 2) == metrics["mae"].value
    assert figure_value(items.figures["rmse"]) == pytest.approx((2.5**0.5 + 4) / 2) == metrics["rmse"].value
