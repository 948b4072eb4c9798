"""Texts spoilt on purpose, in the ways that texts go wrong: for learning how a model's accuracy falls with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

Spoil: TypeAlias = Callable[[str, float, np.random.Generator], str]
FILLERS = (
    "the", "of", "and", "to", "in", "that", "it", "was", "for", "on", "with", "as", "at", "by", "from", "his", "her",
    "they", "which", "one", "all", "would", "there",
)  # fmt: skip


def typed(text: str, level: float, rng: np.random.Generator) -> str:
    """Neighbouring letters exchanged, letters lost and doubled, at a rate of ``level`` a letter."""
    out, k = [], 0
    while k < len(text):
        if text[k].isalpha() and rng.random() < level:
            how = rng.integers(3)
            if how == 0 and k + 1 < len(text):
                out.append(text[k + 1] + text[k])
                k += 1
            elif how == 1:
                out.append(text[k] * 2)
        else:
            out.append(text[k])
        k += 1
    return "".join(out) or text


def lost(text: str, level: float, rng: np.random.Generator) -> str:
    """``level`` of the words left out."""
    kept = [word for word in text.split() if rng.random() >= level]
    return " ".join(kept) or text


def cut(text: str, level: float, rng: np.random.Generator) -> str:
    """The first ``level`` of the words."""
    words = text.split()
    return " ".join(words[: max(1, round(len(words) * level))])


def tail(text: str, level: float, rng: np.random.Generator) -> str:
    """The last ``level`` of the words."""
    words = text.split()
    return " ".join(words[-max(1, round(len(words) * level)) :])


def replaced(text: str, level: float, rng: np.random.Generator) -> str:
    """``level`` of the words replaced by frequent ones that mean little."""
    return " ".join(str(rng.choice(FILLERS)) if rng.random() < level else word for word in text.split())


def shuffled(text: str, level: float, rng: np.random.Generator) -> str:
    """``level`` of the words change places."""
    words = np.array(text.split(), object)
    at = np.flatnonzero(rng.random(words.size) < level)
    words[at] = words[rng.permutation(at)]
    return " ".join(words)


SPOILT: Mapping[str, tuple[Spoil, tuple[float, ...]]] = MappingProxyType(
    {
        "typed": (typed, (0.02, 0.05, 0.12)),
        "lost": (lost, (0.15, 0.4, 0.6)),
        "cut": (cut, (0.7, 0.4)),
        "tail": (tail, (0.7, 0.4)),
        "replaced": (replaced, (0.2, 0.4)),
        "shuffled": (shuffled, (0.5,)),
    }
)
"""Kinds, and the strengths of each."""


def spoilings() -> dict[str, list[Callable[[str, np.random.Generator], str]]]:
    """By kind, for each strength a function from a text to the spoilt one.

    Example:
        >>> spoilings()["cut"][1]("one two three four five", np.random.default_rng(0))
        'one two'
    """
    return {kind: [partial(_spoilt, spoil, level) for level in levels] for kind, (spoil, levels) in SPOILT.items()}


def _spoilt(spoil: Spoil, level: float, text: str, rng: np.random.Generator) -> str:
    return spoil(text, level, rng)
