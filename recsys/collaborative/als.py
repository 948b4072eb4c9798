"""ALS: factors that explain every cell of users by items, the cells that were seen with more confidence.

Y. Hu, Y. Koren and C. Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008. The fit is that
of the library *implicit*: conjugate gradients of three steps, after G. Takacs, I. Pilaszy and D. Tikk, "Applications of
the conjugate gradient method for implicit feedback collaborative filtering", RecSys 2011.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from recsys.collaborative.factors import Factors, check_factors, check_positive, fit_implicit, read_factors
from recsys.data import Csr, Interactions
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts
from shared.errors import UsageError
from shared.types import AnyArray, Float32, Float64

_STEP = 256
"""Users whose equations are held at once."""


@dataclass(frozen=True, kw_only=True)
class AlsConfig:
    """Options of :func:`fit_als`.

    Attributes:
        factors: length of the vectors, at least 1.
        l2: strength of the penalty on squared factors, at least 0.
        alpha: how much an interaction's weight adds to the confidence of 1 that every cell has, at least 0.
        iterations: passes over users and items, at least 1.
        weighting: ``"binary"``, ``"value"`` or ``"log"`` (of 1 + value).
        bm25_k1: above 0, weights are first replaced by those of BM25 with this k1: the rarer the item the more, and the
            more weights an item has the less another one counts. 0 leaves them.
        bm25_b: how much BM25 holds items with many interactions back, in 0..1.
    """

    factors: int = field(default=64, metadata={"help": "length of the vectors, at least 1"})
    l2: float = field(default=60.0, metadata={"help": "penalty on squared weights, above 0"})
    alpha: float = field(default=5.0, metadata={"help": "what an interaction's weight adds to its confidence"})
    iterations: int = field(default=15, metadata={"help": "passes over the data, at least 1"})
    weighting: Weighting = field(default="log", metadata={"help": WEIGHTING_HELP})
    bm25_k1: float = field(default=0.0, metadata={"help": "k1 of BM25 weights, like 100; 0 for none"})
    bm25_b: float = field(default=0.8, metadata={"help": "how much BM25 holds popular items back, in 0..1"})

    def __post_init__(self) -> None:
        check_factors(self)
        check_weighting(self.weighting)
        for name in ("alpha", "bm25_k1"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UsageError(f"{name} must be at least 0 and finite. Got {getattr(self, name)} instead")
        if not 0 <= self.bm25_b <= 1:
            raise UsageError(f"bm25_b must lie in 0..1. Got {self.bm25_b} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Als(Factors):
    """Factors of least squares; somebody new gets the exact solution for their history."""

    family: ClassVar[str] = "als"

    def fold_users(self, histories: Csr) -> Float32:
        """Solve (Y'Y + Y'(C - 1)Y + l2) x = Y'c for each history, equation 4 of the paper with p = 1."""
        vectors = np.zeros((histories.shape[0], self.config.factors), dtype=np.float32)
        certain = self.confidences(histories)
        for start in range(0, histories.shape[0], _STEP):
            rows = range(start, min(start + _STEP, histories.shape[0]))
            left = np.repeat(self._gram[None], len(rows), axis=0)
            right = np.zeros((len(rows), self.config.factors, 1))
            for at, row in enumerate(rows):
                stored = slice(histories.indptr[row], histories.indptr[row + 1])
                seen = self.item_factors[histories.indices[stored]].astype(np.float64)
                left[at] += (seen.T * (certain[stored] - 1)) @ seen
                right[at, :, 0] = certain[stored] @ seen
            vectors[start : start + _STEP] = np.linalg.solve(left, right)[:, :, 0]
        return vectors

    def contributions(self, history: Csr, item: int) -> Float64:
        """See :meth:`recsys.model.Recommender.contributions`: y_i' W y_j c_j of section 5, W = (Y'CY + l2)^-1."""
        certain = self.confidences(history)
        seen = self.item_factors[history.indices].astype(np.float64)
        left = self._gram + (seen.T * (certain - 1)) @ seen
        towards = np.linalg.solve(left, self.item_factors[item].astype(np.float64))
        parts: Float64 = (seen @ towards) * certain
        return parts

    def confidences(self, histories: Csr) -> Float64:
        """C = 1 + alpha w of every interaction, shape (nnz,), float64, at least 1."""
        return _confidences(self.config, self.histories, histories)

    @cached_property
    def _gram(self) -> Float64:
        gram = (self.item_factors.T @ self.item_factors).astype(np.float64)
        gram[np.diag_indices_from(gram)] += max(self.config.l2, 1e-9)  # some, so that it can be solved
        return gram

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Als:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = AlsConfig(**config)
        return cls(options, *parts, *read_factors(parts, arrays, options.factors))


def fit_als(
    interactions: Interactions, config: AlsConfig | None = None, *, rng: np.random.Generator | None = None
) -> Als:
    """Minimise sum_ui c_ui (p_ui - x_u'y_i)^2 + l2 (|X|^2 + |Y|^2), with p = 1 where there is an interaction, else 0.

    The confidence is c = 1 + alpha w for an interaction of weight w, and 1 for every other cell.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: draws the first factors; ``None`` stands for ``default_rng(0)``. The same generator gives the same model,
            whatever the number of threads.

    Raises:
        DataError: there are no interactions, or one counts against an item.
        MissingDependencyError: implicit is not installed.
    """
    config = config or AlsConfig()
    users, items, histories = training_parts(interactions, config.weighting)
    check_positive(histories, "als")
    certain = histories.copy()
    certain.data = _confidences(config, histories, histories).astype(np.float32)
    model = fit_implicit(
        "implicit.cpu.als",
        "AlternatingLeastSquares",
        certain,
        factors=config.factors,
        regularization=config.l2,
        alpha=1.0,
        iterations=config.iterations,
        random_state=rng or np.random.default_rng(0),
    )
    return Als(config, users, items, histories, model.user_factors, model.item_factors)


def _confidences(config: AlsConfig, training: Csr, histories: Csr) -> Float64:
    """1 + alpha w, w perhaps by BM25 with each item as a document whose words are its users.

    As in implicit: w (k1 + 1) / (w + k1 (1 - b + b n_i / mean n)) times ln(items / (1 + length of the history)), where
    n_i is the sum of the item's weights in training; nothing below 0.
    """
    weights = histories.data.astype(np.float64)
    if config.bm25_k1:
        sums = np.asarray(training.sum(axis=0, dtype=np.float64)).ravel()
        length = 1 - config.bm25_b + config.bm25_b * sums / sums.mean()
        counts = np.diff(histories.indptr)
        rarity = np.maximum(np.log(histories.shape[1]) - np.log1p(counts), 0)
        grown = weights * (config.bm25_k1 + 1) / (weights + config.bm25_k1 * length[histories.indices])
        weights = grown * np.repeat(rarity, counts)
    certain: Float64 = 1 + config.alpha * weights
    return certain
