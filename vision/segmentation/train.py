"""Train a segmenter of classes on torch, from pictures and masks: a light head over a torchvision backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.errors import UsageError
from shared.tasks import Option
from shared.training.finish import Made, Stated, finish
from shared.training.folder import open_train_folder
from shared.training.loop import Schedule, choose_device
from shared.training.options import CARD, DATA, MACHINE, WEIGHTINGS, check_choice, check_seed, recipe_table
from vision.families.onnx import to_onnx
from vision.training.augment import FLIPS, check_flips
from vision.training.backbone import DEFAULT_BACKBONE, IMAGENET, MEAN, STD
from vision.training.learnt import BACKEND, GRAPH
from vision.training.masked import read_data
from vision.training.options import BACKBONE, SCHEDULE, TRAINABLE, check_size, check_start
from vision.training.segmenter import Recipe, evaluate, learn

ROOM = 512_000_000
BATCH_SIZE, LEARNING_RATE, BACKBONE_RATE = 4, 3e-3, 0.2
LIMITS = (
    "Every pixel gets one of these classes, also one that shows none of them. Edges are true to about four pixels of "
    "the network's input."
)

TRAIN_OPTIONS = (
    *BACKBONE,
    Option("trainable", str, "top", "layers of the backbone that are trained: head (none), top (past stride 8) or all"),
    Option("epochs", int, 40, "passes over the pictures at most, at least 1"),
    *SCHEDULE,
    Option("patience", int, 0, "epochs without a better score after which training stops; 0 never"),
    Option("class_weight", str, "balanced", "none, or balanced: pixels of rare classes count more"),
    Option("size", int, 480, "longer side of the rectangle that the network sees, in pixels"),
    Option("channels", int, 64, "of the pyramid and the head, at least 8"),
    Option("flips", str, "horizontal", f"mirror images that are shown too: {', '.join(FLIPS)}"),
    Option("images", str, None, "folder of the images, where they do not lie beside the masks"),
    Option("train_split", str, None, "part of the data to learn from; train where it has that"),
    Option("val_split", str, None, "part of the data for validation; val where it has that"),
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
    backbone: str = DEFAULT_BACKBONE,
    weights: str = IMAGENET,
    trainable: str = "top",
    epochs: int = 40,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float = 1e-4,
    patience: int = 0,
    class_weight: str = "balanced",
    size: int = 480,
    channels: int = 64,
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
    """Train a segmenter and save it as a model folder, named like the folder; goes on where a kill stopped it.

    Args:
        dataset: images with masks; see :mod:`vision.segmentation.datasets`.
        out: the folder to write: new, empty, or of this very training.
        format: of the data set; ``None`` looks.
        seed: of the split, the new layers, the order and the random changes.
        backbone: a torchvision classifier with feature maps at strides 4, 8, 16 and 32.
        weights: see :func:`vision.training.backbone.build_backbone`.
        trainable: ``"head"``, ``"top"`` or ``"all"``; see :func:`vision.training.backbone.freeze`.
        epochs: passes over the pictures at most.
        batch_size: pictures of one step; 4 where it is not given.
        learning_rate: highest rate of the new layers; the backbone has 0.2 of it.
        weight_decay: shrinkage of the weights.
        patience: epochs without a better score after which training stops; 0 never.
        class_weight: ``"none"``, or ``"balanced"``: a pixel counts 1 / ln(1.02 + its class's share of all pixels).
        size: longer side of the network's rectangle in pixels; its ratio is that of the usual training picture.
        channels: of the pyramid and the head.
        flips: one of :data:`vision.training.augment.FLIPS`.
        images: folder of the images, where they do not lie beside the masks.
        train_split: part of the data to learn from; ``train`` where the data has that, else a part of the whole is kept
            for validation.
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
        DataError: the data set is malformed as a whole.
        PlanMismatchError: ``out`` was begun under another plan.
        MissingDependencyError: torch is not installed.
    """
    check_choice("trainable", trainable, TRAINABLE)
    check_choice("class_weight", class_weight, WEIGHTINGS)
    check_flips(flips)
    check_seed(seed)
    check_size("size", size, least=64)
    if channels < 8:
        raise UsageError(f"channels must be at least 8. Got {channels} instead")
    check_start(weights, trainable)
    schedule = Schedule(
        epochs,
        BATCH_SIZE if batch_size is None else batch_size,
        LEARNING_RATE if learning_rate is None else learning_rate,
        weight_decay,
        patience,
        BACKBONE_RATE,
    )
    recipe = Recipe(backbone, weights, trainable, schedule, class_weight, size, channels, flips, seed)
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
    plan = {"task": "vision.segmentation", "data": data.digest, "recipe": table, "card": vars(stated)}
    with open_train_folder(out, plan, room=ROOM) as folder:
        done = folder.report()
        if done is not None:
            return done
        learnt, shape = learn(data, recipe, folder, machine)
        options = {"size": list(shape), "fit": "stretch"}
        graph = to_onnx(
            lambda pixels: [learnt.network(pixels)],
            learnt.network,
            outputs=["scores"],
            size=shape,
            mean=MEAN,
            std=STD,
        )
        model = Made("vision.segmentation", "semantic", BACKEND, data.labels, options, {GRAPH: graph}, LIMITS)
        return finish(
            folder,
            model,
            learnt.course,
            stated,
            dataset=dataset,
            digest=data.digest,
            split=data.split,
            recipe=table,
            evaluate=lambda saved: evaluate(saved, data, threads=threads, seed=seed),
        )
