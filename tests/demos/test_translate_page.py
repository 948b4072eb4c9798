"""The translation page: what it lists, what its endpoint answers."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

import gradio as gr

from demos.translate import EXAMPLES, MOST_CHARACTERS, MOST_TERMS, beside, own_terms
from nlp.types import TranslatedSentence, Translation


def test_sentences_stand_beside_their_own() -> None:
    found = Translation(
        "Katze <b>. Hund.",
        "en",
        "de",
        0.5,
        (TranslatedSentence(0, 8, 0, 10, 0.9), TranslatedSentence(9, 13, 11, 16, 0.3)),
    )
    page = beside("Cat <b>. Dog.", found)
    assert "Cat &lt;b&gt;." in page
    assert "Katze &lt;b&gt;." in page
    assert "90%" in page
    assert "30% ?" in page
    assert beside("1", Translation("1", "de", "de", 1.0)) == ""


@pytest.mark.parametrize("written", ["no sign", "a =", "= b", "a = b\n" * (MOST_TERMS + 1)])
def test_terms_that_are_none(written: str) -> None:
    with pytest.raises(gr.Error, match="term = how it shall be called"):
        own_terms(written)


@pytest.mark.weights
def test_a_text_with_terms(client: Any) -> None:
    pytest.importorskip("sentencepiece")
    result, answer, plain, listed = client.predict(
        "zh to en", "北京是{x}。\n\n- 图书馆", "图书馆 = City Library", api_name="/translate"
    )
    assert result["type"] == "Translation"
    assert plain.endswith("\n\n- City Library")
    assert "{x}" in plain
    assert "Chinese to English" in answer
    assert "北京" in listed


@pytest.mark.weights
def test_the_terms_of_every_example_are_applied_wherever_they_stand(client: Any) -> None:
    pytest.importorskip("sentencepiece")
    examples = [(way, *row) for way, rows in EXAMPLES.items() for row in rows.values() if row[1]]
    assert examples
    for way, text, terms in examples:
        plain = client.predict(way, text, terms, api_name="/translate")[2]
        for term, called in own_terms(terms).items():
            assert plain.count(called) == text.count(term) > 0


@pytest.mark.weights
def test_what_is_refused(client: Any) -> None:
    with pytest.raises(Exception, match="not in the list of choices"):
        client.predict("xx to yy", "text", "", api_name="/translate")
    with pytest.raises(Exception, match="at most 5,000 characters"):
        client.predict("zh to en", "x" * (MOST_CHARACTERS + 1), "", api_name="/translate")
