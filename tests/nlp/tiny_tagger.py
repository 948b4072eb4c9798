"""A tagger small enough to make here: a few words, five tags, the real runtime.

A token's logits are those of its own entry plus a share of the token's before it, so that what stands before a window
is missed at its beginning. One kind also adds what the shape of its word says.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from nlp.ner.shapes import SHAPES, shape_codes
from shared.catalogue import ModelCard
from shared.weights import write_model_folder

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
WORDS = tuple(
    "[PAD] [UNK] [CLS] [SEP] ada love ##lace lon ##don new york mr . in the u s visited , ##s ' paris".split()  # noqa: SIM905
)
_LIKES = {"ada": 1, "love": 2, "lon": 3, "new": 3, "york": 4, "u": 3, "paris": 3}


def tokenizer_json() -> str:
    """As BERT's: lower case, split at spaces and punctuation, word pieces, [CLS] and [SEP] around."""
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str()


def _graph(*, features: bool) -> bytes:
    own = np.zeros((len(WORDS), len(TAGS)), dtype=np.float32)
    own[:, 0] = 2
    for word, tag in _LIKES.items():
        own[WORDS.index(word), [0, tag]] = (0, 4)
    before = np.zeros_like(own)
    before[WORDS.index("ada"), 2] = 3  # "ada x": x is likely the rest of a name
    before[WORDS.index("in"), 3] = 2.5  # "in x": x is likely a place
    tables = [numpy_helper.from_array(own, "own"), numpy_helper.from_array(before, "before")]
    nodes = [
        helper.make_node("Gather", ["own", "input_ids"], ["a"]),
        helper.make_node("Gather", ["before", "input_ids"], ["b"]),
        helper.make_node("Slice", ["b", "from", "to", "axis"], ["c"]),
        helper.make_node("Slice", ["b", "from", "one", "axis"], ["d"]),
        helper.make_node("Sub", ["d", "d"], ["zero"]),
        helper.make_node("Concat", ["zero", "c"], ["e"], axis=1),
        helper.make_node("Add", ["a", "e"], ["f" if features else "logits"]),
    ]
    for name, value in (("from", 0), ("to", -1), ("one", 1), ("axis", 1)):
        tables.append(numpy_helper.from_array(np.array([value], dtype=np.int64), name))
    names = ["input_ids", "attention_mask"]
    if features:
        shapes = np.zeros((SHAPES, len(TAGS)), dtype=np.float32)
        for code in shape_codes(["NATO", "NATO"], starts=[1]).tolist():
            shapes[code, 3] = 9  # capitals are places here
        tables.append(numpy_helper.from_array(shapes, "shapes"))
        nodes += [
            helper.make_node("Gather", ["shapes", "features"], ["g"]),
            helper.make_node("Add", ["f", "g"], ["logits"]),
        ]
        names.append("features")
    takes = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "tokens"]) for name in names]
    gives = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "tokens", len(TAGS)])
    graph = helper.make_graph(nodes, "g", takes, [gives], tables)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@cache
def tagger_folder(
    *, room: int = 512, overlap: int = 8, features: bool = False, words: str = "", tags: tuple[str, ...] = TAGS
) -> Path:
    """A model folder."""
    folder = Path(tempfile.mkdtemp(prefix="tiny-tagger-"))
    options = {"max_tokens": room, "overlap": overlap, "token_budget": 64, "tags": list(tags), "scheme": "BIO"}
    options |= {"words": words} if words else {}
    card = ModelCard("tiny", "nlp.ner", "token-classifier", "onnxruntime", "Apache-2.0", "tiny", options=options)
    files = {"model.onnx": _graph(features=features), "tokenizer.json": tokenizer_json().encode()}
    write_model_folder(folder, card, files)
    return folder
