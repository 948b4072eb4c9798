"""Labelled images from disk, their format named or seen from what lies there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.batch.sources import IMAGE_SUFFIXES
from shared.errors import DataError, UnknownNameError, UsageError
from vision.formats import FORMATS, BoxedImage, BoxedImages, Fault, open_boxed_images

CLASSIFICATION_FORMATS = ("image-folder", "wnid-files")
DETECTION_FORMATS = FORMATS

_WNID = re.compile(r"(n\d{8})(?!\d)")


@dataclass(frozen=True)
class LabelledImages:
    """Images, each of one class.

    Attributes:
        paths: the images, length n.
        labels: name of each one's class as the data set writes it, length n.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]


def read_labelled_images(
    dataset: Path,
    *,
    format: str | None = None,
    limit: int | None = None,
) -> LabelledImages:
    """Read a data set for classification.

    Args:
        dataset: a folder. ``image-folder``: one folder a class, its images in it and below; it is named as
            the class, or its name begins with a WordNet id. ``wnid-files``: images whose names begin with a WordNet
            id, as ``n01440764_tench.JPEG``.
        format: one of :data:`CLASSIFICATION_FORMATS`, or ``None`` to look.
        limit: only the first so many images, in order of their paths.

    Raises:
        UnknownNameError: there is no such format.
        DataError: the folder is not of that format, or of none.
        UsageError: ``limit`` is below 1.
    """
    _check(format, CLASSIFICATION_FORMATS, limit)
    if not dataset.is_dir():
        raise DataError(f"a data set of labelled images must be a folder. {dataset} is none")
    readers = {"image-folder": _image_folder, "wnid-files": _wnid_files}
    for name in CLASSIFICATION_FORMATS if format is None else (format,):
        rows = sorted(readers[name](dataset))[:limit]
        if rows:
            return LabelledImages(tuple(path for path, _ in rows), tuple(label for _, label in rows))
    raise DataError(
        f"{dataset} must hold one folder of images a class (image-folder), or images named by WordNet id such as "
        f"n01440764_tench.JPEG (wnid-files). It holds {_contents(dataset)}"
    )


def read_boxed_images(
    dataset: Path,
    *,
    format: str | None = None,
    limit: int | None = None,
    images: str | Path | None = None,
    split: str | None = None,
    on_error: Literal["raise", "keep"] = "raise",
) -> BoxedImages:
    """Read a data set for detection; see :mod:`vision.formats` for what each format looks like.

    Args:
        dataset: ``coco``: the JSON file of the annotations, or a folder that holds one, images in order of their ids;
            ``voc``: a folder with ``Annotations``; ``yolo``: ``data.yaml``, or a folder with it or with a list of class
            names.
        format: one of :data:`DETECTION_FORMATS`, or ``None`` to look.
        limit: only the first so many images.
        images: folder of the images; ``None`` looks where the format has them.
        split: the part to read, such as ``train`` or ``val``; ``None`` reads everything.
        on_error: ``"raise"`` ends at the first malformed annotation of an image; ``"keep"`` leaves such images out and
            lists them in ``faults``.

    Raises:
        UnknownNameError: there is no such format.
        DataError: the annotations are malformed, or the images are not found.
        UsageError: ``limit`` is below 1, or ``on_error`` is neither.
    """
    _check(format, DETECTION_FORMATS, limit)
    if on_error not in ("raise", "keep"):
        raise UsageError(f"on_error must be 'raise' or 'keep'. Got {on_error!r} instead")
    source = open_boxed_images(dataset, format=format, images=None if images is None else Path(images), split=split)
    found: list[BoxedImage] = []
    faults: list[Fault] = []
    for item in source.items():
        if isinstance(item, Fault):
            if on_error == "raise":
                raise DataError(item.message)
            faults.append(item)
            continue
        found.append(item)
        if len(found) == limit:
            break
    return BoxedImages(tuple(found), source.classes, tuple(faults))


def _check(name: str | None, known: tuple[str, ...], limit: int | None) -> None:
    if name is not None and name not in known:
        raise UnknownNameError("data set format of this task", name, known)
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, or None for all. Got {limit} instead")


def _image_folder(dataset: Path) -> Iterator[tuple[str, str]]:
    for folder in dataset.iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            found = _WNID.match(folder.name)
            label = found[1] if found else folder.name
            yield from ((str(path), label) for path in folder.rglob("*") if _is_image(path))


def _wnid_files(dataset: Path) -> Iterator[tuple[str, str]]:
    for path in dataset.iterdir():
        found = _WNID.match(path.name)
        if found and _is_image(path):
            yield str(path), found[1]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _contents(folder: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing"
