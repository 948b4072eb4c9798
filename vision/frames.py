"""Results of every vision task as a pandas table, for those who go on with it (the extra ``pandas``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.errors import UsageError
from shared.lazy import require
from shared.tasks import TimedResult
from shared.types import Failure, Result
from vision.types import Classification, Detections, Faces, Segmentation

if TYPE_CHECKING:
    import pandas

EXTRA = "pandas"
_BOX = ("x1", "y1", "x2", "y2")
_PARTS = ("quality_size", "quality_sharpness", "quality_frontality")
_POSE = ("yaw", "pitch", "roll")


def to_frame(
    results: Iterable[Result | TimedResult], *, inputs: Sequence[object] | None = None, polygons: bool = False
) -> pandas.DataFrame:
    """Results as a table, a row for each class of a :class:`~vision.types.Classification`, box, segment or face.

    Args:
        results: what a predictor answered, failures too; or the frames of a video (:func:`vision.video.video_results`).
        inputs: what each result is of, in the same order; becomes the column ``input``.
        polygons: whether the outlines of segments are given, in a column of lists of (n, 2) arrays.

    Returns:
        The columns ``item`` (position among the results, from 0), ``input`` where given, ``frame`` and ``time`` of a
        video, then those of the results: ``label``, ``class_id``, ``score``, the corners ``x1``, ``y1``, ``x2``, ``y2``
        in pixels, ``track_id``, ``area`` and ``share`` of segments, quality, pose and ``embedding`` of faces. A failure
        has one row with ``error`` and ``message``; a result of nothing (no box, no face) has none.

    Raises:
        UsageError: a result is of no vision task, or ``inputs`` has another length than the results.
        MissingDependencyError: the extra ``pandas`` is not installed.

    Example:
        >>> found = Detections(("cat",), (9, 9), np.float32([[1, 2, 3, 4]]), np.float32([0.5]), np.int32([17]))
        >>> to_frame([found], inputs=["a.jpg"])[["input", "label", "x2"]].values.tolist()
        [['a.jpg', 'cat', 3.0]]
    """
    library = require("pandas", extra=EXTRA)
    missing = object()
    rows: list[dict[str, Any]] = []
    pairs = zip_longest(results, inputs, fillvalue=missing) if inputs is not None else ((r, missing) for r in results)
    for item, (given, name) in enumerate(pairs):
        if given is missing or (inputs is not None and name is missing):
            raise UsageError(
                f"inputs must name each result. Got {len(inputs or ())} inputs for another number of results"
            )
        head: dict[str, Any] = {"item": item} | ({} if inputs is None else {"input": str(name)})
        result: Any = given
        if isinstance(given, TimedResult):
            head |= {"frame": given.frame, "time": given.time}
            result = given.result
        rows += [head | row for row in _rows(result, polygons=polygons)]
    first = ["item"] + ["input"] * (inputs is not None)
    table: pandas.DataFrame = library.DataFrame(rows, columns=None if rows else first)
    return table


def _rows(result: Result, *, polygons: bool) -> list[dict[str, Any]]:
    if isinstance(result, Failure):
        return [{"error": result.kind, "message": result.message}]
    if isinstance(result, Classification):
        return _columns(label=result.labels, class_id=result.class_ids, score=result.scores)
    if isinstance(result, Detections):
        ids = getattr(result, "track_ids", None)
        extra = {} if ids is None else {"track_id": ids}
        corners = dict(zip(_BOX, result.xyxy.T))
        return _columns(label=result.labels, class_id=result.class_ids, score=result.scores, **corners, **extra)
    if isinstance(result, Segmentation):
        corners = dict(zip(_BOX, result.xyxy.T))
        sizes = {"area": result.areas, "share": result.shares}
        rows = _columns(label=result.labels, class_id=result.class_ids, score=result.scores, **corners, **sizes)
        return [row | {"polygons": result.polygons(at)} for at, row in enumerate(rows)] if polygons else rows
    if isinstance(result, Faces):
        columns = dict(zip(_BOX, result.xyxy.T)) | {"quality": result.quality}
        columns |= dict(zip(_PARTS, result.quality_parts.T)) | dict(zip(_POSE, result.pose.T))
        rows = _columns(score=result.scores, **columns)
        if result.embeddings is None:
            return rows
        return [row | {"embedding": vector} for row, vector in zip(rows, result.embeddings)]
    raise UsageError(f"a result must be one of a vision task, or a failure. Got {type(result).__name__} instead")


def _columns(**columns: Any) -> list[dict[str, Any]]:
    """A dict a row, of plain Python values."""
    plain = {name: values.tolist() if isinstance(values, np.ndarray) else values for name, values in columns.items()}
    return [dict(zip(plain, row)) for row in zip(*plain.values())]
