"""What a stream of predictions is reduced to: totals that add up, whatever the chunks that the items came in.

Every item or group of items belongs to one of :data:`BLOCKS` blocks by a hash, and totals are kept for each block. That
is all that the Poisson bootstrap needs: where every item would get a Poisson(1) weight of its own (J. Hanley and B.
MacGibbon, "Creating non-parametric bootstrap samples using Poisson frequencies", Computer Methods and Programs in
Biomedicine 83 (2006); N. Chamandy et al., "Estimating uncertainty for massive data streams" (2012)), every block gets
one. The standard error stays without bias and gains noise of about 1 / sqrt(2 * BLOCKS) of it, 1.6 %
(:mod:`shared.evaluation.resampling`), and the cost of an interval does not grow with the items.

Means and sums of squares about them follow T. Chan, G. Golub and R. LeVeque, "Algorithms for computing the sample
variance", The American Statistician 37 (1983).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Float64, Int64

BLOCKS = 2048


def blocks_of(n: int, *, groups: Sequence[Any] | AnyArray | None, first: int, seed: int) -> Int64:
    """The block of each of ``n`` items: by its group, or by its number in the whole stream.

    Args:
        n: how many items.
        groups: the group of each; the same group is in the same block, in whatever chunk it comes.
        first: the number of the first item, where there are no groups.
        seed: what the hash begins with.

    Raises:
        UsageError: the lengths differ, or an item has no group.
    """
    if groups is None:
        return _mixed(np.arange(first, first + n, dtype=np.uint64), seed)
    if len(groups) != n:
        raise UsageError(f"there must be a group for each of {n} items. Got {len(groups)}")
    array = groups if isinstance(groups, np.ndarray) else None
    if array is not None and array.dtype.kind in "iu":
        return _mixed(array.astype(np.uint64), seed)
    names = array.tolist() if array is not None else list(groups)
    if all(type(name) is int and abs(name) < 1 << 63 for name in names):
        return _mixed(np.array(names, np.int64).astype(np.uint64), seed)
    if any(name is None or (isinstance(name, float) and math.isnan(name)) for name in names):
        raise UsageError("every item must have a group. Got items without one: leave them out, or name their group")
    hashes = {name: _hash(str(name)) for name in set(names)}
    return _mixed(np.array([hashes[name] for name in names], np.uint64), seed)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _mixed(values: AnyArray, seed: int) -> Int64:
    """Blocks of 64-bit numbers by the finisher of SplitMix64 (G. Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15) * np.uint64(seed % (1 << 32) + 1)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) & np.uint64(BLOCKS - 1)).astype(np.int64)


class Part(Protocol):
    """Totals by block, of which figures are made."""

    def add(self, inputs: tuple[Any, ...], blocks: Int64) -> None:
        """Take items and their blocks in."""

    def merge(self, other: Any) -> None:
        """Take in what another of the same sort has."""

    def totals(self, weights: Float64 | None = None) -> Float64:
        """The totals, shape (d,) or (3, labels); with weights of the blocks, (draws, BLOCKS), one row a draw."""


class RowSums:
    """Sums of what each item adds.

    Args:
        rows: from the inputs to what each item adds, shape (n, d), finite.
    """

    def __init__(self, rows: Callable[..., Float64]) -> None:
        self._rows = rows
        self._sums: Float64 | None = None

    def add(self, inputs: tuple[Any, ...], blocks: Int64) -> None:
        rows = self._rows(*inputs)
        if self._sums is None:
            self._sums = np.zeros((BLOCKS, rows.shape[1]))
        if self._sums.shape[1] != rows.shape[1]:
            raise UsageError("every chunk must have the same labels. Got another number of columns than before")
        for at, column in enumerate(rows.T):
            self._sums[:, at] += np.bincount(blocks, column, BLOCKS)

    def merge(self, other: RowSums) -> None:
        if other._sums is not None:
            self._sums = other._sums.copy() if self._sums is None else self._sums + other._sums

    def totals(self, weights: Float64 | None = None) -> Float64:
        sums = np.zeros((BLOCKS, 1)) if self._sums is None else self._sums
        found: Float64 = sums.sum(axis=0) if weights is None else weights @ sums
        return found


NUMBERS = (
    *("count", "true", "true_squares", "apart", "apart_squares"),
    *("difference", "squares", "absolute", "smape", "mape", "pinball"),
)
"""Columns of :meth:`Moments.totals`: how many; truth and difference about their means over all, and squares of both;
differences, their squares and sizes; and what the last three figures add up."""


class Moments:
    """Means and sums of squares of the truth and of the differences, and sums of errors.

    Args:
        mape: whether percentages of the truth are asked for, so that a truth of 0 is refused.
        quantile: of the pinball loss.
    """

    def __init__(self, *, mape: bool, quantile: float) -> None:
        self._mape, self._quantile = mape, quantile
        self._count, self._sums = np.zeros(BLOCKS), np.zeros((BLOCKS, 6))
        self._means, self._squares = np.zeros((2, BLOCKS)), np.zeros((2, BLOCKS))
        self._ends = np.array([[np.inf, np.inf], [-np.inf, -np.inf]])

    def add(self, inputs: tuple[Any, ...], blocks: Int64) -> None:
        true, given = (np.asarray(side, np.float64) for side in inputs)
        if true.ndim != 1 or true.shape != given.shape:
            raise UsageError(f"truth and prediction must have one shape (n,). Got {true.shape} and {given.shape}")
        if not (np.isfinite(true).all() and np.isfinite(given).all()):
            raise UsageError("numbers must be finite. Got NaN or infinity: leave such rows out, and say how many")
        if self._mape and (true == 0).any():
            raise UsageError(f"truth must not be 0 for a percentage of it. Got {(true == 0).sum()} zeros: take smape")
        if not true.size:
            return
        apart = true - given
        count = np.bincount(blocks, minlength=BLOCKS).astype(np.float64)
        some = np.maximum(count, 1)
        means, squares = np.zeros((2, BLOCKS)), np.zeros((2, BLOCKS))
        for at, values in enumerate((true, apart)):
            rough = np.bincount(blocks, values, BLOCKS) / some
            means[at] = rough + np.bincount(blocks, values - rough[blocks], BLOCKS) / some
            squares[at] = np.bincount(blocks, (values - means[at][blocks]) ** 2, BLOCKS)
        size, error = np.abs(true) + np.abs(given), np.abs(apart)
        columns = (
            apart,
            apart * apart,
            error,
            np.divide(2 * error, size, out=np.zeros(true.shape), where=size > 0),
            error / np.abs(true) if self._mape else None,
            np.where(apart >= 0, self._quantile * apart, (self._quantile - 1) * apart),
        )
        sums = [np.zeros(BLOCKS) if c is None else np.bincount(blocks, c, BLOCKS) for c in columns]
        ends = np.array([[true.min(), apart.min()], [true.max(), apart.max()]])
        self._take(count, means, squares, np.stack(sums, axis=1), ends)

    def merge(self, other: Moments) -> None:
        self._take(other._count, other._means, other._squares, other._sums, other._ends)

    def _take(self, count: Float64, means: Float64, squares: Float64, sums: Float64, ends: Float64) -> None:
        total = self._count + count
        share = np.divide(count, total, out=np.zeros(BLOCKS), where=total > 0)
        step = means - self._means
        self._means = self._means + step * share
        self._squares = self._squares + squares + step * step * self._count * share
        self._count, self._sums = total, self._sums + sums
        self._ends = np.stack([np.minimum(self._ends[0], ends[0]), np.maximum(self._ends[1], ends[1])])

    def totals(self, weights: Float64 | None = None) -> Float64:
        count = self._count
        centre = (self._means * count).sum(axis=1, keepdims=True) / max(count.sum(), 1)
        off, squares = self._means - centre, self._squares
        spread = (self._ends[1] > self._ends[0])[:, None]  # of equal numbers rounding leaves no variance
        off, squares = np.where(spread, off, 0), np.where(spread, squares, 0)
        about = [(count * off[at], squares[at] + count * off[at] ** 2) for at in (0, 1)]
        rows = np.stack([count, *about[0], *about[1], *self._sums.T], axis=1)
        found: Float64 = rows.sum(axis=0) if weights is None else weights @ rows
        return found
