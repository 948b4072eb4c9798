"""Passages: bounded, covering, cut at good places, with exact offsets; sentences; and queries of words."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import tiny_qa

from nlp.retrieval.chunks import Chunk, chunks
from nlp.retrieval.documents import Document, Heading, Page, markdown_headings
from nlp.retrieval.search import fused
from nlp.retrieval.sentences import LONGEST, sentence_spans
from nlp.retrieval.words import full_text_query
from nlp.tokenize import TextTokenizer, load_tokenizer
from shared.errors import InputError, UsageError


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_tokenizer(tiny_qa.encoder_folder() / "tokenizer.json")


def cut(text: str, tokenizer: TextTokenizer, *, size: int = 20, overlap: int = 4) -> list[Chunk]:
    document = Document("markdown", (Page(None, text, tuple(markdown_headings(text))),))
    return list(chunks(document, tokenizer, size=size, overlap=overlap))


def test_a_short_text_is_one_chunk(tokenizer: TextTokenizer) -> None:
    assert cut("  the river flows.\n", tokenizer) == [Chunk(None, "", 2, 18, "the river flows.")]


def test_every_word_is_in_a_chunk_and_offsets_are_exact(tokenizer: TextTokenizer) -> None:
    chance = random.Random(1)
    for _ in range(30):
        words = chance.choices(["the", "river", "flows.", "city\n\n", "é👍🏽", "\x00x", "# Eiger\n", "山山"], k=300)
        text = chance.choice([" ", "\n", "\n\n"]).join(words)
        found = cut(text, tokenizer)
        covered = [False] * len(text)
        for chunk in found:
            assert text[chunk.start : chunk.end] == chunk.text
            assert len(tokenizer.ids(chunk.text)) <= 20
            covered[chunk.start : chunk.end] = [True] * len(chunk.text)
        assert all(done or letter.isspace() or letter == "\x00" for done, letter in zip(covered, text))


def test_chunks_end_where_sentences_and_paragraphs_do(tokenizer: TextTokenizer) -> None:
    sentence = "the river flows through the old city . "
    found = cut(sentence * 30, tokenizer, overlap=9)
    assert len(found) > 5
    for chunk in found:
        assert chunk.text.startswith("the river")
        assert chunk.text.endswith(".")
    paragraphs = ("the river flows through the old city\n\n" + "bern is a city and it is very old\n\n") * 9
    for chunk in cut(paragraphs, tokenizer, overlap=9):
        assert chunk.text.startswith(("the river", "bern"))
        assert chunk.text.endswith(("city", "old"))


def test_neighbours_share_whole_sentences(tokenizer: TextTokenizer) -> None:
    found = cut("ann built it . " * 30, tokenizer, size=20, overlap=8)
    for first, second in pairwise(found):
        assert second.start < first.end
        assert second.text.startswith("ann built")


def test_a_word_is_never_cut_unless_it_is_longer_than_a_chunk(tokenizer: TextTokenizer) -> None:
    text = ("rhine,alps,lake " * 40).strip()
    for chunk in cut(text, tokenizer):
        assert chunk.text.startswith("rhine")
    endless = ("rhine," * 200).rstrip(",")
    assert len(cut(endless, tokenizer)) > 10


def test_headings_stand_above_and_sections_are_kept_apart(tokenizer: TextTokenizer) -> None:
    text = (
        "# Alps\n\n## Eiger\n\nthe eiger is a very high mountain in the swiss alps\n\n### North\n\n"
        "ann climbed it first and bob was very near the answer\n\n## Rhine\n\n"
        "the river flows through the old city of bern"
    )
    found = cut(text, tokenizer, size=40)
    assert [chunk.heading for chunk in found] == ["Alps > Eiger", "Alps > Eiger > North", "Alps > Rhine"]
    assert found[0].text.startswith("# Alps")  # a heading by itself goes with what follows
    assert found[1].text.startswith("### North")
    assert found[1].shown.startswith("Alps > Eiger > North\n### North")


def test_pages_are_kept_apart_and_headings_go_on(tokenizer: TextTokenizer) -> None:
    pages = (
        Page(1, "the river flows", (Heading(0, 1, "Rivers"),)),
        Page(2, " \n"),
        Page(3, "bern is a city"),
        Page(4, "the eiger", (Heading(0, 1, "Peaks" * 80),)),
    )
    found = list(chunks(Document("pdf", pages), tokenizer, size=20, overlap=4))
    assert [(chunk.page, chunk.heading[:6]) for chunk in found] == [(1, "Rivers"), (3, "Rivers"), (4, "PeaksP")]
    assert len(found[2].heading) == 200


def test_what_is_no_text_is_refused(tokenizer: TextTokenizer) -> None:
    assert cut(" \n\u200b\x00", tokenizer) == []
    with pytest.raises(InputError, match="lone surrogate"):
        cut("the \ud800 river", tokenizer)
    for size, overlap in ((15, 4), (20, 11), (20, -1)):
        with pytest.raises(UsageError, match="chunk_tokens must be at least 16"):
            cut("x", tokenizer, size=size, overlap=overlap)


def test_a_long_line_without_a_space_is_cut_in_time_that_grows_with_it(tokenizer: TextTokenizer) -> None:
    text = "river" * 40_000
    found = cut(text, tokenizer)
    assert "".join(chunk.text for chunk in found).startswith("riverriver")
    assert found[-1].end == len(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Ann came. E.g. this, i.e. that.", ["Dr. Ann came.", "E.g. this, i.e. that."]),
        ("It cost 3.50. J. R. Tolkien paid.", ["It cost 3.50.", "J. R. Tolkien paid."]),
        ('He said "Go." She went.', ['He said "Go."', "She went."]),
        ("a title\n\nand text", ["a title", "and text"]),
        ("# Alps\nHigh.", ["# Alps", "High."]),
        ("wrapped\nline goes on.", ["wrapped\nline goes on."]),
        ("これは文です。次の文。", ["これは文です。", "次の文。"]),
        ("", []),
        (" \n\n ", []),
        ("...", ["..."]),
    ],
)
def test_sentences(text: str, wanted: list[str]) -> None:
    assert [text[a:b] for a, b in sentence_spans(text)] == wanted


def test_what_runs_on_is_cut() -> None:
    for text in ("word " * 2000, "x" * 10_000, "\n" * 50_000 + "x"):
        assert all(0 < b - a <= LONGEST for a, b in sentence_spans(text))


def test_queries_quote_their_words() -> None:
    assert full_text_query('Who built "NEAR(x)" OR -the* bridge?') == '"built" OR "near" OR "x" OR "bridge"'
    assert full_text_query("who is the") == '"who" OR "is" OR "the"'
    assert full_text_query("?! \x00") == ""
    assert full_text_query("w" + " w".join(map(str, range(500)))).count(" OR ") == 63


def test_reciprocal_ranks_are_added() -> None:
    found = dict(fused(([1, 2, 3], [3, 4]), (1.0, 2.0)))
    assert found == pytest.approx({1: 1 / 61, 2: 1 / 62, 3: 1 / 63 + 2 / 61, 4: 2 / 62})
    assert [item for item, _ in fused(([5, 2], [2, 5]), (1.0, 1.0))] == [2, 5]
    assert fused(([5], [2]), (1.0, 0.0)) == [(5, 1 / 61)]
