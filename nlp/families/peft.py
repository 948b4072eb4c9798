"""LoRA adapters of the library ``peft``, merged into the checkpoint that they stand on; the library is not needed.

An adapter is ``adapter_config.json`` and ``adapter_model.safetensors``. A layer's weight becomes the base's plus
``scale`` B A (E. J. Hu and others, "LoRA", ICLR 2022), where ``scale`` is ``lora_alpha`` / r, or ``lora_alpha`` /
sqrt(r) with ``use_rslora`` (D. Kalajdzievski, "A rank stabilization scaling factor for fine-tuning with LoRA", 2023); a
layer that ``alpha_pattern`` names has its own. Whatever else the file holds (heads of ``modules_to_save``, biases)
takes the place of the base's tensor of that name. The tokeniser is the base's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.weights import Opened
from shared.weights.checkpoints import ADAPTER_CONFIG, ADAPTER_MODEL

TYPES = {
    "nlp.classification": "SEQ_CLS",
    "nlp.reranking": "SEQ_CLS",
    "nlp.ner": "TOKEN_CLS",
    "nlp.qa": "QUESTION_ANS",
    "nlp.embedding": "FEATURE_EXTRACTION",
}
"""What peft calls our tasks."""
_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_HEAD = re.compile(r"(classifier(\.out_proj)?|score|qa_outputs)\.weight")


def base_name(config: Path) -> tuple[str, str | None]:
    """The name of the checkpoint that an adapter stands on, and its revision where one is stated.

    Raises:
        DataError: the configuration is malformed.
    """
    facts = settings(config)
    name, revision = facts.get("base_model_name_or_path"), facts.get("revision")
    if not isinstance(name, str) or not name:
        raise DataError(f"{config} must name the adapter's base as base_model_name_or_path. Got {name!r} instead")
    return name, revision if isinstance(revision, str) and revision else None


def settings(config: Path) -> dict[str, Any]:
    """An adapter's configuration.

    Raises:
        DataError: it is malformed, or of another kind than LoRA's plain one.
    """
    try:
        facts = json.loads(config.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{config} must be an adapter's configuration. {error}") from error
    kind = facts.get("peft_type") if isinstance(facts, dict) else None
    if kind != "LORA" or facts.get("use_dora"):
        raise DataError(f"{config} must be of a LORA adapter without DoRA. Got peft_type {kind!r} instead")
    return dict(facts)


def over(adapter: Opened, base: Opened) -> Opened:
    """An adapter and its base as the files of one checkpoint."""
    card = replace(adapter.card, opt_in=adapter.card.opt_in or base.card.opt_in)
    return Opened(card, {**base.files, **{name: adapter.files[name] for name in (ADAPTER_CONFIG, ADAPTER_MODEL)}})


def check_task(config: Path, task: str) -> None:
    """Check that an adapter is for a task.

    Raises:
        UsageError: it is for another.
    """
    kind = settings(config).get("task_type")
    if task not in TYPES or kind not in (None, TYPES[task]):
        known = ", ".join(f"{name} ({kind})" for name, kind in TYPES.items())
        raise UsageError(f"an adapter must be for one of {known}. {config} is {kind}, and is asked for {task}")


def head_size(weights: Path) -> int | None:
    """How many answers the head of an adapter gives; ``None`` where it has no head."""
    sizes = [len(values) for name, values in _tensors(weights).items() if _HEAD.fullmatch(name)]
    return sizes[0] if sizes else None


def replaced(weights: Path) -> set[str]:
    """The names of the tensors that an adapter brings whole."""
    return {name for name in _tensors(weights) if not name.endswith((_DOWN, _UP))}


def merge(model: Any, config: Path, weights: Path) -> None:
    """Put an adapter into a model of transformers, in place.

    Raises:
        DataError: a tensor is of no part of the model, or of another shape.
    """
    torch = require("torch", extra="torch")
    facts, tensors = settings(config), _tensors(weights)
    state = model.state_dict()
    with torch.no_grad():
        for name, values in tensors.items():
            if name.endswith(_UP) and name.removesuffix(_UP) + _DOWN in tensors:
                continue
            part = name.removesuffix(_DOWN)
            up = tensors.get(part + _UP) if name.endswith(_DOWN) else None
            place = name if up is None else f"{part}.weight"
            added = values
            if up is not None and up.ndim == values.ndim == 2 and up.shape[1] == len(values):
                added = _scale(facts, part, len(values)) * (up.double() @ values.double())
                added = added.T if facts.get("fan_in_fan_out") else added
            if place not in state or state[place].shape != added.shape:
                known = tuple(state[place].shape) if place in state else "nothing"
                raise DataError(
                    f"{weights}: {name} must fit the base, which has {known} at {place}. Got {tuple(values.shape)}"
                )
            state[place].copy_(added if up is None else state[place].double() + added)


def _scale(facts: Mapping[str, Any], part: str, rank: int) -> float:
    own = facts.get("alpha_pattern") or {}
    named = next((value for key, value in own.items() if re.fullmatch(rf"(.*\.)?({key})", part)), None)
    alpha = float(facts["lora_alpha"] if named is None else named)
    return alpha / (rank**0.5 if facts.get("use_rslora") else rank)


def _tensors(weights: Path) -> dict[str, Any]:
    library = require("safetensors", extra="torch")
    try:
        found = require("safetensors.torch", extra="torch").load_file(weights)
    except (OSError, library.SafetensorError, KeyError) as error:
        raise DataError(f"{weights} must be an adapter in safetensors form. {error}") from error
    return {name.removeprefix(_PREFIX).replace(".base_layer.", "."): values for name, values in found.items()}
