"""From a question to a full-text query: its telling words, any of which may stand in a passage."""

from __future__ import annotations

import re

MOST_WORDS = 64
_WORD = re.compile(r"\w+")
_ENGLISH = (
    "a about am an and any are as at be because been before being but by can could did do does doing for from had has "
    "have having he her here hers him his how i if in into is it its itself just me more most my no nor not now of off "
    "on once only or other our out over own same she should so some such than that the their them then there these "
    "they this those through to too under until up us very was we were what when where which while who whom whose why "
    "will with would you your s t d ll m re ve"
)
_COMMON = frozenset(_ENGLISH.split())
"""English words that stand in so many passages that they tell nothing, and would cost most of a search."""


def full_text_query(question: str) -> str:
    """A query in the syntax of SQLite's FTS5; empty where the question has no word.

    A question of common words alone is searched for as it stands.

    Example:
        >>> full_text_query("Who built the Eiffel tower?")
        '"built" OR "eiffel" OR "tower"'
    """
    telling = telling_words(question) or list(dict.fromkeys(_WORD.findall(question.lower())))
    return " OR ".join(f'"{word}"' for word in telling[:MOST_WORDS])


def telling_words(text: str) -> list[str]:
    """The different words of a text in lower case, in order, without those that tell nothing.

    Example:
        >>> telling_words("The tower of the Tower's town")
        ['tower', 'town']
    """
    return [word for word in dict.fromkeys(_WORD.findall(text.lower())) if word not in _COMMON]
