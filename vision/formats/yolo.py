"""YOLO's labels: one text file an image, a line a thing, as Darknet and Ultralytics write them.

A line is ``class x y width height``, the centre and the sides of the box as shares of the picture's width and height;
or ``class x1 y1 x2 y2 x3 y3 ...``, an outline in such shares. The shares are of the upright picture, so its header is
read.
A picture without a label file holds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from shared.errors import DataError
from vision.formats.files import images_below, read_text, size_or_fault
from vision.formats.types import BoxedImage, Fault, Source, Thing, boxed_image, each
from vision.polygons import polygon_area

SPLITS = ("train", "val", "test")
NAME_LISTS = ("classes.txt", "obj.names", "labels.txt")
_MAX_YAML = 1024 * 1024
_SLACK = 1e-3
"""How far beyond the picture a share may reach through rounding; it is clipped."""


@dataclass(frozen=True)
class _Listed:
    """One image of the data set: where it is, its name, its label file and its split."""

    path: Path
    name: str
    label: Path
    split: str | None


def find_yolo(folder: Path) -> Path | None:
    """The YAML file or list of class names of a folder, or ``None`` where there is neither."""
    if not folder.is_dir():
        return None
    return _yaml_of(folder) or _name_list(folder)


def open_yolo(dataset: Path, *, images: Path | None = None, split: str | None = None) -> Source:
    """Open a data set of YOLO labels. Images come split by split, in order of their paths.

    Args:
        dataset: ``data.yaml``, or the folder that holds it; or a folder with a list of class names (``classes.txt``,
            ``obj.names``) and ``images`` and ``labels``, or both in one; or a folder of label files, with the class
            names there or in the folder above.
        images: folder of the images; ``None`` takes what the YAML file says, or ``images``.
        split: ``train``, ``val`` or ``test`` of the YAML file; ``None`` takes all.

    Raises:
        DataError: there are no class names, no such split, no images, or no label for any of them.
    """
    folder = dataset if dataset.is_dir() else dataset.parent
    described = dataset if dataset.is_file() else find_yolo(folder) or find_yolo(folder.parent)
    if described is None:
        raise DataError(
            f"{dataset} must hold YOLO labels with their class names: data.yaml with 'names', or "
            f"{' or '.join(NAME_LISTS)}. It holds neither"
        )
    is_yaml = described.suffix.lower() in (".yaml", ".yml")
    table: dict[str, Any] = _read_yaml(described) if is_yaml else {"names": _lines(described)}
    classes = _classes(table, described)
    named = (
        {key: table[key] for key in SPLITS if table.get(key)} if images is None and described.parent == folder else {}
    )
    if named and (split is not None or any(_exists(described, table, value) for value in named.values())):
        listed = _once(_by_yaml(described, table, named, split))
    elif split is not None:
        raise DataError(f"the split must be one that {described} names: {', '.join(named) or 'none'}. Got {split!r}")
    else:
        listed = list(_by_folder(folder, images))
    if not any(item.label.is_file() for item in listed):
        raise DataError(
            f"{dataset} must hold a label file for at least one of its {len(listed)} images. The first would be "
            f"{listed[0].label}"
        )

    def items() -> Iterator[BoxedImage | Fault]:
        return each((str(item.label), _reader(item, classes)) for item in listed)

    return Source("yolo", classes, items)


def _reader(item: _Listed, classes: Mapping[int, str]) -> Callable[[], BoxedImage]:
    return lambda: _image(item, classes)


def _image(item: _Listed, classes: Mapping[int, str]) -> BoxedImage:
    size, fault = size_or_fault(item.path)
    lines = read_text(item.label).splitlines() if item.label.is_file() else []
    height, width = size or (1, 1)
    things = [
        _thing(line, classes, height, width, f"{item.label}, line {at}")
        for at, line in enumerate(lines, 1)
        if line.strip()
    ]
    return boxed_image(str(item.path), item.name, size, things, split=item.split, fault=fault)


def _thing(line: str, classes: Mapping[int, str], height: int, width: int, where: str) -> Thing:
    texts = line.split()
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = []
    outlined = len(numbers) >= 7 and len(numbers) % 2 == 1
    if not (len(numbers) == 5 or outlined) or not all(map(math.isfinite, numbers)):
        raise DataError(
            f"{where} must be a class and x, y, width, height, or a class and an outline of three points x, y or more. "
            f"Got {line.strip()[:80]!r} instead"
        )
    if not numbers[0].is_integer() or int(numbers[0]) not in classes:
        raise DataError(f"{where}: the class must be a number in {_span(classes)}. Got {texts[0]} instead")
    shares = numbers[1:]
    if min(shares) < -_SLACK or max(shares) > 1 + _SLACK:
        raise DataError(
            f"{where}: the numbers after the class must be shares of the picture's sides, in [0, 1]. "
            f"Got {min(shares):g} to {max(shares):g}"
        )
    if outlined:
        points = [min(max(share, 0.0), 1.0) * (height if at % 2 else width) for at, share in enumerate(shares)]
        xs, ys = points[::2], points[1::2]
        return Thing(
            (min(xs), min(ys), max(xs), max(ys)),
            int(numbers[0]),
            abs(polygon_area(np.reshape(points, (-1, 2)))),
            outline=[points],
        )
    x, y, wide, high = shares
    x1, x2 = max((x - wide / 2) * width, 0.0), min((x + wide / 2) * width, float(width))
    y1, y2 = max((y - high / 2) * height, 0.0), min((y + high / 2) * height, float(height))
    return Thing((x1, y1, max(x1, x2), max(y1, y2)), int(numbers[0]), max(x2 - x1, 0.0) * max(y2 - y1, 0.0))


def _span(classes: Mapping[int, str]) -> str:
    return f"{min(classes)}..{max(classes)}"


def _yaml_of(folder: Path) -> Path | None:
    """``data.yaml``, or the only YAML file with class names."""
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    first = [path for path in files if path.stem == "data"]
    if first:
        return first[0]
    found = [path for path in files if _has_names(path)]
    return found[0] if len(found) == 1 else None


def _has_names(file: Path) -> bool:
    try:
        return bool(_read_yaml(file).get("names"))
    except DataError:
        return False


def _name_list(folder: Path) -> Path | None:
    found = [folder / name for name in NAME_LISTS if (folder / name).is_file()]
    found += [folder / "labels" / "classes.txt"] if (folder / "labels" / "classes.txt").is_file() else []
    return found[0] if found else None


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(read_text(file, most=_MAX_YAML))
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{file} must be YAML. {error}") from error
    if not isinstance(data, dict):
        raise DataError(f"{file} must hold one YAML mapping. Got a {type(data).__name__} instead")
    return data


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in read_text(file, most=_MAX_YAML).splitlines() if line.strip()]


def _classes(table: dict[str, Any], file: Path) -> dict[int, str]:
    names = table.get("names")
    rows = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(rows, dict) or not rows:
        raise DataError(f"{file} must have 'names', a list or a mapping of the classes. Got {str(names)[:80]} instead")
    for number, name in rows.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise DataError(f"{file}: the keys of 'names' must be whole numbers from 0 on. Got {str(number)[:80]!r}")
        if not isinstance(name, str | int | float):
            raise DataError(f"{file}: each of 'names' must be text. Got {str(name)[:80]} for {number}")
    return {number: str(name) for number, name in sorted(rows.items())}


def _exists(file: Path, table: dict[str, Any], value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(_places(file, table, str(one)) for one in values)


def _places(file: Path, table: dict[str, Any], value: str) -> list[Path]:
    """Where a path of a YAML file leads: below its ``path``, beside the file, or there without leading ``..``."""
    root = str(table.get("path") or "")
    below = value
    while below.startswith("../"):
        below = below[3:]
    tried = [file.parent / root / value, file.parent / value, file.parent / below]
    return [path for path in tried if path.exists()]


def _by_yaml(file: Path, table: dict[str, Any], named: dict[str, Any], split: str | None) -> Iterator[_Listed]:
    if split is not None and split not in named:
        raise DataError(f"the split must be one that {file} names: {', '.join(named) or 'none'}. Got {split!r}")
    for key in named if split is None else (split,):
        values = named[key] if isinstance(named[key], list) else [named[key]]
        for value in values:
            places = _places(file, table, str(value))
            if not places:
                raise DataError(
                    f"{file}: {key!r} must lead to a folder of images or a list of them. {value} is nowhere"
                )
            root = places[0]
            if root.is_dir():
                paths = images_below(root)
            else:
                paths = [path if (path := Path(line)).is_absolute() else root.parent / line for line in _lines(root)]
            if not paths:
                raise DataError(f"{file}: {key!r} must lead to at least one image. There is none in {root}")
            for path in paths:
                name = path.relative_to(root).as_posix() if root.is_dir() else path.name
                yield _Listed(path, name, _label_beside(path), key)


def _once(listed: Iterator[_Listed]) -> list[_Listed]:
    """Each image once; one that several splits name belongs to none."""
    found: dict[Path, _Listed] = {}
    for item in listed:
        first = found.setdefault(item.path, item)
        if first.split != item.split:
            found[item.path] = replace(first, split=None)
    return list(found.values())


def _label_beside(image: Path) -> Path:
    """``labels`` in the place of the last ``images`` of the path, or the same folder."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        at = len(parts) - 2 - parts[:-1][::-1].index("images")
        parts[at] = "labels"
        label = Path(*parts).with_suffix(".txt")
        if label.parent.is_dir():
            return label
    return image.with_suffix(".txt")


def _by_folder(folder: Path, images: Path | None) -> Iterator[_Listed]:
    labels = folder / "labels" if (folder / "labels").is_dir() else folder
    candidates = [images] if images is not None else [folder / "images", labels, folder.parent / "images"]
    root = next((path for path in candidates if path.is_dir() and images_below(path)), None)
    if root is None:
        tried = ", ".join(map(str, candidates))
        raise DataError(f"the images of {folder} must lie in {tried}. There are none: name their folder (--images)")
    for path in images_below(root):
        name = path.relative_to(root)
        yield _Listed(path, name.as_posix(), (labels / name).with_suffix(".txt"), _split_of(name))


def _split_of(name: Path) -> str | None:
    return name.parts[0] if len(name.parts) > 1 and name.parts[0] in SPLITS else None
