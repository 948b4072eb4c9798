"""The options that vision trainings share, with one name and one meaning each; see shared.training.options too."""

from __future__ import annotations

from shared.errors import UsageError
from shared.tasks import Option
from vision.training.backbone import DEFAULT_BACKBONE, IMAGENET, NONE

BACKBONE = (
    Option("backbone", str, DEFAULT_BACKBONE, "torchvision classifier that the network stands on, by name"),
    Option("weights", str, IMAGENET, f"its weights at the start: {IMAGENET}, {NONE}, or a .pth or .safetensors file"),
)
TRAINABLE = ("head", "top", "all")
"""What is trained: the new layers alone; those of the backbone past stride 8 too; everything."""
SCHEDULE = (
    Option("batch_size", int, None, "pictures of one step, at least 1"),
    Option("learning_rate", float, None, "highest learning rate of the new layers, above 0"),
    Option("weight_decay", float, 1e-4, "shrinkage of the weights, at least 0"),
)


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
