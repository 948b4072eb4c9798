"""What is told of one item and its result, and many of those side by side.

A task says by its :attr:`shared.tasks.Task.observe` what is worth watching of an item: a few numbers, a few categories,
a small vector, and of its result how sure it was and what it said. Nothing of it leads back to the item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from shared.errors import UsageError
from shared.types import Float32, Result

Floats = npt.NDArray[np.float64]
CONFIDENCE, LABEL = "confidence", "label"
"""The columns that :attr:`Observed.confidence` and :attr:`Observed.label` become."""
LONGEST = 120
"""Characters of a category's value that are kept."""
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Observed:
    """One item and its result, as far as they are watched.

    Attributes:
        numbers: by name; NaN, or left out, where it is not known.
        categories: by name; left out where it is not known.
        embedding: float32 ``[d]``, of the same ``d`` for every item of a model, or ``None``.
        confidence: how sure the model was of its answer, in [0, 1]; ``None`` where it does not say.
        label: the answer in a word, where it is one; for whoever judges it later.

    Example:
        >>> Observed({"words": 3.0}, {"language": "en"}, confidence=0.9, label="positive").label
        'positive'
    """

    numbers: Mapping[str, float] = field(default_factory=lambda: _EMPTY)
    categories: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    embedding: Float32 | None = None
    confidence: float | None = None
    label: str | None = None


class Observe(Protocol):
    """What a task tells of an item and its result."""

    def __call__(self, item: Any, result: Result, *, predictor: Any = None) -> Observed:
        """Observe one item.

        Args:
            item: as the predictor was given it.
            result: what it answered.
            predictor: that answered; some columns need what it knows, and are left out without it.

        Raises:
            InputError: the item cannot be read any more.
        """


@dataclass(frozen=True)
class Batch:
    """Observed items side by side.

    Attributes:
        n: how many.
        numbers: float64 ``[n]`` by name, NaN where it is missing.
        categories: how often each value came, by name.
        embeddings: float32 ``[m, d]``, ``m <= n``, of those that have one.
        first: when the first was observed, in seconds since 1970; NaN where that is not known.
        last: when the last was.

    Raises:
        UsageError: a column is longer or shorter than ``n``.
    """

    n: int
    numbers: Mapping[str, Floats]
    categories: Mapping[str, Mapping[str, int]]
    embeddings: Float32 | None = None
    first: float = float("nan")
    last: float = float("nan")

    def __post_init__(self) -> None:
        for name, values in self.numbers.items():
            if values.shape != (self.n,):
                raise UsageError(f"column {name!r} must have {self.n} values. Got shape {values.shape} instead")


def batch_of(observed: Sequence[Observed]) -> Batch:
    """Observed items as columns.

    Raises:
        UsageError: their embeddings have several lengths.

    Example:
        >>> both = batch_of([Observed({"words": 3.0}, label="a"), Observed({"lines": 1.0}, label="a")])
        >>> both.numbers["words"], both.categories
        (array([ 3., nan]), {'label': {'a': 2}})
    """
    numbers: dict[str, Floats] = {}
    categories: dict[str, Counter[str]] = {}
    vectors = []
    for at, one in enumerate(observed):
        for name, value in _numbers(one):
            column = numbers.get(name)
            if column is None:
                column = numbers[name] = np.full(len(observed), np.nan)
            column[at] = value
        for name, text in _categories(one):
            categories.setdefault(name, Counter())[text] += 1
        if one.embedding is not None:
            vectors.append(one.embedding)
    if len({vector.shape for vector in vectors}) > 1:
        raise UsageError(
            f"embeddings must have one length. Got {sorted({vector.shape for vector in vectors})}: profile each model "
            "by itself"
        )
    stacked = np.stack(vectors).astype(np.float32, copy=False) if vectors else None
    return Batch(len(observed), numbers, {name: dict(counts) for name, counts in categories.items()}, stacked)


def shares(scores: Iterable[float]) -> tuple[float, float]:
    """Entropy of some probabilities and the rest as one more, in nats, and the lead of the first over the second.

    Example:
        >>> [round(x, 3) for x in shares([0.5, 0.5])]
        [0.693, 0.0]
    """
    known = np.sort(np.asarray(list(scores), np.float64))[::-1]
    if not len(known):
        return float("nan"), float("nan")
    whole = np.append(known, max(0.0, 1.0 - float(known.sum())))
    whole = whole[whole > 0]
    return float(-(whole * np.log(whole)).sum()), float(known[0] - known[1]) if len(known) > 1 else float(known[0])


def _numbers(one: Observed) -> Iterable[tuple[str, float]]:
    yield from one.numbers.items()
    if one.confidence is not None:
        yield CONFIDENCE, one.confidence


def _categories(one: Observed) -> Iterable[tuple[str, str]]:
    for name, value in one.categories.items():
        yield name, value[:LONGEST]
    if one.label is not None:
        yield LABEL, one.label[:LONGEST]
