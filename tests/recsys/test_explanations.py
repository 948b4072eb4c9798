from __future__ import annotations

import numpy as np
import pytest

import recsys
from recsys.collaborative.als import AlsConfig, fit_als
from recsys.collaborative.ease import fit_ease
from recsys.collaborative.item_knn import fit_item_knn
from recsys.collaborative.popularity import fit_popularity
from recsys.collaborative.slim import SlimConfig, fit_slim
from recsys.collaborative.user_knn import UserKnnConfig, fit_user_knn
from recsys.explanations import Explanation, explain, explain_history
from recsys.model import Recommender
from recsys.testing import COFFEES, tastes
from shared.errors import UnknownNameError, UsageError
from shared.types import Result


def als(interactions: recsys.Interactions) -> Recommender:
    pytest.importorskip("implicit", reason="als needs the extra 'recsys'")
    return fit_als(interactions, AlsConfig(factors=2, l2=0.1, iterations=20))


FITS = {
    "ease": fit_ease,
    "slim": lambda interactions: fit_slim(interactions, SlimConfig(l1=0.1, l2=1.0)),
    "item_knn": fit_item_knn,
    "user_knn": lambda interactions: fit_user_knn(interactions, UserKnnConfig(neighbours=5)),
    "als": als,
}


@pytest.mark.parametrize("name", FITS)
def test_contributions_sum_to_the_score(name: str) -> None:
    model = FITS[name](tastes())
    history = [item for item in COFFEES if item != "mocha"]
    for user in model.user_ids.ids:
        row = model.histories[[model.user_ids.code(user)]]
        scores = model.score_histories(row)[0]
        for item in model.item_ids.ids:
            found = explain(model, user, item)
            assert found.contributions.sum() == pytest.approx(scores[model.item_ids.code(item)], rel=1e-4, abs=1e-6)
            assert found.score == pytest.approx(found.contributions.sum(), rel=1e-5, abs=1e-6)
            assert (found.user, found.item) == (user, item)
    folded = explain_history(model, dict.fromkeys(history, 4.0), "mocha")
    known = explain(model, "no mocha", "mocha")
    assert folded.user is None
    assert folded.because == known.because
    np.testing.assert_allclose(folded.contributions, known.contributions, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in FITS if name != "user_knn"])
def test_the_reasons_are_items_of_the_history(name: str) -> None:
    found = explain(FITS[name](tastes()), "no mocha", "mocha")
    assert found.source == "items"
    assert set(found.because) == set(COFFEES) - {"mocha"}
    assert found.say(2).startswith("because you liked ")
    assert len(found.say(2).split(", ")) == 2


def test_the_reasons_of_user_knn_are_people() -> None:
    found = explain(FITS["user_knn"](tastes()), "no mocha", "mocha")
    assert found.source == "users"
    assert set(found.because) <= {"everything", "no latte", "no espresso", "no ristretto"}
    assert found.say(1) == f"because people like you took it: {found.because[0]}"


def test_als_contributions_are_those_of_implicit() -> None:
    pytest.importorskip("implicit", reason="als needs the extra 'recsys'")
    from implicit.cpu.als import AlternatingLeastSquares

    model = fit_als(tastes(), AlsConfig(factors=2, l2=0.5, alpha=2.0, iterations=20))
    theirs = AlternatingLeastSquares(factors=2, regularization=0.5, alpha=1.0)
    theirs.item_factors, theirs.user_factors = model.item_factors, model.user_factors
    certain = model.histories.copy()
    certain.data = (1 + 2 * certain.data).astype(np.float32)
    user, item = model.user_ids.code("no mocha"), model.item_ids.code("mocha")
    score, parts, _ = theirs.explain(user, certain, item)
    found = explain(model, "no mocha", "mocha")
    assert found.score == pytest.approx(score, rel=1e-4)
    by_item = dict(zip(found.because, found.contributions.tolist()))
    assert {model.item_ids.ids[code]: part for code, part in parts} == pytest.approx(by_item, rel=1e-3)


def test_titles_and_reasons_that_speak_against() -> None:
    parts = np.array([0.5, 0.0, -0.25], dtype=np.float32)
    found = Explanation("ann", "tea", 0.25, "items", ("a", "b", "c"), parts)
    assert found.say(3, titles={"a": "Rice"}) == "because you liked Rice"
    assert Explanation("ann", "tea", 0.0, "items", (), np.zeros(0, np.float32)).say() == "for no reason in your history"
    assert Explanation("ann", "tea", 0.0, "users", (), np.zeros(0, np.float32)).say() == "nobody near took it"
    assert Result.from_json(found.to_json()) == found


def test_what_cannot_be_explained_says_so() -> None:
    model = fit_ease(tastes())
    with pytest.raises(UnknownNameError, match=r"no item .* 'moca'. Nearest: mocha"):
        explain(model, "no mocha", "moca")
    with pytest.raises(UnknownNameError, match="no user"):
        explain(model, "stranger", "mocha")
    with pytest.raises(UsageError, match="needs a history. Got no item of the history is known: 'cocoa'"):
        explain_history(model, ["cocoa"], "mocha")
    with pytest.raises(UsageError, match="scores of popularity are no sum over a history"):
        explain(fit_popularity(tastes()), "no mocha", "mocha")
    with pytest.raises(UsageError, match="for each of 2 contributions"):
        Explanation("ann", "tea", 0.0, "items", ("a",), np.zeros(2, np.float32))
    with pytest.raises(UsageError, match="never rise"):
        Explanation("ann", "tea", 1.0, "items", ("a", "b"), np.array([0, 1], np.float32))
