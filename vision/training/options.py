"""The options that every vision training shares, with one name and one meaning each."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from shared.errors import UsageError
from shared.tasks import Option
from vision.training.backbone import DEFAULT_BACKBONE, IMAGENET, NONE

BACKBONE = (
    Option("backbone", str, DEFAULT_BACKBONE, "torchvision classifier that the network stands on, by name"),
    Option("weights", str, IMAGENET, f"its weights at the start: {IMAGENET}, {NONE}, or a .pth or .safetensors file"),
)
TRAINABLE = ("head", "top", "all")
"""What is trained: the new layers alone; those of the backbone past stride 8 too; everything."""
BALANCED = "balanced"
WEIGHTINGS = ("none", BALANCED)
SCHEDULE = (
    Option("batch_size", int, None, "pictures of one step, at least 1"),
    Option("learning_rate", float, None, "highest learning rate of the new layers, above 0"),
    Option("weight_decay", float, 1e-4, "shrinkage of the weights, at least 0"),
)
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


def check_size(name: str, value: int, *, least: int = 32) -> None:
    """Check a length in pixels.

    Raises:
        UsageError: it is too small or far too large.
    """
    if not least <= value <= 4096:
        raise UsageError(f"{name} must lie in {least}..4096 pixels. Got {value} instead")


def check_start(weights: str, trainable: str) -> None:
    """Check that what is not trained has weights.

    Raises:
        UsageError: a part of the backbone would stay random.
    """
    if weights == NONE and trainable != "all":
        raise UsageError("weights must not be none where a part of them stays as it is: give weights, or trainable=all")


def recipe_table(recipe: Any) -> dict[str, Any]:
    """The fields of a recipe as one flat table, JSON-ready; those of its schedule stand among them."""
    table: dict[str, Any] = {}
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        table |= recipe_table(value) if is_dataclass(value) else {field.name: value}
    return table
