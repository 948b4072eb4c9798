"""How a segmenter of classes is trained: a feature pyramid over a torchvision backbone, and a light head.

The head follows LR-ASPP (A. Howard et al., "Searching for MobileNetV3", ICCV 2019): the deepest map, averaged over the
picture, gates the channels, and a shallow map adds its own scores for fine edges; below it stands a feature pyramid
(T.-Y. Lin et al., CVPR 2017). Class weights: A. Paszke et al., "ENet", 2016, section 5.2.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import vision
from shared.errors import DataError
from shared.evaluation.report import Metric
from shared.evaluation.segmentation import miou_score, pixel_confusion, segmentation_intervals
from shared.lazy import require
from shared.training.folder import TrainFolder
from shared.training.loop import Learner, Schedule, derived, fit
from shared.training.options import BALANCED
from shared.types import Failure, Int64, UInt8
from vision.images import View
from vision.segmentation.datasets import IGNORED, MaskedImages
from vision.training.augment import mask_transform, normalise
from vision.training.backbone import NONE, body_and_stages, build_backbone, freeze, freeze_norms
from vision.training.batches import batches, count_steps
from vision.training.detector import rectangle
from vision.training.learnt import Learnt
from vision.training.masked import Masked
from vision.training.pictures import Pictures, Skipped, sift, tell

DROPOUT = 0.1
LEAST_CROP = 0.35
"""Smallest share of a picture's area that a random view shows."""


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the names are those of the command's options.

    Attributes:
        backbone: torchvision's name of it.
        weights: what it begins with.
        trainable: ``"head"``, ``"top"`` or ``"all"`` layers.
        schedule: how long and how hard.
        class_weight: ``"none"``, or ``"balanced"``: rare classes count more.
        size: longer side of the network's rectangle in pixels.
        channels: of the pyramid and the head.
        flips: which mirror images are shown.
        seed: of everything random.
    """

    backbone: str
    weights: str
    trainable: str
    schedule: Schedule
    class_weight: str
    size: int
    channels: int
    flips: str
    seed: int


def build(recipe: Recipe, classes: int) -> tuple[Any, Any]:
    """The network before training, and where its backbone's weights came from.

    It maps normalised pixels (n, 3, rows, columns) to scores (n, classes, rows / 4, columns / 4).
    """
    torch = require("torch", extra="torch")
    pyramid = require("torchvision.ops", extra="torch").FeaturePyramidNetwork
    module: Any = torch.nn.Module
    nn, resized = torch.nn, torch.nn.functional.interpolate
    classifier, weights = build_backbone(recipe.backbone, recipe.weights)
    if weights.source != NONE:
        freeze_norms(classifier)
    body, stages = body_and_stages(classifier)
    freeze(body, stages, recipe.trainable)
    names = [stage.name for stage in stages]
    channels, deepest = recipe.channels, stages[-1].channels

    class Segmenter(module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = body
            self.pyramid = pyramid([stage.channels for stage in stages[1:]], channels)
            self.fuse = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
            )
            self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(deepest, channels, 1), nn.Sigmoid())
            self.scores = nn.Sequential(nn.Dropout(DROPOUT), nn.Conv2d(channels, classes, 1))
            self.edges = nn.Conv2d(stages[0].channels, classes, 1)

        def forward(self, pixels: Any) -> Any:
            maps = []
            value = pixels
            for name, child in self.body.named_children():
                value = child(value)
                if name in names:
                    maps.append(value)
            deep = self.pyramid(OrderedDict(zip("abc", maps[1:])))["a"]
            scores = self.scores(self.fuse(deep) * self.gate(maps[-1]))
            return resized(scores, size=maps[0].shape[2:], mode="bilinear", align_corners=False) + self.edges(maps[0])

    return Segmenter(), weights


def learn(data: Masked, recipe: Recipe, folder: TrainFolder, device: Any) -> tuple[Learnt, tuple[int, int]]:
    """Train, or go on training; with it the size of the network's input.

    Raises:
        DataError: no picture with its mask can be read, or the training goes astray.
        WeightsError: the backbone's weights or the folder cannot be had.
    """
    torch = require("torch", extra="torch")
    torch.manual_seed(derived(recipe.seed))
    network, weights = build(recipe, len(data.labels))
    size = _shape(data, recipe.size)
    train, masks, skipped = _pairs(data.train, data, size)
    val, val_masks, skipped_val = _pairs(data.val, data, size)
    network.to(device).to(memory_format=torch.channels_last)
    change = mask_transform(size, recipe.flips, least=LEAST_CROP)
    cost = torch.nn.CrossEntropyLoss(weight=_weights(masks, len(data.labels), recipe).to(device), ignore_index=IGNORED)

    def made(at: int) -> tuple[Any, Any]:
        pixels = torch.from_numpy(train[at][0].copy()).permute(2, 0, 1)
        changed: tuple[Any, Any] = change(pixels, torch.from_numpy(masks[at]))
        return changed

    def collate(rows: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
        pixels = normalise(torch.stack([row[0] for row in rows]).to(device))
        answers = torch.stack([row[1] for row in rows]).to(device, torch.int64)
        return pixels.contiguous(memory_format=torch.channels_last), answers

    def loss(batch: tuple[Any, Any]) -> Any:
        return cost(_enlarged(network(batch[0]), batch[1].shape[1:]), batch[1])

    def score() -> float:
        total = np.zeros((len(data.labels), len(data.labels) + 1), np.int64)
        for at, truth in enumerate(val_masks):
            pixels = normalise(torch.from_numpy(val[at][0].copy()).permute(2, 0, 1)[None].to(device))
            scores = _enlarged(network(pixels.contiguous(memory_format=torch.channels_last)), truth.shape)
            found = scores[0].argmax(dim=0).cpu().numpy()
            total += pixel_confusion(truth, found, classes=len(data.labels), ignore=IGNORED)
        return float(miou_score(total))

    learner = Learner(
        network,
        len(masks),
        count_steps(len(masks), recipe.schedule.batch_size),
        lambda epoch: batches(made, collate, len(masks), recipe.schedule.batch_size, seed=recipe.seed, epoch=epoch),
        loss,
        score,
        "miou",
        lambda name: name.startswith("body."),
    )
    reached = fit(learner, recipe.schedule, folder, seed=recipe.seed)
    left_out = (*skipped, *skipped_val)
    return Learnt(network.cpu().eval(), reached, "miou", len(masks), len(val_masks), left_out, weights), size


def _enlarged(scores: Any, size: Sequence[int]) -> Any:
    resized = require("torch", extra="torch").nn.functional.interpolate
    return resized(scores, size=tuple(size), mode="bilinear", align_corners=False)


def _shape(data: Masked, longer: int) -> tuple[int, int]:
    """Rows and columns of the network's input, by the sizes of the masks."""
    sizes = []
    for _, mask in data.train:
        try:
            with Image.open(mask) as image:
                sizes.append((image.height, image.width))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # told where the mask is read whole
    return rectangle(sizes or [(1, 1)], longer)


def _pairs(
    pairs: Sequence[tuple[str, str]], data: Masked, size: tuple[int, int]
) -> tuple[Pictures, list[UInt8], list[Skipped]]:
    """Pictures and masks at the network's size; a pair of which one is bad, or whose sizes differ, is left out."""
    pictures, kept, skipped = sift([image for image, _ in pairs], lambda h, w: View((0, 0, w, h), size))
    masks: list[UInt8] = []
    good, bad = [], []
    known = dict.fromkeys(np.flatnonzero(data.numbers != IGNORED).tolist(), "")
    source = MaskedImages((), tuple(pairs[at][1] for at in kept), known)
    for at in range(len(kept)):
        path = source.masks[at]
        try:
            mask = source.truth(at)
        except DataError as error:
            bad.append(Skipped(path, "annotation", str(error)))
            continue
        outer = pictures[at][1]
        if mask.shape != outer:
            message = f"a mask must have its picture's size. {path} has {mask.shape}, its picture {outer}"
            bad.append(Skipped(path, "annotation", message))
            continue
        small = Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST)
        masks.append(data.numbers[np.asarray(small)])
        good.append(at)
    tell(bad, len(kept))
    pictures.only(good)
    return pictures, masks, [*skipped, *bad]


def _weights(masks: Sequence[UInt8], classes: int, recipe: Recipe) -> Any:
    """How much a pixel of each class counts: 1, or 1 / ln(1.02 + its share) scaled to a mean of 1."""
    counts = np.sum([np.bincount(mask.reshape(-1), minlength=256)[:classes] for mask in masks], axis=0)
    raw = 1 / np.log(1.02 + counts / max(counts.sum(), 1)) if recipe.class_weight == BALANCED else np.ones(classes)
    return require("torch", extra="torch").tensor(raw / raw.mean(), dtype=require("torch", extra="torch").float32)


def evaluate(model: Path, data: Masked, *, threads: int | None, seed: int) -> Mapping[str, Metric]:
    """Figures of a saved segmenter on the validation pictures at their own size, through its opener."""
    source = MaskedImages(
        tuple(image for image, _ in data.val),
        tuple(mask for _, mask in data.val),
        dict.fromkeys(np.flatnonzero(data.numbers != IGNORED).tolist(), ""),
    )
    classes = len(data.labels)
    counts: list[Int64] = []
    for at, result in enumerate(vision.segmenter(model, threads=threads).stream(source.images)):
        try:
            truth = data.numbers[source.truth(at)]
        except DataError:
            continue  # left out of the training too, and told
        if isinstance(result, Failure) or result.image_size != truth.shape:
            continue
        given = result.class_map(background=-1)
        counts.append(pixel_confusion(truth, given, classes=classes, ignore=IGNORED))
    return segmentation_intervals(np.stack(counts), rng=np.random.default_rng(seed))
