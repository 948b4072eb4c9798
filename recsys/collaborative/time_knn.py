"""Item neighbours by time: an item speaks for those that people took soon before or after it.

Counting pairs within one history forgets when they happened. Here a pair counts exp(-gap / seconds), so what was rated
on one page, or bought in one visit, stands together; Y. Ding and X. Li, "Time weight collaborative filtering", CIKM
2005, weigh the age of an interaction by such a decay, this the gap between two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.collaborative.ease import Ease
from recsys.collaborative.ease_time import add_near, in_order
from recsys.data import Interactions
from recsys.histories import WEIGHTING_HELP, Weighting, check_weighting, training_parts
from shared.errors import DataError, UsageError
from shared.types import Float32


@dataclass(frozen=True, kw_only=True)
class TimeKnnConfig:
    """Options of :func:`fit_time_knn`.

    Attributes:
        seconds: two interactions of a person that lie so far apart count 1 / e of two at one moment, above 0.
        neighbours: how many items each item speaks for, at least 1; equal ones beyond that stay.
        shrink: added to the denominator of the cosine, at least 0.
        weighting: of the histories that are scored: ``"binary"``, ``"value"`` or ``"log"`` (of 1 + value).
    """

    seconds: float = field(default=30.0, metadata={"help": "gap at which two interactions count 1 / e, above 0"})
    neighbours: int = field(default=200, metadata={"help": "neighbours that each item keeps, at least 1"})
    shrink: float = field(default=20.0, metadata={"help": "how much few common users are distrusted, at least 0"})
    weighting: Weighting = field(default="binary", metadata={"help": WEIGHTING_HELP})

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        if self.neighbours < 1:
            raise UsageError(f"neighbours must be at least 1. Got {self.neighbours} instead")
        if not 0 < self.seconds < np.inf:
            raise UsageError(f"seconds must be above 0 and finite. Got {self.seconds} instead")
        if not 0 <= self.shrink < np.inf:
            raise UsageError(f"shrink must be at least 0 and finite. Got {self.shrink} instead")


class TimeKnn(Ease):
    """Scores the items of histories X as X B, like :class:`~recsys.collaborative.ease.Ease`; row i of B holds what item
    i speaks for. Asking needs no times.
    """

    family: ClassVar[str] = "time_knn"
    options: ClassVar[Callable[..., Any]] = TimeKnnConfig


def fit_time_knn(
    interactions: Interactions, config: TimeKnnConfig | None = None, *, rng: np.random.Generator | None = None
) -> TimeKnn:
    """B_ij = sum over people of exp(-|t_ui - t_uj| / seconds) / (sqrt(n_i n_j) + shrink), n how many have an item.

    Memory is 20 bytes for each pair of items, and time grows with the squared lengths of histories.

    Args:
        interactions: what happened, with times.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, no times are known, or the weighting cannot take the values.

    Example:
        >>> from recsys.data import from_records
        >>> rows = [("ann", "tea", 1, 0), ("ann", "milk", 1, 9), ("ann", "rope", 1, 90_000), ("bob", "tea", 1, 0)]
        >>> fit_time_knn(from_records(rows)).recommend(["bob"], k=1)[0].items
        ('milk',)
    """
    config = config or TimeKnnConfig()
    if interactions.times is None:
        raise DataError("time_knn needs times, and these interactions have none. Name their column, or fit item_knn")
    users, items, histories = training_parts(interactions, config.weighting)
    ones = histories.astype(np.float64)
    ones.data[:] = 1.0
    near = np.zeros((len(items), len(items)))
    add_near(near, ones, in_order(interactions.times, interactions), seconds=config.seconds, share=1.0)
    np.fill_diagonal(near, 0)
    count = np.sqrt(histories.getnnz(axis=0).astype(np.float64))
    near /= count[:, None] * count + config.shrink
    kept = min(config.neighbours, len(items))
    border = np.partition(near, len(items) - kept, axis=1)[:, len(items) - kept]
    near[near < border[:, None]] = 0
    weights: Float32 = near.astype(np.float32)
    return TimeKnn(config, users, items, histories, weights)
