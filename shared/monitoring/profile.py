"""What a model saw and said over some time, in a size that does not grow with it.

The same for the reference that a model was made with and for every window after it. Profiles of parts merge into the
profile of the whole, in any order: counts and samples exactly, quantiles within the bound of
:mod:`shared.monitoring.sketches`. :mod:`shared.monitoring.profile_files` keeps them in folders.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from types import MappingProxyType

import numpy as np

from shared.errors import UsageError
from shared.monitoring.columns import Columns
from shared.monitoring.signals import CONFIDENCE, Batch, Observed, batch_of
from shared.monitoring.sketches import (
    OTHERS,
    Categories,
    CategorySketch,
    Floats,
    Numbers,
    NumberSketch,
    Rows,
    Sample,
)
from shared.types import AnyArray

ROWS, VECTORS, JUDGED = 4096, 1024, 20_000
"""Rows of the sample of numbers, of the sample of vectors, and of the answers whose truth is known."""
_TOGETHER = 1024
_VECTOR, _CORRECT = "embedding", "correct"


@dataclass(frozen=True)
class Profile:
    """What is known of a model's items and answers. Made by :class:`ProfileBuilder`.

    Attributes:
        task: of the model.
        model: what identifies it: a digest of its card's fingerprint, or empty.
        n: items that were answered and observed.
        failed: items that were observed to fail.
        created: when the profile was made, ISO 8601 in UTC.
        first: when the first item was observed, in seconds since 1970; NaN where that is not known.
        last: when the last was.
        rate: which share of all items was observed, in (0, 1].
        numbers: numeric columns by name.
        categories: categorical columns by name.
        sample: of whole rows of numbers.
        vectors: of embeddings, the column ``embedding``, float32 ``[k, d]``.
        judged: of answers whose truth is known, the columns ``confidence`` and ``correct`` (0 or 1); mostly empty.
        calibration: arrays of a :class:`shared.monitoring.estimate.Calibration` that was made of more than ``judged``;
            mostly empty. It is no part of what merges.
    """

    task: str
    model: str
    n: int
    failed: int
    created: str
    first: float
    last: float
    rate: float
    numbers: Mapping[str, NumberSketch]
    categories: Mapping[str, CategorySketch]
    sample: Rows
    vectors: Rows
    judged: Rows
    calibration: Mapping[str, AnyArray] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.n < 0 or self.failed < 0 or not 0 < self.rate <= 1:
            raise UsageError(
                "a profile must have n and failed of at least 0 and a rate in (0, 1]. "
                f"Got {self.n}, {self.failed} and {self.rate}"
            )

    @cached_property
    def columns(self) -> Columns:
        """The samples and counts in the form that drift is measured on."""
        vectors = self.vectors.columns.get(_VECTOR)
        counts = {name: one.counts for name, one in self.categories.items()}
        return Columns(self.n, MappingProxyType(dict(self.sample.columns)), MappingProxyType(counts), vectors)

    @property
    def confidence(self) -> Floats:
        """Confidences of a uniform sample of the answers that have one, shape (k,), float64, in [0, 1]."""
        values = self.sample.columns.get(CONFIDENCE, np.zeros(0))
        return np.asarray(values[np.isfinite(values)], np.float64)

    @property
    def truth(self) -> tuple[Floats, Floats]:
        """Confidence and correctness (0 or 1) of answers whose truth is known, each shape (m,); empty without any."""
        empty = np.zeros(0)
        return self.judged.columns.get(CONFIDENCE, empty), self.judged.columns.get(_CORRECT, empty)

    @property
    def per_second(self) -> float:
        """Items a second, of all and not only of those observed; NaN where times are not known."""
        seconds = self.last - self.first
        return (self.n + self.failed) / self.rate / seconds if seconds > 0 else math.nan


@dataclass(eq=False)
class ProfileBuilder:
    """A profile that grows: memory stays the same however many items come.

    Args:
        task: of the model.
        rng: what samples are drawn with; parts that will be merged need generators of their own.
        model: what identifies the model; see :func:`model_digest`.
        rate: which share of all items is observed, in (0, 1]; may be set anew between two items.
        rows: of the sample of numbers at most.
        vectors: of the sample of embeddings at most.

    Example:
        >>> builder = ProfileBuilder("nlp.ner", rng=np.random.default_rng(0))
        >>> builder.add(Observed({"words": float(n)}) for n in range(5000))
        >>> profile = builder.done()
        >>> profile.n, round(profile.numbers["words"].mean), len(profile.columns.numbers["words"])
        (5000, 2500, 4096)
    """

    task: str
    rng: np.random.Generator
    model: str = ""
    rate: float = 1.0
    rows: int = ROWS
    vectors: int = VECTORS
    n: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._numbers: dict[str, Numbers] = {}
        self._categories: dict[str, Categories] = {}
        self._sample, self._vectors, self._judged = Sample(self.rows), Sample(self.vectors), Sample(JUDGED)
        self._first, self._last = math.inf, -math.inf
        self._stand_for = 0.0

    def add(self, observed: Iterable[Observed], *, time: float = math.nan) -> None:
        """Add items as they come; a bounded number of them is held.

        Args:
            observed: the items.
            time: when they were observed, in seconds since 1970, where that is known.
        """
        for some in _chunks(observed, _TOGETHER):
            self.add_batch(replace(batch_of(some), first=time, last=time))

    def add_batch(self, batch: Batch) -> None:
        """Add items side by side."""
        for name, values in batch.numbers.items():
            column = self._numbers.get(name)
            if column is None:
                column = self._numbers[name] = Numbers()
                column.missing = self.n
            column.add(values)
        for name in self._numbers.keys() - batch.numbers.keys():
            self._numbers[name].missing += batch.n
        for name, counts in batch.categories.items():
            self._categories.setdefault(name, Categories()).add(counts)
        self._sample.add(self.rng.random(batch.n), batch.numbers)
        if batch.embeddings is not None:
            self._vectors.add(self.rng.random(len(batch.embeddings)), {_VECTOR: batch.embeddings})
        self.n += batch.n
        self._stand_for += batch.n / self.rate
        self._seen(batch.first, batch.last)

    def add_failed(self, count: int = 1, *, first: float = math.nan, last: float = math.nan) -> None:
        """Count items that had no answer."""
        self.failed += count
        self._stand_for += count / self.rate
        self._seen(first, last)

    def add_judged(self, confidence: Sequence[float] | Floats, correct: Sequence[bool] | Floats) -> None:
        """Add answers whose truth is known, for estimates where it is not.

        Args:
            confidence: shape (m,), in [0, 1].
            correct: shape (m,), whether each was right.
        """
        sure, right = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
        if sure.shape != right.shape or sure.ndim != 1:
            raise UsageError(f"confidence and correct must have one shape (m,). Got {sure.shape} and {right.shape}")
        self._judged.add(self.rng.random(len(sure)), {CONFIDENCE: sure, _CORRECT: right})

    def merge(self, part: Profile) -> None:
        """Add a finished profile of other items.

        Raises:
            UsageError: it is of another task or model.
        """
        if (part.task, part.model) != (self.task, self.model):
            raise UsageError(
                f"profiles that merge must be of one task and model. Got {part.task!r} {part.model[:12]!r} "
                f"beside {self.task!r} {self.model[:12]!r}"
            )
        for name, numbers in part.numbers.items():
            if name not in self._numbers:
                self._numbers[name] = Numbers()
                self._numbers[name].missing = self.n
            self._numbers[name].merge(numbers)
        for name in self._numbers.keys() - part.numbers.keys():
            self._numbers[name].missing += part.n
        for name, categories in part.categories.items():
            self._categories.setdefault(name, Categories()).merge(categories)
        for mine, theirs in ((self._sample, part.sample), (self._vectors, part.vectors), (self._judged, part.judged)):
            mine.add(theirs.keys, theirs.columns)
        self.n += part.n
        self.failed += part.failed
        self._stand_for += (part.n + part.failed) / part.rate
        self._seen(part.first, part.last)

    def done(self) -> Profile:
        """The profile by now; more may be added after it."""
        timed, known = math.isfinite(self._first), self.n + self.failed
        return Profile(
            self.task,
            self.model,
            self.n,
            self.failed,
            datetime.now(UTC).isoformat(timespec="seconds"),
            self._first if timed else math.nan,
            self._last if timed else math.nan,
            min(1.0, known / self._stand_for) if known else self.rate,
            MappingProxyType({name: one.done() for name, one in sorted(self._numbers.items())}),
            MappingProxyType({name: one.done() for name, one in sorted(self._categories.items())}),
            self._sample.done(),
            self._vectors.done(),
            self._judged.done(),
        )

    def _seen(self, first: float, last: float) -> None:
        if math.isfinite(first):
            self._first, self._last = min(self._first, first), max(self._last, last)


def merged(parts: Iterable[Profile]) -> Profile:
    """One profile of all items of some, such as those of shards.

    Raises:
        UsageError: there are none, or they are of several tasks or models.

    Example:
        >>> halves = []
        >>> for seed in (1, 2):
        ...     builder = ProfileBuilder("nlp.ner", rng=np.random.default_rng(seed))
        ...     builder.add(Observed({"words": float(n)}) for n in range(seed, 1000, 2))
        ...     halves.append(builder.done())
        >>> round(merged(halves).numbers["words"].mean, 3)
        500.0
    """
    every = iter(parts)
    first = next(every, None)
    if first is None:
        raise UsageError("merging needs at least one profile. Got none")
    rows, vectors = max(ROWS, len(first.sample)), max(VECTORS, len(first.vectors))
    builder = ProfileBuilder(
        first.task, np.random.default_rng(0), model=first.model, rate=first.rate, rows=rows, vectors=vectors
    )
    builder.merge(first)
    for part in every:
        builder.merge(part)
    return builder.done()


def comparable(reference: Profile, window: Profile, *, values: int = 100) -> tuple[Columns, Columns]:
    """The columns of two profiles with the same categories: what is rare in the reference is counted together.

    Args:
        reference: says by which values each category is compared.
        window: what came since.
        values: at most so many of each category by name, the reference's most frequent.
    """
    whole, part = reference.columns, window.columns
    named: dict[str, dict[str, int]] = {}
    found: dict[str, dict[str, int]] = {}
    for name, counts in whole.categories.items():
        known = [value for value in islice(counts, values) if value != OTHERS]
        named[name], found[name] = _gathered(counts, known), _gathered(part.categories.get(name, {}), known)
    return (
        Columns(whole.n, whole.numbers, named, whole.embeddings),
        Columns(part.n, part.numbers, found, part.embeddings),
    )


def _gathered(counts: Mapping[str, int], known: Sequence[str]) -> dict[str, int]:
    kept = {value: counts[value] for value in known if value in counts}
    rest = sum(counts.values()) - sum(kept.values())
    return kept | ({OTHERS: rest} if rest else {})


def _chunks(observed: Iterable[Observed], size: int) -> Iterator[list[Observed]]:
    every = iter(observed)
    while some := list(islice(every, size)):
        yield some
