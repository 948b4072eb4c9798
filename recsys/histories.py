"""Histories: who interacted with what, weighted, as models are fitted on them and as they come from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from recsys.data import Csr, Interactions, csr
from recsys.ids import Vocabulary
from shared.errors import DataError, UsageError
from shared.types import Float32, Id, Int32

Weighting: TypeAlias = Literal["binary", "value", "log"]
WEIGHTINGS: tuple[Weighting, ...] = ("binary", "value", "log")
Parts: TypeAlias = tuple[Vocabulary, Vocabulary, Csr]
"""Users, items and histories, as :class:`Recommender` holds them."""
WEIGHTING_HELP = "what an interaction weighs: binary (1), value, or log (of 1 + value)"


def training_parts(interactions: Interactions, weighting: Weighting) -> Parts:
    """What each family is fitted on: the users and items that interact at all, and the weighted histories.

    Items come most popular first and then by id, so that ties rank by popularity whatever the order of rows.

    Raises:
        DataError: there are no interactions, or the weighting cannot take their values.
    """
    if not len(interactions):
        raise DataError("a model needs at least one interaction. Got none: was the data filtered or split too far?")
    counts = np.bincount(interactions.items, minlength=len(interactions.item_ids))
    popular = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    active = np.unique(interactions.users)
    users = np.searchsorted(active, interactions.users).astype(np.int32)
    place = np.full(len(counts), -1, dtype=np.int32)
    place[popular] = np.arange(len(popular))
    weights = weigh(interactions.values, weighting)
    if not weights.any():
        raise DataError(f"weighting {weighting!r} gives every interaction the weight 0. Use weighting 'binary'")
    histories = csr(users, place[interactions.items], weights, (len(active), len(popular)))
    if histories.nnz < len(interactions):
        raise DataError(
            f"a model that knows no order takes each pair once. {len(interactions) - histories.nnz} come again: "
            "read the data with duplicates 'last', 'sum' or 'mean'"
        )
    known_users = Vocabulary("user", interactions.user_ids.decode(active))
    return known_users, Vocabulary("item", interactions.item_ids.decode(popular)), histories


def weigh(values: Float32, weighting: Weighting) -> Float32:
    """Weights of interactions: 1 each, the values themselves, or log(1 + value).

    Raises:
        DataError: ``"binary"`` or ``"log"`` and a value is negative, which neither can tell from liking.
    """
    if weighting == "value":
        return values
    if values.size and float(values.min()) < 0:
        raise DataError(
            f"weighting {weighting!r} counts every interaction in favour, so values must not be negative. "
            f"Got {float(values.min())}: keep the positive ones with at_least(...), or use weighting 'value'"
        )
    return np.ones_like(values) if weighting == "binary" else np.log1p(values)


def check_weighting(weighting: str) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless it is one of :data:`WEIGHTINGS`."""
    if weighting not in WEIGHTINGS:
        raise UsageError(f"weighting must be one of {', '.join(WEIGHTINGS)}. Got {weighting!r} instead")


@dataclass(frozen=True)
class Folded:
    """A history that was given from outside, in codes.

    Attributes:
        items: shape (n,), int32, each once.
        weights: shape (n,), float32.
        unknown: what was passed over, as people read it.
    """

    items: Int32
    weights: Float32
    unknown: tuple[str, ...]

    def reason(self, kind: str) -> str:
        """The reason of an answer from this history, ``kind`` its first word."""
        if kind == "popular" and not self.unknown:
            return "popular: the history is empty"
        if not self.unknown:
            return kind
        shown = ", ".join(self.unknown[:5]) + (f" and {len(self.unknown) - 5} more" if len(self.unknown) > 5 else "")
        fact = "no item of the history is known" if kind == "popular" else "unknown items passed over"
        return f"{kind}: {fact}: {shown}"


def fold(known: Vocabulary, history: Sequence[Id] | Mapping[Id, float], weighting: Weighting) -> Folded:
    """A history from outside as codes and weights; ids that are not known are set aside.

    Raises:
        UsageError: it is no list, or a value is not finite.
    """
    if isinstance(history, str | bytes):
        raise UsageError(f"a history must be a list of item ids, or a value for each. Got {history!r} instead")
    pairs = history.items() if isinstance(history, Mapping) else ((item, 1.0) for item in history)
    found: dict[int, float] = {}
    unknown: dict[str, None] = {}
    for item, value in pairs:
        code = known.find(item)
        if code is None:
            unknown[repr(item)] = None
        else:
            found[code] = value
    values = np.array(list(found.values()), dtype=np.float32)
    if not np.isfinite(values).all():
        raise UsageError(f"values of a history must be finite numbers. Got {history!r} instead")
    return Folded(np.array(list(found), dtype=np.int32), weigh(values, weighting), tuple(unknown))
