"""The evaluation page and the figures behind it: masks against COCO's own code, calibration, confusion, pictures."""

from __future__ import annotations

import contextlib
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from shared.cli.main import triptych
from shared.errors import UsageError
from shared.evaluation.classification import calibration_error, confusion_matrix, reliability
from shared.evaluation.detection import FIGURES, Found, Things, boxes_on_empty, detection_scores, match_boxes
from shared.evaluation.html import to_html
from shared.evaluation.matching import judge
from shared.evaluation.report import Evaluation, Gallery, Matrix, Metric, Shown, Table
from shared.types import Failure, Float64, Int64
from vision.datasets import read_boxed_images
from vision.masks import Rle, rle_area, rle_box, rle_iou
from vision.mistakes import classification_sections, detection_sections
from vision.polygons import polygons_mask
from vision.types import Classification, Detections

NASTY = "<script>alert('x')</script>\"&"


class Reader(HTMLParser):
    """What a browser would make of the page: its tags, what they point to, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_everything_from_outside_is_escaped_and_nothing_is_fetched() -> None:
    sections = (
        Table(NASTY, (NASTY,), ((NASTY,), (0.25,), (7,)), NASTY),
        Matrix(NASTY, (NASTY,), (NASTY, "other"), ((3, 1),), NASTY),
        Gallery(NASTY, (Shown(NASTY, (NASTY,), b"\xff\xd8\xff"), Shown(NASTY, ())), NASTY),
    )
    by_class = {NASTY: {NASTY: Metric(0.5, 0.25, 0.75)}}
    evaluation = Evaluation(
        NASTY, NASTY, NASTY, 3, 1, {NASTY: Metric(12.0, 1.0, 30.0)}, {NASTY: NASTY}, by_class, lambda worst: sections
    )
    page = to_html(evaluation)
    reader = read(page)
    assert "script" not in reader.tags
    assert reader.text.count(NASTY) >= 15
    assert reader.links == ["data:image/jpeg;base64,/9j/"]
    assert "default-src 'none'" in page


def test_long_tables_are_cut_and_said_to_be() -> None:
    rows = tuple((at,) for at in range(2500))
    table = Table("t", ("a",), rows)
    page = to_html(Evaluation("a", "b", "c", 0, 0, {}, sections=lambda worst: [table]))
    assert "And 500 rows more" in page
    assert page.count("<tr>") < 2100


def test_calibration_by_hand() -> None:
    right, sure = np.array([1, 1, 0, 0, 1]), np.array([0.95, 0.85, 0.8, 0.3, 0.0])
    bins = reliability(right, sure, bins=2)
    assert bins.counts.tolist() == [2, 3]
    assert bins.accuracy.tolist() == pytest.approx([0.5, 2 / 3])
    assert bins.confidence.tolist() == pytest.approx([0.15, 2.6 / 3])
    assert calibration_error(right, sure, bins=2) == pytest.approx(0.4 * 0.35 + 0.6 * 0.2)
    assert np.isnan(calibration_error([], []))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"confidences must lie in \[0, 1\]. Got 0.5 to 1.5"):
        calibration_error(np.ones(2), np.array([0.5, 1.5]))
    with pytest.raises(UsageError, match="bins must be at least 1"):
        reliability(right, sure, bins=0)


def test_confusion_equals_scikit_learn() -> None:
    from sklearn.metrics import confusion_matrix as reference

    rng = np.random.default_rng(0)
    labels = ["a", "b", "c"]
    truth, predicted = rng.choice(labels, 50), rng.choice(labels, 50)
    ours = confusion_matrix(truth, predicted, labels)
    np.testing.assert_array_equal(ours[:, :3], reference(truth, predicted, labels=labels))
    assert not ours[:, 3].any()
    with pytest.raises(UsageError, match="labels must hold every true label. It lacks c"):
        confusion_matrix(truth, predicted, ["a", "b"])


def test_boxes_on_images_that_hold_nothing() -> None:
    none = Things(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    cat = Things(np.array([[0.0, 0, 9, 9]]), np.array([1]), np.array([81.0]), np.array([False]))
    found = Found(np.array([[0.0, 0, 9, 9]] * 2), np.array([1, 2]), np.array([0.9, 0.2]))
    assert boxes_on_empty([none, cat, none], [found, found, found], min_score=0.3).tolist() == [1, 1]
    judged = judge(cat, found, min_score=0.1)
    assert (judged.right.tolist(), judged.wrong.tolist(), judged.missed.tolist()) == (
        [True, False],
        [False, True],
        [False],
    )


@pytest.mark.parametrize("flag", ["crowd", "difficult"])
def test_crowds_and_difficult_things_are_neither_right_nor_wrong(flag: str) -> None:
    yes, no = np.array([True]), np.array([False])
    aside = Things(np.array([[0.0, 0, 9, 9]]), np.array([1]), np.array([81.0]), yes if flag == "crowd" else no, yes)
    found = Found(np.array([[0.0, 0, 9, 9]]), np.array([1]), np.array([0.9]))
    judged = judge(aside, found)
    assert not judged.right.any()
    assert not judged.wrong.any()
    assert not judged.missed.any()
    other = Things(np.array([[20.0, 0, 29, 9]]), np.array([1]), np.array([81.0]), no)
    far = Found(np.array([[20.0, 0, 29, 9]]), np.array([1]), np.array([0.5]))
    assert detection_scores(match_boxes([aside, other], [found, far]))["map"].tolist() == pytest.approx([1.0])


def photo(path: Path, shade: int) -> str:
    Image.new("RGB", (800, 600), (shade, shade, shade)).save(path)
    return str(path)


def test_the_pictures_that_went_wrong_come_worst_first(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{name}.jpg", 90) for name in ("fine", "bad", "worse", "gone")]
    (tmp_path / "gone.jpg").write_bytes(b"no")
    scores = np.float32([0.6]), np.float32([0.4]), np.float32([0.9])
    answers = [Classification((label,), s, np.int32([0])) for label, s in zip(("cat", "dog", "dog"), scores)]
    results: list[Classification | Failure] = [*answers, Failure(3, "unsupported", "no picture")]
    table, matrix, gallery, failures = classification_sections(paths, ["cat"] * 4, results)(24)
    assert isinstance(gallery, Gallery)
    assert [item.title for item in gallery.items] == ["worse.jpg", "bad.jpg"]
    assert gallery.items[0].lines == ("true: cat", "answered: dog 90%")
    assert Image.open(io.BytesIO(gallery.items[0].jpeg)).size == (360, 270)
    assert isinstance(matrix, Matrix)
    assert matrix.counts == ((1, 2, 1), (0, 0, 0))
    assert isinstance(failures, Table)
    assert failures.rows == ((paths[3], "unsupported", "no picture"),)
    assert isinstance(table, Table)
    assert len(classification_sections(paths, ["cat"] * 4, results)(1)[2].items) == 1  # type: ignore[union-attr]


def test_boxes_are_drawn_in_the_colour_of_their_fault(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg", 0)
    truth = Things(
        np.array([[100.0, 100, 300, 300], [500, 300, 700, 500]]), np.array([1, 1]), np.ones(2), np.zeros(2, bool)
    )
    box = np.float32([[100, 100, 300, 300], [20, 400, 120, 560]])
    result = Detections(("cat", "dog"), (600, 800), box, np.float32([0.9, 0.8]), np.int32([1, 2]))
    found = Found(box.astype(np.float64), np.array([1, 2]), np.array([0.9, 0.8]))
    table, gallery = detection_sections([path], [truth], [found], [result], {1: "cat", 2: "dog"})(5)
    assert isinstance(table, Table)
    assert table.rows == (("cat", 1, 0, 1), ("dog", 0, 1, 0))
    assert isinstance(gallery, Gallery)
    (item,) = gallery.items
    assert item.lines == ("1 right, 1 wrong, 1 missed", "wrong: dog", "missed: cat")
    pixels = np.array(Image.open(io.BytesIO(item.jpeg)).convert("RGB")).astype(int)
    green, orange, red = pixels[45, 90], pixels[135, 270], pixels[180, 30]
    assert green[1] == green.max() > 90
    assert orange[0] > orange[1] + 40 > orange[2]
    assert red[0] > 120 > red[1] + 20


def outline_masks(outlines: Any, size: tuple[int, int]) -> list[Rle]:
    """Masks of COCO's outlines; run lengths come as numbers."""
    from pycocotools import mask as coco_mask

    masks = []
    for outline in outlines:
        if isinstance(outline, list):
            masks.append(polygons_mask([np.array(part) for part in outline], *size))
        else:
            packed = coco_mask.frPyObjects(outline, *size)
            masks.append(Rle(size, packed["counts"].decode()))
    return masks


@pytest.mark.data
def test_mask_figures_equal_the_reference_code_on_coco128(data_root: Path) -> None:
    """Outlines as truth, and as predictions that are shifted, doubled, mislabelled and given in any order of score."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    file = data_root / "vision" / "coco128" / "instances.json"
    data = read_boxed_images(file)
    rng = np.random.default_rng(0)
    true_masks, found_masks, truth, predicted, rows = [], [], [], [], []
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
    for number, image in zip(sorted(coco.imgs), data.images):
        size = image.size
        assert size is not None
        masks = outline_masks(image.outlines, size)
        shifted, class_ids = [], []
        for outline, class_id in zip(image.outlines, image.class_ids.tolist()):
            for _ in range(int(rng.integers(0, 3))):
                if isinstance(outline, list):
                    move = np.tile(rng.normal(0, 4, 2), 4000)
                    moved = [np.array(part) + move[: len(part)] for part in outline]
                    shifted.append(polygons_mask(moved, *size))
                    class_ids.append(class_id if rng.random() < 0.9 else int(rng.choice(list(data.classes))))
        scores = rng.permutation(len(shifted)) / max(1, len(shifted)) * 0.9 + 0.05
        boxes = np.array([rle_box(mask) for mask in shifted], np.float64).reshape(-1, 4)
        areas = np.array([rle_area(mask) for mask in shifted], np.float64)
        truth.append(image.truth)
        predicted.append(Found(boxes, np.array(class_ids, np.int64), scores, areas))
        true_masks.append(masks)
        found_masks.append(shifted)
        rows += [
            {"image_id": number, "category_id": c, "segmentation": {"size": list(size), "counts": m.counts}, "score": s}
            for m, c, s in zip(shifted, class_ids, scores.tolist())
        ]

    def overlaps(image: int, found: Int64, things: Int64) -> Float64:
        crowd = truth[image].crowd[things]
        return rle_iou([found_masks[image][i] for i in found], [true_masks[image][i] for i in things], crowd=crowd)

    matches = match_boxes(truth, predicted, overlaps=overlaps)
    ours = {name: float(values[0]) for name, values in detection_scores(matches).items()}
    with contextlib.redirect_stdout(io.StringIO()):
        judged = COCOeval(coco, coco.loadRes(rows), "segm")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    assert 0.2 < ours["map"] < 0.9
    assert list(ours.values()) == pytest.approx(judged.stats.tolist(), abs=1e-4)
    assert list(ours) == list(FIGURES)


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(triptych, list(arguments), standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.stdout


@pytest.mark.weights
def test_the_command_writes_the_page_and_its_json_stays_as_it_was(tmp_path: Path) -> None:
    from sklearn.datasets import load_sample_image

    for label, name in (("daisy", "flower.jpg"), ("goldfish", "china.jpg")):
        (tmp_path / "data" / label).mkdir(parents=True)
        Image.fromarray(load_sample_image(name)).save(tmp_path / "data" / label / "a.jpg")
    page = tmp_path / "out.html"
    arguments = ["evaluate", "vision.classification", str(tmp_path / "data"), "--json"]
    code, said = run(*arguments, "--report", str(page))
    assert code == 0
    answer = json.loads(said)
    assert list(answer) == ["task", "model", "dataset", "n", "failed", "metrics", "notes"]
    assert answer["metrics"]["top1"] == {"value": 0.5, "low": 0.0, "high": 1.0}
    assert {"top1", "top5", "calibration_error"} == set(answer["metrics"])
    assert json.loads(run(*arguments, "--by-class")[1])["by_class"]["daisy"]["top1"]["value"] == 1
    reader = read(page.read_text())
    assert "true: goldfish" in reader.text
    assert reader.tags.count("img") == 1
    assert all(link.startswith("data:image/jpeg;base64,") for link in reader.links)
    with pytest.raises(UsageError, match="the report must be a file in a folder that exists"):
        run(*arguments, "--report", str(tmp_path / "none" / "out.html"))
    with pytest.raises(UsageError, match="worst must be at least 0"):
        run(*arguments, "--report", str(page), "--worst", "-1")
