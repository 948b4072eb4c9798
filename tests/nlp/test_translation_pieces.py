"""Sentences, marks, vocabulary, and the recipes that clean training text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp.translation.masking import Masked, mask, unmask
from nlp.translation.pieces import OwnPieces
from nlp.translation.sentences import bounded, sentence_spans
from nlp.translation.training.data import (
    Encoded,
    collate,
    encode_examples,
    mask_pair,
    plan_pass,
    read_examples,
)
from nlp.translation.training.vocabulary import learn_vocabulary
from shared.errors import DataError

RECIPES = Path(__file__).resolve().parent.parent.parent / "recipes" / "translation"

SPLITS = [
    ("en", "Mr. Lee met Dr. No. They left.", ["Mr. Lee met Dr. No.", "They left."]),
    ("en", "It costs 3.50 today. Why? Because!", ["It costs 3.50 today.", "Why?", "Because!"]),
    ("en", 'He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
    ("en", "Use e.g. this. and that.", ["Use e.g. this. and that."]),
    ("en", "See No. 5 of it. No. We left.", ["See No. 5 of it.", "No.", "We left."]),
    ("en", "So do I. You too.", ["So do I.", "You too."]),
    ("de", "Am 3. Mai kam er. Gut.", ["Am 3. Mai kam er.", "Gut."]),
    ("de", "Das ist z. B. Unsinn. Ja.", ["Das ist z. B. Unsinn.", "Ja."]),
    ("de", "Öl ist teuer. Über alles.", ["Öl ist teuer.", "Über alles."]),
    ("fr", "M. Dupont est là. Où ? Ici !", ["M. Dupont est là.", "Où ?", "Ici !"]),
    ("zh", "你好。你好吗？好！", ["你好。", "你好吗？", "好！"]),
    ("en", "one\ntwo", ["one", "two"]),
    ("en", "...", []),
    ("en", "", []),
]


@pytest.mark.parametrize(("language", "text", "wanted"), SPLITS)
def test_sentences(language: str, text: str, wanted: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text, language=language)] == wanted


TEXTS = st.text("ab AB.!?\n\t-#>`1é。👍\0", max_size=80)


@settings(deadline=None, max_examples=200)
@given(TEXTS, st.booleans(), st.integers(8, 40))
def test_spans_are_in_order_and_lose_no_letter(text: str, wrapped: bool, most: int) -> None:
    spans = bounded(text, sentence_spans(text, language="en", wrapped=wrapped), most=most)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert end - start <= most
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
        at = end
    if "`" not in text and "    " not in text and "\t" not in text and "a)" not in text:
        outside = list(text)
        for start, end in spans:
            outside[start:end] = " " * (end - start)
        assert not any(sign in "ABé" for sign in outside)


@settings(deadline=None, max_examples=200)
@given(st.text("ab1 <m2>{}%s$`@./:-&;X9", max_size=60))
def test_what_is_masked_comes_back(text: str) -> None:
    found = mask(text)
    assert unmask(found.text, found.pieces) == text.replace("\n", "\n") or len(found.pieces) == 12 or "<m" in text


def test_one_piece_has_one_mark_and_the_rest_stays() -> None:
    assert mask("%s and %s") == Masked("<m1> and <m1>", ("%s",))
    many = mask(" ".join(f"{{a{number}}}" for number in range(15)))
    assert len(many.pieces) == 12
    assert many.text.endswith("<m12> {a12} {a13} {a14}")


def test_pairs_are_masked_alike_or_left_out() -> None:
    assert mask_pair("%s in %d", "%d in %s") == ("<m1> in <m2>", "<m2> in <m1>")
    assert mask_pair("1,000 men", "1.000 Männer") == ("<m1> men", "<m1> Männer")
    assert mask_pair("%s", "nothing") is None
    assert mask_pair("a", "%s") is None


def test_a_vocabulary_keeps_marks_and_apostrophes(tmp_path: Path) -> None:
    lines = ["l'homme est là <m1>", "the man's hat 12"] * 30
    tokenizer = learn_vocabulary(lines, size=80, languages=("en", "fr"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    pieces = OwnPieces(tmp_path / "tokenizer.json")
    assert pieces.learnt_marks
    tokens = pieces.encode("l'homme <m1> 12")
    assert "<m1>" in tokens
    assert {"1", "2"} <= {token.lstrip("▁") for token in tokens}
    assert pieces.decode(tokens) == "l'homme <m1> 12"
    assert pieces.unknown("the 好好 man") == [(4, 6)]


def test_a_file_that_is_no_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="must be a tokenizer.json"):
        OwnPieces(tmp_path / "tokenizer.json")


def test_examples_of_one_source_stand_together(tmp_path: Path) -> None:
    (tmp_path / "few.en-de.tsv").write_text("a\tb\na\tc\nd %s\te %s\n", encoding="utf-8")
    (tmp_path / "few.en-fr.tsv").write_text("a\tf\n", encoding="utf-8")
    found = read_examples(tmp_path, [("en", "de"), ("en", "fr")], {"few": 1.0})["few"]
    assert [(one.source, one.targets) for one in found] == [
        ("a", (("de", "b"), ("de", "c"), ("fr", "f"))),
        ("d <m1>", (("de", "e <m1>"),)),
    ]
    back = read_examples(tmp_path, [("de", "en")], {"*": 1.0})["*"]
    assert [one.source for one in back] == ["b", "c", "e <m1>"]
    with pytest.raises(DataError, match="must hold files DOMAIN.LEFT-RIGHT.tsv of other"):
        read_examples(tmp_path, [("en", "de")], {"few": 1.0, "other": 1.0})


def test_a_pass_takes_each_example_by_its_share() -> None:
    rows = [Encoded(np.arange(1 + at % 7), (np.arange(3 + at % 5),)) for at in range(40)]
    plans = [
        plan_pass({"x": rows}, {"x": 0.5}, tokens=30, number=number, rng=np.random.default_rng(number))
        for number in range(2)
    ]
    seen = [id(one) for plan in plans for batch in plan for one in batch]
    assert sorted(seen) == sorted(map(id, rows))
    for batch in plans[0]:
        made = collate(batch, 99)
        assert made.target.size <= 30 or len(made.rows) == 1
        assert made.source.shape[0] == len(batch)


def test_ids_begin_with_the_language_and_long_ones_are_left_out(tmp_path: Path) -> None:
    tokenizer = learn_vocabulary(["the man walks"] * 30, size=60, languages=("de",))
    (tmp_path / "few.en-de.tsv").write_text("the man\tthe man\n" + "the " * 200 + "\tman\n", encoding="utf-8")
    found = encode_examples(tokenizer, read_examples(tmp_path, [("en", "de")], {"few": 1.0})["few"])
    assert len(found) == 1
    begin = [tokenizer.id_to_token(number) for number in found[0].targets[0][:2]]
    assert begin == ["<s>", "<2de>"]


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(RECIPES))
    import catalogues
    import clean

    yield catalogues, clean
    for name in ("catalogues", "clean"):
        sys.modules.pop(name, None)


CATALOGUE = r"""
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\n"

#: a.c
msgid "Open the "
"file"
msgstr "Die Datei "
"öffnen"

#, fuzzy
msgid "Close"
msgstr "Zu"

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d Datei"
msgstr[1] "%d Dateien"

msgctxt "menu"
msgid "Save \"now\""
msgstr "\"Jetzt\" sichern"

msgid "None"
msgstr ""

#~ msgid "Old"
#~ msgstr "Alt"
"""


def test_catalogues_are_read(recipes: Any) -> None:
    catalogues, _ = recipes
    assert list(catalogues.entries(CATALOGUE)) == [
        ("Open the file", "Die Datei öffnen"),
        ('Save "now"', '"Jetzt" sichern'),
    ]


def test_descriptions_are_aligned_by_their_hash(recipes: Any) -> None:
    catalogues, _ = recipes
    english = ["Package: a", "Description-md5: x1", "Description-en: A tool", " It works", " well.", " .", " More.", ""]
    german = [
        "Package: a",
        "Description-md5: x1",
        "Description-de: Ein Werkzeug",
        " Es geht",
        " gut.",
        " .",
        " Mehr.",
        "",
    ]
    assert list(catalogues.descriptions(english, german, "de")) == [
        ("A tool", "Ein Werkzeug"),
        ("It works well.", "Es geht gut."),
        ("More.", "Mehr."),
    ]


def test_what_is_kept(recipes: Any) -> None:
    _, clean = recipes
    tests = clean.TestSets(["A man sleeps on the green bench in the old park today."])
    pairs = [
        ("_Open the file", "Die Datei öffnen"),
        ("Open the file", "Die Datei öffnen"),
        ("same", "same"),
        ("short", "x" * 80),
        ("12345", "54321"),
        ("кот", "Katze"),
        ("Look: a man sleeps on the green bench in the old park today.", "Ein Mann schläft auf der Bank im Park."),
        ("First one here. Second one here.", "Das ist eins hier. Das ist zwei hier."),
    ]
    found = list(clean.kept(pairs, ("en", "de"), tests=tests, detect=lambda text: "en", seen=set()))
    assert found == [
        ("Open the file", "Die Datei öffnen"),
        ("First one here.", "Das ist eins hier."),
        ("Second one here.", "Das ist zwei hier."),
    ]
