"""The items that evaluations tell of: whether they do, whether two tell of the same, whether slices can be made."""

from __future__ import annotations

import numpy as np

from shared.errors import UsageError
from shared.evaluation.items import Items
from shared.evaluation.report import Evaluation


def items_of(evaluation: Evaluation) -> Items:
    """The items of an evaluation.

    Raises:
        UsageError: it does not tell them.
    """
    if evaluation.items is None:
        raise UsageError(
            f"{evaluation.task} must tell what each item says of its figures. On {evaluation.dataset} it does not, "
            "so this needs another task or metric"
        )
    return evaluation.items()


def check_same(one: Items, other: Items) -> None:
    """Refuse items that are not the same, and say how many and which first."""
    if one.ids == other.ids:
        return
    mine, theirs = set(one.ids), set(other.ids)
    alone = [name for name in one.ids if name not in theirs] + [name for name in other.ids if name not in mine]
    if alone:
        side = "first" if alone[0] in mine else "second"
        said = f"{len(alone)} are in one alone, the first of them {alone[0]!r} in the {side}"
    else:
        apart = [(a, b) for a, b in zip(one.ids, other.ids) if a != b]
        said = f"some stand several times, {len(one)} and {len(other)} in all"
        if len(one) == len(other):
            said = f"{len(apart)} stand in another order, the first of them {apart[0][0]!r} for {apart[0][1]!r}"
    raise UsageError(
        f"both evaluations must be over the same items in the same order. Of {len(one)} and {len(other)}, {said}: "
        "evaluate both on one data set with one limit, split and seed"
    )


def cannot_slice(items: Items) -> str:
    """Why nothing can be said of slices of these items, or empty."""
    if not items.main:
        return "the task has no figure of a single item"
    if not items.attributes:
        return "the task tells nothing of its items to slice them by"
    if (~np.isnan(items.right())).sum() < 2:
        return "fewer than two items have a figure"
    return ""
