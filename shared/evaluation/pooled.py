"""Two systems by a figure of all items' records together, such as average precision or BLEU.

The interval is that of a paired bootstrap, as P. Koehn, "Statistical significance tests for machine translation
evaluation", EMNLP 2004, draws it; the p-value that of approximate randomisation, which swaps the two systems' records
item by item (E. Noreen, *Computer-Intensive Methods for Testing Hypotheses*, 1989; S. Riezler and J. Maxwell, "On some
pitfalls in automatic evaluation and significance testing for MT", ACL workshop 2005). Both cost a pass over the records
for each resample, so their number is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval
from shared.evaluation.items import Pooled
from shared.evaluation.two_systems import TotalsComparison
from shared.types import AnyArray, Float64, Id, Int64

MOST = 400
"""Resamples of a figure that is asked anew for each of them, however many are wanted."""
_BLOCK = 4_000_000
"""Weights held at once, so that memory stays near 64 MB whatever the number of items."""


def compare_pooled(
    first: Pooled,
    second: Pooled,
    *,
    rng: np.random.Generator,
    groups: Sequence[Id] | AnyArray | None = None,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> TotalsComparison:
    """Compare two systems by a pooled figure of the same items.

    Args:
        first: the first system's records.
        second: the second's, of the same items in the same order, and of the same figure.
        rng: source of randomness.
        groups: the group of each item, length n, whose records are drawn and swapped together; None for items alone.
        resamples: of the bootstrap, and of the randomisation, whose least p-value is 1 / (resamples + 1). A figure
            without ``weighed`` takes :data:`MOST` of each at most.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        UsageError: the lengths differ, there is no item, or an argument is out of its range.

    Example:
        >>> mean = lambda records: sum(records) / len(records)
        >>> found = compare_pooled(Pooled([1.0] * 30, mean), Pooled([0.0] * 30, mean), rng=np.random.default_rng(0))
        >>> found.difference.value, found.p_value < 0.01
        (1.0, True)
    """
    n = len(first)
    if n != len(second) or not n:
        raise UsageError(f"both systems must have a record of each item. Got {n} and {len(second)}")
    if resamples < 1:
        raise UsageError(f"resamples must be at least 1. Got {resamples} instead")
    names = np.arange(n) if groups is None else np.asarray(groups)
    if names.shape != (n,):
        raise UsageError(f"groups must have one name an item, shape ({n},). Got shape {names.shape} instead")
    codes = np.unique(names, return_inverse=True)[1].astype(np.int64)
    several = int(codes.max()) + 1
    turns = resamples if first.weighed is not None else min(resamples, MOST)
    both = [*first.records, *second.records]
    value = (float(first.figure(first.records)), float(second.figure(second.records)))
    draws, swaps = [], []
    for start in range(0, turns, max(1, _BLOCK // (2 * n))):
        size = min(max(1, _BLOCK // (2 * n)), turns - start)
        drawn = rng.multinomial(several, np.full(several, 1 / several), size)[:, codes]
        nothing = np.zeros_like(drawn)
        draws.append(_weighed(first, both, drawn, nothing) - _weighed(first, both, nothing, drawn))
        kept = rng.integers(0, 2, (size, several))[:, codes]
        swaps.append(_weighed(first, both, kept, 1 - kept) - _weighed(first, both, 1 - kept, kept))
    apart = value[0] - value[1]
    swapped = np.abs(np.concatenate(swaps))
    # A swap without a figure (NaN) speaks for neither system, so it counts against the difference.
    reached = 1 + int((~(swapped < abs(apart) * (1 - 1e-9))).sum())
    return TotalsComparison(
        n=several,
        first=value[0],
        second=value[1],
        difference=percentile_interval(apart, np.concatenate(draws), confidence=confidence),
        p_value=reached / (turns + 1),
    )


def _weighed(pooled: Pooled, both: Sequence[Any], first: Int64, second: Int64) -> Float64:
    """The figure of each resample, from how often each system's records count in it, shape (resamples, n) each."""
    weights = np.concatenate([first, second], axis=1)
    if pooled.weighed is not None:
        return pooled.weighed(both, weights.astype(np.float64))
    places = np.arange(len(both))
    return np.array([pooled.figure([both[at] for at in np.repeat(places, row).tolist()]) for row in weights])
