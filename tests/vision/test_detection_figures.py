"""COCO's figures against COCO's own code, on random data with every awkward case in it."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from shared.errors import UsageError
from shared.evaluation.detection import FIGURES, Found, Things, detection_figures, detection_scores, match_boxes
from shared.evaluation.matching import box_overlaps
from shared.evaluation.pairing import in_groups, lay_out, near_pairs

Scene = tuple[list[Things], list[Found]]


def random_boxes(rng: np.random.Generator, n: int) -> np.ndarray[Any, Any]:
    low = rng.integers(0, 300, (n, 2))
    return np.concatenate([low, low + rng.choice([3, 20, 60, 150], (n, 2)) + rng.integers(0, 5, (n, 2))], axis=1) * 1.0


def random_scene(seed: int, images: int = 25, classes: int = 5) -> Scene:
    """Crowds, empty images, images without truth, classes that only one side has, near-duplicates and equal scores."""
    rng = np.random.default_rng(seed)
    truth, predicted = [], []
    for image in range(images):
        n = 0 if image % 7 == 0 else int(rng.integers(1, 9))
        boxes = random_boxes(rng, n)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * rng.uniform(0.4, 1.0, n)
        truth.append(Things(boxes, rng.integers(1, classes, n), areas, rng.random(n) < 0.2))
        copies = np.repeat(boxes, 3, axis=0) + rng.normal(0, 4, (3 * n, 4))
        copies[:, 2:] = np.maximum(copies[:, 2:], copies[:, :2] + 1)
        guesses = np.concatenate([copies, random_boxes(rng, int(rng.integers(0, 130)))])
        if image % 5 == 0:
            guesses = guesses[:0]
        class_ids = np.concatenate([np.repeat(truth[-1].class_ids, 3), rng.integers(2, classes + 2, 200)])[
            : len(guesses)
        ]
        predicted.append(Found(guesses, class_ids, rng.integers(1, 60, len(guesses)) / 60))
    return truth, predicted


def reference(truth: list[Things], predicted: list[Found]) -> dict[str, float]:
    """The same twelve figures from pycocotools; a figure without things is left out (it says -1)."""
    ids = range(1, len(truth) + 1)
    classes = sorted({int(c) for side in (*truth, *predicted) for c in side.class_ids})
    rows = [
        {"image_id": image, "category_id": int(c), "bbox": xywh(box), "area": float(area), "iscrowd": int(crowd)}
        for image, t in zip(ids, truth)
        for box, c, area, crowd in zip(t.boxes, t.class_ids, t.areas, t.crowd)
    ]
    results = [
        {"image_id": image, "category_id": int(c), "bbox": xywh(box), "score": float(score)}
        for image, p in zip(ids, predicted)
        for box, c, score in zip(p.boxes, p.class_ids, p.scores)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image} for image in ids],
            "categories": [{"id": c} for c in classes],
            "annotations": [{"id": n, **row} for n, row in enumerate(rows, 1)],
        }
        coco.createIndex()
        judged = COCOeval(coco, coco.loadRes(results), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return {name: value for name, value in zip(FIGURES, judged.stats.tolist()) if value != -1}


def xywh(box: np.ndarray[Any, Any]) -> list[float]:
    return [float(v) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1])]


def ours(truth: list[Things], predicted: list[Found]) -> dict[str, float]:
    scores = detection_scores(match_boxes(truth, predicted))
    return {name: float(value[0]) for name, value in scores.items() if not np.isnan(value[0])}


@pytest.mark.parametrize("seed", range(8))
def test_equals_the_reference_code(seed: int) -> None:
    scene = random_scene(seed)
    assert ours(*scene) == pytest.approx(reference(*scene), abs=1e-12)


def test_more_boxes_than_count_in_a_class() -> None:
    """More than 100 of one class in an image, and equal scores within an image and between images."""
    rng = np.random.default_rng(4)
    truth, predicted = random_scene(11, images=6, classes=3)
    crowded = [random_boxes(rng, 260) for _ in truth]
    predicted = [
        Found(
            np.concatenate([p.boxes, boxes]),
            np.concatenate([p.class_ids, rng.integers(1, 3, 260)]),
            rng.integers(1, 9, len(p.boxes) + 260) / 9,
        )
        for p, boxes in zip(predicted, crowded)
    ]
    assert max(np.bincount(p.class_ids).max() for p in predicted) > 100
    assert ours(truth, predicted) == pytest.approx(reference(truth, predicted), abs=1e-12)


def one(boxes: list[list[float]], **fields: Any) -> Things:
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    rest = {
        "class_ids": np.ones(len(corners), np.int64),
        "areas": (corners[:, 2:] - corners[:, :2]).prod(axis=1),
        "crowd": np.zeros(len(corners), np.bool_),
    }
    return Things(corners, **(rest | fields))


def guess(boxes: list[list[float]], scores: list[float]) -> Found:
    return Found(np.array(boxes, np.float64).reshape(-1, 4), np.ones(len(scores), np.int64), np.array(scores))


SQUARE = [0.0, 0, 100, 100]
SMALL, MEDIUM = [0.0, 0, 32, 32], [0.0, 0, 96, 96]


@pytest.mark.parametrize(
    ("truth", "found"),
    [
        pytest.param([one([])], [guess([SQUARE], [0.5])], id="nothing is there"),
        pytest.param([one([SQUARE])] * 2, [guess([], []), guess([SQUARE], [0.1])], id="an image with nothing found"),
        pytest.param([one([SQUARE]), one([])], [guess([SQUARE], [0.5]), guess([SQUARE], [0.9])], id="an empty image"),
        pytest.param([one([SQUARE, SQUARE])], [guess([SQUARE] * 3, [0.5, 0.5, 0.5])], id="equal things and scores"),
        pytest.param(
            [one([SQUARE, [0, 0, 100, 80]], crowd=np.array([True, False]))],
            [guess([[0, 0, 100, 90], [0, 0, 50, 50], [0, 0, 60, 60]], [0.9, 0.8, 0.7])],
            id="a crowd takes any number, after what counts",
        ),
        pytest.param([one([SMALL, MEDIUM])], [guess([SMALL, MEDIUM], [0.5, 0.5])], id="areas on both bounds"),
        pytest.param([one([SMALL])], [guess([[0, 0, 33, 33]], [0.5])], id="a box outside the area of its thing"),
        pytest.param([one([[0, 0, 10, 10]])], [guess([[0, 0, 10, 5]], [0.5])], id="an overlap of just a half"),
        pytest.param([one([[5, 5, 5, 5], SQUARE])], [guess([[5, 5, 5, 5], SQUARE], [0.9, 0.5])], id="no area at all"),
    ],
)
def test_cases_of_coco_equal_the_reference_code(truth: list[Things], found: list[Found]) -> None:
    assert ours(truth, found) == pytest.approx(reference(truth, found), abs=1e-12)


def test_overlaps_that_are_given_match_like_those_of_boxes() -> None:
    truth, predicted = random_scene(2)

    def overlaps(image: int, found: np.ndarray[Any, Any], things: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        mine, there = predicted[image], truth[image]
        assert len(set(mine.class_ids[found]) | set(there.class_ids[things])) == 1, "one class at a time"
        return box_overlaps(mine.boxes[found], there.boxes[things], there.crowd[things])

    assert ours(truth, predicted) == {
        name: value[0]
        for name, value in detection_scores(match_boxes(truth, predicted, overlaps=overlaps)).items()
        if not np.isnan(value[0])
    }


def test_crowded_images_are_matched_piece_by_piece() -> None:
    truth, predicted = random_scene(6)
    classes = np.concatenate([p.class_ids for p in predicted])
    images = np.repeat(np.arange(len(predicted)), [len(p.class_ids) for p in predicted])
    there = np.concatenate([t.class_ids for t in truth])
    homes = np.repeat(np.arange(len(truth)), [len(t.class_ids) for t in truth])
    layout = lay_out(np.concatenate([p.scores for p in predicted]), classes, images, most=100)
    groups = in_groups(layout, classes, images, there, homes)
    asked: list[int] = []

    def cover(found: np.ndarray[Any, Any], things: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        asked.append(found.size)
        assert (images[found] == homes[things]).all()
        assert (classes[found] == there[things]).all()
        return (found * 31 + things * 17) % 10 / 10

    whole, pieces = (near_pairs(groups, cover, least=0.5, held=held) for held in (1 << 20, 50))
    assert len(asked) > 3
    assert sum(asked[1:]) == asked[0]
    assert whole.overlaps.min() == 0.5
    for field in ("owners", "groups", "things", "overlaps"):
        assert getattr(whole, field).tolist() == getattr(pieces, field).tolist()


def test_a_weighing_equals_the_reference_code_on_the_drawn_images() -> None:
    truth, predicted = random_scene(3)
    rng = np.random.default_rng(0)
    predicted = [replace(p, scores=rng.permutation(p.scores.size) / 1000 + rng.random()) for p in predicted]
    matches = match_boxes(truth, predicted)
    draws = rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=4)
    weighed = detection_scores(matches, weights=draws)
    for at, counts in enumerate(draws):
        drawn = np.repeat(np.arange(len(truth)), counts)
        wanted = reference([truth[i] for i in drawn], [predicted[i] for i in drawn])
        got = {name: float(values[at]) for name, values in weighed.items() if not np.isnan(values[at])}
        assert got == pytest.approx(wanted, abs=1e-9)


def test_intervals_hold_the_figure_and_repeat_with_the_seed() -> None:
    matches = match_boxes(*random_scene(1))
    first, again = (detection_figures(matches, rng=np.random.default_rng(5), resamples=200) for _ in range(2))
    assert first == again
    for name in ("map", "map50", "ar100"):
        assert first.overall[name].low < first.overall[name].value < first.overall[name].high
    assert first.overall["map"].value == pytest.approx(ours(*random_scene(1))["map"])


def test_nothing_found_scores_zero_and_missing_areas_have_no_figure() -> None:
    cat = Things(np.array([[0.0, 0, 9, 9]]), np.array([1]), np.array([81.0]), np.array([False]))
    none = Found(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))
    assert ours([cat], [none])["map"] == 0
    assert "map_large" not in ours([cat], [none])
    figures = detection_figures(match_boxes([cat], [none]), rng=np.random.default_rng(0))
    assert figures.overall.keys() >= {"map", "map_small"}
    assert figures.by_class[1].keys() == {"map", "map50"}
    assert figures.things == {1: 1}


def test_false_positives_on_images_without_truth_count() -> None:
    cat = Things(np.array([[0.0, 0, 9, 9]]), np.array([1]), np.array([81.0]), np.array([False]))
    empty = Things(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    right = Found(cat.boxes, cat.class_ids, np.array([0.5]))
    wrong = Found(cat.boxes, cat.class_ids, np.array([0.9]))
    assert ours([cat, empty], [right, wrong])["map50"] == pytest.approx(0.5)


def test_wrong_arguments_say_so() -> None:
    with pytest.raises(UsageError, match="must have one length. Got 1 and 0 images"):
        match_boxes([random_scene(0)[0][0]], [])
    with pytest.raises(UsageError, match="at least 1 image"):
        detection_figures(match_boxes([], []), rng=np.random.default_rng(0))
