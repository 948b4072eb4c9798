"""The adapters that ship: each opens without torch, from its own bytes and its base, and answers what it was taught."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nlp

pytestmark = pytest.mark.weights


def test_what_questions_ask_for() -> None:
    asked = [
        "Who wrote Faust ?",
        "Where is the Eiffel tower ?",
        "How many legs has a spider ?",
        "What does NATO mean ?",
    ]
    found = nlp.text_classifier("trec-minilm-lora", threads=2).predict(asked)
    assert [result.labels[0] for result in found] == ["human", "location", "number", "description"]


def test_names_and_their_offsets() -> None:
    text = "Angela Merkel met Siemens managers in Munich. Tell us about the US."
    (found,) = nlp.entity_recognizer("conll2003-minilm-lora", threads=2).predict([text])
    assert [(entity.text, entity.label) for entity in found.entities] == [
        ("Angela Merkel", "PER"),
        ("Siemens", "ORG"),
        ("Munich", "LOC"),
        ("US", "LOC"),
    ]
    assert all(text[entity.start : entity.end] == entity.text for entity in found.entities)


def test_no_torch_is_loaded() -> None:
    code = (
        "import sys, nlp; nlp.text_classifier('trec-minilm-lora').predict(['Who ?']); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
