"""Columns of any length in bounded memory: quantiles, frequent values, and a uniform sample of whole rows.

- *Quantiles* by KLL (Karnin, Lang and Liberty, "Optimal Quantile Approximation in Streams", FOCS 2016), of Apache
  DataSketches: ranks within 0.35 % (99 % of the time) in some 20 kB a column.
- *Frequent values* by its sketch of frequent items (Anderson et al., "A High-Performance Algorithm for Identifying
  Frequent Items in Data Streams", IMC 2017): exact up to :data:`EXACT` different values, beyond that each count within
  3.5 / 1024 of all.
- *A sample* of the rows with the smallest random keys (bottom-k; Cohen and Kaplan, PODC 2007): uniform, and that of two
  halves is exactly that of the whole.

All of them merge. KLL draws random bits of its own, so two profiles of one stream differ within the bound above.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shared.errors import UsageError
from shared.lazy import require
from shared.types import AnyArray, UInt8

Floats: TypeAlias = npt.NDArray[np.float64]
ACCURACY = 800
"""KLL's ``k``."""
_COUNTERS = 10
EXACT = 3 * 2**_COUNTERS // 4
"""Different values up to which counts are exact."""
OTHERS = "(others)"
"""Under which values are counted that are too rare to be known by name."""


def _library() -> Any:
    return require("datasketches", extra="monitoring")


@dataclass(frozen=True)
class NumberSketch:
    """What is known of a numeric column.

    Attributes:
        n: finite values.
        missing: items without one.
        mean: of the values; 0 where there are none.
        m2: sum of squared distances from the mean.
        kll: uint8, the serialised quantile sketch.
    """

    n: int
    missing: int
    mean: float
    m2: float
    kll: UInt8

    @property
    def deviation(self) -> float:
        """Standard deviation; 0 of fewer than two values."""
        return math.sqrt(self.m2 / (self.n - 1)) if self.n > 1 else 0.0

    @cached_property
    def _sketch(self) -> Any:
        return _library().kll_doubles_sketch.deserialize(self.kll.tobytes())

    def quantiles(self, levels: Sequence[float]) -> Floats:
        """Values below which so many of the column lie, shape (levels,); NaN of an empty column."""
        if not self.n:
            return np.full(len(levels), np.nan)
        return np.asarray(self._sketch.get_quantiles(list(levels)), np.float64)

    def below(self, points: Sequence[float]) -> Floats:
        """Share of the values that are smaller than each point, shape (points,), in [0, 1]; NaN of an empty column."""
        if not self.n:
            return np.full(len(points), np.nan)
        return np.array([self._sketch.get_rank(float(point), False) for point in points])

    def above(self, points: Sequence[float]) -> Floats:
        """Share of the values that are greater than each point, as :meth:`below`."""
        if not self.n:
            return np.full(len(points), np.nan)
        return np.array([1.0 - self._sketch.get_rank(float(point), True) for point in points])

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest value; NaN of an empty column."""
        if not self.n:
            return math.nan, math.nan
        return float(self._sketch.get_min_value()), float(self._sketch.get_max_value())


class Numbers:
    """A numeric column that grows."""

    def __init__(self) -> None:
        self._sketch = _library().kll_doubles_sketch(ACCURACY)
        self.n = self.missing = 0
        self.mean = self.m2 = 0.0

    def add(self, values: Floats) -> None:
        """Add values, shape (n,); what is not finite counts as missing."""
        finite = values[np.isfinite(values)]
        self.missing += len(values) - len(finite)
        if len(finite):
            self._sketch.update(np.ascontiguousarray(finite, np.float64))
            mean = float(finite.mean())
            self._pool(len(finite), mean, float(((finite - mean) ** 2).sum()))

    def merge(self, other: NumberSketch) -> None:
        """Add a finished column."""
        self.missing += other.missing
        if other.n:
            self._sketch.merge(_library().kll_doubles_sketch.deserialize(other.kll.tobytes()))
            self._pool(other.n, other.mean, other.m2)

    def _pool(self, n: int, mean: float, m2: float) -> None:
        """Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm" (1979)."""
        both, apart = self.n + n, mean - self.mean
        self.m2 += m2 + apart * apart * self.n * n / both
        self.mean += apart * n / both
        self.n = both

    def done(self) -> NumberSketch:
        """What is known by now."""
        return NumberSketch(self.n, self.missing, self.mean, self.m2, _bytes(self._sketch))


@dataclass(frozen=True)
class CategorySketch:
    """What is known of a categorical column.

    Attributes:
        n: items that have a value.
        items: uint8, the serialised sketch of frequent values.
    """

    n: int
    items: UInt8

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each value came, most frequent first; those that are not known by name are :data:`OTHERS`."""
        library = _library()
        sketch = library.frequent_strings_sketch.deserialize(self.items.tobytes())
        rows = sketch.get_frequent_items(library.frequent_items_error_type.NO_FALSE_NEGATIVES)
        found = {str(value): int(low) for value, _, low, _ in rows if low > 0}
        ordered = dict(sorted(found.items(), key=lambda row: (-row[1], row[0])))
        rest = self.n - sum(ordered.values())
        return ordered | ({OTHERS: rest} if rest else {})

    @property
    def exact(self) -> bool:
        """Whether every value is known by name."""
        return OTHERS not in self.counts


class Categories:
    """A categorical column that grows."""

    def __init__(self) -> None:
        self._sketch = _library().frequent_strings_sketch(_COUNTERS)
        self.n = 0

    def add(self, counts: Mapping[str, int]) -> None:
        """Add values, each with how often it came."""
        for value, count in counts.items():
            if count:
                self._sketch.update(value, count)
                self.n += count

    def merge(self, other: CategorySketch) -> None:
        """Add a finished column."""
        if other.n:
            self._sketch.merge(_library().frequent_strings_sketch.deserialize(other.items.tobytes()))
            self.n += other.n

    def done(self) -> CategorySketch:
        """What is known by now."""
        return CategorySketch(self.n, _bytes(self._sketch))


@dataclass(frozen=True)
class Rows:
    """A uniform sample of rows.

    Attributes:
        keys: float64 ``[k]``, random, each row's; the rows are those of the smallest keys, in their order.
        columns: ``[k, ...]`` by name; NaN where a row has no value.
    """

    keys: Floats
    columns: Mapping[str, AnyArray]

    def __len__(self) -> int:
        return len(self.keys)


class Sample:
    """A sample that grows up to ``size`` rows and stays uniform.

    Args:
        size: rows at most.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise UsageError(f"a sample must have room for at least 1 row. Got {size} instead")
        self._size, self._bar = size, math.inf
        self._parts: list[tuple[Floats, Mapping[str, AnyArray]]] = []
        self._held = 0

    def add(self, keys: Floats, columns: Mapping[str, AnyArray]) -> None:
        """Offer rows.

        Args:
            keys: float64 ``[n]``, random and independent of everything else.
            columns: ``[n, ...]`` by name.
        """
        kept = np.flatnonzero(keys < self._bar)
        if not len(kept):
            return
        if len(kept) > self._size:
            kept = kept[np.argpartition(keys[kept], self._size - 1)[: self._size]]
        self._parts.append((keys[kept], {name: values[kept] for name, values in columns.items()}))
        self._held += len(kept)
        if self._held > 2 * self._size:
            self._shrink()

    def done(self) -> Rows:
        """The sample by now."""
        self._shrink()
        if not self._parts:
            return Rows(np.zeros(0), {})
        keys, columns = self._parts[0]
        return Rows(keys, columns)

    def _shrink(self) -> None:
        if not self._parts:
            return
        keys = np.concatenate([part for part, _ in self._parts])
        order = np.argsort(keys, kind="stable")[: self._size]
        names = dict.fromkeys(name for _, columns in self._parts for name in columns)
        columns = {name: _stacked(name, self._parts)[order] for name in names}
        self._parts, self._held = [(keys[order], columns)], len(order)
        if len(order) == self._size:
            self._bar = float(keys[order[-1]])


def _stacked(name: str, parts: Iterable[tuple[Floats, Mapping[str, AnyArray]]]) -> AnyArray:
    like = next(columns[name] for _, columns in parts if name in columns)
    gaps = (columns[name] if name in columns else _missing(len(keys), like) for keys, columns in parts)
    found = list(gaps)
    if len({part.shape[1:] for part in found}) > 1:
        raise UsageError(
            f"{name} must have one length. Got {sorted({part.shape[1:] for part in found})}: profile each model by "
            "itself"
        )
    return np.concatenate(found)


def _missing(n: int, like: AnyArray) -> AnyArray:
    return np.full((n, *like.shape[1:]), np.nan, like.dtype)


def _bytes(sketch: Any) -> UInt8:
    return np.frombuffer(sketch.serialize(), np.uint8)
