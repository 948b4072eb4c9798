"""ultralytics' training of its own detectors, for users who ask for it: the library and what it trains are AGPL-3.0.

It keeps its own state in ``OUT/_train/ultralytics``, among it checkpoints in its own pickled form; they are read by its
restricted loader alone, and removed once the model is exported.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.training.finish import Made
from shared.training.folder import Reached, TrainFolder
from shared.weights.cache import sha256_of
from shared.weights.exports import Checkpoint
from shared.weights.words import say
from vision.families.bare import AGPL
from vision.families.ultralytics import LIBRARY, export, from_name, from_path, load
from vision.formats import BoxedImage
from vision.formats.write import YoloWriter
from vision.training.backbone import IMAGENET, NONE, Weights
from vision.training.boxed import Boxed
from vision.training.detector import Recipe, corner_view
from vision.training.learnt import BACKEND, GRAPH, Learnt
from vision.training.pictures import Skipped, sift

TASK = "vision.detection"
DEFAULT = "yolo11n"
MULTIPLE = 32
LIMITS = (
    "Trained by ultralytics, under AGPL-3.0 as the library is: whoever offers it over a network must offer the source "
    "of the whole too. It finds things of these classes that look as they do in the training pictures."
)
_METRIC = "metrics/mAP50-95(B)"


def learn(data: Boxed, recipe: Recipe, folder: TrainFolder, device: Any) -> tuple[Learnt, Made]:
    """Train, or go on training, one of ultralytics' detectors.

    Args:
        data: pictures and boxes.
        recipe: of which ``weights`` (``"imagenet"`` stands for :data:`DEFAULT`; else a catalogue name or a ``.pt``
            file), ``schedule``'s epochs, batch size and patience, ``size`` and ``seed`` are used.
        folder: of the training.
        device: torch's.

    Raises:
        UsageError: the size is no multiple of 32, or ``weights`` is ``"none"``.
        DataError: no picture can be read, or the state or the weights are damaged.
        MissingDependencyError: ultralytics is not installed.
    """
    if recipe.size % MULTIPLE:
        raise UsageError(f"size must be a multiple of {MULTIPLE} for ultralytics. Got {recipe.size} instead")
    if recipe.weights == NONE:
        raise UsageError("weights must be a checkpoint of ultralytics, such as yolo11n. Got 'none' instead")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    library = require("ultralytics", extra=LIBRARY)
    say(f"ultralytics is under {AGPL}, and so is what it trains: see its licence before you offer it to others")
    start = _checkpoint(recipe.weights)
    home = folder.inner / LIBRARY
    train, skipped = _readable(data.train, recipe.size)
    val, skipped_val = _readable(data.val, recipe.size)
    table = write_data(home / "data", data.labels, train, val)
    last, best = (home / "run/weights" / f"{which}.pt" for which in ("last", "best"))
    schedule = recipe.schedule
    if last.exists():
        load(last)
    library.YOLO(str(last if last.exists() else start)).train(
        data=str(table),
        epochs=schedule.epochs,
        batch=schedule.batch_size,
        patience=schedule.patience or schedule.epochs,
        imgsz=recipe.size,
        seed=recipe.seed,
        deterministic=True,
        resume=last.exists(),
        project=str(home),
        name="run",
        exist_ok=True,
        device=0 if device.type == "cuda" else "cpu",
        workers=0,
        plots=False,
        verbose=False,
    )
    made = export(Checkpoint(LIBRARY, "model", {"model.pt": best}, {"size": recipe.size}, AGPL, AGPL), TASK)
    (graph,) = made.files.values()
    options = {key: value for key, value in made.card.options.items() if key != "labels"}
    left_out = (*data.faults, *skipped, *skipped_val)
    reached, weights = _reached(home / "run/results.csv"), Weights(start.name, sha256_of(start))
    learnt = Learnt(None, reached, "map", len(train), len(val), left_out, weights)
    return learnt, Made(TASK, made.card.family, BACKEND, data.labels, options, {GRAPH: graph}, LIMITS, AGPL)


def clean(folder: TrainFolder) -> None:
    """Remove ultralytics' own state, once the model is saved."""
    shutil.rmtree(folder.inner / LIBRARY, ignore_errors=True)


def write_data(root: Path, labels: Sequence[str], train: Sequence[BoxedImage], val: Sequence[BoxedImage]) -> Path:
    """The data as ultralytics reads it, with links to the pictures; returns the file that names it all."""
    writer = YoloWriter(root, dict(enumerate(labels)))
    for split, images in (("train", train), ("val", val)):
        for at, image in enumerate(images):
            name = f"{at:07d}{Path(image.path).suffix.lower()}"
            link = root / writer.images(split) / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(Path(image.path).resolve())
            writer.add(without_crowds(replace(image, name=name, split=split)))
    writer.finish()
    return root / "data.yaml"


def without_crowds(image: BoxedImage) -> BoxedImage:
    """The image without the boxes that hold many things, which no detector can be taught by."""
    single = ~image.crowd
    return replace(
        image,
        xyxy=image.xyxy[single],
        class_ids=image.class_ids[single],
        areas=image.areas[single],
        crowd=image.crowd[single],
        difficult=image.difficult[single],
        outlines=tuple(outline for outline, keep in zip(image.outlines, single) if keep),
    )


def _readable(images: Sequence[BoxedImage], size: int) -> tuple[list[BoxedImage], list[Skipped]]:
    _, kept, skipped = sift([image.path for image in images], corner_view((size, size)), memory=0)
    return [images[at] for at in kept], skipped


def _checkpoint(weights: str) -> Path:
    """The file that training begins with, read once by the restricted loader.

    Raises:
        UsageError: nothing is called that.
        DataError: it is no checkpoint of ultralytics' own classes.
    """
    name = DEFAULT if weights == IMAGENET else weights
    path = Path(name).expanduser()
    found = from_path(path, task=TASK) if path.is_file() else from_name(name, task=TASK)
    load(found.files["model.pt"])
    return found.files["model.pt"]


def _reached(results: Path) -> Reached:
    """The history that ultralytics wrote.

    Raises:
        DataError: it is not there.
    """
    try:
        lines = results.read_text("utf-8").splitlines()
        rows = [{key.strip(): float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
        history, before = {}, 0.0
        for row in rows:  # a resumed run counts its seconds anew, and repeats the epoch in which it was stopped
            seconds = row["time"] - before if row["time"] >= before else row["time"]
            loss = sum(value for key, value in row.items() if key.startswith("train/"))
            history[int(row["epoch"])] = {
                "epoch": int(row["epoch"]),
                "loss": round(loss, 5),
                "map": row[_METRIC],
                "seconds": round(seconds, 2),
            }
            before = row["time"]
        best = max(history.values(), key=lambda row: row["map"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{results} must hold the history of a training of ultralytics. {error!r}") from error
    spent = sum(row["seconds"] for row in history.values())
    return Reached(len(history), int(best["epoch"]), best["map"], spent, tuple(history.values()))
