"""Any encoder of transformers as what a training begins with: trained whole, or by adapters of the library peft.

What is saved is the graph, exported as :mod:`nlp.families.transformers` exports any checkpoint, so that the model
answers without torch. Adapters lie beside it in peft's own two files, for whoever uses them with that library. Its
additions are scaled by ``lora_alpha`` / r = 1; the heads are trained whole (``modules_to_save``).
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nlp.families import checkpoint
from nlp.families.bare import TOKENIZER
from nlp.families.peft import TYPES
from nlp.families.transformers import export, from_card, from_path
from nlp.tokenize import TextTokenizer, load_tokenizer
from nlp.training.network import Adapting
from nlp.training.options import FULL, Recipe
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.weights import Opened
from shared.weights.cache import sha256_of
from shared.weights.checkpoints import ADAPTER_CONFIG, ADAPTER_MODEL, gathered

TASKS = {"text": "nlp.classification", "tokens": "nlp.ner", "spans": "nlp.qa"}
_AUTO = {
    "text": "AutoModelForSequenceClassification",
    "tokens": "AutoModelForTokenClassification",
    "spans": "AutoModelForQuestionAnswering",
}
_SAFE: Mapping[str, Any] = {"trust_remote_code": False, "local_files_only": True}
_LAYER = re.compile(r"\.(?:layers?|block)\.(\d+)\.")
_NAMED = re.compile(r"hf:(?P<repository>[^@]+)(?:@(?P<revision>.+))?")


@dataclass(frozen=True)
class CheckpointStart:
    """A checkpoint of transformers before training; the attributes are those of :class:`nlp.training.base.Start`."""

    name: str
    files: Opened
    tokenizer: TextTokenizer
    positions: int
    layers: int
    sha256: str

    @property
    def opt_in(self) -> str:
        """Why a model of it must be chosen by name, or empty."""
        return self.files.card.opt_in

    def network(self, adapting: Adapting, *, head: str, names: Sequence[str] = (), features: int = 0) -> Any:
        """The checkpoint with a new head; see :meth:`nlp.training.base.Start.network`. It reads no ``features``.

        Raises:
            DataError: transformers cannot read it, or has no such head for it.
        """
        transformers = require("transformers", extra="torch")
        unreadable = require("safetensors", extra="all").SafetensorError
        sizes = {"num_labels": len(names), "id2label": dict(enumerate(names))} if names else {}
        with gathered(self.files.files) as folder, _quiet():
            try:
                model = getattr(transformers, _AUTO[head]).from_pretrained(
                    folder, use_safetensors=True, ignore_mismatched_sizes=True, **sizes, **_SAFE
                )
            except (OSError, ValueError, KeyError, RuntimeError, ImportError, unreadable) as error:
                raise DataError(f"transformers cannot read {self.name}: {str(error).splitlines()[0]}") from error
            return _class()(_trainable(model.float(), adapting, TASKS[head], self.name), head)

    def saved(
        self, network: Any, recipe: Recipe, *, types: bool = False, several: bool = False
    ) -> tuple[dict[str, bytes], dict[str, Any]]:
        """The files of the trained model, and the options by which they are opened.

        Raises:
            DataError: the exported graph answers otherwise than the model.
        """
        files: dict[str, bytes] = {}
        with tempfile.TemporaryDirectory() as place, _quiet():
            folder = Path(place) / "whole"
            model = network.model
            if recipe.method != FULL:
                adapter = Path(place) / "adapter"
                model.save_pretrained(adapter)
                files = {name: (adapter / name).read_bytes() for name in (ADAPTER_CONFIG, ADAPTER_MODEL)}
                model = model.merge_and_unload()
            model.config.problem_type = "multi_label_classification" if several else None
            model.save_pretrained(folder)
            for name, path in self.files.files.items():
                if not (folder / name).exists() and not name.endswith((".safetensors", ".index.json")):
                    (folder / name).write_bytes(path.read_bytes())
            task = TASKS[network.head_kind]
            exported = export(from_card(from_path(folder, task=task)), task)
        options = {name: value for name, value in exported.card.options.items() if name != "labels"}
        return files | dict(exported.files), options | {"max_tokens": min(options["max_tokens"], self.positions)}


def open_checkpoint(name: str) -> CheckpointStart:
    """A checkpoint by a name for which :func:`nlp.families.is_checkpoint` is true.

    Raises:
        UsageError: it is an adapter.
        DataError: transformers cannot read it, or it has no tokeniser that can be written down.
        SourceError, WeightsError: a file cannot be had.
    """
    found = checkpoint(name, task="a base")
    transformers = require("transformers", extra="torch")
    with gathered(found.files) as folder:
        try:
            config = transformers.AutoConfig.from_pretrained(folder, **_SAFE)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, **_SAFE)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise DataError(f"transformers cannot read {name}: {str(error).splitlines()[0]}") from error
    if not getattr(tokenizer, "is_fast", False):
        raise DataError(f"{name} must have a tokeniser that can be written as {TOKENIZER}. It has none")
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / TOKENIZER).write_text(tokenizer.backend_tokenizer.to_str(), "utf-8")
        own = load_tokenizer(Path(place) / TOKENIZER)
    positions = int(getattr(config, "max_position_embeddings", 0) or 512)
    if "roberta" in str(config.model_type):  # its positions are counted from the number of the padding token
        positions -= int(config.pad_token_id) + 1
    weights = sorted(path for file, path in found.files.items() if file.endswith(".safetensors"))
    return CheckpointStart(
        name,
        found,
        own,
        min(positions, int(tokenizer.model_max_length)),
        int(config.num_hidden_layers),
        sha256_of(weights[0]),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' reports of what they load and save, and their warnings of each other, left out for a while."""
    logging = require("transformers", extra="torch").utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _trainable(model: Any, adapting: Adapting, task: str, name: str) -> Any:
    """The model with what is to be trained, and no more, needing gradients."""
    torch = require("torch", extra="torch")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = adapting.dropout
    stem = f"{model.base_model_prefix}."
    layers = {part: _number(part) for part, _ in model.named_modules()}
    last = max((number for number in layers.values() if number is not None), default=0)
    chosen = last + 1 - adapting.layers
    if not adapting.rank:
        for part, parameter in model.named_parameters():
            number = _number(part)
            below = number < chosen if number is not None else chosen > 0 and part.startswith(stem)
            parameter.requires_grad = not below
        return model
    linear = [
        part
        for part, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and (number := layers[part]) is not None and number >= chosen
    ]
    heads = sorted({part.split(".")[0] for part, _ in model.named_parameters() if not part.startswith(stem)})
    if not linear:
        raise UsageError(f"{name} has no linear layers that low-rank additions could stand on: give --method full")
    peft = require("peft", extra="torch")
    config = peft.LoraConfig(
        task_type=TYPES[task],
        r=adapting.rank,
        lora_alpha=adapting.rank,
        lora_dropout=0.0,
        target_modules=linear,
        modules_to_save=heads,
    )
    wrapped = peft.get_peft_model(model, config)
    told = _NAMED.fullmatch(name)
    adapter = wrapped.peft_config["default"]
    adapter.base_model_name_or_path = told["repository"] if told else str(Path(name).expanduser().resolve())
    adapter.revision = told["revision"] if told else None
    return wrapped


def _number(part: str) -> int | None:
    """The layer that a part belongs to, if it does to one."""
    found = _LAYER.search(f".{part}.")
    return int(found[1]) if found else None


@cache
def _class() -> type[Any]:
    torch = require("torch", extra="torch")

    class Network(torch.nn.Module):  # type: ignore[misc, name-defined]
        """A model of transformers, called as our own network is."""

        def __init__(self, model: Any, head: str) -> None:
            super().__init__()
            self.model, self.head_kind = model, head
            self.typed = int(getattr(model.config, "type_vocab_size", 0) or 0) > 1
            self.padding = int(model.config.pad_token_id or 0)

        def forward(self, ids: Any, types: Any, mask: Any, features: Any = None) -> Any:
            """Logits, shape (n, outputs) or (n, tokens, outputs)."""
            given = {"input_ids": ids if mask is None else ids.masked_fill(~mask, self.padding)}
            given["attention_mask"] = torch.ones_like(ids) if mask is None else mask.long()
            if self.typed:
                given["token_type_ids"] = types
            found = self.model(**given)
            if self.head_kind == "spans":
                return torch.stack([found.start_logits, found.end_logits], dim=-1)
            return found.logits

    return Network
