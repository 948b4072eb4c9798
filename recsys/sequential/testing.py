"""The contract of sequential recommenders as a test class, beside that of all recommenders.

class TestMarkov(SequentialContract):
    def fit(self, interactions): return fit_markov(interactions)
"""

from __future__ import annotations

import numpy as np

from recsys.data import Interactions, from_records
from recsys.model import Recommender
from recsys.testing import COFFEES, TEAS, RecommenderContract
from recsys.types import Recommendations
from shared.types import Id

ROUND = TEAS + COFFEES


def rounds(steps: int = 5) -> Interactions:
    """Eight people go round eight drinks, each from another one: ``"from mocha"`` has had mocha and what follows it.

    Args:
        steps: how many drinks each has had; more than eight come again.
    """
    walks = [
        (f"from {ROUND[start]}", ROUND[(start + step) % 8], 1, step) for start in range(8) for step in range(steps)
    ]
    return from_records(walks, duplicates="keep")


class SequentialContract(RecommenderContract):
    """What every sequential recommender must keep. A subclass gives ``fit``.

    ``learned`` says whether the fit finds what comes next, and ``alike`` whether similar items are of one kind; both
    are false of a network that was not trained.
    """

    learned = True
    alike = True

    def test_it_finds_the_one_that_is_missing(self, model: Recommender) -> None:
        """Here: the one that comes next."""
        walked = self.fit(rounds())
        for start in range(8 if self.learned else 0):
            assert walked.recommend([f"from {ROUND[start]}"], k=1)[0].items == (ROUND[(start + 5) % 8],)
            assert walked.fold_in([ROUND[start - 1], ROUND[start]], k=1).items == (ROUND[(start + 1) % 8],)

    def test_many_equal_one_by_one(self, model: Recommender) -> None:
        users = list(model.user_ids.ids)
        for answer, user in zip(model.recommend(users, k=4), users):
            _assert_close(answer, model.recommend([user], k=4)[0])

    def test_similar_items_are_of_one_kind(self, model: Recommender) -> None:
        if self.alike:
            super().test_similar_items_are_of_one_kind(model)
        for answer in model.similar_items(TEAS, k=100):
            assert answer.item not in answer.items

    def test_the_order_of_a_history_matters(self) -> None:
        walked = self.fit(rounds())
        some = [ROUND[0], ROUND[1], ROUND[4]]
        forth, back = walked.fold_in_many([some, some[::-1]], k=8)
        assert set(forth.items) == set(back.items)
        assert forth.scores.tolist() != back.scores.tolist()
        assert walked.fold_in({item: 3.0 - at for at, item in enumerate(some)}, k=8).items == forth.items

    def test_an_item_may_come_again(self) -> None:
        walked = self.fit(rounds(steps=17))
        answer = walked.recommend(["from assam"], k=1, exclude_seen=False)[0]
        assert answer.kind == "personal"
        if self.learned:
            assert answer.items == ("ceylon",)
        assert walked.recommend(["from assam"], k=1)[0].items == ()
        again: list[Id] = ["mocha", "latte", "mocha"]
        assert "mocha" not in walked.fold_in(again, k=8).items
        assert len(walked.fold_in(again, k=8, exclude_seen=False).items) == 8

    def test_order_goes_by_time_and_then_by_row(self) -> None:
        timed = self.fit(from_records([("ann", "a", 1, 3), ("ann", "b", 1, 1), ("ann", "c", 1, 3), ("bob", "a", 1, 1)]))
        rows = self.fit(from_records([("ann", "b"), ("ann", "a"), ("ann", "c"), ("bob", "a")]))
        _assert_close(timed.fold_in(["b"]), rows.fold_in(["b"]))

    def test_histories_as_a_matrix_are_ordered_by_their_values(self) -> None:
        walked = self.fit(rounds())
        np.testing.assert_allclose(
            walked.score_histories(walked.histories), walked.score(walked.user_ids.ids), rtol=1e-4, atol=1e-5
        )
        nothing = walked.histories[:1] * 0
        nothing.eliminate_zeros()
        np.testing.assert_array_equal(walked.score_histories(nothing)[0], walked.popularity)


def _assert_close(one: Recommendations, other: Recommendations) -> None:
    assert one.items == other.items
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5, atol=1e-6)
