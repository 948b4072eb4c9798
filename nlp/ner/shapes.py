"""The shape of a word, for models that read lower-cased text: letter case, digits and marks as one small number.

An uncased encoder cannot tell ``US`` from ``us``. Each token therefore carries a code of its word's original
spelling, and the model adds a learned vector for the code to the token's own.

The table is part of every model trained with it and never changes: a code is 0 for a special token, else
``1 + kind + 13 * first + 26 * inside``, where ``first`` is 1 in the first word of a sentence and ``inside`` is 1 in
every token of a word but its first. ``kind`` is the first row that fits:

====  ============  ==================================================================  =========================
kind  name          of the word's characters                                            words
====  ============  ==================================================================  =========================
0     mark          no letter and no digit                                              , -- % :-)
1     digits        digits only                                                         7 1996
2     number        digits and marks                                                    1,000 6-3 1996-08-22
3     digits-upper  digits, and letters of which one at least is a capital              F-16 A4
4     digits-lower  digits and other letters                                            1990s 22nd
5     uncased       letters that have no case                                           東京 القاهرة
6     lower         no capital                                                          film well-known
7     initial       one letter with case, a capital                                     J. I
8     upper         capitals only                                                       NATO U.S.
9     capitalised   one capital, the first letter with case                             London Jones'
10    joined        several parts between marks, each begun by a capital and no other   Jean-Paul O'Brien
11    mixed-upper   a capital is the first letter with case, others come later          McDonald Boston-US
12    mixed-lower   a small letter first, capitals later                                iPhone al-Qaeda
====  ============  ==================================================================  =========================

A digit is any character of Unicode's category N, a capital any of Lu or Lt.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from shared.errors import UsageError
from shared.types import Int64

KINDS = (
    "mark",
    "digits",
    "number",
    "digits-upper",
    "digits-lower",
    "uncased",
    "lower",
    "initial",
    "upper",
    "capitalised",
    "joined",
    "mixed-upper",
    "mixed-lower",
)
FIRST, INSIDE = len(KINDS), 2 * len(KINDS)
SHAPES = 1 + 4 * len(KINDS)
"""How many codes there are: the rows of a model's table of shape vectors."""
_ENDS = ".!?…。！？"
_CLOSERS = "\"'”’»)]"


def word_kind(word: str) -> str:
    """The kind of a word, one of :data:`KINDS`. An empty word is a mark.

    Example:
        >>> [word_kind(word) for word in ("iPhone", "U.S.", "Jean-Paul", "22nd")]
        ['mixed-lower', 'upper', 'joined', 'digits-lower']
    """
    return KINDS[_kind(word)]


def sentence_starts(words: Sequence[str]) -> list[int]:
    """Where sentences begin, judged by words alone: at the first, and after a full stop, question or exclamation mark.

    Quotes and brackets that close behind the mark belong to the sentence before.

    Example:
        >>> sentence_starts(["Who", "?", "Jones", ".", '"', "Yes", "."])
        [0, 2, 5]
    """
    starts: list[int] = []
    fresh = True
    for at, word in enumerate(words):
        if fresh and (not starts or word.strip(_CLOSERS)):
            starts.append(at)
            fresh = False
        if word and word[0] in _ENDS:
            fresh = not word.strip(_ENDS)
    return starts


def shape_codes(words: Sequence[str], *, starts: Sequence[int] | None = None) -> Int64:
    """The code of each word's first token.

    Args:
        words: the words of one text in their original spelling, in order.
        starts: positions of words that begin a sentence; ``None`` asks :func:`sentence_starts`.

    Returns:
        Shape (n,), int64, in 1..26.

    Raises:
        UsageError: a start is no position of a word.

    Example:
        >>> shape_codes(["Peace", "in", "Rome", "."]).tolist()
        [23, 7, 10, 1]
    """
    codes = np.array([1 + _kind(word) for word in words], dtype=np.int64)
    firsts = np.array(sentence_starts(words) if starts is None else starts, dtype=np.int64)
    if firsts.size and not 0 <= firsts.min() <= firsts.max() < len(words):
        raise UsageError(f"starts must be positions in 0..{len(words) - 1}. Got {firsts.tolist()[:10]} instead")
    codes[np.unique(firsts)] += FIRST
    return codes


def token_codes(codes: Int64, words: Int64) -> Int64:
    """Codes of tokens, from the codes of words.

    Args:
        codes: what :func:`shape_codes` gave, shape (words,).
        words: for each token the position of its word, and -1 for a special token; shape (tokens,), int64.

    Returns:
        Shape (tokens,), int64, in 0..SHAPES-1; 0 for a special token.

    Example:
        >>> token_codes(shape_codes(["Rome"]), np.array([-1, 0, 0, -1])).tolist()
        [0, 23, 49, 0]
    """
    inside = np.zeros(len(words), dtype=np.int64)
    inside[1:] = (words[1:] == words[:-1]) * INSIDE
    spread = np.append(codes, 0)[words]
    return np.where(words >= 0, spread + inside, 0)


@lru_cache(maxsize=1 << 16)
def _kind(word: str) -> int:
    return KINDS.index(_named(word))


def _named(word: str) -> str:
    digits = sum(unicodedata.category(letter)[0] == "N" for letter in word)
    letters = [letter for letter in word if letter.isalpha()]
    capitals = [letter.isupper() or letter.istitle() for letter in letters]
    cased = [letter for letter in letters if letter.isupper() or letter.istitle() or letter.islower()]
    if digits:
        if letters:
            return "digits-upper" if any(capitals) else "digits-lower"
        return "digits" if digits == len(word) else "number"
    if not letters:
        return "mark"
    if not cased:
        return "uncased"
    if not any(capitals):
        return "lower"
    return _with_capitals(word, len(cased), sum(capitals))


def _with_capitals(word: str, cased: int, capitals: int) -> str:
    """The kind of a word without digits that has a capital."""
    if cased == capitals:
        return "initial" if capitals == 1 else "upper"
    begun_small = next(letter.islower() for letter in word if letter.islower() or letter.isupper() or letter.istitle())
    if capitals == 1 and not begun_small:
        return "capitalised"
    parts = [part for part in _parts(word) if part]
    if len(parts) > 1 and all(not part[0].islower() and not any(c.isupper() for c in part[1:]) for part in parts):
        return "joined"
    return "mixed-lower" if begun_small else "mixed-upper"


def _parts(word: str) -> list[str]:
    """Runs of letters; a combining mark belongs to the letter before it."""
    kept = "".join(letter for letter in word if unicodedata.category(letter)[0] != "M")
    return "".join(letter if letter.isalpha() else " " for letter in kept).split(" ")
