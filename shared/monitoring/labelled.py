"""Answers whose truth is known, checked, as arrays; and answers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Bool, Float64

_MOST = 20_000


@dataclass(frozen=True)
class Labelled:
    """Answers of which it is known whether they are right.

    Attributes:
        confidence: shape (n,), of the best class, in [0, 1].
        correct: shape (n,), bool.
        labels: the best class of each, length n; ``None`` leaves the spread of answers aside.
        numbers: columns of the items by name, each of shape (n,), NaN where there is no value.

    Raises:
        UsageError: the lengths differ, there are none, or a confidence is out of its range.
    """

    confidence: AnyArray
    correct: AnyArray
    labels: Sequence[str] | AnyArray | None = None
    numbers: Mapping[str, AnyArray] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        n = checked(self.confidence).size
        right = np.asarray(self.correct)
        if right.shape != (n,) or not np.isin(right, (0, 1)).all():
            raise UsageError(f"correct must be a bool for each of {n} confidences. Got shape {right.shape}")
        if self.labels is not None and len(self.labels) != n:
            raise UsageError(f"labels must be of the same items. Got {len(self.labels)} of {n}")
        for name, values in self.numbers.items():
            if np.shape(values) != (n,):
                raise UsageError(f"column {name!r} must be of the same {n} items. Got shape {np.shape(values)}")


def moments(several: Sequence[Labelled], names: Sequence[str]) -> tuple[Float64, Float64]:
    """Means and standard deviations of columns over all items together, shape (d,) each; NaN of one without a value."""
    columns = [np.concatenate([np.asarray(one.numbers[name], np.float64) for one in several]) for name in names]
    known = [values[np.isfinite(values)] for values in columns]
    means = [values.mean() if values.size else np.nan for values in known]
    return np.array(means), np.array([values.std() if values.size else np.nan for values in known])


def arrays_of(one: Labelled, rng: np.random.Generator) -> tuple[Float64, Bool, AnyArray]:
    """As arrays, of at most 20,000 items."""
    sure, right = checked(one.confidence), np.asarray(one.correct, np.bool_)
    said = np.array([], np.str_) if one.labels is None else np.asarray(one.labels).astype(str)
    if sure.size <= _MOST:
        return sure, right, said
    at = np.sort(rng.choice(sure.size, _MOST, replace=False))
    return sure[at], right[at], said[at] if said.size else said


def answers(labels: Sequence[str] | AnyArray | Mapping[str, int], rng: np.random.Generator) -> AnyArray:
    """The answers one by one; of counts at most 20,000, drawn from them."""
    if not isinstance(labels, Mapping):
        return np.asarray(labels).astype(str)
    counts = np.array(list(labels.values()), np.int64)
    if counts.sum() > _MOST:
        counts = rng.multivariate_hypergeometric(counts, _MOST, method="marginals")
    return np.repeat(np.array(list(labels), np.str_), counts)


def checked(confidence: AnyArray) -> Float64:
    """Confidences as float64.

    Raises:
        UsageError: there are none, or one is out of its range.
    """
    sure = np.asarray(confidence, np.float64)
    if sure.ndim != 1 or not sure.size or not ((sure >= 0) & (sure <= 1)).all():
        raise UsageError(f"confidences must be a (n,) array in 0..1, n at least 1. Got shape {sure.shape} or others")
    return sure
