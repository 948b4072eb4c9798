"""Outlines of annotated things as masks of their pictures."""

from __future__ import annotations

import numpy as np

from shared.errors import DataError, UsageError
from vision.formats import BoxedImage
from vision.masks import Rle, pack_runs
from vision.polygons import polygons_mask


def outline_mask(image: BoxedImage, at: int, size: tuple[int, int]) -> Rle:
    """The mask of a thing's outline in its picture; of a thing without one that of its box.

    Raises:
        DataError: the outline is a run-length code that does not fit the picture.
    """
    outline = image.outlines[at]
    if isinstance(outline, dict):
        counts = outline["counts"]
        try:
            return Rle(size, counts if isinstance(counts, str) else pack_runs(np.array(counts)))
        except (UsageError, ValueError, TypeError) as error:
            raise DataError(f"an outline of {image.path} must be run lengths of its {size} pixels. {error}") from error
    x1, y1, x2, y2 = image.xyxy[at].tolist()
    polygons = [polygon for polygon in outline or () if len(polygon) >= 6] or [[x1, y1, x2, y1, x2, y2, x1, y2]]
    return polygons_mask([np.array(polygon) for polygon in polygons], *size)
