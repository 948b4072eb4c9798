"""What a re-ranker sees of each candidate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.data import Csr
from recsys.hybrid.groups import candidate_lifts
from recsys.hybrid.members import ranks
from shared.types import Float32, Float64, Int32, Int64

PERSON_FEATURES = ("log popularity", "log activity", "mean log popularity of the history", "mean value of the item")


def width_of(members: int, columns: int) -> int:
    """How many numbers :func:`describe` gives for each candidate."""
    return 2 * members + len(PERSON_FEATURES) + columns


def describe(
    scores: Float32,
    chosen: Int32,
    *,
    values: Csr,
    popularity: Int64 | Float64,
    means: Float64,
    tables: Sequence[Float32] = (),
    groups: Int32 | None = None,
) -> Float64:
    """What a ranker sees of each candidate.

    Args:
        scores: shape (members, n, c), the members' standardised scores of the candidates.
        chosen: shape (n, c), codes of the candidates.
        values: CSR, shape (n, items), histories.
        popularity: shape (items,), how many people have each item.
        means: shape (items,), the mean value of each item.
        tables: by :func:`recsys.hybrid.groups.lift_tables`, one for each column of groups.
        groups: shape (columns, n), the groups of these people; ``None`` where nothing is known of them.

    Returns:
        Shape (n, c, 2 members + 4 + columns), float64: each member's score, each member's 10 / (10 + place among the
        candidates), :data:`PERSON_FEATURES`, and how much more than expected people of each group have the item.
    """
    n, c = chosen.shape
    share = np.log1p(1e5 * popularity / max(1, int(popularity.sum())))  # as a share: folds hold fewer interactions
    count = np.diff(values.indptr)
    known = np.zeros(n)
    np.add.at(known, np.repeat(np.arange(n), count), share[values.indices])
    nothing = np.zeros((n, c), dtype=np.bool_)
    places = [10 / (10 + ranks(one, nothing)) for one in scores]
    about = [
        share[chosen],
        np.broadcast_to(np.log1p(count)[:, None], (n, c)),
        np.broadcast_to((known / np.maximum(count, 1))[:, None], (n, c)),
        means[chosen],
    ]
    unknown = np.full((len(tables), n), -1, dtype=np.int32)
    lifts = candidate_lifts(list(tables), unknown if groups is None else groups, chosen)
    return np.stack([*scores, *places, *about, *lifts], axis=-1).astype(np.float64)


def mean_values(values: Csr) -> Float64:
    """The mean value of each item, shape (items,); the mean of all where an item has none."""
    count = values.getnnz(axis=0)
    total = np.asarray(values.sum(axis=0, dtype=np.float64)).ravel()
    overall = float(total.sum() / max(1, count.sum()))
    return np.where(count > 0, total / np.maximum(count, 1), overall)
