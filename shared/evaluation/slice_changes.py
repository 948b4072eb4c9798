"""Which slices of the items changed between two systems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE, mean_interval
from shared.evaluation.paired import adjusted_p_values, randomisation_p_value, sign_p_value
from shared.evaluation.report import Metric
from shared.evaluation.slicing import QUANTILES, SUPPORT, Part, check_slice, difference_of, mean_of, prepared
from shared.types import AnyArray


@dataclass(frozen=True)
class SliceChange(Part):
    """One slice under two systems.

    Attributes:
        conditions: as in :class:`shared.evaluation.slices.Slice`.
        items: positions of its items, int64, shape (n,), rising.
        first: the first system's mean.
        second: the second's.
        difference: second - first, with its paired bootstrap interval. Below 0 the second is worse.
        apart: the slice's difference less that of the rest: what is this slice's own, with its interval.
        p_value: two-sided, of no difference: the exact sign test where differences are -1, 0 and 1 (McNemar's), the
            randomisation test otherwise.
        adjusted_p_value: the same after Holm's correction over the slices tested.

    Raises:
        UsageError: there is no condition or no item, or a p-value is out of range.
    """

    first: float
    second: float
    difference: Metric
    apart: Metric
    p_value: float
    adjusted_p_value: float

    def __post_init__(self) -> None:
        check_slice(self.conditions, self.items, self.p_value, self.adjusted_p_value)


def changed_slices(
    first: AnyArray,
    second: AnyArray,
    attributes: Mapping[str, AnyArray],
    *,
    rng: np.random.Generator,
    depth: int = 1,
    quantiles: int = QUANTILES,
    support: int = SUPPORT,
    resamples: int = 10_000,
    confidence: float = CONFIDENCE,
) -> tuple[SliceChange, ...]:
    """Which slices a second system changed, the one that lost most first.

    Args:
        first: figures of the system that is there, the higher the better, shape (n,).
        second: of the one that is to take its place, same items, same order. NaN in either leaves an item out.
        attributes: as in :func:`shared.evaluation.slices.slice_figures`.
        rng: source of randomness.
        depth: conditions of a slice at most, 1 or 2.
        quantiles: as in :func:`shared.evaluation.slices.slice_figures`.
        support: items that a slice needs, at least 2, in it and outside it.
        resamples: of bootstrap and randomisation test, whose least p-value is 1 / (resamples + 1) before correction.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        UsageError: an argument is out of range or of another length.

    Example:
        >>> lang, rng = np.repeat(["de", "fr"], 40), np.random.default_rng(0)
        >>> changes = changed_slices(np.ones(80), np.where(lang == "fr", np.arange(80) % 2, 1), {"lang": lang}, rng=rng)
        >>> [(c.name, c.difference.value, c.adjusted_p_value < 0.05) for c in changes]
        [('lang = fr', -0.5, True), ('lang = de', 0.0, False)]
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != other.shape:
        raise UsageError(f"both systems must have one figure an item, shape (n,). Got {one.shape} and {other.shape}")
    values, cells, _, _ = prepared(other - one, attributes, quantiles, support, depth=depth)
    exact = bool(np.isin(values[~np.isnan(values)], (-1, 0, 1)).all())
    rows = []
    for at in range(len(cells)):
        items = cells.items(at, ~np.isnan(values))
        own = values[items]
        if exact:
            p_value = sign_p_value(int((own > 0).sum()), int((own < 0).sum()))
        else:
            p_value = randomisation_p_value(own, rng=rng, resamples=resamples)
        rest = values[cells.outside(at, ~np.isnan(values))]
        apart = difference_of(mean_of(own, confidence, binary=False), mean_of(rest, confidence, binary=False))
        difference = mean_interval(own, rng=rng, resamples=resamples, confidence=confidence)
        conditions = cells.conditions(at)
        rows.append(
            SliceChange(
                conditions, items, float(one[items].mean()), float(other[items].mean()), difference, apart, p_value, 1.0
            )
        )
    adjusted = adjusted_p_values({str(at): row.p_value for at, row in enumerate(rows)})
    changes = [replace(row, adjusted_p_value=adjusted[str(at)]) for at, row in enumerate(rows)]
    return tuple(sorted(changes, key=lambda row: row.difference.value))
