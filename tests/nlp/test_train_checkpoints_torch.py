"""Fine-tuning checkpoints of transformers that are none of ours: whole and by peft, for three tasks. Needs torch."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_checkpoints import KINS, save

import nlp
import nlp.classification.train
import nlp.ner.train
import nlp.qa.train
from shared.errors import DataError, UsageError
from shared.weights import read_model_folder

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
BY_NAME = {kin.name: kin for kin in KINS}
ADAPTER = {"adapter_config.json", "adapter_model.safetensors"}
COMMON: dict[str, Any] = {
    "threads": 1,
    "batch_size": 8,
    "max_tokens": 64,
    "dropout": 0.0,
    "precision": "float32",
    "weight_decay": 0.0,
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    monkeypatch.setenv("TRIPTYCH_HOME", str(tmp_path / "home"))


def base(name: str, folder: Path) -> Path:
    """A checkpoint with the small weights that its library begins with, which a few epochs can teach something."""
    model, _ = save(BY_NAME[name], "Model" if name != "Roberta" else "ForMaskedLM", folder / name)
    pytest.importorskip("torch").manual_seed(0)
    type(model)(model.config).save_pretrained(folder / name)
    return folder / name


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for at in range(64):
        words = rng.choice(["the", "film", "book", "river"], size=rng.integers(2, 6)).tolist()
        words.insert(int(rng.integers(len(words) + 1)), "funny" if at % 2 else "lazy")
        rows.append(f"{' '.join(words)},{'good' if at % 2 else 'bad'}")
    path = tmp_path_factory.mktemp("films") / "films.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "method", "rate"),
    [
        ("Roberta", "lora", 0.01),
        ("DistilBert", "lora", 0.01),
        ("DebertaV2", "lora", 0.02),
        ("XLMRoberta", "full", 0.003),
        ("Electra", "full", 0.003),
    ],
)
def test_a_classifier_learns_and_answers_without_torch(
    films: Path, tmp_path: Path, name: str, method: str, rate: float
) -> None:
    options = {**COMMON, "base": base(name, tmp_path), "method": method, "epochs": 16, "learning_rate": rate}
    report = nlp.classification.train.train(films, tmp_path / "out", **options, val_share=0.25)
    assert report["figures"]["accuracy"]["value"] >= 0.9
    card = read_model_folder(tmp_path / "out")
    files = {"model.onnx", "tokenizer.json"} | (ADAPTER if method == "lora" else set())
    assert (card.family, {file.name for file in card.files}) == ("text-classifier", files)
    model: Any = nlp.text_classifier(tmp_path / "out", threads=1)
    assert [row.labels[0] for row in model.predict(["the funny film", "the lazy film"])] == ["good", "bad"]
    assert "licence is not stated" in card.opt_in  # a base without a card says nothing of its terms


def test_the_adapter_is_one_of_peft(films: Path, tmp_path: Path) -> None:
    torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    place = base("Roberta", tmp_path)
    options = {**COMMON, "base": place, "method": "lora", "epochs": 4, "learning_rate": 0.02, "rank": 4, "layers": 1}
    nlp.classification.train.train(films, tmp_path / "out", **options)
    facts = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (facts["base_model_name_or_path"], facts["task_type"], facts["r"]) == (str(place.resolve()), "SEQ_CLS", 4)
    assert facts["target_modules"]
    assert all(".layer.1." in part for part in facts["target_modules"])
    (tmp_path / "adapter").mkdir()
    for name in ADAPTER:
        (tmp_path / "adapter" / name).write_bytes((tmp_path / "out" / name).read_bytes())
    library = transformers.AutoModelForSequenceClassification.from_pretrained(place, num_labels=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the library's own of transformers
        library = peft.PeftModel.from_pretrained(library, tmp_path / "adapter").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    texts = ["the funny book", "a lazy river and nobody minds", "film"]
    ours: Any = nlp.text_classifier(tmp_path / "out", threads=1).predict(texts)
    temperature = read_model_folder(tmp_path / "out").options["temperature"]
    for text, found in zip(texts, ours):
        with torch.no_grad():
            logits = library(**tokenizer(text, return_tensors="pt")).logits[0] / temperature
        wanted = dict(zip(("bad", "good"), logits.softmax(0).tolist()))
        assert dict(zip(found.labels, found.scores)) == pytest.approx(wanted, abs=1e-4)
    again: Any = nlp.text_classifier(tmp_path / "adapter", threads=1).predict(texts)  # as any adapter of that library
    assert [row.labels[0] for row in again] == [f"LABEL_{row.labels[0] == 'good':d}" for row in ours]


@pytest.mark.parametrize(("name", "method", "rate"), [("Roberta", "lora", 0.02), ("DistilBert", "full", 0.005)])
def test_a_tagger_learns_and_answers_without_torch(tmp_path: Path, name: str, method: str, rate: float) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        words = [str(word) for word in rng.choice(["the", "market", "near", "oranges"], size=3)]
        tags = ["O"] * 3
        at = int(rng.integers(4))
        who, kind = (("Maria", "B-PER"), ("Lyon", "B-LOC"))[int(rng.integers(2))]
        words.insert(at, who)
        tags.insert(at, kind)
        rows.append("\n".join(f"{word} {tag}" for word, tag in zip(words, tags)))
    path = tmp_path / "train.conll"
    path.write_text("\n\n".join(rows) + "\n")
    options = {**COMMON, "base": base(name, tmp_path), "method": method, "epochs": 20}
    report = nlp.ner.train.train(path, tmp_path / "out", **options, learning_rate=rate, validation=path)
    assert report["figures"]["f1"]["value"] >= 0.9
    found: Any = nlp.entity_recognizer(tmp_path / "out", threads=1).predict(["the market near Lyon"])[0]
    assert [(entity.text, entity.label) for entity in found.entities] == [("Lyon", "LOC")]


def test_a_reader_learns_and_answers_without_torch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    places = ("Lyon", "river", "market")
    paragraphs = []
    for at in range(96):
        words = [str(word) for word in rng.choice(["the", "film", "oranges", "late"], size=5)]
        place = places[at % 3]
        words.insert(int(rng.integers(6)), place)
        context = " ".join(words)
        answer = {"text": place, "answer_start": context.index(place)}
        paragraphs.append({"context": context, "qas": [{"id": str(at), "question": "open near?", "answers": [answer]}]})
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"data": [{"title": "a", "paragraphs": paragraphs}]}))
    options = {**COMMON, "base": base("DistilBert", tmp_path), "method": "lora", "epochs": 12, "max_tokens": 128}
    report = nlp.qa.train.train(path, tmp_path / "out", **options, learning_rate=0.01, validation=path)
    assert report["figures"]["f1"]["value"] >= 0.9
    found: Any = nlp.question_answerer(tmp_path / "out", threads=1).predict([("open near?", "the film the Lyon late")])[
        0
    ]
    assert found.best is not None
    assert found.best.text == "Lyon"


def test_what_cannot_begin_a_training_is_refused(films: Path, tmp_path: Path) -> None:
    place = base("Electra", tmp_path)
    with pytest.raises(UsageError, match="few-shot begins with an encoder of the catalogue"):
        nlp.classification.train.train(films, tmp_path / "few", base=place, method="few-shot", threads=1)
    with pytest.raises(UsageError, match="layers must be at most 2"):
        nlp.classification.train.train(films, tmp_path / "deep", base=place, method="full", layers=3, threads=1)
    (place / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="transformers cannot read"):
        nlp.classification.train.train(films, tmp_path / "bad", base=place, method="full", threads=1)
