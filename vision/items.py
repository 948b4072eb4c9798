"""What each picture says of an evaluation's figures, and what is known of the picture beside the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError
from shared.evaluation.detection import Matches, Things
from shared.evaluation.detection_items import image_f1, pooled_figures
from shared.evaluation.item_figures import calibration_total, segmentation_totals
from shared.evaluation.items import Chances, ItemFigure, Items, Mean
from shared.types import AnyArray, Bool, Float32, Float64, Int64
from vision.images import View, load_view

MOST_CHANCES = 50_000_000
"""Pictures times classes whose probabilities are kept: 200 MB."""
_GREY = (0.299, 0.587, 0.114)
_GLANCE = 32
"""Pixels of the longer side of what brightness is measured on: a large JPEG is decoded at an eighth for it."""


def picture_attributes(paths: Sequence[str]) -> dict[str, AnyArray]:
    """Size, shape, brightness and format of pictures; NaN in what cannot be read.

    Args:
        paths: the pictures, length n.

    Returns:
        ``height``, ``width`` in pixels, ``area`` in megapixels, ``aspect`` (width over height), ``brightness`` (mean
        grey of ITU-R BT.601, 0 to 255), each float64 of shape (n,), and ``format``, the file's ending.
    """
    sizes, grey = np.full((len(paths), 2), np.nan), np.full(len(paths), np.nan)
    for at, path in enumerate(paths):
        try:
            pixels, sizes[at] = load_view(path, _glance)
        except InputError:
            continue
        grey[at] = float((pixels.reshape(-1, 3).mean(axis=0) * _GREY).sum())
    height, width = sizes.T
    endings = [Path(path).suffix.lower().lstrip(".") for path in paths]
    return {
        "height": height,
        "width": width,
        "area": height * width / 1e6,
        "aspect": width / height,
        "brightness": grey,
        "format": np.array(["jpeg" if ending == "jpg" else ending for ending in endings]),
    }


def _glance(height: int, width: int) -> View:
    scale = min(1.0, _GLANCE / max(height, width))
    return View((0, 0, width, height), (max(1, round(height * scale)), max(1, round(width * scale))))


def classification_items(
    paths: Sequence[str], labels: Sequence[str], hits: Mapping[str, Bool], sure: Float64, chances: Chances | None
) -> Callable[[], Items]:
    """The items of a classifier's evaluation.

    Args:
        paths: the pictures, length n.
        labels: the data set's own name of each one's class.
        hits: by figure whether each picture was right, shape (n,); ``top1`` is among them.
        sure: the score of each best answer, shape (n,), NaN for a picture that failed.
        chances: of every class, where they are known.
    """

    def items() -> Items:
        figures: dict[str, ItemFigure] = {name: Mean(found.astype(np.float64)) for name, found in hits.items()}
        if not np.isnan(sure).all():
            figures["calibration_error"] = calibration_total(hits["top1"], sure)
        attributes = {"class": np.array(labels), **picture_attributes(paths)}
        return Items(tuple(paths), figures, "top1", attributes, chances=chances)

    return items


def chances_of(labels: Sequence[str], names: Mapping[str, int], rows: Sequence[Float32 | None]) -> Chances | None:
    """What a classifier held likely among the classes of the data set.

    Args:
        labels: the data set's own name of each picture's class.
        names: the model's number of each of those classes.
        rows: what the model gives each of them, in sorted order of the numbers, float32; ``None`` for a failed picture.

    Returns:
        Shares of what the model gives to those classes together; NaN for a picture that failed, or of which it holds
        none of them likely. ``None`` for fewer than two classes, which leave nothing to choose.
    """
    numbers = sorted(set(names.values()))
    if len(numbers) < 2:
        return None
    by_number = {number: name for name, number in sorted(names.items(), reverse=True)}
    found = np.full((len(labels), len(numbers)), np.nan, np.float32)
    for at, row in enumerate(rows):
        if row is not None and (total := float(row.sum())) > 0:
            found[at] = row / total
    places = {number: at for at, number in enumerate(numbers)}
    truth = np.array([places[names[label]] for label in labels], np.int64)
    return Chances(tuple(by_number[number] for number in numbers), truth, found)


def detection_items(
    paths: Sequence[str],
    truth: Sequence[Things],
    matches: Matches,
    *,
    names: Sequence[str],
    f1: Float64,
    classes: Mapping[int, str],
    means: Mapping[str, Mean] | None = None,
) -> Callable[[], Items]:
    """The items of a detector's evaluation.

    Args:
        paths: the pictures, length n.
        truth: what is in each.
        matches: what was found of it.
        names: the figures that the evaluation has.
        f1: from :func:`image_f1_of`.
        classes: name of each class by the number in ``truth``.
        means: further figures that are means over pictures.
    """

    def items() -> Items:
        figures: dict[str, ItemFigure] = {"image_f1": Mean(f1), **pooled_figures(matches, names), **(means or {})}
        counted = [things.areas[~things.beside_the_point] for things in truth]
        sides = [np.sqrt(areas) if len(areas) else np.array([np.nan]) for areas in counted]
        attributes = {
            "objects": np.array([len(areas) for areas in counted], np.int64),
            "largest object": np.array([side.max() for side in sides]),
            "smallest object": np.array([side.min() for side in sides]),
            "most frequent class": np.array([_most_frequent(things, classes) for things in truth]),
            **picture_attributes(paths),
        }
        return Items(tuple(paths), figures, "image_f1", attributes)

    return items


def image_f1_of(matches: Matches, answered: Bool, *, min_score: float) -> Float64:
    """F1 of each picture, 0 where it failed."""
    return np.where(answered, image_f1(matches, min_score=min_score), 0.0)


def _most_frequent(things: Things, classes: Mapping[int, str]) -> str:
    counts = Counter(things.class_ids.tolist()).most_common()
    return classes.get(counts[0][0], str(counts[0][0])) if counts else "nothing"


def segmentation_items(
    paths: Sequence[str], confusions: Int64, names: Sequence[str], image_miou: Float64
) -> Callable[[], Items]:
    """The items of the evaluation of a segmenter of classes.

    Args:
        paths: the pictures, length n.
        confusions: shape (n, classes, classes + 1), pixels by true and given class.
        names: of the classes.
        image_miou: of each picture alone, shape (n,); Z. Wang et al., "Revisiting evaluation metrics for semantic
            segmentation", NeurIPS 2023, call its mean mIoU^I.
    """

    def items() -> Items:
        pixels = confusions.sum(axis=2)
        figures: dict[str, Any] = {"image_miou": Mean(image_miou), **segmentation_totals(confusions)}
        largest = [names[at] if any_ else "nothing" for at, any_ in zip(pixels.argmax(axis=1), pixels.any(axis=1))]
        attributes = {
            "classes in it": (pixels > 0).sum(axis=1).astype(np.int64),
            "largest class": np.array(largest),
            **picture_attributes(paths),
        }
        return Items(tuple(paths), figures, "image_miou", attributes)

    return items
