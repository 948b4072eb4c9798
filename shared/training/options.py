"""The options that every training shares, with one name and one meaning each, and their checks."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from shared.errors import UsageError
from shared.tasks import Option

BALANCED = "balanced"
WEIGHTINGS = ("none", BALANCED)
DATA = (
    Option("val_share", float, 0.2, "share kept for validation where the data has no part for it, in (0, 1)"),
    Option("data_licence", str, "not stated", "licence of the data, for the model's card"),
)
CARD = (
    Option("licence", str, "Apache-2.0", "SPDX identifier of the trained model's licence, for its card"),
    Option("summary", str, None, "one line for its card"),
)
MACHINE = (
    Option("device", str, "auto", "auto, cpu or gpu"),
    Option("threads", int, None, "processor threads; all when not given"),
)


def check_choice(name: str, value: str, known: tuple[str, ...]) -> str:
    """A value that is one of a few.

    Raises:
        UsageError: it is none of them.
    """
    if value not in known:
        raise UsageError(f"{name} must be one of {', '.join(known)}. Got {value!r} instead")
    return value


def check_seed(seed: int) -> None:
    """Check the seed.

    Raises:
        UsageError: it is negative.
    """
    if seed < 0:
        raise UsageError(f"seed must be a whole number from 0 on. Got {seed} instead")


def recipe_table(recipe: Any) -> dict[str, Any]:
    """The fields of a recipe as one flat table, JSON-ready; those of its schedule stand among them."""
    table: dict[str, Any] = {}
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        table |= recipe_table(value) if is_dataclass(value) else {field.name: value}
    return table
