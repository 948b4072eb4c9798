"""Text graphs small enough to make here: the tiny encoder's twelve words, logits that are a mean over words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tiny_encoder import WORDS, tokenizer_json
from tokenizers import Tokenizer, processors

from shared.catalogue import ModelCard
from shared.types import Float32
from shared.weights import write_model_folder

PER_TEXT, PER_TOKEN = "text", "token"


def table(words: Mapping[str, Sequence[float]], width: int) -> Float32:
    """A row of numbers for each word, zeros for those that are not named; shape (words, width)."""
    found = np.zeros((len(WORDS), width), dtype=np.float32)
    for word, numbers in words.items():
        found[WORDS.index(word)] = numbers
    return found


def graph_bytes(rows: Float32, *, per: str = PER_TEXT, types: bool = False) -> bytes:
    """A graph whose ``logits`` are each token's row, or the mean of the rows; with ``types`` also of the type ids."""
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    takes = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "tokens"]) for name in names]
    width = rows.shape[1]
    shape = [1, width] if per == PER_TEXT else [1, "tokens", width]
    gives = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
    tensors = [numpy_helper.from_array(rows, "table"), numpy_helper.from_array(np.eye(width, dtype=np.float32), "same")]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    if types:
        tensors.append(numpy_helper.from_array(np.array([2], np.int64), "last"))
        nodes += [
            helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["types", "last"], ["column"]),
            helper.make_node("Mul", ["rows", "column"], ["seen"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["rows"], ["seen"]))
    nodes.append(helper.make_node("MatMul", ["seen", "same"], ["each"]))
    last = helper.make_node("Identity", ["each"], ["logits"])
    if per == PER_TEXT:
        last = helper.make_node("ReduceMean", ["each"], ["logits"], axes=[1], keepdims=0)
    graph = helper.make_graph([*nodes, last], "g", takes, [gives], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def pair_tokenizer_json() -> str:
    """The tiny encoder's, which joins two texts as BERT's does."""
    tokenizer = Tokenizer.from_str(tokenizer_json())
    tokenizer.no_padding()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str()


def text_folder(folder: Path, family: str, graph: bytes, *, task: str = "nlp.classification", **options: Any) -> Path:
    """A model folder of such a graph; windows hold eight tokens, the special ones counted, and overlap by two."""
    facts = {"max_tokens": 8, "overlap": 2, "token_budget": 30} | options
    card = ModelCard(folder.name, task, family, "onnxruntime", "Apache-2.0", "tiny", options=facts)
    write_model_folder(folder, card, {"model.onnx": graph, "tokenizer.json": pair_tokenizer_json().encode()})
    return folder
