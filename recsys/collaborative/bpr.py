"""BPR: factors that put what a user took above what the user did not.

S. Rendle, C. Freudenthaler, Z. Gantner and L. Schmidt-Thieme, "BPR: Bayesian personalized ranking from implicit
feedback", UAI 2009. The fit is that of the library *implicit*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.collaborative.factors import (
    MappedFactors,
    check_factors,
    fit_implicit,
    map_histories,
    read_factors,
)
from recsys.data import Interactions
from recsys.histories import Parts, Weighting, training_parts
from recsys.model import count_users
from recsys.packing import read_array
from shared.errors import UsageError
from shared.types import AnyArray


@dataclass(frozen=True, kw_only=True)
class BprConfig:
    """Options of :func:`fit_bpr`. Weights do not matter to it: an interaction is one.

    Attributes:
        factors: length of the vectors, at least 1.
        learning_rate: length of a step, above 0.
        l2: strength of the penalty on squared factors, at least 0.
        iterations: passes over the interactions, at least 1.
        popularity_correction: how much of an item's log popularity is added back to its bias, in 0..1; :func:`fit_bpr`
            says why.
    """

    weighting: ClassVar[Weighting] = "binary"
    factors: int = field(default=64, metadata={"help": "length of the vectors, at least 1"})
    learning_rate: float = field(default=0.01, metadata={"help": "length of a step, above 0"})
    l2: float = field(default=0.04, metadata={"help": "penalty on squared weights, above 0"})
    iterations: int = field(default=200, metadata={"help": "passes over the data, at least 1"})
    popularity_correction: float = field(
        default=1.0, metadata={"help": "how much of an item's log popularity is added to its score, in 0..1"}
    )

    def __post_init__(self) -> None:
        check_factors(self)
        if not 0 < self.learning_rate < np.inf:
            raise UsageError(f"learning_rate must be above 0 and finite. Got {self.learning_rate} instead")
        if not 0 <= self.popularity_correction <= 1:
            raise UsageError(f"popularity_correction must lie in 0..1. Got {self.popularity_correction} instead")


class Bpr(MappedFactors):
    """Factors of BPR, and a bias for each item."""

    family: ClassVar[str] = "bpr"

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Bpr:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = BprConfig(**{"popularity_correction": 0.0, **config})  # models of before have no such option
        found = read_factors(parts, arrays, options.factors + 1)
        return cls(options, *parts, *found, read_array("history_map", arrays, (options.factors + 1, options.factors)))


def fit_bpr(
    interactions: Interactions, config: BprConfig | None = None, *, rng: np.random.Generator | None = None
) -> Bpr:
    """Maximise sum ln sigma(x_u'(y_i - y_j) + b_i - b_j) over i that u took and j that u did not, by random steps.

    implicit draws j from all interactions, so in proportion to its popularity q_j, where the paper draws every item
    alike. Of two items a user then takes i rather than j with odds p_i q_j : p_j q_i, so what is learnt tends to ln p_i
    - ln q_i: the score of an item less its log popularity, which ranks the popular too low. ``popularity_correction``
    times ln q_i is added to the bias; 1 undoes it, 0 leaves the scores as implicit has them.

    On one thread, so that the same generator gives the same model: steps of several threads overtake each other.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: draws the first factors and the steps; ``None`` stands for ``default_rng(0)``.

    Raises:
        DataError: there are no interactions, or one counts against an item.
        MissingDependencyError: implicit is not installed.
        UsageError: the steps were too long.
    """
    config = config or BprConfig()
    users, items, histories = training_parts(interactions, config.weighting)
    model = fit_implicit(
        "implicit.cpu.bpr",
        "BayesianPersonalizedRanking",
        histories,
        threads=1,
        factors=config.factors,
        learning_rate=config.learning_rate,
        regularization=config.l2,
        iterations=config.iterations,
        random_state=rng or np.random.default_rng(0),
    )
    learnt = model.user_factors, model.item_factors
    learnt[1][:, config.factors] += config.popularity_correction * np.log(np.maximum(count_users(histories), 1))
    return Bpr(config, users, items, histories, *learnt, map_histories(histories, *learnt, config.factors))
