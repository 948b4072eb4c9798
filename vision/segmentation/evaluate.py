"""How good a segmenter is: classes of pixels against masks, things against outlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import vision
from shared.catalogue import ModelCard
from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.detection import Found, Things, detection_figures, match_boxes
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, mean_interval
from shared.evaluation.report import Evaluation
from shared.evaluation.segmentation import class_iou, miou_score, pixel_confusion, segmentation_intervals
from shared.types import AnyArray, Failure, Float64, Int64
from vision.datasets import read_boxed_images
from vision.evaluate import BY_IMAGE, EVALUATED_FROM, IMAGE_F1
from vision.families import open_model
from vision.formats import BoxedImages
from vision.items import detection_items, image_f1_of, segmentation_items
from vision.labels import LabelSet, label_set
from vision.masks import Rle, rle_iou
from vision.mistakes import SHOWN_FROM
from vision.segmentation.datasets import FORMATS, IGNORED, MASK_FORMATS, MaskedImages, has_masks, read_masked_images
from vision.segmentation.outlines import outline_mask
from vision.types import Segmentation

NAME = "vision.segmentation"
SAME = {
    "airplane": "aeroplane",
    "couch": "sofa",
    "motorcycle": "motorbike",
    "tvmonitor": "tv",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "pedestrian": "person",
    "bicyclist": "person",
}
"""Names of data sets for what Pascal VOC's models call otherwise; tried where no class has the name itself."""


def evaluate_segmentation(
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
    map_class: Sequence[str] = (),
    score_threshold: float | None = None,
    **options: Any,
) -> Evaluation:
    """mIoU, Dice and pixel accuracy of a model of classes; COCO's average precision of masks of a model of things.

    ``image_miou`` and ``image_f1`` are the figures that a single picture has, of classes and of things.

    Classes are matched by name. Where a model has a background, a class of the data set that it does not know counts as
    background, and an answer of a class that the data set does not have does so too.

    Args:
        dataset: images with masks (:mod:`vision.segmentation.datasets`), or with outlines
            (:func:`vision.datasets.read_boxed_images`).
        model: as :func:`vision.segmenter` takes it.
        format: of the data set; ``None`` looks, and takes what the model can be judged by.
        limit: only the first so many images.
        seed: of the bootstrap.
        device: as :func:`vision.segmenter` takes it.
        threads: as :func:`vision.segmenter` takes it.
        images: folder of the images; ``None`` looks beside the masks or annotations.
        split: part of the data set; see the readers.
        map_class: ``"DATASET_CLASS=MODEL_CLASS"``, where their names differ; ``"DATASET_CLASS="`` leaves its pixels
            out.
        score_threshold: segments below it are left out; ``None`` takes the model's own, of things 0.001.
        options: further options of :func:`vision.segmenter`.

    Raises:
        DataError: the data set is malformed, of no use for this model, or has classes that the model does not know.
        UsageError: ``map_class`` is no such pair.
    """
    if format is not None and format not in FORMATS:
        raise UnknownNameError("data set format of this task", format, FORMATS)
    card = open_model(model, task=NAME).card
    by_things = finds_things(card)
    as_masks = has_masks(dataset) and not by_things if format is None else format in MASK_FORMATS
    if as_masks == by_things:
        wanted = "of things must be judged by outlines (coco)" if by_things else "of classes by masks (masks, camvid)"
        raise DataError(
            f"a model {wanted}. {card.name!r} is one, and {dataset} is read for {'masks' if as_masks else 'outlines'}"
        )
    pairs = dict(_pair(text) for text in map_class)
    least = EVALUATED_FROM if score_threshold is None else score_threshold
    wanted_from = least if by_things else score_threshold
    predictor = vision.segmenter(model, device=device, threads=threads, score_threshold=wanted_from, **options)
    if by_things:
        boxed = read_boxed_images(dataset, format=format, limit=limit, images=images, split=split)
        return _evaluate_things(predictor, dataset, boxed, pairs=pairs, least=least, seed=seed)
    data = read_masked_images(dataset, format=format, split=split, limit=limit, images=images)
    return _evaluate_classes(predictor, dataset, data, pairs, seed)


def finds_things(card: ModelCard) -> bool:
    """Whether a model answers with single things rather than with classes of pixels."""
    return card.family in ("yolo-seg", "masks") or (
        card.family == "queries" and card.options.get("kind", "instance") == "instance"
    )


@dataclass(frozen=True)
class Matched:
    """Classes of a data set beside those of a model.

    Attributes:
        names: of the classes that are judged, in order: the model's.
        truth: shape (256,), from a number in a mask to a position among the names, or :data:`IGNORED`.
        answers: from the model's number of a class to a position; others are ``otherwise``.
        otherwise: position of the background, or -1 where there is none.
    """

    names: tuple[str, ...]
    truth: Int64
    answers: Mapping[int, int]
    otherwise: int


def match_classes(
    dataset: Mapping[int, str], model: LabelSet, background: int | None, pairs: Mapping[str, str]
) -> Matched:
    """Classes of a data set beside those of a model.

    Args:
        dataset: names by number.
        model: the model's classes.
        background: the model's number of what belongs to nothing, or ``None`` where it has none.
        pairs: the data set's names and the model's for the same, where they differ; an empty name leaves one out.

    Raises:
        DataError: a class of the data set is none of the model's, which has no background either; or ``pairs`` names
            one that the data set does not have.

    Example:
        >>> found = match_classes({0: "sky", 1: "couch"}, LabelSet({0: "background", 5: "sofa"}), 0, {})
        >>> found.names, found.truth[:3]
        (('background', 'sofa'), array([  0,   1, 255]))
    """
    unknown = [name for name in pairs if name not in dataset.values()]
    if unknown:
        raise DataError(
            f"classes to be mapped must be the data set's own. Got {unknown}; it has {sorted(dataset.values())}"
        )
    numbers: dict[int, int] = {}
    strange = []
    for number, name in dataset.items():
        if pairs.get(name) == "":
            continue
        found = model.find(pairs[name]) if name in pairs else _found(name, model)
        if found is None and background is None:
            strange.append(name)
        elif found is not None or background is not None:
            numbers[number] = background if found is None else found  # type: ignore[assignment]  # one is there
    if strange:
        raise DataError(
            f"the classes of the data set must be the model's own. {len(strange)} of {len(dataset)} are not: "
            f"{', '.join(strange[:10])}. --map-class NAME=MODEL_CLASS says what one is, and "
            "--map-class NAME= leaves it out"
        )
    judged = sorted(set(numbers.values()))
    truth = np.full(256, IGNORED, np.int64)
    for number, found in numbers.items():
        truth[number] = judged.index(found)
    names = model.names
    return Matched(
        tuple(names.get(number, "background") for number in judged),
        truth,
        {number: at for at, number in enumerate(judged)},
        judged.index(background) if background in judged else -1,
    )


def _found(name: str, model: LabelSet) -> int | None:
    for text in (name, SAME.get(name.casefold(), name)):
        try:
            return model.find(text)
        except UnknownNameError:
            continue
    return None


def _pair(text: str) -> tuple[str, str]:
    name, equals, wanted = text.partition("=")
    if not equals or not name:
        raise UsageError(f"map_class must be DATASET_CLASS=MODEL_CLASS. Got {text!r} instead")
    return name, wanted


def _evaluate_classes(
    predictor: Any, dataset: Path, data: MaskedImages, pairs: Mapping[str, str], seed: int
) -> Evaluation:
    card = predictor.card
    background = 0 if card.family == "matting" else card.options.get("background")
    classes = LabelSet({1: "foreground"}) if card.family == "matting" else label_set(card.options["labels"])
    matched = match_classes(data.classes, classes, background, pairs)
    outside = -1 if background is None else background  # what the pixels of no segment are
    confusions, failed = [], 0
    for at, result in enumerate(predictor.stream(data.images)):
        truth = matched.truth[data.truth(at)]
        predicted = None
        if isinstance(result, Failure):
            failed += 1
        else:
            predicted = _positions(result.class_map(background=outside), matched)
            if predicted.shape != truth.shape:
                raise DataError(
                    f"{data.masks[at]} must be of its image's size {predicted.shape}. It has {truth.shape} instead"
                )
        confusions.append(pixel_confusion(truth, predicted, classes=len(matched.names), ignore=IGNORED))
    counts = np.stack(confusions)
    rng = np.random.default_rng(seed)
    figures = segmentation_intervals(counts, rng=rng, resamples=RESAMPLES, confidence=CONFIDENCE)
    own = miou_score(counts)
    figures["image_miou"] = mean_interval(own[~np.isnan(own)], rng=rng, resamples=RESAMPLES, confidence=CONFIDENCE)
    by_class = dict(zip(matched.names, class_iou(counts.sum(axis=0)).round(4).tolist()))
    notes = {
        "protocol": f"over all pixels together, {len(matched.names)} classes, at the pictures' own sizes",
        "interval": BY_IMAGE,
        "seed": seed,
        "image_miou": "mean over images of mIoU over the classes that are in each",
        "iou": {name: value for name, value in by_class.items() if not np.isnan(value)},
    }
    items = segmentation_items(data.images, counts, matched.names, own)
    return Evaluation(NAME, card.name, str(dataset), len(confusions), failed, figures, notes, items=items)


def _positions(class_map: AnyArray, matched: Matched) -> Int64:
    """The model's numbers as positions among the classes that are judged."""
    numbers, places = np.unique(class_map, return_inverse=True)
    positions = np.array([matched.answers.get(int(number), matched.otherwise) for number in numbers], np.int64)
    return positions[places].reshape(class_map.shape)


def _evaluate_things(
    predictor: Any, dataset: Path, data: BoxedImages, *, pairs: Mapping[str, str], least: float, seed: int
) -> Evaluation:
    card, images, classes = predictor.card, data.images, data.classes
    used = {int(number): classes[int(number)] for image in images for number in np.unique(image.class_ids)}
    model = label_set(card.options["labels"])
    matched = match_classes(used, model, None, pairs)
    by_name = {
        number: model.find(matched.names[matched.truth[number]]) for number in used if matched.truth[number] < 255
    }
    truth, predicted, masks = [], [], list[tuple[list[Rle], Sequence[Rle]]]()
    answered: list[bool] = []
    for image, result in zip(images, predictor.stream([image.path for image in images])):
        here = np.flatnonzero([int(number) in by_name for number in image.class_ids])
        answered.append(not isinstance(result, Failure))
        size = image.size if isinstance(result, Failure) else result.image_size
        outlines = [outline_mask(image, int(at), size or (1, 1)) for at in here]
        numbers = np.array([by_name[int(number)] for number in image.class_ids[here]], np.int64)
        truth.append(Things(image.xyxy[here], numbers, image.areas[here], image.crowd[here], image.difficult[here]))
        predicted.append(_as_found(result))
        masks.append((outlines, () if isinstance(result, Failure) else result.masks))

    def overlaps(at: int, found: Int64, things: Int64) -> Float64:
        outlines, answers = masks[at]
        return rle_iou([answers[i] for i in found], [outlines[i] for i in things], crowd=truth[at].crowd[things])

    matches = match_boxes(truth, predicted, overlaps=overlaps)
    rng = np.random.default_rng(seed)
    figures = detection_figures(matches, rng=rng, resamples=RESAMPLES, confidence=CONFIDENCE).overall
    f1 = image_f1_of(matches, np.array(answered, np.bool_), min_score=SHOWN_FROM)
    figures["image_f1"] = mean_interval(f1, rng=rng, resamples=RESAMPLES, confidence=CONFIDENCE)
    protocol = f"COCO mask AP and AR over {len(by_name)} classes, things from score {least} on"
    notes = {"protocol": protocol, "interval": BY_IMAGE, "seed": seed, "image_f1": IMAGE_F1}
    paths = [image.path for image in images]
    items = detection_items(paths, truth, matches, names=tuple(figures), f1=f1, classes=model.names)
    return Evaluation(NAME, card.name, str(dataset), len(images), answered.count(False), figures, notes, items=items)


def _as_found(result: Segmentation | Failure) -> Found:
    if isinstance(result, Failure):
        return Found(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    boxes, scores = result.xyxy.astype(np.float64), result.scores.astype(np.float64)
    return Found(boxes, result.class_ids.astype(np.int64), scores, result.areas.astype(np.float64))
