"""Classifiers that are one graph: single and several labels, long texts, labels of one's own by entailment."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_text_graphs import graph_bytes, table, text_folder

import nlp
from nlp.classification.decode import labelled, probabilities
from nlp.types import TextLabels
from shared.errors import DataError, UnknownNameError, UsageError
from shared.predictor import Predictor
from shared.testing.contracts import PredictorContract
from shared.types import Failure, Result

ROWS = table({"good": [4, 0, 0], "bad": [0, 4, 0], "film": [0, 0, 4]}, 3)
LABELS = ["praise", "blame", "film"]
ENTAILS = table({"good": [0, 0, 3], "fine": [0, 0, 1], "bad": [3, 0, 0]}, 3)
HOSTILE = [
    "", " \n\t ", "\x00", "good\x00good", "\ud800", "good \udcff", "\u064b\u064c\u064d", "\u202egood\u202c",
    "\U0001f469\u200d\U0001f467\U0001f1f5", "\u0645\u0631\u062d\u0628\u0627 good", "e\u0301\u0327" * 50, "\ufeffgood",
    "good\u200bgood", "G\u0300O\u0301OD", "good" * 5000, "good " * 3000, "\ufffd\ufffe\uffff good",
]  # fmt: skip


@pytest.fixture
def mood(tmp_path: Path, empty_home: Path) -> Path:
    return text_folder(tmp_path / "mood", "text-classifier", graph_bytes(ROWS), labels=LABELS)


@pytest.fixture
def entailment(tmp_path: Path, empty_home: Path) -> Path:
    options = {"max_tokens": 24, "entailment": 2, "contradiction": 0, "template": "the {}"}
    return text_folder(tmp_path / "entailment", "nli", graph_bytes(ENTAILS), **options)


def first(model: Predictor[str, TextLabels], text: str) -> TextLabels:
    (result,) = model.predict([text])
    assert isinstance(result, TextLabels)
    return result


def scores(result: TextLabels) -> dict[str, float]:
    return dict(zip(result.labels, result.scores.tolist()))


def test_one_label_holds(mood: Path) -> None:
    result = first(nlp.text_classifier(mood), "good film")
    powers = np.exp([1.0, 0.0, 1.0])  # the mean over [CLS] good film [SEP]
    wanted = dict(zip(LABELS, powers / powers.sum()))
    assert scores(result) == pytest.approx(wanted, abs=1e-6)
    assert result.labels[0] == "praise"
    assert not result.multi_label


def test_several_labels_may_hold(tmp_path: Path) -> None:
    folder = text_folder(tmp_path / "m", "text-classifier", graph_bytes(ROWS - 0.5), labels=LABELS, multi_label=True)
    result = first(nlp.text_classifier(folder), "good film")
    wanted = {"praise": 1 / (1 + np.exp(-0.5)), "film": 1 / (1 + np.exp(-0.5)), "blame": 1 / (1 + np.exp(0.5))}
    assert scores(result) == pytest.approx(wanted, abs=1e-6)
    assert result.multi_label
    assert Result.from_json(result.to_json()) == result


def test_temperature_makes_less_sure_and_changes_no_order(tmp_path: Path, mood: Path) -> None:
    folder = text_folder(tmp_path / "cool", "text-classifier", graph_bytes(ROWS), labels=LABELS, temperature=4.0)
    sure, cool = (first(nlp.text_classifier(name), "good good film") for name in (mood, folder))
    assert sure.labels == cool.labels
    logits = np.log(sure.scores.astype(float))
    powers = np.exp((logits - logits.max()) / 4)
    np.testing.assert_allclose(cool.scores, powers / powers.sum(), atol=1e-6)


def test_a_long_text_is_read_whole_and_joined_as_stated(mood: Path, tmp_path: Path) -> None:
    text = "good " * 6 + "bad " * 4  # windows of six words that overlap by two: 0..6 and 4..10
    shares = {"good": 0.6 * 6 / 8 + 0.4 * 2 / 8, "bad": 0.4 * 4 / 8}
    powers = np.exp([4 * shares["good"], 4 * shares["bad"], 0])
    wanted = dict(zip(LABELS, powers / powers.sum()))
    assert scores(first(nlp.text_classifier(mood), text)) == pytest.approx(wanted, abs=1e-6)
    powers = np.exp([4 * 6 / 8, 4 * 4 / 8, 0])
    wanted = dict(zip(LABELS, powers / powers.sum()))
    assert scores(first(nlp.text_classifier(mood, joined="max"), text)) == pytest.approx(wanted, abs=1e-6)
    folder = text_folder(tmp_path / "own", "text-classifier", graph_bytes(ROWS), labels=LABELS, joined="max")
    assert scores(first(nlp.text_classifier(folder), text)) == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(UnknownNameError, match="no way to join windows is called 'mean'. Nearest: max"):
        nlp.text_classifier(mood, joined="mean")


def test_labels_by_entailment(entailment: Path) -> None:
    model = nlp.text_classifier(entailment, labels=["good", "bad"])
    result = first(model, "film")
    entailed = {"good": 3 / 6, "bad": 0.0}  # [CLS] film [SEP] the good [SEP]: a mean over six tokens
    powers = np.exp(list(entailed.values()))
    assert scores(result) == pytest.approx(dict(zip(entailed, powers / powers.sum())), abs=1e-6)
    assert result.labels == ("good", "bad")
    judged = first(nlp.text_classifier(entailment, labels=["good", "bad"], multi_label=True), "film")
    assert judged.multi_label
    wanted = {"good": 1 / (1 + np.exp(-0.5)), "bad": 1 / (1 + np.exp(0.5))}
    assert scores(judged) == pytest.approx(wanted, abs=1e-6)


def test_without_contradiction_all_else_stands_against(tmp_path: Path) -> None:
    folder = text_folder(tmp_path / "e", "nli", graph_bytes(ENTAILS), max_tokens=24, entailment=2, template="the {}")
    judged = first(nlp.text_classifier(folder, labels=["good", "fine"], multi_label=True), "film")
    assert scores(judged)["good"] == pytest.approx(1 / (1 + 2 * np.exp(-0.5)), abs=1e-6)


def test_a_long_premise_meets_every_hypothesis(entailment: Path) -> None:
    texts = ["film", "film " * 200 + "good " * 200]
    results = nlp.text_classifier(entailment, labels=["good", "bad", "film"]).predict(texts)
    alone = [nlp.text_classifier(entailment, labels=["good", "bad", "film"]).predict([text])[0] for text in texts]
    assert results == alone


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, UsageError, "model 'entailment' needs labels to choose from"),
        ({"labels": ["a", "\x00"], "template": "{}"}, UsageError, "label '\\\\x00' cannot be used"),
        ({"labels": ["a", "good " * 30]}, UsageError, "must leave room for 16 tokens of the text in a window of 24"),
        ({"labels": ["a", "b"], "template": "x"}, UsageError, "must hold {} once"),
    ],
)
def test_labels_by_entailment_must_be_usable(
    options: dict[str, Any], error: type[Exception], message: str, entailment: Path
) -> None:
    with pytest.raises(error, match=message):
        nlp.text_classifier(entailment, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"labels": ["a", "b"]},
            "are for zero-shot models.*'mood' was trained for its own labels: praise, blame, film",
        ),
        ({"multi_label": True}, "labels, template and multi_label are for zero-shot models"),
    ],
)
def test_a_trained_model_has_its_own_labels(options: dict[str, Any], message: str, mood: Path) -> None:
    with pytest.raises(UsageError, match=message):
        nlp.text_classifier(mood, **options)


def test_joined_is_for_graphs() -> None:
    with pytest.raises(UsageError, match="joined is for models of the families 'text-classifier' and 'nli'"):
        nlp.text_classifier("language-id", joined="max")


def test_cards_that_do_not_fit_their_graph_are_refused(tmp_path: Path, empty_home: Path) -> None:
    graph = graph_bytes(ROWS)
    with pytest.raises(DataError, match=r"must answer logits of shape \(1, 2\), one for each of its labels"):
        nlp.text_classifier(text_folder(tmp_path / "a", "text-classifier", graph, labels=["x", "y"]))
    with pytest.raises(DataError, match="options.labels must be a list of names"):
        nlp.text_classifier(text_folder(tmp_path / "b", "text-classifier", graph))
    with pytest.raises(DataError, match="options.temperature must be above 0. Got 0"):
        nlp.text_classifier(text_folder(tmp_path / "c", "text-classifier", graph, labels=LABELS, temperature=0))
    with pytest.raises(DataError, match=r"say at which of the n stand entailment and contradiction.*says \[7\]"):
        nlp.text_classifier(text_folder(tmp_path / "d", "nli", graph, entailment=7), labels=["a", "b"])
    with pytest.raises(UnknownNameError, match="no family of nlp.classification is called 'oracle'"):
        nlp.text_classifier(text_folder(tmp_path / "e", "oracle", graph))


def test_probabilities_of_huge_logits_are_numbers() -> None:
    huge = np.float32([1e30, -1e30, 0])
    np.testing.assert_array_equal(probabilities(huge), [1, 0, 0])
    np.testing.assert_array_equal(probabilities(huge, multi_label=True), [1, 0, 0.5])
    assert labelled(np.float32([0, 0, 0]), ["a", "b", "c"]).labels == ("a", "b", "c")


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_text_is_a_result_or_a_named_failure(text: str, mood: Path) -> None:
    (result,) = nlp.text_classifier(mood).predict([text], on_error="keep")
    if isinstance(result, Failure):
        assert result.kind in ("empty", "corrupt")
    else:
        assert scores(result).keys() == set(LABELS)


def test_ten_megabytes_in_one_line_are_classified(mood: Path) -> None:
    long = nlp.text_classifier(text_folder(mood.parent / "long", "text-classifier", graph_bytes(ROWS),
                                           labels=LABELS, max_tokens=4096, token_budget=8192))  # fmt: skip
    text = ("x" * 96 + " bad ") * 100_000 + "good"
    assert len(text) > 10_000_000
    assert first(long, text).labels[0] == "blame"


@cache
def tiny(family: str) -> Path:
    """A model folder that outlives a test, for contracts that open their model once."""
    folder = Path(tempfile.mkdtemp(prefix="tiny-text-")) / family
    if family == "nli":
        return text_folder(folder, family, graph_bytes(ENTAILS), max_tokens=24, entailment=2, template="the {}")
    return text_folder(folder, family, graph_bytes(ROWS), labels=LABELS)


class TestGraphClassifier(PredictorContract):
    def build(self) -> Predictor[str, Any]:
        return nlp.text_classifier(tiny("text-classifier"))

    def good(self) -> list[str]:
        return ["good", "bad film", "good " * 40, "the"]

    def bad(self) -> object:
        return b"bytes"


class TestByEntailment(PredictorContract):
    def build(self) -> Predictor[str, Any]:
        return nlp.text_classifier(tiny("nli"), labels=["good", "bad", "film"])

    def good(self) -> list[str]:
        return ["good", "bad film", "good " * 40, "the"]

    def bad(self) -> object:
        return "\ud800"


class TestLanguages(PredictorContract):
    def build(self) -> Predictor[str, Any]:
        return nlp.text_classifier("language-id")

    def good(self) -> list[str]:
        return ["Where is the station?", "Wo ist der Bahnhof?", "駅はどこですか"]

    def bad(self) -> object:
        return "12 + 30"
