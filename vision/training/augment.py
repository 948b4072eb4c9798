"""Random changes to training pictures, by torchvision's v2 transforms; boxes and masks move with the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.errors import UsageError
from shared.lazy import require
from vision.training.backbone import MEAN, STD

FLIPS = ("none", "horizontal", "both")
"""Mirror images that are as likely as the picture itself: none, left for right, or upside down too (a microscope's)."""
_COLOUR = {"brightness": 0.25, "contrast": 0.25, "saturation": 0.25}


def check_flips(flips: str) -> None:
    """Check the option.

    Raises:
        UsageError: it is none of :data:`FLIPS`.
    """
    if flips not in FLIPS:
        raise UsageError(f"flips must be one of {', '.join(FLIPS)}. Got {flips!r} instead")


def flip_transforms(flips: str) -> list[Any]:
    """Each mirror image half of the time."""
    v2 = require("torchvision.transforms.v2", extra="torch")
    made = [v2.RandomHorizontalFlip()] if flips in ("horizontal", "both") else []
    return made + ([v2.RandomVerticalFlip()] if flips == "both" else [])


def colour_transform() -> Any:
    """Other light, other camera."""
    return require("torchvision.transforms.v2", extra="torch").ColorJitter(**_COLOUR)


def crop_transform(size: int, flips: str, *, least: float) -> Any:
    """For classification: a random part of the picture as a square of ``size`` pixels, mirrored, in other light.

    Args:
        size: side of the square in pixels.
        flips: one of :data:`FLIPS`.
        least: smallest share of the picture's area, in (0, 1].

    Returns:
        From a uint8 tensor (3, rows, columns) to a uint8 tensor (3, size, size).
    """
    v2 = require("torchvision.transforms.v2", extra="torch")
    crop = v2.RandomResizedCrop((size, size), scale=(least, 1.0), antialias=True)
    return v2.Compose([crop, *flip_transforms(flips), colour_transform()])


def normalise(pixels: Any, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> Any:
    """A uint8 tensor (..., 3, rows, columns) as float32: (value / 255 - mean) / std."""
    torch = require("torch", extra="torch")
    factor = torch.tensor([1 / (255 * value) for value in std], device=pixels.device)[:, None, None]
    shift = torch.tensor([m / s for m, s in zip(mean, std)], device=pixels.device)[:, None, None]
    return pixels.to(torch.float32) * factor - shift


def box_transform(flips: str, pad: int) -> Any:
    """For detection: moved, larger or smaller, mirrored, in other light; boxes that leave the picture go with it.

    Args:
        flips: one of :data:`FLIPS`.
        pad: value of the pixels that come in from outside, 0..255.

    Returns:
        From a uint8 tensor (3, rows, columns), boxes (n, 4) in its pixels and labels (n,) to the changed picture and
        ``{"boxes", "labels"}``.
    """
    v2 = require("torchvision.transforms.v2", extra="torch")
    tensors = require("torchvision.tv_tensors", extra="torch")
    move = v2.RandomAffine(0, translate=(0.1, 0.1), scale=(0.75, 1.35), fill=pad)
    clean = v2.SanitizeBoundingBoxes(min_size=2)
    chain = v2.Compose([*flip_transforms(flips), move, v2.ClampBoundingBoxes(), clean, colour_transform()])

    def change(pixels: Any, boxes: Any, labels: Any) -> tuple[Any, dict[str, Any]]:
        framed = tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=tuple(pixels.shape[1:]))
        changed, target = chain(tensors.Image(pixels), {"boxes": framed, "labels": labels})
        return changed.as_subclass(_plain()), {
            "boxes": target["boxes"].as_subclass(_plain()),
            "labels": target["labels"],
        }

    return change


def mask_transform(size: tuple[int, int], flips: str, *, least: float) -> Any:
    """For segmentation: a random part of the picture at the whole one's size, mirrored, in other light.

    Args:
        size: rows and columns of the result.
        flips: one of :data:`FLIPS`.
        least: smallest share of the picture's area, in (0, 1].

    Returns:
        From a uint8 tensor (3, rows, columns) and a mask (rows, columns) to both, changed alike.
    """
    v2 = require("torchvision.transforms.v2", extra="torch")
    tensors = require("torchvision.tv_tensors", extra="torch")
    ratio = size[1] / size[0]
    crop = v2.RandomResizedCrop(size, scale=(least, 1.0), ratio=(ratio * 0.85, ratio / 0.85), antialias=True)
    chain = v2.Compose([crop, *flip_transforms(flips), colour_transform()])

    def change(pixels: Any, mask: Any) -> tuple[Any, Any]:
        changed, moved = chain(tensors.Image(pixels), tensors.Mask(mask))
        return changed.as_subclass(_plain()), moved.as_subclass(_plain())

    return change


def _plain() -> Any:
    return require("torch", extra="torch").Tensor
