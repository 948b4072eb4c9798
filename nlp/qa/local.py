"""A causal language model of transformers on this machine: its likeliest words, in pieces. Never code of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nlp.qa.generate import Generator, Message
from shared.errors import DataError, InputError
from shared.lazy import require
from shared.settings import offline

MOST_TOKENS = 300
_DEFAULT_ROOM = 1024


def local_generator(name: str, *, threads: int | None = None, most_tokens: int = MOST_TOKENS) -> Generator:
    """Open a model.

    Args:
        name: ``hf:OWNER/NAME[@REVISION]`` or a folder, with weights as safetensors.
        threads: processor threads; ``None`` leaves torch's own.
        most_tokens: that it writes at most.

    Raises:
        MissingDependencyError: the extra ``torch`` is not installed.
        DataError: transformers cannot read it.
    """
    torch = require("torch", extra="torch")
    transformers = require("transformers", extra="torch")
    path, _, revision = name.removeprefix("hf:").partition("@") if name.startswith("hf:") else (name, "", "")
    local = Path(path).expanduser()
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": offline() or local.is_dir()}
    options |= {"revision": revision} if revision else {}
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        place = str(local) if local.is_dir() else path
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **options)
        model = transformers.AutoModelForCausalLM.from_pretrained(place, use_safetensors=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise DataError(f"transformers cannot read the model {name}: {str(error).splitlines()[0]}") from error
    model = model.eval()

    def generate(messages: Sequence[Message]) -> Iterator[str]:
        ids = _prompt(tokenizer, messages)
        room = int(getattr(model.config, "max_position_embeddings", _DEFAULT_ROOM)) - most_tokens
        if len(ids) > room:
            raise InputError(
                "too-large",
                f"the question and its passages must have at most {room} tokens for {name}. Got {len(ids)}: "
                "show it fewer passages",
            )
        yield from _likeliest(torch, model, tokenizer, ids, most_tokens)

    return generate


def _prompt(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    text = "\n\n".join(message["content"] for message in messages) + "\nAnswer:"
    return list(tokenizer(text)["input_ids"])


def _likeliest(torch: Any, model: Any, tokenizer: Any, ids: list[int], most_tokens: int) -> Iterator[str]:
    """Greedy decoding with a cache of keys and values; text comes as soon as its characters are whole."""
    ends = model.generation_config.eos_token_id
    stops = set(ends if isinstance(ends, list) else [ends])
    written: list[int] = []
    told, past = "", None
    given = torch.tensor([ids])
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
