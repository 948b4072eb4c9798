"""The model behind every kind of content: items are rows of features, people are the mean of what they liked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix, issparse

from recsys.data import Csr, Interactions, csr, read_csr
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts
from recsys.ids import Vocabulary
from recsys.model import Recommender
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float32, Float64, Id, Int32

Features = Any
"""Rows of items: a CSR matrix or an array, shape (items, d), float32, finite, each row of length 1 or 0."""


@dataclass(frozen=True, kw_only=True)
class ContentConfig:
    """Options of :func:`fit_vectors` and :func:`~recsys.content.tfidf.fit_content`.

    Attributes:
        weighting: what an interaction weighs in a person's profile: ``"binary"``, ``"value"`` or ``"log"``.
        popularity_power: scores are multiplied by (1 + people who have the item) to this power, in 0..1; 0 looks at
            content alone, so that new items stand beside old ones.
    """

    weighting: Weighting = field(default="log", metadata={"help": WEIGHTING_HELP})
    popularity_power: float = field(default=0.0, metadata={"help": "how much popular items are preferred, in 0..1"})

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        if not 0 <= self.popularity_power <= 1:
            raise UsageError(f"popularity_power must lie in 0..1. Got {self.popularity_power} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Content(Recommender):
    """Scores an item by the cosine of its features and a person's profile, the weighted mean of the items of a history.

    Its ``item_ids`` hold items that nobody has touched yet, after the others: they are recommended like any other.

    Attributes:
        features: a row for each item; see :data:`Features`. A row of zeros is an item of which nothing is known.
    """

    family: ClassVar[str] = "content"
    task: ClassVar[str] = "recsys.content"
    features: Features

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`."""
        profiles = histories @ self.features
        if issparse(self.features):
            scores = _unit(profiles.tocsr()) @ self.features.T
            found: Float32 = scores.toarray().astype(np.float32, copy=False)
        else:
            found = _unit(np.asarray(profiles)) @ self.features.T
        if self.config.popularity_power:
            found *= ((1.0 + self.popularity) ** self.config.popularity_power).astype(np.float32)
        return found

    def contributions(self, history: Csr, item: int) -> Float64:
        """See :meth:`recsys.model.Recommender.contributions`: each weight times its item's product with the item asked
        for, over the length of the profile.
        """
        profile, row = history @ self.features, self.features[[item]]
        length = np.sqrt((profile.multiply(profile) if issparse(profile) else np.square(profile)).sum())
        alike = self.features[history.indices] @ row.T
        alike = np.asarray(alike.toarray() if issparse(alike) else alike, dtype=np.float64).ravel()
        parts: Float64 = history.data * alike / max(float(length), 1e-30)
        return parts * float((1.0 + self.popularity[item]) ** self.config.popularity_power)

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: cosines; items without features are not known."""
        found = self.features[items] @ self.features.T
        scores: Float32 = found.toarray() if issparse(found) else np.array(found)
        scores[:, ~self._known] = -np.inf
        scores[~self._known[items]] = -np.inf
        return scores

    def vectors(self, items: Sequence[Id]) -> Float32:
        """Features of some items, shape (n, d), for :func:`recsys.reranking.diversify`.

        Raises:
            UnknownNameError: an item is not known; the message lists near ids.
        """
        codes = [self.item_ids.code(item) for item in items]
        rows = self.features[codes]
        found: Float32 = rows.toarray() if issparse(rows) else rows
        return found

    @cached_property
    def _known(self) -> AnyArray:
        if issparse(self.features):
            return np.asarray(np.diff(self.features.indptr) > 0)
        return np.asarray(self.features.any(axis=1))

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        if not issparse(self.features):
            return {"features": self.features}
        found = {f"features.{part}": getattr(self.features, part) for part in ("data", "indices", "indptr")}
        return {**found, "features.width": np.array([self.features.shape[1]])}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Content:
        """See :meth:`recsys.model.Recommender.restore`."""
        return cls(ContentConfig(**config), *parts, read_features(arrays, len(parts[1])))


def fit_vectors(
    interactions: Interactions,
    config: ContentConfig | None = None,
    *,
    items: Sequence[Id],
    vectors: Float32,
    rng: np.random.Generator | None = None,
) -> Content:
    """A content model from a vector for each item: embeddings of its text, of its picture, or of both.

    How the vectors were made is not this package's business: a sentence encoder (``nlp.embedder``), a picture encoder,
    or a table from elsewhere. :func:`recsys.content.embeddings.join_vectors` makes one of several.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        items: the catalogue: ids of the items that have a vector, each once, of the same type as those of the
            interactions. Items of the interactions that are missing have no features.
        vectors: shape (len(items), d), finite; a row of zeros says nothing. Rows are scaled to length 1.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, ids are of another type, or the weighting cannot take the values.
        UsageError: the vectors do not fit.

    Example:
        >>> from recsys.data import from_records
        >>> vectors = np.array([[1, 0], [1, 0.1], [0, 1]], dtype=np.float32)
        >>> model = fit_vectors(from_records([("ann", "tea")]), items=["tea", "mate", "rice"], vectors=vectors)
        >>> model.recommend(["ann"], k=1)[0].items
        ('mate',)
    """
    if vectors.ndim != 2 or len(vectors) != len(items) or not np.isfinite(vectors).all():
        raise UsageError(
            f"vectors must be a finite array with a row for each of the {len(items)} items. "
            f"Got shape {vectors.shape} instead"
        )
    config = config or ContentConfig()
    users, known, histories = catalogue_parts(interactions, config.weighting, items)
    return Content(config, users, known, histories, arrange(items, vectors.astype(np.float32), known))


def catalogue_parts(interactions: Interactions, weighting: Weighting, catalogue: Sequence[Id]) -> Parts:
    """:func:`recsys.histories.training_parts` with the items of a catalogue that nobody has touched at the end.

    Raises:
        DataError: as there; or an id of the catalogue repeats or is of another type.
    """
    users, known, histories = training_parts(interactions, weighting)
    Vocabulary("item", tuple(catalogue))
    new = sorted((item for item in catalogue if known.find(item) is None), key=lambda item: (str(type(item)), item))
    whole = Vocabulary("item", (*known.ids, *new))
    wider = csr_matrix((histories.data, histories.indices, histories.indptr), shape=(len(users), len(whole)))
    return users, whole, wider


def arrange(items: Sequence[Id], rows: Features, known: Vocabulary) -> Features:
    """Rows of ``items`` in the order of ``known``, each scaled to length 1; zeros where there is none."""
    place = {item: at for at, item in enumerate(items)}
    taken = np.array([place.get(item, -1) for item in known.ids], dtype=np.int64)
    have = np.flatnonzero(taken >= 0)
    if issparse(rows):
        found = rows.tocsr()[taken[have]].tocoo()
        return _unit(csr(have[found.row].astype(np.int32), found.col, found.data, (len(known), rows.shape[1])))
    arranged = np.zeros((len(known), rows.shape[1]), dtype=np.float32)
    arranged[have] = rows[taken[have]]
    return _unit(arranged)


def read_features(arrays: Mapping[str, AnyArray], n: int) -> Features:
    """The features that :meth:`Content.arrays` wrote, checked.

    Raises:
        DataError: they do not fit.
    """
    if "features.width" in arrays:
        return read_csr("features", arrays, (n, int(arrays["features.width"][0])))
    features = arrays.get("features", np.zeros(0))
    if features.ndim != 2 or len(features) != n or features.dtype != np.float32 or not np.isfinite(features).all():
        came = f"{features.dtype} {features.shape}"
        raise DataError(f"features must be a finite float32 array with {n} rows. Got {came} instead")
    return features


def _unit(rows: Features) -> Features:
    """Rows scaled to length 1; rows of zeros stay."""
    if issparse(rows):
        lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1), dtype=np.float64).ravel())
        scaled = rows.copy()
        scaled.data = (scaled.data / np.repeat(np.maximum(lengths, 1e-30), np.diff(rows.indptr))).astype(np.float32)
        return scaled
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0, casting="same_kind")
