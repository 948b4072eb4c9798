"""The default recogniser on real text: a part of CoNLL-2003's test set, and offsets of plain prose."""

from __future__ import annotations

from pathlib import Path

import pytest

import nlp
from nlp.ner.evaluate import evaluate_ner


@pytest.mark.weights
@pytest.mark.data
def test_entities_of_newswire_are_found(data_root: Path) -> None:
    found = evaluate_ner(data_root / "nlp/conll2003/dataset/eng.testb", limit=30)
    assert found.failed == 0
    assert found.metrics["f1"].value > 0.85
    assert found.metrics["f1_bounds"].value > found.metrics["f1"].value


@pytest.mark.weights
def test_the_default_reads_prose() -> None:
    text = "👍 Ada Lovelace met Charles Babbage in London, and wrote to the Royal Society."
    found = nlp.entity_recognizer().predict([text])[0].entities
    assert [(entity.text, entity.label) for entity in found] == [
        ("Ada Lovelace", "PER"),
        ("Charles Babbage", "PER"),
        ("London", "LOC"),
        ("Royal Society", "ORG"),
    ]
    assert all(text[entity.start : entity.end] == entity.text for entity in found)
    assert nlp.redact(text).text == "👍 [PERSON] met [PERSON] in London, and wrote to the Royal Society."
