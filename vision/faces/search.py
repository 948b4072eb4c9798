"""Exact search: every face against every enrolled vector, and the best persons of the best photos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.types import Float32, Int64
from shared.vectors import similarities

_LOOK = 64
"""Photos that are looked at first for each person wanted."""
_AT_ONCE = 32
"""Faces that are searched for in one product, which takes 4 bytes a face and slot."""


@dataclass(frozen=True)
class Match:
    """Somebody whom a face may be.

    Attributes:
        person: the id that the person was enrolled by.
        similarity: cosine of the face and the nearest of the person's photos, in [-1, 1].
    """

    person: str
    similarity: float


@dataclass(frozen=True)
class State:
    """What the index says at one moment.

    Attributes:
        version: what SQLite and this process count of changes.
        generation: how often slots were freed or used again; while it stays, slots are only added at the end.
        codes: shape (slots,), int64, the place of each slot's person in ``people``; -1 for a spare slot.
        people: every person's id.
        places: the place of each id in ``people``.
    """

    version: tuple[int, int]
    generation: int
    codes: Int64
    people: list[str]
    places: dict[str, int]


def best_matches(faces: Float32, known: Float32, state: State, *, k: int, threshold: float) -> Iterator[list[Match]]:
    """Whom each face is most like, best first.

    Args:
        faces: shape (n, dimension), of unit length.
        known: shape (slots, dimension), the enrolled vectors.
        state: whose they are.
        k: persons for each face at most.
        threshold: cosine from which somebody counts.
    """
    for begin in range(0, len(faces), _AT_ONCE):
        for row in similarities(faces[begin : begin + _AT_ONCE], known):
            yield _best(row, state, k, threshold)


def _best(similarities: Float32, state: State, k: int, threshold: float) -> list[Match]:
    """The best persons by the best of their photos."""
    places = np.flatnonzero((similarities >= threshold) & (state.codes >= 0))
    look = _LOOK * k
    while True:
        near = places
        if near.size > look:
            near = places[np.argpartition(similarities[places], near.size - look)[near.size - look :]]
        best: dict[int, float] = {}
        for at in near[np.argsort(-similarities[near], kind="stable")].tolist():
            best.setdefault(int(state.codes[at]), float(similarities[at]))
        if len(best) >= k or near.size == places.size:
            return [Match(state.people[code], min(1.0, score)) for code, score in list(best.items())[:k]]
        look *= 4
