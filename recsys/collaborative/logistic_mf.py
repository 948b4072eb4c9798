"""Logistic matrix factorisation: the odds that a user takes an item.

C. C. Johnson, "Logistic matrix factorization for implicit feedback data", NIPS workshop 2014. The fit is that of the
library *implicit*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.collaborative.factors import (
    MappedFactors,
    check_factors,
    check_positive,
    fit_implicit,
    map_histories,
    read_factors,
)
from recsys.data import Interactions
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts
from recsys.packing import read_array
from shared.errors import UsageError
from shared.types import AnyArray


@dataclass(frozen=True, kw_only=True)
class LogisticMfConfig:
    """Options of :func:`fit_logistic_mf`.

    Attributes:
        factors: length of the vectors, at least 1.
        learning_rate: length of a step, above 0.
        l2: strength of the penalty on squared factors, at least 0.
        iterations: passes over users and items, at least 1.
        negatives: cells without an interaction that are drawn for each interaction, at least 1.
        weighting: ``"binary"``, ``"value"`` or ``"log"`` (of 1 + value).
    """

    factors: int = field(default=32, metadata={"help": "length of the vectors, at least 1"})
    learning_rate: float = field(default=1.0, metadata={"help": "length of a step, above 0"})
    l2: float = field(default=3.0, metadata={"help": "penalty on squared weights, above 0"})
    iterations: int = field(default=30, metadata={"help": "passes over the data, at least 1"})
    negatives: int = field(default=30, metadata={"help": "cells without an interaction drawn for each with one"})
    weighting: Weighting = field(default="binary", metadata={"help": WEIGHTING_HELP})

    def __post_init__(self) -> None:
        check_factors(self)
        check_weighting(self.weighting)
        if self.negatives < 1:
            raise UsageError(f"negatives must be at least 1. Got {self.negatives} instead")
        if not 0 < self.learning_rate < np.inf:
            raise UsageError(f"learning_rate must be above 0 and finite. Got {self.learning_rate} instead")


class LogisticMf(MappedFactors):
    """Factors of log odds, and a bias for each user and each item."""

    family: ClassVar[str] = "logistic_mf"

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> LogisticMf:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = LogisticMfConfig(**config)
        found = read_factors(parts, arrays, options.factors + 2)
        shape = (options.factors + 1, options.factors + 1)
        return cls(options, *parts, *found, read_array("history_map", arrays, shape))


def fit_logistic_mf(
    interactions: Interactions, config: LogisticMfConfig | None = None, *, rng: np.random.Generator | None = None
) -> LogisticMf:
    """Maximise sum_ui w_ui s_ui - (1 + w_ui) ln(1 + exp s_ui) for s_ui = x_u'y_i + b_u + b_i, by AdaGrad.

    Cells without an interaction (w = 0) are sampled. On one thread, so that the same generator gives the same model.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: draws the first factors and the cells; ``None`` stands for ``default_rng(0)``.

    Raises:
        DataError: there are no interactions, or one counts against an item.
        MissingDependencyError: implicit is not installed.
        UsageError: the steps were too long.
    """
    config = config or LogisticMfConfig()
    users, items, histories = training_parts(interactions, config.weighting)
    check_positive(histories, "logistic_mf")
    model = fit_implicit(
        "implicit.cpu.lmf",
        "LogisticMatrixFactorization",
        histories,
        threads=1,
        factors=config.factors,
        learning_rate=config.learning_rate,
        regularization=config.l2,
        iterations=config.iterations,
        neg_prop=config.negatives,
        random_state=rng or np.random.default_rng(0),
    )
    learnt = model.user_factors, model.item_factors
    return LogisticMf(config, users, items, histories, *learnt, map_histories(histories, *learnt, config.factors))
