"""Sufficient statistics: counts, means and sums of centred products, which add up over any cut of the data.

Everything that a test needs of a hundred million units is a few such numbers for each arm and segment. They are merged
by the pairwise update of T. Chan, G. Golub and R. LeVeque, "Algorithms for computing the sample variance", The American
Statistician 37 (1983), which loses no digits where a mean is large beside its spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Float64, Result, array_field


@dataclass(frozen=True, eq=False)
class Moments(Result):
    """What is kept of the units of one group.

    Attributes:
        n: units.
        mean: float64 (k,), the mean of each variable; zeros where there are no units.
        products: float64 (k, k), sums over units of products of deviations from the mean.
    """

    n: int
    mean: Float64 = array_field("float64", ("k",))
    products: Float64 = array_field("float64", ("k", "k"))

    def merged(self, other: Moments) -> Moments:
        """The moments of both groups together."""
        if self.mean.shape != other.mean.shape:
            raise UsageError(f"moments must be of the same variables. Got {self.mean.size} and {other.mean.size}")
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        apart = other.mean - self.mean
        products = self.products + other.products + np.outer(apart, apart) * (self.n / n * other.n)
        return Moments(n, self.mean + apart * (other.n / n), products)

    @property
    def covariance(self) -> Float64:
        """Float64 (k, k), with n - 1 in the divisor.

        Raises:
            UsageError: there are fewer than two units.
        """
        if self.n < 2:
            raise UsageError(f"a variance needs at least 2 units. Got {self.n}")
        return np.asarray(self.products / (self.n - 1))


def moments_of(values: AnyArray) -> Moments:
    """The moments of an array.

    Args:
        values: shape (n, k) or (n,), one row a unit, finite.

    Raises:
        UsageError: another shape came, or a value is not finite.

    Example:
        >>> found = moments_of(np.array([1.0, 2.0, 3.0]))
        >>> found.n, found.mean.tolist(), found.covariance.tolist()
        (3, [2.0], [[1.0]])
    """
    array = np.asarray(values, np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise UsageError(f"values must have shape (n, k), one row a unit. Got {array.shape} instead")
    n = len(array)
    if not n:
        return empty(array.shape[1])
    mean = array.mean(axis=0)
    if not np.isfinite(mean).all():
        raise UsageError(
            "values must be finite. Some are NaN or infinite: leave those units out, or say what they count"
        )
    apart = array - mean
    return Moments(n, mean, apart.T @ apart)


def empty(k: int) -> Moments:
    """The moments of no units."""
    return Moments(0, np.zeros(k), np.zeros((k, k)))


def merge(parts: Sequence[Moments]) -> Moments:
    """The moments of all parts together.

    Example:
        >>> merge([moments_of([1.0, 2.0]), moments_of([3.0])]).products.tolist()
        [[2.0]]
    """
    if not parts:
        raise UsageError("at least one part must be given. Got none")
    return reduce(Moments.merged, parts)


def grouped(values: Float64, groups: AnyArray, count: int) -> list[Moments]:
    """The moments of each group of units.

    Args:
        values: float64 (n, k).
        groups: int (n,), in 0..count - 1; other numbers belong to no group.
        count: number of groups.
    """
    order = np.argsort(groups, kind="stable")
    edges = np.searchsorted(groups[order], np.arange(count + 1))
    return [moments_of(values[order[edges[g] : edges[g + 1]]]) for g in range(count)]
