"""The contract of recommenders as a test class: a new algorithm is tested by a subclass of three lines.

class TestEase(RecommenderContract):
    def fit(self, interactions): return fit_ease(interactions)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys.data import Interactions, from_records
from recsys.model import Recommender
from recsys.predictor import recommender
from recsys.store import load
from recsys.types import Recommendations
from shared.errors import DataError, UnknownNameError, UsageError
from shared.types import Id, Result

TEAS, COFFEES = ("assam", "ceylon", "darjeeling", "earl grey"), ("latte", "mocha", "ristretto", "espresso")


def tastes(rename: Callable[[str], Id] = lambda name: name) -> Interactions:
    """Four people like teas and four like coffees, each all but one of their kind; "everything" likes all eight.

    What ``"no mocha"`` should be given first is the mocha, then what nobody of that kind likes: the teas.

    Args:
        rename: from a name to the id that is used.
    """
    records = [
        (rename(f"no {left}"), rename(item))
        for kind in (TEAS, COFFEES)
        for left in kind
        for item in kind
        if item != left
    ]
    records += [(rename("everything"), rename(item)) for item in TEAS + COFFEES]
    return from_records([(*record, 4, time) for time, record in enumerate(records)])


def rated_tastes(seed: int = 0, *, users: int = 40, items: int = 30, count: int = 500) -> Interactions:
    """Whole ratings of 1..5 at rising times: people like the items whose number is odd when theirs is even, and so on.

    Args:
        seed: of who rates what, and of the noise.
        users: how many people, at most; their ids are numbers.
        items: how many items, at most; their ids are numbers.
        count: how many ratings are drawn; pairs that come again are dropped.
    """
    rng = np.random.default_rng(seed)
    pairs = sorted({(int(u), int(i)) for u, i in zip(rng.integers(0, users, count), rng.integers(0, items, count))})
    liking = np.array([1.2 if (u + i) % 2 else -1.2 for u, i in pairs])
    values = np.clip(np.rint(3 + liking + rng.normal(size=len(pairs))), 1, 5).tolist()
    return from_records([(*pair, value, 1000 * at) for at, (pair, value) in enumerate(zip(pairs, values))])


class RecommenderContract:
    """What every recommender must keep. A subclass gives :meth:`fit`.

    ``personal`` says whether the ranking depends on the person, ``similar`` whether similar items are known, and
    ``fold_in_error`` how far scores of a known history that is folded in may be from the user's own; ``None`` where the
    two are different estimates, so that only the best item must be the same.
    """

    personal = True
    similar = True
    fold_in_error: float | None = 1e-5

    def fit(self, interactions: Interactions) -> Recommender:
        """The model under test."""
        raise NotImplementedError

    @pytest.fixture
    def model(self) -> Recommender:
        return self.fit(tastes())

    def test_it_finds_the_one_that_is_missing(self, model: Recommender) -> None:
        if not self.personal:
            scores = model.score(list(model.user_ids.ids))
            assert (scores == scores[0]).all()
            return
        for kind in (TEAS, COFFEES):
            for left in kind:
                assert model.recommend([f"no {left}"], k=1)[0].items == (left,)

    def test_answers_keep_length_and_order(self, model: Recommender) -> None:
        users: list[Id] = ["no mocha", "no assam", "stranger", "no mocha"]
        answers = model.recommend(users, k=3)
        assert [answer.user for answer in answers] == users
        assert [answer.kind for answer in answers] == ["personal", "personal", "popular", "personal"]
        assert answers[0] == answers[3]
        assert model.recommend([]) == []

    def test_many_equal_one_by_one(self, model: Recommender) -> None:
        users = list(model.user_ids.ids)
        for answer, user in zip(model.recommend(users, k=4), users):
            alone = model.recommend([user], k=4)[0]
            assert answer.items == alone.items
            np.testing.assert_allclose(answer.scores, alone.scores, rtol=1e-5)

    def test_what_was_seen_is_left_out_unless_asked_for(self, model: Recommender) -> None:
        for user in model.user_ids.ids:
            seen = {item for item in TEAS + COFFEES if _likes(str(user), item)}
            unseen = set(TEAS + COFFEES) - seen
            assert set(model.recommend([user], k=8)[0].items) == unseen
            assert set(model.recommend([user], k=8, exclude_seen=False)[0].items) == unseen | seen

    def test_a_person_who_has_seen_everything_gets_nothing_and_the_reason(self, model: Recommender) -> None:
        answer = model.recommend(["everything"])[0]
        assert answer.items == ()
        assert answer.reason == "personal: no item is left that was not seen"

    def test_more_than_the_catalogue_gives_the_catalogue(self, model: Recommender) -> None:
        assert len(model.recommend(["no mocha"], k=1000)[0].items) == 5
        assert len(model.recommend(["stranger"], k=1000)[0].items) == 8

    def test_an_unknown_user_gets_the_popular_items_and_costs_nobody(self, model: Recommender) -> None:
        known, stranger = model.recommend(["no assam", "stranger"], k=3)
        assert known == model.recommend(["no assam"], k=3)[0]
        assert stranger.reason == "popular: unknown user"
        assert stranger.items == model.item_ids.ids[:3]
        assert stranger.scores.tolist() == model.popularity[:3].tolist()

    @pytest.mark.parametrize(("bad", "user"), [(7, 7), (None, None), (float("nan"), None), (["x"], None)])
    def test_an_id_of_another_type_is_unknown_and_costs_nobody(
        self, model: Recommender, bad: Id, user: Id | None
    ) -> None:
        answer, known = model.recommend([bad, "no assam"], k=1)
        assert answer.user == user
        assert answer.kind == "popular"
        assert known.kind == "personal"
        if user is not None:
            assert answer.reason == "popular: unknown user: ids are str here, 7 is int"

    def test_scores_are_those_of_the_ranking(self, model: Recommender) -> None:
        scores = model.score(["no mocha", "stranger"])
        assert scores.shape == (2, 8)
        assert scores.dtype == np.float32
        assert np.isnan(scores[1]).all()
        answer = model.recommend(["no mocha"], k=8, exclude_seen=False)[0]
        by_item = dict(zip(model.item_ids.ids, scores[0].tolist()))
        np.testing.assert_allclose([by_item[item] for item in answer.items], answer.scores, rtol=1e-6)

    def test_ranking_as_codes_is_the_same_ranking(self, model: Recommender) -> None:
        ranking = model.rank(["no mocha", "stranger", "everything"], k=6)
        answers = model.recommend(["no mocha", "stranger", "everything"], k=6)
        for codes, scores, answer in zip(ranking.items, ranking.scores, answers):
            assert model.item_ids.decode(codes[codes >= 0]) == answer.items
            assert np.isneginf(scores[codes < 0]).all()

    def test_folding_a_known_history_in_gives_the_same(self, model: Recommender) -> None:
        history: dict[Id, float] = {item: 4.0 for item in COFFEES if item != "mocha"}
        folded, known = model.fold_in(history, k=5), model.recommend(["no mocha"], k=5)[0]
        assert folded.user is None
        assert folded.reason == "fold-in"
        assert folded.items[0] == known.items[0]
        if self.fold_in_error is not None:
            assert folded.items == known.items
            error = self.fold_in_error
            np.testing.assert_allclose(folded.scores, known.scores, rtol=error, atol=error)

    def test_unknown_items_of_a_history_are_passed_over_and_named(self, model: Recommender) -> None:
        answer = model.fold_in(["latte", "cocoa", "espresso"], k=2)
        assert answer.reason == "fold-in: unknown items passed over: 'cocoa'"
        assert answer.items == model.fold_in(["latte", "espresso"], k=2).items

    def test_a_history_of_nothing_known_gives_the_popular_items(self, model: Recommender) -> None:
        assert model.fold_in(["cocoa"]).reason == "popular: no item of the history is known: 'cocoa'"
        assert model.fold_in([]).reason == "popular: the history is empty"
        assert model.fold_in([], k=3).items == model.item_ids.ids[:3]

    def test_many_histories_equal_one_by_one(self, model: Recommender) -> None:
        histories: list[list[Id]] = [["latte"], [], ["assam", "ceylon"], ["cocoa"]]
        for answer, history in zip(model.fold_in_many(histories, k=3), histories):
            _assert_alike(answer, model.fold_in(history, k=3))
        assert model.fold_in_many([]) == []

    def test_similar_items_are_of_one_kind(self, model: Recommender) -> None:
        if not self.similar:
            with pytest.raises(UsageError, match="knows no similar items"):
                model.similar_items(["mocha"])
            return
        for kind in (TEAS, COFFEES):
            for answer in model.similar_items(kind, k=3):
                assert set(answer.items) == set(kind) - {answer.item}
        assert "mocha" not in model.similar_items(["mocha"], k=100)[0].items

    def test_an_unknown_item_says_what_is_near(self, model: Recommender) -> None:
        with pytest.raises(UnknownNameError, match=r"no item .* is called 'moca'. Nearest: mocha"):
            model.similar_items(["moca"])

    def test_wrong_arguments_say_so(self, model: Recommender) -> None:
        for k in (0, -1, 1.5, True):
            with pytest.raises(UsageError, match="k must be a whole number of at least 1"):
                model.recommend(["no mocha"], k=k)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="expected a list of ids"):
            model.recommend("no mocha")
        with pytest.raises(UsageError, match="history must be a list"):
            model.fold_in("latte")
        with pytest.raises(UsageError, match="finite"):
            model.fold_in({"latte": float("inf")})

    def test_the_order_of_rows_does_not_matter(self, model: Recommender) -> None:
        whole = tastes()
        shuffled = self.fit(whole.take(np.random.default_rng(0).permutation(len(whole))))
        users = list(model.user_ids.ids)
        for one, other in zip(model.recommend(users, k=8), shuffled.recommend(users, k=8)):
            assert one.items == other.items
            np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5, atol=1e-6)

    def test_ids_keep_their_type(self) -> None:
        names = ["everything", *TEAS, *COFFEES, *(f"no {item}" for item in TEAS + COFFEES)]
        numbered = self.fit(tastes(lambda name: 100 + names.index(name)))
        answer = numbered.recommend([100 + names.index("no mocha")], k=8)[0]
        assert all(type(item) is int for item in answer.items)
        assert numbered.recommend(["no mocha"])[0].reason.startswith("popular: unknown user: ids are int here")

    def test_what_was_fitted_on_stays_as_it_was(self, model: Recommender) -> None:
        whole = tastes()
        before = whole.values.copy(), whole.users.copy(), whole.items.copy()
        self.fit(whole)
        for old, new in zip(before, (whole.values, whole.users, whole.items)):
            np.testing.assert_array_equal(old, new)
        with pytest.raises(dataclasses.FrozenInstanceError):
            model.config = None  # type: ignore[misc]

    def test_one_user_and_one_item_are_enough(self) -> None:
        model = self.fit(from_records([("ann", "tea", 3)]))
        assert model.recommend(["ann"], k=2)[0].items == ()
        assert model.recommend(["bob"], k=2)[0].items == ("tea",)
        assert model.fold_in(["tea"], exclude_seen=False).items == ("tea",)

    def test_nothing_to_learn_from_says_so(self) -> None:
        with pytest.raises(DataError, match="at least one interaction"):
            self.fit(tastes().at_least(5))

    def test_only_what_was_in_training_is_known(self) -> None:
        whole = tastes()
        part = self.fit(whole.take(np.flatnonzero(whole.items != whole.item_ids.code("mocha"))))
        assert "mocha" not in part.item_ids.ids
        assert "mocha" not in part.recommend(["no mocha"], k=8)[0].items

    def test_a_saved_model_is_the_same_model(self, model: Recommender, tmp_path: Path) -> None:
        card = model.save(tmp_path / "a")
        assert (card.task, card.family) == (model.task, model.family)
        again = load(tmp_path / "a")
        assert type(again) is type(model)
        assert again.config == model.config
        assert again.user_ids.ids == model.user_ids.ids
        users = [*model.user_ids.ids, "stranger"]
        assert again.recommend(users, k=8) == model.recommend(users, k=8)
        assert again.fold_in(["latte"]) == model.fold_in(["latte"])
        again.save(tmp_path / "b")
        assert (tmp_path / "a" / "model.npz").read_bytes() == (tmp_path / "b" / "model.npz").read_bytes()

    def test_answers_survive_json(self, model: Recommender) -> None:
        for answer in [*model.recommend(["no mocha", "everything", "stranger"]), model.fold_in(["latte"])]:
            assert Result.from_json(answer.to_json()) == answer

    def test_the_predictor_answers_the_same(self, model: Recommender) -> None:
        people: list[Id | list[Id]] = ["no mocha", ["latte", "espresso"], "stranger", []]
        answers = recommender(model, k=3).predict(people)
        wanted = [
            model.recommend(["no mocha"], k=3)[0],
            model.fold_in(["latte", "espresso"], k=3),
            model.recommend(["stranger"], k=3)[0],
            model.fold_in([], k=3),
        ]
        for answer, one in zip(answers, wanted, strict=True):
            assert isinstance(answer, Recommendations)
            _assert_alike(answer, one)


def _assert_alike(one: Recommendations, other: Recommendations) -> None:
    """Equal but for what rounding does to scores: a product of many rows may round otherwise than that of one."""
    assert (one.user, one.items, one.reason) == (other.user, other.items, other.reason)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5, atol=1e-6)


def _likes(user: str, item: str) -> bool:
    kind = TEAS if item in TEAS else COFFEES
    return user == "everything" or (user.removeprefix("no ") in kind and user != f"no {item}")
