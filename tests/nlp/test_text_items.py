"""What each text says of an evaluation: the contract for every task of text, and attributes by hand."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_qa
import tiny_translator
from tiny_tagger import tagger_folder
from tiny_text_graphs import graph_bytes, table, text_folder

from nlp.evaluate import evaluate_classification
from nlp.judged import classification_items, text_attributes
from nlp.label_figures import areas_of_labels, f1_of_labels
from nlp.ner.evaluate import evaluate_ner
from nlp.ner.judged import macro_f1_of_totals, text_f1
from nlp.qa.evaluate import evaluate_qa
from nlp.translation.evaluate import evaluate_translation
from nlp.types import TextLabels
from shared.evaluation.item_figures import calibration_total
from shared.evaluation.items import Mean, Pooled
from shared.evaluation.report import Evaluation
from shared.evaluation.spans import macro_f1, span_counts
from shared.testing.evaluations import EvaluationContract, figure_value, items_of
from shared.types import Failure, Int64

LABELS = ["praise", "blame", "film"]
ROWS = table({"good": [4, 0, 0], "bad": [0, 4, 0], "film": [1, 0, 4], "fine": [2, 1, 0]}, 3)


def lines_of(rows: list[str], order: Int64 | None, suffix: str) -> Path:
    """A file of these lines, in some order."""
    path = Path(tempfile.mkdtemp(prefix="items-")) / f"data{suffix}"
    path.write_text("\n".join(rows if order is None else [rows[at] for at in order.tolist()]) + "\n", "utf-8")
    return path


@cache
def classifier(several: bool, model: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="items-")) / f"model{model}"
    weights = ROWS[:, ::-1].copy() if model else ROWS
    graph = graph_bytes(weights - 1 if several else weights)
    return text_folder(folder, "text-classifier", graph, labels=LABELS, multi_label=several)


def labelled(several: bool) -> list[str]:
    rng = np.random.default_rng(2)
    words = ["good", "bad", "film", "fine", "the"]
    rows: list[str] = []
    for at in range(30):
        text = " ".join(rng.choice(words, rng.integers(1, 12))) if at != 7 else "\x00"
        names = [name for name in LABELS if rng.random() < 0.4]
        rows.append(json.dumps({"text": text, "label": names if several else str(rng.choice(LABELS))}))
    return rows


class TestOneLabel(EvaluationContract):
    n = 30

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        return evaluate_classification(lines_of(labelled(False), order, ".jsonl"), model=classifier(False, model))

    def test_chances_are_of_the_truth_and_of_all_labels(self, evaluation: Evaluation) -> None:
        items = items_of(evaluation)
        assert items.chances is not None
        assert items.chances.classes == tuple(LABELS)
        np.testing.assert_array_equal(np.array(LABELS)[items.chances.truth], items.attributes["label"])
        assert np.isnan(items.chances.probabilities[7]).all()
        answered = np.delete(items.chances.probabilities, 7, axis=0)
        np.testing.assert_allclose(answered.sum(axis=1), 1, rtol=1e-5)
        best = np.delete(items.chances.probabilities.argmax(axis=1) == items.chances.truth, 7)
        np.testing.assert_array_equal(np.delete(items.right(), 7), best)


class TestSeveralLabels(EvaluationContract):
    n = 30

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        return evaluate_classification(lines_of(labelled(True), order, ".jsonl"), model=classifier(True, model))

    def test_several_labels_have_no_chances(self, evaluation: Evaluation) -> None:
        items = items_of(evaluation)
        assert items.chances is None
        assert items.attributes["labels"].max() > 1


SENTENCES = ["Ada B-PER\nLovelace I-PER\n", "visited O\nParis B-LOC\n", ". O\n", "in O\nLondon B-LOC\n", "Ada B-LOC\n"]


class TestEntities(EvaluationContract):
    n = 5

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        tags = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER") if model else ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
        return evaluate_ner(lines_of(SENTENCES, order, ".conll"), model=tagger_folder(tags=tags), context="sentence")


CONTEXTS = ["The Eiger is 3967 metres high.", "Bob built a bridge.", " ", "Bern is old.", "1858 was the first climbed."]


class TestQuestions(EvaluationContract):
    n = 5

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        answers: list[list[str]] = [["3967"], [], ["x"], ["Bern"], []]
        rows = [
            json.dumps({"id": str(at), "question": "How high?", "context": c, "answers": a, "article": "ab"[at % 2]})
            for at, (c, a) in enumerate(zip(CONTEXTS, answers))
        ]
        reader = tiny_qa.reader_folder(max_answer_tokens=2 + model)
        return evaluate_qa(lines_of(rows, order, ".jsonl"), model=reader)

    def test_questions_of_an_article_are_drawn_together(self, evaluation: Evaluation) -> None:
        items = items_of(evaluation)
        assert items.groups is not None
        assert items.groups.tolist() == ["a", "b", "a", "b", "a"]
        answerable = items.figures["answerable_f1"]
        assert isinstance(answerable, Mean)
        np.testing.assert_array_equal(np.isnan(answerable.values), ~items.attributes["answerable"])


PAIRS = ["the cat sleeps.\tdie Katze schläft.", "Hello world!\tHallo ihr!", "the dog\tder Hund", "Why?\tWarum 7?"]


class TestTranslations(EvaluationContract):
    n = 4

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        folder = _other_translator() if model else tiny_translator.english_german()
        return evaluate_translation(lines_of(PAIRS, order, ".tsv"), model=folder, source="en", target="de")


@cache
def _other_translator() -> Path:
    return tiny_translator.translator_folder({**tiny_translator.TO_GERMAN, "cat": "Hund"})


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("", "script", "none"),
        ("123 !?", "script", "none"),
        ("Привет, world", "script", "cyrillic"),
        ("日本語", "script", "cjk"),
        ("see http://a.org", "URL", True),
        ("see WWW.A.ORG", "URL", True),
        ("see a.org", "URL", False),
        ("AbC d1", "upper case", 0.5),
        ("AbC d1", "digits", 1 / 6),
        ("", "upper case", 0.0),
        ("", "digits", 0.0),
        ("  two  words ", "words", 2),
        ("añ", "characters", 2),
    ],
)
def test_what_a_text_shows_of_itself(text: str, name: str, value: Any) -> None:
    assert text_attributes([text])[name].item() == (pytest.approx(value) if isinstance(value, float) else value)


def test_the_items_of_a_model_with_other_words_are_called_as_the_data_calls_them() -> None:
    found = [TextLabels(("up", "down"), np.float32([0.75, 0.25])), TextLabels(("down", "up"), np.float32([0.5, 0.5]))]
    results: list[TextLabels | Failure] = [*found, Failure(2, "empty", "nothing")]
    items = classification_items(
        ["a", "b", "c"],
        [1, 2, 4],
        [("1",), ("1",), ("0",)],
        results,
        known=["down", "up"],
        words={"0": "down", "1": "up"},
        names={"accuracy", "f1"},
    )
    assert items.ids == ("line 1", "line 2", "line 4")
    assert items.attributes["label"].tolist() == ["1", "1", "0"]
    assert items.right().tolist() == [1, 0, 0]
    f1 = items.figures["f1"]
    assert isinstance(f1, Pooled)
    assert list(f1.records) == [(("1",), ("1",)), (("1",), ("0",)), (("0",), ())]
    assert figure_value(f1) == pytest.approx((2 / 3 + 0) / 2)
    assert items.chances is not None
    assert items.chances.classes == ("0", "1")
    assert items.chances.truth.tolist() == [1, 1, 0]


def test_figures_of_no_labels_are_no_numbers() -> None:
    assert np.isnan(figure_value(f1_of_labels([((), ())])))
    one, failed = np.array([[True]]), np.array([True])
    assert np.isnan(figure_value(areas_of_labels(one, np.array([[0.5]]), ~failed)["roc_auc"]))
    assert np.isnan(figure_value(calibration_total(one, np.array([[np.nan]]))))


@pytest.mark.parametrize("name", ["f1", "roc_auc", "pr_auc"])
def test_many_resamples_in_one_call_are_those_of_one_each(name: str) -> None:
    rng = np.random.default_rng(0)
    truth, given = rng.random((20, 3)) < 0.4, rng.random((20, 3)) < 0.4
    pairs = [(_names(true), _names(other)) for true, other in zip(truth, given)]
    figures = areas_of_labels(truth, rng.integers(0, 5, (20, 3)) / 4, np.arange(20) == 3)
    figure = {"f1": f1_of_labels(pairs), **figures}[name]
    weights = rng.integers(0, 3, (30, 20)).astype(float)
    weights[0] = 0
    weights[0, :2] = 1
    assert figure.weighed is not None
    at_once = figure.weighed(figure.records, weights)
    for row, value in zip(weights.astype(int), at_once.tolist()):
        one = figure.figure([record for record, count in zip(figure.records, row) for _ in range(count)])
        assert one == pytest.approx(value, nan_ok=True)


def _names(held: Any) -> tuple[str, ...]:
    return tuple(name for name, there in zip("abc", held) if there)


def test_a_texts_own_f1() -> None:
    truth = [[(0, 1, "A"), (2, 3, "A")], [], [], []]
    given = [[(0, 1, "A")], [], [(0, 1, "A")], []]
    failed = np.array([False, False, False, True])
    assert text_f1(span_counts(truth, given), failed).tolist() == pytest.approx([2 / 3, 1, 0, 0])


def test_macro_f1_of_totals_is_the_function_of_counts() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, (50, 3, 4)).astype(float)
    wanted = [macro_f1(np.minimum(one[0], one[1]), one[1], one[2]) for one in counts]
    counts[:, 0] = np.minimum(counts[:, 0], counts[:, 1])
    assert macro_f1_of_totals(counts.reshape(50, 12)).tolist() == pytest.approx(wanted)


def test_documents_group_their_sentences(tmp_path: Path) -> None:
    path = tmp_path / "two.conll"
    path.write_text("-DOCSTART- O\n\nAda B-PER\n\n. O\n\n-DOCSTART- O\n\nParis B-LOC\n", "utf-8")
    items = items_of(evaluate_ner(path, model=tagger_folder(), context="sentence"))
    assert items.groups is not None
    assert items.groups.tolist() == [0, 0, 1]
    assert items.attributes["casing of entities"].tolist() == ["capital", "none", "capital"]
    assert items.attributes["has PER"].tolist() == [True, False, False]
    assert items_of(evaluate_ner(path, model=tagger_folder())).groups is None
