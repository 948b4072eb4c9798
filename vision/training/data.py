"""Which items a training learns from and which it is judged by: the data set's own split, or one that is made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.errors import DataError, UsageError

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "valid", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Positions of the items on either side.

    Attributes:
        train: to learn from.
        val: to choose the best epoch by.
        source: where the split came from, for people.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    source: str


def named_folders(dataset: Path) -> tuple[Path, Path] | None:
    """The data set's own folders for training and validation, or ``None`` where it has no training folder.

    Raises:
        DataError: it has a training folder and none for validation.
    """
    train = next((dataset / name for name in TRAIN_NAMES if (dataset / name).is_dir()), None)
    if train is None:
        return None
    val = next((dataset / name for name in VAL_NAMES if (dataset / name).is_dir()), None)
    if val is None:
        raise DataError(
            f"{dataset} has a folder {train.name} and must have one of {', '.join(VAL_NAMES)} too. It has none: make "
            f"one, or give {train} itself, of which a part is then kept for validation"
        )
    return train, val


def make_split(groups: Sequence[str], *, val_share: float, seed: int) -> Split:
    """Keep a share of every group for validation, at random, at least one item where a group has two.

    Args:
        groups: what each item belongs to, such as its class; one name for all where they have none.
        val_share: in (0, 1).
        seed: of the choice.

    Raises:
        UsageError: ``val_share`` is out of its range.
        DataError: one side would be empty.

    Example:
        >>> split = make_split(["a"] * 8 + ["b"] * 2, val_share=0.25, seed=0)
        >>> len(split.train), len(split.val), split.source
        (7, 3, '25 % of every class kept for validation')
    """
    check_val_share(val_share)
    rng = np.random.default_rng(seed)
    val: list[int] = []
    for group in sorted(set(groups)):
        places = [at for at, name in enumerate(groups) if name == group]
        count = min(len(places) - 1, max(1, round(val_share * len(places))))
        val += [places[at] for at in rng.permutation(len(places))[:count]]
    chosen = set(val)
    train = tuple(at for at in range(len(groups)) if at not in chosen)
    if not val or not train:
        raise DataError(f"a split needs two items of one class at least. Got {len(groups)} in all")
    every = "every class" if len(set(groups)) > 1 else "the data"
    return Split(train, tuple(sorted(val)), f"{val_share:.0%} of {every} kept for validation".replace("%", " %"))


def has_part(read: Callable[[str], object], name: str) -> bool:
    """Whether a data set has a part of that name, by whether its reader finds one."""
    try:
        read(name)
    except DataError:
        return False
    return True


def check_val_share(val_share: float) -> None:
    """Check the option.

    Raises:
        UsageError: it is out of its range.
    """
    if not 0 < val_share < 1:
        raise UsageError(f"val_share must lie between 0 and 1, both left out. Got {val_share} instead")


def digest(rows: Iterable[Sequence[object]]) -> str:
    """What tells one data set from another: names, labels and sizes of its items, as 16 hex digits."""
    summed = hashlib.sha256()
    for row in rows:
        summed.update(("\t".join(map(str, row)) + "\n").encode("utf-8", "surrogateescape"))
    return summed.hexdigest()[:16]


def file_size(path: str) -> int:
    """Bytes of a file; -1 where there is none."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1
