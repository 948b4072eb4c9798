"""Train an object detector on torch: a slim FCOS over a torchvision backbone, or ultralytics' own where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.errors import UsageError
from shared.tasks import Option
from shared.training.finish import Made, Stated, finish
from shared.training.folder import TrainFolder, open_train_folder
from shared.training.loop import Schedule, choose_device
from shared.training.options import CARD, DATA, MACHINE, check_choice, check_seed, recipe_table
from vision.families.agreement import same_boxes
from vision.families.onnx import to_onnx
from vision.training import ultralytics
from vision.training.augment import FLIPS, check_flips
from vision.training.backbone import DEFAULT_BACKBONE, IMAGENET, MEAN, STD
from vision.training.boxed import Boxed, read_data
from vision.training.detector import IOU_THRESHOLD, PAD, Recipe, evaluate, learn
from vision.training.learnt import BACKEND, GRAPH, Learnt
from vision.training.options import BACKBONE, SCHEDULE, TRAINABLE, check_size, check_start

TRAINERS = ("torchvision", "ultralytics")
ROOM = 512_000_000
BATCH_SIZE, LEARNING_RATE, BACKBONE_RATE = 8, 2e-3, 0.3
LIMITS = (
    "It finds things of these classes that look as they do in the training pictures, at about their size there; things "
    "smaller than a thirtieth of the picture's longer side are easily missed."
)

TRAIN_OPTIONS = (
    Option("trainer", str, "torchvision", f"{' or '.join(TRAINERS)} (AGPL-3.0, its own extra)"),
    *BACKBONE,
    Option("trainable", str, "top", "layers of the backbone that are trained: head (none), top (past stride 8) or all"),
    Option("epochs", int, 24, "passes over the pictures at most, at least 1"),
    *SCHEDULE,
    Option("patience", int, 0, "epochs without a better score after which training stops; 0 never"),
    Option("size", int, 320, "longer side of the rectangle that the network sees, in pixels"),
    Option("channels", int, 64, "of the pyramid and the heads, a multiple of 32 from 64 on"),
    Option("convs", int, 2, "layers of each head, at least 1"),
    Option("flips", str, "horizontal", f"mirror images that are shown too: {', '.join(FLIPS)}"),
    Option("images", str, None, "folder of the images that the annotations name; found beside them if not given"),
    Option("train_split", str, None, "part of the data to learn from; its own train where it has train and val"),
    Option("val_split", str, None, "part of the data for validation; its own val where it has train and val"),
    *DATA,
    *CARD,
    *MACHINE,
)


def train(
    dataset: Path,
    out: Path,
    *,
    format: str | None = None,
    seed: int = 0,
    trainer: str = "torchvision",
    backbone: str = DEFAULT_BACKBONE,
    weights: str = IMAGENET,
    trainable: str = "top",
    epochs: int = 24,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float = 1e-4,
    patience: int = 0,
    size: int = 320,
    channels: int = 64,
    convs: int = 2,
    flips: str = "horizontal",
    images: str | None = None,
    train_split: str | None = None,
    val_split: str | None = None,
    val_share: float = 0.2,
    data_licence: str = "not stated",
    licence: str = "Apache-2.0",
    summary: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> dict[str, Any]:
    """Train a detector and save it as a model folder, named like the folder; goes on where a kill stopped it.

    Args:
        dataset: COCO, VOC or YOLO annotations; see :func:`vision.datasets.read_boxed_images`.
        out: the folder to write: new, empty, or of this very training.
        format: of the data set; ``None`` looks.
        seed: of the split, the new layers, the order and the random changes.
        trainer: ``"torchvision"``, or ``"ultralytics"``, which trains one of its own networks (``weights``, such as
            ``yolo11n`` or a ``.pt`` file; ``"imagenet"`` stands for the first) its own way: of the other options only
            ``epochs``, ``batch_size``, ``size``, ``patience`` and ``seed`` are used, and the model is under AGPL-3.0.
        backbone: a torchvision classifier with feature maps at strides 8, 16 and 32.
        weights: see :func:`vision.training.backbone.build_backbone`.
        trainable: ``"head"``, ``"top"`` or ``"all"``; see :func:`vision.training.backbone.freeze`.
        epochs: passes over the pictures at most.
        batch_size: pictures of one step; 8 where it is not given.
        learning_rate: highest rate of the new layers; the backbone has 0.3 of it.
        weight_decay: shrinkage of the weights.
        patience: epochs without a better score after which training stops; 0 never.
        size: longer side of the network's rectangle in pixels; its ratio is that of the usual training picture.
        channels: of the pyramid and the heads, a multiple of 32 from 64 on.
        convs: layers of each head.
        flips: one of :data:`vision.training.augment.FLIPS`.
        images: folder of the images that the annotations name.
        train_split: part of the data to learn from; without it the data's own ``train`` and ``val``, where it has both,
            else a part is kept for validation.
        val_split: part of the data for validation.
        val_share: share that is kept for validation where the data has no part for it.
        data_licence: for the card.
        licence: SPDX identifier for the card.
        summary: one line for the card.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads; ``None`` uses every processor of this process.

    Returns:
        A JSON-ready report.

    Raises:
        UsageError: an option is out of its range, or ``out`` cannot be used.
        DataError: the data set is malformed as a whole, or holds no things.
        PlanMismatchError: ``out`` was begun under another plan.
        MissingDependencyError: torch, or ultralytics where it was asked for, is not installed.
    """
    check_choice("trainer", trainer, TRAINERS)
    check_choice("trainable", trainable, TRAINABLE)
    check_flips(flips)
    check_seed(seed)
    check_size("size", size, least=64)
    if channels < 64 or channels % 32:
        raise UsageError(f"channels must be a multiple of 32 from 64 on. Got {channels} instead")
    if convs < 1:
        raise UsageError(f"convs must be at least 1. Got {convs} instead")
    check_start(weights, trainable)
    schedule = Schedule(
        epochs,
        BATCH_SIZE if batch_size is None else batch_size,
        LEARNING_RATE if learning_rate is None else learning_rate,
        weight_decay,
        patience,
        BACKBONE_RATE,
    )
    recipe = Recipe(backbone, weights, trainable, schedule, size, channels, convs, flips, seed)
    machine = choose_device(device, threads)
    data = read_data(
        dataset,
        format=format,
        images=images,
        train_split=train_split,
        val_split=val_split,
        val_share=val_share,
        seed=seed,
    )
    table = recipe_table(recipe)
    stated = Stated(licence, data_licence, summary)
    plan = {"task": "vision.detection", "trainer": trainer, "data": data.digest, "recipe": table, "card": vars(stated)}
    with open_train_folder(out, plan, room=ROOM) as folder:
        done = folder.report()
        if done is not None:
            return done
        if trainer == "ultralytics":
            learnt, model = ultralytics.learn(data, recipe, folder, machine)
        else:
            learnt, model = _slim(data, recipe, folder, machine)
        report = finish(
            folder,
            model,
            learnt.course,
            stated,
            dataset=dataset,
            digest=data.digest,
            split=data.split,
            recipe={"trainer": trainer, **table},
            evaluate=lambda saved: evaluate(saved, data, threads=threads, seed=seed),
        )
        if trainer == "ultralytics":
            ultralytics.clean(folder)
        return report


def _slim(data: Boxed, recipe: Recipe, folder: TrainFolder, device: Any) -> tuple[Learnt, Made]:
    """Train our own, and export it."""
    learnt, shape, answer = learn(data, recipe, folder, device)
    graph = to_onnx(
        answer, answer, outputs=["boxes", "scores", "labels"], size=shape, mean=MEAN, std=STD, agree=same_boxes
    )
    options = {"size": list(shape), "fit": "corner", "pad": PAD, "iou_threshold": IOU_THRESHOLD}
    return learnt, Made("vision.detection", "boxes", BACKEND, data.labels, options, {GRAPH: graph}, LIMITS)
