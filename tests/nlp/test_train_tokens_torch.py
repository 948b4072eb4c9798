"""Taggers and readers trained on a tiny encoder, through the public ways in and out. Needs torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_base import base_folder, tensors
from tiny_encoder import WORDS, tokenizer_json
from tokenizers import Tokenizer, processors

import nlp
from nlp.ner.train import train as train_tagger
from nlp.qa.train import train as train_reader
from shared.errors import DataError, UsageError
from shared.weights import read_model_folder, resolve, write_model_folder

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
COMMON: dict[str, Any] = {"threads": 1, "batch_size": 4, "rank": 4, "dropout": 0.0}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("TRIPTYCH_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Capitalised words are names, of things when a film is near; the encoder itself sees no capitals."""
    rng = np.random.default_rng(0)
    lines = []
    for at in range(40):
        if at % 4 == 0:
            lines += ["-DOCSTART- O", ""]
        for word in rng.choice(["good", "Good", "bad", "Bad", "the", "film"], size=rng.integers(2, 7)):
            lines.append(f"{word} {'I-PER' if word[0].isupper() else 'O'}")
        lines.append("")
    path = tmp_path_factory.mktemp("tagged") / "train.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def pair_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base with a tokeniser that joins two texts, and windows of 128 tokens."""
    folder = tmp_path_factory.mktemp("pairs") / "base"
    opened = resolve(base_folder(), task="nlp.base")
    tokenizer = Tokenizer.from_str(tokenizer_json())
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))],
    )
    given = dict(tensors())
    places = given["embeddings.position_embeddings.weight"]
    given["embeddings.position_embeddings.weight"] = np.tile(places * np.float32(0.1), (6, 1))[:128]
    card = opened.card.__class__(**{**vars(opened.card), "options": {**opened.card.options, "positions": 128}})
    from safetensors.numpy import save

    write_model_folder(folder, card, {"model.safetensors": save(given), "tokenizer.json": tokenizer.to_str().encode()})
    return folder


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Asked for "good", the answer is "fine"; where that is missing there is none."""
    rng = np.random.default_rng(0)
    articles = []
    for at in range(24):
        words = rng.choice(["the", "film", ",", "bad"], size=5).tolist()
        if at % 3:
            words.insert(int(rng.integers(6)), "fine")
        context = " ".join(words)
        answers = [{"text": "fine", "answer_start": context.index("fine")}] if at % 3 else []
        asked = {"id": str(at), "question": "good ?", "answers": answers, "is_impossible": not answers}
        articles.append({"title": f"article {at}", "paragraphs": [{"context": context, "qas": [asked]}]})
    path = tmp_path_factory.mktemp("questions") / "train.json"
    path.write_text(json.dumps({"version": "v2.0", "data": articles}))
    return path


def test_a_tagger_sees_capitals_that_its_encoder_does_not(tagged: Path, tmp_path: Path) -> None:
    report = train_tagger(
        tagged, tmp_path / "names", base=base_folder(), epochs=40, learning_rate=0.02, max_tokens=24, **COMMON
    )
    assert report["figures"]["f1"]["value"] > 0.95
    card = read_model_folder(tmp_path / "names")
    assert card.family == "token-classifier"
    assert (card.options["scheme"], card.options["tags"][0]) == ("BIOES", "O")
    found = nlp.entity_recognizer(tmp_path / "names", threads=1).predict(["the Good film", "the good film"])
    assert [[(e.text, e.start, e.label) for e in row.entities] for row in found] == [[("Good", 4, "PER")], []]


def test_a_tagger_may_be_a_whole_graph(tagged: Path, tmp_path: Path) -> None:
    train_tagger(
        tagged,
        tmp_path / "names",
        method="full",
        base=base_folder(),
        validation=tagged,
        val_limit=2,
        epochs=1,
        threads=1,
    )
    assert {file.name for file in read_model_folder(tmp_path / "names").files} == {"model.onnx", "tokenizer.json"}


def test_a_reader_points_at_answers_and_refuses(questions: Path, pair_base: Path, tmp_path: Path) -> None:
    report = train_reader(
        questions,
        tmp_path / "reader",
        base=pair_base,
        validation=questions,
        epochs=30,
        learning_rate=0.03,
        parts=2,
        **COMMON,
    )
    assert report["figures"]["f1"]["value"] > 0.8
    assert report["figures"]["no_answer_auc"]["value"] > 0.8
    assert report["epochs"] == 30
    card = read_model_folder(tmp_path / "reader")
    assert card.family == "extractive-reader"
    assert card.options["types"]
    assert card.options["no_answer"]
    reader = nlp.question_answerer(tmp_path / "reader", threads=1)
    found, nothing = reader.predict([("good ?", "the film , fine bad film"), ("good ?", "the film , bad film")])
    assert (found.answers[0].text, found.answers[0].start) == ("fine", 11)
    assert found.no_answer < 0.5 < nothing.no_answer


def test_a_question_whose_answer_is_nowhere_is_left_out(questions: Path, pair_base: Path, tmp_path: Path) -> None:
    table = json.loads(questions.read_text())
    table["data"][1]["paragraphs"][0]["qas"][0]["answers"] = [{"text": "awful", "answer_start": 0}]
    path = tmp_path / "some.json"
    path.write_text(json.dumps(table))
    report = train_reader(path, tmp_path / "reader", base=pair_base, epochs=1, **COMMON)
    (row,) = report["skipped"]
    assert (row["input"], row["kind"]) == ("1", "no-answer")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_tokens": 64}, UsageError, "max_tokens must be at least 128 for questions. Got 64 instead"),
        ({"parts": 0}, UsageError, "parts must be at least 1. Got 0 instead"),
        ({"parts": 1000}, DataError, "training needs questions to learn from and to judge by"),
    ],
)
def test_what_cannot_be_read_is_said(
    options: dict[str, Any], error: type[Exception], message: str, questions: Path, pair_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        train_reader(questions, tmp_path / "reader", **{"base": pair_base, **COMMON, **options})


def test_tags_without_an_entity_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.txt"
    path.write_text("-DOCSTART- O\n\ngood O\n\n-DOCSTART- O\n\nbad O\n")
    with pytest.raises(DataError, match="training must have entities"):
        train_tagger(path, tmp_path / "names", base=base_folder(), **COMMON)
    path.write_text("good B-PER\n")
    with pytest.raises(DataError, match="needs two documents at least. Got 1: mark where documents begin"):
        train_tagger(path, tmp_path / "more", base=base_folder(), **COMMON)
