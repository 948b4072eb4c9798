"""EASE: a linear model of items by items, solved in closed form.

H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019; dropout, and in its spirit the penalty that
grows with an item's popularity, is of his "Autoencoders that don't overfit towards the identity", NeurIPS 2020. The
first paper's own model is ``EaseConfig(weighting="binary", activity_power=0, popularity_power=0)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from recsys.data import Csr, Interactions
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts
from recsys.model import Recommender
from recsys.packing import read_array
from recsys.threads import limit_threads
from shared.errors import UsageError
from shared.types import AnyArray, Float32, Float64, Int32

_STEP = 1024
"""Items that are worked on at once."""
_SMALL = 4096
"""Up to so many items the matrix is solved on one thread: threads that wait for each other lose far more on a busy
machine than they win on an idle one (at 1,682 items and a load of 9 on two processors: 0.4 s on one, 1.6 to 4 s on
two)."""


@dataclass(frozen=True, kw_only=True)
class EaseConfig:
    """Options of :func:`fit_ease`.

    Attributes:
        l2: strength of the penalty on the squared weights of B, above 0. Interactions are scaled to a mean square of 1
            in the fit, so it means the same under every weighting.
        weighting: ``"binary"``, ``"value"`` or ``"log"`` (of 1 + value).
        activity_power: in the fit each history is divided by its length (Euclidean) to this power, in 0..1: the more,
            the less the very active users count.
        popularity_power: the penalty of an item grows with its popularity to this power, in 0..1.
        dropout: the share of each history that the fit imagines missing, at least 0 and below 1. 0 is for people whose
            histories are like those of training; 0.99 or so for those of whom a few interactions are known.
    """

    l2: float = field(default=300.0, metadata={"help": "penalty on squared weights, above 0"})
    weighting: Weighting = field(default="log", metadata={"help": WEIGHTING_HELP})

    activity_power: float = field(default=0.4, metadata={"help": "how much less very active users count, in 0..1"})
    popularity_power: float = field(
        default=0.4, metadata={"help": "how much more popular items are held back, in 0..1"}
    )
    dropout: float = field(
        default=0.0, metadata={"help": "share of each history that training imagines missing, at least 0 and below 1"}
    )

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        if not 0 < self.l2 < np.inf:
            raise UsageError(f"l2 must be above 0 and finite. Got {self.l2} instead")
        for name in ("activity_power", "popularity_power"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must lie in 0..1. Got {getattr(self, name)} instead")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout must be at least 0 and below 1. Got {self.dropout} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Ease(Recommender):
    """Scores the items of histories X as X B.

    Attributes:
        options: makes ``config`` of what a card holds; a family has its own.
        weights: B, shape (items, items), float32: row i says how much item i in a history speaks for each other item;
            the diagonal is 0.
    """

    family: ClassVar[str] = "ease"
    options: ClassVar[Callable[..., Any]] = EaseConfig
    weights: Float32

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`."""
        scores: Float32 = histories @ self.weights
        return scores

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: the rows of B, so what an item speaks for."""
        return self.weights[items]

    def contributions(self, history: Csr, item: int) -> Float64:
        """See :meth:`recsys.model.Recommender.contributions`: each weight times its entry of B."""
        parts: Float64 = history.data.astype(np.float64) * self.weights[history.indices, item]
        return parts

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {"weights": self.weights}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Self:
        """See :meth:`recsys.model.Recommender.restore`."""
        n = len(parts[1])
        return cls(cls.options(**config), *parts, read_array("weights", arrays, (n, n)))


def fit_ease(
    interactions: Interactions, config: EaseConfig | None = None, *, rng: np.random.Generator | None = None
) -> Ease:
    """Solve min |X - X B|^2 + |D B|^2 with diag(B) = 0.

    X are the weighted histories, each divided by |x_u|^activity_power, and all scaled to a mean square of 1. D is
    diagonal with D_ii^2 = l2 (G_ii / mean G_ii)^popularity_power + G_ii dropout / (1 - dropout) for G = X'X. The second
    term is what training on histories of which each interaction is missing with that probability comes to (H. Steck,
    "Autoencoders that don't overfit towards the identity", NeurIPS 2020, his EDLAE). With P = (G + D^2)^-1 the solution
    is B_ij = -P_ij / P_jj off the diagonal. Memory is 12 bytes for each pair of items (9 GB at 27,000 items), time
    grows with the cube of the items; users cost next to nothing.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, or the weighting cannot take their values.
        UsageError: ``l2`` is too small for these data: the matrix cannot be inverted in double precision.
    """
    config = config or EaseConfig()
    users, items, histories = training_parts(interactions, config.weighting)
    gram = gram_of(balanced(histories, config.activity_power))
    return Ease(config, users, items, histories, solve(gram, config.l2, config.popularity_power, config.dropout))


def solve(gram: Float64, l2: float, popularity_power: float, dropout: float = 0.0) -> Float32:
    """B of :func:`fit_ease` for G.

    Args:
        gram: G, shape (items, items), float64, symmetric, in Fortran order; overwritten.
        l2: strength of the penalty.
        popularity_power: how the penalty grows with the diagonal of G.
        dropout: share of a history that is left out, in [0, 1).

    Raises:
        UsageError: ``l2`` is too small: the matrix cannot be inverted in double precision.
    """
    popularity = np.diagonal(gram).copy()
    relative = np.where(popularity > 0, popularity / popularity.mean(), 1)  # 0 where every weight of an item is 0
    gram[np.diag_indices_from(gram)] += l2 * relative**popularity_power + popularity * (dropout / (1 - dropout))
    with limit_threads(1 if len(gram) <= _SMALL else None):
        factor, failed = dpotrf(gram, lower=1, overwrite_a=1)
        inverse, singular = dpotri(factor, lower=1, overwrite_c=1) if not failed else (factor, failed)
    if failed or singular:
        raise UsageError(f"l2 is too small for these data: raise it. Got {l2}, and the matrix is singular")
    return _weights(inverse)


def balanced(histories: Csr, power: float) -> Csr:
    """Histories divided by their length to a power, then scaled to a mean square of 1; float64."""
    exact = histories.astype(np.float64)
    lengths = np.sqrt(np.asarray(exact.multiply(exact).sum(axis=1)).ravel())
    scale = np.divide(1.0, lengths**power, out=np.zeros_like(lengths), where=lengths > 0)
    exact.data *= np.repeat(scale, np.diff(exact.indptr))
    exact.data /= np.sqrt(np.mean(exact.data**2))
    return exact


def gram_of(exact: Csr) -> Float64:
    """X'X in Fortran order, by blocks of columns."""
    rows, columns = exact.T.tocsr(), exact.tocsc()
    n = exact.shape[1]
    gram = np.empty((n, n), order="F")
    for start in range(0, n, _STEP):
        gram[:, start : start + _STEP] = (rows @ columns[:, start : start + _STEP]).toarray()
    return gram


def _weights(inverse: Float64) -> Float32:
    """B from the lower triangle of P, by blocks of rows."""
    n = len(inverse)
    weights = np.empty((n, n), dtype=np.float32)
    for start in range(0, n, _STEP):
        rows = slice(start, min(n, start + _STEP))
        weights[rows, :start] = inverse[rows, :start]
        weights[:start, rows] = inverse[rows, :start].T
        square = np.tril(inverse[rows, rows], -1)
        weights[rows, rows] = square + square.T
    weights /= -np.diagonal(inverse).astype(np.float32)
    return weights
