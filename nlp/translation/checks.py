"""What can be seen to be wrong with a translation without knowing the languages.

The faults are those that users of translation models report most: sentences that are cut short or dropped, phrases
that repeat without end, and placeholders that are lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nlp.translation.masking import marks

LOST, ADDED, LOOP, SHORT, LONG = "lost", "added", "loop", "short", "long"
WORDS = {
    LOST: "something that must be carried over (a number, a placeholder, mark-up) was lost",
    ADDED: "something that must be carried over came back more than once",
    LOOP: "a phrase repeats itself",
    SHORT: "it is short for its source: part of it may be missing",
    LONG: "it is long for its source",
}
"""What a fault means, for people."""
REPEATS = 3
"""Times that a phrase may follow upon itself, beyond what the source has."""
LONGEST_PHRASE = 8
LEAST_PIECES = 6
"""A source of fewer pieces says nothing about how long its translation should be."""
NARROWEST, WIDEST = 0.4, 2.8
"""Pieces of a translation for each of its source."""


@dataclass(frozen=True)
class Limits:
    """How long a translation may be.

    Attributes:
        narrowest: pieces for each of the source at least.
        widest: at most.
    """

    narrowest: float = NARROWEST
    widest: float = WIDEST


def faults(
    source: str, source_pieces: Sequence[str], target: str, target_pieces: Sequence[str], *, limits: Limits
) -> tuple[str, ...]:
    """The faults of a sentence's translation, worst first.

    Args:
        source: the masked sentence.
        source_pieces: its pieces.
        target: the translation, marks still in it.
        target_pieces: its pieces.
        limits: how long it may be.

    Example:
        >>> faults("<m1> cats", ["a"], "Katzen", ["b"], limits=Limits())
        ('lost',)
        >>> faults("no", ["no"], "nein nein nein nein nein", ["nein"] * 5, limits=Limits())
        ('loop',)
    """
    found = []
    wanted, came = marks(source), marks(target)
    if any(came.get(number, 0) < count for number, count in wanted.items()):
        found.append(LOST)
    if any(wanted.get(number, 0) < count for number, count in came.items()):
        found.append(ADDED)
    if loops(target_pieces) > max(REPEATS, loops(source_pieces)):
        found.append(LOOP)
    if len(source_pieces) >= LEAST_PIECES:
        ratio = len(target_pieces) / len(source_pieces)
        found += [SHORT] * (ratio < limits.narrowest) + [LONG] * (ratio > limits.widest)
    return tuple(found)


def loops(pieces: Sequence[str]) -> int:
    """How often, at most, a phrase of up to :data:`LONGEST_PHRASE` pieces follows upon itself; 1 where none does.

    Example:
        >>> loops("a b a b a b c".split()), loops("a b c".split()), loops([])
        (3, 1, 1)
    """
    most = 1
    for size in range(1, min(LONGEST_PHRASE, len(pieces) // 2) + 1):
        run = 0
        for at in range(size, len(pieces)):
            run = run + 1 if pieces[at] == pieces[at - size] else 0
            if run and run % size == 0:
                most = max(most, run // size + 1)
    return most
