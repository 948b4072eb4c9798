"""A transformers checkpoint through us tags as transformers' own pipeline does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_checkpoints import KINS, save

import nlp

TAGS = dict(enumerate(("O", "B-PER", "I-PER", "B-LOC", "I-LOC")))
TEXTS = [
    "the red fox, the RED dog!",
    "a  b\tc\nd - e",
    "good dogs and bad foxes run over a lazy river ; they do not stop",
    "1996-08-30 (x) [y] it's",
]


@pytest.mark.torch
def test_entities_are_those_of_the_pipeline(empty_home: Path, tmp_path: Path) -> None:
    pipeline = pytest.importorskip("transformers", reason="needs the extra torch").pipeline
    facts: dict[str, Any] = {"id2label": TAGS, "label2id": {name: at for at, name in TAGS.items()}}
    model, tokenizer = save(KINS[0], "ForTokenClassification", tmp_path / "own", **facts)
    theirs = pipeline(
        "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="first", device="cpu"
    )
    ours = nlp.entity_recognizer(tmp_path / "own", scheme="IOB1")
    found = 0
    for text, wanted in zip(TEXTS, theirs(TEXTS)):
        got = [(entity.start, entity.end, entity.label) for entity in ours.predict([text])[0].entities]
        assert got == [(item["start"], item["end"], item["entity_group"]) for item in wanted], text
        found += len(got)
    assert found
