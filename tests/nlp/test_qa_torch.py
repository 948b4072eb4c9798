"""Checkpoints of transformers: the reader against its own forward pass, and a language model that writes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_checkpoints import KINS, LINES, save, word_pieces

import nlp
from nlp.qa.ask import answerer
from nlp.qa.generate import open_generator
from nlp.types import Answers
from shared.errors import DataError, InputError

pytestmark = pytest.mark.torch
BERT = next(kin for kin in KINS if kin.name == "Bert")
QUESTION = "who wrote the book?"
CONTEXT = " ".join(LINES[:4])


@pytest.fixture(autouse=True)
def _needs_torch(empty_home: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra 'torch'")


def reference(model: Any, tokenizer: Any, question: str, context: str, *, room: int, stride: int) -> dict[str, Any]:
    """The decoding of SQuAD 2 after BERT's paper, window by window in a plain loop, over transformers' own forward.

    ``spans`` are (score, start, end) of characters, best first; ``null`` is the least score of no answer.
    """
    import torch

    windows = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=room,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    spans: dict[tuple[int, int], float] = {}
    null = math.inf
    for at, ids in enumerate(windows["input_ids"]):
        with torch.inference_mode():
            given = {"input_ids": torch.tensor([ids])}
            if "token_type_ids" in windows:
                given["token_type_ids"] = torch.tensor([windows["token_type_ids"][at]])
            out = model(**given)
        start, end = out.start_logits[0].numpy(), out.end_logits[0].numpy()
        null = min(null, float(start[0] + end[0]))
        own = [i for i, side in enumerate(windows.sequence_ids(at)) if side == 1]
        offsets = windows["offset_mapping"][at]
        for i in own:
            for j in own:
                if i <= j < i + 30:
                    place = (offsets[i][0], offsets[j][1])
                    spans[place] = max(spans.get(place, -math.inf), float(start[i]) + float(end[j]))
    return {"spans": sorted(((s, *place) for place, s in spans.items()), reverse=True), "null": null}


@pytest.mark.parametrize("kin", [kin for kin in KINS if kin.name in ("Bert", "Roberta")], ids=lambda kin: kin.name)
def test_the_reader_is_transformers_forward_and_the_papers_decoding(kin: Any, tmp_path: Path) -> None:
    model, tokenizer = save(kin, "ForQuestionAnswering", tmp_path / "own")
    reader = nlp.question_answerer(tmp_path / "own", top_k=1)
    long = " ".join([CONTEXT, *reversed(CONTEXT.split())])
    for context in (LINES[0], CONTEXT, long):
        found = reader.predict([(QUESTION, context)])[0]
        assert isinstance(found, Answers)
        asked = reader.prepare((QUESTION, context))
        if len(asked.windows) == 1:
            wanted = reference(model, tokenizer, QUESTION, context, room=130, stride=0)
            best = wanted["spans"][0]
            assert (found.answers[0].start, found.answers[0].end) == best[1:]
            margin = wanted["null"] - best[0]
            assert found.no_answer == pytest.approx(1 / (1 + math.exp(-margin)), abs=1e-3)
        else:
            scored = reader.run([asked])[0]
            assert len(scored) == len(asked.windows)
            for window, scores in zip(asked.windows, scored):
                ids, types = reader_window(tokenizer, asked, window)
                start, end = forward(model, ids, types)
                np.testing.assert_allclose(scores.start, start[-len(scores.start) - 1 : -1], atol=1e-3)
                np.testing.assert_allclose(scores.end, end[-len(scores.end) - 1 : -1], atol=1e-3)
                assert scores.null == pytest.approx(float(start[0] + end[0]), abs=1e-3)


def reader_window(tokenizer: Any, asked: Any, window: Any) -> tuple[list[int], list[int]]:
    """The window as BERT's and RoBERTa's papers build a pair."""
    first, second = asked.question.tolist(), asked.context[window.start : window.stop].tolist()
    begin, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    if type(tokenizer).__name__.startswith("Roberta"):
        ids = [begin, *first, end, end, *second, end]
        return ids, [0] * len(ids)
    ids = [begin, *first, end, *second, end]
    return ids, [0] * (len(first) + 2) + [1] * (len(second) + 1)


def forward(model: Any, ids: list[int], types: list[int]) -> tuple[Any, Any]:
    import torch

    with torch.inference_mode():
        out = model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]))
    return out.start_logits[0].numpy(), out.end_logits[0].numpy()


def language_model(folder: Path, kind: str, *, chat: bool = False) -> tuple[Any, Any]:
    """A causal model with random weights over the words of :func:`tiny_checkpoints.word_pieces`."""
    import torch
    import transformers

    torch.manual_seed(3)
    tokenizer = transformers.BertTokenizer(vocab=word_pieces())
    if chat:
        tokenizer.chat_template = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}book"
    size = len(tokenizer)
    if kind == "gpt2":
        config: Any = transformers.GPT2Config(
            vocab_size=size, n_positions=1024, n_embd=32, n_layer=2, n_head=2, bos_token_id=2, eos_token_id=3
        )
        model = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.LlamaConfig(
            vocab_size=size,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=1024,
            bos_token_id=2,
            eos_token_id=3,
        )
        model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))  # enough to write more than one word
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.eval(), tokenizer


@pytest.mark.parametrize(("kind", "chat"), [("gpt2", False), ("llama", True)])
def test_a_local_model_writes_what_generate_writes(kind: str, chat: bool, tmp_path: Path) -> None:
    import torch

    model, tokenizer = language_model(tmp_path / "lm", kind, chat=chat)
    messages = [{"role": "system", "content": "a warm film"}, {"role": "user", "content": "who wrote the book?"}]
    generate = open_generator(tmp_path / "lm", threads=1)
    from nlp.qa import local

    pieces = list(local.local_generator(str(tmp_path / "lm"), threads=1, most_tokens=24)(messages))
    if chat:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    else:
        ids = tokenizer("a warm film\n\nwho wrote the book?\nAnswer:", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        wanted = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)[0]
    assert "".join(pieces).split() == tokenizer.decode(wanted[ids.shape[1] :], skip_special_tokens=True).split()
    assert "".join(generate(messages)).startswith("".join(pieces))


def test_a_prompt_that_is_too_long_is_refused(tmp_path: Path) -> None:
    language_model(tmp_path / "lm", "gpt2")
    with pytest.raises(InputError, match="must have at most 724 tokens"):
        list(open_generator(tmp_path / "lm")([{"role": "user", "content": "book " * 900}]))


def test_a_random_model_knows_nothing(tmp_path: Path) -> None:
    import tiny_qa

    language_model(tmp_path / "lm", "gpt2")
    (tmp_path / "a.txt").write_text("The Eiger mountain is 3967 metres high.")
    options: dict[str, Any] = {"encoder": tiny_qa.encoder_folder(), "chunk_tokens": 40, "chunk_overlap": 8}
    with nlp.open_index(tmp_path / "i", create=True, **options) as index:
        list(index.add([tmp_path / "a.txt"]))
        model = answerer(index, tmp_path / "lm", reranker=tiny_qa.reranker_folder())
        found: Any = model.predict(["How high is the Eiger mountain?"])[0]
    assert (found.known, found.text) == (False, "I don't know.")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="must hold config.json and tensors as model.safetensors"):
        open_generator(tmp_path)
