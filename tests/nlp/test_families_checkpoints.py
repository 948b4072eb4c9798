"""Exports of text checkpoints: the graph answers as the library's own model does. Small models with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standin import Page, sha256, standing_in
from tiny_checkpoints import KINS, POSITIONS, Kin, save

import nlp
from nlp.opening import TextGraph, open_text_graph
from shared.errors import DataError, UsageError

pytestmark = pytest.mark.torch
BERT = KINS[0]
TEXTS = [
    "A warm, funny film.",
    "Who wrote the book about the river near Lyon in 1987?",
    "fox",
    "Naïve cafés; 42 oranges!",
]
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
NAMES = {0: "no", 1: "maybe", 2: "yes"}


@pytest.fixture(autouse=True)
def torch(empty_home: Path) -> Any:
    return pytest.importorskip("torch")


def named(names: dict[int, str]) -> dict[str, Any]:
    return {"id2label": names, "label2id": {name: number for number, name in names.items()}}


def own_answer(model: Any, tokenizer: Any, *texts: str) -> Any:
    torch = pytest.importorskip("torch")
    with torch.inference_mode():
        return model(**tokenizer(*texts, return_tensors="pt"))


def opened(folder: Path, task: str) -> TextGraph:
    return open_text_graph(
        folder, task=task, families=("text-classifier", "nli", "token-classifier", "extractive-reader", "pair-scorer")
    )


def single(graph: TextGraph, text: str) -> dict[str, Any]:
    return graph.answers([graph.feed(graph.tokenizer.window(graph.tokenizer.ids(text)))])[0]


def pair(graph: TextGraph, first: str, second: str) -> dict[str, Any]:
    tokens, types = graph.pairs().join(graph.tokenizer.ids(first), graph.tokenizer.ids(second))
    return graph.answers([graph.feed(tokens, types=types)])[0]


@pytest.mark.parametrize("kin", KINS, ids=lambda kin: kin.name)
def test_a_sequence_classifier_of_every_kin(kin: Kin, tmp_path: Path) -> None:
    model, tokenizer = save(kin, "ForSequenceClassification", tmp_path / "own", **named(NAMES))
    graph = opened(tmp_path / "own", "nlp.classification")
    assert (graph.card.family, graph.card.options["labels"], graph.room) == (
        "text-classifier",
        list(NAMES.values()),
        POSITIONS,
    )
    for text in TEXTS:
        wanted = own_answer(model, tokenizer, text).logits.numpy()
        np.testing.assert_allclose(single(graph, text)["logits"], wanted, atol=1e-3)


@pytest.mark.parametrize("kin", KINS, ids=lambda kin: kin.name)
def test_a_token_classifier_of_every_kin(kin: Kin, tmp_path: Path) -> None:
    model, tokenizer = save(kin, "ForTokenClassification", tmp_path / "own", **named(TAGS))
    graph = opened(tmp_path / "own", "nlp.ner")
    assert (graph.card.options["tags"], graph.card.options["scheme"]) == (list(TAGS.values()), "BIO")
    for text in TEXTS:
        wanted = own_answer(model, tokenizer, text).logits.numpy()
        np.testing.assert_allclose(single(graph, text)["logits"], wanted, atol=1e-3)


@pytest.mark.parametrize("kin", KINS, ids=lambda kin: kin.name)
def test_a_reader_of_every_kin(kin: Kin, tmp_path: Path) -> None:
    model, tokenizer = save(kin, "ForQuestionAnswering", tmp_path / "own")
    graph = opened(tmp_path / "own", "nlp.qa")
    assert graph.card.family == "extractive-reader"
    for text in TEXTS:
        answer, wanted = (
            pair(graph, "Who wrote the book?", text),
            own_answer(model, tokenizer, "Who wrote the book?", text),
        )
        np.testing.assert_allclose(answer["start_logits"], wanted.start_logits.numpy(), atol=1e-3)
        np.testing.assert_allclose(answer["end_logits"], wanted.end_logits.numpy(), atol=1e-3)


@pytest.mark.parametrize("kin", KINS, ids=lambda kin: kin.name)
def test_a_cross_encoder_of_every_kin(kin: Kin, tmp_path: Path) -> None:
    model, tokenizer = save(kin, "ForSequenceClassification", tmp_path / "own", num_labels=1)
    graph = opened(tmp_path / "own", "nlp.reranking")
    assert graph.card.family == "pair-scorer"
    for text in TEXTS:
        wanted = own_answer(model, tokenizer, "Who wrote the book?", text).logits.numpy()
        np.testing.assert_allclose(pair(graph, "Who wrote the book?", text)["logits"], wanted, atol=1e-3)
    with pytest.raises(UsageError, match="must have two labels at least. This checkpoint gives one number a text"):
        opened(tmp_path / "own", "nlp.classification")


def test_labels_of_a_checkpoint_are_those_of_transformers_own_pipeline(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    save(BERT, "ForSequenceClassification", tmp_path / "own", **named(NAMES))
    pipeline = transformers.pipeline("text-classification", model=str(tmp_path / "own"), device="cpu", top_k=None)
    for text, result in zip(TEXTS, nlp.text_classifier(tmp_path / "own").predict(TEXTS)):
        assert isinstance(result, nlp.TextLabels)
        wanted = {row["label"]: row["score"] for row in pipeline([text])[0]}
        assert dict(zip(result.labels, result.scores.tolist())) == pytest.approx(wanted, abs=1e-4)


def test_several_labels_are_judged_one_by_one(tmp_path: Path) -> None:
    facts = named(NAMES) | {"problem_type": "multi_label_classification"}
    model, tokenizer = save(BERT, "ForSequenceClassification", tmp_path / "own", **facts)
    (result,) = nlp.text_classifier(tmp_path / "own").predict(TEXTS[:1])
    assert isinstance(result, nlp.TextLabels)
    assert result.multi_label
    wanted = own_answer(model, tokenizer, TEXTS[0]).logits[0].sigmoid().numpy()
    assert dict(zip(result.labels, result.scores.tolist())) == pytest.approx(
        dict(zip(NAMES.values(), wanted)), abs=1e-4
    )


@pytest.mark.parametrize("kin", [BERT, KINS[3]], ids=lambda kin: kin.name)
def test_labels_of_ones_own_by_entailment(kin: Kin, tmp_path: Path) -> None:
    names = {0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}
    model, tokenizer = save(kin, "ForSequenceClassification", tmp_path / "own", **named(names))
    labels = {"books": "books and authors", "food": "food"}
    sentences = [f"This text is about {description}." for description in labels.values()]
    for text in TEXTS:
        logits = np.stack([own_answer(model, tokenizer, text, other).logits[0].numpy() for other in sentences])
        powers = np.exp(logits[:, 2])
        (one,) = nlp.text_classifier(tmp_path / "own", labels=labels).predict([text])
        assert isinstance(one, nlp.TextLabels)
        wanted = dict(zip(labels, powers / powers.sum()))
        assert dict(zip(one.labels, one.scores.tolist())) == pytest.approx(wanted, abs=1e-3)
        (each,) = nlp.text_classifier(tmp_path / "own", labels=labels, multi_label=True).predict([text])
        assert isinstance(each, nlp.TextLabels)
        wanted = dict(zip(labels, 1 / (1 + np.exp(logits[:, 0] - logits[:, 2]))))
        assert dict(zip(each.labels, each.scores.tolist())) == pytest.approx(wanted, abs=1e-3)


def test_a_checkpoint_of_the_hub_is_fetched_once_and_exported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(BERT, "ForSequenceClassification", tmp_path / "own", **named(NAMES))
    (tmp_path / "own" / "training_args.bin").write_bytes(b"never read")
    commit = "0123456789abcdef0123456789abcdef01234567"
    with standing_in() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        files = {path.name: path.read_bytes() for path in (tmp_path / "own").iterdir()}
        for name, content in files.items():
            linked = {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
            page = Page(content, headers={"X-Repo-Commit": commit} | linked)
            server.pages[f"/owner/tiny/resolve/{commit}/{name}"] = page
        told = {"id": "owner/tiny", "sha": commit, "siblings": [{"rfilename": name} for name in files]}
        told["cardData"] = {"license": "apache-2.0"}
        server.pages["/api/models/owner/tiny"] = Page(json.dumps(told).encode(), etag="")
        graph = open_text_graph("hf:owner/tiny", task="nlp.classification", families=["text-classifier"])
        assert (graph.card.name, graph.card.licence, graph.card.opt_in) == ("owner-tiny", "Apache-2.0", "")
        asked = [each.path for each in server.asked]
        assert not any("training_args" in path for path in asked)
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    again = open_text_graph("hf:owner/tiny", task="nlp.classification", families=["text-classifier"])
    assert again.files == graph.files


def test_what_is_no_whole_checkpoint_is_refused(tmp_path: Path) -> None:
    model, _ = save(BERT, "ForSequenceClassification", tmp_path / "own", **named(NAMES))
    with pytest.raises(UsageError, match=r"for nlp.ner must be one of ...ForTokenClassification. It is a BertForSeq"):
        opened(tmp_path / "own", "nlp.ner")
    config = tmp_path / "own" / "config.json"
    facts = json.loads(config.read_text())
    config.write_text(json.dumps(facts | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(DataError, match="wants code of its own, which is never run"):
        opened(tmp_path / "own", "nlp.classification")
    config.write_text(json.dumps(facts))
    model.base_model.save_pretrained(tmp_path / "base")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "base" / name).write_bytes((tmp_path / "own" / name).read_bytes())
    with pytest.raises(DataError, match="must hold every tensor of its model. It lacks classifier.bias"):
        opened(tmp_path / "base", "nlp.classification")
    (tmp_path / "own" / "model.safetensors").rename(tmp_path / "own" / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"pytorch_model.bin may run code when read, so save it as safetensors first"):
        opened(tmp_path / "own", "nlp.classification")
