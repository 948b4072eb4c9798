"""The books and the simulated readers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from demos.library import books, by_id, readings
from shared.errors import UnknownNameError


def test_every_book_is_whole_and_in_the_public_domain() -> None:
    assert len(books()) >= 120
    for book in books():
        assert book.title
        assert book.author
        assert book.line.endswith((".", "!", "?"))
        assert book.genres
        assert book.year < 1929
    for name in ("id", "title", "line"):
        values = [getattr(book, name) for book in books()]
        assert [value for value, count in Counter(values).items() if count > 1] == []


def test_a_genre_has_several_books() -> None:
    genres = Counter(genre for book in books() for genre in book.genres)
    assert min(genres.values()) >= 3


def test_readers_come_from_the_seed_alone() -> None:
    first, second, other = (readings(50, rng=np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert first == second
    assert first != other


def test_readings_are_distinct_and_reach_every_book() -> None:
    pairs = readings(rng=np.random.default_rng(0))
    assert len(set(pairs)) == len(pairs)
    assert {book for _, book in pairs} == {book.id for book in books()}
    counts = Counter(reader for reader, _ in pairs)
    assert len(counts) == 1500
    assert min(counts.values()) >= 3
    assert max(counts.values()) <= 30


def test_readers_have_taste() -> None:
    """The readers of one gothic book share far more gothic books than readers at large."""
    by_reader: dict[str, list[str]] = {}
    for reader, book in readings(rng=np.random.default_rng(0)):
        by_reader.setdefault(reader, []).append(book)

    def gothic(shelves: list[list[str]]) -> float:
        others = [book for shelf in shelves for book in shelf if book != "dracula"]
        return sum("gothic" in by_id(book).genres for book in others) / len(others)

    assert gothic([s for s in by_reader.values() if "dracula" in s]) > 2 * gothic(list(by_reader.values()))


def test_years_before_the_common_era_are_said_so() -> None:
    assert by_id("aeneid").when == "19 BCE"
    assert by_id("emma").when == "1815"


def test_an_unknown_book_lists_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="no book is called 'emmma'. Nearest: emma"):
        by_id("emmma")
