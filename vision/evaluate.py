"""How good a model is on labelled images: data, predictor and metrics brought together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import vision
from shared.errors import DataError, UnknownNameError
from shared.evaluation.classification import hits
from shared.evaluation.detection import Found, Things, detection_intervals, match_boxes
from shared.evaluation.intervals import mean_interval
from shared.evaluation.report import Evaluation
from shared.types import Failure, Int64
from vision.datasets import read_boxed_images, read_labelled_images
from vision.labels import LabelSet, label_set

RESAMPLES = 1000
CONFIDENCE = 0.95
EVALUATED_FROM = 0.001
"""Least score of boxes in an evaluation: average precision wants nearly all of them, a viewer far fewer."""
_BY_IMAGE = f"percentile bootstrap over images, {RESAMPLES} resamples, {CONFIDENCE:.0%}"


def evaluate_classification(
    dataset: Path,
    *,
    model: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    top_k: int = 5,
    **options: Any,
) -> Evaluation:
    """Share of images whose class is the best answer (``top1``) or among the best ``top_k``.

    Args:
        dataset: a folder; see :func:`vision.datasets.read_labelled_images`. Its classes must be the model's, by name
            or WordNet id.
        model: as :func:`vision.classifier` takes it.
        format: of the data set; ``None`` looks.
        limit: only the first so many images.
        seed: of the bootstrap.
        device: as :func:`vision.classifier` takes it.
        threads: as :func:`vision.classifier` takes it.
        top_k: the k of the second figure.
        options: further options of :func:`vision.classifier`.

    Raises:
        DataError: the data set is malformed, or has classes that the model does not know.
    """
    data = read_labelled_images(dataset, format=format, limit=limit)
    predictor = vision.classifier(model, device=device, threads=threads, top_k=top_k, **options)
    classes = _class_numbers(set(data.labels), label_set(predictor.card.options["labels"]), dataset)
    results = list(predictor.stream(data.paths))
    ranked = [[] if isinstance(r, Failure) else [str(i) for i in r.class_ids.tolist()] for r in results]
    truth = [str(classes[label]) for label in data.labels]
    rng = np.random.default_rng(seed)
    figures = {
        f"top{k}": mean_interval(
            hits(truth, ranked, k=k).astype(np.float64), rng=rng, resamples=RESAMPLES, confidence=CONFIDENCE
        )
        for k in sorted({1, top_k})
    }
    failed = sum(isinstance(r, Failure) for r in results)
    notes = {"interval": _BY_IMAGE, "seed": seed, "classes": len(classes)}
    return Evaluation("vision.classification", predictor.card.name, str(dataset), len(truth), failed, figures, notes)


def evaluate_detection(
    dataset: Path,
    *,
    model: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    images: str | None = None,
    score_threshold: float = EVALUATED_FROM,
    **options: Any,
) -> Evaluation:
    """COCO's average precision and recall of boxes; see :mod:`shared.evaluation.detection`.

    Args:
        dataset: COCO annotations; see :func:`vision.datasets.read_boxed_images`. Its classes must be the model's, by
            name.
        model: as :func:`vision.detector` takes it.
        format: of the data set; ``None`` looks.
        limit: only the first so many images.
        seed: of the bootstrap.
        device: as :func:`vision.detector` takes it.
        threads: as :func:`vision.detector` takes it.
        images: folder of the images that the annotations name; ``None`` looks beside them.
        score_threshold: boxes below it are left out.
        options: further options of :func:`vision.detector`.

    Raises:
        DataError: the data set is malformed, or has things of classes that the model does not know.
    """
    data = read_boxed_images(dataset, format=format, limit=limit, images=images)
    predictor = vision.detector(model, device=device, threads=threads, score_threshold=score_threshold, **options)
    used = {int(number) for things in data.truth for number in np.unique(things.class_ids)}
    names = {data.classes[number] for number in used}
    numbers = _class_numbers(names, label_set(predictor.card.options["labels"]), dataset)
    classes = {number: numbers[data.classes[number]] for number in used}
    results = list(predictor.stream(data.paths))
    matches = match_boxes([_renumbered(t, classes) for t in data.truth], [_found(r) for r in results])
    rng = np.random.default_rng(seed)
    figures = detection_intervals(matches, rng=rng, resamples=RESAMPLES, confidence=CONFIDENCE)
    failed = sum(isinstance(r, Failure) for r in results)
    protocol = f"COCO box AP and AR over {len(classes)} classes, boxes from score {score_threshold} on"
    notes = {"protocol": protocol, "interval": _BY_IMAGE, "seed": seed}
    return Evaluation("vision.detection", predictor.card.name, str(dataset), len(results), failed, figures, notes)


def _class_numbers(names: set[str], classes: LabelSet, dataset: Path) -> dict[str, int]:
    """The model's number of each class of the data set; a folder's name may be a WordNet id with more after it."""
    numbers, said = {}, []
    for name in sorted(names):
        try:
            numbers[name] = classes.find(name)
        except UnknownNameError as error:
            said.append(str(error))
    if said:
        raise DataError(
            f"the classes of {dataset} must be the model's own. {len(said)} of {len(names)} are not: "
            + "; ".join(said[:3])
            + "; ..." * (len(said) > 3)
        )
    return numbers


def _renumbered(things: Things, classes: dict[int, int]) -> Things:
    return Things(things.boxes, _mapped(things.class_ids, classes), things.areas, things.crowd)


def _mapped(class_ids: Int64, classes: dict[int, int]) -> Int64:
    return np.array([classes[int(number)] for number in class_ids], np.int64)


def _found(result: vision.Detections | Failure) -> Found:
    if isinstance(result, Failure):
        return Found(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))
    return Found(result.xyxy.astype(np.float64), result.class_ids.astype(np.int64), result.scores.astype(np.float64))
