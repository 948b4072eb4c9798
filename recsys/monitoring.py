"""What is watched of a person's request and of the items that were recommended.

An item's *popularity rank* is its place among the model's items, most popular first, as a share of them in [0, 1): 0 is
the most popular one. It needs the predictor that answered; without it the columns of ranks are left out.

- ``history``: interactions of the person that the model knows, or that came with the request;
- ``seen_rank``: mean popularity rank of those items, which moves when taste does;
- ``unknown_items``: share of a given history's items that the model does not know, in [0, 1]: new ids;
- ``person``: ``known``, ``unknown`` (an id that was not in training) or ``history``;
- ``count``: items recommended; ``recommended_rank``: their mean popularity rank; ``reason``: where they come from;
- the first item recommended is the *label*; scores are on each model's own scale, so there is no confidence.

How many requests come a second is told by the profile (:attr:`shared.monitoring.profile.Profile.per_second`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recsys.types import Recommendations
from shared.errors import InputError
from shared.monitoring.signals import Observed
from shared.types import Int32, Result


def observe(item: Any, result: Result, *, predictor: Any = None) -> Observed:
    """What is watched of a request for recommendations; see this module.

    Args:
        item: a user's id, or the history of somebody: item ids, or a value for each.
        result: what was recommended.
        predictor: that answered, a :class:`~recsys.predictor.RecommenderPredictor`.

    Raises:
        InputError: the result is no recommendation (``"wrong-type"``).

    Example:
        >>> answer = Recommendations(None, ("tea",), "popular: nothing known", np.float32([1]))
        >>> observe(["coffee", "milk"], answer).numbers
        {'history': 2.0, 'count': 1.0}
    """
    if not isinstance(result, Recommendations):
        raise InputError("wrong-type", f"an observed result must be Recommendations. Got {type(result).__name__}")
    given = list(item) if isinstance(item, Mapping | list | tuple | np.ndarray) else None
    categories = {"reason": result.kind, "person": "history" if given is not None else "unknown"}
    numbers: dict[str, float] = {} if given is None else {"history": float(len(given))}
    model = getattr(predictor, "model", None)
    if model is not None:
        if given is None:
            seen = _training(predictor, item)
            categories["person"] = "unknown" if seen is None else "known"
            numbers["history"] = 0.0 if seen is None else float(len(seen))
        else:
            codes = model.item_ids.encode(_read(predictor, given))
            seen = codes[codes >= 0]
            numbers["unknown_items"] = float((codes < 0).mean()) if len(codes) else 0.0
        items = max(1, len(model.item_ids))
        if seen is not None and len(seen):
            numbers["seen_rank"] = float(seen.mean()) / items
        shown = model.item_ids.encode(result.items)
        if len(shown):
            numbers["recommended_rank"] = float(shown[shown >= 0].mean()) / items if (shown >= 0).any() else np.nan
    numbers["count"] = float(len(result.items))
    return Observed(numbers, categories, None, None, str(result.items[0]) if result.items else None)


def _training(predictor: Any, user: Any) -> Int32 | None:
    """Codes of the items of a user's training history; ``None`` of somebody who was not in training."""
    model = predictor.model
    code = model.user_ids.find(model.user_ids.read(user) if predictor.text_ids else user)
    if code is None:
        return None
    histories = model.histories
    found: Int32 = histories.indices[histories.indptr[code] : histories.indptr[code + 1]]
    return found


def _read(predictor: Any, items: list[Any]) -> list[Any]:
    return [predictor.model.item_ids.read(one) for one in items] if predictor.text_ids else items
