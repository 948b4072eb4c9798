"""Writers of the formats: one image after the other, what names them all last."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol
from xml.etree import ElementTree

import yaml

from shared.errors import DataError, InputError
from vision.formats.types import BoxedImage, Outline
from vision.images import size_of


class Writer(Protocol):
    """What :func:`vision.formats.convert.convert` hands images to.

    ``images`` is the folder, below the output, of the images of a split; ``keeps`` names the flags of
    :class:`~vision.formats.types.BoxedImage` that the format can say.
    """

    keeps: frozenset[str]

    def images(self, split: str | None) -> str:
        """The folder of a split's images, relative to the output."""

    def add(self, image: BoxedImage) -> int:
        """Write one image's annotation; how many things it holds. Things that the format cannot say are gone before.

        Raises:
            InputError: the image's size is not known and cannot be read.
            DataError: the annotation cannot be written for this image.
        """

    def finish(self) -> None:
        """Write what names all that was added."""

    def close(self) -> None:
        """Let go of whatever is held, finished or not."""


class YoloWriter:
    """``labels/``, ``images/`` (each with a folder a split, where there are splits) and ``data.yaml``."""

    keeps: frozenset[str] = frozenset()

    def __init__(self, out: Path, classes: Mapping[int, str], *, polygons: bool = False) -> None:
        self._out, self._polygons = out, polygons
        self._names = [classes[number] for number in sorted(classes)]
        self._numbers = {number: at for at, number in enumerate(sorted(classes))}
        self._splits: set[str | None] = set()

    def images(self, split: str | None) -> str:
        return f"images/{split}" if split else "images"

    def add(self, image: BoxedImage) -> int:
        height, width = known_size(image)
        lines = []
        for box, number, outline in zip(image.xyxy.tolist(), image.class_ids.tolist(), image.outlines):
            shares = _outline_shares(outline, height, width) if self._polygons else None
            shares = shares or _box_shares(box, height, width)
            lines.append(" ".join([str(self._numbers[number]), *(f"{share:.9g}" for share in shares)]) + "\n")
        folder = self.images(image.split).replace("images", "labels", 1)
        write_text(self._out / folder / Path(image.name).with_suffix(".txt"), "".join(lines))
        self._splits.add(image.split)
        return len(lines)

    def finish(self) -> None:
        # Ultralytics asks for train and val; a split that is not there is named as another that is.
        any_other = min(self._splits, key=lambda split: split or "")
        named = {split: self.images(split if split in self._splits else any_other) for split in ("train", "val")}
        named |= {split: self.images(split) for split in sorted(filter(None, self._splits))}
        table = {**named, "names": dict(enumerate(self._names))}
        write_text(self._out / "data.yaml", yaml.safe_dump(table, sort_keys=False, allow_unicode=True))

    def close(self) -> None:
        pass


class VocWriter:
    """``Annotations/``, ``JPEGImages/`` and ``ImageSets/Main/``, a list a split."""

    keeps = frozenset({"difficult"})

    def __init__(self, out: Path, classes: Mapping[int, str]) -> None:
        self._out, self._classes = out, classes
        self._lists: dict[str, list[str]] = {}

    def images(self, split: str | None) -> str:
        return "JPEGImages"

    def add(self, image: BoxedImage) -> int:
        height, width = known_size(image)
        root = ElementTree.Element("annotation")
        _child(root, "folder", "JPEGImages")
        _child(root, "filename", image.name)
        size = ElementTree.SubElement(root, "size")
        for key, value in (("width", width), ("height", height), ("depth", 3)):
            _child(size, key, str(value))
        _child(root, "segmented", "0")
        rows = zip(image.xyxy.tolist(), image.class_ids.tolist(), image.difficult.tolist())
        for (x1, y1, x2, y2), number, difficult in rows:
            item = ElementTree.SubElement(root, "object")
            _child(item, "name", self._classes[number])
            for key, text in (("pose", "Unspecified"), ("truncated", "0"), ("difficult", str(int(difficult)))):
                _child(item, key, text)
            box = ElementTree.SubElement(item, "bndbox")
            left, right = _pixels(x1, x2, width)
            top, bottom = _pixels(y1, y2, height)
            for key, value in (("xmin", left), ("ymin", top), ("xmax", right), ("ymax", bottom)):
                _child(box, key, str(value))
        ElementTree.indent(root, "\t")
        stem = Path(image.name).with_suffix("").as_posix()
        write_text(self._out / "Annotations" / f"{stem}.xml", ElementTree.tostring(root, encoding="unicode") + "\n")
        self._lists.setdefault(image.split or "default", []).append(stem)
        return len(image.class_ids)

    def finish(self) -> None:
        for split, stems in self._lists.items():
            write_text(self._out / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{stem}\n" for stem in stems))

    def close(self) -> None:
        pass


class CocoWriter:
    """``annotations/instances.json``, or ``instances_SPLIT.json`` for each split, and ``images/``."""

    keeps = frozenset({"crowd", "difficult"})

    def __init__(self, out: Path, classes: Mapping[int, str]) -> None:
        self._out, self._classes = out, classes
        self._shift = 1 if min(classes, default=1) < 1 else 0  # COCO's numbers begin at 1
        self._files: dict[str | None, _CocoFile] = {}

    def images(self, split: str | None) -> str:
        return "images"

    def add(self, image: BoxedImage) -> int:
        height, width = known_size(image)
        if image.split not in self._files:
            self._files[image.split] = _CocoFile()
        file = self._files[image.split]
        number = file.add_image({"file_name": image.name, "height": height, "width": width})
        rows = zip(
            image.xyxy.tolist(),
            image.class_ids.tolist(),
            image.areas.tolist(),
            image.crowd.tolist(),
            image.difficult.tolist(),
            image.outlines,
        )
        for (x1, y1, x2, y2), class_id, area, crowd, difficult, outline in rows:
            row = {"image_id": number, "category_id": class_id + self._shift, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            row |= {"area": area, "iscrowd": int(crowd)}
            row |= {"difficult": 1} if difficult else {}
            row |= {"segmentation": outline} if outline is not None else {}
            file.add_annotation(row)
        return len(image.class_ids)

    def finish(self) -> None:
        categories = [
            {"id": number + self._shift, "name": name, "supercategory": name} for number, name in self._classes.items()
        ]
        for split, file in self._files.items():
            name = f"instances_{split}.json" if split else "instances.json"
            file.save(self._out / "annotations" / name, categories)

    def close(self) -> None:
        for file in self._files.values():
            file.close()


class _CocoFile:
    """The rows of one JSON file, on disk until they are put together."""

    def __init__(self) -> None:
        self._images, self._annotations = _Rows(), _Rows()

    def add_image(self, row: dict[str, Any]) -> int:
        return self._images.add(row)

    def add_annotation(self, row: dict[str, Any]) -> None:
        self._annotations.add(row)

    def save(self, path: Path, categories: list[dict[str, Any]]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        with part.open("w", encoding="utf-8") as out:
            out.write('{"categories": ' + json.dumps(categories, ensure_ascii=False) + ', "images": [')
            self._images.copy_to(out)
            out.write('], "annotations": [')
            self._annotations.copy_to(out)
            out.write("]}\n")
        os.replace(part, path)

    def close(self) -> None:
        self._images.close()
        self._annotations.close()


class _Rows:
    """JSON objects with a running ``id`` from 1, in a file of no name."""

    def __init__(self) -> None:
        self._file: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - held over many calls
        self._count = 0

    def add(self, row: dict[str, Any]) -> int:
        self._count += 1
        text = json.dumps({"id": self._count} | row, ensure_ascii=False)
        self._file.write((",\n" if self._count > 1 else "\n") + text)
        return self._count

    def copy_to(self, out: IO[str]) -> None:
        self._file.seek(0)
        shutil.copyfileobj(self._file, out)

    def close(self) -> None:
        self._file.close()


def known_size(image: BoxedImage) -> tuple[int, int]:
    """Height and width of the picture, read from its header where the annotations do not say.

    Raises:
        InputError: the picture cannot be read.
    """
    if image.fault:
        raise InputError("unreadable", image.fault)
    return image.size or size_of(image.path)


def write_text(path: Path, text: str) -> None:
    """A small file whole or not at all, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8")
    os.replace(part, path)


def _child(parent: ElementTree.Element, tag: str, text: str) -> None:
    if any(ord(letter) < 32 for letter in text):
        raise DataError(f"a name in XML must have no control characters. Got {text!r}")
    ElementTree.SubElement(parent, tag).text = text


def _pixels(low: float, high: float, side: int) -> tuple[int, int]:
    """Edges from 0 as the first and last pixel from 1, at least one pixel, within the picture."""
    first = min(max(round(low), 0), side - 1)
    last = min(max(round(high), first + 1), side)
    return first + 1, last


def _box_shares(box: list[float], height: int, width: int) -> list[float]:
    x1, y1, x2, y2 = box
    x1, x2 = (min(max(x, 0.0), width) for x in (x1, x2))
    y1, y2 = (min(max(y, 0.0), height) for y in (y1, y2))
    return [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]


def _outline_shares(outline: Outline | None, height: int, width: int) -> list[float] | None:
    """The one polygon of a thing as shares; ``None`` for run lengths and things in several parts, which get a box."""
    if not isinstance(outline, list) or len(outline) != 1 or len(outline[0]) < 6:
        return None
    sides = (width, height)
    return [min(max(value / sides[at % 2], 0.0), 1.0) for at, value in enumerate(outline[0])]
