"""Readers of COCO, VOC and YOLO annotations: the same scene from each, and what they say of malformed files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.errors import DataError
from vision.datasets import read_boxed_images
from vision.formats import BoxedImages

XML = """<annotation><folder>x</folder><filename>{name}</filename>
<size><width>20</width><height>10</height><depth>3</depth></size>{objects}</annotation>"""
OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""


def picture(path: Path, size: tuple[int, int] = (20, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def thing(name: str, *corners: object, difficult: int = 0) -> str:
    return OBJECT.format(*corners, name=name, difficult=difficult)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    root = tmp_path / "voc"
    for stem, objects in (
        ("a", thing("dog", 1, 1, 20, 10) + thing("cat", 3, 2, 3, 2, difficult=1)),
        ("b", ""),
        ("c", thing("cat", 0, 5, 21, 10)),
    ):
        picture(root / "JPEGImages" / f"{stem}.jpg")
        text(root / "Annotations" / f"{stem}.xml", XML.format(name=f"{stem}.jpg", objects=objects))
    text(root / "ImageSets" / "Main" / "train.txt", "a\nb\n")
    text(root / "ImageSets" / "Main" / "val.txt", "c\n")
    text(root / "ImageSets" / "Main" / "cat_train.txt", "a 1\nb -1\n")
    return root


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    root = tmp_path / "yolo"
    for name, label in (
        ("train/a.jpg", "1 0.5 0.5 1 1\n0 0.25 0.2 0.5 0.4\n"),
        ("train/b.jpg", None),
        ("val/deep/c.png", "0 0.1 0.1 0.6 0.1 0.6 0.9 0.1 0.9\n\n"),
    ):
        picture(root / "images" / name)
        if label is not None:
            text((root / "labels" / name).with_suffix(".txt"), label)
    text(root / "data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n")
    return root


def scene(found: BoxedImages) -> list[tuple[str, str | None, list[list[float]], list[str]]]:
    return [
        (image.name, image.split, image.xyxy.tolist(), [found.classes[c] for c in image.class_ids.tolist()])
        for image in found.images
    ]


def test_voc_pixels_count_from_one_and_include_both_ends(voc: Path) -> None:
    found = read_boxed_images(voc)
    assert found.classes == {1: "cat", 2: "dog"}
    assert scene(found) == [
        ("a.jpg", "train", [[0, 0, 20, 10], [2, 1, 3, 2]], ["dog", "cat"]),
        ("b.jpg", "train", [], []),
        ("c.jpg", "val", [[0, 4, 20, 10]], ["cat"]),
    ]
    assert found.images[0].difficult.tolist() == [False, True]
    assert found.images[0].areas.tolist() == [200, 1]
    assert found.images[0].size == (10, 20)


def test_voc_lists_choose_and_a_kit_of_one_year_is_found(voc: Path) -> None:
    assert [image.name for image in read_boxed_images(voc, split="val").images] == ["c.jpg"]
    kit = voc.parent / "kit"
    kit.mkdir()
    voc.rename(kit / "VOC2007")
    assert len(read_boxed_images(kit, format="voc").images) == 3
    with pytest.raises(DataError, match="one of the lists in .*Main: train, val. Got 'test'"):
        read_boxed_images(kit, split="test")


def test_yolo_boxes_and_outlines_in_pixels(yolo: Path) -> None:
    for dataset in (yolo, yolo / "data.yaml"):
        found = read_boxed_images(dataset)
        (a, b, c) = scene(found)
        assert a == ("a.jpg", "train", [[0, 0, 20, 10], [0, 0, 10, 4]], ["dog", "cat"])
        assert b == ("b.jpg", "train", [], [])
        assert c[:2] == ("deep/c.png", "val")
        np.testing.assert_allclose(c[2], [[2, 1, 12, 9]])
        assert found.images[2].areas.tolist() == pytest.approx([80])
        assert np.reshape(found.images[2].outlines[0][0], (4, 2))[2].tolist() == pytest.approx([12, 9])  # type: ignore[index, arg-type]
    assert [image.name for image in read_boxed_images(yolo, split="val").images] == ["deep/c.png"]
    with pytest.raises(DataError, match="the split must be one that .* names: train, val. Got 'test'"):
        read_boxed_images(yolo, split="test")


@pytest.mark.parametrize("value", ["../images/train", "images/train", "list.txt", "[images/train]"])
def test_yolo_paths_are_found_as_they_are_written_in_the_wild(yolo: Path, value: str) -> None:
    text(yolo / "list.txt", "images/train/a.jpg\nimages/train/b.jpg\n")
    text(yolo / "data.yaml", f"train: {value}\nnames: {{0: cat, 1: dog}}\n")
    assert [len(image.class_ids) for image in read_boxed_images(yolo).images] == [2, 0]


def test_yolo_without_yaml(yolo: Path, tmp_path: Path) -> None:
    (yolo / "data.yaml").unlink()
    with pytest.raises(DataError, match="data.yaml with 'names', or classes.txt or obj.names or labels.txt. It holds"):
        read_boxed_images(yolo, format="yolo")
    text(yolo / "classes.txt", "cat\ndog\n")
    assert [name for name, *_ in scene(read_boxed_images(yolo))] == ["train/a.jpg", "train/b.jpg", "val/deep/c.png"]
    assert [split for _, split, *_ in scene(read_boxed_images(yolo))] == ["train", "train", "val"]
    only_labels = read_boxed_images(yolo / "labels", images=yolo / "images", format="yolo")
    assert scene(only_labels) == scene(read_boxed_images(yolo))
    flat = tmp_path / "flat"
    picture(flat / "a.jpg")
    text(flat / "a.txt", "1 0.5 0.5 0.5 0.5")
    text(flat / "obj.names", "cat\ndog\n")
    assert scene(read_boxed_images(flat)) == [("a.jpg", None, [[5, 2.5, 15, 7.5]], ["dog"])]


def test_yolo_shares_are_of_the_upright_picture(yolo: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(yolo / "images" / "train" / "a.jpg", exif=exif)
    image = read_boxed_images(yolo).images[0]
    assert image.size == (20, 10)
    assert image.xyxy[0].tolist() == [0, 0, 10, 20]


def test_an_image_that_cannot_be_read_stays_with_its_fault(yolo: Path) -> None:
    (yolo / "images" / "train" / "a.jpg").write_bytes(b"<html>")
    image = read_boxed_images(yolo).images[0]
    assert image.size is None
    assert "a picture must be one of JPEG" in image.fault
    assert image.xyxy[0].tolist() == [0, 0, 1, 1]


LABELS = {
    "four numbers": ("0 0.5 0.5 0.5", "line 1 must be a class and x, y, width, height.* Got '0 0.5 0.5 0.5'"),
    "a score behind the box": ("0 0.5 0.5 0.5 0.5 0.9", "line 1 must be a class"),
    "a word": ("0 0.5 half 0.5 0.5", "line 1 must be a class"),
    "not a number": ("0 0.5 nan 0.5 0.5", "line 1 must be a class"),
    "an unknown class": ("0 .5 .5 .5 .5\n7 0.5 0.5 0.5 0.5", "line 2: the class must be a number in 0..1. Got 7"),
    "half a class": ("0.5 0.5 0.5 0.5 0.5", "the class must be a number"),
    "pixels": ("0 100 20 30 40", r"must be shares of the picture's sides, in \[0, 1\]. Got 20 to 100"),
    "no text": ("\udcff", "must be text in UTF-8"),
}


@pytest.mark.parametrize("case", LABELS)
def test_malformed_labels_name_file_and_line(case: str, yolo: Path) -> None:
    label, words = LABELS[case]
    (yolo / "labels" / "train" / "a.txt").write_bytes(label.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=words):
        read_boxed_images(yolo)
    kept = read_boxed_images(yolo, on_error="keep")
    assert [image.name for image in kept.images] == ["b.jpg", "deep/c.png"]
    assert [Path(fault.path).name for fault in kept.faults] == ["a.txt"]


YAMLS = {
    "no mapping": ("- cat", "must hold one YAML mapping. Got a list"),
    "no YAML": ("names: [cat", "must be YAML"),
    "no names": ("train: images/train", "must have 'names'"),
    "names with words as keys": ("names: {cat: 0}", "keys of 'names' must be whole numbers"),
    "a name that is a list": ("names: [[cat]]", "each of 'names' must be text"),
    "an object": ("names: !!python/object/apply:os.system [ls]", "must be YAML"),
    "a folder that is nowhere": ("names: [cat, dog]\ntrain: images/train\nval: images/none", "'val' must lead to"),
}


@pytest.mark.parametrize("case", YAMLS)
def test_malformed_yaml_says_what_is_wrong(case: str, yolo: Path) -> None:
    content, words = YAMLS[case]
    with pytest.raises(DataError, match=words):
        read_boxed_images(text(yolo / "data.yaml", content))


BOMB = """<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<annotation><filename>&b;</filename></annotation>"""
XMLS = {
    "an entity bomb": (BOMB, "must declare no document type"),
    "an outside entity": (
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>',
        "must declare no document type",
    ),
    "no XML": ("<annotation>", "must be XML. no element found"),
    "another element": ("<html></html>", "must hold one element 'annotation'. Got 'html'"),
    "no name": (XML.format(name="a.jpg", objects="<object/>"), "object 1 must have a 'name'"),
    "no number": (XML.format(name="a.jpg", objects=thing("cat", 1, "two", 3, 4)), "'bndbox/ymin' must be a number"),
    "an endless number": (XML.format(name="a.jpg", objects=thing("cat", 1, "inf", 3, 4)), "must be a number"),
    "turned corners": (XML.format(name="a.jpg", objects=thing("cat", 9, 1, 3, 4)), "xmin <= xmax"),
    "outside": (XML.format(name="a.jpg", objects=thing("cat", 30, 1, 40, 4)), "must lie in the picture of 20 x 10"),
}


@pytest.mark.parametrize("case", XMLS)
def test_malformed_xml_names_the_file(case: str, voc: Path) -> None:
    content, words = XMLS[case]
    text(voc / "Annotations" / "a.xml", content)
    with pytest.raises(DataError, match=words) as said:
        read_boxed_images(voc)
    assert str(voc / "Annotations" / "a.xml") in str(said.value)
    kept = read_boxed_images(voc, on_error="keep")
    assert [image.name for image in kept.images] == ["b.jpg", "c.jpg"]


def test_a_name_that_climbs_out_is_refused(voc: Path) -> None:
    picture(voc.parent / "outside.jpg")
    (voc / "JPEGImages" / "b.jpg").unlink()
    text(voc / "Annotations" / "b.xml", XML.format(name="../../outside.jpg", objects=""))
    with pytest.raises(DataError, match="'filename' must be a path inside the folder"):
        read_boxed_images(voc)
    text(voc / "ImageSets" / "Main" / "odd.txt", "../Annotations/a\n")
    with pytest.raises(DataError, match="must be a path inside"):
        read_boxed_images(voc, split="odd")


def test_images_that_are_missing_are_said_where_the_first_is(voc: Path) -> None:
    (voc / "JPEGImages").rename(voc / "pictures")
    with pytest.raises(DataError, match="must lie in one of JPEGImages.*a is in none of them: name their folder"):
        read_boxed_images(voc)
    assert len(read_boxed_images(voc, images=voc / "pictures").images) == 3


def test_a_size_of_nothing_is_read_from_the_picture(voc: Path) -> None:
    file = voc / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace("<width>20", "<width>0"))
    assert read_boxed_images(voc).images[0].size == (10, 20)


@pytest.mark.weights
def test_the_command_evaluates_each_format_and_a_bad_image_counts_as_missed(tmp_path: Path) -> None:
    from sklearn.datasets import load_sample_image

    from vision.evaluate import evaluate_detection

    root = tmp_path / "yolo"
    for name in ("a", "b"):
        (root / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(load_sample_image("flower.jpg")).save(root / "images" / f"{name}.jpg")
        text(root / "labels" / f"{name}.txt", "0 0.5 0.5 1 1\n")
    text(root / "data.yaml", "val: images\nnames: [potted plant]\n")
    whole = evaluate_detection(root)
    (root / "images" / "b.jpg").write_bytes(b"<html>")
    half = evaluate_detection(root, split="val")
    assert (whole.n, whole.failed, half.n, half.failed) == (2, 0, 2, 1)
    assert half.metrics["ar100"].value == pytest.approx(whole.metrics["ar100"].value / 2)
    assert whole.by_class.keys() == {"potted plant"}
    assert whole.metrics["ar100"].value > 0.5


def test_another_json_file_does_not_hide_the_labels(yolo: Path, voc: Path) -> None:
    for root in (yolo, voc):
        text(root / "notes.json", "{broken")
        text(root / "settings.json", "{}")
        assert len(read_boxed_images(root).images) == 3


@pytest.mark.data
def test_real_data_sets_read_whole(data_root: Path) -> None:
    vision = data_root / "vision"
    bccd = read_boxed_images(vision / "bccd")
    assert (len(bccd.images), sum(len(image.class_ids) for image in bccd.images)) == (364, 4888)
    assert sorted(bccd.classes.values()) == ["Platelets", "RBC", "WBC"]
    assert len(read_boxed_images(vision / "bccd", split="test").images) == 72
    coco = read_boxed_images(vision / "coco128")
    labels = vision / "coco128" / "labels_box"
    yolo = read_boxed_images(labels, format="yolo", images=vision / "coco128" / "images")
    for first, second in zip(coco.images, yolo.images):
        things = first.xyxy[~first.crowd]
        assert first.size == second.size
        assert things.shape == second.xyxy.shape
        gaps = np.abs(things[:, None] - second.xyxy[None]).max(axis=2).min(axis=1, initial=np.inf)
        assert (gaps < 0.01).all()
