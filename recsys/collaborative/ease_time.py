"""EASE that looks at what people did soon after each other.

People rate what a page showed them, and buy together what they need together, so two interactions of a person say the
more of each other the nearer in time they are. The products of items in :mod:`recsys.collaborative.ease` (H. Steck, WWW
2019) are weighted by exp(-gap / seconds). That kernel is positive definite, so they stay a Gram matrix and the solution
keeps its closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.collaborative.ease import Ease, EaseConfig, balanced, gram_of, solve
from recsys.data import Csr, Interactions
from recsys.histories import training_parts
from shared.errors import DataError, UsageError
from shared.types import Float64, Int64


@dataclass(frozen=True, kw_only=True)
class EaseTimeConfig(EaseConfig):
    """Options of :func:`fit_ease_time`: those of :class:`~recsys.collaborative.ease.EaseConfig`, and two more.

    Attributes:
        seconds: two interactions of a person that lie so far apart count 1 / e of two at one moment, above 0.
        time_share: how much of the products is weighted by time, in 0..1; 0 is plain EASE.
    """

    l2: float = field(default=100.0, metadata={"help": "penalty on squared weights, above 0"})
    seconds: float = field(default=300.0, metadata={"help": "gap at which two interactions count 1 / e, above 0"})
    time_share: float = field(default=1.0, metadata={"help": "share of products that time weighs, in 0..1"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.seconds < np.inf:
            raise UsageError(f"seconds must be above 0 and finite. Got {self.seconds} instead")
        if not 0 <= self.time_share <= 1:
            raise UsageError(f"time_share must lie in 0..1. Got {self.time_share} instead")


class EaseTime(Ease):
    """Scores the items of histories X as X B, like :class:`~recsys.collaborative.ease.Ease`: asking needs no times."""

    family: ClassVar[str] = "ease_time"
    options: ClassVar[Callable[..., Any]] = EaseTimeConfig


def fit_ease_time(
    interactions: Interactions, config: EaseTimeConfig | None = None, *, rng: np.random.Generator | None = None
) -> EaseTime:
    """Solve EASE with G_ij = sum over people of x_ui x_uj (1 - time_share + time_share exp(-|t_ui - t_uj| / seconds)).

    Everything else is as in :func:`~recsys.collaborative.ease.fit_ease`; of time only gaps within a person count.
    Memory is 20 bytes for each pair of items, and time grows with the squared lengths of histories too.

    Args:
        interactions: what happened, with times.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, no times are known, or the weighting cannot take the values.
        UsageError: ``l2`` is too small for these data.

    Example:
        >>> from recsys.data import from_records
        >>> rows = [("ann", "tea", 1, 0), ("ann", "milk", 1, 9), ("ann", "rope", 1, 90_000), ("bob", "tea", 1, 0)]
        >>> fit_ease_time(from_records(rows), EaseTimeConfig(l2=1)).recommend(["bob"], k=1)[0].items
        ('milk',)
    """
    config = config or EaseTimeConfig()
    if interactions.times is None:
        raise DataError("ease_time needs times, and these interactions have none. Name their column, or fit ease")
    users, items, histories = training_parts(interactions, config.weighting)
    scaled = balanced(histories, config.activity_power)
    gram = gram_of(scaled)
    if config.time_share:
        gram *= 1 - config.time_share
        when = in_order(interactions.times, interactions)
        add_near(gram, scaled, when, seconds=config.seconds, share=config.time_share)
    return EaseTime(config, users, items, histories, solve(gram, config.l2, config.popularity_power))


def in_order(times: Int64, interactions: Interactions) -> Int64:
    """The times in the order of :func:`recsys.histories.training_parts`: by user, then by item, popular ones first."""
    counts = np.bincount(interactions.items, minlength=len(interactions.item_ids))
    place = np.empty(len(counts), dtype=np.int64)
    place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    order = np.lexsort((place[interactions.items], interactions.users))
    found: Int64 = times[order]
    return found


def add_near(gram: Float64, scaled: Csr, times: Int64, *, seconds: float, share: float) -> None:
    """Add each person's products, weighted by how near in time they are, to a matrix of shape (items, items).

    Args:
        gram: what is added to.
        scaled: CSR, shape (users, items).
        times: shape (nnz,), of each stored cell.
        seconds: gap at which a product counts 1 / e.
        share: what all are multiplied with.
    """
    for start, stop in zip(scaled.indptr[:-1], scaled.indptr[1:]):
        items, weights, when = scaled.indices[start:stop], scaled.data[start:stop], times[start:stop]
        gaps = np.abs(when[:, None] - when[None, :]).astype(np.float64)
        gram[np.ix_(items, items)] += np.exp(-gaps / seconds) * (share * weights[:, None] * weights)
