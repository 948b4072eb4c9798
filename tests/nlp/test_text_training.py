"""From labelled texts to a head in a folder and back, over the tiny encoder, through the public ways in."""

from __future__ import annotations

import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression
from tiny_encoder import encoder_folder_path

import nlp
from nlp.classification.train import train
from nlp.datasets import read_labelled_texts
from nlp.encoder import open_encoder
from nlp.evaluate import evaluate_classification
from shared.cli.main import triptych
from shared.errors import DataError, UnknownNameError, UsageError
from shared.predictor import Predictor
from shared.testing import fake_card
from shared.testing.contracts import PredictorContract
from shared.weights import read_model_folder, write_model_folder

GOOD = ("good film", "the fine film", "fine , good films", "good")
BAD = ("bad film", "the awful film", "awful , bad", "bad")


def write_rows(path: Path, times: int = 3) -> Path:
    """A data set: 1 is good, 0 is bad."""
    pairs = [
        (text + " film" * n, label) for n in range(times) for label, texts in ((1, GOOD), (0, BAD)) for text in texts
    ]
    path.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in pairs))
    return path


@cache
def head_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tiny-head-"))
    train(write_rows(folder / "mood.csv"), folder / "mood", encoder=encoder_folder_path(), label_map="0=sad,1=glad")
    return folder / "mood"


class TestTinyHead(PredictorContract):
    def build(self) -> Predictor[str, Any]:
        return nlp.text_classifier(head_folder(), threads=2)

    def good(self) -> list[str]:
        return ["good", "a bad film", "the awful films , " * 12]

    def bad(self) -> object:
        return b"good"


def test_a_trained_head_knows_good_from_bad() -> None:
    got = nlp.text_classifier(head_folder()).predict(["a fine film", "an awful film"])
    assert [r.labels for r in got] == [("glad", "sad"), ("sad", "glad")]
    assert all(r.scores.sum() == pytest.approx(1) for r in got)


def test_the_folder_says_what_it_is() -> None:
    card = read_model_folder(head_folder())
    assert (card.name, card.task, card.family) == ("mood", "nlp.classification", "linear-head")
    assert card.options["labels"] == ["sad", "glad"]
    assert card.options["label_map"] == {"0": "sad", "1": "glad"}
    assert card.options["poolings"] == ["mean", "cls", "max", "min"]
    assert card.options["encoder_sha256"] == read_model_folder(encoder_folder_path()).file("model.onnx").sha256


@pytest.mark.parametrize("weighting", ["none", "balanced"])
@pytest.mark.parametrize("more", ["", '"the , the",2\n"the the",2\n"zebra the",2\n'])
def test_the_probabilities_are_scikit_learns(tmp_path: Path, weighting: str, more: str) -> None:
    path = write_rows(tmp_path / "a.csv")
    path.write_text(path.read_text() + more)
    train(
        path, tmp_path / "head", encoder=encoder_folder_path(), c=2.0, pooling=("mean", "max"), class_weight=weighting
    )
    data, encoder = read_labelled_texts(path), open_encoder(encoder_folder_path())
    vectors = encoder.vectors([encoder.ids(text) for text in data.texts], poolings=("mean", "max"))
    reference = LogisticRegression(C=2.0, class_weight="balanced" if weighting == "balanced" else None)
    wanted = reference.fit(vectors, data.labels).predict_proba(vectors)
    for result, row in zip(nlp.text_classifier(tmp_path / "head").predict(data.texts), wanted):
        scores = dict(zip(result.labels, result.scores))
        np.testing.assert_allclose([scores[label] for label in reference.classes_], row, atol=1e-4)


def test_the_same_training_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.csv")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        train(path, tmp_path / name / "head", encoder=encoder_folder_path())
    for name in ("card.toml", "head.npz"):
        assert (tmp_path / "one/head" / name).read_bytes() == (tmp_path / "two/head" / name).read_bytes()


def test_further_data_is_joined_and_the_report_tells_all(tmp_path: Path) -> None:
    first, second = write_rows(tmp_path / "a.csv", 1), write_rows(tmp_path / "b.csv", 2)
    report = train(first, tmp_path / "My head!", encoder=encoder_folder_path(), also=[second])
    assert report["model"] == "My-head-"
    assert report["texts"] == 24
    assert report["labels"] == {"0": 12, "1": 12}
    assert report["folds"] == 5
    assert set(report["cross_validated_accuracy"]) == {"c=0.25", "c=1", "c=4", "c=16"}
    assert max(report["cross_validated_accuracy"].values()) == 1.0
    assert json.loads(json.dumps(report)) == report


@pytest.mark.parametrize(
    ("content", "options", "error", "message"),
    [
        ("text,label\ngood,1\nbad,0\ngood,1\n \t,0\n", {}, DataError, r"a.csv, line 5: \[empty\] a text must have"),
        ("text,label\ngood,1\nfine,1\n", {}, DataError, "two labels at least.*{'1': 2}"),
        ("text,label\ngood,1\nfine,1\nbad,0\n", {}, DataError, "two texts of each. Got {'0': 1}"),
        ("text,label\ngood,1\n", {"label_map": "0=a"}, DataError, "must name every label of the data. .* name 1"),
        ("text,label\ngood,1\n", {"class_weight": "even"}, UsageError, "must be one of none, balanced. Got 'even'"),
        ("text,label\ngood,1\n", {"c": 0.0}, UsageError, "c must be above 0. Got 0.0"),
        ("text,label\ngood,1\n", {"pooling": ("avg",)}, UnknownNameError, "no pooling is called 'avg'"),
        ("text,label\ngood,1\n", {"also": ["missing.csv"]}, UsageError, "Nothing stands at missing.csv"),
    ],
)
def test_what_cannot_be_trained_says_so(
    tmp_path: Path, content: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(error, match=message):
        train(path, tmp_path / "head", encoder=encoder_folder_path(), **options)
    assert not (tmp_path / "head").exists()


def test_a_head_over_another_encoder_is_refused(tmp_path: Path) -> None:
    shutil.copytree(head_folder(), tmp_path / "head")
    card = tmp_path / "head/card.toml"
    real = read_model_folder(encoder_folder_path()).file("model.onnx").sha256
    assert real is not None
    card.write_text(card.read_text().replace(real, "0" * 64))
    with pytest.raises(DataError, match=f"over an encoder with sha256 {'0' * 64}. 'tiny' has {real}: train"):
        nlp.text_classifier(tmp_path / "head")


def test_a_head_that_does_not_fit_its_card_is_refused(tmp_path: Path) -> None:
    good = read_model_folder(head_folder())
    facts = {key: getattr(good, key) for key in ("name", "task", "family", "backend")}
    head = (head_folder() / "head.npz").read_bytes()
    for name, changes, content, message in (
        ("a", {"labels": ["x", "y", "z"]}, head, r"weights of shape \(3, 16\) and a bias. Got float32 \(2, 16\)"),
        ("b", {"labels": "xy"}, head, "options.labels must be a list of names. Got 'xy'"),
        ("c", {"poolings": ["mean", "avg"]}, head, "no pooling is called 'avg'"),
        ("d", {}, b"PK not a zip", "must be a text head"),
        ("e", {}, b"\x80\x04N.", "must be a text head"),
    ):
        write_model_folder(
            tmp_path / name, fake_card(**facts, options={**good.options, **changes}), {"head.npz": content}
        )
        with pytest.raises(DataError, match=message):
            nlp.text_classifier(tmp_path / name)


def test_evaluate_counts_what_failed_as_wrong(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text("text,label\ngood,1\nbad,0\nawful film,0\n ,1\n")
    result = evaluate_classification(path, model=head_folder())
    assert (result.n, result.failed) == (4, 1)
    assert result.metrics["accuracy"].value == 0.75
    assert result.metrics["f1"].value == pytest.approx((1 + 2 / 3) / 2)
    assert result.metrics["accuracy"].low < 0.75 < result.metrics["accuracy"].high
    assert result.notes["labels"] == "as in the model's training data: 0=sad, 1=glad"
    limited = evaluate_classification(path, model=head_folder(), limit=2, label_map="0=glad,1=sad")
    assert (limited.n, limited.metrics["accuracy"].value) == (2, 0.0)
    with pytest.raises(UsageError, match="limit must be at least 1. Got 0"):
        evaluate_classification(path, model=head_folder(), limit=0)


def test_labels_are_not_for_a_trained_head() -> None:
    with pytest.raises(UsageError, match="are for zero-shot models.*'mood' was trained for its own labels: sad, glad"):
        nlp.text_classifier(head_folder(), labels=["a", "b"])
    with pytest.raises(UnknownNameError, match="Nearest: sst2-minilm"):
        nlp.text_classifier("sst-minilm")


def test_the_commands_train_predict_and_evaluate(tmp_path: Path) -> None:
    data, out = write_rows(tmp_path / "mood.csv"), tmp_path / "out"
    run = CliRunner().invoke
    done = run(triptych, ["train", "nlp.classification", str(data), str(out), "--encoder", str(encoder_folder_path())])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["texts"] == 24
    done = run(
        triptych, ["predict", "nlp.classification", "a good film", " ", "--model", str(out)], standalone_mode=False
    )
    assert done.return_value == 1
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first["result"]["labels"] == ["1", "0"]
    assert second["error"]["kind"] == "empty"
    done = run(triptych, ["evaluate", "nlp.classification", str(data), "--model", str(out), "--json"])
    assert json.loads(done.stdout)["metrics"]["accuracy"]["value"] == 1.0
