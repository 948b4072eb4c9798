"""Images with a mask of classes each: a number a pixel, in a PNG of the image's size.

- ``masks``: ``images/`` and ``masks/`` (or one folder that begins with ``masks``), files of one stem belonging
  together; with parts, ``images/train`` and ``masks/train``, or ``train/images`` and ``train/masks``. Images without a
  mask are left out.
- ``camvid``: ``train/`` and ``trainannot/``, likewise ``val`` and ``test``.

The classes stand beside them: ``classes.csv`` with ``id,name``, ``classes.txt`` or ``labels.txt`` with a name a line
from 0 on, or a YAML file with ``classes`` (or ``names``) by number. The ``camvid`` layout may go without: its classes
are then the eleven that SegNet's authors made of CamVid's. Pixels of 255, and those of a class called void, unlabeled,
unlabelled or ignore, count nowhere.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, UnidentifiedImageError

from shared.batch.sources import IMAGE_SUFFIXES
from shared.errors import DataError, UnknownNameError, UsageError
from shared.types import UInt8
from vision.formats.files import read_text

MASK_FORMATS = ("masks", "camvid")
FORMATS = (*MASK_FORMATS, "coco", "voc", "yolo")
IGNORED = 255
"""The number that every pixel that counts nowhere has in :meth:`MaskedImages.truth`."""
CAMVID = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist", "void",
)  # fmt: skip
_NOTHING = {"void", "unlabeled", "unlabelled", "ignore", "ignored"}
_SPLITS = ("train", "val", "test")
_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
_MODES = ("L", "P", "1")


@dataclass(frozen=True)
class MaskedImages:
    """Images, each with the class of every pixel.

    Attributes:
        images: paths of the images, length n.
        masks: path of each one's mask, length n.
        classes: names of the classes that count, by their number.
    """

    images: tuple[str, ...]
    masks: tuple[str, ...]
    classes: Mapping[int, str]

    def truth(self, at: int) -> UInt8:
        """One mask, shape (height, width), uint8: numbers of :attr:`classes`, or :data:`IGNORED`.

        Raises:
            DataError: it cannot be read, or holds a number that no class has.
        """
        numbers = read_mask(Path(self.masks[at])).copy()
        known = np.zeros(256, np.bool_)
        known[list(self.classes)] = True
        numbers[~known[numbers]] = IGNORED
        return numbers


def read_masked_images(
    dataset: Path,
    *,
    format: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    images: str | Path | None = None,
) -> MaskedImages:
    """Read a data set for semantic segmentation, in order of the images' names. The masks are not opened.

    Args:
        dataset: the folder; see the top of this module.
        format: one of :data:`MASK_FORMATS`, or ``None`` to look.
        split: the part to read: ``train``, ``val`` or ``test``; ``None`` takes the whole of a data set without parts,
            and ``test`` or else ``val`` of one with parts.
        limit: only the first so many images.
        images: folder of the images, where they do not lie beside the masks.

    Raises:
        UnknownNameError: there is no such format.
        DataError: the folder is of no such format, or its classes are not told.
        UsageError: ``limit`` is below 1.
    """
    if format is not None and format not in MASK_FORMATS:
        raise UnknownNameError("data set format of images with masks", format, MASK_FORMATS)
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, or None for all. Got {limit} instead")
    finders = {"masks": _masks_folders, "camvid": _camvid_folders}
    for name in MASK_FORMATS if format is None else (format,):
        folders = finders[name](dataset, split)
        if folders is None:
            continue
        pairs = _pairs(Path(images) if images is not None else folders[0], folders[1])[:limit]
        if not pairs:
            raise DataError(
                f"{folders[1]} must hold masks whose names are those of images in {images or folders[0]}, but for the "
                "ending. None is"
            )
        classes = _counted(_classes(dataset, folders[1], dict(enumerate(CAMVID)) if name == "camvid" else None))
        return MaskedImages(tuple(str(i) for i, _ in pairs), tuple(str(m) for _, m in pairs), classes)
    part = "" if split is None else f" with a part {split!r}"
    raise DataError(
        f"{dataset} must hold images/ and masks/ (masks), or train/ and trainannot/ (camvid){part}. It holds "
        f"{_contents(dataset)}"
    )


def has_masks(dataset: Path) -> bool:
    """Whether a folder looks like one of :data:`MASK_FORMATS`."""
    return _masks_folders(dataset, None) is not None or _camvid_folders(dataset, None) is not None


def read_mask(path: Path) -> UInt8:
    """A mask as it was written, shape (height, width), uint8; of an image with a palette its numbers.

    Raises:
        DataError: it is no 8-bit image of one channel.
    """
    try:
        with Image.open(path, formats=["PNG", "BMP", "TIFF"]) as image:
            if image.mode in _MODES:
                return np.array(image, np.uint8)
            mode = image.mode
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise DataError(
            f"{path} must be a mask, an image of a class number a pixel. Reading it failed: {error}"
        ) from error
    raise DataError(f"{path} must be a mask of 8 bits and one channel, a class number a pixel. Its mode is {mode}")


def _masks_folders(dataset: Path, split: str | None) -> tuple[Path, Path] | None:
    """The folders of images and masks, of a data set with parts those of one part."""
    if dataset.is_dir() and (dataset / "images").is_dir():
        named = sorted(path for path in dataset.iterdir() if path.is_dir() and path.name.startswith("masks"))
        if not named:
            return None
        if len(named) > 1:
            raise DataError(f"{dataset} must hold one folder of masks. It holds {', '.join(p.name for p in named)}")
        found = dataset / "images", named[0]
        part = _part({path.name for path in named[0].iterdir() if path.is_dir()}, split)
        if part is not None:
            return found[0] / part, found[1] / part
        return found if split is None else None
    part = _part({s for s in _SPLITS if (dataset / s / "masks").is_dir() and (dataset / s / "images").is_dir()}, split)
    return None if part is None else (dataset / part / "images", dataset / part / "masks")


def _camvid_folders(dataset: Path, split: str | None) -> tuple[Path, Path] | None:
    there = {s for s in _SPLITS if (dataset / s).is_dir() and (dataset / f"{s}annot").is_dir()}
    part = _part(there, split)
    return None if part is None else (dataset / part, dataset / f"{part}annot")


def _part(there: set[str], split: str | None) -> str | None:
    wanted = ("test", "val", "train") if split is None else (split,)
    return next((name for name in wanted if name in there), None)


def _pairs(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    by_stem = {p.stem: p for p in sorted(masks.iterdir()) if p.suffix.lower() in _MASK_SUFFIXES and p.is_file()}
    if not images.is_dir():
        raise DataError(f"the images must lie in a folder. {images} is none")
    found = (p for p in sorted(images.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    return [(path, by_stem[path.stem]) for path in found if path.stem in by_stem]


def _classes(dataset: Path, masks: Path, otherwise: Mapping[int, str] | None) -> Mapping[int, str]:
    """Names of all classes by number, from the file that tells them."""
    for folder in dict.fromkeys((dataset, masks.parent, masks)):
        for name in ("classes.csv", "classes.txt", "labels.txt"):
            if (folder / name).is_file():
                return _listed(folder / name)
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            table = _table(path)
            if table:
                return table
    if otherwise is not None:
        return otherwise
    raise DataError(
        f"{dataset} must tell its classes: put a classes.csv there with the columns id,name, or a classes.txt with a "
        "name a line from number 0 on"
    )


def _listed(path: Path) -> dict[int, str]:
    text = read_text(path)
    if path.suffix == ".txt":
        return {at: line.strip() for at, line in enumerate(text.splitlines()) if line.strip()}
    rows = list(csv.DictReader(text.splitlines()))
    wrong = [row for row in rows if not str(row.get("id")).isdecimal() or not row.get("name")]
    if wrong or not rows:
        raise DataError(f"{path} must have columns id,name with whole numbers. Got {wrong[0] if wrong else 'no row'}")
    return _in_range({int(row["id"]): row["name"] for row in rows}, path)


def _table(path: Path) -> dict[int, str] | None:
    """The classes of a YAML file by number; ``None`` where it tells none."""
    try:
        data: Any = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} must be YAML. {error}") from error
    table = data.get("classes") if isinstance(data, dict) else None
    if isinstance(table, list):
        table = dict(enumerate(table))
    if not isinstance(table, dict) or not table:
        return None
    if not all(isinstance(number, int) and isinstance(name, str) for number, name in table.items()):
        raise DataError(f"{path}: 'classes' must give names by whole numbers. Got {list(table.items())[:3]} instead")
    return _in_range(table, path)


def _in_range(classes: dict[int, str], path: Path) -> dict[int, str]:
    wrong = [number for number in classes if not 0 <= number <= IGNORED]
    if wrong:
        raise DataError(f"{path}: numbers of classes must lie in 0..{IGNORED}, as a mask's pixels do. Got {wrong[:5]}")
    return classes


def _counted(classes: Mapping[int, str]) -> dict[int, str]:
    return {n: name for n, name in classes.items() if n != IGNORED and name.strip().casefold() not in _NOTHING}


def _contents(folder: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir()) if folder.is_dir() else []
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"
