"""Causal language models on this machine: a checkpoint, one with an adapter over it, or a model of our own training.

A model folder holds a whole checkpoint (family ``causal-lm``), or an adapter (``causal-adapter``) whose card names its
base and the hash of the base's weights. Safetensors only, and never code of a checkpoint's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp.families import checkpoint, is_checkpoint, peft
from nlp.qa.generate import Message
from shared.catalogue import ModelCard
from shared.errors import DataError, InputError, UnknownNameError, UsageError
from shared.lazy import require
from shared.weights import Opened, resolve
from shared.weights.cache import sha256_of
from shared.weights.checkpoints import ADAPTER_CONFIG, ADAPTER_MODEL, gathered

TASK_NAME = "nlp.generation"
WHOLE, ADAPTED = "causal-lm", "causal-adapter"
DEFAULT_ROOM = 1024
"""Tokens that a model reads where its configuration does not say."""
_SAFE: Mapping[str, Any] = {"trust_remote_code": False, "local_files_only": True}


@dataclass(frozen=True)
class Causal:
    """A language model that is open.

    Attributes:
        card: what it is.
        model: of transformers, in evaluation.
        tokenizer: of transformers.
        room: tokens that it reads and writes together at most.
    """

    card: ModelCard
    model: Any
    tokenizer: Any
    room: int

    def ids(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of what it is told; see :func:`prompt_ids`."""
        return prompt_ids(self.tokenizer, messages)

    def pieces(self, messages: Sequence[Message], *, most_tokens: int) -> Iterator[str]:
        """The likeliest words, in pieces as they come.

        Raises:
            InputError: what it is told leaves no room for so many tokens (``"too-large"``).
        """
        ids = self.ids(messages)
        room = self.room - most_tokens
        if len(ids) > room:
            raise InputError(
                "too-large",
                f"what the model {self.card.name} is told must have at most {room} tokens. Got {len(ids)}: "
                "show it less, or let it write fewer (--most-tokens)",
            )
        yield from likeliest(self.model, self.tokenizer, ids, most_tokens)


def open_causal(name: str | Path, *, threads: int | None = None) -> Causal:
    """Open a language model.

    Args:
        name: ``hf:OWNER/NAME[@REVISION]``, a folder of a checkpoint or of an adapter of peft, or a model folder of
            ``triptych train nlp.generation``.
        threads: processor threads; ``None`` leaves torch's own.

    Raises:
        DataError: transformers cannot read it, or an adapter's base has other weights than it was trained on.
        MissingDependencyError: the extra ``torch`` is not installed.
        UnknownNameError, UsageError, WeightsError: it is not there, or serves another task.
    """
    torch = require("torch", extra="torch")
    if threads is not None:
        torch.set_num_threads(threads)
    if is_checkpoint(name):
        return loaded(checkpoint(name, task=TASK_NAME, adapters=True), str(name))
    opened = resolve(name, task=TASK_NAME)
    if opened.card.family == WHOLE:
        return loaded(opened, str(name))
    if opened.card.family != ADAPTED:
        raise UnknownNameError(f"family of {TASK_NAME}", opened.card.family, (WHOLE, ADAPTED))
    base = base_of(opened.card)
    return loaded(Opened(opened.card, {**base.files, **opened.files}), str(name))


def base_of(card: ModelCard) -> Opened:
    """The checkpoint that an adapter stands on, with the very weights that it was trained on.

    Raises:
        DataError: the card names none, or its weights are others.
        UsageError: it is not there.
    """
    name, wanted = card.options.get("base"), card.options.get("base_sha256")
    if not isinstance(name, str) or not is_checkpoint(name):
        raise UsageError(
            f"model {card.name!r} is an adapter over {name!r}, which is no checkpoint here. Put it back there, or "
            "train with --whole, which saves the base with it"
        )
    base = checkpoint(name, task=TASK_NAME)
    found = weights_sha256(base)
    if found != wanted:
        raise DataError(
            f"model {card.name!r} must stand on the weights that it was trained on ({str(wanted)[:16]}...). Those of "
            f"{name} are others now ({found[:16]}...)"
        )
    return base


def weights_sha256(opened: Opened) -> str:
    """The hash of a checkpoint's first file of tensors."""
    return sha256_of(min(path for name, path in opened.files.items() if name.endswith(".safetensors")))


def loaded(opened: Opened, name: str) -> Causal:
    """A model of files that are here, an adapter among them merged.

    Raises:
        DataError: transformers cannot read it.
    """
    transformers = require("transformers", extra="torch")
    unreadable = require("safetensors", extra="all").SafetensorError
    plain = {file: path for file, path in opened.files.items() if file not in (ADAPTER_CONFIG, ADAPTER_MODEL)}
    with gathered(plain) as folder:
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **_SAFE)
            model = transformers.AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **_SAFE)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, unreadable) as error:
            raise DataError(f"transformers cannot read the model {name}: {str(error).splitlines()[0]}") from error
    model = model.float()
    if ADAPTER_MODEL in opened.files:
        peft.merge(model, opened.files[ADAPTER_CONFIG], opened.files[ADAPTER_MODEL])
    return Causal(opened.card, model.eval(), tokenizer, room_of(model.config))


def room_of(config: Any) -> int:
    """Tokens that a model of this configuration reads at most."""
    return int(getattr(config, "max_position_embeddings", None) or DEFAULT_ROOM)


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The tokens of what a model is told.

    By the tokeniser's own template of chats where it has one. Else a single message stands as it is, and several are
    set apart by empty lines with ``Answer:`` below.
    """
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if len(messages) == 1:
        ids = list(tokenizer(messages[0]["content"])["input_ids"])
        return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids
    text = "\n\n".join(message["content"] for message in messages) + "\nAnswer:"
    return list(tokenizer(text)["input_ids"])


def completion_ids(tokenizer: Any, messages: Sequence[Message], completion: str) -> list[int]:
    """The tokens of what a model should answer to that, with the one that ends it."""
    if tokenizer.chat_template:
        told = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        answer = {"role": "assistant", "content": completion}
        whole = tokenizer.apply_chat_template([*messages, answer], tokenize=False)
        completion = whole.removeprefix(told) if whole.startswith(told) else completion
        ids = list(tokenizer(completion, add_special_tokens=False)["input_ids"])
    else:
        between = "" if len(messages) == 1 else " "
        ids = list(tokenizer(between + completion, add_special_tokens=False)["input_ids"])
    end = tokenizer.eos_token_id
    return ids if end is None or (ids and ids[-1] == end) else [*ids, end]


def likeliest(model: Any, tokenizer: Any, ids: Sequence[int], most_tokens: int) -> Iterator[str]:
    """Greedy decoding with a cache of keys and values; text comes as soon as its characters are whole."""
    torch = require("torch", extra="torch")
    ends = model.generation_config.eos_token_id
    stops = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id}
    written: list[int] = []
    told, past = "", None
    given = torch.tensor([list(ids)])
    with torch.inference_mode():
        for _ in range(most_tokens):
            answer = model(input_ids=given, past_key_values=past, use_cache=True)
            past = answer.past_key_values
            best = int(answer.logits[0, -1].argmax())
            if best in stops:
                break
            written.append(best)
            given = torch.tensor([[best]])
            text = tokenizer.decode(written, skip_special_tokens=True)
            if not text.endswith("\ufffd"):
                yield text[len(told) :]
                told = text
