"""Our own adapters merged with their base, as a checkpoint that transformers reads: the same weights for both sides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nlp.graphs import open_base
from nlp.graphs.adapters import ADAPTER, merge, read_adapter
from nlp.graphs.parts import BASE_TASK
from shared.weights import resolve


def checkpoint(
    folder: Path, *, task: str, kind: str, head: str, room: int = 512, facts: Mapping[str, Any] | None = None
) -> Path:
    """Write the default model of a task as a plain BERT of transformers.

    Args:
        folder: where to.
        task: whose default it is, a model with an adapter.
        kind: the architecture, `BertForTokenClassification` say.
        head: what transformers calls its head.
        room: tokens of a window.
        facts: what else its configuration says.
    """
    from safetensors.numpy import save_file

    opened = resolve(None, task=task)
    files = resolve(opened.card.options["base"], task=BASE_TASK)
    base = open_base(files)
    merged = merge(base, read_adapter(opened.files[ADAPTER]), origin="the default model")
    own = {"head.weight": f"{head}.weight", "head.bias": f"{head}.bias"}
    tensors = {own.get(name, f"bert.{name}"): values for name, values in merged.items() if name != "features.weight"}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, folder / "model.safetensors")
    shape = base.shape
    config = {
        "architectures": [kind],
        "model_type": "bert",
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "max_position_embeddings": shape.positions,
        "layer_norm_eps": shape.eps,
        "vocab_size": len(merged["embeddings.word_embeddings.weight"]),
    }
    (folder / "config.json").write_text(json.dumps({**config, **(facts or {})}))
    tokenizer = json.loads(files.files["tokenizer.json"].read_text("utf-8"))
    tokenizer |= {"padding": None, "truncation": None}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    told = {"tokenizer_class": "BertTokenizerFast", "model_max_length": room, "pad_token": "[PAD]"}
    told |= {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    return folder
