"""The recommendation page's data: real books of the public domain, and readers who are simulated.

The books and their one-line descriptions stand in ``data/books.csv``, all first published before 1929. No real
person's reading is in here: readers are drawn from a seed, by taste in genres and by how much a book is talked about.
``python -m demos.library`` writes what they read as CSV.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np

from shared.errors import UnknownNameError
from shared.types import Float64, Id


@dataclass(frozen=True)
class Book:
    """One book.

    Attributes:
        id: short and stable, for example ``"emma"``.
        title: as printed.
        author: as printed.
        year: of first publication or performance; negative before the common era.
        genres: at least one, the first the most telling.
        line: what it is about, in this project's own words.
    """

    id: str
    title: str
    author: str
    year: int
    genres: tuple[str, ...]
    line: str

    @property
    def when(self) -> str:
        """The year for people.

        Example:
            >>> by_id("iliad").when
            '750 BCE'
        """
        return str(self.year) if self.year > 0 else f"{-self.year} BCE"


@lru_cache(maxsize=1)
def books() -> tuple[Book, ...]:
    """Every book, in the order of the file."""
    text = (files("demos") / "data" / "books.csv").read_text("utf-8")
    return tuple(
        Book(r["id"], r["title"], r["author"], int(r["year"]), tuple(r["genres"].split("|")), r["line"])
        for r in csv.DictReader(text.splitlines())
    )


def by_id(book_id: Id) -> Book:
    """The book of that id.

    Raises:
        UnknownNameError: there is none; the message lists near ids.

    Example:
        >>> by_id("emma").author
        'Jane Austen'
    """
    known = _known()
    if book_id not in known:
        raise UnknownNameError("book", str(book_id), map(str, known))
    return known[book_id]


@lru_cache(maxsize=1)
def _known() -> dict[Id, Book]:
    return {book.id: book for book in books()}


READERS = 1500
SEED = 0
"""Of the readers that the page recommends to."""


def readings(readers: int = READERS, *, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Who read what, simulated.

    A reader's taste over genres is a draw from a Dirichlet distribution (few favourites each), a book's fame a
    log-normal draw. A reader reads 3 to 30 books, drawn without replacement with chances proportional to fame times
    taste for the book's genres (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006).

    Args:
        readers: how many.
        rng: the source of all randomness; the same state gives the same readings.

    Returns:
        (reader id, book id) pairs, each at most once.

    Example:
        >>> pairs = readings(2, rng=np.random.default_rng(0))
        >>> sorted({reader for reader, _ in pairs})
        ['reader-0', 'reader-1']
    """
    shelf = books()
    taste, fame = rng.dirichlet(np.full(len(_genres()), 0.12), size=readers), rng.lognormal(0.0, 0.6, size=len(shelf))
    appeal = np.log(taste @ genres_of_books().T + 0.002) + np.log(fame)  # (readers, books)
    order = np.argsort(-(appeal + rng.gumbel(size=appeal.shape)), axis=1)
    counts = np.clip(3 + rng.poisson(9.0, size=readers), 3, 30)
    return [(f"reader-{r}", shelf[b].id) for r in range(readers) for b in order[r, : counts[r]]]


def _genres() -> list[str]:
    return sorted({genre for book in books() for genre in book.genres})


def genres_of_books() -> Float64:
    """How much of each genre a book is, float64 of shape (books, genres), in the order of :func:`books`.

    Each row adds up to 1.
    """
    names = _genres()
    shares: Float64 = np.array([[genre in book.genres for genre in names] for book in books()], dtype=np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


if __name__ == "__main__":
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(("user", "item"))
    rows.writerows(readings(rng=np.random.default_rng(SEED)))
