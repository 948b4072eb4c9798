"""Lists and patterns beside a model: what they find, what they refuse, who wins, and that they are fast."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tagger import tagger_folder

import nlp
from nlp.ner.gazetteer import read_gazetteer
from nlp.ner.patterns import read_patterns
from nlp.ner.rules import read_rules
from nlp.ner.words import split_words
from nlp.types import Entities, Entity
from shared.errors import DataError, UsageError


def written(folder: Path, text: str, name: str = "list.tsv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("New York", [(0, 8, "LOC")]),
        ("in new\n  york, and NEW YORKERS", [(3, 13, "LOC")]),
        ("the New York Times", [(4, 18, "ORG")]),
        ("cafe\u0301 Straße CAFÉ STRASSE", [(0, 12, "LOC"), (13, 25, "LOC")]),
        ("東京タワーは東京に", [(0, 5, "LOC"), (6, 8, "LOC")]),
        ("O'Brien, o’brien", [(0, 7, "PER")]),
        ("Yorkshire newyork", []),
    ],
)
def test_phrases_are_whole_words(tmp_path: Path, text: str, spans: list[tuple[int, int, str]]) -> None:
    lines = "# names\nLOC\tNew York\nORG\tNew York Times\n\nLOC\tCafé Straße\nLOC\t東京\nLOC\t東京タワー\n"
    lines += "PER\tO'Brien\nX\tnew york\n"
    found = read_gazetteer(written(tmp_path, lines))
    assert found.size == 6
    # the longest at each place; what begins inside another is for the caller to judge
    assert [span for span in found.find(text) if span in spans] == spans
    assert all(span in spans or text[span[0] : span[1]] == "東京" for span in found.find(text))


def test_letter_case_may_matter() -> None:
    names = read_gazetteer({"ORG": ["Apple"]}, case=True)
    assert names.find("an apple of Apple") == [(12, 17, "ORG")]
    assert names.find("APPLE") == []


def test_json_lines_are_read_as_spacy_writes_them(tmp_path: Path) -> None:
    rows = [{"label": "ORG", "pattern": "Acme Corp"}, {"label": "PER", "phrase": "Ada"}]
    path = written(tmp_path, "\n".join(map(json.dumps, rows)), "list.jsonl")
    assert read_gazetteer(path).find("Ada of Acme Corp.") == [(0, 3, "PER"), (7, 16, "ORG")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("New York\n", r"list\.tsv, line 1 must be a label, a tab and a phrase. Got 'New York'"),
        ("LOC\t \n", "line 1: a phrase must have a label and 1 to 64 words"),
        ("\tx\n", "must have a label"),
        ("LOC\t" + "a " * 65, "1 to 64 words"),
        ('{"label": "LOC"}\n', 'must be {"label"'),
        ('{"label": "LOC", \n', "line 1 must be a JSON object"),
        ("# nothing\n", r"a gazetteer must hold phrases. .*list\.tsv holds none"),
    ],
)
def test_a_malformed_list_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_gazetteer(written(tmp_path, text))


def test_lists_in_memory_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="phrases of 'LOC' must be a list. Got 'Paris'"):
        read_gazetteer({"LOC": "Paris"})
    with pytest.raises(UsageError, match="a phrase of 'LOC' must be text. Got 3"):
        read_gazetteer({"LOC": [3]})
    with pytest.raises(DataError, match="must be a file of rules. No such file"):
        read_gazetteer(tmp_path / "none.tsv")
    (tmp_path / "latin").write_bytes(b"LOC\tM\xfcnchen")
    with pytest.raises(DataError, match="must be UTF-8"):
        read_gazetteer(tmp_path / "latin")


_WORDS = st.lists(st.sampled_from(["a", "B", "c", "É", "e\u0301"]), min_size=1, max_size=4).map(" ".join)


@settings(deadline=None)
@given(st.lists(_WORDS, min_size=1, max_size=8), st.lists(_WORDS, max_size=6).map(" . ".join))
def test_the_walk_finds_what_trying_every_phrase_finds(phrases: list[str], text: str) -> None:
    def folded(words: str) -> list[str]:
        return [unicodedata.normalize("NFC", word).casefold() for word in split_words(words).words]

    wanted = []
    words, spans = folded(text), split_words(text).spans.tolist()
    for at in range(len(words)):
        lengths = [len(folded(p)) for p in phrases if words[at : at + len(folded(p))] == folded(p)]
        if lengths:
            wanted.append((spans[at][0], spans[at + max(lengths) - 1][1], "X"))
    assert read_gazetteer({"X": phrases}).find(text) == wanted


def test_a_hundred_thousand_phrases_cost_no_more_than_a_few() -> None:
    few = read_gazetteer({"X": ["name 7", "name 8"]})
    many = read_gazetteer({"X": [f"name {k} of {k % 977}" for k in range(100_000)]})
    text = "the name 7 of 7 and name 99 of nothing, " * 5_000
    found, steps = [], []
    for names in (few, many):
        events: Counter[str] = Counter()
        sys.setprofile(lambda frame, event, argument, events=events: events.update((event,)))
        try:
            found.append(names.find(text))
        finally:
            sys.setprofile(None)
        steps.append(events.total())
    assert len(found[1]) == 5_000
    assert 5_000 < steps[1] < 3 * steps[0]


@pytest.mark.parametrize(
    ("regex", "text", "spans"),
    [
        (r"\b[A-Z]{2,5}-[0-9]+\b", "see AB-12, CD-3 xAB-1", [(4, 9), (11, 15)]),
        (r"(?i)colou?r", "Color colour", [(0, 5), (6, 12)]),
        (r"\p{Lu}\p{Ll}+", "Ärger é👍🏽 Über", [(0, 5), (10, 14)]),
        (r"x*", "axxb", [(1, 3)]),
        (r"(a)(b)?", "ab a", [(0, 2), (3, 4)]),
        (r"^b", "a\nb", []),
        (r"(?m)^b", "a\nb", [(2, 3)]),
        ("\ufffd", "\ufdd0a\ufdd1", [(0, 1), (2, 3)]),
        ("a", "\ufdd0a\ufdd1a", [(1, 2), (3, 4)]),
    ],
)
def test_regular_expressions(regex: str, text: str, spans: list[tuple[int, int]]) -> None:
    found = read_patterns([{"label": "X", "regex": regex}]).find(text)
    assert found == [(start, stop, "X") for start, stop in spans]


@settings(deadline=None, max_examples=50)
@given(st.text("ab1 é👍🏽\n", max_size=40), st.sampled_from([r"a+b", r"[0-9]a?", r"é.", r"(a|b)1", r"\s+a"]))
def test_regular_expressions_match_as_pythons(text: str, regex: str) -> None:
    wanted = [(*match.span(), "X") for match in re.finditer(regex, text)]
    assert read_patterns([{"label": "X", "regex": regex}]).find(text) == wanted


def test_no_expression_stalls() -> None:
    begun = process_time()
    assert (
        read_patterns([{"label": "X", "regex": r"(a*)*b"}, {"label": "Y", "regex": "(a|aa)+$"}]).find(
            "a" * 50_000 + "c"
        )
        == []
    )
    assert process_time() - begun < 5


def test_a_pattern_of_text_is_a_phrase_case_and_all(tmp_path: Path) -> None:
    path = written(tmp_path, '# mine\n{"label": "ORG", "pattern": "Acme Corp"}\n', "p.jsonl")
    found = read_patterns(path)
    assert found.size == 1
    assert found.find("Acme  Corp, acme corp") == [(0, 10, "ORG")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": "X"}, 'must have a "label", and a "regex" or a "pattern"'),
        ({"regex": "a"}, 'must have a "label"'),
        ({"label": "X", "regex": "a", "pattern": "b"}, 'a "regex" or a "pattern"'),
        ({"label": "X", "regex": "(a"}, r"'\(a' must be a regular expression of RE2.*missing \)"),
        ({"label": "X", "regex": "a)(b"}, "must be a regular expression of RE2"),
        ({"label": "X", "regex": r"(?=a)b"}, "must be a regular expression of RE2"),
        ({"label": "X", "regex": 3}, "a regex must be text"),
        ({"label": "X", "pattern": {}}, "a regex must be text, and a pattern text or a list"),
        (["X"], "pattern 1 must be a mapping"),
    ],
)
def test_malformed_patterns_are_refused(row: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_patterns([row])


def test_patterns_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="patterns must be one at least"):
        read_patterns(written(tmp_path, "\n"))


def test_the_longest_rule_wins_then_the_earliest_then_the_first() -> None:
    rules = read_rules(
        [{"A": ["b c"]}, {"B": ["b c", "a b"]}], [{"label": "C", "regex": "d e f"}, {"label": "D", "regex": "c d"}]
    )
    assert rules.find("a b c d e f") == [(0, 3, "B"), (6, 11, "C")]
    assert rules.find("x b c") == [(2, 5, "A")]


@pytest.mark.parametrize(("first", "labels"), [(True, ["RULE", "LOC"]), (False, ["PER", "LOC"])])
def test_precedence_is_the_users(first: bool, labels: list[str]) -> None:
    finder = nlp.entity_recognizer(tagger_folder(), gazetteer={"RULE": ["Lovelace visited"]}, rules_first=first)
    found = finder.predict(["the Ada Lovelace visited in Paris"])[0]
    assert [entity.label for entity in found.entities] == labels
    assert all(entity.score == 1.0 for entity in found.entities if entity.label == "RULE")


def test_rules_add_to_the_model_where_it_is_silent() -> None:
    merged = read_rules({"T": ["x"]}, None).merge("a x b", Entities((Entity("a", "M", 0, 1, 0.5),)))
    assert [(entity.text, entity.label, entity.score) for entity in merged.entities] == [
        ("a", "M", 0.5),
        ("x", "T", 1.0),
    ]
    assert read_rules(None, None) is None
    assert read_rules([], None) is None
