"""Answers that a language model writes over passages: the prompt, the model, and what is left of its words.

The prompt is ``grounded-answer`` of :mod:`nlp.prompts`. Only sentences that cite a passage which supports them are kept
(:mod:`nlp.qa.citations`); where none is left, the answer is "I don't know.".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from nlp.prompts.store import find_prompt
from nlp.qa.citations import checked
from nlp.retrieval.types import Passage, WrittenAnswer
from shared.errors import InputError, UsageError

PROMPT = "grounded-answer"
UNKNOWN = "I don't know."
MOST_CHARACTERS = 20_000
"""Of an answer; a model that writes on is cut off."""
Message: TypeAlias = Mapping[str, str]
"""``role`` ("system" or "user") and ``content``."""
Generator: TypeAlias = Callable[[Sequence[Message]], Iterable[str]]
"""From messages to the answer in pieces, as they come."""


def open_generator(name: str | Path, *, model: str | None = None, threads: int | None = None) -> Generator:
    """A language model by its address or name.

    Args:
        name: ``https://host/v1`` of an OpenAI-compatible endpoint (plain ``http://`` for this machine only), or
            ``hf:OWNER/NAME`` or a folder of a causal language model of transformers.
        model: name of the endpoint's model; ``None`` takes the first that it lists.
        threads: processor threads of a local model.

    Raises:
        UsageError: the name is of no such form.
        MissingDependencyError: a local model needs the extra ``torch``.
    """
    text = str(name)
    if text.startswith(("http://", "https://")):
        from nlp.qa.endpoint import Endpoint  # noqa: PLC0415 - only this way needs a client

        return Endpoint(text, model=model)
    if text.startswith("hf:") or Path(text).expanduser().is_dir():
        from nlp.qa.local import local_generator  # noqa: PLC0415 - only this way needs torch

        return local_generator(text, threads=threads)
    raise UsageError(
        "a language model must be the address of an endpoint (https://host/v1), hf:OWNER/NAME or a folder. "
        f"Got {text!r} instead"
    )


def messages(question: str, passages: Sequence[Passage]) -> list[Message]:
    """What the model is told: the prompt ``grounded-answer``, filled in."""
    return list(find_prompt(PROMPT).messages(question=question, passages=list(passages), unknown=UNKNOWN))


def write(
    question: str,
    passages: Sequence[Passage],
    generator: Generator,
    *,
    heard: Callable[[str], object] | None = None,
) -> WrittenAnswer:
    """Let a model answer from passages, and keep what they support.

    Args:
        question: as it was asked.
        passages: what the model is shown; with none it is not asked.
        generator: the model.
        heard: called with each piece of text as it comes.

    Raises:
        InputError: the model wrote nothing that is text (``"no-answer"``).
        WeightsError: an endpoint did not answer.
    """
    if not passages:
        return WrittenAnswer(question, UNKNOWN, False, (), ())
    pieces: list[str] = []
    length = 0
    for piece in generator(messages(question, passages)):
        if not isinstance(piece, str):
            raise InputError("no-answer", f"a language model must write text. Got {type(piece).__name__} instead")
        pieces.append(piece)
        length += len(piece)
        if heard is not None:
            heard(piece)
        if length >= MOST_CHARACTERS:
            break
    draft = "".join(pieces)[:MOST_CHARACTERS].encode("utf-8", "replace").decode("utf-8").strip()
    kept, citations = checked(draft, passages)
    text = " ".join(kept) if kept else UNKNOWN
    shown = draft if text.split() != draft.split() else ""
    return WrittenAnswer(question, text, bool(kept), tuple(citations), tuple(passages), shown)
