"""Causal models fine-tuned from tiny checkpoints: completions alone are learnt, kills are survived, folders open."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_checkpoints import word_pieces

import nlp
from nlp.generation.causal import completion_ids, open_causal, prompt_ids
from nlp.generation.train import train
from nlp.generation.types import Generated
from shared.errors import DataError, InputError, PlanMismatchError, PredictError, UsageError
from shared.training.watching import EndedEarly, watched
from shared.types import Failure
from shared.weights.folder import read_model_folder

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::FutureWarning")]
QUICK: dict[str, Any] = {"epochs": 4, "learning_rate": 0.03, "batch_size": 4, "rank": 4, "threads": 1, "device": "cpu"}
PAIRS = [("a warm film", "funny"), ("the lazy dog", "long"), ("seven oranges", "market"), ("the quick fox", "jumps")]


@pytest.fixture(autouse=True)
def offline(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="needs the extra 'torch'")
    pytest.importorskip("peft")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("no socket may be opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def language_model(folder: Path, kind: str = "llama", *, chat: bool = False, spread: float = 0.4) -> Path:
    """A causal model with random weights over a few words, wide enough for small additions to matter."""
    import torch
    import transformers

    torch.manual_seed(0)
    tokenizer = transformers.BertTokenizer(vocab=word_pieces(), eos_token="[SEP]")
    if chat:
        tokenizer.chat_template = (
            "{% for m in messages %}{{ m.role }} {{ m.content }}{% if m.role == 'assistant' %}[SEP]{% endif %} "
            "{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"
        )
    sizes: dict[str, Any] = {"vocab_size": len(tokenizer), "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    sizes["initializer_range"] = spread
    if kind == "gpt2":
        model: Any = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(n_positions=128, n_embd=32, n_layer=2, n_head=2, **sizes)
        )
    else:
        config = transformers.LlamaConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=128, **sizes,
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    table = [{"prompt": asked, "completion": answer, "group": str(n)} for n in range(4) for asked, answer in PAIRS]
    path.write_text("".join(json.dumps(row) + "\n" for row in table))
    return path


def written(model: Any, texts: list[str]) -> list[str]:
    return [one.text if isinstance(one, Generated) else repr(one) for one in model.predict(texts, on_error="keep")]


@pytest.mark.parametrize(("kind", "options"), [
    ("llama", {}), ("gpt2", {}), ("llama", {"whole": True}), ("gpt2", {"method": "full", "learning_rate": 0.01}),
    ("llama", {"layers": 1}),
])  # fmt: skip
def test_what_is_taught_is_answered(kind: str, options: dict[str, Any], rows: Path, tmp_path: Path) -> None:
    base = language_model(tmp_path / "base", kind)
    report = train(rows, tmp_path / "out", base=str(base), **{**QUICK, "epochs": 15, **options})
    first, last = (report["history"][at]["token_likelihood"] for at in (0, -1))
    assert last > first
    assert 0 < last <= 1
    model = nlp.text_generator(tmp_path / "out", most_tokens=4, threads=1)
    assert written(model, [asked for asked, _ in PAIRS]) == [answer for _, answer in PAIRS]
    assert report["figures"]["em"]["value"] == 1.0
    card = read_model_folder(tmp_path / "out")
    whole = bool(options.get("whole") or options.get("method"))
    assert card.family == ("causal-lm" if whole else "causal-adapter")
    assert card.options["base_licence"] == "unknown"
    assert card.licence == "its licence is not stated"
    if whole:
        (tmp_path / "base").rename(tmp_path / "gone")
        assert written(nlp.text_generator(tmp_path / "out", most_tokens=4, threads=1), [PAIRS[0][0]]) == ["funny"]
    else:
        assert {file.name for file in card.files} == {"adapter_config.json", "adapter_model.safetensors"}


def test_the_adapter_is_pefts_own(rows: Path, tmp_path: Path) -> None:
    import peft
    import torch
    import transformers

    base = language_model(tmp_path / "base", "gpt2")
    train(rows, tmp_path / "out", base=str(base), **QUICK, base_licence="MIT")
    own = open_causal(tmp_path / "out", threads=1)
    assert own.card.licence == "Apache-2.0"
    assert own.card.options["base_licence"] == "MIT"
    theirs = peft.PeftModel.from_pretrained(
        transformers.AutoModelForCausalLM.from_pretrained(base), tmp_path / "out"
    ).eval()
    ids = torch.tensor([own.ids([{"role": "user", "content": "the quick fox"}])])
    with torch.inference_mode():
        np.testing.assert_allclose(own.model(ids).logits.numpy(), theirs(input_ids=ids).logits.numpy(), atol=1e-5)


def test_the_loss_is_that_of_the_completion_alone(tmp_path: Path) -> None:
    import torch

    from nlp.generation.data import Example
    from nlp.training.causal import collate, loss, rows_of

    causal = open_causal(language_model(tmp_path / "base"), threads=1)
    asked = ({"role": "user", "content": "the lazy dog"},)
    short = ({"role": "user", "content": "dog"},)
    examples = [Example(str(at), told, "a long film", None, (), None, "", "") for at, told in enumerate((asked, short))]
    rows, skipped = rows_of(causal.tokenizer, examples, 64)
    assert not skipped
    batch = collate(rows, 0, torch.device("cpu"))
    total, count = 0.0, 0
    with torch.inference_mode():
        for row in rows:  # each alone, without padding
            logits = causal.model(torch.tensor([row.ids])).logits[0].log_softmax(-1)
            for at in range(row.told, len(row.ids)):
                total -= float(logits[at - 1, row.ids[at]])
                count += 1
        assert float(loss(causal.model, batch)) == pytest.approx(total / count, rel=1e-4)
    assert count == 2 * len(completion_ids(causal.tokenizer, asked, "a long film"))
    assert rows[0].ids[-1] == causal.tokenizer.eos_token_id
    _, skipped = rows_of(causal.tokenizer, examples, 6)
    assert [row["id"] for row in skipped] == ["0"]
    assert "must have at most 6 tokens" in skipped[0]["message"]


def test_a_chat_is_told_by_its_own_template(rows: Path, tmp_path: Path) -> None:
    base = language_model(tmp_path / "base", chat=True)
    table = [
        {"messages": [{"role": "system", "content": "book"}, {"role": "user", "content": asked},
                      {"role": "assistant", "content": answer}], "group": str(n)}
        for n in range(4) for asked, answer in PAIRS
    ]  # fmt: skip
    rows.write_text("".join(json.dumps(row) + "\n" for row in table))
    tokenizer = open_causal(base, threads=1).tokenizer
    told = table[0]["messages"][:2]
    assert tokenizer.decode(prompt_ids(tokenizer, told)) == "system book user a warm film assistant"  # type: ignore[arg-type]
    assert tokenizer.decode(completion_ids(tokenizer, told, "funny")) == "funny [SEP]"  # type: ignore[arg-type]
    train(rows, tmp_path / "out", base=str(base), **{**QUICK, "epochs": 15})
    items = [json.dumps({"messages": row["messages"][:2]}) for row in table[:4]]
    model = nlp.text_generator(tmp_path / "out", most_tokens=4, threads=1)
    assert written(model, items) == [answer for _, answer in PAIRS]
    figures = model_figures(rows, tmp_path / "out")
    assert (figures["em"], figures["f1"], figures["abstention"]) == (1.0, 1.0, 1.0)


def model_figures(rows: Path, model: Path) -> dict[str, float]:
    from nlp.generation.evaluate import evaluate_generation

    found = evaluate_generation(rows, model=model, threads=1, most_tokens=4)
    return {name: metric.value for name, metric in found.metrics.items()}


def test_killed_it_ends_with_the_same_adapter(rows: Path, tmp_path: Path) -> None:
    base = language_model(tmp_path / "base")
    options = {**QUICK, "base": str(base), "dropout": 0.1}
    train(rows, tmp_path / "whole", **options)
    with pytest.raises(EndedEarly, match="after epoch 2"), watched(lambda epoch, _: epoch < 2):
        train(rows, tmp_path / "cut", **options)
    assert not (tmp_path / "cut" / "card.toml").exists()
    train(rows, tmp_path / "cut", **options)
    same = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert same[0] == same[1]
    assert train(rows, tmp_path / "cut", **options)["epochs"] == 4
    with pytest.raises(PlanMismatchError, match="rank"):
        train(rows, tmp_path / "cut", **{**options, "rank": 8})


def test_a_base_with_other_weights_is_refused(rows: Path, tmp_path: Path) -> None:
    base = language_model(tmp_path / "base")
    train(rows, tmp_path / "out", base=str(base), **{**QUICK, "epochs": 1})
    weights = base / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DataError, match="must stand on the weights that it was trained on"):
        nlp.text_generator(tmp_path / "out")
    base.rename(tmp_path / "gone")
    with pytest.raises(UsageError, match="which is no checkpoint here"):
        nlp.text_generator(tmp_path / "out")


def test_items_are_texts_messages_or_variables(tmp_path: Path) -> None:
    base = language_model(tmp_path / "base")
    model = nlp.text_generator(base, most_tokens=3, threads=1)
    found = model.predict(["a warm film", "", "book " * 200], on_error="keep")
    assert isinstance(found[0], Generated)
    assert [one.kind for one in found[1:] if isinstance(one, Failure)] == ["empty", "too-large"]
    with pytest.raises(PredictError, match="must have at most 125 tokens"):
        model.predict(["book " * 200])
    filled = nlp.text_generator(base, prompt="short-answer", most_tokens=3, threads=1)
    good, bad = filled.predict(
        [json.dumps({"question": "who", "passages": ["book"]}), '{"question": "x"}'], on_error="keep"
    )
    assert isinstance(good, Generated)
    assert isinstance(bad, Failure)
    assert "needs the variables passages" in bad.message
    with pytest.raises(InputError, match="must be a text"):
        model.prepare(3)  # type: ignore[arg-type]
    for options, words in (({"most_tokens": 0}, "most_tokens must be"), ({"device": "gpu"}, "device must be")):
        with pytest.raises(UsageError, match=words):
            nlp.text_generator(base, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has no default model"):
        nlp.text_generator()


def test_wrong_trainings_say_so(rows: Path, tmp_path: Path) -> None:
    base = language_model(tmp_path / "base")
    for options, words in (
        ({}, "must be named to begin with: --base"),
        ({"base": str(base), "method": "few"}, "method must be one of lora, full"),
        ({"base": str(base), "val_share": 0.0}, "val_share must lie in"),
        ({"base": str(base), "layers": 9}, "layers must be at most 2"),
    ):
        with pytest.raises(UsageError, match=words):
            train(rows, tmp_path / "out", **options)  # type: ignore[arg-type]
    rows.write_text('{"prompt": "x"}\n')
    with pytest.raises(DataError, match="must have rows with a completion"):
        train(rows, tmp_path / "out", base=str(base))
    rows.write_text('{"prompt": "x", "completion": "y"}\n')
    with pytest.raises(DataError, match="needs two rows that are not alike"):
        train(rows, tmp_path / "out", base=str(base))


def test_the_likelihood_is_that_of_a_token(rows: Path, tmp_path: Path) -> None:
    base = language_model(tmp_path / "base", spread=0.02)
    report = train(rows, tmp_path / "out", base=str(base), **{**QUICK, "epochs": 1, "learning_rate": 1e-9})
    vocabulary = len(word_pieces())
    assert report["history"][0]["token_likelihood"] == pytest.approx(1 / vocabulary, rel=0.1)  # it knows nothing yet
    assert report["history"][0]["loss"] == pytest.approx(math.log(vocabulary), rel=0.05)


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, nlp.generation.task; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
