"""Fine-tune an image classifier on torch: a new last layer over a torchvision backbone, frozen or trained with it.

With a frozen backbone the pictures go through it once, in several random views each, and only the last layer is
trained on what came out: seconds instead of minutes.
"""

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
from vision.training.backbone import DEFAULT_BACKBONE, IMAGENET, MEAN, NONE, STD
from vision.training.classifier import TRAINABLE, Recipe, evaluate, learn
from vision.training.labelled import read_data
from vision.training.learnt import BACKEND, GRAPH
from vision.training.options import BACKBONE, SCHEDULE, check_size

ROOM = 512_000_000
LIMITS = (
    "Every picture gets one of these classes, also one that shows none of them. What the classes mean is what the "
    "pictures of the training show, and nothing beyond."
)
USUAL = {"head": (60, 32, 5e-3, 1.0), "all": (20, 32, 1e-3, 0.1)}
"""Epochs, batch size, learning rate and its factor for the backbone, where they are not given."""

TRAIN_OPTIONS = (
    *BACKBONE,
    Option("trainable", str, "head", "head: the backbone stays as it is (seconds); all: it is trained too"),
    Option("epochs", int, None, "passes over the pictures at most; 60 of the head, 20 of all layers"),
    *SCHEDULE,
    Option("patience", int, 15, "epochs without a better score after which training stops; 0 never"),
    Option("class_weight", str, "none", "none, or balanced: every class counts the same however many pictures it has"),
    Option("size", int, 224, "side of the square that the network sees, in pixels"),
    Option("resize", int, 256, "shorter side of a picture before that square is cut out, in pixels"),
    Option("flips", str, "horizontal", f"mirror images that are shown too: {', '.join(FLIPS)}"),
    Option("views", int, 8, "random views of each picture that a frozen backbone sees, at least 1"),
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
    trainable: str = "head",
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float = 1e-4,
    patience: int = 15,
    class_weight: str = "none",
    size: int = 224,
    resize: int = 256,
    flips: str = "horizontal",
    views: int = 8,
    val_share: float = 0.2,
    data_licence: str = "not stated",
    licence: str = "Apache-2.0",
    summary: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> dict[str, Any]:
    """Fine-tune a classifier and save it as a model folder, named like the folder; goes on where a kill stopped it.

    Args:
        dataset: labelled pictures; see :func:`vision.datasets.read_labelled_images`. With folders ``train`` and ``val``
            (or ``valid``, ``validation``, ``test``) in it these are the two sides, else a part of every class is kept
            for validation.
        out: the folder to write: new, empty, or of this very training.
        format: of the data set; ``None`` looks.
        seed: of the split, the new layer, the order and the random views.
        backbone: a torchvision classifier that ends in a linear layer.
        weights: see :func:`vision.training.backbone.build_backbone`.
        trainable: ``"head"`` or ``"all"``.
        epochs: passes over the pictures at most.
        batch_size: pictures of one step.
        learning_rate: highest rate of the new layer; trained layers below have a tenth of it.
        weight_decay: shrinkage of the weights.
        patience: epochs without a better score after which training stops; 0 never.
        class_weight: ``"none"``, or ``"balanced"``: then macro F1 chooses the best epoch instead of accuracy.
        size: side of the network's square in pixels.
        resize: shorter side of a picture before the square is cut out, in pixels, at least ``size``.
        flips: one of :data:`vision.training.augment.FLIPS`.
        views: random views of each picture that a frozen backbone sees.
        val_share: share of every class that is kept for validation where the data has no part for it.
        data_licence: for the card.
        licence: SPDX identifier for the card.
        summary: one line for the card.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads; ``None`` uses every processor of this process.

    Returns:
        A JSON-ready report.

    Raises:
        UsageError: an option is out of its range, or ``out`` cannot be used.
        DataError: the data set is malformed, has fewer than two classes, or no picture of a class that can be read.
        PlanMismatchError: ``out`` was begun under another plan.
        MissingDependencyError: torch is not installed.
    """
    check_choice("trainable", trainable, TRAINABLE)
    check_choice("class_weight", class_weight, WEIGHTINGS)
    check_flips(flips)
    check_seed(seed)
    check_size("size", size)
    check_size("resize", resize, least=size)
    if views < 1:
        raise UsageError(f"views must be at least 1. Got {views} instead")
    if weights == NONE and trainable == "head":
        raise UsageError("weights must not be none where only the head is trained: give weights, or --trainable all")
    usual = USUAL[trainable]
    schedule = Schedule(
        usual[0] if epochs is None else epochs,
        usual[1] if batch_size is None else batch_size,
        usual[2] if learning_rate is None else learning_rate,
        weight_decay,
        patience,
        usual[3],
    )
    recipe = Recipe(backbone, weights, trainable, schedule, class_weight, size, resize, flips, views, seed)
    machine = choose_device(device, threads)
    data = read_data(dataset, format=format, val_share=val_share, seed=seed)
    table = recipe_table(recipe)
    stated = Stated(licence, data_licence, summary)
    plan = {"task": "vision.classification", "data": data.digest, "recipe": table, "card": vars(stated)}
    with open_train_folder(out, plan, room=ROOM) as folder:
        done = folder.report()
        if done is not None:
            return done
        learnt = learn(data, recipe, folder, machine)
        graph = to_onnx(
            lambda pixels: [learnt.network(pixels)],
            learnt.network,
            outputs=["logits"],
            size=(size, size),
            mean=MEAN,
            std=STD,
        )
        options = {"size": size, "resize": resize}
        model = Made("vision.classification", "image-classifier", BACKEND, data.labels, options, {GRAPH: graph}, LIMITS)
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
