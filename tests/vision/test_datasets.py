"""Readers of labelled images: what they find, and what they say of what is malformed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.errors import DataError, UnknownNameError, UsageError
from vision.datasets import read_boxed_images, read_labelled_images


def image_at(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3)).save(path)


def coco(**changes: Any) -> dict[str, Any]:
    """Two images, the second with a cat and a crowd of dogs; not in order of their ids."""
    cat = {"id": 5, "image_id": 7, "category_id": 17, "bbox": [1, 2, 3, 4], "area": 9.5, "iscrowd": 0}
    dogs = {"id": 6, "image_id": 7, "category_id": 18, "bbox": [0, 0, 2, 2], "iscrowd": 1}
    data: dict[str, Any] = {
        "images": [{"id": 7, "file_name": "b.png"}, {"id": 3, "file_name": "a.png"}],
        "annotations": [cat, dogs],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    }
    return data | changes


@pytest.fixture
def boxed(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        image_at(tmp_path / "images" / name)
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "instances.json").write_text(json.dumps(coco()))
    return tmp_path


def test_a_folder_a_class(tmp_path: Path) -> None:
    for name in ("dog/b.png", "dog/deep/a.PNG", "cat/c.png", ".hidden/d.png", "n02085620_Chihuahua/e.png"):
        image_at(tmp_path / name)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    found = read_labelled_images(tmp_path)
    assert found.labels == ("cat", "dog", "dog", "n02085620")
    assert [Path(path).name for path in found.paths] == ["c.png", "b.png", "a.PNG", "e.png"]
    assert read_labelled_images(tmp_path, limit=2).labels == ("cat", "dog")


def test_files_named_by_wordnet_id(tmp_path: Path) -> None:
    for name in ("n01440764_tench.png", "n01443537.png", "other.png", "n014407641_no.png"):
        image_at(tmp_path / name)
    (tmp_path / "SOURCE.txt").write_text("where from")
    assert read_labelled_images(tmp_path).labels == ("n01440764", "n01443537")


@pytest.mark.parametrize("format", [None, "image-folder", "wnid-files"])
def test_what_is_no_data_set_of_labelled_images(format: str | None, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(DataError, match=r"image-folder.*wnid-files.*It holds readme.txt"):
        read_labelled_images(tmp_path, format=format)
    with pytest.raises(DataError, match="must be a folder"):
        read_labelled_images(tmp_path / "readme.txt", format=format)


def test_wrong_arguments_say_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="image-folder"):
        read_labelled_images(tmp_path, format="image-folders")
    with pytest.raises(UnknownNameError, match="coco"):
        read_boxed_images(tmp_path, format="coko")
    with pytest.raises(UsageError, match="limit must be at least 1"):
        read_boxed_images(tmp_path, limit=0)


def test_coco_in_order_of_ids(boxed: Path) -> None:
    for dataset in (boxed, boxed / "instances.json"):
        found = read_boxed_images(dataset)
        assert [Path(path).name for path in found.paths] == ["a.png", "b.png"]
        assert all(Path(path).is_file() for path in found.paths)
        assert found.classes == {17: "cat", 18: "dog"}
        empty, things = found.truth
        assert empty.boxes.shape == (0, 4)
        np.testing.assert_array_equal(things.boxes, [[1, 2, 4, 6], [0, 0, 2, 2]])
        np.testing.assert_array_equal(things.areas, [9.5, 4])
        assert things.crowd.tolist() == [False, True]
    assert len(read_boxed_images(boxed, limit=1).paths) == 1


def test_images_elsewhere_are_named(boxed: Path, tmp_path: Path) -> None:
    (boxed / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="a.png is in none of them: name their folder"):
        read_boxed_images(boxed)
    found = read_boxed_images(boxed, images=tmp_path / "elsewhere")
    assert Path(found.paths[0]) == tmp_path / "elsewhere" / "a.png"


def annotation(**changes: Any) -> dict[str, Any]:
    return {"annotations": [coco()["annotations"][0] | changes]}


MALFORMED: dict[str, tuple[object, str]] = {
    "no object": ([1], "must hold one JSON object. Got a list"),
    "no images": ({"annotations": [], "categories": []}, "must have a list 'categories'|must have a list 'images'"),
    "empty images": (coco(images=[], annotations=[]), "at least one image"),
    "an image twice": (coco(images=[{"id": 7, "file_name": "b.png"}] * 2), "each id once"),
    "an image without a name": (coco(images=[{"id": 7}]), r"images\[0\] must have 'file_name', a str. Got None"),
    "an image that is no object": (coco(images=["a.png"]), r"images\[0\] must have 'id'"),
    "a path that climbs": (coco(images=[{"id": 7, "file_name": "../a.png"}]), "inside the folder"),
    "an absolute path": (coco(images=[{"id": 7, "file_name": "/etc/hostname"}]), "inside the folder"),
    "an unknown image": (coco(**annotation(image_id=99)), r"annotations\[0\]: 'image_id' must be the id.* Got 99"),
    "an unknown category": (coco(**annotation(category_id=99)), "'category_id' must be the id"),
    "three numbers": (coco(**annotation(bbox=[1, 2, 3])), r"'bbox' must be x, y, width, height.* Got \[1, 2, 3\]"),
    "a negative side": (coco(**annotation(bbox=[1, 2, -3, 4])), "no side negative"),
    "an infinite side": (coco(**annotation(bbox=[1, 2, float("inf"), 4])), "'bbox' must be"),
    "a word for a number": (coco(**annotation(bbox=[1, 2, "3", 4])), "'bbox' must be"),
    "a negative area": (coco(**annotation(area=-1)), "'area' must be"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_annotations_name_the_row(case: str, boxed: Path) -> None:
    data, words = MALFORMED[case]
    file = boxed / "instances.json"
    file.write_text(json.dumps(data))
    with pytest.raises(DataError, match=words):
        read_boxed_images(file, images=boxed / "images")


def test_text_that_is_no_json_names_the_line(boxed: Path) -> None:
    file = boxed / "instances.json"
    file.write_text('{"images": [\n  oops')
    with pytest.raises(DataError, match="must be JSON in UTF-8.*line 2"):
        read_boxed_images(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="must be JSON in UTF-8"):
        read_boxed_images(file)


def test_a_folder_must_hold_one_annotation_file(boxed: Path, tmp_path: Path) -> None:
    (boxed / "annotations").mkdir()
    (boxed / "annotations" / "second.json").write_text(json.dumps(coco()))
    with pytest.raises(DataError, match="It holds several: .*instances.json, .*second.json. Name one"):
        read_boxed_images(boxed)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="It holds none of them"):
        read_boxed_images(empty)
