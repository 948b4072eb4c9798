"""Totals of a stream over labels that are met as they come, by block (:mod:`.streaming_parts`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.evaluation.spans import span_counts
from shared.evaluation.streaming_parts import BLOCKS
from shared.types import AnyArray, Float64, Int64

_CELLS = 1 << 21
"""Blocks times labels that are held; with more than 1,024 labels blocks are joined, two and two."""
_MOST_LABELS = 1 << 15
_MATRIX = 1000
"""Labels up to which the whole confusion matrix is held."""


class _Codes(dict[Any, int]):
    """Numbers for names in the order in which they are met; -1 for ``None``."""

    def __init__(self) -> None:
        super().__init__({None: -1})

    def __missing__(self, name: Any) -> int:
        self[name] = len(self) - 1
        return self[name]


class LabelSums:
    """For each label what is right, what is true and what was given; labels are met as they come.

    Args:
        match: how spans match (:mod:`shared.evaluation.spans`), where items are lists of spans; else one label each.
    """

    def __init__(self, *, match: str | None = None) -> None:
        self._match = match
        self._codes = _Codes()
        self._sums = np.zeros((3, BLOCKS, 0))
        self._matrix = np.zeros((0, 1), np.int64)

    @property
    def labels(self) -> list[Any]:
        """Those that were met, in that order."""
        return list(self._codes)[1:]

    def confusion(self) -> Int64:
        """How often each label was answered with each, shape (labels, labels + 1); the last column: not at all.

        Raises:
            UsageError: there are too many labels for a matrix.
        """
        if len(self.labels) > _MATRIX:
            raise UsageError(f"a matrix is held for up to {_MATRIX} labels. Got {len(self.labels)}: take the figures")
        return self._matrix

    def add(self, inputs: tuple[Any, ...], blocks: Int64) -> None:
        if self._match is not None:
            self._add_spans(inputs, blocks)
            return
        true, given = (self._coded(side) for side in inputs)
        if (true < 0).any():
            raise UsageError("every item must have a true label. Got None: leave such items out")
        self._grow()
        for at, (codes, rows) in enumerate(
            ((true[true == given], blocks[true == given]), (true, blocks), (given[given >= 0], blocks[given >= 0]))
        ):
            flat = self._sums[at].reshape(-1)
            np.add.at(flat, rows % self._sums.shape[1] * self._sums.shape[2] + codes, 1.0)
        if len(self.labels) <= _MATRIX:
            n = len(self.labels)
            answers = np.where(given < 0, n, given)
            self._matrix += np.bincount(true * (n + 1) + answers, minlength=n * (n + 1)).reshape(n, n + 1)

    def _add_spans(self, inputs: tuple[Any, ...], blocks: Int64) -> None:
        counts = span_counts(*inputs, match=str(self._match))
        codes = self._coded(list(counts.labels))
        self._grow()
        rows = blocks % self._sums.shape[1]
        for at, values in enumerate((counts.right, counts.predicted, counts.true)):
            np.add.at(self._sums[(0, 2, 1)[at]], (rows[:, None], codes[None, :]), values)

    def merge(self, other: LabelSums) -> None:
        codes = self._coded(other.labels)
        self._grow()
        blocks = min(self._sums.shape[1], other._sums.shape[1])
        mine, its = _folded(self._sums, blocks), _folded(other._sums, blocks)
        mine[:, :, codes] += its[:, :, : codes.size]
        self._sums = mine
        if self._match is None and len(self.labels) <= _MATRIX:
            self._matrix[np.ix_(codes, codes)] += other._matrix[:, :-1]
            self._matrix[codes, -1] += other._matrix[:, -1]

    def totals(self, weights: Float64 | None = None) -> Float64:
        sums = self._sums[:, :, : len(self.labels)]
        if weights is None:
            found: Float64 = sums.sum(axis=1)
            return found
        return np.stack([weights[:, : sums.shape[1]] @ part for part in sums], axis=1)

    def _coded(self, names: Sequence[Any] | AnyArray) -> Int64:
        given = names.tolist() if isinstance(names, np.ndarray) else names
        return np.fromiter(map(self._codes.__getitem__, given), np.int64, len(given))

    def _grow(self) -> None:
        """Room for new labels, twice as much as is needed; where there are many, half as many blocks."""
        n, (_, blocks, room) = len(self.labels), self._sums.shape
        if n > _MOST_LABELS:
            raise UsageError(
                f"a stream holds up to {_MOST_LABELS} labels. Got more: is this a column of ids or of free text"
            )
        if n > room:
            wider = np.zeros((3, blocks, 1 << (n - 1).bit_length()))
            wider[:, :, :room] = self._sums
            while wider.shape[1] * wider.shape[2] > _CELLS:
                wider = _folded(wider, wider.shape[1] // 2)
            self._sums = wider
        if n <= _MATRIX and n > len(self._matrix):
            old, self._matrix = self._matrix, np.zeros((n, n + 1), np.int64)
            self._matrix[: len(old), : len(old)], self._matrix[: len(old), -1] = old[:, :-1], old[:, -1]


def _folded(sums: Float64, blocks: int) -> Float64:
    """The same totals in fewer blocks, by the lower bits of their numbers."""
    found: Float64 = sums.reshape(len(sums), -1, blocks, sums.shape[2]).sum(axis=1)
    return found
