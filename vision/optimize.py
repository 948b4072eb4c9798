"""The fastest form of a model for this machine that gives the same answers: tried, measured, refused if it does not.

What counts as the same is stated for each kind of result: for :class:`~vision.types.Classification` the share of
pictures with the same best class; for :class:`~vision.types.Detections` the overlap of matched boxes, and for
:class:`~vision.types.Segmentation` that of matched masks, with what only one of the two found counted as no overlap.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.backends import open_backend
from shared.backends.forms import PRECISIONS, Precision, convert, without_gain
from shared.backends.trials import Tried, differs_too_much, form_name, not_worth_it, paired_speed
from shared.batch.sources import expand
from shared.catalogue import ModelCard, optimized_folder
from shared.errors import BackendError, MissingDependencyError, UnknownNameError, UsageError
from shared.predictor import Predictor
from shared.types import AnyArray, Failure, Result
from shared.weights import write_model_folder
from vision.boxes import box_iou
from vision.detection.prepare import Letterbox
from vision.families import open_model
from vision.masks import rle_iou
from vision.opening import GRAPHS
from vision.tensors import feeder
from vision.types import Classification, Detections, Segmentation

BOUNDS = {"vision.classification": 0.99, "vision.detection": 0.95, "vision.segmentation": 0.95}
"""Agreement that a form must reach unless the user says another, by task."""
IMAGES = 64


def optimize(
    model: str | Path,
    *,
    task: str,
    open: Callable[..., Predictor[Any, Any]],
    images: Path,
    out: Path | None = None,
    precision: str = "auto",
    bound: float | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Try the forms of a model, and write the fastest that answers like the original into a model folder.

    Half of the images calibrate, the other half judge; where there is only one it does both.

    Args:
        model: any name that the task's opener takes.
        task: which task it serves.
        open: that task's opener.
        images: folder of typical images; the first :data:`IMAGES` are used.
        out: folder to write; ``None``: ``TRIPTYCH_HOME/optimized/NAME-PRECISION``, whose model is from then on known
            by the name ``NAME-PRECISION``.
        precision: one of :data:`shared.backends.forms.PRECISIONS`, or ``"auto"`` for all that this machine can run.
        bound: least agreement with the original, in [0, 1]; ``None`` takes :data:`BOUNDS`.
        threads: processor threads of both.

    Returns:
        JSON-ready: ``model``, ``task``, ``images``, ``bound``, ``tried`` (a row a form), ``written`` (a folder or
        ``None``), ``name`` (by which it is opened from now on, or ``None``).

    Raises:
        UsageError: ``bound`` is outside [0, 1], there are no images, or none of them can be read.
        UnknownNameError: no precision is called that, or the task's forms cannot be compared.
    """
    if precision not in ("auto", *PRECISIONS):
        raise UnknownNameError("precision", precision, ("auto", *PRECISIONS))
    if task not in BOUNDS:
        raise UnknownNameError("task whose models can be optimised", task, BOUNDS)
    least = BOUNDS[task] if bound is None else bound
    if not 0 <= least <= 1:
        raise UsageError(f"bound must lie in [0, 1]. Got {least} instead")
    files = [str(file) for file, _ in zip(expand(str(images)), range(IMAGES))]
    base = open(model, threads=threads)
    usable = [f for f, r in zip(files, base.stream(files)) if not isinstance(r, Failure)]
    if not usable:
        raise UsageError(f"{images} must hold images that can be read. Got {len(files)} files, none of them usable")
    judged, typical = usable[::2], usable[1::2] or usable
    source = open_model(model, task=task)
    graph = next(path for name, path in source.files.items() if name.endswith(GRAPHS))
    feeds = _feeds(base, graph, source.card, typical)
    wanted = PRECISIONS if precision == "auto" else tuple(p for p in PRECISIONS if p == precision)
    folders = {p: out or optimized_folder() / form_name(source.card, p) for p in wanted}
    trial = _Trial(base, source.card, graph, feeds, judged, least, lambda folder: open(folder, threads=threads))
    kept: tuple[Tried, ModelCard, dict[str, bytes]] | None = None
    rows = []
    for form in wanted:
        row, card, content = _tried(trial, form)
        rows.append(row)
        if not row.refused and (kept is None or (row.speed or 0) > (kept[0].speed or 0)):
            kept = row, card, content
    written = None
    if kept:
        written = folders[kept[0].precision]
        write_model_folder(written, kept[1], kept[2])
    return {
        "model": source.card.name,
        "task": task,
        "images": len(judged),
        "bound": least,
        "tried": [dataclasses.asdict(row) for row in rows],
        "written": str(written) if written else None,
        "name": kept[1].name if kept and out is None else None,
    }


@dataclass(frozen=True)
class _Trial:
    """What every form of one model is held against."""

    base: Predictor[Any, Any]
    card: ModelCard
    graph: Path
    feeds: Sequence[AnyArray]
    judged: Sequence[str]
    least: float
    open: Callable[[Path], Predictor[Any, Any]]


def _tried(trial: _Trial, form: Precision) -> tuple[Tried, ModelCard, dict[str, bytes]]:
    """One form: made, opened from a folder of its own, compared and timed."""
    card, judged = trial.card, list(trial.judged)
    useless = without_gain(form)
    if useless:
        return Tried(form, None, None, useless), card, {}
    try:
        content = convert(trial.graph, form, trial.feeds)
    except (MissingDependencyError, BackendError) as error:
        return Tried(form, None, None, str(error)), card, {}
    facts = {"optimised_from": card.name, "precision": form}
    name = form_name(card, form)
    made = dataclasses.replace(card, name=name, backend="openvino", options={**card.options, **facts})
    with tempfile.TemporaryDirectory() as folder:
        write_model_folder(Path(folder), made, content)
        try:
            candidate = trial.open(Path(folder))
            found = agreement(trial.base.predict(judged), candidate.predict(judged))
        except BackendError as error:
            return Tried(form, None, None, str(error)), card, {}
        reason = differs_too_much(found, trial.least)
        if reason:
            return Tried(form, found, None, reason), card, {}
        speed = paired_speed(lambda: trial.base.predict(judged), lambda: candidate.predict(judged))
    reason = not_worth_it(speed)
    if reason:
        return Tried(form, found, speed, reason), card, {}
    measured = {"agreement": round(found, 4), "speed": round(speed, 3), "judged_on": len(judged)}
    return Tried(form, found, speed, ""), dataclasses.replace(made, options={**made.options, **measured}), content


def agreement(first: Sequence[Result | Failure], second: Sequence[Result | Failure]) -> float:
    """How far two models say the same of the same pictures, in [0, 1].

    Args:
        first: results of one model, at least one.
        second: the other's, of the same length and kind.

    Example:
        >>> cat, dog = (Classification((c,), np.float32([0.9]), np.int32([i])) for i, c in enumerate(("cat", "dog")))
        >>> agreement([cat, cat], [cat, dog])
        0.5
    """
    return float(np.mean([_agreement(a, b) for a, b in zip(first, second, strict=True)]))


def _agreement(first: Result | Failure, second: Result | Failure) -> float:
    if isinstance(first, Classification) and isinstance(second, Classification):
        return float(first.class_ids[:1].tolist() == second.class_ids[:1].tolist())
    if isinstance(first, Detections) and isinstance(second, Detections):
        return _matched(box_iou(first.xyxy, second.xyxy), first.class_ids, second.class_ids)
    if isinstance(first, Segmentation) and isinstance(second, Segmentation):
        if first.alpha is not None and second.alpha is not None:
            return 1 - float(np.abs(first.alpha.astype(np.float64) - second.alpha).mean()) / 255
        return _matched(rle_iou(first.masks, second.masks), first.class_ids, second.class_ids)
    return float(type(first) is type(second))


def _matched(overlaps: AnyArray, first: AnyArray, second: AnyArray) -> float:
    """Twice the overlap of what matches, over all that either found; 1 where neither found anything."""
    total = len(first) + len(second)
    if not total:
        return 1.0
    left = np.where(first[:, None] == second[None, :], overlaps, 0.0)
    summed = 0.0
    while left.size and left.max() > 0:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        summed += float(left[row, column])
        left = np.delete(np.delete(left, row, axis=0), column, axis=1)
    return 2 * summed / total


def _feeds(base: Any, graph: Path, card: ModelCard, files: Sequence[str]) -> list[AnyArray]:
    """What the graph is given for these files."""
    options: Mapping[str, Any] = card.options
    spec = open_backend(card.backend, graph, threads=1).inputs[0]
    feed = feeder(spec, options)
    prepared = [base.prepare(file) for file in files]
    return [feed(given.pixels if isinstance(given, Letterbox) else given) for given in prepared]
