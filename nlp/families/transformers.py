"""Checkpoints of transformers, of the hub or a folder: exported once. Safetensors only, and never code of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlp.families import peft
from nlp.families.bare import GRAPH, TOKENIZER
from nlp.pairs import pair_template
from nlp.tokenize import TextTokenizer, load_tokenizer
from shared.backends import open_backend
from shared.backends.tracing import differs, trace
from shared.catalogue import ModelCard
from shared.errors import BackendError, DataError, UsageError
from shared.lazy import require
from shared.types import AnyArray, Int64
from shared.weights import Opened
from shared.weights.checkpoints import (
    ADAPTER_CONFIG,
    ADAPTER_MODEL,
    CONFIG,
    architecture,
    from_folder,
    from_hub,
    gathered,
)
from shared.weights.exports import Checkpoint, Exported, plain_name

LIBRARY = "transformers"
BACKEND = "onnxruntime"
TOKENIZER_FILES = (
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "source.spm",
    "target.spm",
    "generation_config.json",
    "chat_template.jinja",
)
"""What may stand beside a checkpoint's tensors and says how text becomes tokens."""
ROOM, LEAST_ROOM = 2048, 512
"""Tokens of a window: at most for models that read more, and what is taken for those that name no limit."""
TOKEN_BUDGET = 8192
_PROBES = ("A plain sentence, with 42 numbers.", "Na\u00efve caf\u00e9s \u2014 open   late!", "ok")
_LENGTHS = (3, 17, 120)


@dataclass(frozen=True)
class Kind:
    """What transformers can do for one of our tasks.

    Attributes:
        task: ours.
        endings: how the names of the architectures end.
        auto: the class that loads them.
        family: which prepare and decode serve the graph.
        outputs: names of the graph's outputs, which are attributes of the model's answer.
        pairs: whether a window holds two texts.
    """

    task: str
    endings: tuple[str, ...]
    auto: str
    family: str
    outputs: tuple[str, ...] = ("logits",)
    pairs: bool = False


_SEQUENCE = (("ForSequenceClassification",), "AutoModelForSequenceClassification")
KINDS = (
    Kind("nlp.classification", *_SEQUENCE, "text-classifier"),
    Kind("nlp.reranking", *_SEQUENCE, "pair-scorer", pairs=True),
    Kind("nlp.ner", ("ForTokenClassification",), "AutoModelForTokenClassification", "token-classifier"),
    Kind(
        "nlp.qa",
        ("ForQuestionAnswering",),
        "AutoModelForQuestionAnswering",
        "extractive-reader",
        ("start_logits", "end_logits"),
        pairs=True,
    ),
    Kind("nlp.embedding", ("Model", "ForMaskedLM"), "AutoModel", "sentence-encoder", ("last_hidden_state",)),
)
NLI = "nli"


def from_name(name: str, *, task: str) -> Opened:
    """The files of ``OWNER/NAME[@REVISION]`` of the hub; see :func:`shared.weights.checkpoints.from_hub`."""
    return from_hub(name, task=task, beside=TOKENIZER_FILES)


def from_path(path: Path, *, task: str) -> Opened:
    """The files in a local folder; see :func:`shared.weights.checkpoints.from_folder`."""
    return from_folder(path, task=task, beside=TOKENIZER_FILES)


def from_card(opened: Opened) -> Checkpoint:
    """The checkpoint of a catalogue row of this family, or of files that were found."""
    card = opened.card
    return Checkpoint(LIBRARY, card.name, dict(opened.files), dict(card.options), card.licence, card.opt_in)


def export(checkpoint: Checkpoint, task: str) -> Exported:
    """The graph, tokeniser and card of a checkpoint.

    Raises:
        UsageError: it serves another task.
        DataError: it cannot be read or exported, or answers differently once it is.
    """
    name = architecture(checkpoint.files[CONFIG])
    kinds = [kind for kind in KINDS if kind.task == task]
    kind = next((kind for kind in kinds if name.endswith(kind.endings)), None)
    if ADAPTER_CONFIG in checkpoint.files and kinds:
        peft.check_task(checkpoint.files[ADAPTER_CONFIG], task)
        kind = kinds[0]
    if kind is None:
        known = ", ".join(f"...{ending}" for kind in kinds for ending in kind.endings) or "none that is known"
        raise UsageError(f"a checkpoint for {task} must be one of {known}. It is a {name}")
    model, tokenizer = _loaded(checkpoint, kind)
    described = tokenizer.backend_tokenizer.to_str()
    options: dict[str, Any] = dict(checkpoint.settings) | _room(model, tokenizer)
    family = kind.family
    if kind.outputs == ("logits",):
        labels = [str(label) for _, label in sorted((int(n), label) for n, label in model.config.id2label.items())]
        told, family = _told(kind, labels, model.config)
        options = told | options
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / TOKENIZER).write_text(described, "utf-8")
        own = load_tokenizer(Path(folder) / TOKENIZER)
        _check_tokens(own, tokenizer)
        content = _graph(model, kind, _requests(own, tokenizer, model, kind, family), Path(folder) / GRAPH)
    summary = f"{checkpoint.name}, a {name} of transformers"
    plain = plain_name(checkpoint.name)
    card = ModelCard(
        plain, task, family, BACKEND, checkpoint.licence, summary, options=options, opt_in=checkpoint.opt_in
    )
    return Exported(card, {GRAPH: content, TOKENIZER: described.encode()})


def _loaded(checkpoint: Checkpoint, kind: Kind) -> tuple[Any, Any]:
    """The model, in evaluation, and its tokeniser."""
    transformers = require("transformers", extra="torch")
    safe: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    adapter = checkpoint.files.get(ADAPTER_MODEL)
    outputs = None if adapter is None else peft.head_size(adapter)
    sized = {"num_labels": outputs, "ignore_mismatched_sizes": True} if outputs else {}
    plain = {name: path for name, path in checkpoint.files.items() if name not in (ADAPTER_CONFIG, ADAPTER_MODEL)}
    with gathered(plain) as folder:
        try:
            model, told = getattr(transformers, kind.auto).from_pretrained(
                folder, use_safetensors=True, attn_implementation="eager", output_loading_info=True, **sized, **safe
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, **safe)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise DataError(f"transformers cannot read {checkpoint.name}: {str(error).splitlines()[0]}") from error
    missing = sorted({*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"])})
    if adapter is not None:
        peft.merge(model.float(), checkpoint.files[ADAPTER_CONFIG], adapter)
        missing = sorted({*missing} - peft.replaced(adapter))
    if missing:
        raise DataError(f"{checkpoint.name} must hold every tensor of its model. It lacks {', '.join(missing[:4])}")
    if not getattr(tokenizer, "is_fast", False):
        raise DataError(f"{checkpoint.name} must have a tokeniser that can be written as {TOKENIZER}. It has none")
    return model.eval().float(), tokenizer


def _room(model: Any, tokenizer: Any) -> dict[str, int]:
    """How many tokens the model reads at once, as a card's options say it."""
    positions = getattr(model.config, "max_position_embeddings", None) or LEAST_ROOM
    first = getattr(getattr(model.base_model, "embeddings", None), "padding_idx", None)
    if isinstance(first, int):  # RoBERTa and its kin count positions from the number of the padding token
        positions -= first + 1
    room = min(int(positions), int(tokenizer.model_max_length), ROOM)
    return {"max_tokens": room, "overlap": room // 8, "token_budget": max(TOKEN_BUDGET, room)}


def _told(kind: Kind, labels: list[str], config: Any) -> tuple[dict[str, Any], str]:
    """What the configuration says of the answers, as a card's options, and the family that serves them."""
    if kind.family == "token-classifier":
        return {
            "tags": labels,
            "scheme": "BIOES" if any(tag[:2] in ("S-", "E-") for tag in labels) else "BIO",
        }, kind.family
    if kind.family != "text-classifier":
        return {}, kind.family
    entailment = [at for at, label in enumerate(labels) if label.lower().startswith("entail")]
    if entailment:
        against = [at for at, label in enumerate(labels) if label.lower().startswith(("contra", "not_entail"))]
        told: dict[str, Any] = {"entailment": entailment[0]}
        return told | ({"contradiction": against[0]} if against else {}), NLI
    if len(labels) == 1:
        raise UsageError("a text classifier must have two labels at least. This checkpoint gives one number a text")
    return {"labels": labels, "multi_label": config.problem_type == "multi_label_classification"}, kind.family


def _check_tokens(own: TextTokenizer, tokenizer: Any) -> None:
    for text in _PROBES:
        wanted, got = tokenizer(text)["input_ids"], own.window(own.ids(text)).tolist()
        if wanted != got:
            raise DataError(f"the tokeniser must answer as transformers does. Of {text!r} it makes {got}, not {wanted}")


def _requests(own: TextTokenizer, tokenizer: Any, model: Any, kind: Kind, family: str) -> list[dict[str, Int64]]:
    """Windows of ordinary tokens, of several lengths, with what the model reads of each."""
    special = set(tokenizer.all_special_ids)
    ordinary = np.array([n for n in range(min(len(tokenizer), model.config.vocab_size)) if n not in special])
    rng = np.random.default_rng(0)
    room = min(_room(model, tokenizer)["max_tokens"] - 8, max(_LENGTHS))
    typed = "token_type_ids" in tokenizer.model_input_names and getattr(model.config, "type_vocab_size", 1) > 1
    found = []
    for length in _LENGTHS:
        tokens = rng.choice(ordinary, min(length, room)).astype(np.int64)
        if kind.pairs or family == NLI:
            middle = max(1, len(tokens) // 3)
            ids, types = pair_template(own).join(tokens[:middle], tokens[middle:])
        else:
            ids = own.window(tokens)
            types = np.zeros_like(ids)
        request = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        found.append({k: v[None] for k, v in (request | ({"token_type_ids": types} if typed else {})).items()})
    return found


def _graph(model: Any, kind: Kind, requests: Sequence[Mapping[str, Int64]], path: Path) -> bytes:
    """The traced graph, once it has answered every request as the model does."""
    torch = require("torch", extra="torch")
    names = list(requests[0])

    class Tokens(torch.nn.Module):  # type: ignore[name-defined,misc]  # torch is imported late
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *given: Any) -> tuple[Any, ...]:
            answer = self.model(**dict(zip(names, given)))
            return tuple(getattr(answer, name) for name in kind.outputs)

    whole = Tokens().eval()
    axes = {name: {1: "tokens"} for name in names}
    axes |= {name: {1: "tokens"} for name in kind.outputs if kind.family not in ("text-classifier", "pair-scorer")}
    with torch.inference_mode():
        given = {name: torch.from_numpy(value) for name, value in requests[1].items()}
        trace(whole, given, path, outputs=kind.outputs, axes=axes)
        for request in requests:
            answer = whole(*(torch.from_numpy(request[name]) for name in names))
            wanted = {name: value.numpy() for name, value in zip(kind.outputs, answer, strict=True)}
            fault = differs(wanted, _run(path, request))
            if fault:
                count = request["input_ids"].shape[1]
                raise DataError(f"the exported graph must answer as the model does. For {count} tokens {fault}")
    return path.read_bytes()


def _run(path: Path, request: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    try:
        backend = open_backend(BACKEND, path, threads=1)
        return backend.run([{spec.name: request[spec.name] for spec in backend.inputs}])[0]
    except BackendError as error:
        raise DataError(f"the exported graph does not run: {error}") from error
