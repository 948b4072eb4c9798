"""What is known of a set of items, column by column: the one form that drift, quality and estimates are read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.errors import UsageError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """A bounded sample of items, or all of them.

    Attributes:
        n: items that the columns stand for; at least as many as any column has values.
        numbers: float64 ``[k]`` by name, ``k <= n``: a uniform sample of each numeric column; NaN where it is missing.
        categories: how often each value of a categorical column came, by name, counted over all ``n``.
        embeddings: float32 ``[k, d]``, a uniform sample of vectors, or ``None`` where the task has none.

    Raises:
        UsageError: a column has another shape, more values than items, or a count below 0.

    Example:
        >>> Columns(3, {"words": np.array([4.0, 9.0, np.nan])}, {"language": {"en": 2, "de": 1}}).names
        ('words', 'language')
    """

    n: int
    numbers: Mapping[str, Floats] = field(default_factory=lambda: MappingProxyType({}))
    categories: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: MappingProxyType({}))
    embeddings: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name, values in self.numbers.items():
            self._check(name, np.asarray(values), 1)
        for name, counts in self.categories.items():
            total = sum(counts.values())
            if min(counts.values(), default=0) < 0 or total > self.n:
                raise UsageError(f"column {name!r} must count at most {self.n} items, none below 0. Got {total}")
        if self.embeddings is not None:
            self._check("embeddings", self.embeddings, 2)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the numeric columns, then of the categorical ones."""
        return (*self.numbers, *self.categories)

    def _check(self, name: str, values: npt.NDArray[Any], ndim: int) -> None:
        if values.ndim != ndim or len(values) > self.n:
            raise UsageError(f"column {name!r} must have {ndim} axes and at most {self.n} rows. Got {values.shape}")
