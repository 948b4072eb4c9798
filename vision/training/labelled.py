"""Labelled pictures and their two sides, for classification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.errors import DataError
from shared.types import Int64
from vision.datasets import read_labelled_images
from vision.training.data import digest, file_size, make_split, named_folders


@dataclass(frozen=True)
class Labelled:
    """Pictures on both sides, their classes as numbers.

    Attributes:
        labels: names of the classes, by number.
        train: paths to learn from.
        train_ids: the class of each, int64.
        val: paths for validation.
        val_ids: the class of each, int64.
        split: where the two sides came from, for people.
        digest: what tells this data from other.
    """

    labels: tuple[str, ...]
    train: tuple[str, ...]
    train_ids: Int64
    val: tuple[str, ...]
    val_ids: Int64
    split: str
    digest: str


def read_data(dataset: Path, *, format: str | None, val_share: float, seed: int) -> Labelled:
    """Labelled pictures and their two sides; see :func:`vision.classification.train.train`.

    Raises:
        DataError: the data set is malformed, has fewer than two classes, or validation pictures of unknown ones.
    """
    folders = named_folders(dataset) if dataset.is_dir() else None
    if folders is None:
        whole = read_labelled_images(dataset, format=format)
        made = make_split(whole.labels, val_share=val_share, seed=seed)
        train, val = ([(whole.paths[at], whole.labels[at]) for at in side] for side in (made.train, made.val))
        source = made.source
    else:
        train, val = (
            list(zip(side.paths, side.labels))
            for side in (read_labelled_images(folder, format=format) for folder in folders)
        )
        source = f"the folders {folders[0].name} and {folders[1].name}"
    labels = tuple(sorted({label for _, label in train}))
    strange = sorted({label for _, label in val} - set(labels))
    if len(labels) < 2 or strange:
        raise DataError(
            "training needs two classes at least, and those of the validation pictures among them. "
            f"Got {list(labels[:12])} to learn from" + (f", and {strange[:12]} for validation alone" if strange else "")
        )
    rows = [
        (side, Path(path).relative_to(dataset), label, file_size(path))
        for side, pairs in (("train", train), ("val", val))
        for path, label in pairs
    ]
    numbers = {label: number for number, label in enumerate(labels)}
    return Labelled(
        labels,
        tuple(path for path, _ in train),
        np.array([numbers[label] for _, label in train], np.int64),
        tuple(path for path, _ in val),
        np.array([numbers[label] for _, label in val], np.int64),
        source,
        digest(rows),
    )
