"""A causal language model of transformers on this machine: its likeliest words, in pieces. Never code of its own."""

from __future__ import annotations

from functools import partial

from nlp.generation.causal import open_causal
from nlp.qa.generate import Generator

MOST_TOKENS = 300


def local_generator(name: str, *, threads: int | None = None, most_tokens: int = MOST_TOKENS) -> Generator:
    """Open a model.

    Args:
        name: as :func:`nlp.generation.causal.open_causal` takes it.
        threads: processor threads; ``None`` leaves torch's own.
        most_tokens: that it writes at most.

    Raises:
        MissingDependencyError: the extra ``torch`` is not installed.
        DataError: transformers cannot read it.
    """
    return partial(open_causal(name, threads=threads).pieces, most_tokens=most_tokens)
