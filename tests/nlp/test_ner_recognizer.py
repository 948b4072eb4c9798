"""From a text to its entities: whole words, exact characters, windows that lose nothing, hostile text."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tagger import TAGS, tagger_folder

import nlp
from nlp.ner.decode import decode
from nlp.ner.prepare import Prepared, shares
from nlp.ner.tags import make_tags
from nlp.ner.words import RULES, given_words, split_words
from nlp.types import Entities, Entity
from nlp.windows import windows
from shared.errors import DataError, InputError, UnknownNameError, UsageError
from shared.testing.contracts import PredictorContract
from shared.types import Failure, Result


def found(text: object, folder: Path | None = None, **options: object) -> list[tuple[str, str, int]]:
    result = nlp.entity_recognizer(folder or tagger_folder(), **options).predict([text])[0]
    return [(entity.text, entity.label, entity.start) for entity in result.entities]


class TestContract(PredictorContract):
    def build(self) -> object:
        return nlp.entity_recognizer(tagger_folder(), threads=2)

    def good(self) -> list[object]:
        return ["Ada Lovelace visited London.", "in Paris", ["Ada", "visited", "New", "York"], "the " * 700 + "Paris"]

    def bad(self) -> object:
        return "\ud800"


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("Ada Lovelace visited New York.", [("Ada Lovelace", "PER", 0), ("New York", "LOC", 21)]),
        ("the", []),
        ("  Ada\tLovelace\n\nLondon", [("Ada\tLovelace", "PER", 2), ("London", "LOC", 16)]),
        ("the Ádá. Lon\u0301don\u0301!", [("Ádá.", "PER", 4), ("Lon\u0301don\u0301", "LOC", 9)]),
        ("👩‍👩‍👧Paris👍🏽 in Paris", [("Paris", "LOC", 16)]),
        ("\u200fParis\u200e, the \x00Ada\x00", [("Paris", "LOC", 1), ("Ada", "PER", 14)]),
        ("Lo\u200bndon", [("Lo\u200bndon", "LOC", 0)]),
        ("(Paris)", [("Paris", "LOC", 1)]),
    ],
)
def test_offsets_index_the_text_that_was_given(text: str, entities: list[tuple[str, str, int]]) -> None:
    assert found(text) == entities
    for surface, _, start in entities:
        assert text[start : start + len(surface)] == surface


def test_a_span_is_whole_words() -> None:
    # the tagger likes the first piece only: "lon", of "londons", and "u", of "U.S."
    assert found("in Londons") == [("Londons", "LOC", 3)]
    assert found("the U.S. visited", tagger_folder(words="conll")) == [("U.S.", "LOC", 4)]
    assert found("the U.S. visited", tagger_folder(words="unicode")) == [("U", "LOC", 4)]


@pytest.mark.parametrize("rule", RULES)
@given(st.text(max_size=40))
@settings(deadline=None)
def test_words_cover_everything_but_white_space(rule: str, text: str) -> None:
    words = split_words(text, rule=rule)
    assert "".join(words.words) == "".join(text.split())
    assert (words.spans[1:, 0] >= words.spans[:-1, 1]).all()
    assert not any(map(str.isspace, "".join(words.words)))
    assert ((words.starts >= 0) & (words.starts < max(len(words.spans), 1))).all()


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        ("Mr. Lee's U.S.-based firm won 1,000 euros.", "conll", "Mr.|Lee|'s|U.S.-based|firm|won|1,000|euros|."),
        ("don't can't I'm Jones' O'Brien", "conll", "do|n't|ca|n't|I|'m|Jones|'|O'Brien"),
        ("J. Smith left... AT&T, 6-3 (7-4) 1996-08-22", "conll", "J.|Smith|left|...|AT&T|,|6-3|(|7-4|)|1996-08-22"),
        ("see http://a.b/c?d=1. mail a@b.org!", "conll", "see|http://a.b/c?d=1|.|mail|a@b.org|!"),
        ("he said.But reuters.com", "conll", "he|said|.|But|reuters.com"),
        ("U.S.-based", "unicode", "U|.|S|.|-|based"),
        ("हिन्दी भाषा ไทย 東京 한국 e\u0301te\u0301", "unicode", "हिन्दी|भाषा|ไ|ท|ย|東|京|한국|e\u0301te\u0301"),
        ("👩‍👩‍👧👍🏽🇫🇷🇩🇪❤️", "unicode", "👩‍👩‍👧|👍🏽|🇫🇷|🇩🇪|❤️"),
        ("a\x00b\u200b \u00adc\u00add", "unicode", "a\x00b|\u200b|\u00ad|c\u00add"),
        ("\u200fParis\u200e", "conll", "\u200f|Paris|\u200e"),
    ],
)
def test_rules_for_words(text: str, rule: str, words: str) -> None:
    assert "|".join(split_words(text, rule=rule).words) == words


def test_sentences_begin_after_line_breaks_too() -> None:
    assert split_words("Head line\nIt is.\r\n\r\nSo it is").starts.tolist() == [0, 2, 5]
    assert given_words([["Head", "line"], [], ["It"]]).starts.tolist() == [0, 2]


@pytest.mark.parametrize("seconds", [5])
@pytest.mark.parametrize(
    "text", ["+a" * 200_000, "a." * 200_000, "www." * 100_000, "1." * 200_000, "x@" * 200_000, "'" * 300_000]
)
def test_no_text_makes_the_words_slow(text: str, seconds: int) -> None:
    from time import process_time

    begun = process_time()
    split_words(text, rule="conll")
    assert process_time() - begun < seconds


def test_a_word_before_a_window_is_not_missed() -> None:
    text = "the in mr Ada york visited , the in the . Ada mr the in york Paris s " * 40
    whole = found(text, tagger_folder(room=4096))
    assert {"PER", "LOC"} == {label for _, label, _ in whole}
    assert ("mr", "PER", 49) not in whole
    assert found(text, tagger_folder(room=16, overlap=6)) == whole


@pytest.mark.parametrize(("n", "size", "overlap"), [(1, 4, 0), (10, 6, 1), (100, 7, 6), (64, 16, 8), (33, 32, 0)])
def test_each_token_comes_from_the_window_in_which_it_is_furthest_from_an_end(n: int, size: int, overlap: int) -> None:
    cut = windows(n, size=size, overlap=overlap)
    found = shares(cut)
    assert [share.start for share in found] == [0, *(share.stop for share in found[:-1])]
    assert found[-1].stop == n

    def depth(window: object, at: int) -> float:
        if not window.start <= at < window.stop:
            return -1
        before = np.inf if window.start == 0 else at - window.start
        after = np.inf if window.stop == n else window.stop - 1 - at
        return min(before, after)

    for share in found:
        for at in range(share.start, share.stop):
            assert depth(share.window, at) == max(depth(window, at) for window in cut)


def test_an_entity_score_is_the_geometric_mean_of_its_words() -> None:
    chances = np.float32([[0.1, 0.6, 0.1, 0.1, 0.1], [0.05, 0.15, 0.75, 0.03, 0.02]])
    words = given_words(["a", "b"])
    item = Prepared(words, np.array([1, 2]), np.array([0, 1]), None)
    entity = decode(np.log(chances), item, make_tags(TAGS, "BIO")).entities[0]
    assert entity.score == pytest.approx((0.7 * 0.9) ** 0.5, abs=1e-6)
    assert (entity.text, entity.start, entity.end) == ("a b", 0, 3)


def test_words_without_a_token_neither_begin_nor_end_an_entity() -> None:
    words = given_words(["a", "\u200b", "b", "\u200b"])
    logits = np.log(np.float32([[0.1, 0.9, 1e-9], [0.1, 1e-9, 0.9]]))
    item = Prepared(words, np.array([1, 2]), np.array([0, 2]), None)
    assert [e.text for e in decode(logits, item, make_tags(["O", "B-X", "I-X"], "BIO")).entities] == ["a \u200b b"]


def test_letter_case_reaches_a_model_that_reads_shapes() -> None:
    folder = tagger_folder(features=True)
    assert found("the NATO visited", folder) == [("NATO", "LOC", 4)]
    assert found("the nato visited", folder) == []


def test_words_may_be_given() -> None:
    assert found(["Ada", "Lovelace", "visited", "U.S"]) == [("Ada Lovelace", "PER", 0), ("U.S", "LOC", 21)]
    assert found([["Ada"], ["Paris", "."]]) == [("Ada", "PER", 0), ("Paris", "LOC", 4)]


HOSTILE = [
    ("", "empty"),
    (" \n", "empty"),
    ("\x00\x00", "empty"),
    (b"Ada", "wrong-type"),
    (None, "wrong-type"),
    (3, "wrong-type"),
    ([], "empty"),
    ([[]], "empty"),
    (["a b"], "wrong-type"),
    (["a", ""], "wrong-type"),
    (["a", ["b"]], "wrong-type"),
    ([["a"], "b"], "wrong-type"),
    ("Ada \udcff", "corrupt"),
    (["Ada", "\ud800"], "corrupt"),
]


@pytest.mark.parametrize(("item", "kind"), HOSTILE)
def test_what_cannot_be_read_is_a_typed_failure(item: object, kind: str) -> None:
    before, failure, after = nlp.entity_recognizer(tagger_folder()).predict(["Ada", item, "Ada"], on_error="keep")
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert before == after == Entities((Entity("Ada", "PER", 0, 3, before.entities[0].score),))


def test_a_megabyte_in_one_line() -> None:
    text = "x" * 300_000 + " Ada Lovelace " + "the, " * 100_000 + "in Paris"
    start = len(text) - 5
    assert found(text, tagger_folder(room=128)) == [("Ada Lovelace", "PER", 300_001), ("Paris", "LOC", start)]


@settings(deadline=None, max_examples=60)
@given(st.text("Aadn Lovlace\u0301NewYork.,'東👍🏽\u200d\x00\u200b\n\tשלום", min_size=1, max_size=60))
def test_entities_lie_in_the_text_whatever_it_is(text: str) -> None:
    result = nlp.entity_recognizer(_tiny()).predict([text], on_error="keep")[0]
    for entity in getattr(result, "entities", ()):
        assert text[entity.start : entity.end] == entity.text
        assert entity.text == entity.text.strip()


def _tiny() -> Path:
    return tagger_folder(room=12, overlap=4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scheme": "BILO"}, UnknownNameError, "no scheme of tags is called 'BILO'"),
        ({"device": "tpu"}, Exception, "device"),
    ],
)
def test_options_are_checked(change: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nlp.entity_recognizer(tagger_folder(), **change)


def test_a_card_that_does_not_fit_its_graph_is_refused() -> None:
    with pytest.raises(DataError, match=r"must answer logits of shape \(1, tokens, 6\), a number for each of its tags"):
        nlp.entity_recognizer(tagger_folder(tags=(*TAGS, "B-ORG")))
    with pytest.raises(UnknownNameError, match="rule for words"):
        nlp.entity_recognizer(tagger_folder(words="thai"))


def test_rules_without_rules_are_refused() -> None:
    with pytest.raises(UsageError, match="needs a list or patterns"):
        nlp.entity_recognizer("rules")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": 3}, "must bound its text"),
        ({"end": 0}, "must bound its text"),
        ({"score": 1.5}, r"must lie in \[0, 1\]"),
        ({"score": float("nan")}, r"must lie in \[0, 1\]"),
    ],
)
def test_an_entity_is_checked_at_birth(fields: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(Entity("Ada", "PER", 0, 3, 0.5), **fields)


def test_entities_are_in_order_and_go_through_json() -> None:
    one, two = Entity("Ada", "PER", 0, 3, 0.5), Entity("b", "X", 3, 4, 1.0)
    both = Entities((one, two))
    assert Result.from_json(both.to_json()) == both
    with pytest.raises(UsageError, match="must stand in the order of the text and not overlap"):
        Entities((two, one))


def test_a_missing_word_error_is_of_its_type() -> None:
    with pytest.raises(InputError, match="Got none"):
        given_words([])
