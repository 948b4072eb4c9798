"""Two rankings into one: reciprocal rank fusion.

G. Cormack, C. Clarke and S. Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
methods" (SIGIR 2009): an item scores the sum over the rankings of weight / (60 + its place), from 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.types import Float32, Int64

K = 60
"""Of the paper."""


def fused(rankings: Sequence[Sequence[int]], weights: Sequence[float]) -> list[tuple[int, float]]:
    """Items and their scores, best first; of equal ones the smaller number first.

    Args:
        rankings: each best first, without repeats.
        weights: of each ranking, at least 0; one of 0 adds nothing.

    Example:
        >>> [item for item, _ in fused([[7, 8], [8, 9]], [1.0, 1.0])]
        [8, 7, 9]
    """
    scores: dict[int, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for place, item in enumerate(ranking, 1):
            scores[item] = scores.get(item, 0.0) + weight / (K + place)
    return sorted(((item, score) for item, score in scores.items() if score > 0), key=lambda row: (-row[1], row[0]))


def nearest(products: Float32, alive: Int64, *, k: int) -> list[int]:
    """The slots of the highest products, best first.

    Args:
        products: shape (slots,).
        alive: slots in use, shape (n,).
        k: how many at most.
    """
    held = products[alive]
    near = np.argpartition(-held, k - 1)[:k] if held.size > k else np.arange(held.size)
    order = near[np.lexsort((alive[near], -held[near]))]
    return [int(slot) for slot in alive[order]]
