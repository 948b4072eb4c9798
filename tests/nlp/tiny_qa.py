"""An encoder, a re-ranker and a reader small enough to make here: the real runtime over a few dozen words."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from shared.catalogue import ModelCard
from shared.types import AnyArray
from shared.weights import write_model_folder

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
TEXT = (
    "the of is a in was how who what where when high long river mountain city capital eiger rhine bern metres "
    "kilometres first climbed by 1858 3967 1233 ann bob rises flows through swiss alps lake north south . , ? # ! and "
    "it very old bridge built stone red house near answer page text word another some thing"
)
VOCABULARY = (*SPECIAL, *dict.fromkeys(TEXT.split()))
ANSWERS = ("3967", "1233", "1858", "bern")
"""Words that the tiny reader takes for answers, the first most of all."""
DIM = 16


@cache
def tokenizer_json() -> bytes:
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str().encode()


def model_folder(card: dict[str, Any], graph: bytes, more: Mapping[str, bytes] = MappingProxyType({})) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"tiny-{card['family']}-"))
    facts: dict[str, Any] = {"name": folder.name, "backend": "onnxruntime", "licence": "Apache-2.0", "summary": "tiny"}
    write_model_folder(
        folder, ModelCard(**(facts | card)), {"model.onnx": graph, "tokenizer.json": tokenizer_json(), **more}
    )
    return folder


def onnx_graph(
    nodes: list[Any], tables: dict[str, AnyArray], inputs: tuple[str, ...], outputs: dict[str, Any]
) -> bytes:
    takes = [helper.make_tensor_value_info(name, TensorProto.INT64, ["one", "tokens"]) for name in inputs]
    gives = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    known = [numpy_helper.from_array(value, name) for name, value in tables.items()]
    graph = helper.make_graph(nodes, "g", takes, gives, known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@cache
def word_table() -> AnyArray:
    """Shape (words, 16), float32; special tokens are zeros."""
    table = np.random.default_rng(3).normal(size=(len(VOCABULARY), DIM)).astype(np.float32)
    table[: len(SPECIAL)] = 0
    return table


@cache
def encoder_folder(*, max_tokens: int = 64) -> Path:
    """A text's vector is the mean of its words'."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    graph = onnx_graph(
        nodes, {"table": word_table()}, ("input_ids", "attention_mask"), {"last_hidden_state": ["one", "tokens", DIM]}
    )
    options = {"max_tokens": max_tokens, "overlap": 4, "token_budget": 4096}
    return model_folder({"task": "nlp.embedding", "family": "sentence-encoder", "options": options}, graph)


@cache
def reranker_folder() -> Path:
    """The logit is 4 for each different word that both texts have, less 6."""
    size = len(VOCABULARY)
    table = np.eye(size, dtype=np.float32)
    for word in (*SPECIAL, ".", "?", "the", "is", "of", "how", "what", "who", "where", "when", "#", "in"):
        table[VOCABULARY.index(word)] = 0
    axes = np.array([2], np.int64)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["types", "axes"], ["second"]),
        helper.make_node("Sub", ["unit", "second"], ["first"]),
        helper.make_node("Mul", ["words", "first"], ["asked"]),
        helper.make_node("Mul", ["words", "second"], ["told"]),
        helper.make_node("ReduceMax", ["asked"], ["a"], axes=[1], keepdims=0),
        helper.make_node("ReduceMax", ["told"], ["b"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["a", "b"], ["both"]),
        helper.make_node("ReduceSum", ["both", "last"], ["shared"], keepdims=1),
        helper.make_node("Mul", ["shared", "four"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "six"], ["logits"]),
    ]
    tables = {
        "table": table,
        "axes": axes,
        "last": np.array([1], np.int64),
        "unit": np.float32([1]),
        "four": np.float32([4]),
        "six": np.float32([6]),
    }
    graph = onnx_graph(nodes, tables, ("input_ids", "attention_mask", "token_type_ids"), {"logits": ["one", 1]})
    return model_folder({"task": "nlp.reranking", "family": "pair-scorer", "options": {"max_tokens": 48}}, graph)


def reader_graph(scores: Mapping[str, float], *, joined: bool = False) -> bytes:
    """Starts and ends score what their word does, 0 where it is not among ``scores``."""
    table = np.zeros((len(VOCABULARY), 2 if joined else 1), np.float32)
    for word, score in scores.items():
        table[VOCABULARY.index(word)] = score
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    if joined:
        nodes = [helper.make_node("Gather", ["table", "input_ids"], ["logits"])]
        return onnx_graph(nodes, {"table": table}, inputs, {"logits": ["one", "tokens", 2]})
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["start_logits"]),
        helper.make_node("Gather", ["table", "input_ids"], ["end_logits"]),
    ]
    shapes = {"start_logits": ["one", "tokens"], "end_logits": ["one", "tokens"]}
    return onnx_graph(nodes, {"table": table[:, 0].copy()}, inputs, shapes)


SCORES = MappingProxyType({"[CLS]": 2.0, **{word: 8.0 - at for at, word in enumerate(ANSWERS)}})


@cache
def reader_folder(*, joined: bool = False, **options: Any) -> Path:
    """Starts and ends score what their word does: 8, 7, 6, 5 for :data:`ANSWERS`, 2 for [CLS], 0 for others."""
    settings = {"max_tokens": 24, "overlap": 6, "max_answer_tokens": 4} | options
    card = {"task": "nlp.qa", "family": "extractive-reader", "options": settings}
    return model_folder(card, reader_graph(SCORES, joined=joined))


def twice_folder(*, exact: bool = True, **options: Any) -> Path:
    """The same reader beside a form of it that takes 1233 for as good as 3967, and bern for as good as no answer."""
    settings = {"max_tokens": 24, "overlap": 6, "max_answer_tokens": 4, "ask_again_below": 0.5} | options
    card = {"task": "nlp.qa", "family": "extractive-reader", "options": settings}
    form = reader_graph({**SCORES, "1233": 8.1, "bern": 1.9})
    more = {"model-float32.onnx": reader_graph(SCORES)} if exact else {}
    return model_folder(card, form, more)
