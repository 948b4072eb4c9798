"""The chance of each of several independent unknowns to be the greatest, by numerical integration.

``P_i`` is the integral of ``f_i(x)`` times the product of ``F_j(x)`` over ``j != i``. The line is cut at quantiles of
all of them, so that each part is smooth however narrow one of them is, and each part is integrated by Gauss and
Legendre's rule.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from shared.types import Float64

_NODES = 8
_CUTS = 24


class Posterior(Protocol):
    """Unknowns, one an arm, as vectorised functions: arguments broadcast against shape (arms,)."""

    def density(self, x: Float64) -> Float64: ...
    def below(self, x: Float64) -> Float64: ...
    def quantile(self, p: Float64) -> Float64: ...


def best_chances(of: Posterior) -> Float64:
    """The chance of each to be the greatest.

    Returns:
        Shape (arms,), float64, above 0, sum 1.
    """
    tail = np.geomspace(1e-12, 0.02, 8)
    levels = np.concatenate([tail, np.linspace(0.05, 0.95, _CUTS), 1 - tail[::-1]])
    cuts = np.unique(of.quantile(levels[:, None]))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = np.diff(cuts)[:, None] / 2
    x = (cuts[:-1, None] + half * (nodes + 1)).ravel()[:, None]
    weight = (half * weights).ravel()
    below = of.below(x)
    density = of.density(x)
    found = np.empty(below.shape[1])
    for arm in range(len(found)):
        others: Any = np.prod(np.delete(below, arm, axis=1), axis=1)
        found[arm] = weight @ (density[:, arm] * others)
    found = np.maximum(found, np.finfo(np.float64).tiny)
    shares: Float64 = found / found.sum()
    return shares
