from __future__ import annotations

import pytest

from recsys.collaborative.popularity import fit_popularity
from recsys.content.tfidf import TfidfConfig, fit_content
from recsys.data import Interactions, from_records
from recsys.hybrid.everyone import Everyone, everyone
from shared.errors import UsageError
from shared.types import Id

TEXTS: dict[Id, str] = {"tea": "leaf drink", "mate": "leaf drink", "rice": "grain", "oats": "grain", "jade": "stone"}
SEGMENTS: dict[Id, str] = {f"p{n:02}": "east" if n < 25 else "west" for n in range(30)} | {"new": "east", "few": "west"}


def shop() -> Interactions:
    """25 people of the east have tea, 5 of the west rice, and all of them salt; nobody has touched the rest."""
    return from_records([(f"p{n:02}", item) for n in range(30) for item in ("salt", "tea" if n < 25 else "rice")])


@pytest.fixture(scope="module")
def answers() -> Everyone:
    content = fit_content(shop(), TfidfConfig(max_share=1), items=TEXTS)
    return everyone(fit_popularity(shop()), content=content, segments=SEGMENTS, new_places=1)


@pytest.mark.parametrize(
    ("user", "segment", "items", "reason"),
    [
        ("p00", None, ("rice", "mate"), "personal: new items by content: mate"),
        ("new", None, ("salt", "tea"), "segment: popular with 25 people of 'east'; unknown user"),
        ("x", "east", ("salt", "tea"), "segment: popular with 25 people of 'east'; unknown user"),
        ("x", None, ("salt", "tea"), "popular: unknown user"),
        ("few", None, ("salt", "tea"), "popular: unknown user; segment 'west' has 5 people, fewer than 20"),
        ("few", "north", ("salt", "tea"), "popular: unknown user; segment 'north' has 0 people, fewer than 20"),
    ],
)
def test_every_person_gets_an_answer(
    answers: Everyone, user: Id, segment: str | None, items: tuple[Id, ...], reason: str
) -> None:
    found = answers.recommend([user], k=2, segments=[segment])[0]
    assert (found.user, found.items, found.reason) == (user, items, reason)


@pytest.mark.parametrize(
    ("history", "segment", "items", "reason"),
    [
        (["tea"], None, ("salt", "mate"), "fold-in: new items by content: mate"),
        (["mate"], None, ("tea", "salt"), "content: the history is known by its content alone"),
        (["mate", "x"], None, ("tea", "salt"), "content: the history is known by its content alone; unknown items"),
        ([], "east", ("salt", "tea"), "segment: popular with 25 people of 'east'; the history is empty"),
        (["x"], None, ("salt", "tea"), "popular: no item of the history is known: 'x'"),
        (["jade"], None, ("salt", "tea"), "popular: no item of the history is known: 'jade'"),
    ],
)
def test_a_history_of_any_length(
    answers: Everyone, history: list[Id], segment: str | None, items: tuple[Id, ...], reason: str
) -> None:
    found = answers.fold_in(history, k=2, segment=segment)
    assert found.items == items
    assert found.reason.startswith(reason)


def test_requests_are_filtered_everywhere(answers: Everyone) -> None:
    for among, without, wanted in ((["tea", "oats"], (), {"tea"}), (None, ["salt"], {"tea"})):
        for found in answers.recommend(["new", "x"], k=1, among=among, without=without):
            assert set(found.items) == wanted
    assert answers.recommend(["p00"], k=2, without=["mate"])[0].items == ("rice",)
    assert answers.recommend(["p00"], k=2, among=["mate", "rice"])[0].items == ("rice", "mate")
    assert answers.fold_in(["mate"], k=1, among=["oats", "salt"]).items[0] in ("oats", "salt")


def test_without_help_it_is_the_model() -> None:
    model = fit_popularity(shop())
    alone = everyone(model)
    assert alone.recommend(["p00", "x"]) == model.recommend(["p00", "x"])
    assert alone.fold_in(["tea"]) == model.fold_in(["tea"])


def test_wrong_arguments_say_so(answers: Everyone) -> None:
    with pytest.raises(UsageError, match="0 without a content model"):
        everyone(fit_popularity(shop()), new_places=1)
    with pytest.raises(UsageError, match="one for each of the 2 users"):
        answers.recommend(["a", "b"], segments=["east"])
