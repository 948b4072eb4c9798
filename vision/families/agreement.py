"""Whether two lists of finished boxes are the same, up to the order of equals and what stands at the threshold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shared.types import AnyArray

PIXELS = 1.0
"""How far corners may lie apart, in pixels of the input."""
SCORES = 0.01
"""How far scores may lie apart; boxes this near to one another in score may come in another order."""
TIED = 1e-5
"""Of boxes this near to one another in score, suppression keeps the one or the other by chance."""
_FEW = 0.02


def same_boxes(wanted: Mapping[str, AnyArray], got: Mapping[str, AnyArray]) -> str:
    """What differs, or nothing: as many boxes with the same scores, and each that no other ties with at its place.

    Args:
        wanted: ``boxes`` (n, 4), ``scores`` (n,) and ``labels`` (n,).
        got: the same.

    Example:
        >>> one = {"boxes": np.zeros((1, 4)), "scores": np.ones(1), "labels": np.ones(1)}
        >>> same_boxes(one, one), same_boxes(one, {name: values[:0] for name, values in one.items()})
        ('', '0 boxes came where 1 are expected')
    """
    count, came = len(wanted["scores"]), len(got["scores"])
    if abs(came - count) > _FEW * count:
        return f"{came} boxes came where {count} are expected"
    both = min(count, came)
    ranked, theirs = (np.sort(side["scores"])[::-1][:both] for side in (wanted, got))
    apart = float(np.abs(ranked - theirs).max(initial=0.0))
    if apart > SCORES:
        return f"scores differ by up to {apart:.3g}"
    untied = [at for at, score in enumerate(wanted["scores"]) if (np.abs(wanted["scores"] - score) < TIED).sum() == 1]
    missing = 0
    for at in untied:
        near = np.abs(got["boxes"] - wanted["boxes"][at]).max(axis=1) <= PIXELS
        near &= np.abs(got["scores"] - wanted["scores"][at]) <= SCORES
        missing += not (near & (got["labels"] == wanted["labels"][at])).any()
    return f"{missing} of {count} boxes are not among those that came" if missing > _FEW * len(untied) else ""
