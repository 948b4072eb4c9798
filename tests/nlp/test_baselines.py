"""Counted terms under linear models and trees: learnt, saved without pickle, opened again, equal to scikit-learn."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

import nlp
from nlp.classification.tfidf import ESTIMATORS, Linear, Trees, open_tfidf, read_model
from nlp.classification.train import train
from nlp.classification.train_tfidf import ROUNDS, TOLERANCE, find_terms, fit
from shared.errors import DataError, UsageError
from shared.predictor import Predictor
from shared.testing.contracts import PredictorContract
from shared.weights import read_model_folder, resolve, write_model_folder

WORDS = {"sport": ("match", "goal", "team"), "money": ("bank", "shares", "profit"), "film": ("scene", "actor", "plot")}


def texts(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Texts with two words of their label among words of no label."""
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(count):
        label = list(WORDS)[at % 3]
        chosen = [*rng.choice(WORDS[label], 2), *rng.choice(["the", "a", "new", "said", "Monday"], 4)]
        rows.append((" ".join(rng.permutation(chosen)), label))
    return rows


@cache
def data() -> Path:
    path = Path(tempfile.mkdtemp(prefix="tiny-terms-")) / "topics.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in texts(60)))
    return path


@cache
def folder(model: str) -> Path:
    train(data(), data().parent / model, method="tfidf", estimator=model, c=2.0)
    return data().parent / model


@cache
def seen() -> Any:
    """The terms of the texts, a sparse matrix."""
    rows = [text for text, _ in texts(60)]
    return find_terms(rows).reader()(rows)


@pytest.mark.parametrize("model", ESTIMATORS)
def test_it_learns_what_words_tell(model: str) -> None:
    rows = texts(60, seed=1)
    found = nlp.text_classifier(folder(model)).predict([text for text, _ in rows])
    assert [result.labels[0] for result in found] == [label for _, label in rows]
    assert {file.name for file in read_model_folder(folder(model)).files} == {"terms.txt", "model.npz"}


@pytest.mark.parametrize("model", ESTIMATORS)
def test_the_same_data_gives_the_same_bytes(model: str, tmp_path: Path) -> None:
    train(data(), tmp_path / model, method="tfidf", estimator=model, c=2.0)
    for name in ("terms.txt", "model.npz", "card.toml"):
        assert (tmp_path / model / name).read_bytes() == (folder(model) / name).read_bytes()


class TestContract(PredictorContract):
    def build(self) -> Predictor[str, Any]:
        return nlp.text_classifier(folder("logistic"))

    def good(self) -> list[str]:
        return ["the match", "Bank profit!", "nothing known", "👩‍👩‍👧 goal"]

    def bad(self) -> object:
        return "\ud800 goal"


class TestNumbers:
    @pytest.mark.parametrize("labels", [2, 3])
    def test_a_linear_model_is_scikit_learns(self, labels: int) -> None:
        codes = np.arange(60) % labels
        own = fit(seen(), codes, "logistic", 2.0, balanced=False, seed=0)
        theirs = LogisticRegression(C=2.0, max_iter=1000, tol=TOLERANCE).fit(seen(), codes)
        scores = own.scores(seen())
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), theirs.predict_proba(seen()), atol=1e-5)

    @pytest.mark.parametrize("labels", [2, 3])
    def test_trees_are_scikit_learns(self, labels: int) -> None:
        codes = np.arange(60) % labels
        own = fit(seen(), codes, "trees", 1.0, balanced=False, seed=3)
        assert isinstance(own, Trees)
        theirs = GradientBoostingClassifier(
            n_estimators=ROUNDS, max_depth=4, learning_rate=0.2, subsample=0.8, max_features="sqrt", random_state=3
        ).fit(seen()[:, own.columns], codes)
        scores = own.scores(seen())
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        wanted = theirs.predict_proba(seen()[:, own.columns])
        np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), wanted, atol=1e-6)

    def test_a_group_of_terms_has_length_one(self) -> None:
        lengths = np.sqrt(seen().multiply(seen()).sum(axis=1))
        np.testing.assert_allclose(lengths, np.sqrt(2), rtol=1e-5)


class TestDamage:
    def test_numbers_that_do_not_fit_are_said(self, tmp_path: Path) -> None:
        opened = resolve(folder("logistic"), task="nlp.classification")
        content = {name: path.read_bytes() for name, path in opened.files.items()}
        content["terms.txt"] += b"0\tmore\n"
        write_model_folder(tmp_path, opened.card, content)
        with pytest.raises(DataError, match=r"model.npz must hold numbers for 3 labels and \d+ terms"):
            nlp.text_classifier(tmp_path)

    @pytest.mark.parametrize("content", [b"PK\x03\x04 no archive", b"\x93NUMPY"])
    def test_a_file_that_is_no_archive_is_said(self, content: bytes, tmp_path: Path) -> None:
        opened = resolve(folder("trees"), task="nlp.classification")
        terms = opened.files["terms.txt"].read_bytes()
        write_model_folder(tmp_path, opened.card, {"terms.txt": terms, "model.npz": content})
        with pytest.raises(DataError, match="its files must hold terms and weights"):
            nlp.text_classifier(tmp_path)

    def test_trees_that_would_run_in_circles_are_refused(self, tmp_path: Path) -> None:
        opened = resolve(folder("trees"), task="nlp.classification")
        with np.load(opened.files["model.npz"]) as arrays:
            values = {name: arrays[name].copy() for name in arrays.files}
        values["left"][values["left"] >= 0] = 0
        np.savez(tmp_path / "model.npz", **values)
        content = {name: path.read_bytes() for name, path in opened.files.items()}
        circles = tmp_path / "circles"
        write_model_folder(circles, opened.card, {**content, "model.npz": (tmp_path / "model.npz").read_bytes()})
        with pytest.raises(DataError, match="must hold numbers for 3 labels"):
            read_model(resolve(circles, task="nlp.classification"))

    def test_labels_that_are_none_are_said(self, tmp_path: Path) -> None:
        opened = resolve(folder("svm"), task="nlp.classification")
        content = {name: path.read_bytes() for name, path in opened.files.items()}
        write_model_folder(tmp_path, opened.card.__class__(**{**vars(opened.card), "options": {}}), content)
        with pytest.raises(DataError, match="options.labels must be two names at least. Got None"):
            open_tfidf(resolve(tmp_path, task="nlp.classification"))


def test_two_labels_and_no_choice_of_c(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text("text,label\n" + "good film,1\nbad film,0\n" * 3)
    report = train(path, tmp_path / "two", method="tfidf", c=1.0, label_map="0=sad,1=glad", class_weight="balanced")
    assert (report["labels"], report["c"]) == ({"sad": 3, "glad": 3}, 1.0)
    model = nlp.text_classifier(tmp_path / "two")
    assert [row.labels[0] for row in model.predict(["good", "a bad one"])] == ["glad", "sad"]
    terms, numbers = read_model(resolve(tmp_path / "two", task="nlp.classification"))
    assert isinstance(numbers, Linear)
    assert "good film" in terms.words[0]


@pytest.mark.parametrize(
    ("rows", "options", "error", "message"),
    [
        (
            "a,1\nb,0\na,1\nb,0\n",
            {"estimator": "forest"},
            UsageError,
            "estimator must be one of logistic, svm, trees. Got 'fo",
        ),
        ("a,1\nb,0\na,1\nb,0\n", {"method": "magic"}, UsageError, "method must be one of tfidf, linear-head, few-shot"),
        ("a,1\n ,0\na,1\nb,0\n", {}, DataError, r"t.csv, line 3: \[empty\] a text must have at least one word"),
        ("a,1|0\nb,0\n", {}, DataError, r"a label must not hold '\|' where a text has one. Line 2 has '1\|0'"),
        ("a,1\nb,0\nc,1\nd,0\n", {}, DataError, "the texts must share words"),
    ],
)
def test_what_cannot_be_learnt_is_said(
    rows: str, options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + rows)
    with pytest.raises(error, match=message):
        train(path, tmp_path / "out", **{"method": "tfidf", **options})


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(UsageError, match="OUT must be a new or empty folder. .* holds other files already"):
        train(data(), tmp_path, method="tfidf")
