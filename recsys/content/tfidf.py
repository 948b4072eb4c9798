"""Content as words: TF-IDF of the text of items.

G. Salton and C. Buckley, "Term-weighting approaches in automatic text retrieval", Information Processing and
Management 24 (1988), in the form of scikit-learn's ``TfidfVectorizer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix, vstack

from recsys.content.model import Content, ContentConfig, Features, arrange, catalogue_parts, read_features
from recsys.data import Csr, Interactions
from recsys.histories import Parts
from recsys.ids import Vocabulary
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float32, Id

WORD = r"(?u)\b\w+\b"
"""A word; one letter is one too, as in "M" or "Z"."""


@dataclass(frozen=True, kw_only=True)
class TfidfConfig(ContentConfig):
    """Options of :func:`fit_content`: those of :class:`~recsys.content.model.ContentConfig`, and how text is read.

    Attributes:
        ngrams: up to so many words in a row are one term, 1 to 3.
        min_items: a term of fewer items is passed over, at least 1.
        max_share: a term of a greater share of the items is passed over, above 0 and at most 1.
    """

    ngrams: int = field(default=1, metadata={"help": "up to so many words in a row are one term, 1 to 3"})
    min_items: int = field(default=1, metadata={"help": "terms of fewer items are passed over, at least 1"})
    max_share: float = field(default=0.5, metadata={"help": "terms of a greater share of items are passed over"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ngrams not in (1, 2, 3):
            raise UsageError(f"ngrams must be 1, 2 or 3. Got {self.ngrams} instead")
        if self.min_items < 1:
            raise UsageError(f"min_items must be at least 1. Got {self.min_items} instead")
        if not 0 < self.max_share <= 1:
            raise UsageError(f"max_share must be above 0 and at most 1. Got {self.max_share} instead")


@dataclass(frozen=True, eq=False, repr=False)
class TfidfContent(Content):
    """A content model that can read the text of further items.

    Attributes:
        terms: the terms, in the order of the features.
        idf: shape (terms,), float32, ln((1 + items) / (1 + items with the term)) + 1.
    """

    family: ClassVar[str] = "content_tfidf"
    terms: Vocabulary
    idf: Float32

    def read(self, texts: Mapping[Id, str]) -> Features:
        """Features of texts, CSR, shape (len(texts), terms), each row of length 1 or 0."""
        reader = _vectorizer(self.config, vocabulary=list(self.terms.ids))
        reader.idf_ = self.idf.astype(np.float64)
        return reader.transform(texts.values()).astype(np.float32)

    def add_items(self, texts: Mapping[Id, str]) -> TfidfContent:
        """A model that knows further items too, with the terms that were learned; nothing is refitted.

        Args:
            texts: the text of each new item. One that is known gets its new text.

        Raises:
            DataError: an id is of another type.
        """
        new = [item for item in texts if self.item_ids.find(item) is None]
        known = Vocabulary("item", (*self.item_ids.ids, *new))
        place = {item: at for at, item in enumerate(texts)}
        rows = self.read(texts)
        kept = np.array([item not in place for item in self.item_ids.ids], dtype=np.float32)
        old = self.features.multiply(kept[:, None]).tocsr()
        old.eliminate_zeros()
        empty = csr_matrix((len(new), len(self.terms)), dtype=np.float32)
        features = vstack([old, empty]).tocsr() + arrange(list(texts), rows, known)
        features.sort_indices()
        old_histories = self.histories
        shape = (len(self.user_ids), len(known))
        histories = csr_matrix((old_histories.data, old_histories.indices, old_histories.indptr), shape=shape)
        return TfidfContent(self.config, self.user_ids, known, histories, features, self.terms, self.idf)

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), **self.terms.to_arrays(), "idf": self.idf}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> TfidfContent:
        """See :meth:`recsys.model.Recommender.restore`."""
        terms = Vocabulary.from_arrays("term", arrays)
        features, idf = read_features(arrays, len(parts[1])), arrays.get("idf", np.zeros(0))
        if idf.shape != (len(terms),) or features.shape[1] != len(terms) or not np.isfinite(idf).all():
            raise DataError(f"idf must have one finite number for each of the {len(terms)} terms. Got {idf.shape}")
        return cls(TfidfConfig(**config), *parts, features, terms, idf)


def fit_content(
    interactions: Interactions,
    config: TfidfConfig | None = None,
    *,
    items: Mapping[Id, str],
    rng: np.random.Generator | None = None,
) -> TfidfContent:
    """A content model from the text of each item: titles, genres, tags, descriptions, joined in one string.

    Terms are learned from all items of the catalogue, whether or not anybody touched them.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        items: the catalogue: the text of each item, ids of the type of those of the interactions. New items belong
            here; an item of the interactions that is missing has no features.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions, ids are of another type, no text holds a word, or the weighting cannot
            take the values.

    Example:
        >>> from recsys.data import from_records
        >>> texts = {"assam": "black tea", "mate": "green tea", "rice": "white rice"}
        >>> model = fit_content(from_records([("ann", "assam")]), TfidfConfig(max_share=1), items=texts)
        >>> model.recommend(["ann"], k=1)[0].items
        ('mate',)
    """
    config = config or TfidfConfig()
    users, known, histories = catalogue_parts(interactions, config.weighting, list(items))
    order = [item for item in known.ids if item in items]  # terms must not depend on the order of the catalogue
    reader = _vectorizer(config)
    try:
        rows: Csr = reader.fit_transform(items[item] for item in order).astype(np.float32)
    except ValueError as error:
        raise DataError(f"the text of the items must leave terms to learn from. {error}") from error
    terms = Vocabulary("term", tuple(reader.get_feature_names_out().tolist()))
    return TfidfContent(
        config, users, known, histories, arrange(order, rows, known), terms, reader.idf_.astype(np.float32)
    )


def _vectorizer(config: TfidfConfig, **options: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - heavy, and asked for by few

    learned = {} if options else {"min_df": config.min_items, "max_df": float(config.max_share)}
    shape = {"ngram_range": (1, config.ngrams), "token_pattern": WORD}
    return TfidfVectorizer(sublinear_tf=True, **shape, **learned, **options)
