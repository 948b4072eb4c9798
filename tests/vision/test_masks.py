"""Masks, outlines and segmentation figures against the reference code, and cases small enough to know the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as reference

from shared.errors import UsageError
from shared.evaluation.segmentation import (
    class_dice,
    class_iou,
    dice_score,
    miou_score,
    pixel_accuracy_score,
    pixel_confusion,
    segmentation_intervals,
)
from shared.types import AnyArray, Result
from vision.masks import (
    Rle,
    decode_mask,
    encode_classes,
    encode_mask,
    encode_region,
    pack_runs,
    rle_area,
    rle_box,
    rle_iou,
    rle_runs,
    rle_union,
)
from vision.polygons import mask_polygons, polygon_area, polygons_mask


def masks(seed: int = 0, count: int = 60) -> list[AnyArray]:
    """Masks of every density and of odd shapes, among them empty and full ones and single rows and columns."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        height, width = rng.integers(1, 40, 2)
        mask = rng.random((height, width)) < (0.0, 1.0, 0.5, rng.random())[number % 4]
        if number % 5 == 0:
            mask = np.zeros((height, width), np.bool_)
            mask[height // 3 :, width // 4 :] = True
        found.append(mask)
    return found


def golden(mask: AnyArray) -> Any:
    return reference.encode(np.asfortranarray(mask.astype(np.uint8)))


def test_packed_runs_equal_the_reference_code() -> None:
    for mask in masks():
        ours, theirs = encode_mask(mask), golden(mask)
        assert (ours.size, ours.counts) == (tuple(theirs["size"]), theirs["counts"].decode())
        assert (decode_mask(ours) == mask).all()
        assert rle_area(ours) == reference.area(theirs)
        x1, y1, x2, y2 = rle_box(ours).tolist()
        assert [x1, y1, x2 - x1, y2 - y1] == reference.toBbox(theirs).tolist()
        assert pack_runs(rle_runs(ours)) == ours.counts


def test_long_runs_are_packed_too() -> None:
    mask = np.zeros((3000, 4000), np.bool_)
    mask[5, 5] = mask[2999, 3999] = True
    assert encode_mask(mask).counts == golden(mask)["counts"].decode()


def test_a_map_of_classes_is_packed_in_one_pass() -> None:
    numbers = np.random.default_rng(1).integers(0, 5, (23, 31)) * 7
    found = encode_classes(numbers)
    assert list(found) == [0, 7, 14, 21, 28]
    for number, rle in found.items():
        assert rle.counts == golden(numbers == number)["counts"].decode()


def test_a_part_is_packed_in_its_place() -> None:
    rng = np.random.default_rng(2)
    for mask in masks(3):
        height, width = mask.shape
        top, left, below, beside = rng.integers(0, 3, 4)
        whole = np.pad(mask, ((top, below), (left, beside)))
        size = (height + top + below, width + left + beside)
        assert encode_region(mask, int(top), int(left), size).counts == encode_mask(whole).counts
    with pytest.raises(UsageError, match=r"2 x 2 from row 2, column 0 on must lie in a mask of \(3, 3\)"):
        encode_region(np.ones((2, 2)), 2, 0, (3, 3))


def test_overlaps_and_unions_equal_the_reference_code() -> None:
    rng = np.random.default_rng(4)
    for _ in range(40):
        height, width = rng.integers(1, 30, 2)
        some = [rng.random((height, width)) < share for share in (0.0, 0.1, 0.5, 0.9, 1.0)]
        ours, theirs = [encode_mask(mask) for mask in some], [golden(mask) for mask in some]
        crowd = rng.random(5) < 0.5
        wanted = reference.iou(theirs, theirs, crowd.astype(np.uint8).tolist())
        np.testing.assert_allclose(rle_iou(ours, ours, crowd=crowd), wanted, atol=1e-12)
        assert rle_union(ours[:3]).counts == reference.merge(theirs[:3])["counts"].decode()
    assert rle_iou([], [encode_mask(np.ones((2, 2)))]).shape == (0, 1)


def test_drawn_polygons_equal_the_reference_code() -> None:
    rng = np.random.default_rng(5)
    for number in range(150):
        height, width = (int(side) for side in rng.integers(1, 60, 2))
        corners = (rng.random((int(rng.integers(3, 9)), 2)) * 1.3 - 0.15) * [width, height]
        corners = np.round(corners) if number % 3 == 0 else corners
        wanted = reference.frPyObjects([corners.reshape(-1).tolist()], height, width)[0]["counts"].decode()
        assert polygons_mask([corners], height, width).counts == wanted


@pytest.mark.data
def test_every_outline_of_coco128_is_drawn_as_the_reference_code_does(data_root: Path) -> None:
    data = json.loads((data_root / "vision" / "coco128" / "instances.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    outlined = [row for row in data["annotations"] if isinstance(row["segmentation"], list)][::4]
    for row in outlined:
        size = sizes[row["image_id"]]
        wanted = reference.merge(reference.frPyObjects(row["segmentation"], *size))
        assert polygons_mask([np.array(p) for p in row["segmentation"]], *size).counts == wanted["counts"].decode()


def test_outlines_lead_back_to_their_mask() -> None:
    y, x = np.mgrid[:60, :80]
    mask = ((x - 40) ** 2 + (y - 30) ** 2 < 500) & ~((x - 40) ** 2 + (y - 30) ** 2 < 60)
    mask[50:58, 3:9] = True
    rle = encode_mask(mask)
    outer = mask_polygons(rle)
    assert len(outer) == 2
    assert polygon_area(outer[0]) > polygon_area(outer[1]) > 40
    filled = encode_mask(mask | ((x - 40) ** 2 + (y - 30) ** 2 < 60))
    assert rle_iou([polygons_mask(outer, 60, 80)], [filled])[0, 0] > 0.995
    holes = mask_polygons(rle, holes=True)
    assert sum(polygon_area(ring) for ring in holes) == pytest.approx(mask.sum(), rel=0.01)
    simple = mask_polygons(rle, tolerance=1.0)
    assert sum(map(len, simple)) < sum(map(len, outer)) / 3
    assert rle_iou([polygons_mask(simple, 60, 80)], [filled])[0, 0] > 0.95
    assert mask_polygons(encode_mask(np.zeros((4, 4)))) == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Rle((2, 2), "5"), "add up to 2 x 2 pixels. Got 5 pixels"),
        (lambda: Rle((2, 2), "\x10"), "packed runs as COCO writes them"),
        (lambda: Rle((2, 2), "oooooooooooo0"), "shorter than a picture"),
        (lambda: Rle((2, 2), "22P"), "packed runs as COCO"),
        (lambda: Rle((0, 2), ""), "each at least 1"),
        (lambda: encode_mask(np.zeros((2, 2, 3))), r"shape \(height, width\)"),
        (lambda: encode_mask(np.zeros((0, 2))), "each at least 1"),
        (lambda: rle_iou([encode_mask(np.ones((2, 2)))], [encode_mask(np.ones((2, 3)))]), "of one size"),
        (lambda: rle_union([]), "at least one mask"),
        (lambda: polygons_mask([[0, 0, 1, 1]], 4, 4), "at least 3 corners.*Got 4 numbers"),
        (lambda: polygons_mask([[0, 0, 1, 1, float("nan"), 2]], 4, 4), "1 of them not finite"),
        (lambda: polygons_mask([], 4, 4), "at least one mask"),
        (lambda: mask_polygons(encode_mask(np.ones((2, 2))), tolerance=-1), "tolerance must be at least 0"),
    ],
)
def test_wrong_masks_say_so(call: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of the reference code itself
def test_a_mask_survives_json() -> None:
    rle = encode_mask(masks()[3])
    assert Result.from_json(json.loads(json.dumps(rle.to_json()))) == rle
    assert reference.decode(rle.to_json()).sum() == rle_area(rle)


def test_figures_equal_another_library() -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score

    rng = np.random.default_rng(6)
    truth, predicted = rng.integers(0, 4, (2, 30, 40))
    predicted[:10] = truth[:10]
    truth[0, :5] = 255
    counted = truth != 255
    found = pixel_confusion(truth, predicted, classes=6, ignore=255)
    t, p = truth[counted], predicted[counted]
    assert found[:4, :4].tolist() == confusion_matrix(t, p).tolist()
    assert class_iou(found)[:4].tolist() == pytest.approx(jaccard_score(t, p, average=None).tolist())
    assert np.isnan(class_iou(found)[4:]).all()
    assert float(miou_score(found)) == pytest.approx(jaccard_score(t, p, average="macro"))
    assert class_dice(found)[:4].tolist() == pytest.approx(f1_score(t, p, average=None).tolist())
    assert float(dice_score(found)) == pytest.approx(f1_score(t, p, average="macro"))
    assert float(pixel_accuracy_score(found)) == pytest.approx(accuracy_score(t, p))


def test_pixels_without_an_answer_are_missed_and_wrong_for_no_class() -> None:
    truth = np.array([[0, 0, 1, 1]])
    missed = pixel_confusion(truth, None, classes=2)
    assert missed.tolist() == [[0, 0, 2], [0, 0, 2]]
    assert pixel_confusion(truth, np.array([[0, -1, 1, 1]]), classes=2).tolist() == [[1, 0, 1], [0, 2, 0]]
    assert class_iou(missed).tolist() == [0, 0]
    assert float(pixel_accuracy_score(missed)) == 0


def test_intervals_hold_their_figure_and_repeat() -> None:
    rng = np.random.default_rng(7)
    one = np.stack([pixel_confusion(*rng.integers(0, 3, (2, 8, 8)), classes=3) for _ in range(12)])
    first = segmentation_intervals(one, rng=np.random.default_rng(0), resamples=200)
    again = segmentation_intervals(one, rng=np.random.default_rng(0), resamples=200)
    assert first == again
    assert first["miou"].value == pytest.approx(float(miou_score(one.sum(axis=0))))
    for metric in first.values():
        assert metric.low < metric.value < metric.high


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pixel_confusion(np.zeros((2, 2), int), np.zeros((2, 3), int), classes=2), "one shape"),
        (lambda: pixel_confusion(np.array([3]), np.array([0]), classes=2), r"truth must lie in 0..1. Got .* 3 to 3"),
        (lambda: pixel_confusion(np.array([3]), np.array([0]), classes=2, ignore=9), "0..1 or be 9"),
        (lambda: pixel_confusion(np.array([0]), np.array([2]), classes=2), "predicted must lie in 0..1 or be -1"),
        (lambda: pixel_confusion(np.array([0]), np.array([0]), classes=0), "classes must be at least 1"),
        (lambda: class_iou(np.zeros((2, 4))), r"shape \(..., classes, classes \+ 1\)"),
        (lambda: segmentation_intervals(np.zeros((3, 2, 3)), rng=np.random.default_rng(0)), "at least 1 pixel"),
    ],
)
def test_wrong_counts_say_so(call: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()
