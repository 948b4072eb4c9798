"""What a recommender answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.types import Float32, Id, Result, array_field

REASONS = ("personal", "fold-in", "content", "segment", "popular")
"""Where a ranking can come from: the user's own training history, a history given now, what the items of a history
are about (where nobody's behaviour says more), what is popular in the user's segment, or what is popular with all."""


@dataclass(frozen=True, eq=False)
class Recommendations(Result):
    """Items for one person, best first.

    Attributes:
        user: the user's id; ``None`` for somebody who was described by a history alone.
        items: ids of the items. Fewer than asked for when the catalogue has no more to offer.
        reason: one of :data:`REASONS`, then after a colon whatever a reader must know (``"popular: unknown user"``).
        scores: shape (k,), float32, never rising. On the model's own scale: comparable within one answer only.
        titles: what the items are called, where titles were given to the opener; else empty.
    """

    user: Id | None
    items: tuple[Id, ...]
    reason: str
    scores: Float32 = array_field("float32", ("k",))
    titles: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The reason's first word."""
        return self.reason.partition(":")[0]

    def check(self, axes: Mapping[str, int]) -> None:
        check_ranking(type(self).__name__, self.items, self.scores, self.titles)
        if self.kind not in REASONS:
            raise UsageError(f"Recommendations.reason must begin with one of {REASONS}. Got {self.reason!r} instead")


@dataclass(frozen=True, eq=False)
class SimilarItems(Result):
    """Items like one item, best first.

    Attributes:
        item: the item that was asked about; it is not among the answers.
        items: ids of the items. Fewer than asked for when the model knows no more that are alike.
        scores: shape (k,), float32, never rising. On the model's own scale.
        titles: as in :class:`Recommendations`.
    """

    item: Id
    items: tuple[Id, ...]
    scores: Float32 = array_field("float32", ("k",))
    titles: tuple[str, ...] = ()

    def check(self, axes: Mapping[str, int]) -> None:
        check_ranking(type(self).__name__, self.items, self.scores, self.titles)


def check_ranking(owner: str, items: tuple[Id, ...], scores: Float32, titles: tuple[str, ...]) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless each item has a score, finite and never rising."""
    if len(items) != len(scores):
        raise UsageError(f"{owner} must have a score for each item. Got {len(scores)} for {len(items)} instead")
    if titles and len(titles) != len(items):
        raise UsageError(f"{owner} must have titles for all items or none. Got {len(titles)} for {len(items)} instead")
    if not np.isfinite(scores).all() or (np.diff(scores) > 0).any():
        raise UsageError(f"{owner}.scores must be finite and never rise. Got {scores.tolist()[:10]} instead")


def extend_reason(reason: str, fact: str) -> str:
    """A reason with one more fact at its end.

    Example:
        >>> extend_reason(extend_reason("personal", "diversified"), "rules applied")
        'personal: diversified; rules applied'
    """
    return f"{reason}{';' if ':' in reason else ':'} {fact}"
