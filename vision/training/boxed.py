"""Annotated pictures and their two sides, for detection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from shared.errors import DataError
from vision.datasets import read_boxed_images
from vision.formats import BoxedImage, BoxedImages
from vision.training.data import digest, file_size, has_part, make_split
from vision.training.pictures import Skipped


@dataclass(frozen=True)
class Boxed:
    """Pictures on both sides with what is in them, classes numbered from 0.

    Attributes:
        labels: names of the classes, by number.
        train: pictures to learn from.
        val: pictures for validation.
        split: where the two sides came from, for people.
        digest: what tells this data from other.
        faults: annotations that cannot be used.
    """

    labels: tuple[str, ...]
    train: tuple[BoxedImage, ...]
    val: tuple[BoxedImage, ...]
    split: str
    digest: str
    faults: tuple[Skipped, ...] = field(default=())


def read_data(
    dataset: Path,
    *,
    format: str | None,
    images: str | None,
    train_split: str | None,
    val_split: str | None,
    val_share: float,
    seed: int,
) -> Boxed:
    """Annotated pictures and their two sides; see :func:`vision.detection.train.train`.

    Raises:
        DataError: the data set is malformed as a whole, or no thing is in it.
    """

    def part(split: str | None) -> BoxedImages:
        return read_boxed_images(dataset, format=format, images=images, split=split, on_error="keep")

    if train_split is None and not all(has_part(part, name) for name in ("train", val_split or "val")):
        data = part(None)
        made = make_split([""] * len(data.images), val_share=val_share, seed=seed)
        train, val = (tuple(data.images[at] for at in side) for side in (made.train, made.val))
        faults, source = data.faults, made.source
    else:
        names = train_split or "train", val_split or "val"
        data, other = part(names[0]), part(names[1])
        train, val, faults = data.images, other.images, (*data.faults, *other.faults)
        both = sorted({image.path for image in train} & {image.path for image in val})
        if both:
            raise DataError(f"the splits must share no picture. {names[0]} and {names[1]} share {both[:3]}")
        val = tuple(_renumbered(image, _matching(other.classes, data.classes)) for image in val)
        source = f"the splits {names[0]} and {names[1]}"
    used = sorted({int(number) for image in train for number in image.class_ids.tolist()})
    if not used:
        raise DataError(f"training needs things in its pictures. The {len(train)} of {dataset} hold none")
    numbers = {number: at for at, number in enumerate(used)}
    rows = [
        (side, image.name, file_size(image.path), image.xyxy.round(2).tolist(), image.class_ids.tolist())
        for side, images_ in (("train", train), ("val", val))
        for image in images_
    ]
    return Boxed(
        tuple(data.classes[number] for number in used),
        tuple(_renumbered(image, numbers) for image in train),
        tuple(_renumbered(image, numbers) for image in val),
        source,
        digest(rows),
        tuple(Skipped(fault.path, "annotation", fault.message) for fault in faults),
    )


def _matching(others: Mapping[int, str], classes: Mapping[int, str]) -> dict[int, int]:
    """From the numbers of one part's classes to those of another's, by name; each part may number its own way."""
    numbers = {name: number for number, name in classes.items()}
    return {number: numbers[name] for number, name in others.items() if name in numbers}


def _renumbered(image: BoxedImage, numbers: dict[int, int]) -> BoxedImage:
    """The image with its classes by position; things of classes that no training picture holds are left out."""
    known = np.array([int(number) in numbers for number in image.class_ids], np.bool_)
    return replace(
        image,
        xyxy=image.xyxy[known],
        class_ids=np.array([numbers[int(number)] for number in image.class_ids[known]], np.int64),
        areas=image.areas[known],
        crowd=image.crowd[known],
        difficult=image.difficult[known],
        outlines=tuple(outline for outline, keep in zip(image.outlines, known) if keep),
    )
