"""Figures that tell what each item adds are those of the whole data set, of mixtures of two systems too."""

from __future__ import annotations

import numpy as np
import pytest

from shared.errors import UsageError
from shared.evaluation.classification import calibration_error
from shared.evaluation.comparing import compare_evaluations
from shared.evaluation.detection import FIGURES, Found, Things, detection_figures, detection_scores, match_boxes
from shared.evaluation.detection_items import image_f1, joined, pooled_figures
from shared.evaluation.item_figures import calibration_total, segmentation_totals
from shared.evaluation.items import Items, Mean, Pooled, Total
from shared.evaluation.matching import judge
from shared.evaluation.report import Evaluation, Metric
from shared.evaluation.segmentation import FIGURES as PIXEL_FIGURES
from shared.evaluation.segmentation import segmentation_intervals


def of_figure(figure: Mean | Total | Pooled) -> float:
    """The figure of all items."""
    if isinstance(figure, Mean):
        return float(np.nanmean(figure.values))
    if isinstance(figure, Total):
        return float(figure.figure(figure.rows.sum(axis=0)))
    return float(figure.figure(figure.records))


def boxed(seed: int, images: int = 60) -> tuple[list[Things], list[Found], list[Found]]:
    """Things of two classes, what a good detector finds of them, and what a poor one does."""
    rng = np.random.default_rng(seed)
    truth, good, poor = [], [], []
    for at in range(images):
        n = 0 if at % 10 == 0 else int(rng.integers(1, 6))
        corner = rng.uniform(0, 300, (n, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(10, 150, (n, 2))], axis=1)
        ids = rng.integers(1, 3, n)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        truth.append(Things(boxes, ids, areas, np.zeros(n, np.bool_)))
        for side, shift in ((good, 2.0), (poor, 12.0)):
            extra = int(rng.integers(0, 2))
            moved = np.concatenate(
                [boxes + rng.normal(0, shift, boxes.shape), np.array([[0.0, 0, 9, 9]] * extra)[:extra].reshape(-1, 4)]
            )
            side.append(Found(moved, np.r_[ids, [1] * extra].astype(np.int64), rng.random(n + extra)))
    return truth, good, poor


def test_pooled_detection_is_what_detection_figures_are() -> None:
    truth, good, poor = boxed(0)
    one, other = match_boxes(truth, good), match_boxes(truth, poor)
    values = detection_figures(one, rng=np.random.default_rng(0), resamples=10).overall
    pooled = pooled_figures(one, [*FIGURES, "image_f1"])
    assert [*pooled] == [*FIGURES]
    for name, metric in values.items():
        assert of_figure(pooled[name]) == pytest.approx(metric.value)
    # weights of a mixture: images of the first and of the second are those of one data set that was found so
    rng = np.random.default_rng(1)
    taken = rng.integers(0, 2, len(truth)).astype(np.bool_)
    mixed = match_boxes(truth, [a if first else b for a, b, first in zip(good, poor, taken)])
    records = [*pooled["map"].records, *pooled_figures(other, ["map"])["map"].records]
    weights = np.concatenate([taken, ~taken])[None].astype(np.float64)
    for name in ("map", "map50", "ar10", "map_small"):
        assert pooled[name].weighed is not None
        wanted = detection_scores(mixed)[name]
        assert pooled[name].weighed(records, weights) == pytest.approx(wanted, abs=1e-12)  # type: ignore[misc]
    twice = [pooled["map"].records[at] for at in (1, 1, 2)]
    weighed = detection_scores(one, weights=np.bincount([1, 1, 2], minlength=60)[None])["map"]
    assert pooled["map"].figure(twice) == pytest.approx(weighed[0])
    assert joined([one]) is one


def test_a_poorer_detector_is_told_by_every_figure() -> None:
    truth, good, poor = boxed(3)

    def evaluation(found: list[Found]) -> Evaluation:
        matches = match_boxes(truth, found)
        f1 = Mean(image_f1(matches, min_score=0.3))
        items = Items(tuple(map(str, range(len(truth)))), {"image_f1": f1, **pooled_figures(matches, ["map", "ar10"])})
        return Evaluation("t", "m", "d", len(truth), 0, {"map": Metric(0.5, 0.4, 0.6)}, items=lambda: items)

    found = compare_evaluations(evaluation(good), evaluation(poor), rng=np.random.default_rng(0), resamples=200)
    assert [figure.name for figure in found.figures] == ["map", "image_f1", "ar10"]
    for figure in found.figures:
        assert figure.difference.high < 0
        assert figure.p_value < 0.02
    scores = [detection_scores(match_boxes(truth, side))["map"][0] for side in (good, poor)]
    assert found.judged.difference.value == pytest.approx(scores[1] - scores[0])


def test_f1_of_images_by_hand_and_beside_what_a_viewer_sees() -> None:
    truth, good, _ = boxed(2)
    found = image_f1(match_boxes(truth, good), min_score=0.3)
    for at, (there, seen) in enumerate(zip(truth, good)):
        judged = judge(there, seen, min_score=0.3)
        right, wrong, missed = (int(part.sum()) for part in (judged.right, judged.wrong, judged.missed))
        whole = 2 * right + wrong + missed
        assert found[at] == pytest.approx(2 * right / whole if whole else 1.0)


def test_totals_are_the_figures_that_they_stand_for() -> None:
    rng = np.random.default_rng(0)
    right, sure = rng.random(50) < 0.7, rng.random(50)
    assert of_figure(calibration_total(right, sure)) == pytest.approx(calibration_error(right, sure))
    failed = np.where(np.arange(50) < 5, np.nan, sure)
    assert of_figure(calibration_total(right, failed)) == pytest.approx(calibration_error(right[5:], sure[5:]))
    assert np.isnan(of_figure(calibration_total(right, np.full(50, np.nan))))
    with pytest.raises(UsageError, match=r"must have one shape \(n,\)"):
        calibration_total(right, sure[:3])
    confusions = rng.integers(0, 9, (20, 3, 4))
    confusions[:, 2] = confusions[:, :, 2] = 0
    wanted = segmentation_intervals(confusions, rng=rng, resamples=5)
    totals = segmentation_totals(confusions)
    assert [*totals] == [*PIXEL_FIGURES]
    for name, total in totals.items():
        assert of_figure(total) == pytest.approx(wanted[name].value)
