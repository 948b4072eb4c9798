"""Pascal VOC's annotations (format: the VOC2012 development kit, section 9): one XML file an image.

Corners in the files are pixels counted from 1, both ends within the box; here they become edges counted from 0:
``x1 = xmin - 1``, ``y1 = ymin - 1``, ``x2 = xmax``, ``y2 = ymax``. A file that declares a document type is refused, so
no entity is ever expanded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

from shared.batch.sources import IMAGE_SUFFIXES
from shared.errors import DataError
from vision.formats.files import inside, read_bytes, read_text, size_or_fault
from vision.formats.types import BoxedImage, Fault, Source, Thing, boxed_image, each

SPLITS = ("train", "val", "test")
_MAX_XML = 16 * 1024 * 1024
_FOLDERS = ("JPEGImages", "images", "Images", ".")


def find_voc(folder: Path) -> Path | None:
    """The folder with ``Annotations`` of XML files (or with ``*.xml`` itself): this one, or the only one below it."""
    below = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if _annotations(folder) is not None:
        return folder
    found = [path for path in below if (path / "Annotations").is_dir() and _annotations(path) is not None]
    return found[0] if len(found) == 1 else None


def open_voc(dataset: Path, *, images: Path | None = None, split: str | None = None) -> Source:
    """Open a data set in Pascal VOC's layout. Images come in order of their names.

    Args:
        dataset: the folder with ``Annotations``, ``JPEGImages`` and perhaps ``ImageSets/Main``; or a folder of XML
            files with the images beside them.
        images: folder of the images; ``None`` tries ``JPEGImages`` and others.
        split: name of a list in ``ImageSets/Main``; ``None`` takes every annotation.

    Raises:
        DataError: there are no annotations, no such list, or the first image is in none of the folders.
    """
    root = find_voc(dataset)
    if root is None:
        raise DataError(
            f"{dataset} must hold Pascal VOC annotations, a folder Annotations with an XML file an image. It holds none"
        )
    annotations = _annotations(root) or root
    lists = _lists(root)
    files = sorted(annotations.rglob("*.xml")) if split is None else _of_list(annotations, lists, split, root)
    belongs = {name: key for key in reversed(SPLITS) for name in lists.get(key, ())}
    folder = images or _image_folder(root, annotations, files)

    def read(file: Path, numbers: dict[str, int]) -> BoxedImage:
        stem = file.relative_to(annotations).with_suffix("").as_posix()
        return _image(file, stem, folder, numbers, split or belongs.get(stem))

    names = sorted({name for file in files for name in _class_names(file)})
    numbers = {name: number for number, name in enumerate(names, 1)}

    def items() -> Iterator[BoxedImage | Fault]:
        return each((str(file), _reader(read, file, numbers)) for file in files)

    return Source("voc", {number: name for name, number in numbers.items()}, items)


def _reader(
    read: Callable[[Path, dict[str, int]], BoxedImage], file: Path, numbers: dict[str, int]
) -> Callable[[], BoxedImage]:
    return lambda: read(file, numbers)


def _annotations(folder: Path) -> Path | None:
    for candidate in (folder / "Annotations", folder / "annotations", folder):
        if candidate.is_dir() and next(candidate.glob("*.xml"), None) is not None:
            return candidate
    return None


def _lists(root: Path) -> dict[str, list[str]]:
    """The names in each list of ``ImageSets/Main``; a list of one class (name and -1, 0 or 1) is left out."""
    found = {}
    for file in sorted((root / "ImageSets" / "Main").glob("*.txt")):
        rows = [line.split() for line in read_text(file).splitlines() if line.strip()]
        if all(len(row) == 1 for row in rows):
            found[file.stem] = [row[0] for row in rows]
    return found


def _of_list(annotations: Path, lists: dict[str, list[str]], split: str, root: Path) -> list[Path]:
    if split not in lists:
        known = ", ".join(lists) or "none"
        raise DataError(f"the split must be one of the lists in {root}/ImageSets/Main: {known}. Got {split!r} instead")
    where = f"a name in {root}/ImageSets/Main/{split}.txt"
    files = [annotations / f"{inside(name, where)}.xml" for name in lists[split]]
    if not files:
        raise DataError(f"{root}/ImageSets/Main/{split}.txt must name at least one image. It is empty")
    return files


def _image_folder(root: Path, annotations: Path, files: list[Path]) -> Path:
    first = files[0].relative_to(annotations).with_suffix("").as_posix()
    for name in _FOLDERS:
        folder = root / name
        if _with_suffix(folder, first) is not None:
            return folder
    raise DataError(
        f"the images of {root} must lie in one of {', '.join(_FOLDERS)} there. {first} is in none of them: name their "
        "folder (--images)"
    )


def _with_suffix(folder: Path, stem: str) -> Path | None:
    for suffix in (".jpg", ".png", ".jpeg", ".JPG", *sorted(IMAGE_SUFFIXES)):
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            return path
    return None


def _image(file: Path, stem: str, folder: Path, numbers: dict[str, int], split: str | None) -> BoxedImage:
    root = _parse(file)
    named = root.findtext("filename", "").strip()
    path = _with_suffix(folder, stem)
    if path is None and named:
        path = folder / inside(named, f"{file}: 'filename'")
    path = path or folder / f"{stem}.jpg"
    size, fault = _size(root), ""
    if size is None:
        size, fault = size_or_fault(path)
    things = [_thing(item, numbers, f"{file}: object {at}", size) for at, item in enumerate(root.findall("object"), 1)]
    return boxed_image(str(path), path.relative_to(folder).as_posix(), size, things, split=split, fault=fault)


def _class_names(file: Path) -> list[str]:
    try:
        root = _parse(file)
    except DataError:
        return []  # said where the file is read for its boxes
    return [name for item in root.findall("object") if (name := item.findtext("name", "").strip())]


def _thing(item: ElementTree.Element, numbers: dict[str, int], where: str, size: tuple[int, int] | None) -> Thing:
    name = item.findtext("name", "").strip()
    if not name:
        raise DataError(f"{where} must have a 'name'. It has none")
    xmin, ymin, xmax, ymax = (_number(item, f"bndbox/{key}", where) for key in ("xmin", "ymin", "xmax", "ymax"))
    if xmax < xmin or ymax < ymin:
        raise DataError(
            f"{where}: 'bndbox' must have xmin <= xmax and ymin <= ymax. Got {xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}"
        )
    height, width = size or (math.inf, math.inf)
    x1, y1, x2, y2 = max(xmin - 1, 0.0), max(ymin - 1, 0.0), min(xmax, width), min(ymax, height)
    if x2 <= x1 or y2 <= y1:
        raise DataError(
            f"{where}: 'bndbox' must lie in the picture of {width:g} x {height:g}. "
            f"Got {xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}"
        )
    difficult = item.findtext("difficult", "0").strip() not in ("", "0")
    return Thing((x1, y1, x2, y2), numbers[name], (x2 - x1) * (y2 - y1), False, difficult)


def _number(item: ElementTree.Element, key: str, where: str) -> float:
    text = item.findtext(key, "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: {key!r} must be a number of pixels. Got {text!r} instead")
    return value


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    texts = [root.findtext(f"size/{key}", "").strip() for key in ("height", "width")]
    if not all(re.fullmatch(r"[0-9]{1,9}", text) for text in texts) or "0" in texts:
        return None
    return int(texts[0]), int(texts[1])


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document type before its entities are declared."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise DataError(f"must declare no document type (DOCTYPE {name}), since entities could swell without bound")


def _parse(file: Path) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_NoDoctype())  # noqa: S314 - document types, so all entities, are refused
    try:
        parser.feed(read_bytes(file, most=_MAX_XML))
        root: ElementTree.Element = parser.close()
    except ElementTree.ParseError as error:
        raise DataError(f"{file} must be XML. {error}") from error
    except DataError as error:
        raise error if str(error).startswith(str(file)) else DataError(f"{file} {error}") from error
    if root.tag != "annotation":
        raise DataError(f"{file} must hold one element 'annotation'. Got {root.tag!r} instead")
    return root
