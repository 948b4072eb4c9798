"""Many tests at once, and the same tests again with every window: what the rate of false alarms then is.

A check asks several questions of one window. Holm's correction (S. Holm, "A simple sequentially rejective multiple test
procedure", Scandinavian Journal of Statistics 6, 1979) bounds the chance of any false finding; Benjamini and
Yekutieli's ("The control of the false discovery rate in multiple testing under dependency", Annals of Statistics 29,
2001) the share of false findings. Both hold however the tests depend on each other, and where nothing has drifted the
two promises are one: any finding is then a false one, so the check alarms with at most the stated rate.

Permutations: J. Besag and P. Clifford, "Sequential Monte Carlo p-values", Biometrika 78 (1991): draws end once enough
of
them exceed what was seen, so that windows without drift, which are nearly all, cost a few dozen draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.paired import adjusted_p_values as holm
from shared.types import Float64

CORRECTIONS = ("holm", "benjamini-yekutieli")
_ENOUGH = 20
"""Exceedances after which draws end: the p-value is then known to about a quarter of itself."""
_FIRST = 64


def corrected(p_values: Mapping[str, float], *, correction: str = "holm") -> dict[str, float]:
    """P-values corrected for their number.

    Args:
        p_values: by name, each in [0, 1].
        correction: ``"holm"`` or ``"benjamini-yekutieli"``.

    Raises:
        UnknownNameError: no correction has that name.

    Example:
        >>> corrected({"a": 0.01, "b": 0.5})
        {'a': 0.02, 'b': 0.5}
    """
    if correction not in CORRECTIONS:
        raise UnknownNameError("correction", correction, CORRECTIONS)
    return holm(p_values) if correction == "holm" else benjamini_yekutieli(p_values)


def benjamini_yekutieli(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values corrected so that the share of false findings is bounded under any dependence.

    The least over j >= i of p(j) m (1 + 1/2 + ... + 1/m) / j, at most 1.

    Args:
        p_values: by name, each in [0, 1].

    Raises:
        UsageError: one is out of its range.

    Example:
        >>> benjamini_yekutieli({"a": 0.01, "b": 0.04})  # 0.01 * 2 * 1.5 / 1, 0.04 * 2 * 1.5 / 2
        {'a': 0.03, 'b': 0.06}
    """
    if not p_values:
        return {}
    names = list(p_values)
    values = np.array([p_values[name] for name in names], np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise UsageError(f"p-values must lie in 0..1. Got {values.tolist()} instead")
    order = np.argsort(values)
    m = values.size
    scaled = values[order] * m * (1 / np.arange(1, m + 1)).sum() / np.arange(1, m + 1)
    found = np.empty(m)
    found[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return dict(zip(names, np.minimum(found, 1.0).tolist()))


def drawn_p_value(seen: float, draw: Callable[[int], Float64], *, most: int, batch: int = 4096) -> float:
    """P-value of a permutation test, with as few draws as settle it.

    Draws come until 20 of them reach ``seen``: the p-value is then 20 / draws. Otherwise it is (those that reach + 1) /
    (most + 1). Either way the chance of a value of at most a is at most a where nothing differs (Besag and Clifford).

    Args:
        seen: the statistic of the data as they are.
        draw: from a number to so many statistics under random exchanges, shape (number,).
        most: draws at the most, at least 1.
        batch: draws asked for at once, at the most.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> drawn_p_value(10.0, lambda n: rng.normal(size=n), most=999)
        0.001
    """
    slack = 1e-9 * max(1.0, abs(seen))  # the same exchange must not count as less for the order of its sums
    reached = done = 0
    size = min(_FIRST, batch)
    while done < most:
        hits = draw(min(size, most - done)) >= seen - slack
        if reached + int(hits.sum()) >= _ENOUGH:
            last = int(np.flatnonzero(hits)[_ENOUGH - reached - 1])
            return _ENOUGH / (done + last + 1)
        reached += int(hits.sum())
        done += hits.size
        size = min(size * 2, batch)
    return (reached + 1) / (most + 1)


def rate_for(windows: float, *, dependent: bool = False) -> float:
    """The false-alarm rate of a check that gives one false alarm in so many windows.

    With independent windows the mean number of windows up to the first false alarm is 1 / rate. Where windows depend on
    each other (they overlap, or they share a small reference) P(alarm within k windows) <= k rate still holds, from
    which the mean is at least 1 / (2 rate).

    Args:
        windows: mean number of windows between false alarms, above 1.
        dependent: whether that must hold for dependent windows too.

    Raises:
        UsageError: ``windows`` is at most 1.

    Example:
        >>> rate_for(1000), rate_for(1000, dependent=True)
        (0.001, 0.0005)
    """
    if not windows > 1:
        raise UsageError(f"windows between false alarms must be above 1. Got {windows} instead")
    return (0.5 if dependent else 1.0) / windows


def spent_rate(rate: float, number: int) -> float:
    """The rate at which the window of this number is checked so that *no* false alarm ever comes, with chance 1 - rate.

    rate * 6 / (pi^2 number^2), whose sum over all windows is ``rate``, whatever they depend on. Late windows are tested
    very strictly: take it where an alarm stops the line, and a constant rate where somebody looks at each.

    Args:
        rate: of any false alarm, ever; in (0, 1).
        number: of the window, from 1.

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> round(spent_rate(0.05, 1), 4), round(spent_rate(0.05, 10), 6)
        (0.0304, 0.000304)
    """
    if not 0 < rate < 1 or number < 1:
        raise UsageError(f"rate must lie between 0 and 1 and number be at least 1. Got {rate} and {number}")
    return rate * 6 / (math.pi * number) ** 2


@dataclass(frozen=True)
class Evidence:
    """What a run of windows says together: an e-detector, for drift that is slow and small in each window.

    Shiryaev and Roberts' sum of e-values, M(t) = (M(t-1) + 1) e(t) with e = k p^(k-1), k = 1/2. It alarms at M >=
    windows, and the mean number of windows before a false alarm is then at least ``windows``: J. Shin, A. Ramdas and A.
    Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", New England Journal of Statistics
    in Data Science 2 (2024); V. Vovk and R. Wang, "E-values: calibration, combination and applications", Annals of
    Statistics 49 (2021), for e. It asks that each p-value be valid whatever came before, as with windows that do not
    overlap and a reference that is large beside them.

    Attributes:
        windows: mean number of windows between false alarms, above 1.
        total: M so far, at least 0; begin with 0, and keep it between windows.

    Raises:
        UsageError: an attribute is out of its range.

    Example:
        >>> found = Evidence(1000)
        >>> for p in (0.5, 0.01, 0.002, 0.01, 0.002, 0.01):
        ...     found = found.after(p)
        >>> found.alarm
        True
    """

    windows: float
    total: float = 0.0

    def __post_init__(self) -> None:
        if not self.windows > 1 or not self.total >= 0:
            raise UsageError(f"windows must be above 1 and total at least 0. Got {self.windows} and {self.total}")

    @property
    def alarm(self) -> bool:
        """Whether the evidence of a change has reached its bound."""
        return self.total >= self.windows

    def after(self, p_value: float) -> Evidence:
        """The evidence after one more window.

        Args:
            p_value: of the whole check, :attr:`shared.monitoring.drift.Drift.p_value`, in (0, 1].

        Raises:
            UsageError: ``p_value`` is out of its range.
        """
        if not 0 < p_value <= 1:
            raise UsageError(f"a p-value must lie in (0, 1]. Got {p_value} instead")
        return Evidence(self.windows, min((self.total + 1) * 0.5 / math.sqrt(p_value), 1e300))
