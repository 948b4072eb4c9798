"""GF-CF: a low-pass filter on the graph of people and items, without training.

Y. Shen et al., "How powerful is graph convolution for recommendation?", CIKM 2021, equation 17: a linear filter and an
ideal one that keeps the smoothest components of the normalised graph alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import diags

from recsys.collaborative.ease import Ease
from recsys.data import Interactions
from recsys.histories import WEIGHTING_HELP, Weighting, check_weighting, training_parts
from recsys.threads import limit_threads
from shared.errors import UsageError
from shared.types import Float32, Float64


@dataclass(frozen=True, kw_only=True)
class GfCfConfig:
    """Options of :func:`fit_gf_cf`.

    Attributes:
        factors: how many components the ideal filter keeps, at least 1.
        ideal: how much the ideal filter counts beside the linear one, at least 0.
        weighting: ``"binary"``, ``"value"`` or ``"log"`` (of 1 + value).
    """

    factors: int = field(default=32, metadata={"help": "length of the vectors, at least 1"})
    ideal: float = field(default=0.3, metadata={"help": "what the ideal filter counts beside the linear one"})
    weighting: Weighting = field(default="binary", metadata={"help": WEIGHTING_HELP})

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        if self.factors < 1:
            raise UsageError(f"factors must be at least 1. Got {self.factors} instead")
        if not 0 <= self.ideal < np.inf:
            raise UsageError(f"ideal must be at least 0 and finite. Got {self.ideal} instead")


class GfCf(Ease):
    """Scores the items of histories X as X B, like :class:`~recsys.collaborative.ease.Ease`; B is the filter, with 0 on
    the diagonal.
    """

    family: ClassVar[str] = "gf_cf"
    options: ClassVar[Callable[..., Any]] = GfCfConfig


def fit_gf_cf(
    interactions: Interactions, config: GfCfConfig | None = None, *, rng: np.random.Generator | None = None
) -> GfCf:
    """B = R'R + ideal D^-1/2 V V' D^1/2, with R = U^-1/2 X D^-1/2 and V the first eigenvectors of R'R.

    U and D are diagonal: the sums of each person's and each item's weights. Memory is 24 bytes for each pair of items,
    and time grows with the cube of the items where many components are kept.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, or the weighting cannot take their values.

    Example:
        >>> from recsys.data import from_records
        >>> rows = [("ann", "tea"), ("ann", "mate"), ("bob", "tea"), ("bob", "rice"), ("cat", "mate")]
        >>> fit_gf_cf(from_records(rows)).fold_in(["mate"], k=1).items
        ('tea',)
    """
    config = config or GfCfConfig()
    users, items, histories = training_parts(interactions, config.weighting)
    exact = abs(histories.astype(np.float64))
    activity = np.maximum(np.asarray(exact.sum(axis=1)).ravel(), 1e-30)
    popularity = np.maximum(np.asarray(exact.sum(axis=0)).ravel(), 1e-30)
    scaled = (diags(activity**-0.5) @ exact @ diags(popularity**-0.5)).tocsr()
    gram: Float64 = (scaled.T @ scaled).toarray()
    kept = min(config.factors, len(items))
    with limit_threads(1):  # small problems on a busy machine lose more by waiting than they win
        _, vectors = eigh(gram, subset_by_index=[len(items) - kept, len(items) - 1])
    gram += config.ideal * ((popularity[:, None] ** -0.5 * vectors) @ (vectors.T * popularity**0.5))
    weights: Float32 = gram.astype(np.float32)
    np.fill_diagonal(weights, 0)
    return GfCf(config, users, items, histories, weights)
