"""Faces grouped by person without knowing anybody: DBSCAN, or average linkage, over the cosine distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np

from shared.errors import UsageError
from shared.lazy import require
from shared.types import AnyArray, Int64

Method: TypeAlias = Literal["dbscan", "hierarchical"]
METHODS = get_args(Method)
_MOST_LINKED = 20_000
"""Faces that are linked at most: their distances take 3.2 GB."""


def cluster(
    embeddings: AnyArray | Sequence[AnyArray], *, threshold: float, method: Method = "dbscan", min_faces: int = 2
) -> Int64:
    """The person of each face, by number.

    - ``"dbscan"``: faces belong together when a chain of faces leads from one to the other, each step at least
      ``threshold`` alike and over faces that have ``min_faces`` such neighbours, themselves counted (M. Ester et al.,
      KDD 1996). Takes many faces; a face that looks like two persons can join them.
    - ``"hierarchical"``: the two groups whose faces are most alike on average are merged as long as that average is at
      least ``threshold`` (average linkage). Slower, and no chain joins two persons.

    Args:
        embeddings: shape (n, d), of unit length; an empty list is no faces.
        threshold: cosine from which faces count as one person's, in [-1, 1]; that of the model's card, say.
        method: one of :data:`METHODS`.
        min_faces: faces that make a group, at least 1; smaller groups are noise.

    Returns:
        Shape (n,), int64: numbers from 0 by size of the group, largest first; -1 for noise.

    Raises:
        UsageError: an argument is out of its range, or there are too many faces to be linked.

    Example:
        >>> faces = np.float32([[1, 0], [0.99, 0.141], [0, 1], [0.02, 0.9998], [0.1, 0.995], [-1, 0]])
        >>> cluster(faces, threshold=0.9).tolist()
        [1, 1, 0, 0, 0, -1]
    """
    faces = np.asarray(embeddings, np.float32)
    if faces.ndim != 2 and faces.size:
        raise UsageError(f"embeddings must have shape (n, d). Got {faces.shape} instead")
    if method not in METHODS:
        raise UsageError(f"method must be one of {', '.join(METHODS)}. Got {method!r} instead")
    if not -1 <= threshold <= 1:
        raise UsageError(f"threshold must lie in [-1, 1]. Got {threshold} instead")
    if min_faces < 1:
        raise UsageError(f"min_faces must be at least 1. Got {min_faces} instead")
    if len(faces) < 2:
        return np.full(len(faces), 0 if min_faces == 1 else -1, np.int64)
    found = _dbscan(faces, threshold, min_faces) if method == "dbscan" else _hierarchical(faces, threshold)
    return _by_size(found, min_faces)


def _dbscan(faces: AnyArray, threshold: float, min_faces: int) -> Int64:
    # On the unit sphere the squared distance is 2 - 2 cosine, and neighbours of a radius are found in blocks.
    radius = float(np.sqrt(max(0.0, 2 - 2 * threshold))) + 1e-6
    sklearn = require("sklearn.cluster", extra="all")
    found: Int64 = sklearn.DBSCAN(eps=radius, min_samples=min_faces, algorithm="brute").fit_predict(faces)
    return found


def _hierarchical(faces: AnyArray, threshold: float) -> Int64:
    if len(faces) > _MOST_LINKED:
        raise UsageError(f"method hierarchical takes at most {_MOST_LINKED:,} faces. Got {len(faces):,}: use dbscan")
    sklearn = require("sklearn.cluster", extra="all")
    linked = sklearn.AgglomerativeClustering(
        n_clusters=None, distance_threshold=1 - threshold + 1e-6, metric="cosine", linkage="average"
    )
    found: Int64 = linked.fit_predict(faces)
    return found


def _by_size(labels: Int64, min_faces: int) -> Int64:
    """Numbers in order of the groups' sizes, and of their first faces where those are equal."""
    groups, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = sorted(
        (at for at in range(groups.size) if groups[at] >= 0 and sizes[at] >= min_faces),
        key=lambda at: (-sizes[at], first[at]),
    )
    number = {int(groups[at]): place for place, at in enumerate(order)}
    return np.array([number.get(int(label), -1) for label in labels], np.int64)
