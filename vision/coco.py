"""COCO's annotations of boxes (format: cocodataset.org, "Data format"), checked row by row as they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from shared.errors import DataError
from shared.evaluation.detection import Things

_IMAGE_FOLDERS = ("images", ".", "train2017", "val2017", "../images", "../train2017", "../val2017")


@dataclass(frozen=True)
class BoxedImages:
    """Images with the things that are in them.

    Attributes:
        paths: the images, length n.
        truth: what is in each, length n; ``class_ids`` are the data set's own.
        classes: name of each class by the data set's number.
    """

    paths: tuple[str, ...]
    truth: tuple[Things, ...]
    classes: Mapping[int, str]


def find_annotations(folder: Path) -> Path:
    """The one COCO file of a folder: ``*.json`` in it, or in its ``annotations``, with images, annotations, categories.

    Raises:
        DataError: there is none, or several.
    """
    candidates = [*sorted(folder.glob("*.json")), *sorted((folder / "annotations").glob("*.json"))]
    found = [path for path in candidates if {"images", "annotations", "categories"} <= _parse(path).keys()]
    if len(found) == 1:
        return found[0]
    several = f"It holds several: {', '.join(map(str, found))}. Name one of them" if found else "It holds none"
    raise DataError(f"{folder} must hold one COCO JSON file with images, annotations and categories. {several}")


def read_coco(file: Path, *, images: Path | None = None, limit: int | None = None) -> BoxedImages:
    """Read a COCO file.

    Args:
        file: the annotations.
        images: folder of the images; ``None`` tries ``images`` beside the file, its own folder, and COCO's usual names.
        limit: only the first so many images in order of their ids.

    Raises:
        DataError: the file is no such JSON (with line or key), or its first image is in none of the folders.
    """
    data = _parse(file)
    classes = {int(row["id"]): row["name"] for row in _rows(file, data, "categories", {"id": int, "name": str})}
    rows = sorted(_rows(file, data, "images", {"id": int, "file_name": str}), key=lambda row: row["id"])
    if not rows:
        raise DataError(f"{file}: 'images' must list at least one image. It is empty")
    if len({row["id"] for row in rows}) != len(rows):
        raise DataError(f"{file}: 'images' must have each id once. Some stand twice")
    found: dict[int, list[tuple[list[float], int, float, bool]]] = {row["id"]: [] for row in rows}
    wanted = {"image_id": int, "category_id": int, "bbox": list}
    for at, row in enumerate(_rows(file, data, "annotations", wanted)):
        where = f"{file}: annotations[{at}]"
        if row["image_id"] not in found:
            raise DataError(f"{where}: 'image_id' must be the id of an image. Got {row['image_id']} instead")
        if row["category_id"] not in classes:
            raise DataError(f"{where}: 'category_id' must be the id of a category. Got {row['category_id']} instead")
        x, y, width, height = _box(row["bbox"], where)
        area = row.get("area", width * height)
        if not isinstance(area, int | float) or not area >= 0:
            raise DataError(f"{where}: 'area' must be a number of square pixels. Got {area!r} instead")
        corners = [x, y, x + width, y + height]
        found[row["image_id"]].append((corners, row["category_id"], float(area), bool(row.get("iscrowd", 0))))
    rows = rows[:limit]
    folder = _image_folder(file, rows[0]["file_name"]) if images is None else images
    paths = tuple(str(folder / _inside(row["file_name"], file)) for row in rows)
    return BoxedImages(paths, tuple(_things(found[row["id"]]) for row in rows), classes)


def _things(rows: list[tuple[list[float], int, float, bool]]) -> Things:
    boxes, class_ids, areas, crowd = zip(*rows) if rows else ((), (), (), ())
    return Things(
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(class_ids, np.int64),
        np.array(areas, np.float64),
        np.array(crowd, np.bool_),
    )


def _parse(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} must be JSON in UTF-8. {error}") from error
    except OSError as error:
        raise DataError(f"{file} must be a readable JSON file. {error}") from error
    if not isinstance(data, dict):
        raise DataError(f"{file} must hold one JSON object. Got a {type(data).__name__} instead")
    return data


def _rows(file: Path, data: dict[str, Any], key: str, wanted: Mapping[str, type]) -> list[dict[str, Any]]:
    rows = data.get(key)
    if not isinstance(rows, list):
        raise DataError(f"{file} must have a list {key!r}. Its keys are {sorted(data)}")
    for at, row in enumerate(rows):
        for name, kind in wanted.items():
            value = row.get(name) if isinstance(row, dict) else None
            if not isinstance(value, kind) or isinstance(value, bool):
                raise DataError(f"{file}: {key}[{at}] must have {name!r}, a {kind.__name__}. Got {value!r} instead")
    return rows


def _box(values: list[Any], where: str) -> list[float]:
    numbers = [v for v in values if isinstance(v, int | float) and np.isfinite(v)]
    if len(values) != 4 or len(numbers) != 4 or min(numbers[2:]) < 0:
        raise DataError(f"{where}: 'bbox' must be x, y, width, height, no side negative. Got {values} instead")
    return [float(v) for v in numbers]


def _inside(name: str, file: Path) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{file}: a 'file_name' must be a path inside the folder of the images. Got {name!r} instead")
    return name


def _image_folder(file: Path, first: str) -> Path:
    for name in _IMAGE_FOLDERS:
        folder = file.parent / name
        if (folder / _inside(first, file)).is_file():
            return folder
    raise DataError(
        f"the images of {file} must lie in one of {', '.join(_IMAGE_FOLDERS)} from there. {first} is in none of them: "
        "name their folder (--images)"
    )
