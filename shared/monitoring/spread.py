"""The line along which accuracy falls under shifts, and how widely answers spread over classes.

See :mod:`shared.monitoring.estimate`, which says where both come from.
"""

from __future__ import annotations

import math

import numpy as np

from shared.types import AnyArray, Float64

_RIDGE = 1e-3
_SAMPLES = 20


def line(moves: Float64, falls: Float64) -> tuple[float, float]:
    """Least squares through the reference; a column that never moves keeps a slope of 0."""
    if not len(falls):
        return 1.0, 0.0
    found = np.linalg.solve(moves.T @ moves + _RIDGE * np.eye(2), moves.T @ falls)
    return float(found[0]), float(found[1])


def left_out(moves: Float64, falls: Float64, kinds: list[str]) -> float:
    """How far off the line is for a kind that it was not learnt from, as a share of the foretold change."""
    if len(set(kinds)) < 2:
        return 0.0
    told = np.empty(len(falls))
    for kind in set(kinds):
        out = np.array([one == kind for one in kinds])
        told[out] = moves[out] @ line(moves[~out], falls[~out])
    return float(math.sqrt(((told - falls) ** 2).sum() / max(float((told**2).sum()), 1e-12)))


def spread_of(labels: AnyArray, reference: AnyArray, rng: np.random.Generator) -> float:
    """The entropy of the window's answers less that of as many of the reference's, in nats; 0 where one is unknown."""
    if not labels.size or not reference.size:
        return 0.0
    size = min(labels.size, reference.size)
    return _entropy(labels, size, rng) - _entropy(reference, size, rng)


def _entropy(labels: AnyArray, size: int, rng: np.random.Generator) -> float:
    """Of samples of that size: a larger sample has more classes by itself."""
    codes = np.unique(labels, return_inverse=True)[1]
    draws = [codes] if size == codes.size else [rng.permutation(codes)[:size] for _ in range(_SAMPLES)]
    counts = [np.bincount(draw) for draw in draws]
    return float(np.mean([-(c[c > 0] / size * np.log(c[c > 0] / size)).sum() for c in counts]))


def chance_of(odds: AnyArray) -> Float64:
    return np.asarray(1 / (1 + np.exp(-odds)), np.float64)


def inside(share: float, n: int) -> float:
    """A share that is neither 0 nor 1, so that its log-odds are finite: half an item of doubt."""
    return float(np.clip(share, 0.5 / n, 1 - 0.5 / n))
