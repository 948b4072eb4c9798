"""The part of the recommendation page that takes a visitor's own ratings: read, bounded, and fitted in seconds."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

import recsys
from demos.opening import Model
from demos.pages import for_visitors, plain_errors, says
from demos.pictures import chosen, uploads_only
from demos.recent import Recent
from recsys.interactions import Interactions
from recsys.model import Recommender
from recsys.reading import load_interactions, read_titles
from shared.catalogue import ModelCard
from shared.errors import DataError, UsageError
from shared.types import Id

MOST_ITEMS = 2_000
"""Items that are kept, those with most readers: EASE inverts a matrix of items by items, 16 MB of coefficients."""
LIKED = 0.7
"""Share of the highest rating from which on a rating says that somebody liked something: 3.5 of 5."""
KEPT = 4
"""Visitors' ratings that stay in memory, over all visitors."""
_BOOKS = "Books that you like"
_EXPECTED = "a table in UTF-8 of user, item and rating, such as MovieLens' ratings.csv, and of titles its movies.csv"


@dataclass(frozen=True)
class Shelf:
    """What can be picked and recommended.

    Attributes:
        titles: what items are called, by id.
        readers: how many people the models were fitted on.
        recommenders: the models, by the name that a visitor chooses.
        told: what was read, for people; empty for the books that come with the page.
    """

    titles: Mapping[Id, str]
    readers: int
    recommenders: Mapping[str, Model[Recommender]]
    told: str = ""


@dataclass(frozen=True)
class Shelves:
    """The ratings that visitors brought last. Each is found by a word that nobody else is told."""

    _recent: Recent[str, Shelf] = field(default_factory=lambda: Recent(KEPT))

    def add(self, shelf: Shelf) -> str:
        """Keep one; gives the word by which it is found."""
        word = secrets.token_urlsafe(16)
        self._recent.put(word, shelf)
        return word

    def get(self, word: str) -> Shelf:
        """The ratings of that word.

        Raises:
            UsageError: they were dropped since.
        """
        shelf = self._recent.get(word)
        if shelf is None:
            raise UsageError("your ratings were dropped meanwhile, as all uploads are. Upload the file again")
        return shelf

    def drop(self, word: str) -> None:
        """Forget the ratings of that word, if they are still here."""
        self._recent.drop(word)


def read_shelf(ratings: Path, titles: Path | None = None) -> Shelf:
    """What a visitor's ratings make: what was liked, of the items with most readers.

    Args:
        ratings: user, item and rating a line, as :func:`recsys.load_interactions` reads it: MovieLens' ``ratings.csv``,
            ``u.data`` or ``ratings.dat``, say.
        titles: item and title a line, such as MovieLens' ``movies.csv``; without it items are called by their ids.

    Raises:
        DataError: a file is malformed, or nothing is left to fit.
    """
    liked = _bounded(load_interactions(ratings))
    names = {} if titles is None else read_titles(titles)
    if titles is not None and not any(str(item) in names for item in liked.item_ids.ids):
        raise DataError(
            f"{titles} must hold the titles of what was rated, an id and a title a line. It names none of it"
        )
    shown = {item: names.get(str(item), str(item)) for item in liked.item_ids.ids}
    told = f"{len(liked):,} likes of {len(liked.user_ids):,} people and {len(liked.item_ids):,} items"
    models = {
        "EASE": _model("ease", lambda: recsys.fit_ease(liked)),
        "Nearest neighbours": _model("item-knn", lambda: recsys.fit_item_knn(liked)),
    }
    return Shelf(shown, len(liked.user_ids), models, told)


def _bounded(given: Interactions) -> Interactions:
    """The likes of the items with most readers, with no user or item that has none."""
    highest = float(given.values.max())
    liked = given.at_least(LIKED * highest) if highest > 0 else given
    readers = np.bincount(liked.items, minlength=len(given.item_ids))
    kept = np.argsort(-readers, kind="stable")[:MOST_ITEMS]
    liked = liked.take(np.isin(liked.items, kept))
    if len(np.unique(liked.items)) < 2 or len(np.unique(liked.users)) < 2:
        raise DataError(
            f"the ratings must hold likes of at least 2 people and 2 items. Got {len(liked):,} ratings of at least "
            f"{LIKED * highest:g}"
        )
    users, items = given.user_ids.decode(liked.users), given.item_ids.decode(liked.items)
    return recsys.from_records((user, str(item)) for user, item in zip(users, items))


def _model(name: str, fit: Callable[[], Recommender]) -> Model[Recommender]:
    card = ModelCard(f"{name}-own", "recsys.collaborative", name, "numpy", "LicenseRef-own-data", "a visitor's ratings")
    return Model("Recommend", card, fit, built="fitted over a visitor's ratings")


def ratings_input(
    shelves: Shelves, picks: gr.Dropdown, own: gr.State, choices: list[tuple[str, str]]
) -> tuple[gr.File, gr.File]:
    """Lay out where a visitor brings ratings, which takes the place of the books until the file is removed.

    Args:
        shelves: where they are kept.
        picks: takes their titles for choices.
        own: takes the word by which they are found; empty for the books.
        choices: those of the books.

    Returns:
        Where the ratings and their titles are uploaded.
    """
    with gr.Accordion("Your own ratings instead", open=False):
        gr.Markdown(
            "A file with user, item and rating a line, such as MovieLens' `ratings.csv` or `u.data`, up to 20 MB. "
            f"Ratings of at least {LIKED:.0%} of the highest count as likes, and the {MOST_ITEMS:,} items with most "
            f"likes are kept, until {KEPT} other visitors bring theirs or the file is removed. Nobody else sees them.",
            elem_classes="note",
        )
        with gr.Row():
            ratings = gr.File(label="Ratings (CSV, TSV, .dat, .data)", height=140)
            titles = gr.File(label="Titles, if you have them (movies.csv)", height=140)
        read = says("")
    for file in (ratings, titles):
        uploads_only(file, "a file of ratings")

    def bring(ratings: dict[str, Any] | None, titles: dict[str, Any] | None, before: str) -> tuple[Any, ...]:
        given, named = chosen(ratings, "a file of ratings"), chosen(titles, "a file of titles")
        shelves.drop(before)
        if given is None:
            said = "" if named is None else "Now choose the ratings too."
            return "", gr.Dropdown(choices, value=[], label=_BOOKS), said

        def plain(message: str) -> str:
            told = for_visitors(given.plain(message) if named is None else named.plain(given.plain(message)))
            return f"{told}. Expected here: {_EXPECTED}"

        with plain_errors(plain):
            begun = time.perf_counter()
            shelf = read_shelf(given.path, None if named is None else named.path)
            shelf.recommenders["EASE"].get(str)
            taken = time.perf_counter() - begun
        listed = sorted((title, str(item)) for item, title in shelf.titles.items())
        told = f"**{shelf.told}**, read and fitted in {taken:.1f} s. Pick from them above."
        return shelves.add(shelf), gr.Dropdown(listed, value=[], label="What you like"), told

    filled = [own, picks, read]
    for file in (ratings, titles):
        asked = file.change(bring, [ratings, titles, own], filled, preprocess=False, api_visibility="private")
        asked.failure(
            lambda: ("", gr.Dropdown(choices, value=[], label=_BOOKS), "Not read: the message says why."),
            outputs=filled,
            api_visibility="private",
            queue=False,
        )
    return ratings, titles
