"""Figures of text classifiers: single and several labels, failures, slices, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics
from tiny_text_graphs import graph_bytes, table, text_folder

import nlp
from nlp.datasets import read_labelled_texts
from nlp.evaluate import evaluate_classification
from nlp.types import TextLabels
from shared.errors import DataError
from shared.evaluation.html import to_html

ROWS = table({"good": [4, 0, 0], "bad": [0, 4, 0], "film": [1, 0, 4], "fine": [2, 1, 0]}, 3)
LABELS = ["praise", "blame", "film"]


@pytest.fixture
def rows() -> list[tuple[str, str]]:
    rng = np.random.default_rng(0)
    words = ["good", "bad", "film", "fine", "the"]
    return [
        (" ".join(rng.choice(words, rng.integers(1, 20))), str(rng.choice(LABELS, p=[0.5, 0.3, 0.2])))
        for _ in range(80)
    ]


def written(path: Path, rows: list[tuple[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps({"text": text, "label": label}) for text, label in rows))
    return path


def test_figures_are_scikit_learns(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    folder = text_folder(tmp_path / "one", "text-classifier", graph_bytes(ROWS), labels=LABELS)
    result = evaluate_classification(written(tmp_path / "data.jsonl", rows), model=folder)
    answers = nlp.text_classifier(folder).predict([text for text, _ in rows])
    found = [answer for answer in answers if isinstance(answer, TextLabels)]
    truth, predicted = [label for _, label in rows], [answer.labels[0] for answer in found]
    scores = np.array([[dict(zip(a.labels, a.scores.tolist()))[label] for label in LABELS] for a in found])
    onehot = np.array([[label == name for name in LABELS] for label in truth])
    wanted = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "f1": metrics.f1_score(truth, predicted, average="macro"),
        "roc_auc": metrics.roc_auc_score(onehot, scores, average="macro"),
        "pr_auc": metrics.average_precision_score(onehot, scores, average="macro"),
    }
    for name, figure in wanted.items():
        metric = result.metrics[name]
        assert metric.value == pytest.approx(figure), name
        assert metric.low < metric.value < metric.high
    assert 0 < result.metrics["calibration_error"].value < 1
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, predicted, labels=LABELS)
    for at, label in enumerate(LABELS):
        figures = result.by_class[label]
        assert [figures[name].value for name in ("precision", "recall", "f1")] == pytest.approx(
            [precision[at], recall[at], f1[at]]
        )
    short = [t == p for (text, t), p in zip(rows, predicted) if len(text.split()) <= 8]
    assert result.by_class["1 to 8 words"]["accuracy"].value == pytest.approx(np.mean(short))
    assert set(result.by_class) == {*LABELS, "1 to 8 words", "9 to 16 words", "17 to 32 words"}
    page = to_html(result, worst=3)
    for part in ("By label", "By length", "Confusion", "How sure, and how often right", "Texts that went wrong"):
        assert part in page


def test_figures_of_several_labels_are_scikit_learns(tmp_path: Path) -> None:
    folder = text_folder(tmp_path / "many", "text-classifier", graph_bytes(ROWS - 1), labels=LABELS, multi_label=True)
    rng = np.random.default_rng(1)
    words = ["good", "bad", "film", "fine"]
    rows = [(" ".join(rng.choice(words, 3)), [name for name in LABELS if rng.random() < 0.4]) for _ in range(60)]
    result = evaluate_classification(
        written(tmp_path / "data.jsonl", [(t, list(names)) for t, names in rows]), model=folder
    )
    answers = nlp.text_classifier(folder).predict([t for t, _ in rows])
    found = [dict(zip(a.labels, a.scores.tolist())) for a in answers if isinstance(a, TextLabels)]
    scores = np.array([[each[name] for name in LABELS] for each in found])
    truth = np.array([[name in names for name in LABELS] for _, names in rows])
    wanted = {
        "accuracy": metrics.accuracy_score(truth, scores >= 0.5),
        "f1": metrics.f1_score(truth, scores >= 0.5, average="macro"),
        "f1_micro": metrics.f1_score(truth, scores >= 0.5, average="micro"),
        "roc_auc": metrics.roc_auc_score(truth, scores, average="macro"),
        "pr_auc": metrics.average_precision_score(truth, scores, average="macro"),
    }
    for name, figure in wanted.items():
        assert result.metrics[name].value == pytest.approx(figure), name
    assert "Texts that went wrong" in to_html(result, worst=3)


def test_failures_count_as_wrong_and_are_left_out_of_areas(tmp_path: Path) -> None:
    folder = text_folder(tmp_path / "one", "text-classifier", graph_bytes(ROWS), labels=LABELS)
    rows: list[tuple[str, object]] = [("good", "praise"), ("bad", "blame"), ("\x00", "praise"), ("film", "film")]
    result = evaluate_classification(written(tmp_path / "data.jsonl", rows), model=folder)
    assert (result.n, result.failed) == (4, 1)
    assert result.metrics["accuracy"].value == 0.75
    assert result.metrics["roc_auc"].value == 1.0
    assert result.by_class["praise"]["recall"].value == 0.5
    assert "Texts that could not be predicted" in to_html(result, worst=3)


def test_a_model_without_a_list_of_labels_answers_for_those_of_the_data(tmp_path: Path) -> None:
    rows: list[tuple[str, object]] = [
        ("The committee will meet again on Thursday afternoon.", "en"),
        ("Der Ausschuss tritt am Donnerstagnachmittag wieder zusammen.", "de"),
        ("La commission se réunira de nouveau jeudi après-midi.", "fr"),
        ("Où est la gare ?", "en"),
    ]
    result = evaluate_classification(written(tmp_path / "data.jsonl", rows), model="language-id")
    assert result.metrics["accuracy"].value == 0.75


@pytest.mark.parametrize(
    ("name", "content", "labels"),
    [
        ("a.jsonl", '{"text": "x", "label": ["b", "a"]}\n{"text": "y", "label": []}', ["a|b", ""]),
        ("a.csv", "text,label\nx,b|a|b\ny,\nz,c\n", ["a|b", "", "c"]),
    ],
)  # fmt: skip
def test_several_labels_are_read(name: str, content: str, labels: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    assert list(read_labelled_texts(tmp_path / name, several=True).labels) == labels
    with pytest.raises(DataError, match="a label must be a string or a whole number"):
        read_labelled_texts(tmp_path / name)
