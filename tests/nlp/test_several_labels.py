"""Texts that may have several labels or none: read, split, learnt without torch, judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from tiny_encoder import encoder_folder_path
from tiny_several import TOPICS, rows, written

import nlp
from nlp.classification.joined import read_joined, split
from nlp.classification.train import train
from nlp.classification.train_tfidf import TOLERANCE, find_terms, fit
from nlp.datasets import read_labelled_texts
from nlp.evaluate import evaluate_classification
from nlp.training.calibrate import fit_temperature
from nlp.training.folds import folds_of, one_against_rest
from nlp.training.thresholds import best_thresholds
from nlp.types import TextLabels
from shared.cli.main import triptych
from shared.errors import DataError, UsageError
from shared.types import Result
from shared.weights import read_model_folder, write_model_folder

LAYOUT: dict[str, Any] = {
    "format": None,
    "text_column": "text",
    "label_column": "label",
    "encoding": "utf-8",
    "label_map": None,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("several") / "topics.jsonl", rows(90))


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    train(data, data.parent / "counted", method="tfidf")
    return data.parent / "counted"


class TestReading:
    @pytest.mark.parametrize(
        ("name", "content", "separator"),
        [
            ("a.jsonl", '{"text": "x", "labels": ["b", "a", "b"]}\n{"text": "y", "labels": []}\n', None),
            ("a.jsonl", '{"text": "x", "label": ["b", "a"]}\n{"text": "y", "label": ""}\n', None),
            ("a.csv", "text,label\nx,b|a\ny,\n", "|"),
            ("a.tsv", "text\tlabel\nx\tb ; a;\ny\t\n", ";"),
        ],
    )
    def test_labels_of_a_text(self, name: str, content: str, separator: str | None, tmp_path: Path) -> None:
        (tmp_path / name).write_text(content)
        found = read_labelled_texts(tmp_path / name, several=None, label_separator=separator)
        assert found.sets == (("a", "b"), ())
        assert found.labels == ("a|b", "")

    def test_without_a_sign_of_several_each_text_has_one(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("text,label\nx,a;b\n")
        assert read_labelled_texts(tmp_path / "a.csv", several=None).sets is None

    def test_a_separator_is_a_character(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("text,label\nx,a b\n")
        with pytest.raises(UsageError, match="label_separator must be a character at least, no space. Got ' '"):
            read_labelled_texts(tmp_path / "a.csv", several=None, label_separator=" ")

    def test_files_of_two_kinds_are_not_joined(self, data: Path, tmp_path: Path) -> None:
        (tmp_path / "one.csv").write_text("text,label\nx,sport\ny,money\n")
        with pytest.raises(DataError, match="the data sets must be of one kind"):
            read_joined([data, tmp_path / "one.csv"], **LAYOUT)

    def test_codes_and_counts(self, data: Path) -> None:
        joined = read_joined([data], **LAYOUT)
        truth = np.array([[topic in names for topic in joined.labels] for _, names in rows(90)])
        np.testing.assert_array_equal(joined.codes, truth)
        assert joined.counts() == dict(zip(joined.labels, truth.sum(axis=0).tolist()))
        assert (joined.codes.sum(axis=1) == 0).any()
        assert len(joined.digest()) == 64

    def test_a_part_is_kept_of_every_label(self, data: Path) -> None:
        joined = read_joined([data], **LAYOUT)
        learnt, unseen = split(joined, 0.2, seed=0)
        assert len(learnt.texts) + len(unseen.texts) == 90
        assert not {*learnt.places} & {*unseen.places}
        assert learnt.codes.any(axis=0).all()
        assert unseen.codes.any(axis=0).all()


class TestThresholds:
    def test_each_is_where_f1_is_best(self) -> None:
        rng = np.random.default_rng(0)
        truth = rng.integers(0, 2, (60, 3))
        scores = np.clip(truth * 0.2 + rng.random((60, 3)) * 0.5, 0, 1)
        for at, threshold in enumerate(best_thresholds(scores, truth)):
            best = max(metrics.f1_score(truth[:, at], scores[:, at] >= low) for low in scores[:, at])
            assert metrics.f1_score(truth[:, at], scores[:, at] >= threshold) == pytest.approx(best)

    def test_the_middle_is_kept_where_nothing_beats_it(self) -> None:
        truth = np.array([[0, 0], [1, 0]])
        assert best_thresholds(np.array([[0.4, 0.9], [0.6, 0.8]]), truth) == [0.5, 0.5]

    def test_results_hold_what_reaches_them(self) -> None:
        given = TextLabels(("a", "b", "c"), np.float32([0.7, 0.4, 0.3]), True, np.float32([0.8, 0.35, 0.3]))
        assert given.held == ("b", "c")
        assert Result.from_json(given.to_json()) == given
        assert TextLabels(("a", "b"), np.float32([0.6, 0.4])).held == ("a",)

    def test_one_temperature_serves_all_labels(self) -> None:
        rng = np.random.default_rng(0)
        sure = rng.normal(size=(800, 3)) * 2
        truth = (rng.random(sure.shape) < 1 / (1 + np.exp(-sure))).astype(np.int64)
        assert fit_temperature((sure * 3).astype(np.float32), truth) == pytest.approx(3, rel=0.2)


class TestFolds:
    def test_every_text_is_held_out_once(self) -> None:
        strata = np.array([0] * 7 + [1] * 4 + [3])
        folds = folds_of(strata, 3, seed=1)
        assert sorted(at for _, unseen in folds for at in unseen.tolist()) == list(range(12))
        assert all(sorted([*seen, *unseen]) == list(range(12)) for seen, unseen in folds)
        assert all(0 in strata[unseen] and 1 in strata[unseen] for _, unseen in folds)

    def test_a_label_of_all_texts_or_none_gets_its_odds(self) -> None:
        def never(_: object) -> Any:
            raise AssertionError

        weights, bias = one_against_rest(np.array([[0, 1], [0, 1], [0, 1]]), 2, never)
        assert not weights.any()
        np.testing.assert_allclose(bias, [np.log(1 / 4), np.log(4)], rtol=1e-6)


class TestLearning:
    @pytest.mark.parametrize("estimator", ["logistic", "svm"])
    def test_counted_terms_learn_each_label(self, estimator: str, data: Path, tmp_path: Path) -> None:
        report = train(data, tmp_path / "counted", method="tfidf", estimator=estimator)
        assert report["labels"] == read_joined([data], **LAYOUT).counts()
        assert max(report["cross_validated_f1_micro"].values()) > 0.9
        options = read_model_folder(tmp_path / "counted").options
        assert options["multi_label"] is True
        assert len(options["thresholds"]) == len(TOPICS)
        fresh = rows(40, seed=1)
        found = nlp.text_classifier(tmp_path / "counted").predict([text for text, _ in fresh])
        right = [sorted(result.held) == names for result, (_, names) in zip(found, fresh)]
        assert np.mean(right) >= 0.9

    def test_a_linear_model_is_scikit_learns_one_against_the_rest(self) -> None:
        texts = [text for text, _ in rows(90)]
        truth = np.array([[int(topic in names) for topic in sorted(TOPICS)] for _, names in rows(90)])
        seen = find_terms(texts).reader()(texts)
        own = fit(seen, truth, "logistic", 2.0, balanced=False, seed=0).scores(seen)
        for at in range(len(TOPICS)):
            theirs = LogisticRegression(C=2.0, max_iter=1000, tol=TOLERANCE).fit(seen, truth[:, at])
            np.testing.assert_allclose(own[:, at], theirs.decision_function(seen), atol=1e-4)

    def test_a_head_over_an_encoder(self, tmp_path: Path) -> None:
        path = tmp_path / "moods.csv"
        path.write_text("text,label\n" + "good film,glad;film\nbad films,film;sad\nfine,glad\nawful,sad\nthe,\n" * 6)
        report = train(
            path, tmp_path / "head", method="linear-head", encoder=encoder_folder_path(), label_separator=";", c=16.0
        )
        assert report["cross_validated_f1_micro"] == {"c=16": 1.0}
        model = nlp.text_classifier(tmp_path / "head", threads=1)
        found = [sorted(result.held) for result in model.predict(["good films", "bad films", "awful", "the"])]
        assert found == [["film", "glad"], ["film", "sad"], ["sad"], []]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"method": "tfidf", "estimator": "trees"}, "trees take one label a text"),
            ({"method": "few-shot"}, "few-shot takes one label a text"),
        ],
    )
    def test_what_takes_one_label_says_so(
        self, options: dict[str, Any], message: str, data: Path, tmp_path: Path
    ) -> None:
        if options["method"] == "few-shot":
            pytest.importorskip("torch")
        with pytest.raises(UsageError, match=message):
            train(data, tmp_path / "out", **options)

    @pytest.mark.parametrize("thresholds", [[0.5], [0.5, 0.5, 2.0], "half", [0.5, 0.5, "x"]])
    def test_thresholds_that_are_none_are_said(self, thresholds: object, folder: Path, tmp_path: Path) -> None:
        card = read_model_folder(folder)
        content = {file.name: (folder / file.name).read_bytes() for file in card.files}
        spoilt = card.__class__(**{**vars(card), "options": {**card.options, "thresholds": thresholds}})
        write_model_folder(tmp_path, spoilt, content)
        with pytest.raises(DataError, match=r"options.thresholds must be 3 numbers in \[0, 1\]"):
            nlp.text_classifier(tmp_path)


class TestFigures:
    def test_they_are_those_of_the_thresholds(self, folder: Path, tmp_path: Path) -> None:
        fresh = rows(60, seed=2)
        result = evaluate_classification(written(tmp_path / "fresh.jsonl", fresh), model=folder)
        found = nlp.text_classifier(folder).predict([text for text, _ in fresh])
        labels = sorted(TOPICS)
        truth = np.array([[label in names for label in labels] for _, names in fresh])
        given = np.array([[label in answer.held for label in labels] for answer in found])
        scores = np.array([[dict(zip(a.labels, a.scores.tolist()))[label] for label in labels] for a in found])
        assert result.metrics["f1"].value == pytest.approx(metrics.f1_score(truth, given, average="macro"))
        assert result.metrics["f1_micro"].value == pytest.approx(metrics.f1_score(truth, given, average="micro"))
        for at, label in enumerate(labels):
            metric = result.by_class[label]["roc_auc"]
            assert metric.value == pytest.approx(metrics.roc_auc_score(truth[:, at], scores[:, at]))
            assert metric.low <= metric.value <= metric.high

    def test_the_command_trains_and_judges(self, tmp_path: Path) -> None:
        path = tmp_path / "topics.csv"
        lines = [f"{text},{'/'.join(names)}" for text, names in rows(60)]
        path.write_text("text,label\n" + "\n".join(lines) + "\n")
        given = ["--label-separator", "/"]
        out = str(tmp_path / "model")
        made = CliRunner().invoke(
            triptych, ["train", "nlp.classification", str(path), out, "--method", "tfidf", "--c", "2", *given]
        )
        assert made.exit_code == 0, made.output
        judged = CliRunner().invoke(
            triptych, ["evaluate", "nlp.classification", str(path), "--model", out, "--json", "--by-class", *given]
        )
        assert judged.exit_code == 0, judged.output
        told = json.loads(judged.stdout.splitlines()[-1])
        assert told["metrics"]["f1_micro"]["value"] > 0.9
        assert "roc_auc" in told["by_class"]["sport"]

    def test_a_separator_is_for_models_of_several_labels(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("text,label\na match,sport\n")
        with pytest.raises(UsageError, match="label_separator is for models of which several labels may hold"):
            evaluate_classification(tmp_path / "a.csv", model="language-id", label_separator="|")
