"""The shipped models: their rows, and the answers of the real weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nlp
from nlp.encoder import open_encoder
from nlp.evaluate import evaluate_classification
from shared import catalogue
from shared.errors import UsageError
from shared.predictor import Predictor
from shared.testing.contracts import PredictorContract
from shared.weights import read_model_folder

HERE = Path(__file__).parent
WEIGHTS = Path(nlp.__file__).parent / "weights"
HEADS = ("agnews-minilm", "sms-spam-minilm", "sst2-minilm", "trec-minilm")
GOLDEN = [(row["text"], row["vector"]) for row in json.loads((HERE / "golden_minilm.json").read_text())["vectors"]]


@pytest.mark.parametrize("name", HEADS)
def test_a_row_is_the_folder_that_training_wrote(name: str) -> None:
    row, folder = catalogue.find(name), read_model_folder(WEIGHTS / name)
    for field in ("task", "family", "backend", "licence", "summary", "options"):
        assert getattr(row, field) == getattr(folder, field)
    head = row.file("head.npz")
    assert head.sha256 == folder.file("head.npz").sha256
    assert head.sha256 == hashlib.sha256((WEIGHTS / name / "head.npz").read_bytes()).hexdigest()
    assert head.sources == (f"package:nlp/weights/{name}/head.npz",)


@pytest.mark.parametrize("name", [*HEADS, "minilm-zero-shot"])
def test_a_row_names_the_encoders_files_so_that_fetching_it_fetches_them(name: str) -> None:
    row = catalogue.find(name)
    encoder = catalogue.find(row.options["encoder"])
    assert [file for file in row.files if file.name != "head.npz"] == list(encoder.files)
    assert row.options.get("encoder_sha256", encoder.file("model.onnx").sha256) == encoder.file("model.onnx").sha256


@pytest.mark.parametrize("name", HEADS)
def test_every_head_has_its_card_for_people(name: str) -> None:
    text = (WEIGHTS / name / "README.md").read_text()
    for part in ("triptych train nlp.classification", "triptych evaluate nlp.classification", "seed 0", "## Limits"):
        assert part in text
    assert read_model_folder(WEIGHTS / name).file("head.npz").sha256 in text


@pytest.mark.weights
class TestEmbedder(PredictorContract):
    atol = 0.0
    rtol = 0.0

    def build(self) -> Predictor[str, Any]:
        return nlp.embedder()

    def good(self) -> list[str]:
        return ["a man plays", "x " * 700]

    def bad(self) -> object:
        return None


@pytest.mark.weights
class TestSentiment(PredictorContract):
    def build(self) -> Predictor[str, Any]:
        return nlp.text_classifier()

    def good(self) -> list[str]:
        return ["a warm , funny film", "dull and overlong", "fine . " * 200]

    def bad(self) -> object:
        return "\ud800"


@pytest.mark.weights
class TestZeroShot(PredictorContract):
    def build(self) -> Predictor[str, Any]:
        return nlp.text_classifier(labels=["cooking", "sports=football and other games"])

    def good(self) -> list[str]:
        return ["Simmer the onions.", "They won on penalties."]

    def bad(self) -> object:
        return " "


@pytest.mark.weights
def test_vectors_agree_with_sentence_transformers_in_float32() -> None:
    vectors = np.stack(nlp.embedder().predict([text for text, _ in GOLDEN]))
    assert vectors.shape == (len(GOLDEN), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = (vectors * np.array([vector for _, vector in GOLDEN])).sum(axis=1)
    assert cosines.min() > 0.97
    assert cosines.mean() > 0.985


@pytest.mark.weights
def test_the_end_of_a_long_text_counts() -> None:
    start, end = "The recipe calls for flour, eggs and butter. ", "The striker scored twice and the crowd sang. "
    cooking, both = nlp.text_classifier(labels=["cooking", "football"]).predict([start * 60, start * 60 + end * 200])
    assert cooking.labels[0] == "cooking"
    assert both.labels[0] == "football"


@pytest.mark.weights
def test_a_known_text_gets_its_known_labels() -> None:
    for model, text, label in (
        (None, "a gorgeous , witty , seductive movie .", "positive"),
        (None, "it 's a charmless , tedious mess .", "negative"),
        ("agnews-minilm", "Shares of the chip maker fell after it cut its forecast.", "Business"),
        ("agnews-minilm", "The midfielder scored in the last minute of the cup final.", "Sports"),
        ("sms-spam-minilm", "WINNER!! Claim your £900 prize now, call 09061701461 from land line.", "spam"),
        ("sms-spam-minilm", "Running late, save me a seat? See you at seven x", "ham"),
        ("trec-minilm", "How many moons does Jupiter have ?", "number"),
        ("trec-minilm", "Who wrote the opera Carmen ?", "human"),
    ):
        assert nlp.text_classifier(model).predict([text])[0].labels[0] == label


@pytest.mark.weights
def test_zero_shot_wants_labels_that_can_be_read() -> None:
    with pytest.raises(UsageError, match="'minilm-zero-shot' needs labels to choose from"):
        nlp.text_classifier("minilm-zero-shot")
    with pytest.raises(UsageError, match=r"label 'b' cannot be used: a text must have at least one word"):
        nlp.text_classifier(labels={"a": "a", "b": "\x00"})
    with pytest.raises(UsageError, match="a template must hold {} once"):
        nlp.text_classifier(labels=["a", "b"], template="about")


@pytest.mark.weights
def test_ten_megabytes_in_one_line_are_read_in_bounded_memory() -> None:
    resource = pytest.importorskip("resource")
    encoder = open_encoder(threads=1)
    encoder.ids("warm")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ids = encoder.ids("all work and no play makes jack a dull boy , " * 222_222)
    assert ids.size == 222_222 * 11
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 200e6


@pytest.mark.weights
@pytest.mark.data
def test_the_question_head_reaches_its_figure(data_root: Path) -> None:
    result = evaluate_classification(data_root / "nlp/sent_conv/data/TREC.test.all", model="trec-minilm")
    assert result.n == 500
    assert result.failed == 0
    assert result.metrics["accuracy"].value >= 0.905


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.data
@pytest.mark.parametrize(
    ("model", "path", "options", "least"),
    [
        ("sst2-minilm", "sent_conv/data/stsa.binary.test", {}, 0.815),
        ("sst2-bge-lora", "sent_conv/data/stsa.binary.test", {}, 0.9),
        ("agnews-minilm", "ag_news_jointmatch/data/ag_news/test.csv", {"text_column": "content"}, 0.87),
    ],
)
def test_a_head_reaches_its_figure(
    data_root: Path, model: str, path: str, options: dict[str, str], least: float
) -> None:
    result = evaluate_classification(data_root / "nlp" / path, model=model, **options)
    assert result.failed == 0
    assert result.metrics["accuracy"].value >= least
