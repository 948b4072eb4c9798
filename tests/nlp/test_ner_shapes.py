"""Shapes of words: the table is part of trained models, so every row of it is pinned here."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp.ner.shapes import KINDS, SHAPES, sentence_starts, shape_codes, token_codes, word_kind
from shared.errors import UsageError

TABLE = {
    "mark": [",", "--", "%", ":-)", "", "👩‍👩‍👧", "\u0301", "\u200b"],
    "digits": ["7", "1996", "٣", "½"],
    "number": ["1,000", "6-3", "1996-08-22", "$5", "-3.5%"],
    "digits-upper": ["F-16", "A4", "4X4", "3Com"],
    "digits-lower": ["1990s", "22nd", "mp3", "5月"],
    "uncased": ["東京", "القاهرة", "की"],
    "lower": ["film", "well-known", "straße", "don't", "e\u0301te\u0301"],
    "initial": ["J.", "I", "A", "É", "E\u0301"],
    "upper": ["NATO", "U.S.", "AT&T", "ÜBER"],
    "capitalised": ["London", "Jones'", "Étoile", "E\u0301toile", "Boston-based", "L'avion", "X-ray", "d'Or"[2:]],
    "joined": ["Jean-Paul", "O'Brien", "Anglo-American", "Ста-Ли"],
    "mixed-upper": ["McDonald", "LaTeX", "U.S.-based", "PhD", "Mc-DONALD"],
    "mixed-lower": ["iPhone", "al-Qaeda", "pro-British", "eBAY", "d'Or"],
}


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind, words in TABLE.items() for word in words])
def test_kind_of_a_word(kind: str, word: str) -> None:
    assert word_kind(word) == kind


def test_the_table_is_whole_and_in_the_documented_order() -> None:
    assert tuple(TABLE) == KINDS
    assert SHAPES == 53


@settings(deadline=None)
@given(st.text(max_size=12))
def test_spelling_with_combining_marks_has_the_kind_of_the_composed_one(word: str) -> None:
    composed = unicodedata.normalize("NFC", word)
    assert word_kind(unicodedata.normalize("NFD", composed)) in {word_kind(composed), "mark", "uncased"}
    assert word_kind(composed) in KINDS


@pytest.mark.parametrize(
    ("words", "starts"),
    [
        ([], []),
        (["Yes"], [0]),
        (["Who", "?", "Jones", "."], [0, 2]),
        (["He", "left", ".", '"', ")", "She", "stayed"], [0, 5]),
        (['"', "Yes", ".", '"'], [0]),
        (["Wait", "...", "Now", "!", "!", "Go"], [0, 2, 4, 5]),
        (["Jones", "of", "U.S.", "Steel"], [0]),
        (["", "a"], [0]),
    ],
)
def test_sentences_begin_after_their_end_marks(words: list[str], starts: list[int]) -> None:
    assert sentence_starts(words) == starts


def test_codes_say_kind_and_first_word() -> None:
    words = ["Rome", "in", "1996", ".", "Rome"]
    assert shape_codes(words).tolist() == [23, 7, 2, 1, 23]
    assert shape_codes(words, starts=[]).tolist() == [10, 7, 2, 1, 10]
    assert shape_codes(words, starts=[1, 1]).tolist() == [10, 20, 2, 1, 10]
    assert shape_codes([]).shape == (0,)
    assert shape_codes([]).dtype == np.int64


def test_tokens_inside_a_word_are_told_from_its_first() -> None:
    codes = shape_codes(["Rome", "is", "NATO"])
    tokens = token_codes(codes, np.array([-1, 0, 0, 1, 2, 2, 2, -1]))
    assert tokens.tolist() == [0, 23, 49, 7, 9, 35, 35, 0]
    assert tokens.dtype == np.int64
    assert token_codes(codes, np.array([-1, -1])).tolist() == [0, 0]
    assert token_codes(shape_codes([]), np.array([-1])).tolist() == [0]


@settings(deadline=None)
@given(st.lists(st.text(max_size=6), max_size=8))
def test_every_code_is_a_row_of_the_table(words: list[str]) -> None:
    tokens = np.repeat(np.arange(-1, len(words)), 2)
    found = token_codes(shape_codes(words), tokens)
    assert found.min() >= 0
    assert found.max() < SHAPES


@pytest.mark.parametrize("starts", [[-1], [2]])
def test_a_start_outside_the_text_is_refused(starts: list[int]) -> None:
    with pytest.raises(UsageError, match=r"starts must be positions in 0\.\.1\. Got"):
        shape_codes(["a", "b"], starts=starts)
