"""EASE that knows what items are about: one linear model from behaviour and content together.

O. Jeunen, J. Van Balen and B. Goethals, "Closed-form models for collaborative filtering with side-information",
RecSys 2020 (their CEASE): features of items stand below the histories as if they were further people, so items that
share a feature draw each other, however few people touched them, none included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.collaborative.ease import Ease, EaseConfig, balanced
from recsys.content.model import Features, arrange, catalogue_parts
from recsys.data import Interactions
from shared.errors import UsageError
from shared.types import Float32, Float64, Id


@dataclass(frozen=True, kw_only=True)
class EaseContentConfig(EaseConfig):
    """Options of :func:`fit_ease_content`: those of :class:`~recsys.collaborative.ease.EaseConfig`, and one more.

    Attributes:
        content: how much a feature counts beside a person, at least 0; 0 is plain EASE.
    """

    content: float = field(default=30.0, metadata={"help": "how much a feature counts beside a person, at least 0"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.content < np.inf:
            raise UsageError(f"content must be at least 0 and finite. Got {self.content} instead")


class EaseContent(Ease):
    """Scores the items of histories X as X B, like :class:`~recsys.collaborative.ease.Ease`, new items among them."""

    family: ClassVar[str] = "ease_content"
    options: ClassVar[Callable[..., Any]] = EaseContentConfig
    task: ClassVar[str] = "recsys.content"


def fit_ease_content(
    interactions: Interactions,
    config: EaseContentConfig | None = None,
    *,
    items: Sequence[Id],
    features: Features,
    rng: np.random.Generator | None = None,
) -> EaseContent:
    """Solve min |X - X B|^2 + content |F - F B|^2 + |D B|^2 with diag(B) = 0.

    X and D are those of :func:`~recsys.collaborative.ease.fit_ease`; F has a row for each feature, each item's column
    scaled to length 1. Memory is 16 bytes for each pair of items, time grows with the cube of the items.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        items: the catalogue: ids of the items that have features, each once; new items belong here.
        features: shape (len(items), d), CSR or array: TF-IDF, genres, embeddings.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, ids are of another type, or the weighting cannot take the values.
        UsageError: the features do not fit, or ``l2`` is too small for these data.

    Example:
        >>> from recsys.data import from_records
        >>> kinds = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
        >>> model = fit_ease_content(from_records([("ann", "tea")]), items=["tea", "mate", "rice"], features=kinds)
        >>> model.recommend(["ann"], k=1)[0].items
        ('mate',)
    """
    config = config or EaseContentConfig()
    if features.ndim != 2 or features.shape[0] != len(items):
        raise UsageError(f"features must have a row for each of the {len(items)} items. Got shape {features.shape}")
    users, known, histories = catalogue_parts(interactions, config.weighting, items)
    rows = arrange(items, features, known).astype(np.float64)
    scaled = balanced(histories, config.activity_power)
    gram = (scaled.T @ scaled).toarray()
    shared = rows @ rows.T
    popularity = np.diagonal(gram).copy()
    relative = np.maximum(popularity, 1.0) / max(1.0, float(popularity[popularity > 0].mean()))
    gram += config.content * (shared.toarray() if hasattr(shared, "toarray") else shared)
    gram[np.diag_indices_from(gram)] += config.l2 * relative**config.popularity_power
    gram[np.diag_indices_from(gram)] += popularity * (config.dropout / (1 - config.dropout))
    try:
        inverse: Float64 = np.linalg.inv(gram)
    except np.linalg.LinAlgError as error:
        raise UsageError(f"l2 is too small for these data: raise it. Got {config.l2}") from error
    weights: Float32 = (inverse / -np.diagonal(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return EaseContent(config, users, known, histories, weights)
