"""COCO's annotations of boxes and outlines (format: cocodataset.org, "Data format"), checked row by row when read.

COCO has no word for VOC's ``difficult``; a key of that name in an annotation keeps it. COCO's own tools pass over it,
as they do over ``ignore``, so that their figures count such things.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import DataError
from vision.formats.files import inside
from vision.formats.types import BoxedImage, Outline, Source, Thing, boxed_image

IMAGE_FOLDERS = ("images", ".", "train2017", "val2017", "../images", "../train2017", "../val2017")


def find_coco(folder: Path, *, split: str | None = None) -> Path | None:
    """The one COCO file of a folder: ``*.json`` in it, or in its ``annotations``, with images, annotations, categories.

    Args:
        folder: where to look.
        split: a word that the file's name must hold.

    Returns:
        The file, or ``None`` where there is none.

    Raises:
        DataError: there are several.
    """
    candidates = [*sorted(folder.glob("*.json")), *sorted((folder / "annotations").glob("*.json"))]
    found = [path for path in candidates if (split is None or split in path.stem) and _is_coco(path)]
    if len(found) > 1:
        raise DataError(
            f"{folder} must hold one COCO JSON file. It holds several: {', '.join(map(str, found))}. Name one of them, "
            "or a split that only one is named after"
        )
    return found[0] if found else None


def open_coco(dataset: Path, *, images: Path | None = None, split: str | None = None) -> Source:
    """Open a COCO file, or the one of a folder. Images come in order of their ids.

    Args:
        dataset: the annotations.
        images: folder of the images; ``None`` tries ``images`` beside the file, its own folder, and COCO's usual names.
        split: a word that the file's name must hold.

    Raises:
        DataError: the file is no such JSON (with line or key), or its first image is in none of the folders.
    """
    file = dataset if dataset.is_file() else find_coco(dataset, split=split)
    if file is None:
        word = "" if split is None else f", named after {split!r},"
        raise DataError(
            f"{dataset} must hold one COCO JSON file{word} with images, annotations and categories. It holds none"
        )
    data = _parse(file)
    classes = {int(row["id"]): row["name"] for row in _rows(file, data, "categories", {"id": int, "name": str})}
    rows = sorted(_rows(file, data, "images", {"id": int, "file_name": str}), key=lambda row: row["id"])
    if not rows:
        raise DataError(f"{file}: 'images' must list at least one image. It is empty")
    if len({row["id"] for row in rows}) != len(rows):
        raise DataError(f"{file}: 'images' must have each id once. Some stand twice")
    found: dict[int, list[Thing]] = {row["id"]: [] for row in rows}
    wanted = {"image_id": int, "category_id": int, "bbox": list}
    for at, row in enumerate(_rows(file, data, "annotations", wanted)):
        where = f"{file}: annotations[{at}]"
        if row["image_id"] not in found:
            raise DataError(f"{where}: 'image_id' must be the id of an image. Got {row['image_id']} instead")
        found[row["image_id"]].append(_thing(row, classes, where))
    _loaded.cache_clear()
    names = [inside(row["file_name"], f"{file}: a 'file_name'") for row in rows]
    folder = _image_folder(file, names[0]) if images is None else images

    def image(row: dict[str, Any], name: str) -> BoxedImage:
        return boxed_image(str(folder / name), name, _size(row, file), found[row["id"]], split=split)

    return Source("coco", classes, lambda: (image(row, name) for row, name in zip(rows, names)))


def _thing(row: dict[str, Any], classes: Mapping[int, str], where: str) -> Thing:
    if row["category_id"] not in classes:
        raise DataError(f"{where}: 'category_id' must be the id of a category. Got {row['category_id']} instead")
    x, y, width, height = _box(row["bbox"], where)
    area = row.get("area", width * height)
    if not isinstance(area, int | float) or not area >= 0:
        raise DataError(f"{where}: 'area' must be a number of square pixels. Got {area!r} instead")
    flags = bool(row.get("iscrowd", 0)), bool(row.get("difficult", 0))
    outline = _outline(row.get("segmentation"), where)
    return Thing((x, y, x + width, y + height), row["category_id"], float(area), *flags, outline)


def _outline(value: Any, where: str) -> Outline | None:
    """Polygons or a run-length code whose form is right; whether it fits the picture is seen where it is drawn."""
    if value is None or value == []:
        return None
    if isinstance(value, dict) and isinstance(value.get("size"), list) and isinstance(value.get("counts"), str | list):
        return value
    if isinstance(value, list) and all(_is_polygon(part) for part in value):
        return value
    raise DataError(
        f"{where}: 'segmentation' must be polygons [[x1, y1, x2, y2, x3, y3, ...], ...] or a run-length code with size "
        f"and counts. Got {str(value)[:80]} instead"
    )


def _is_polygon(part: Any) -> bool:
    whole = isinstance(part, list) and len(part) >= 4 and len(part) % 2 == 0
    return whole and all(isinstance(v, int | float) and np.isfinite(v) for v in part)


def _size(row: dict[str, Any], file: Path) -> tuple[int, int] | None:
    height, width = row.get("height"), row.get("width")
    if height is None or width is None:
        return None
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        raise DataError(
            f"{file}: image {row['id']} must have a height and a width in pixels. Got {height!r}, {width!r} instead"
        )
    return height, width


def _is_coco(file: Path) -> bool:
    try:
        return {"images", "annotations", "categories"} <= _parse(file).keys()
    except DataError:
        return False  # what it is is said where it is named


def _parse(file: Path) -> dict[str, Any]:
    try:
        status = file.stat()
        data = _loaded(file, status.st_size, status.st_mtime_ns)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} must be JSON in UTF-8. {error}") from error
    except OSError as error:
        raise DataError(f"{file} must be a readable JSON file. {error}") from error
    if not isinstance(data, dict):
        raise DataError(f"{file} must hold one JSON object. Got a {type(data).__name__} instead")
    return data


@lru_cache(maxsize=1)
def _loaded(file: Path, size: int, changed: int) -> Any:
    """The file's content, kept from where it is found to where it is read: annotations may be large."""
    return json.loads(file.read_text("utf-8"))


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


def _image_folder(file: Path, first: str) -> Path:
    for name in IMAGE_FOLDERS:
        folder = file.parent / name
        if (folder / first).is_file():
            return folder
    raise DataError(
        f"the images of {file} must lie in one of {', '.join(IMAGE_FOLDERS)} from there. {first} is in none of them: "
        "name their folder (--images)"
    )
