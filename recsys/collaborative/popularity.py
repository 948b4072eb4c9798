"""Popularity: the same ranking for everybody, and the baseline that every other model must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.data import Csr, Interactions
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts
from recsys.model import Recommender
from shared.errors import UsageError
from shared.types import AnyArray, Float32, Int32


@dataclass(frozen=True, kw_only=True)
class PopularityConfig:
    """Options of :func:`fit_popularity`.

    Attributes:
        weighting: ``"binary"`` counts an item's users; ``"value"`` sums values; ``"log"`` sums log(1 + value).
    """

    weighting: Weighting = field(default="binary", metadata={"help": WEIGHTING_HELP})

    def __post_init__(self) -> None:
        check_weighting(self.weighting)


class Popularity(Recommender):
    """Scores each item by the sum of its weights over all users."""

    family: ClassVar[str] = "popularity"
    config: PopularityConfig

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`; the histories do not matter."""
        sums = np.asarray(self.histories.sum(axis=0, dtype=np.float64), dtype=np.float32)
        return np.repeat(sums.reshape(1, -1), histories.shape[0], axis=0)

    def item_similarities(self, items: Int32) -> Float32:
        """Refused: popularity knows no similarity.

        Raises:
            UsageError: always.
        """
        raise UsageError("a popularity model knows no similar items. Fit an ease or item_knn model for them")

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Popularity:
        """See :meth:`recsys.model.Recommender.restore`."""
        return cls(PopularityConfig(**config), *parts)


def fit_popularity(
    interactions: Interactions, config: PopularityConfig | None = None, *, rng: np.random.Generator | None = None
) -> Popularity:
    """Count.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, or the weighting cannot take their values.

    Example:
        >>> from recsys.data import from_records
        >>> model = fit_popularity(from_records([("ann", "tea"), ("bob", "tea"), ("bob", "rice")]))
        >>> model.recommend(["ann"], k=1)[0].items
        ('rice',)
    """
    config = config or PopularityConfig()
    return Popularity(config, *training_parts(interactions, config.weighting))
