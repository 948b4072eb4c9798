"""Language identification with the model that its package carries."""

from __future__ import annotations

import pytest

import nlp
from nlp.language import READ, prepare
from shared import catalogue
from shared.errors import InputError

SENTENCES = {
    "en": "The committee will meet again on Thursday afternoon.",
    "de": "Der Ausschuss tritt am Donnerstagnachmittag wieder zusammen.",
    "fr": "La commission se réunira de nouveau jeudi après-midi.",
    "es": "La comisión volverá a reunirse el jueves por la tarde.",
    "ru": "Комитет снова соберётся в четверг днём.",
    "ar": "ستجتمع اللجنة مرة أخرى بعد ظهر يوم الخميس.",
    "ja": "委員会は木曜日の午後に再び開かれます。",
    "zh": "我们明天下午去图书馆看书，然后回家吃饭。",
}


@pytest.mark.parametrize(("language", "sentence"), SENTENCES.items())
def test_a_sentence_of_each_language(language: str, sentence: str) -> None:
    found = nlp.detect_language(sentence)
    assert found.labels[0] == language
    assert found.scores[0] > 0.5


def test_letter_case_and_line_breaks_do_not_matter() -> None:
    assert nlp.detect_language(SENTENCES["de"].upper()).labels[0] == "de"
    assert nlp.detect_language(SENTENCES["fr"].replace(" ", "\n")) == nlp.detect_language(SENTENCES["fr"])


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", "empty"), ("12, 34!", "empty"), ("\x00\n", "empty"), ("\ud800", "corrupt"), (7, "wrong-type")],
)
def test_what_has_no_language_is_refused(text: object, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        prepare(text)
    assert caught.value.kind == kind


def test_ten_megabytes_in_one_line_are_cut() -> None:
    assert len(prepare("word " * 2_000_000)) == READ
    assert nlp.detect_language(SENTENCES["de"] * 200_000).labels[0] == "de"


def test_the_licence_is_stated() -> None:
    assert catalogue.find("language-id").licence == "CC-BY-SA-3.0"
