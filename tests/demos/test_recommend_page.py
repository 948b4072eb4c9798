"""The recommendation page: reasons, variety, words of a new book, a visitor's own ratings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

import gradio as gr
from gradio_client.exceptions import AppError

import recsys
from demos.library import books, readings
from demos.recommend.described import MOST_LETTERS, books_like, describing, place_for
from demos.recommend.own_ratings import KEPT, MOST_ITEMS, Shelf, Shelves, read_shelf
from demos.recommend.reasons import joined, likeness, reason, titles_of, varied, vectors_of
from recsys.content.tfidf import TfidfContent
from recsys.model import Recommender
from shared.errors import DataError, UsageError

ROWS = [(f"u{user}", item) for user in range(8) for item in ("tea", "mate", "rice", "wine")[user % 3 : user % 3 + 2]]


@pytest.fixture(scope="module")
def teas() -> Recommender:
    return recsys.fit_ease(recsys.from_records(ROWS))


@pytest.fixture(scope="module")
def content() -> TfidfContent:
    return describing().get(str)


SHELF = Shelf({"tea": "Tea", "mate": "Mate", "rice": "Rice", "wine": "Wine"}, 8, {})


def test_a_reason_names_the_picks_that_speak_for_an_item(teas: Recommender) -> None:
    assert reason(["tea"], "mate", teas, SHELF) == "because you liked Tea (100%)"
    assert "Mate (" in reason(["mate", "wine"], "rice", teas, SHELF)


def test_with_no_picks_the_reason_is_how_many_people_like_it(teas: Recommender) -> None:
    many = sum(item == "mate" for _, item in ROWS)
    assert reason([], "mate", teas, SHELF) == f"liked by {many} of 8 people"


def test_what_no_pick_speaks_for_says_so() -> None:
    neighbours = recsys.fit_item_knn(recsys.from_records(ROWS))
    assert reason(["tea"], "wine", neighbours, SHELF).startswith("no pick speaks for it; liked by ")


@pytest.mark.parametrize(
    ("words", "said"), [(["tea"], "tea"), (["tea", "rice"], "tea and rice"), (["a", "b", "c"], "a, b and c")]
)
def test_words_are_joined_as_one_says_them(words: list[str], said: str) -> None:
    assert joined(words) == said


def test_titles_are_those_of_the_shelf() -> None:
    assert titles_of(["tea", "rice"], SHELF) == "Tea and Rice"


def test_without_diversity_the_order_and_scores_stay(teas: Recommender) -> None:
    found = teas.fold_in(["tea"], 3)
    kept = varied(found, 0.0, teas, SHELF)
    assert (kept.items, kept.reason) == (found.items, found.reason)
    assert kept.scores.tolist() == found.scores.tolist()


def test_diversity_makes_a_list_of_books_less_alike() -> None:
    model = recsys.fit_item_knn(recsys.from_records(readings(300, rng=np.random.default_rng(0))))
    library = Shelf({book.id: book.title for book in books()}, 300, {})
    found = model.fold_in(["dracula", "frankenstein"], 60)
    alike = [
        float(likeness(varied(found, share, model, library).items, model, library).split()[-1])
        for share in (0.0, 0.4, 0.9)
    ]
    assert alike[0] > alike[1] > alike[2]


def test_other_items_are_told_apart_by_who_likes_them(teas: Recommender) -> None:
    own = Shelf(SHELF.titles, 8, {}, "read")
    people = [[(user, item) in ROWS for user in teas.user_ids.ids] for item in ("tea", "wine")]
    assert (vectors_of(["tea", "wine"], teas, own) > 0).tolist() == people
    assert likeness(["tea", "wine"], teas, own) == "likeness within the list 0.000"
    assert likeness(["tea"], teas, own) == "one alone"


@pytest.mark.parametrize("diversity", [-0.1, 1.1, "much", None])
def test_a_diversity_out_of_range_is_refused(teas: Recommender, diversity: Any) -> None:
    with pytest.raises(gr.Error, match="from 0 to 1"):
        varied(teas.fold_in(["tea"], 3), diversity, teas, SHELF)


def test_a_new_book_is_found_by_the_words_it_shares(content: TfidfContent) -> None:
    found = books_like("A ghost in a castle", content)
    assert "castle-of-otranto" in [one.item for one in found]
    assert all(set(one.words) <= {"ghost", "castle"} and one.words for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert books_like("zzz qqq", content) == []


def test_a_new_book_has_a_place_for_a_reader(content: TfidfContent) -> None:
    assert place_for(["castle-of-otranto"], "a gothic castle", content) is not None
    assert place_for(["castle-of-otranto"], "zzz", content) is None
    assert place_for([], "a gothic castle", content) is None


def test_a_description_too_long_is_refused(content: TfidfContent) -> None:
    with pytest.raises(UsageError, match=f"at most {MOST_LETTERS} letters"):
        books_like("a" * (MOST_LETTERS + 1), content)


def written(path: Path, rows: list[str], head: str = "userId,movieId,rating") -> Path:
    path.write_text("\n".join([head, *rows]))
    return path


def test_ratings_become_likes_with_titles(tmp_path: Path) -> None:
    rows = [f"{user},{item},{rating}" for user in range(6) for item, rating in ((1, 5), (2 + user % 2, 4), (9, 1))]
    titles = written(tmp_path / "movies.csv", ["1,Heat", '2,"Up, again"', "9,Dud"], "movieId,title")
    shelf = read_shelf(written(tmp_path / "ratings.csv", rows), titles)
    assert shelf.titles == {"1": "Heat", "2": "Up, again", "3": "3"}
    assert shelf.readers == 6
    assert shelf.told == "12 likes of 6 people and 3 items"
    found = shelf.recommenders["EASE"].get(str).fold_in(["2"], 2)
    assert (found.items[0], found.reason) == ("1", "fold-in")


def test_only_the_items_with_most_likes_are_kept(tmp_path: Path) -> None:
    rows = [f"u{at % 7},i{at},5" for at in range(MOST_ITEMS + 50)] + [f"u{at % 7},i{at},5" for at in range(1, 3000, 3)]
    rows += [f"v,i{at},5" for at in range(MOST_ITEMS, MOST_ITEMS + 50)]
    shelf = read_shelf(written(tmp_path / "ratings.csv", rows))
    assert len(shelf.titles) == MOST_ITEMS
    assert f"i{MOST_ITEMS + 1}" in shelf.titles


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Dear all", "ratings.csv"),
        ("", "ratings.csv"),
        ("userId,movieId,rating\n1,2,5", "at least 2 people and 2 items"),
    ],
)
def test_what_is_no_file_of_ratings_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_shelf(path)


def test_ratings_are_kept_within_bounds() -> None:
    shelves = Shelves()
    words = [shelves.add(SHELF) for _ in range(KEPT + 1)]
    assert len(set(words)) == KEPT + 1
    assert shelves.get(words[-1]) is SHELF
    shelves.drop(words[-1])
    for gone in (words[0], words[-1], "guess"):
        with pytest.raises(UsageError, match="dropped meanwhile"):
            shelves.get(gone)


def test_the_endpoint_gives_reasons_and_variety(client: Any) -> None:
    plain, _, ranked, _ = client.predict(["dracula", "carmilla"], "EASE", api_name="/recommend")
    assert "because you liked" in ranked
    varied, line, _, _ = client.predict(["dracula", "carmilla"], "EASE", 0.7, api_name="/recommend")
    assert varied["reason"].startswith("fold-in")
    assert varied["items"][0] == plain["items"][0]
    assert varied["items"] != plain["items"]
    assert "likeness within the list" in line


def test_similar_books_by_name(client: Any) -> None:
    near = client.predict("emma", "EASE", api_name="/similar")
    assert len(near) == 5
    assert set(near[0]) == {"item", "title", "score"}
    assert not np.diff([one["score"] for one in near]).max() > 0
    with pytest.raises(AppError, match="called 'emmma'. Nearest: emma"):
        client.predict("emmma", "EASE", api_name="/similar")


def test_a_described_book_by_name(client: Any) -> None:
    assert "Words they share" in client.predict("A ghost in a castle", [], api_name="/describe")
    assert "no book is described" in client.predict("zzz", [], api_name="/describe")


def test_endpoints_say_what_they_do(client: Any) -> None:
    described = client.view_api(return_format="dict")["named_endpoints"]
    for name in ("/recommend", "/similar", "/describe", "/detect", "/segment"):
        assert described[name]["description"]
