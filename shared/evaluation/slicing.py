"""Attributes of items cut into values, the cells that one or two of them make, and the figures of all cells at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import wilson
from shared.evaluation.report import Metric
from shared.types import AnyArray, Bool, Float64, Int64

QUANTILES = 4
"""Parts that numbers are cut into unless asked otherwise."""
SUPPORT = 30
"""Items that a slice needs, in it and outside it, for its test to be worth something."""


@dataclass(frozen=True)
class Cut:
    """An attribute in few values.

    Attributes:
        attribute: its name.
        codes: the value of each item, int64, shape (n,), in 0..len(conditions) - 1.
        conditions: what each value means, in words.
    """

    attribute: str
    codes: Int64
    conditions: tuple[str, ...]


def cut(name: str, given: AnyArray | Sequence[object], n: int, quantiles: int) -> Cut:
    """One attribute in few values: categories as they are, numbers at their quantiles.

    Args:
        name: of the attribute.
        given: shape (n,). Real numbers, and whole ones of more than ``2 * quantiles`` values, are cut.
        n: items.
        quantiles: parts, at least 2; fewer where quantiles fall together.

    Raises:
        UsageError: the length is another.

    Example:
        >>> cut("age", np.array([20.0, 30.0, 40.0, 50.0]), 4, 2).conditions
        ('age < 35', 'age >= 35')
    """
    values = np.asarray(given)
    if values.shape != (n,):
        raise UsageError(f"attribute {name!r} must have one value for each of {n} items. Got shape {values.shape}")
    real = values.dtype.kind == "f"
    if real or (values.dtype.kind in "iu" and len(np.unique(values)) > 2 * quantiles):
        return _numbers(name, values.astype(np.float64), quantiles)
    missing = np.array(
        [value is None or (isinstance(value, float) and math.isnan(value)) for value in values.tolist()], np.bool_
    )
    words = np.array([str(value) for value in values.tolist()], dtype=np.str_)
    known, inverse = np.unique(words[~missing], return_inverse=True)
    codes = np.full(n, len(known), np.int64)
    codes[~missing] = inverse
    conditions = [f"{name} = {word}" for word in known.tolist()]
    return Cut(name, codes, tuple(conditions + [f"{name} is missing"] * bool(missing.any())))


def _numbers(name: str, values: Float64, quantiles: int) -> Cut:
    missing = np.isnan(values)
    steps = np.linspace(0, 1, quantiles + 1)[1:-1]
    edges = np.unique(np.quantile(values[~missing], steps)) if not missing.all() else np.zeros(0)
    if edges.size:
        edges = edges[edges > values[~missing].min()]  # nothing lies below the least value
    codes = np.where(missing, len(edges) + 1, np.searchsorted(edges, values, side="right")).astype(np.int64)
    at = [f"{edge:.6g}" for edge in edges]
    inner = [f"{low} <= {name} < {high}" for low, high in pairwise(at)]
    conditions = [f"{name} < {at[0]}", *inner, f"{name} >= {at[-1]}"] if at else [f"{name} is a number"]
    return Cut(name, codes, tuple(conditions + [f"{name} is missing"] * bool(missing.any())))


@dataclass(frozen=True)
class Cells:
    """Slices by the codes of their attributes; a slice of one condition has -1 for its second attribute.

    Attributes:
        cuts: the attributes.
        parts: attribute, code, second attribute, its code: int64, shape (slices, 4).
    """

    cuts: tuple[Cut, ...]
    parts: Int64

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def depths(self) -> Int64:
        """Conditions of each, int64, shape (slices,)."""
        return 1 + (self.parts[:, 2] >= 0).astype(np.int64)

    def take(self, picked: Int64) -> Cells:
        """Some of the slices."""
        return Cells(self.cuts, self.parts[picked])

    def conditions(self, at: int) -> tuple[tuple[str, str], ...]:
        """What one slice's attributes are, in words."""
        one, code, other, second = self.parts[at].tolist()
        named = [(one, code)] + [(other, second)] * (other >= 0)
        return tuple((self.cuts[a].attribute, self.cuts[a].conditions[c]) for a, c in named)

    def items(self, at: int, there: Bool) -> Int64:
        """Positions of one slice's items among those that are there."""
        one, code, other, second = self.parts[at].tolist()
        held = there & (self.cuts[one].codes == code)
        if other >= 0:
            held &= self.cuts[other].codes == second
        return np.flatnonzero(held).astype(np.int64)

    def outside(self, at: int, there: Bool) -> Bool:
        """Which of the items that are there lie outside one slice, shape (n,)."""
        rest = there.copy()
        rest[self.items(at, there)] = False
        return rest

    def sums(self, weights: Float64) -> Float64:
        """Sum of the items' weights in each slice, float64, shape (slices,)."""
        found = np.zeros(len(self))
        pairs = np.unique(self.parts[:, [0, 2]], axis=0) if len(self) else self.parts[:, [0, 2]]
        for one, other in pairs.tolist():
            mine = (self.parts[:, 0] == one) & (self.parts[:, 2] == other)
            codes, size, width = _joined(self.cuts, one, other)
            at = self.parts[mine, 1] * width + (self.parts[mine, 3] if other >= 0 else 0)
            found[mine] = np.bincount(codes, weights, minlength=size)[at]
        return found


def cells_of(cuts: Sequence[Cut], there: Bool, *, depth: int, support: int) -> tuple[Cells, int]:
    """Every slice with the support, in the attributes' order, and how many more have items.

    A pair that holds the same items as one of its parts is none.

    Args:
        cuts: the attributes.
        there: which items count, shape (n,).
        depth: conditions at most, 1 or 2.
        support: items needed in a slice and outside it.
    """
    held = tuple(cuts)
    weights, total, small = there.astype(np.float64), int(there.sum()), 0
    single = [np.bincount(one.codes, weights, minlength=len(one.conditions)) for one in held]
    rows = []
    for one, other in [(a, -1) for a in range(len(held))] + (list(combinations(range(len(held)), 2)) * (depth == 2)):
        codes, size, width = _joined(held, one, other)
        counts = np.bincount(codes, weights, minlength=size)
        first, second = np.divmod(np.arange(size), width)
        new = counts > 0
        if other >= 0:
            new &= (counts != single[one][first]) & (counts != single[other][second])
        enough = new & (counts >= support) & (total - counts >= support)
        small += int((new & ~enough).sum())
        at = np.flatnonzero(enough)
        second = second[at] if other >= 0 else np.full(len(at), -1)
        rows.append(np.column_stack([np.full(len(at), one), first[at], np.full(len(at), other), second]))
    return Cells(held, np.concatenate(rows).astype(np.int64)), small


def _joined(cuts: Sequence[Cut], one: int, other: int) -> tuple[Int64, int, int]:
    """Codes of two attributes as one, how many there are, and how many the second has."""
    if other < 0:
        return cuts[one].codes, len(cuts[one].conditions), 1
    width = len(cuts[other].conditions)
    return cuts[one].codes * width + cuts[other].codes, len(cuts[one].conditions) * width, width


@dataclass(frozen=True)
class CellTests:
    """Of every slice at once, each float64, shape (slices,); see :class:`shared.evaluation.slices.Slice`."""

    effect: Float64
    size: Float64
    score: Float64
    p_value: Float64


def measured(values: Float64, cells: Cells, alpha: float) -> CellTests:
    """All slices at once, from the sums that each has of its items' figures and their squares."""
    from scipy.special import stdtr  # noqa: PLC0415 - heavy, and needed when slices are tested alone

    there = ~np.isnan(values)
    total = int(there.sum())
    centred = np.where(there, values - values[there].mean(), 0.0)
    whole = float((centred**2).sum())
    n, sums, squares = (cells.sums(weights) for weights in (there.astype(np.float64), centred, centred**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        inside, outside = sums / n, -sums / (total - n)
        effect = inside - outside
        spread = np.maximum(squares / n - inside**2, 0) + np.maximum((whole - squares) / (total - n) - outside**2, 0)
        nothing = np.abs(effect) <= 1e-12 * max(1.0, float(np.abs(values[there]).max()))
        size = np.where(nothing, 0.0, math.sqrt(2) * effect / np.sqrt(spread))
        pooled = np.maximum(whole - n * (total - n) / total * effect**2, 0) / max(total - 2, 1)
        t = np.where(nothing, 0.0, effect / np.sqrt(pooled * (1 / n + 1 / (total - n))))
        loss = float(centred[there].max())
        relative = -inside / loss if loss else np.zeros_like(inside)
    return CellTests(
        effect=effect,
        size=size,
        score=alpha * relative - (1 - alpha) * (total / n - 1),
        p_value=np.minimum(1.0, 2 * stdtr(max(total - 2, 1), -np.abs(t))),
    )


@dataclass(frozen=True)
class Part:
    """The items that meet some conditions.

    Attributes:
        conditions: pairs of an attribute and its condition in words, one or two.
        items: positions of its items, int64, shape (n,), rising.
    """

    conditions: tuple[tuple[str, str], ...]
    items: Int64

    @property
    def name(self) -> str:
        """The conditions in words."""
        return " and ".join(condition for _, condition in self.conditions)

    def __len__(self) -> int:
        return len(self.items)


def check_slice(conditions: tuple[tuple[str, str], ...], items: Int64, p_value: float, adjusted: float) -> None:
    """What every result about one slice must be."""
    if not conditions or not items.size or items.ndim != 1:
        raise UsageError(f"a slice needs conditions and items. Got {conditions} and shape {items.shape} instead")
    if not 0 <= p_value <= adjusted <= 1:
        raise UsageError(f"p-values must lie in 0..1, the adjusted no less. Got {p_value} and {adjusted} instead")


def prepared(
    scores: AnyArray, attributes: Mapping[str, AnyArray], quantiles: int, support: int, *, depth: int
) -> tuple[Float64, Cells, int, int]:
    """Checked figures, their slices, how many items have no figure, and how many slices lack the support."""
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or np.isinf(values).any() or (~np.isnan(values)).sum() < 2:
        raise UsageError(f"scores must have shape (n,), with two finite ones at least. Got shape {values.shape}")
    if not attributes:
        raise UsageError("slices need at least one attribute of the items. Got none")
    if support < 2 or quantiles < 2 or depth not in (1, 2):
        raise UsageError(
            "support and quantiles must be at least 2 and depth 1 or 2. "
            f"Got support={support}, quantiles={quantiles}, depth={depth} instead"
        )
    there = ~np.isnan(values)
    cuts = [cut(name, given, len(values), quantiles) for name, given in attributes.items()]
    cells, small = cells_of(cuts, there, depth=depth, support=support)
    return values, cells, int((~there).sum()), small


def mean_of(values: Float64, confidence: float, *, binary: bool) -> Metric:
    """Wilson's interval of a share, Student's of a mean."""
    if binary:
        return wilson(int(values.sum()), len(values), confidence=confidence)
    from scipy.special import stdtrit  # noqa: PLC0415 - heavy, and needed when slices are tested alone

    mean = float(values.mean())
    half = float(stdtrit(len(values) - 1, 0.5 + confidence / 2)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Metric(mean, mean - half, mean + half)


def difference_of(first: Metric, second: Metric) -> Metric:
    """Of two independent means, from their own intervals: Zou and Donner's equation 2."""
    apart = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Metric(apart, apart - below, apart + above)
