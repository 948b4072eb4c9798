"""Two systems on the same items where one figure an item is not enough: right or wrong, and figures of totals.

McNemar's test: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
percentages", Psychometrika 12 (1947), in its exact form; its mid-p value, which M. Fagerland, S. Lydersen and P. Laake,
"The McNemar test for binary matched-pairs data", BMC Medical Research Methodology 13 (2013), recommend as less timid.
Approximate randomisation of totals such as F1: E. Noreen, *Computer-Intensive Methods for Testing Hypotheses* (1989);
A. Yeh, "More accurate tests for the statistical significance of result differences", COLING 2000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.evaluation.bca import Figure, sums_interval
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES
from shared.evaluation.paired import sign_p_value
from shared.evaluation.report import Metric
from shared.evaluation.resampling import as_sums, grouped_sums, resampled_signs
from shared.types import AnyArray, Float64, Id


@dataclass(frozen=True)
class McNemar:
    """Where two systems were right on the same items.

    Attributes:
        both: items where both were right.
        only_first: where only the first was.
        only_second: where only the second was.
        neither: where neither was.
        p_value: two-sided, of the exact conditional test, which errs at most as often as it says.
        mid_p_value: two-sided mid-p, nearer to the level that is asked, and above it by a little at times.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    mid_p_value: float


def mcnemar(first: AnyArray, second: AnyArray) -> McNemar:
    """McNemar's test of two classifiers on the same items.

    Args:
        first: shape (n,), bool, whether the first system was right on each item.
        second: shape (n,), bool, the second's, of the same items in the same order.

    Raises:
        UsageError: the shapes differ or the arrays are not of bool.

    Example:
        >>> found = mcnemar(np.array([True] * 7 + [False] * 3), np.array([True] + [False] * 7 + [True] + [False]))
        >>> (found.only_first, found.only_second), found.p_value, found.mid_p_value
        ((6, 1), 0.125, 0.0703125)
    """
    one, other = np.asarray(first), np.asarray(second)
    if one.ndim != 1 or one.shape != other.shape or one.dtype != np.bool_ or other.dtype != np.bool_:
        raise UsageError(
            "both systems must say right or wrong of each item, bool of shape (n,). "
            f"Got {one.dtype} {one.shape} and {other.dtype} {other.shape}"
        )
    from scipy.special import bdtr  # noqa: PLC0415 - heavy, and asked only here

    both, wins = int((one & other).sum()), int((one & ~other).sum())
    losses = int((other & ~one).sum())
    n, least = wins + losses, min(wins, losses)
    p_value = sign_p_value(wins, losses)
    at_least = float(bdtr(least, n, 0.5)) - (float(bdtr(least - 1, n, 0.5)) if least else 0.0)
    # Half of what each tail's own point adds; with wins == losses both tails share that point, and 1 was the cap.
    middle = p_value - (at_least / 2 if wins == losses else at_least) if n else 1.0
    return McNemar(both, wins, losses, one.size - both - n, p_value, middle)


@dataclass(frozen=True)
class TotalsComparison:
    """What the same items say of two systems' figures of totals.

    Attributes:
        n: items, or groups of them where groups were given.
        first: the first system's figure.
        second: the second's.
        difference: first - second, with its paired bootstrap interval.
        p_value: two-sided, of the approximate randomisation that swaps the systems' rows item by item.
    """

    n: int
    first: float
    second: float
    difference: Metric
    p_value: float


def compare_totals(
    figure: Figure,
    first: AnyArray,
    second: AnyArray,
    *,
    rng: np.random.Generator,
    groups: Sequence[Id] | AnyArray | None = None,
    method: str = "percentile",
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> TotalsComparison:
    """Compare two systems by a figure of totals over items, such as F1 of span counts.

    Args:
        figure: from totals, shape (..., d), to the figure, shape (...), as :func:`shared.evaluation.bca.f1`.
        first: what each item adds to the first system's totals, shape (n, d) or (n,), finite.
        second: the second's, of the same items in the same order.
        rng: source of randomness.
        groups: the group of each item, length n, whose rows are drawn and swapped together; None for items alone.
        method: of the interval, ``"percentile"`` or ``"bca"``.
        resamples: of the bootstrap, and of the randomisation, whose least p-value is 1 / (resamples + 1).
        confidence: coverage of the interval, in (0, 1).

    Raises:
        UsageError: the shapes differ, or an argument is out of its range.

    Example:
        >>> from shared.evaluation.bca import f1
        >>> first, second = np.array([[2, 2, 2], [3, 4, 3]] * 20), np.array([[1, 2, 2], [2, 3, 3]] * 20)
        >>> found = compare_totals(f1, first, second, rng=np.random.default_rng(0))
        >>> round(found.first, 3), round(found.second, 3), found.p_value < 0.01
        (0.909, 0.6, True)
    """
    one, other = as_sums(first), as_sums(second)
    if one.shape != other.shape:
        raise UsageError(f"both systems must have rows of the same items. Got {one.shape} and {other.shape}")
    if groups is not None:
        one, other = grouped_sums(one, groups), grouped_sums(other, groups)
    d = one.shape[1]

    def apart(totals: Float64) -> Float64:
        return figure(totals[..., :d]) - figure(totals[..., d:])

    options = {"rng": rng, "method": method, "resamples": resamples, "confidence": confidence}
    difference = sums_interval(apart, np.concatenate([one, other], axis=1), **options)  # type: ignore[arg-type]
    middle, signs = (one + other).sum(axis=0) / 2, resampled_signs((one - other) / 2, rng=rng, resamples=resamples)
    swapped = np.abs(figure(middle + signs) - figure(middle - signs))
    # A swap without a figure (NaN) speaks for neither system, so it counts against the difference.
    reached = 1 + int((~(swapped < abs(difference.value) * (1 - 1e-9))).sum())
    return TotalsComparison(
        n=len(one),
        first=float(figure(one.sum(axis=0))),
        second=float(figure(other.sum(axis=0))),
        difference=difference,
        p_value=reached / (resamples + 1),
    )
