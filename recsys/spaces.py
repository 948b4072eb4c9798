"""What a search chooses from: spaces of options as data."""

from __future__ import annotations

import dataclasses
from typing import Any

from recsys.collaborative.algorithms import find_algorithm
from shared.errors import UnknownNameError, UsageError
from shared.lifecycle.space import Range, Space, holds

__all__ = ["COMMON", "SPACES", "Range", "Space", "check_space", "holds", "space_of"]
SPACES: dict[str, Space] = {
    "ease": {
        "l2": Range(10, 3000, log=True),
        "activity_power": Range(0, 1),
        "popularity_power": Range(0, 1),
        "weighting": ("binary", "log"),
    },
    "item_knn": {
        "neighbours": Range(10, 1000, log=True, whole=True),
        "shrink": Range(1, 1000, log=True),
        "weighting": ("binary", "log"),
    },
    "popularity": {"weighting": ("binary", "log")},
}
"""Default spaces, wide around the defaults."""
COMMON: Space = {
    "factors": Range(16, 256, log=True, whole=True),
    "neighbours": Range(10, 1000, log=True, whole=True),
    "shrink": Range(1, 1000, log=True),
    "weighting": ("binary", "log"),
}
"""Options that mean the same in every algorithm; see :func:`space_of`."""
_SCALED = ("l1", "l2", "learning_rate", "alpha")
"""Options whose scale is the algorithm's own: searched from a thirtieth of its default to thirty times that."""


def space_of(algorithm: str) -> Space:
    """What an algorithm is searched over by default: its row in :data:`SPACES`; else those of its options that
    :data:`COMMON` knows, and regularisation and learning rate over three decades about their defaults.

    Raises:
        UnknownNameError: nothing is called that.
        UsageError: none of its options is known here.

    Example:
        >>> space_of("popularity")
        {'weighting': ('binary', 'log')}
    """
    row = find_algorithm(algorithm)
    if algorithm in SPACES:
        return SPACES[algorithm]
    found: dict[str, Range | tuple[Any, ...]] = {}
    for field in dataclasses.fields(row.config):  # type: ignore[arg-type]  # a dataclass
        if field.name in COMMON:
            found[field.name] = COMMON[field.name]
        elif field.name in _SCALED and isinstance(field.default, float) and field.default > 0:
            found[field.name] = Range(field.default / 30, field.default * 30, log=True)
    if not found:
        raise UsageError(f"no default space is known for {algorithm}. Give one: space={{'option': Range(low, high)}}")
    return found


def check_space(algorithm: str, space: Space) -> Space:
    """The space, if it is one of that algorithm's options.

    Raises:
        UnknownNameError: it names another option.
        UsageError: it is empty, or holds neither ranges nor tuples of values.
    """
    config = find_algorithm(algorithm).config
    known = [field.name for field in dataclasses.fields(config)]  # type: ignore[arg-type]  # a dataclass
    for name, wanted in space.items():
        if name not in known:
            raise UnknownNameError(f"option of {algorithm}", name, known)
        if not isinstance(wanted, Range | tuple) or not wanted:
            raise UsageError(f"space[{name!r}] must be a Range or a tuple of values. Got {wanted!r} instead")
    if not space:
        raise UsageError("a space must hold at least one option. Got none")
    return space
