"""How a detector is trained: FCOS, torchvision's anchor-free detector, slim, over a torchvision backbone.

FCOS: Z. Tian, C. Shen, H. Chen and T. He, "FCOS: a simple and strong anchor-free object detector", TPAMI 2022; pyramid:
T.-Y. Lin et al., "Feature pyramid networks for object detection", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import vision
from shared.evaluation.detection import Found, Things, detection_figures, detection_scores, match_boxes
from shared.evaluation.report import Metric
from shared.lazy import require
from shared.training.folder import TrainFolder
from shared.training.loop import Learner, Schedule, derived, fit
from shared.types import AnyArray, Failure
from vision.boxes import nms
from vision.evaluate import EVALUATED_FROM
from vision.formats import BoxedImage
from vision.images import View
from vision.training.augment import box_transform, normalise
from vision.training.backbone import NONE, body_and_stages, build_backbone, freeze, freeze_norms
from vision.training.batches import batches, count_steps
from vision.training.boxed import Boxed
from vision.training.learnt import Learnt
from vision.training.pictures import Pictures, sift

PAD = 114
"""Value of the pixels around a picture that does not fill its rectangle."""
CANDIDATES = 300
"""Boxes that the graph answers, the best before suppression."""
IOU_THRESHOLD = 0.55
MULTIPLE = 32
_LEAST_SCORE = 0.01


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the names are those of the command's options.

    Attributes:
        backbone: torchvision's name of it.
        weights: what it begins with.
        trainable: ``"head"``, ``"top"`` or ``"all"`` layers.
        schedule: how long and how hard.
        size: longer side of the network's rectangle in pixels.
        channels: of the pyramid and the heads, a multiple of 32.
        convs: layers of each head.
        flips: which mirror images are shown.
        seed: of everything random.
    """

    backbone: str
    weights: str
    trainable: str
    schedule: Schedule
    size: int
    channels: int
    convs: int
    flips: str
    seed: int


def rectangle(sizes: Sequence[tuple[int, int]], longer: int) -> tuple[int, int]:
    """Rows and columns of the network's input: of the usual picture's ratio, sides multiples of :data:`MULTIPLE`.

    Example:
        >>> rectangle([(480, 640), (480, 640), (640, 480)], 320)
        (256, 320)
    """
    ratio = float(np.median([height / width for height, width in sizes]))
    rows, columns = (longer * ratio, longer) if ratio <= 1 else (longer, longer / ratio)
    return tuple(max(MULTIPLE, -(-round(side) // MULTIPLE) * MULTIPLE) for side in (rows, columns))  # type: ignore[return-value]


def build(recipe: Recipe, classes: int) -> tuple[Any, Any]:
    """The network before training, and where its backbone's weights came from."""
    detection = require("torchvision.models.detection.fcos", extra="torch")
    extractor = require("torchvision.models.detection.backbone_utils", extra="torch").BackboneWithFPN
    extra = require("torchvision.ops.feature_pyramid_network", extra="torch").LastLevelP6P7
    classifier, weights = build_backbone(recipe.backbone, recipe.weights)
    if weights.source != NONE:
        freeze_norms(classifier)
    body, stages = body_and_stages(classifier)
    freeze(body, stages, recipe.trainable)
    used = stages[1:]
    pyramid = extractor(
        body,
        {stage.name: str(at) for at, stage in enumerate(used)},
        [stage.channels for stage in used],
        recipe.channels,
        extra(recipe.channels, recipe.channels),
    )
    head = detection.FCOSHead(recipe.channels, 1, classes, recipe.convs)
    return detection.FCOS(pyramid, classes, head=head), weights


def grid(network: Any, size: tuple[int, int]) -> tuple[Any, list[int]]:
    """The cells of all levels for an input of that size, shape (cells, 4), and how many each level has."""
    torch = require("torch", extra="torch")
    listed = require("torchvision.models.detection.image_list", extra="torch").ImageList
    with torch.no_grad():
        pixels = torch.zeros(1, 3, *size)
        features = list(network.backbone(pixels).values())
        (cells,) = network.anchor_generator(listed(pixels, [size]), features)
    return cells, [feature.shape[2] * feature.shape[3] for feature in features]


def answering(network: Any, cells: Any) -> Any:
    """A module from normalised pixels of one picture, (1, 3, rows, columns), to its best boxes, scores and labels."""
    torch = require("torch", extra="torch")

    module: Any = torch.nn.Module

    class Answering(module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("cells", cells, persistent=False)

        def forward(self, pixels: Any) -> tuple[Any, Any, Any]:
            found = self.network.head(list(self.network.backbone(pixels).values()))
            scores = torch.sqrt(torch.sigmoid(found["cls_logits"][0]) * torch.sigmoid(found["bbox_ctrness"][0]))
            boxes = self.network.box_coder.decode(found["bbox_regression"][0], self.cells)
            flat = scores.flatten()
            best, places = torch.topk(flat, min(CANDIDATES, flat.shape[0]))
            rows = torch.div(places, scores.shape[1], rounding_mode="floor")
            return boxes[rows], best, places - rows * scores.shape[1]

    return Answering()


def learn(data: Boxed, recipe: Recipe, folder: TrainFolder, device: Any) -> tuple[Learnt, tuple[int, int], Any]:
    """Train, or go on training; with it the size of the network's input and the module to export.

    Raises:
        DataError: no picture can be read, or the training goes astray.
        WeightsError: the backbone's weights or the folder cannot be had.
    """
    torch = require("torch", extra="torch")
    torch.manual_seed(derived(recipe.seed))
    network, weights = build(recipe, len(data.labels))
    sizes = [image.size for image in data.train if image.size is not None]
    size = rectangle(sizes or [(1, 1)], recipe.size)
    pictures, kept, skipped = sift([image.path for image in data.train], corner_view(size))
    plain, kept_val, skipped_val = sift([image.path for image in data.val], corner_view(size))
    cells, level_sizes = grid(network.eval(), size)
    network.to(device).to(memory_format=torch.channels_last)
    cells = cells.to(device)
    change = box_transform(recipe.flips, PAD)
    train = [data.train[at] for at in kept]
    val = [data.val[at] for at in kept_val]
    answer = answering(network, cells)

    def collate(rows: Sequence[tuple[Any, dict[str, Any]]]) -> tuple[Any, list[dict[str, Any]]]:
        pixels = normalise(torch.stack([row[0] for row in rows]).to(device))
        targets = [{name: value.to(device) for name, value in row[1].items()} for row in rows]
        return pixels.contiguous(memory_format=torch.channels_last), targets

    def loss(batch: tuple[Any, list[dict[str, Any]]]) -> Any:
        found = network.head(list(network.backbone(batch[0]).values()))
        return sum(network.compute_loss(batch[1], found, [cells] * len(batch[1]), level_sizes).values())

    learner = Learner(
        network,
        len(train),
        count_steps(len(train), recipe.schedule.batch_size),
        lambda epoch: batches(
            lambda at: change(*_target(pictures, train[at], at, size)),
            collate,
            len(train),
            recipe.schedule.batch_size,
            seed=recipe.seed,
            epoch=epoch,
        ),
        loss,
        lambda: _map50(answer, plain, val, size, device),
        "map50",
        lambda name: name.startswith("backbone.body."),
    )
    reached = fit(learner, recipe.schedule, folder, seed=recipe.seed)
    left_out = (*data.faults, *skipped, *skipped_val)
    learnt = Learnt(network.cpu().eval(), reached, "map50", len(train), len(val), left_out, weights)
    return learnt, size, answer.cpu().eval()


def corner_view(size: tuple[int, int]) -> Callable[[int, int], View]:
    """The whole picture, brought into a rectangle with its ratio kept; what ``fit = "corner"`` does at prediction."""

    def view(height: int, width: int) -> View:
        scale = min(size[0] / height, size[1] / width)
        return View((0, 0, width, height), (max(1, round(height * scale)), max(1, round(width * scale))))

    return view


def padded(pixels: AnyArray, size: tuple[int, int]) -> AnyArray:
    """Pixels in the top left corner of a rectangle of that size."""
    square = np.full((*size, 3), PAD, np.uint8)
    square[: pixels.shape[0], : pixels.shape[1]] = pixels
    return square


def _target(pictures: Pictures, image: BoxedImage, at: int, size: tuple[int, int]) -> tuple[Any, Any, Any]:
    """One picture in its rectangle, its boxes in pixels of that and their labels; crowds are left out."""
    torch = require("torch", extra="torch")
    pixels, (height, width) = pictures[at]
    down, across = pixels.shape[0] / height, pixels.shape[1] / width
    boxes = (image.xyxy * [across, down, across, down])[~image.crowd]
    return (
        torch.from_numpy(padded(pixels, size)).permute(2, 0, 1),
        torch.from_numpy(boxes.astype(np.float32)),
        torch.from_numpy(image.class_ids[~image.crowd]),
    )


def _map50(answer: Any, plain: Pictures, val: Sequence[BoxedImage], size: tuple[int, int], device: Any) -> float:
    """COCO's average precision at overlap 0.5 on the validation pictures."""
    torch = require("torch", extra="torch")
    found = []
    for at in range(len(plain)):
        pixels, (height, width) = plain[at]
        across, down = width / pixels.shape[1], height / pixels.shape[0]
        given = normalise(torch.from_numpy(padded(pixels, size)).permute(2, 0, 1)[None].to(device))
        boxes, scores, labels = (
            part.cpu().numpy() for part in answer(given.contiguous(memory_format=torch.channels_last))
        )
        good = scores >= _LEAST_SCORE
        boxes, scores, labels = (
            boxes[good].astype(np.float64) * [across, down, across, down],
            scores[good],
            labels[good],
        )
        boxes = boxes.clip(0, [width, height, width, height])
        kept = nms(boxes, scores, labels, iou_threshold=IOU_THRESHOLD, max_detections=100)
        found.append(Found(boxes[kept], labels[kept].astype(np.int64), scores[kept].astype(np.float64)))
    truth: list[Things] = [image.truth for image in val]
    score = float(detection_scores(match_boxes(truth, found))["map50"][0])
    return 0.0 if np.isnan(score) else score


def evaluate(model: Path, data: Boxed, *, threads: int | None, seed: int) -> Mapping[str, Metric]:
    """Figures of a saved detector on the validation pictures, through its opener."""
    detector = vision.detector(model, threads=threads, score_threshold=EVALUATED_FROM)
    found = []
    for result in detector.predict([image.path for image in data.val], on_error="keep"):
        if isinstance(result, Failure):
            found.append(Found(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0)))
        else:
            found.append(
                Found(
                    result.xyxy.astype(np.float64), result.class_ids.astype(np.int64), result.scores.astype(np.float64)
                )
            )
    matches = match_boxes([image.truth for image in data.val], found)
    figures = detection_figures(matches, rng=np.random.default_rng(seed)).overall
    return {name: figures[name] for name in ("map50", "map") if name in figures}
