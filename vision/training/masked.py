"""Pictures with masks and their two sides, for segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.types import UInt8
from vision.segmentation.datasets import IGNORED, MaskedImages, read_masked_images
from vision.training.data import digest, file_size, has_part, make_split


@dataclass(frozen=True)
class Masked:
    """Pictures with masks on both sides, classes numbered from 0.

    Attributes:
        labels: names of the classes, by number.
        train: paths of pictures and masks to learn from.
        val: paths of pictures and masks for validation.
        numbers: shape (256,), from a mask's number to the class's, or :data:`IGNORED`.
        split: where the two sides came from, for people.
        digest: what tells this data from other.
    """

    labels: tuple[str, ...]
    train: tuple[tuple[str, str], ...]
    val: tuple[tuple[str, str], ...]
    numbers: UInt8
    split: str
    digest: str


def read_data(
    dataset: Path,
    *,
    format: str | None,
    images: str | None,
    train_split: str | None,
    val_split: str | None,
    val_share: float,
    seed: int,
) -> Masked:
    """Pictures with masks and their two sides; see :func:`vision.segmentation.train.train`.

    Raises:
        DataError: the data set is malformed as a whole.
    """

    def part(split: str | None) -> MaskedImages:
        return read_masked_images(dataset, format=format, split=split, images=images)

    if train_split is None and not all(has_part(part, name) for name in ("train", val_split or "val")):
        data = part(None)
        made = make_split([""] * len(data.images), val_share=val_share, seed=seed)
        pairs = list(zip(data.images, data.masks))
        train, val = (tuple(pairs[at] for at in side) for side in (made.train, made.val))
        source = made.source
    else:
        names = train_split or "train", val_split or "val"
        data, other = part(names[0]), part(names[1])
        train, val = (tuple(zip(side.images, side.masks)) for side in (data, other))
        source = f"the splits {names[0]} and {names[1]}"
    used = sorted(data.classes)
    numbers = np.full(256, IGNORED, np.uint8)
    numbers[used] = np.arange(len(used))
    rows = [
        (side, Path(image).name, file_size(image), file_size(mask))
        for side, pairs_ in (("train", train), ("val", val))
        for image, mask in pairs_
    ]
    return Masked(tuple(data.classes[number] for number in used), train, val, numbers, source, digest(rows))
