"""Conversion between COCO, VOC and YOLO: round trips, what a format cannot say, faults, and what is never replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from shared.cli.main import triptych
from shared.errors import DataError, UnknownNameError, UsageError
from vision.datasets import read_boxed_images
from vision.formats import FORMATS, BoxedImages
from vision.formats.convert import convert

POLYGON = [2.0, 1.0, 12.0, 1.0, 12.0, 9.0]


def dataset(root: Path) -> Path:
    """Two images: whole-pixel boxes of two classes, an outline, a crowd, a difficult thing; and one without things."""
    rows = [
        {"category_id": 3, "bbox": [2, 1, 10, 8], "area": 40.5, "iscrowd": 0, "segmentation": [POLYGON]},
        {
            "category_id": 9,
            "bbox": [0, 0, 20, 10],
            "iscrowd": 1,
            "segmentation": {"size": [10, 20], "counts": [0, 200]},
        },
        {"category_id": 9, "bbox": [5, 5, 1, 1], "iscrowd": 0, "difficult": 1},
        {"category_id": 9, "bbox": [19, 9, 1, 1], "iscrowd": 0},
    ]
    images = [{"id": 1, "file_name": "deep/a.png", "height": 10, "width": 20}, {"id": 2, "file_name": "b.jpg"}]
    data = {
        "images": images,
        "annotations": [{"id": at, "image_id": 1, **row} for at, row in enumerate(rows, 1)],
        "categories": [{"id": 3, "name": "a cat & <co>"}, {"id": 9, "name": "Hündin"}],
    }
    for image in images:
        path = root / "images" / str(image["file_name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(path)
    (root / "instances.json").write_text(json.dumps(data))
    return root


def told(found: BoxedImages) -> dict[str, list[tuple[str, list[float]]]]:
    """Name and corners of every thing by the image's name."""
    return {
        image.name: [(found.classes[c], box) for c, box in zip(image.class_ids.tolist(), image.xyxy.tolist())]
        for image in found.images
    }


@pytest.mark.parametrize("through", FORMATS)
def test_there_and_back(through: str, tmp_path: Path) -> None:
    source = dataset(tmp_path / "source")
    there = convert(source, tmp_path / "there", to=through)
    back = convert(tmp_path / "there", tmp_path / "back", to="coco", format=through)
    first, last = read_boxed_images(source), read_boxed_images(tmp_path / "back")
    lost = {"coco": [], "voc": [1], "yolo": [1, 2]}[through]
    wanted = told(first)
    wanted["deep/a.png"] = [row for at, row in enumerate(wanted["deep/a.png"]) if at not in lost]
    got = told(last)
    assert got.keys() == wanted.keys()
    for name, rows in wanted.items():
        assert [label for label, _ in got[name]] == [label for label, _ in rows]
        np.testing.assert_allclose([box for _, box in got[name]], [box for _, box in rows], atol=1e-6)
    assert (there.images, there.things, there.failed, there.format) == (2, 4 - len(lost), 0, "coco")
    assert there.left_out == {"coco": {}, "voc": {"crowd": 1}, "yolo": {"crowd": 1, "difficult": 1}}[through]
    assert (back.images, back.left_out) == (2, {})


def test_coco_keeps_everything(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source")
    convert(source, tmp_path / "out", to="coco")
    first, last = read_boxed_images(source), read_boxed_images(tmp_path / "out")
    assert dict(first.classes) == dict(last.classes)
    before, after = (next(image for image in found.images if image.name == "deep/a.png") for found in (first, last))
    for field in ("areas", "crowd", "difficult", "class_ids"):
        np.testing.assert_array_equal(getattr(before, field), getattr(after, field))
    assert before.outlines == after.outlines
    assert [image.size for image in last.images] == [(10, 20)] * 2


def test_the_written_files_are_what_other_tools_read(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source")
    convert(source, tmp_path / "yolo", to="yolo", polygons=True)
    table = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text())
    assert table == {"train": "images", "val": "images", "names": {0: "a cat & <co>", 1: "Hündin"}}
    lines = (tmp_path / "yolo" / "labels" / "deep" / "a.txt").read_text().splitlines()
    assert lines == ["0 0.1 0.1 0.6 0.1 0.6 0.9", "1 0.975 0.95 0.05 0.1"]
    assert (tmp_path / "yolo" / "labels" / "b.txt").read_text() == ""
    assert (tmp_path / "yolo" / "images" / "deep" / "a.png").is_file()
    convert(source, tmp_path / "voc", to="voc")
    xml = (tmp_path / "voc" / "Annotations" / "deep" / "a.xml").read_text()
    assert "<xmin>3</xmin>\n\t\t\t<ymin>2</ymin>\n\t\t\t<xmax>12</xmax>\n\t\t\t<ymax>9</ymax>" in xml
    assert "a cat &amp; &lt;co&gt;" in xml
    assert (tmp_path / "voc" / "ImageSets" / "Main" / "default.txt").read_text() == "deep/a\nb\n"


def test_splits_stay_apart(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source")
    convert(source, tmp_path / "yolo", to="yolo")
    root = tmp_path / "yolo"
    for kind in ("images", "labels"):
        for split, name in (("train", "deep"), ("val", "b.jpg" if kind == "images" else "b.txt")):
            (root / kind / split).mkdir()
            (root / kind / name).rename(root / kind / split / name)
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [x, y]\n")
    convert(root, tmp_path / "coco", to="coco")
    assert sorted(path.name for path in (tmp_path / "coco" / "annotations").iterdir()) == [
        "instances_train.json",
        "instances_val.json",
    ]
    assert [image.name for image in read_boxed_images(tmp_path / "coco", split="val").images] == ["b.jpg"]
    convert(root, tmp_path / "voc", to="voc")
    assert (tmp_path / "voc" / "ImageSets" / "Main" / "val.txt").read_text() == "b\n"
    convert(root, tmp_path / "again", to="yolo", split="train")
    table = yaml.safe_load((tmp_path / "again" / "data.yaml").read_text())
    assert (table["train"], table["val"]) == ("images/train", "images/train")
    assert len(read_boxed_images(tmp_path / "again").images) == 1


def test_images_may_be_linked_or_left(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source")
    convert(source, tmp_path / "linked", to="yolo", place="link")
    link = tmp_path / "linked" / "images" / "b.jpg"
    assert link.is_symlink()
    assert link.resolve() == (source / "images" / "b.jpg").resolve()
    convert(source, tmp_path / "left", to="yolo", place="none")
    assert not (tmp_path / "left" / "images").exists()


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    source, out = dataset(tmp_path / "source"), tmp_path / "out"
    out.mkdir()
    (out / "data.yaml").write_text("mine")
    with pytest.raises(UsageError, match="new or empty folder. Something stands in .*: --force replaces files"):
        convert(source, out, to="yolo")
    assert (out / "data.yaml").read_text() == "mine"
    convert(source, out, to="yolo", force=True)
    assert "names" in (out / "data.yaml").read_text()
    original = (source / "images" / "b.jpg").read_bytes()
    refused: list[str] = []
    with pytest.raises(DataError, match="at least one image that can be converted"):
        convert(source, source, to="coco", force=True, on_fault=lambda path, message: refused.append(message))
    assert "must not be replaced by itself" in refused[0]
    assert (source / "images" / "b.jpg").read_bytes() == original


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"to": "yollo"}, UnknownNameError, "Nearest: yolo"),
        ({"to": "voc", "format": "cocoa"}, UnknownNameError, "Nearest: coco"),
        ({"to": "voc", "place": "move"}, UsageError, "place must be one of copy, link, none. Got 'move'"),
        ({"to": "voc", "polygons": True}, UsageError, "polygons must be left out unless YOLO"),
    ],
)
def test_wrong_arguments_say_so(options: dict[str, Any], error: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        convert(dataset(tmp_path / "source"), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(triptych, list(arguments), standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.stdout, done.stderr


def test_the_command_names_each_image_at_fault_and_writes_the_rest(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source")
    convert(source, tmp_path / "yolo", to="yolo")
    (tmp_path / "yolo" / "labels" / "b.txt").write_text("0 1 2 3")
    arguments = ["convert", "vision.detection", str(tmp_path / "yolo"), str(tmp_path / "out"), "--from", "yolo"]
    code, said, faults = run(*arguments, "--to", "voc")
    assert code == 1
    assert json.loads(said) == {"format": "yolo", "images": 1, "things": 2, "left_out": {}, "failed": 1}
    assert "b.txt, line 1 must be a class and x, y, width, height" in faults
    assert [path.name for path in (tmp_path / "out" / "Annotations").rglob("*.xml")] == ["a.xml"]


def test_two_images_of_one_name_are_told_apart(tmp_path: Path) -> None:
    source = dataset(tmp_path / "source")
    Image.new("RGB", (20, 10)).save(source / "images" / "b.png")
    data = json.loads((source / "instances.json").read_text())
    data["images"].append({"id": 4, "file_name": "b.png"})
    (source / "instances.json").write_text(json.dumps(data))
    said: list[str] = []
    report = convert(source, tmp_path / "out", to="yolo", on_fault=lambda path, message: said.append(message))
    assert (report.images, report.failed) == (2, 1)
    assert "b.png and" in said[0]
    assert "would both be images/b" in said[0]


@pytest.mark.data
def test_real_boxes_survive_every_way_round(data_root: Path, tmp_path: Path) -> None:
    bccd = data_root / "vision" / "bccd"
    convert(bccd, tmp_path / "yolo", to="yolo", place="link")
    convert(tmp_path / "yolo", tmp_path / "coco", to="coco", place="link")
    convert(tmp_path / "coco", tmp_path / "voc", to="voc", place="link", split="val")
    first, last = read_boxed_images(bccd, split="val"), read_boxed_images(tmp_path / "voc")
    assert len(last.images) == len(first.images) == 87
    for before, after in zip(first.images, last.images):
        assert before.name == after.name
        np.testing.assert_array_equal(before.xyxy, after.xyxy)
        assert [first.classes[c] for c in before.class_ids] == [last.classes[c] for c in after.class_ids]
