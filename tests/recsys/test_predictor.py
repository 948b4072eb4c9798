from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.collaborative.task import TASK
from recsys.predictor import RecommenderPredictor
from recsys.testing import tastes
from recsys.types import Recommendations, SimilarItems
from shared.errors import PredictError, UnknownNameError, UsageError
from shared.testing.contracts import PredictorContract
from shared.types import Failure


class TestRecommender(PredictorContract):
    def build(self) -> RecommenderPredictor:
        return recsys.recommender(recsys.fit_ease(tastes()), k=3)

    def good(self) -> Sequence[Any]:
        return ["no mocha", ["latte", "cocoa"], "stranger", {"assam": 5.0}, []]

    def bad(self) -> Any:
        return 3.5


class TestTask(PredictorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def predictor(cls, tmp_path_factory: pytest.TempPathFactory) -> Any:
        folder = tmp_path_factory.mktemp("models") / "knn"
        recsys.fit_item_knn(tastes()).save(folder)
        return TASK.open(str(folder), device="auto", threads=None, k=2)

    def good(self) -> Sequence[Any]:
        return ["no mocha", "stranger"]

    def bad(self) -> Any:
        return ""


@pytest.mark.parametrize(
    ("person", "kind", "message"),
    [
        (None, "wrong-type", "a person must be a user id .* Got NoneType None instead"),
        (2.0, "wrong-type", "Got float 2.0 instead"),
        (True, "wrong-type", "Got bool True instead"),
        (b"no mocha", "wrong-type", "Got bytes"),
        ("", "empty", "a user id must not be empty"),
        ({"latte": float("nan")}, "UsageError", "values of a history must be finite"),
        ({"latte": -1.0}, "DataError", "values must not be negative"),
    ],
)
def test_what_is_no_person_fails_alone(person: Any, kind: str, message: str) -> None:
    predictor = recsys.recommender(recsys.fit_ease(tastes()), k=1)
    good, failure, other = predictor.predict(["no mocha", person, ["latte"]], on_error="keep")
    assert isinstance(good, Recommendations)
    assert isinstance(other, Recommendations)
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    with pytest.raises(PredictError, match=message):
        predictor.predict([person])


def test_ids_through_text_are_read_in_the_models_own_type() -> None:
    numbers = recsys.fit_ease(recsys.from_records([(1, 10), (1, 20), (2, 10), (2, 30)]))
    as_text = recsys.recommender(numbers, text_ids=True, k=1)
    assert as_text.predict(["1"])[0].user == 1
    assert as_text.predict([["10", "x"]])[0].reason == "fold-in: unknown items passed over: 'x'"
    assert as_text.similar_items(["10"])[0].item == 10
    strict = recsys.recommender(numbers, k=1)
    assert strict.predict(["1"])[0].reason == "popular: unknown user: ids are int here, '1' is str"
    names = recsys.recommender(recsys.fit_ease(recsys.from_records([("1", "10"), ("2", "20")])), text_ids=True, k=1)
    assert names.predict([1])[0].reason == "personal"


def test_what_was_seen_can_be_asked_for() -> None:
    model = recsys.fit_popularity(tastes())
    assert recsys.recommender(model).predict(["everything"])[0].items == ()
    assert len(recsys.recommender(model, exclude_seen=False).predict(["everything"])[0].items) == 8


def test_titles_stand_beside_the_items(tmp_path: Path) -> None:
    path = tmp_path / "titles.csv"
    path.write_text("id,title\nmocha,With chocolate\n")
    predictor = recsys.recommender(recsys.fit_ease(tastes()), k=2, titles=path)
    answer = predictor.predict(["no mocha"])[0]
    assert answer.items[0] == "mocha"
    assert answer.titles == ("With chocolate", "")
    assert predictor.similar_items(["latte"], 8)[0].titles.count("With chocolate") == 1


def test_a_task_without_a_model_says_how_to_train_one() -> None:
    with pytest.raises(UsageError, match=r"no default model.*triptych train recsys.collaborative RATINGS.csv FOLDER"):
        TASK.open(None, device="auto", threads=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "device must be auto or cpu"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"k": 0}, "k must be a whole number"),
    ],
)
def test_wrong_options_say_so(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    recsys.fit_popularity(tastes()).save(tmp_path)
    with pytest.raises(UsageError, match=message):
        TASK.open(tmp_path, **options)


def test_results_are_checked_at_birth() -> None:
    scores = np.array([2.0, 1.0], dtype=np.float32)
    with pytest.raises(UsageError, match="a score for each item. Got 2 for 1 instead"):
        Recommendations("u", ("a",), "personal", scores)
    with pytest.raises(UsageError, match="reason must begin with one of"):
        Recommendations("u", ("a", "b"), "because", scores)
    with pytest.raises(UsageError, match="finite and never rise"):
        SimilarItems("i", ("a", "b"), scores[::-1].copy())
    with pytest.raises(UsageError, match="titles for all items or none"):
        SimilarItems("i", ("a", "b"), scores, ("only one",))
    with pytest.raises(UsageError, match="float32"):
        SimilarItems("i", ("a", "b"), scores.astype(np.float64))  # type: ignore[arg-type]


def test_similar_items_of_an_unknown_item() -> None:
    with pytest.raises(UnknownNameError, match="Nearest: mocha"):
        recsys.recommender(recsys.fit_ease(tastes())).similar_items(["mokka"])
