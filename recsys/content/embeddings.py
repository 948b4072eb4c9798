"""Content as vectors: sentence embeddings of text, image embeddings of pictures, or both in one.

This package imports neither language nor vision. Encoders come in as functions, ``texts -> vectors``: inside a program
``nlp.embedder().predict`` is one; the command finds an encoder by the name of a task's tool, as it finds tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from recsys.content.model import Content, ContentConfig, fit_vectors
from recsys.data import Interactions
from shared.errors import UsageError
from shared.types import Float32, Id

Encode: TypeAlias = Callable[[list[Any]], Sequence[Any]]
"""From inputs to a vector for each, in their order; :meth:`shared.predictor.Predictor.predict` of an encoder fits."""


def fit_embeddings(
    interactions: Interactions,
    config: ContentConfig | None = None,
    *,
    items: Mapping[Id, Any],
    encode: Encode,
    pictures: Mapping[Id, Any] | None = None,
    encode_pictures: Encode | None = None,
    picture_share: float = 0.5,
    rng: np.random.Generator | None = None,
) -> Content:
    """A content model from embeddings of each item's text and, where there are any, of its picture.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        items: the text of each item of the catalogue; or its picture, where there are no texts.
        encode: from those to vectors, of any one length.
        pictures: for the items that have one, what ``encode_pictures`` takes: a path or an image.
        encode_pictures: from pictures to vectors.
        picture_share: the share of the picture in the likeness of two items that both have one, in 0..1.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: as :func:`recsys.content.model.fit_vectors`.
        UsageError: an encoder answers with something else than a vector for each, or one is missing.
    """
    if bool(pictures) != (encode_pictures is not None):
        raise UsageError("pictures and encode_pictures belong together. Got only one of them")
    ids = list(items)
    parts: list[tuple[Sequence[Id], Float32, float]] = [(ids, _encoded(encode, list(items.values())), 1.0)]
    if pictures and encode_pictures is not None:
        if not 0 <= picture_share <= 1:
            raise UsageError(f"picture_share must lie in 0..1. Got {picture_share} instead")
        seen = _encoded(encode_pictures, list(pictures.values()))
        parts = [(ids, parts[0][1], 1 - picture_share), (list(pictures), seen, picture_share)]
        ids = [*ids, *(item for item in pictures if item not in items)]
    return fit_vectors(interactions, config, items=ids, vectors=join_vectors(ids, parts), rng=rng)


def join_vectors(items: Sequence[Id], parts: Sequence[tuple[Sequence[Id], Float32, float]]) -> Float32:
    """One vector for each item from several kinds, so that the cosine of two items that have all kinds is the weighted
    mean of their cosines in each.

    Each kind is centred on its mean (embeddings of one model share a direction that says nothing), scaled to length 1,
    multiplied by the root of its weight, and set beside the others. An item that lacks a kind has zeros there.

    Args:
        items: ids of the rows that are wanted.
        parts: for each kind the ids that have it, their vectors of shape (n, d), and its weight, at least 0.

    Returns:
        Shape (len(items), sum of d), float32.

    Raises:
        UsageError: ids and vectors of a kind differ in number, or a weight is negative.
    """
    place = {item: at for at, item in enumerate(items)}
    blocks = []
    for ids, vectors, weight in parts:
        if vectors.ndim != 2 or len(ids) != len(vectors):
            raise UsageError(f"each kind must have a vector for each id. Got {len(ids)} ids and shape {vectors.shape}")
        if not weight >= 0:
            raise UsageError(f"the weight of a kind must be at least 0. Got {weight} instead")
        centred = vectors.astype(np.float64)
        if len(centred) > 2:  # the mean of one or two says nothing of a shared direction
            centred = centred - centred.mean(axis=0)
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        unit = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 0)
        block = np.zeros((len(items), vectors.shape[1]), dtype=np.float32)
        known = [(place[item], at) for at, item in enumerate(ids) if item in place]
        for to, at in known:
            block[to] = np.sqrt(weight) * unit[at]
        blocks.append(block)
    return np.hstack(blocks)


def _encoded(encode: Encode, inputs: list[Any]) -> Float32:
    vectors = np.asarray(encode(inputs), dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(inputs):
        raise UsageError(
            f"an encoder must answer with a vector for each of the {len(inputs)} inputs. "
            f"Got shape {vectors.shape} instead"
        )
    return vectors
