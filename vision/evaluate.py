"""How good a model is on labelled images: data, predictor and metrics brought together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import vision
from shared.errors import DataError, UnknownNameError
from shared.evaluation.classification import calibration_error, hits
from shared.evaluation.detection import Found, Things, boxes_on_empty, detection_figures, match_boxes
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, bootstrap, mean_interval, wilson
from shared.evaluation.items import Chances, Mean
from shared.evaluation.report import Evaluation, Metric
from shared.tasks import Option
from shared.types import Bool, Failure, Float32, Float64, Int64
from vision.datasets import LabelledImages, read_boxed_images, read_labelled_images
from vision.items import MOST_CHANCES, chances_of, classification_items, detection_items, image_f1_of
from vision.labels import LabelSet, label_set
from vision.mistakes import SHOWN_FROM, classification_sections, detection_sections

EVALUATED_FROM = 0.001
"""Least score of boxes in an evaluation: average precision wants nearly all of them, a viewer far fewer."""
EVALUATE_OPTIONS = (
    Option("images", str, None, "folder of the images that the annotations name; found beside them if not given"),
    Option("split", str, None, "the part to evaluate on, such as val or test; everything if not given"),
    Option("score_threshold", float, EVALUATED_FROM, "leave out boxes below this score, in [0, 1]"),
)
"""What :func:`evaluate_detection` takes beside a detector's own options."""
_CALIBRATION = "expected calibration error of the best answer's score, 15 bins of equal width"
_EVERY_CLASS = 1_000_000
"""More answers than any classifier has."""
SAID = 5
"""Answers of a picture that are kept at least, for the report to name."""
IMAGE_F1 = f"mean over images of F1 of boxes from score {SHOWN_FROM} on, right at an overlap of 0.5"
BY_IMAGE = f"percentile bootstrap over images, {RESAMPLES} resamples, {CONFIDENCE:.0%}"


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
    """Share of images whose class is the best answer (``top1``) or among the best ``top_k``, and calibration error.

    The calibration error is that of the best answers' scores over the images that were answered:
    :func:`shared.evaluation.classification.calibration_error`.

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
    predictor = vision.classifier(model, device=device, threads=threads, top_k=_EVERY_CLASS, **options)
    known = label_set(predictor.card.options["labels"])
    classes = _class_numbers(set(data.labels), known, dataset)
    results, chances = _answers(predictor.stream(data.paths), data, classes, most=max(top_k, SAID))
    ranked = [[] if isinstance(r, Failure) else [str(i) for i in r.class_ids.tolist()][:top_k] for r in results]
    numbers = [classes[label] for label in data.labels]
    truth = [str(number) for number in numbers]
    rng = np.random.default_rng(seed)
    right = {k: hits(truth, ranked, k=k) for k in sorted({1, top_k})}
    figures = {
        f"top{k}": mean_interval(found.astype(np.float64), rng=rng, resamples=RESAMPLES, confidence=CONFIDENCE)
        for k, found in right.items()
    }
    answered = np.array([not isinstance(r, Failure) for r in results], np.bool_)
    if answered.any():
        sure = np.array([float(r.scores[0]) for r in results if not isinstance(r, Failure)])
        hit = right[1][answered]
        figures["calibration_error"] = bootstrap(
            lambda at: calibration_error(hit[at], sure[at]),
            hit.size,
            rng=rng,
            resamples=RESAMPLES,
            confidence=CONFIDENCE,
        )
    names = [known.names[number] for number in numbers]
    notes = {"interval": BY_IMAGE, "seed": seed, "classes": len(classes), "calibration": _CALIBRATION}
    return Evaluation(
        "vision.classification",
        predictor.card.name,
        str(dataset),
        len(truth),
        int((~answered).sum()),
        figures,
        notes,
        _by_class(names, right[1]),
        classification_sections(data.paths, names, results),
        classification_items(
            data.paths,
            data.labels,
            {f"top{k}": found for k, found in right.items()},
            np.array([np.nan if isinstance(r, Failure) else float(r.scores[0]) for r in results]),
            chances,
        ),
    )


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
    split: str | None = None,
    score_threshold: float = EVALUATED_FROM,
    **options: Any,
) -> Evaluation:
    """COCO's average precision and recall of boxes; see :mod:`shared.evaluation.detection`.

    ``image_f1`` is the figure that a single image has: F1 of the boxes that a viewer would be shown, right at an
    overlap of one half. Where images hold nothing, ``boxes_on_empty`` is the mean number of boxes that a viewer would
    be shown there.

    Args:
        dataset: COCO, VOC or YOLO annotations; see :func:`vision.datasets.read_boxed_images`. Its classes must be the
            model's, by name.
        model: as :func:`vision.detector` takes it.
        format: of the data set; ``None`` looks.
        limit: only the first so many images.
        seed: of the bootstrap.
        device: as :func:`vision.detector` takes it.
        threads: as :func:`vision.detector` takes it.
        images: folder of the images that the annotations name; ``None`` looks beside them.
        split: the part to evaluate on; ``None`` takes everything.
        score_threshold: boxes below it are left out.
        options: further options of :func:`vision.detector`.

    Raises:
        DataError: the data set is malformed, or has things of classes that the model does not know.
    """
    data = read_boxed_images(dataset, format=format, limit=limit, images=images, split=split)
    predictor = vision.detector(model, device=device, threads=threads, score_threshold=score_threshold, **options)
    used = {int(number) for things in data.truth for number in np.unique(things.class_ids)}
    known = label_set(predictor.card.options["labels"])
    numbers = _class_numbers({data.classes[number] for number in used}, known, dataset)
    classes = {number: numbers[data.classes[number]] for number in used}
    results = list(predictor.stream(data.paths))
    truth, found = [_renumbered(t, classes) for t in data.truth], [_found(r) for r in results]
    rng = np.random.default_rng(seed)
    matches = match_boxes(truth, found)
    figures = detection_figures(matches, rng=rng, resamples=RESAMPLES, confidence=CONFIDENCE)
    overall = dict(figures.overall)
    empty = boxes_on_empty(truth, found, min_score=SHOWN_FROM)
    if empty.size:
        overall["boxes_on_empty"] = mean_interval(empty, rng=rng, resamples=RESAMPLES, confidence=CONFIDENCE)
    answered = np.array([not isinstance(r, Failure) for r in results], np.bool_)
    f1 = image_f1_of(matches, answered, min_score=SHOWN_FROM)
    overall["image_f1"] = mean_interval(f1, rng=rng, resamples=RESAMPLES, confidence=CONFIDENCE)
    protocol = f"COCO box AP and AR over {len(classes)} classes, boxes from score {score_threshold} on"
    notes = {"protocol": protocol, "interval": BY_IMAGE, "seed": seed, "image_f1": IMAGE_F1}
    if empty.size:
        notes["boxes_on_empty"] = f"boxes from score {SHOWN_FROM} on in each of {empty.size} images that hold nothing"
    return Evaluation(
        "vision.detection",
        predictor.card.name,
        str(dataset),
        len(results),
        int((~answered).sum()),
        overall,
        notes,
        {known.names[number]: metrics for number, metrics in figures.by_class.items()},
        detection_sections(data.paths, truth, found, results, known.names),
        detection_items(
            data.paths,
            data.truth,
            matches,
            names=tuple(overall),
            f1=f1,
            classes=data.classes,
            means=_on_empty(truth, empty),
        ),
    )


def _answers(
    stream: Iterator[vision.Classification | Failure], data: LabelledImages, classes: Mapping[str, int], *, most: int
) -> tuple[list[vision.Classification | Failure], Chances | None]:
    """The likeliest answers for each picture, and what every class of the data set was given where that is not much."""
    numbers = np.unique(list(classes.values()))
    kept = len(data.paths) * numbers.size <= MOST_CHANCES
    results: list[vision.Classification | Failure] = []
    rows: list[Float32 | None] = []
    for result in stream:
        if isinstance(result, Failure):
            results.append(result)
            rows.append(None)
            continue
        best = (result.labels[:most], result.scores[:most].copy(), result.class_ids[:most].copy())
        results.append(vision.Classification(*best))
        at = np.searchsorted(numbers, result.class_ids).clip(max=len(numbers) - 1)
        mine = numbers[at] == result.class_ids
        row = np.zeros(numbers.size, np.float32)
        row[at[mine]] = result.scores[mine]
        rows.append(row if kept else None)
    return results, chances_of(data.labels, classes, rows) if kept else None


def _on_empty(truth: Sequence[Things], empty: Float64) -> dict[str, Mean]:
    """Boxes on pictures that hold nothing as a figure of each picture, where there are such."""
    values = np.full(len(truth), np.nan)
    values[[not len(things.class_ids) for things in truth]] = empty
    return {"boxes_on_empty": Mean(values, higher_is_better=False)} if empty.size else {}


def _by_class(names: list[str], right: Bool) -> dict[str, dict[str, Metric]]:
    """Share of each class's images that are right, with Wilson's interval."""
    found = {}
    for name in sorted(set(names)):
        mine = right[[other == name for other in names]]
        found[name] = {"top1": wilson(int(mine.sum()), mine.size, confidence=CONFIDENCE)}
    return found


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
    return replace(things, class_ids=_mapped(things.class_ids, classes))


def _mapped(class_ids: Int64, classes: dict[int, int]) -> Int64:
    return np.array([classes[int(number)] for number in class_ids], np.int64)


def _found(result: vision.Detections | Failure) -> Found:
    if isinstance(result, Failure):
        return Found(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))
    return Found(result.xyxy.astype(np.float64), result.class_ids.astype(np.int64), result.scores.astype(np.float64))
