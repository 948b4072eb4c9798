"""What the recommendation page tells of a list: what it is made of, why each item, and what is like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

import numpy as np

from demos.library import books, by_id, genres_of_books
from demos.pages import refusal
from demos.recommend.own_ratings import Shelf
from demos.tables import Cell, table
from recsys.explanations import explain_history
from recsys.model import Recommender
from recsys.reranking import diversify
from recsys.types import Recommendations
from shared.types import Float32, Id

LINK = "#like-"
SHOWN = 10
SIMILAR = 5


def varied(found: Recommendations, diversity: float, recommender: Recommender, shelf: Shelf) -> Recommendations:
    """The first of an answer, or with some diversity those that maximal marginal relevance chooses of it.

    Raises:
        gradio.Error: ``diversity`` is not in 0..1.
    """
    if not isinstance(diversity, int | float) or not 0 <= diversity <= 1:
        raise refusal(f"the diversity must be a number from 0 to 1. Got {diversity!r} instead")
    if diversity == 0:
        return replace(found, items=found.items[:SHOWN], scores=found.scores[:SHOWN])
    vectors = vectors_of(found.items, recommender, shelf)
    return diversify(found, vectors=vectors, k=SHOWN, relevance=round(1 - diversity, 4))


def vectors_of(items: Sequence[Id], recommender: Recommender, shelf: Shelf) -> Float32:
    """What tells items apart, a row each: books their genres, other items the people who like them."""
    if not shelf.told:
        place = {book.id: at for at, book in enumerate(books())}
        return genres_of_books()[[place[str(item)] for item in items]].astype(np.float32)
    codes = [recommender.item_ids.code(item) for item in items]
    found: Float32 = recommender.histories[:, codes].toarray().T
    return found


def likeness(items: Sequence[Id], recommender: Recommender, shelf: Shelf) -> str:
    """How alike the items of a list are, in words: the mean cosine over all pairs."""
    if len(items) < 2:
        return "one alone"
    vectors = vectors_of(items, recommender, shelf).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)
    pairs = (unit @ unit.T)[np.triu_indices(len(items), 1)]
    return f"likeness within the list {pairs.mean():.3f}"


def reason(picked: Sequence[str], item: Id, recommender: Recommender, shelf: Shelf) -> str:
    """Why an item, in words: the picks that speak for it with their shares, or how many people have it."""
    code = recommender.item_ids.code(item)
    many = f"liked by {int(recommender.popularity[code]):,} of {shelf.readers:,} people"
    if not picked:
        return many
    found = explain_history(recommender, list(picked), item)
    parts = [(one, part) for one, part in zip(found.because, found.contributions.tolist()) if part > 0]
    if not parts:
        return f"no pick speaks for it; {many}"
    total = sum(part for _, part in parts)
    named = [f"{shelf.titles[one]} ({part / total:.0%})" for one, part in parts[:3]]
    return f"because you liked {joined(named)}"


def listed(items: Sequence[Id], reasons: Sequence[str], shelf: Shelf) -> str:
    """A list with a reason each, as a table."""
    if shelf.told:
        return table("Next", ["Item", "Why"], [[linked(item, shelf), Cell(why)] for item, why in zip(items, reasons)])
    rows: list[list[Cell | str]] = [[linked(item, shelf), by_id(item).line, why] for item, why in zip(items, reasons)]
    return table("Read next", ["Book", "About", "Why"], rows)


def alike(item: Id, recommender: Recommender, shelf: Shelf) -> str:
    """What is like an item, as a table.

    Raises:
        UnknownNameError: there is no such item.
    """
    near = recommender.similar_items([item], SIMILAR)[0]
    pairs = zip(near.items, near.scores.tolist())
    caption = f"Like {shelf.titles[near.item]}"
    if shelf.told:
        bare = [[linked(found, shelf), Cell(f"{score:.3f}", tag="number")] for found, score in pairs]
        return table(caption, ["Item", "Likeness"], bare)
    rows = [
        [linked(found, shelf), Cell(", ".join(by_id(found).genres)), Cell(f"{score:.3f}", tag="number")]
        for found, score in pairs
    ]
    return table(caption, ["Book", "Genres", "Likeness"], rows)


def linked(item: Id, shelf: Shelf) -> Cell:
    """The title of an item, which leads to what is like it."""
    soft = f"{by_id(item).author}, {by_id(item).when}" if not shelf.told else ""
    return Cell(shelf.titles[item], soft=soft, href=f"{LINK}{quote(str(item), safe='')}")


def titles_of(picked: Sequence[Id], shelf: Shelf) -> str:
    """What somebody picked, in words."""
    return joined([shelf.titles[item] for item in picked])


def joined(words: Sequence[str]) -> str:
    """Words as one would say them.

    Example:
        >>> joined(["tea", "rice", "wine"])
        'tea, rice and wine'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
