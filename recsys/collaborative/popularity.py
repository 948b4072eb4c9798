"""Popularity: the same ranking for everybody, and the baseline that every other model must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from recsys.data import Csr, Interactions
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts, weigh
from recsys.ids import Vocabulary
from recsys.model import Recommender, count_users
from recsys.packing import read_array
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float32, Float64, Int32, Int64


@dataclass(frozen=True, kw_only=True)
class PopularityConfig:
    """Options of :func:`fit_popularity`.

    Attributes:
        weighting: ``"binary"`` counts an item's users; ``"value"`` sums values; ``"log"`` sums log(1 + value).
        half_life: days after which an interaction counts half, at least 0; 0 lets all count alike whatever their age.
    """

    weighting: Weighting = field(default="binary", metadata={"help": WEIGHTING_HELP})

    half_life: float = field(default=0.0, metadata={"help": "days after which an interaction counts half; 0 for never"})

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        if not 0 <= self.half_life < np.inf:
            raise UsageError(f"half_life must be at least 0 and finite. Got {self.half_life} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Popularity(Recommender):
    """Scores each item by the sum of its weights over all users, older ones perhaps decayed.

    Attributes:
        sums: shape (items,), float32. With a half life, ``item_ids`` stand in their order, and somebody unknown gets
            the items of the day too.
    """

    family: ClassVar[str] = "popularity"
    config: PopularityConfig
    sums: Float32

    @cached_property
    def popularity(self) -> Int64 | Float64:
        """See :attr:`recsys.model.Recommender.popularity`: the decayed sums, where there is a half life."""
        return self.sums.astype(np.float64) if self.config.half_life else count_users(self.histories)

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`; the histories do not matter."""
        return np.repeat(self.sums[None], histories.shape[0], axis=0)

    def item_similarities(self, items: Int32) -> Float32:
        """Refused: popularity knows no similarity.

        Raises:
            UsageError: always.
        """
        raise UsageError("a popularity model knows no similar items. Fit an ease or item_knn model for them")

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {"sums": self.sums}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Popularity:
        """See :meth:`recsys.model.Recommender.restore`."""
        return cls(PopularityConfig(**config), *parts, read_array("sums", arrays, (len(parts[1]),)))


def fit_popularity(
    interactions: Interactions, config: PopularityConfig | None = None, *, rng: np.random.Generator | None = None
) -> Popularity:
    """Count; with a half life h, an interaction of weight w at time t as w 2^-((last t - t) / h).

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, the weighting cannot take their values, or there is a half life and the
            interactions have no times.

    Example:
        >>> from recsys.data import from_records
        >>> model = fit_popularity(from_records([("ann", "tea"), ("bob", "tea"), ("bob", "rice")]))
        >>> model.recommend(["ann"], k=1)[0].items
        ('rice',)
    """
    config = config or PopularityConfig()
    users, items, histories = training_parts(interactions, config.weighting)
    if not config.half_life:
        sums = np.asarray(histories.sum(axis=0, dtype=np.float64)).ravel()
        return Popularity(config, users, items, histories, sums.astype(np.float32))
    sums = _decayed(interactions, config)[interactions.item_ids.encode(items.ids)]
    order = np.argsort(-sums.astype(np.float32), kind="stable")
    ordered = histories[:, order].sorted_indices()
    known = Vocabulary("item", items.decode(order))
    return Popularity(config, users, known, ordered, sums[order].astype(np.float32))


def _decayed(interactions: Interactions, config: PopularityConfig) -> Float64:
    """Sums of decayed weights, shape (item_ids of the interactions,)."""
    if interactions.times is None:
        raise DataError(
            "half_life needs the time of each interaction. These have none: "
            "name the column of times when the data are read, or use half_life 0"
        )
    days = (interactions.times.max() - interactions.times) / 86_400
    weights = weigh(interactions.values, config.weighting) * 0.5 ** (days / config.half_life)
    sums: Float64 = np.zeros(len(interactions.item_ids))
    np.add.at(sums, interactions.items, weights)
    return sums
