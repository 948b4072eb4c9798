"""From one format of annotated images to another, image by image."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from shared.errors import DataError, InputError, UnknownNameError, UsageError
from shared.tasks import Option
from vision.formats import FORMATS, open_boxed_images
from vision.formats.types import BoxedImage, Fault, Source
from vision.formats.write import CocoWriter, VocWriter, Writer, YoloWriter

HowImages: TypeAlias = Literal["copy", "link", "none"]
OPTIONS = (
    Option("images", str, None, "folder of the images of DATASET; found beside the annotations if not given"),
    Option("split", str, None, "convert this part only, such as train or val; all, kept apart, if not given"),
    Option("place", str, "copy", "what becomes of the images: copy, link or none"),
    Option("polygons", bool, False, "write outlines to YOLO where a thing has one polygon"),
    Option("force", bool, False, "replace files of OUT; those that are not written anew stay"),
)
_FLAGS = ("crowd", "difficult")
_SPLIT = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Conversion:
    """What was converted.

    Attributes:
        images: images written.
        things: things written.
        left_out: things that the new format cannot say, by what they are (``crowd``, ``difficult``), or that have no
            extent (``empty``).
        failed: images left out because their annotation or their file is at fault.
        format: the format that was read.
    """

    images: int
    things: int
    left_out: Mapping[str, int]
    failed: int
    format: str

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        return {
            "format": self.format,
            "images": self.images,
            "things": self.things,
            "left_out": dict(self.left_out),
            "failed": self.failed,
        }


def convert(
    dataset: Path,
    out: Path,
    *,
    to: str,
    format: str | None = None,
    images: str | Path | None = None,
    split: str | None = None,
    place: HowImages = "copy",
    polygons: bool = False,
    force: bool = False,
    on_fault: Callable[[str, str], None] = lambda path, message: None,
) -> Conversion:
    """Convert a data set of annotated images.

    Args:
        dataset: as :func:`vision.datasets.read_boxed_images` takes it.
        out: a new or empty folder. Layouts: ``coco`` ``annotations/instances[_SPLIT].json`` and ``images/``; ``voc``
            ``Annotations/``, ``JPEGImages/``, ``ImageSets/Main/``; ``yolo`` ``data.yaml``, ``labels/``, ``images/``.
            The files that name everything are written last.
        to: one of :data:`vision.formats.FORMATS`. VOC has whole pixels, so corners are rounded to them.
        format: of ``dataset``; ``None`` looks.
        images: folder of the images of ``dataset``; ``None`` looks.
        split: the part to convert; ``None`` converts all, and keeps the parts apart.
        place: whether the images are copied into ``out``, linked from there, or left where they are.
        polygons: write outlines to YOLO where a thing has one polygon.
        force: replace files of ``out``; those that are not written anew stay.
        on_fault: called with the path and the fault of each image that is left out.

    Raises:
        UsageError: an argument is wrong, or ``out`` holds something and ``force`` is off.
        DataError: the data set is malformed as a whole.
    """
    if to not in FORMATS:
        raise UnknownNameError("data set format to write", to, FORMATS)
    if place not in get_args(HowImages):
        raise UsageError(f"place must be one of {', '.join(get_args(HowImages))}. Got {place!r} instead")
    if polygons and to != "yolo":
        raise UsageError(f"polygons must be left out unless YOLO labels are written. Got it with {to!r}")
    if out.exists() and not out.is_dir():
        raise UsageError(f"the output must be a folder. {out} is none")
    if not force and out.is_dir() and any(out.iterdir()):
        raise UsageError(f"the output must be a new or empty folder. Something stands in {out}: --force replaces files")
    source = open_boxed_images(dataset, format=format, images=None if images is None else Path(images), split=split)
    with closing(_writer(to, out, source.classes, polygons=polygons)) as writer:
        done = _write(source, out, writer, place, on_fault)
        if not done.images:
            raise DataError(
                f"{dataset} must hold at least one image that can be converted. All {done.failed} of its images failed"
            )
        writer.finish()
    return done


def _write(
    source: Source, out: Path, writer: Writer, place: HowImages, on_fault: Callable[[str, str], None]
) -> Conversion:
    left_out: Counter[str] = Counter()
    written = things = failed = 0
    seen: dict[str, str] = {}
    for item in source.items():
        try:
            if isinstance(item, Fault):
                raise DataError(item.message)
            image, gone = _sayable(item, writer)
            _check_name(image, writer, seen)
            if place != "none":
                _place(Path(image.path), out / writer.images(image.split) / image.name, how=place)
            things += writer.add(image)
        except (DataError, InputError) as error:
            failed += 1
            on_fault(item.path, str(error))
            continue
        written += 1
        left_out += gone
    return Conversion(written, things, dict(left_out), failed, source.format)


def _writer(to: str, out: Path, classes: Mapping[int, str], *, polygons: bool) -> Writer:
    if to == "yolo":
        return YoloWriter(out, classes, polygons=polygons)
    return VocWriter(out, classes) if to == "voc" else CocoWriter(out, classes)


def _sayable(image: BoxedImage, writer: Writer) -> tuple[BoxedImage, Counter[str]]:
    """The image without the things that the new format cannot say, and how many those are."""
    keep = (image.xyxy[:, 2] > image.xyxy[:, 0]) & (image.xyxy[:, 3] > image.xyxy[:, 1])
    gone = Counter({"empty": int((~keep).sum())})
    for flag in _FLAGS:
        if flag not in writer.keeps:
            lost = keep & getattr(image, flag)
            gone[flag] += int(lost.sum())
            keep &= ~lost
    at = np.flatnonzero(keep)
    arrays = {name: getattr(image, name)[at] for name in ("xyxy", "class_ids", "areas", "crowd", "difficult")}
    return replace(image, **arrays, outlines=tuple(image.outlines[i] for i in at)), +gone


def _check_name(image: BoxedImage, writer: Writer, seen: dict[str, str]) -> None:
    if image.split is not None and not _SPLIT.fullmatch(image.split):
        raise DataError(f"the name of a split must match {_SPLIT.pattern}. Got {image.split!r} for {image.path}")
    stem = f"{writer.images(image.split)}/{os.path.splitext(image.name)[0]}"
    first = seen.setdefault(stem, image.path)
    if first != image.path or not image.name:
        raise DataError(f"each image must have a name of its own. {image.path} and {first} would both be {stem}")


def _place(source: Path, target: Path, *, how: HowImages) -> None:
    """Copy or link an image."""
    if not source.is_file():
        raise InputError("not-found", f"an image must be a file to be placed. Nothing stands at {source}")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.exists():
        if target.exists() and target.samefile(source):
            raise DataError(f"an image must not be replaced by itself. {target} is {source}")
        target.unlink()
    try:
        if how == "link":
            target.symlink_to(source.resolve())
        else:
            shutil.copyfile(source, target)
    except OSError as error:
        raise InputError("unreadable", f"{source} must be readable to be placed in {target.parent}. {error}") from error
