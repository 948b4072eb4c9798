"""Adapters of peft answer as peft's own model does. Small checkpoints with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_families_checkpoints import TAGS, TEXTS, named, opened, pair, single
from tiny_checkpoints import KINS, save

import nlp
from nlp.translation.models import open_translation
from shared.errors import DataError, UsageError

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::FutureWarning")]
BERT, ROBERTA = KINS[0], KINS[3]


@pytest.fixture(autouse=True)
def peft(empty_home: Path) -> Any:
    pytest.importorskip("torch")
    return pytest.importorskip("peft")


def adapted(peft: Any, folder: Path, model: Any, **settings: Any) -> Any:
    """An adapter with random numbers over a model, saved as peft saves it; returns peft's own model."""
    import torch

    torch.manual_seed(1)
    made = peft.get_peft_model(model, peft.LoraConfig(**{"r": 4, "lora_alpha": 8, **settings})).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    made.save_pretrained(folder)
    return made


def answer(model: Any, tokenizer: Any, *texts: str) -> Any:
    import torch

    with torch.inference_mode():
        return model(**tokenizer(*texts, return_tensors="pt"))


SETTINGS: list[dict[str, Any]] = [
    {"target_modules": ["query", "value"]},
    {"target_modules": ["query", "dense"], "use_rslora": True},
    {"target_modules": ["key"], "bias": "lora_only"},
    {
        "target_modules": ["query", "value"],
        "rank_pattern": {"layer.1.attention.self.query": 2},
        "alpha_pattern": {"layer.1.attention.self.query": 5},
    },
]


@pytest.mark.parametrize("settings", SETTINGS, ids=["plain", "rslora", "biases", "patterns"])
@pytest.mark.parametrize("kin", [BERT, ROBERTA], ids=lambda kin: kin.name)
def test_a_classifier_gives_the_same_logits(kin: Any, settings: dict[str, Any], tmp_path: Path, peft: Any) -> None:
    import transformers

    # a checkpoint of BERT for masked words has no pooler, so its adapter could not be opened
    ending = "ForSequenceClassification" if kin is BERT else "ForMaskedLM"
    _, tokenizer = save(kin, ending, tmp_path / "base")
    start = getattr(transformers, f"{kin.name}ForSequenceClassification").from_pretrained(
        tmp_path / "base", num_labels=4, ignore_mismatched_sizes=True
    )
    own = adapted(peft, tmp_path / "own", start, task_type="SEQ_CLS", **settings)
    graph = opened(tmp_path / "own", "nlp.classification")
    assert graph.card.options["labels"] == [f"LABEL_{at}" for at in range(4)]
    for text in TEXTS:
        np.testing.assert_allclose(
            single(graph, text)["logits"], answer(own, tokenizer, text).logits.numpy(), atol=1e-3
        )


def test_names_and_answers(tmp_path: Path, peft: Any) -> None:
    import transformers

    _, tokenizer = save(BERT, "ForTokenClassification", tmp_path / "base", **named(TAGS))
    start = transformers.BertForTokenClassification.from_pretrained(tmp_path / "base")
    own = adapted(peft, tmp_path / "tags", start, task_type="TOKEN_CLS", target_modules=["query"])
    graph = opened(tmp_path / "tags", "nlp.ner")
    assert graph.card.options["tags"] == list(TAGS.values())
    wanted = answer(own, tokenizer, TEXTS[1]).logits.numpy()
    np.testing.assert_allclose(single(graph, TEXTS[1])["logits"], wanted, atol=1e-3)

    _, tokenizer = save(BERT, "ForQuestionAnswering", tmp_path / "reader")
    start = transformers.BertForQuestionAnswering.from_pretrained(tmp_path / "reader")
    own = adapted(peft, tmp_path / "spans", start, task_type="QUESTION_ANS", target_modules=["query"])
    found = pair(opened(tmp_path / "spans", "nlp.qa"), TEXTS[1], TEXTS[0])
    # peft's class for questions drops token_type_ids on the way; the model that it wraps, adapter and all, takes them
    wanted = answer(own.base_model, tokenizer, TEXTS[1], TEXTS[0])
    np.testing.assert_allclose(found["start_logits"], wanted.start_logits.numpy(), atol=1e-3)
    np.testing.assert_allclose(found["end_logits"], wanted.end_logits.numpy(), atol=1e-3)


def test_what_neither_brings_is_said(tmp_path: Path, peft: Any) -> None:
    import transformers

    save(BERT, "ForMaskedLM", tmp_path / "base")
    start = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "base")
    adapted(peft, tmp_path / "own", start, task_type="SEQ_CLS", target_modules=["query"])
    with pytest.raises(DataError, match="must hold every tensor of its model. It lacks bert.pooler.dense.bias"):
        nlp.text_classifier(tmp_path / "own")


@pytest.fixture
def moods(tmp_path: Path, peft: Any) -> Path:
    import transformers

    save(BERT, "ForSequenceClassification", tmp_path / "base")
    start = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "base")
    adapted(peft, tmp_path / "moods", start, task_type="SEQ_CLS", target_modules=["query"])
    return tmp_path / "moods"


def changed(folder: Path, **facts: Any) -> Path:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    return folder


def test_it_is_merged_once(moods: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = nlp.text_classifier(moods).predict(TEXTS)
    assert "exporting moods" in capsys.readouterr().err
    assert nlp.text_classifier(moods).predict(TEXTS) == first
    assert "exporting" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("facts", "error", "message"),
    [
        ({"peft_type": "IA3"}, DataError, "must be of a LORA adapter without DoRA. Got peft_type 'IA3'"),
        ({"use_dora": True}, DataError, "must be of a LORA adapter without DoRA"),
        ({"task_type": "CAUSAL_LM"}, UsageError, "is CAUSAL_LM, and is asked for nlp.classification"),
        ({"base_model_name_or_path": None}, DataError, "must name the adapter's base"),
        ({"base_model_name_or_path": "nowhere at all"}, UsageError, "a name of the hub must be hf:OWNER/NAME"),
    ],
)
def test_configurations_that_will_not_do(
    facts: dict[str, Any], error: type[Exception], message: str, moods: Path
) -> None:
    with pytest.raises(error, match=message):
        nlp.text_classifier(changed(moods, **facts))


def test_an_adapter_of_another_base_is_refused(moods: Path, tmp_path: Path) -> None:
    save(BERT, "ForSequenceClassification", tmp_path / "wide", hidden_size=48)
    with pytest.raises(DataError, match=r"must fit the base, which has \(48, 48\) at .*query.weight"):
        nlp.text_classifier(changed(moods, base_model_name_or_path=str(tmp_path / "wide")))


def test_an_adapter_of_an_adapter_is_refused(moods: Path, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    for path in moods.iterdir():
        (tmp_path / "second" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="is an adapter too: merge that with peft first"):
        nlp.text_classifier(changed(tmp_path / "second", base_model_name_or_path=str(moods)))


def test_translation_takes_none(moods: Path) -> None:
    with pytest.raises(UsageError, match="is an adapter, which nlp.translation does not take"):
        open_translation(moods)
