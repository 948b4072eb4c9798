"""A sentence encoder small enough to make here: twelve words, vectors of four numbers, the real runtime."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from shared.catalogue import ModelCard
from shared.types import Float32
from shared.weights import write_model_folder

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "fine", "awful", "film", "##s", "the", ",")
DIM = 4


@cache
def word_vectors() -> Float32:
    """Shape (words, 4), float32. "good" and "fine" point one way, "bad" and "awful" the other."""
    table = np.random.default_rng(7).normal(scale=0.3, size=(len(WORDS), DIM)).astype(np.float32)
    table[[4, 6], 0] += 2
    table[[5, 7], 0] -= 2
    return table


def tokenizer_json() -> str:
    """As BERT's: lower case, split at spaces and punctuation, word pieces, [CLS] and [SEP] around; pads and cuts."""
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(128)
    return tokenizer.to_str()


@cache
def encoder_folder_path() -> Path:
    """A model folder: each token's vector is its word's. Windows hold six words and overlap by two."""
    folder = Path(tempfile.mkdtemp(prefix="tiny-encoder-"))
    shape = ["batch", "tokens"]
    takes = [helper.make_tensor_value_info(n, TensorProto.INT64, shape) for n in ("input_ids", "attention_mask")]
    gives = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*shape, DIM])
    node = helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])
    graph = helper.make_graph([node], "g", takes, [gives], [numpy_helper.from_array(word_vectors(), "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = {"max_tokens": 8, "overlap": 2, "token_budget": 30}
    card = ModelCard("tiny", "nlp.embedding", "sentence-encoder", "onnxruntime", "Apache-2.0", "tiny", options=options)
    write_model_folder(
        folder, card, {"model.onnx": model.SerializeToString(), "tokenizer.json": tokenizer_json().encode()}
    )
    return folder
