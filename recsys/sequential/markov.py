"""A Markov chain over items, loosened: what follows what, nearly at once, after each of the newest few.

With ``window=1`` and ``recent=1`` this is the first-order chain with maximum-likelihood transitions (S. Rendle, C.
Freudenthaler and L. Schmidt-Thieme, "Factorizing personalized Markov chains for next-basket recommendation", WWW 2010,
section 4.1); with a wider window it counts as the sequential rules of M. Ludewig and D. Jannach, "Evaluation of
session-based recommendation algorithms", User Modeling and User-Adapted Interaction 28 (2018), section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import coo_matrix

from recsys.data import Csr, Interactions, csr, read_csr
from recsys.histories import Parts, Weighting
from recsys.sequential.model import Sequential
from recsys.sequential.paths import Paths, order, read_paths
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float32, Int32


@dataclass(frozen=True, kw_only=True)
class MarkovConfig:
    """Options of :func:`fit_markov`.

    Attributes:
        window: how many places after an item another still counts as following it, at least 1; at distance d as 1 / d.
        recent: how many of the newest items of a path speak, at least 1.
        decay: what each step back from the newest item leaves of an item's word, in (0, 1].
        shrink: added to how often an item was followed at all, at least 0: the more, the less rare items are trusted.
    """

    weighting: ClassVar[Weighting] = "binary"
    window: int = field(default=20, metadata={"help": "places after an item that still count as following, at least 1"})
    recent: int = field(default=20, metadata={"help": "newest items of a path that speak, at least 1"})
    decay: float = field(default=0.7, metadata={"help": "what a step back leaves of an item's word, in (0, 1]"})
    shrink: float = field(default=40.0, metadata={"help": "how much rarely followed items are distrusted, at least 0"})

    def __post_init__(self) -> None:
        for name in ("window", "recent"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1. Got {getattr(self, name)} instead")
        if not 0 < self.decay <= 1:
            raise UsageError(f"decay must lie above 0 and be at most 1. Got {self.decay} instead")
        if not 0 <= self.shrink < np.inf:
            raise UsageError(f"shrink must be at least 0 and finite. Got {self.shrink} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Markov(Sequential):
    """Scores an item by how often it followed each of the newest items of a path, the newest counting most.

    An item that followed none of them scores 0, and such items rank by popularity.

    Attributes:
        transitions: CSR, shape (items, items), float32, positive: row i holds what followed item i, as shares.
    """

    family: ClassVar[str] = "markov"
    config: MarkovConfig
    transitions: Csr

    def score_paths(self, paths: Paths) -> Float32:
        """See :meth:`recsys.sequential.model.Sequential.score_paths`."""
        newest = paths.newest(self.config.recent)
        words = (self.config.decay**newest.ages).astype(np.float32)
        said = csr(newest.people, newest.items, words, (len(paths), len(self.item_ids)))
        scores: Float32 = (said @ self.transitions).toarray()
        return scores

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: what follows an item or is followed by it."""
        scores: Float32 = (self.transitions[items] + self._before[items]).toarray()
        scores[scores == 0] = -np.inf
        return scores

    @cached_property
    def _before(self) -> Csr:
        return self.transitions.T.tocsr()

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        found = {f"transitions.{part}": getattr(self.transitions, part) for part in ("data", "indices", "indptr")}
        return {**super().arrays(), **found}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Markov:
        """See :meth:`recsys.model.Recommender.restore`."""
        paths = read_paths(arrays, len(parts[0]), len(parts[1]))
        transitions = read_csr("transitions", arrays, (len(parts[1]), len(parts[1])))
        if transitions.nnz and not transitions.data.min() > 0:
            raise DataError("transitions.data must be positive shares. Got one that is not")
        return cls(MarkovConfig(**config), *parts, paths, transitions)


def fit_markov(
    interactions: Interactions, config: MarkovConfig | None = None, *, rng: np.random.Generator | None = None
) -> Markov:
    """Count what follows what: t_ij = sum of 1 / d over j d places after i, over (how often i was followed + shrink).

    Args:
        interactions: what happened; see :func:`recsys.sequential.paths.order` for the rule of order.
        config: options; ``None`` takes the defaults.
        rng: taken so that all fits look alike; nothing here is random.

    Raises:
        DataError: there are no interactions.

    Example:
        >>> from recsys.data import from_records
        >>> days = [("ann", "tea", 1, 1), ("ann", "cake", 1, 2), ("bob", "rice", 1, 1), ("bob", "tea", 1, 2)]
        >>> fit_markov(from_records(days)).fold_in(["tea"], k=1).items
        ('cake',)
    """
    config = config or MarkovConfig()
    users, items, paths = order(interactions)
    width = len(items)
    return Markov(config, users, items, paths.matrix(width), paths, count_transitions(paths, width, config))


def count_transitions(paths: Paths, width: int, config: MarkovConfig) -> Csr:
    """What follows what, as :func:`fit_markov` says. CSR, shape (width, width), float32, positive."""
    longest = int(paths.lengths.max(initial=0))
    found = coo_matrix((width, width), dtype=np.float64).tocsr()
    for distance in range(1, min(config.window, longest - 1) + 1):
        first = np.flatnonzero(paths.ages >= distance)
        pair = paths.items[first], paths.items[first + distance]
        found = found + coo_matrix((np.full(len(first), 1 / distance), pair), shape=(width, width)).tocsr()
    followed = np.bincount(paths.items[paths.ages > 0], minlength=width)
    scale = np.divide(1.0, followed + config.shrink, out=np.zeros(width), where=followed > 0)
    found.data *= np.repeat(scale, np.diff(found.indptr))
    transitions = found.astype(np.float32)
    transitions.eliminate_zeros()
    transitions.sort_indices()
    return transitions
