"""Annotated images as every format is read: one description, whatever the files said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from shared.errors import DataError
from shared.evaluation.detection import Things
from shared.types import Bool, Float64, Int64

Outline: TypeAlias = list[list[float]] | dict[str, Any]
"""The outline of a thing as COCO's JSON has it: polygons, each ``[x1, y1, x2, y2, ...]`` in pixels, or run lengths
``{"size": [height, width], "counts": ...}``."""


class Thing(NamedTuple):
    """One thing in one image, as a reader hands it over; the fields are those of :class:`BoxedImage`."""

    xyxy: tuple[float, float, float, float]
    class_id: int
    area: float
    crowd: bool = False
    difficult: bool = False
    outline: Outline | None = None


@dataclass(frozen=True)
class BoxedImage:
    """One image and the things that are in it.

    Attributes:
        path: where the image lies.
        name: its path below the data set's folder of images, with ``/``.
        size: height and width in pixels of the upright picture; ``None`` where the annotations do not say and the image
            was not looked at, or could not be (``fault``).
        xyxy: shape (n, 4), float64, corners x1, y1, x2, y2 in pixels, with (0, 0) the top left corner of the picture.
        class_ids: shape (n,), int64, the data set's own numbers.
        areas: shape (n,), float64, square pixels; of the thing's outline where the data set says it, else of its box.
        crowd: shape (n,), whether a box holds many things (COCO's ``iscrowd``).
        difficult: shape (n,), whether a thing counts neither as found nor as missed (VOC's ``difficult``).
        outlines: length n; ``None`` for a thing without one.
        split: the part of the data set that it belongs to, or ``None``.
        fault: why the image's own size could not be read, or empty. Boxes of a format that writes shares of the
            sides then stay shares, in [0, 1].
    """

    path: str
    name: str
    size: tuple[int, int] | None
    xyxy: Float64
    class_ids: Int64
    areas: Float64
    crowd: Bool
    difficult: Bool
    outlines: tuple[Outline | None, ...]
    split: str | None = None
    fault: str = ""

    @property
    def truth(self) -> Things:
        """What the metrics of :mod:`shared.evaluation.detection` take."""
        return Things(self.xyxy, self.class_ids, self.areas, self.crowd, self.difficult)


@dataclass(frozen=True)
class Fault:
    """An image whose annotation cannot be used.

    Attributes:
        path: the file at fault.
        message: what was expected, what came, and where.
    """

    path: str
    message: str


@dataclass(frozen=True)
class Source:
    """An opened data set that can be gone through any number of times, one image in memory at a time.

    Attributes:
        format: its format.
        classes: name of each class by the data set's number.
        items: its images, each as it is read; a :class:`Fault` in the place of one whose annotation is malformed.
    """

    format: str
    classes: Mapping[int, str]
    items: Callable[[], Iterator[BoxedImage | Fault]]


@dataclass(frozen=True)
class BoxedImages:
    """Images with the things that are in them.

    Attributes:
        images: the images, length n.
        classes: name of each class by the data set's number.
        faults: images that were left out because their annotations are malformed; only where that was asked for.
    """

    images: tuple[BoxedImage, ...]
    classes: Mapping[int, str]
    faults: tuple[Fault, ...] = ()

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Where the images lie, length n."""
        return tuple(image.path for image in self.images)

    @cached_property
    def truth(self) -> tuple[Things, ...]:
        """What is in each, length n; ``class_ids`` are the data set's own."""
        return tuple(image.truth for image in self.images)


def boxed_image(
    path: str,
    name: str,
    size: tuple[int, int] | None,
    things: Iterable[Thing],
    *,
    split: str | None = None,
    fault: str = "",
) -> BoxedImage:
    """An image of a list of things.

    Example:
        >>> boxed_image("a.jpg", "a.jpg", (4, 6), [Thing((0, 0, 2, 3), 1, 6.0)]).xyxy
        array([[0., 0., 2., 3.]])
    """
    rows = list(things)
    return BoxedImage(
        path,
        name,
        size,
        np.array([thing.xyxy for thing in rows], np.float64).reshape(-1, 4),
        np.array([thing.class_id for thing in rows], np.int64),
        np.array([thing.area for thing in rows], np.float64),
        np.array([thing.crowd for thing in rows], np.bool_),
        np.array([thing.difficult for thing in rows], np.bool_),
        tuple(thing.outline for thing in rows),
        split,
        fault,
    )


def each(
    paths: Iterable[tuple[str, Callable[[], BoxedImage]]],
) -> Iterator[BoxedImage | Fault]:
    """Read one image after the other; a malformed annotation becomes a :class:`Fault` in its place.

    Args:
        paths: for each image the file that a fault is named after, and what reads it.
    """
    for path, read in paths:
        try:
            yield read()
        except DataError as error:
            yield Fault(path, str(error))
