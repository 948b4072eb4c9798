"""The task ``nlp.generation``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from nlp.generation.data import FORMATS, check_messages, filled
from nlp.generation.evaluate import EVALUATE_OPTIONS, evaluate_generation
from nlp.generation.train import TRAIN_OPTIONS, train
from nlp.generation.types import CUT, ENDED, Generated
from nlp.monitoring import observe
from nlp.prompts.prompt import Prompt
from nlp.prompts.store import find_prompt, prompt_diff, prompt_folders, save_prompt
from nlp.prompts.testing import check_prompt, record
from nlp.qa.generate import Message
from shared.catalogue import ModelCard
from shared.errors import DataError, InputError, UsageError
from shared.predictor import Pipeline
from shared.tasks import Option, Task

NAME = "nlp.generation"
MOST_TOKENS = 200
Writer: TypeAlias = Pipeline[str, list[Message], Generated, Generated]


def text_generator(
    name: str | Path | None = None,
    *,
    prompt: str | Path | None = None,
    most_tokens: int = MOST_TOKENS,
    device: str = "auto",
    threads: int | None = None,
) -> Writer:
    """Open a language model that writes.

    Args:
        name: a model folder of ``triptych train nlp.generation``, ``hf:OWNER/NAME``, a folder of a checkpoint or an
            adapter of peft, or the address of an OpenAI-compatible endpoint (``https://host/v1``).
        prompt: a prompt's name or folder (:mod:`nlp.prompts`); an item is then its variables.
        most_tokens: tokens that a local model writes at most, at least 1.
        device: ``"auto"`` or ``"cpu"``.
        threads: processor threads; ``None`` leaves torch's own.

    Returns:
        A predictor from texts to :class:`~nlp.generation.types.Generated`, the likeliest words. An item is a text; or
        JSON of an object with ``messages``, or of the prompt's variables. One after another is answered.

    Raises:
        DataError: the model cannot be read.
        MissingDependencyError: a local model needs the extra ``torch``.
        UnknownNameError, WeightsError: it is not there.
        UsageError: an argument is out of its range, or no model is named: there is no default.
    """
    if name is None:
        raise UsageError(
            f"{NAME} has no default model: name a folder of a language model, hf:OWNER/NAME, or the address of an "
            "endpoint, https://host/v1 (--model)"
        )
    if most_tokens < 1:
        raise UsageError(f"most_tokens must be at least 1. Got {most_tokens} instead")
    if device not in ("auto", "cpu"):
        raise UsageError(f"device must be auto or cpu: language models answer on the processor here. Got {device!r}")
    filling = None if prompt is None else find_prompt(prompt)
    card, write = _opened(str(name), most_tokens=most_tokens, threads=threads)

    def run(batch: Sequence[list[Message]]) -> list[Generated]:
        return [write(messages) for messages in batch]

    return Pipeline(card, lambda item: asked(item, filling), run, lambda raw, _: raw, batch_size=1, threads=1)


def asked(item: str, prompt: Prompt | None) -> list[Message]:
    """The messages of an item; see :func:`text_generator`.

    Raises:
        InputError: the item cannot be used.
    """
    if not isinstance(item, str | dict):
        raise InputError("wrong-type", f"an item must be a text. Got {type(item).__name__} instead")
    if isinstance(item, str) and not item.strip():
        raise InputError("empty", "an item must be a text with a word in it. Got an empty one")
    table: Any = item
    if isinstance(item, str) and (prompt is not None or item.lstrip().startswith("{")):
        try:
            table = json.loads(item)
        except (ValueError, RecursionError):
            table = item
    try:
        if prompt is not None:
            if not isinstance(table, dict):
                raise InputError(
                    "wrong-type", f"an item must be JSON of the variables of {prompt.name}. Got {item!r:.60}"
                )
            return list(filled(prompt, table, "the item"))
        if isinstance(table, dict) and set(table) == {"messages"}:
            return check_messages(table["messages"], "the item")
    except (UsageError, DataError) as error:
        raise InputError("unsupported", str(error)) from error
    return [{"role": "user", "content": item if isinstance(item, str) else json.dumps(item)}]


def _opened(name: str, *, most_tokens: int, threads: int | None) -> tuple[ModelCard, Any]:
    if name.startswith(("http://", "https://")):
        from nlp.qa.endpoint import Endpoint  # noqa: PLC0415 - only this way needs a client

        endpoint = Endpoint(name)
        card = ModelCard("endpoint", NAME, "endpoint", "http", "unknown", f"a model behind {name}")
        return card, lambda messages: Generated("".join(endpoint(messages)).strip(), ENDED)
    from nlp.generation.causal import open_causal  # noqa: PLC0415 - only this way needs torch

    causal = open_causal(name, threads=threads)

    def write(messages: list[Message]) -> Generated:
        text = "".join(causal.pieces(messages, most_tokens=most_tokens))
        count = len(causal.tokenizer(text, add_special_tokens=False)["input_ids"])
        return Generated(text.strip(), CUT if count >= most_tokens else ENDED)

    return causal.card, write


_OPTIONS = (
    Option("prompt", str, None, "a prompt's name or folder; an item is then JSON of its variables"),
    Option("most_tokens", int, MOST_TOKENS, "tokens that a local model writes at most, at least 1"),
)

TASK = Task(
    name=NAME,
    summary="a text that a language model writes: an input is a text, or JSON of messages or of a prompt's variables",
    inputs="text",
    open=text_generator,
    options=_OPTIONS,
    evaluate=evaluate_generation,
    formats=FORMATS,
    evaluate_options=EVALUATE_OPTIONS,
    train=train,
    train_options=TRAIN_OPTIONS,
    train_resumes=True,
    observe=observe,
    tools={
        "prompts": prompt_folders,
        "prompt": find_prompt,
        "prompt_diff": prompt_diff,
        "prompt_save": save_prompt,
        "prompt_check": check_prompt,
        "prompt_record": record,
    },
)
