"""Formats of annotated images: COCO's JSON, YOLO's labels, Pascal VOC's XML; each read to one description."""

from __future__ import annotations

from pathlib import Path

from shared.errors import DataError, UnknownNameError
from vision.formats.coco import find_coco, open_coco
from vision.formats.types import BoxedImage, BoxedImages, Fault, Source
from vision.formats.voc import find_voc, open_voc
from vision.formats.yolo import find_yolo, open_yolo

FORMATS = ("coco", "voc", "yolo")
_OPENERS = {"coco": open_coco, "voc": open_voc, "yolo": open_yolo}
_SUFFIXES = {".json": "coco", ".yaml": "yolo", ".yml": "yolo"}

__all__ = ["FORMATS", "BoxedImage", "BoxedImages", "Fault", "Source", "open_boxed_images"]


def open_boxed_images(
    dataset: Path, *, format: str | None = None, images: Path | None = None, split: str | None = None
) -> Source:
    """Open a data set of annotated images; what each format looks like stands with its own opener.

    Args:
        dataset: a file or a folder: :func:`~vision.formats.coco.open_coco`, :func:`~vision.formats.voc.open_voc`,
            :func:`~vision.formats.yolo.open_yolo`.
        format: one of :data:`FORMATS`; ``None`` takes the first of them that the folder holds.
        images: folder of the images; ``None`` looks where the format has them.
        split: the part to read, such as ``train`` or ``val``; ``None`` reads everything.

    Raises:
        UnknownNameError: there is no such format.
        DataError: the data set is of none of the formats, or malformed as a whole.
    """
    if format is not None and format not in FORMATS:
        raise UnknownNameError("data set format of this task", format, FORMATS)
    name = format or _format_of(dataset, split)
    return _OPENERS[name](dataset, images=images, split=split)


def _format_of(dataset: Path, split: str | None) -> str:
    if dataset.is_file():
        if dataset.suffix.lower() in _SUFFIXES:
            return _SUFFIXES[dataset.suffix.lower()]
        raise DataError(
            f"annotations must be a COCO .json, a YOLO .yaml, or a folder. Got {dataset}: name its folder instead"
        )
    found = {"coco": find_coco(dataset, split=split), "voc": find_voc(dataset), "yolo": find_yolo(dataset)}
    for name in FORMATS:
        if found[name] is not None:
            return name
    raise DataError(
        f"{dataset} must hold a COCO JSON file with images, annotations and categories (coco), XML files in "
        "Annotations (voc), or label files with data.yaml or classes.txt (yolo). It holds none of them"
    )
