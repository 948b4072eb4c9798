"""Where a system is weak: figures of slices of the items, and the worst ones found.

Y. Chung et al., "Slice Finder: automated data slicing for model validation", ICDE 2019 (effect size, equation 1), and
S. Sagadeeva and M. Boehm, "SliceLine: fast, linear-algebra-based slice finding for ML model debugging", SIGMOD 2021
(score, definition 1). A slice's difference from the rest has the interval of G. Zou and A. Donner, "Construction of
confidence limits about effect measures", Statistics in Medicine 27 (2008), equation 2, made of the two means' own
intervals: Wilson's where all figures are 0 or 1 (which is R. Newcombe's method 10, Statistics in Medicine 17, 1998), so
that a slice where everything fails is not taken for certain, and Student's otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypedDict, get_args

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE
from shared.evaluation.paired import adjusted_p_values
from shared.evaluation.report import Metric
from shared.evaluation.slicing import (
    QUANTILES,
    SUPPORT,
    Cells,
    Part,
    cells_of,
    check_slice,
    difference_of,
    mean_of,
    measured,
    prepared,
)
from shared.types import AnyArray, Float64, Int64

Order: TypeAlias = Literal["sliceline", "effect_size"]


class _Options(TypedDict):
    most: int
    by: Order
    alpha: float
    confidence: float
    left_out: int


@dataclass(frozen=True)
class Slice(Part):
    """Items that share a value of an attribute, or of two, beside all others.

    Attributes:
        conditions: one ``(attribute, condition)`` a part, for example ``("length", "12 <= length < 40")``.
        items: positions of its items, int64, shape (n,), rising.
        figure: their mean with its interval.
        effect: their mean less that of the rest, with its interval. Below 0 is worse.
        effect_size: Slice Finder's, signed like ``effect``: the difference over the root mean square of both standard
            deviations. 0.2, 0.5 and 0.8 are called small, medium and large.
        score: SliceLine's, of the losses (greatest figure less the item's): above 0 the slice is worth looking at.
        p_value: two-sided, of a slice that is drawn like the rest (Student's, which stands for the permutation test).
        adjusted_p_value: the same after Holm's correction over every slice that was tested.

    Raises:
        UsageError: there is no condition or no item, or a p-value is out of range.
    """

    figure: Metric
    effect: Metric
    effect_size: float
    score: float
    p_value: float
    adjusted_p_value: float

    def __post_init__(self) -> None:
        check_slice(self.conditions, self.items, self.p_value, self.adjusted_p_value)


@dataclass(frozen=True)
class Slices:
    """What a search or a table of slices found.

    Attributes:
        overall: mean of all items with its interval.
        slices: in the attributes' order from :func:`slice_figures`, the worst first from :func:`worst_slices`.
        tested: slices that had the support, over which p-values are corrected.
        small: slices with items, but too few of them in it or outside it.
        left_out: items without a figure (NaN).
        confirmed: for each slice the same one on the half that the search did not see, with p-values corrected over the
            slices found alone; None where that half has fewer than 2 of its items. Empty unless asked for.

    Raises:
        UsageError: ``confirmed`` is neither empty nor as long as ``slices``.
    """

    overall: Metric
    slices: tuple[Slice, ...]
    tested: int
    small: int
    left_out: int
    confirmed: tuple[Slice | None, ...] = ()

    def __post_init__(self) -> None:
        if self.confirmed and len(self.confirmed) != len(self.slices):
            raise UsageError(f"each of {len(self.slices)} slices must be confirmed or none. Got {len(self.confirmed)}")


def slice_figures(
    scores: AnyArray,
    attributes: Mapping[str, AnyArray],
    *,
    quantiles: int = QUANTILES,
    support: int = 2,
    confidence: float = CONFIDENCE,
) -> Slices:
    """The figure of each value of each attribute.

    Args:
        scores: one figure an item, the higher the better, shape (n,); NaN is left out. Pass a loss's negative.
        attributes: by name what is known of each item, length n. Real numbers, and whole ones of more than twice
            ``quantiles`` values, are cut at quantiles; anything else is a category. NaN and None are one of their own.
        quantiles: parts that numbers are cut into, at least 2.
        support: items that a slice needs, at least 2, in it and outside it.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        UsageError: an argument is out of range or of another length.

    Example:
        >>> found = slice_figures([1, 1, 1, 0, 0, 1], {"lang": ["de", "de", "de", "fr", "fr", "fr"]})
        >>> [(s.name, len(s), round(s.figure.value, 2)) for s in found.slices]
        [('lang = de', 3, 1.0), ('lang = fr', 3, 0.33)]
    """
    values, cells, left_out, small = prepared(scores, attributes, quantiles, support, depth=1)
    return _report(values, cells, np.arange(len(cells)), confidence=confidence, small=small, left_out=left_out)


def worst_slices(
    scores: AnyArray,
    attributes: Mapping[str, AnyArray],
    *,
    most: int = 10,
    depth: int = 2,
    by: Order = "sliceline",
    alpha: float = 0.95,
    quantiles: int = QUANTILES,
    support: int = SUPPORT,
    confidence: float = CONFIDENCE,
    confirm: bool = False,
    rng: np.random.Generator | None = None,
) -> Slices:
    """Find the slices below the rest, over every value of every attribute and every pair of values of two.

    A pair with all the items of one of its parts is left out: the part says the same in fewer words. The
    worst of many slices reads worse than it is, intervals included, even where its adjusted p-value is small. With
    ``confirm`` the search sees a random half of the items and each slice found is measured anew on the other, whose
    figures are free of that.

    Args:
        scores: as in :func:`slice_figures`.
        attributes: as there.
        most: slices to give, at least 1.
        depth: conditions of a slice at most, 1 or 2.
        by: ``"sliceline"`` weighs loss against size; ``"effect_size"`` is Slice Finder's and prefers extreme slices.
        alpha: SliceLine's weight of the loss against the size, in (0, 1].
        quantiles: as in :func:`slice_figures`.
        support: items that a slice needs, at least 2, in it and outside it; in the half searched where ``confirm``.
        confidence: coverage of the intervals, in (0, 1).
        confirm: search one half and measure on the other.
        rng: source of the halves, needed for ``confirm`` alone.

    Raises:
        UnknownNameError: ``by`` names no order.
        UsageError: an argument is out of range or of another length, or ``confirm`` comes without ``rng``.

    Example:
        >>> lang, long = np.repeat(["de", "fr"], 80), np.tile([True, False], 80)
        >>> right = np.where((lang == "fr") & long, np.tile([0.0, 0.2], 80), np.tile([0.9, 1.0], 80))
        >>> worst_slices(right, {"lang": lang, "long": long}).slices[0].name
        'lang = fr and long = True'
    """
    if by not in get_args(Order):
        raise UnknownNameError("order of slices", str(by), get_args(Order))
    if most < 1 or depth not in (1, 2) or not 0 < alpha <= 1:
        raise UsageError(
            f"most must be at least 1, depth 1 or 2, alpha in (0, 1]. Got most={most}, depth={depth}, alpha={alpha}"
        )
    if confirm and rng is None:
        raise UsageError("confirm=True draws halves and needs rng. Got None: pass np.random.default_rng(seed)")
    values, cells, left_out, small = prepared(scores, attributes, quantiles, support, depth=depth)
    options: _Options = {"most": most, "by": by, "alpha": alpha, "confidence": confidence, "left_out": left_out}
    if confirm and (~np.isnan(values)).sum() < 4:
        raise UsageError("confirm=True needs 4 items with a figure at least, 2 a half. Got fewer: pass confirm=False")
    if confirm and rng is not None:
        there = rng.permutation(np.flatnonzero(~np.isnan(values)))
        seen = np.zeros(len(values), np.bool_)
        seen[there[: (len(there) + 1) // 2]] = True
        usable = np.where(seen, values, np.nan)
        first, few = cells_of(cells.cuts, ~np.isnan(usable), depth=depth, support=support)
        found = _worst(usable, first, small=few, **options)
        return replace(found, confirmed=_confirmed(np.where(seen, np.nan, values), first, found, alpha, confidence))
    return _worst(values, cells, small=small, **options)


def _worst(
    values: Float64, cells: Cells, *, most: int, by: Order, alpha: float, confidence: float, small: int, left_out: int
) -> Slices:
    tests = measured(values, cells, alpha)
    worth = tests.score if by == "sliceline" else -tests.size
    order = np.lexsort((cells.depths, -worth))  # of equal ones the shorter first
    return _report(
        values,
        cells,
        order[tests.effect[order] < 0][:most],
        confidence=confidence,
        alpha=alpha,
        small=small,
        left_out=left_out,
    )


def _report(
    values: Float64, cells: Cells, picked: Int64, *, confidence: float, alpha: float = 0.95, small: int, left_out: int
) -> Slices:
    tests = measured(values, cells, alpha)
    adjusted = adjusted_p_values({str(at): float(p) for at, p in enumerate(tests.p_value)})
    there = ~np.isnan(values)
    binary = bool(np.isin(values[there], (0, 1)).all())
    slices = []
    for at in picked.tolist():
        items = cells.items(at, there)
        rest = cells.outside(at, there)
        figure = mean_of(values[items], confidence, binary=binary)
        effect = difference_of(figure, mean_of(values[rest], confidence, binary=binary))
        numbers = (float(tests.size[at]), float(tests.score[at]), float(tests.p_value[at]), adjusted[str(at)])
        slices.append(Slice(cells.conditions(at), items, figure, effect, *numbers))
    return Slices(mean_of(values[there], confidence, binary=binary), tuple(slices), len(cells), small, left_out)


def _confirmed(
    values: Float64, searched: Cells, found: Slices, alpha: float, confidence: float
) -> tuple[Slice | None, ...]:
    """The same slices on other items; their p-values are corrected over them alone."""
    wanted = [part.conditions for part in found.slices]
    there = ~np.isnan(values)
    where = {searched.conditions(at): at for at in range(len(searched))}
    chosen = searched.take(np.array([where[conditions] for conditions in wanted], np.int64))
    counts = chosen.sums(there.astype(np.float64))
    enough = np.flatnonzero((counts >= 2) & (there.sum() - counts >= 2))
    kept = chosen.take(enough)
    again = _report(values, kept, np.arange(len(kept)), confidence=confidence, alpha=alpha, small=0, left_out=0)
    seen = dict(zip(enough.tolist(), again.slices))
    return tuple(seen.get(at) for at in range(len(wanted)))
