"""What text is refused, and that long text is read in pieces as it would be read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from nlp.tokenize import PIECE, TextTokenizer, load_tokenizer, pieces
from shared.errors import DataError, InputError


@pytest.fixture(scope="module")
def tokenizer(encoder_folder: Path) -> TextTokenizer:
    return load_tokenizer(encoder_folder / "tokenizer.json")


@pytest.mark.parametrize(
    ("item", "kind", "message"),
    [
        (None, "wrong-type", "a text must be a str. Got NoneType"),
        (b"good", "wrong-type", "Got bytes instead: decode"),
        (3.5, "wrong-type", "Got float"),
        (["good"], "wrong-type", "Got list"),
        ("", "empty", "at least one word"),
        (" \t\n\u00a0", "empty", "nothing but white space"),
        ("\x00\x01", "empty", "only characters that the tokeniser drops"),
        ("good \ud800 film", "corrupt", "Character 5 is the lone surrogate U\\+D800"),
    ],
)
def test_what_is_refused(tokenizer: TextTokenizer, item: object, kind: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        tokenizer.ids(item)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("The film", [10, 8]),
        ("films, GOOD", [8, 9, 11, 4]),
        ("go\x00od", [4]),
        ("zebra", [1]),
        ("good" * 30, [1]),
        (np.str_("bad"), [5]),
    ],
)
def test_known_tokens(tokenizer: TextTokenizer, text: str, ids: list[int]) -> None:
    assert tokenizer.ids(text).tolist() == ids
    assert tokenizer.ids(text).dtype == np.int64


def test_special_tokens_go_around_a_window_only(tokenizer: TextTokenizer) -> None:
    assert tokenizer.window(tokenizer.ids("good film")).tolist() == [2, 4, 8, 3]


def test_a_long_text_is_neither_padded_nor_cut(tokenizer: TextTokenizer) -> None:
    assert tokenizer.ids("good film , " * 100_000).size == 300_000


@given(st.text("ab \n\té,", min_size=1, max_size=200), st.integers(1, 50))
def test_pieces_join_to_the_text_and_are_short(text: str, size: int) -> None:
    found = list(pieces(text, size))
    assert "".join(found) == text
    assert all(len(piece) <= size for piece in found)


def test_pieces_cut_between_words(tokenizer: TextTokenizer, encoder_folder: Path) -> None:
    whole = Tokenizer.from_file(str(encoder_folder / "tokenizer.json"))
    whole.no_truncation()
    whole.no_padding()
    text = ("the good films , awful bad\nfine\t" * (3 * PIECE // 30)).strip()
    assert len(text) > 2 * PIECE
    np.testing.assert_array_equal(tokenizer.ids(text), whole.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("content", [b"{}", b"no json", b"\xff\xfe"])
def test_what_is_no_tokenizer_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"must be a tokenizer\.json"):
        load_tokenizer(path)
