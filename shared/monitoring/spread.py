"""How widely answers spread over classes, and shares as log-odds; see :mod:`shared.monitoring.estimate`."""

from __future__ import annotations

import numpy as np

from shared.types import AnyArray, Float64

_SAMPLES = 20


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
    """The chance of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -50, 50))), np.float64)


def inside(share: float, n: int) -> float:
    """A share that is neither 0 nor 1, so that its log-odds are finite: half an item of doubt."""
    return float(np.clip(share, 0.5 / n, 1 - 0.5 / n))
